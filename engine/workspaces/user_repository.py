"""The user's repository: read for where a run starts, and given branches that only move forward.

Their configuration is read (it is their repository), their hooks are not run, their checkout and index are not
touched, except by `fast_forward` on a clean tree.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import GitError, UsageError
from engine.frozen import dataclass
from engine.git import Git, Place, check_oid
from engine.workspaces.model import Published
from engine.workspaces.vault import fetch

QUARANTINE = "engine-quarantine"
_CRASH_REPORTS = "fast_import_crash_*"
_LIVE_LOCK_S = 1.0  #: far longer than a git that lives holds the lock of one branch


@dataclass(frozen=True, kw_only=True)
class Head:
    """A commit of the user's repository; `branch` is None when their HEAD is detached."""

    branch: str | None
    commit: str


class UserRepository:
    """The repository that the engine works for."""

    def __init__(self, git: Git, folder: Path, home: Path) -> None:
        """Open the repository that git finds from `folder`, for the engine home `home`.

        Raises UsageError when there is none.
        """
        self._git = git
        self._notes = home / "publishing"
        self._place = Place(folder=folder)
        found = self._discover(folder)
        self.git_dir = Path(
            found[0]
        )  #: where its objects and refs are; in a linked worktree, those of the main one
        self.object_format = found[1]  #: sha1 or sha256
        self.is_bare = found[2] == "true"

    def head(self, branch: str | None) -> Head:
        """Return the commit of `branch`, or what is checked out when it is None.

        Raises UsageError when there is no such branch, or no commit yet.
        """
        if branch is not None:
            commit = self.branch(branch)
            if commit is None:
                raise UsageError(
                    "the base branch does not exist",
                    where=str(self._place.folder),
                    expected=f'a branch "{branch}"',
                    got=f"only {', '.join(self._branches()) or 'a repository without branches'}",
                    hint="Give run.base_branch one of them, or make the branch.",
                )
            return Head(branch=branch, commit=commit)
        commit = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if not commit:
            raise UsageError(
                "the repository has no commit yet",
                where=str(self._place.folder),
                expected="at least one commit to start from",
                hint="Commit something first: git add -A && git commit.",
            )
        return Head(branch=self._ask("symbolic-ref", "--quiet", "--short", "HEAD"), commit=commit)

    def branch(self, name: str) -> str | None:
        """Return the commit of a branch, or None when it does not exist."""
        if not name or any(ord(character) < 33 for character in name):
            return None
        return self._ask("show-ref", "--verify", "--hash", "--", f"refs/heads/{name}")

    def holds(self, branch: str, commit: str) -> bool:
        """Return whether `commit` is in the history of a branch."""
        at = self.branch(branch)
        return at is not None and self._is_ancestor(commit, at) is True

    def message(self, commit: str) -> str:
        """Return a commit as git stores it: head lines and message."""
        return self._git.run("cat-file", "commit", commit, at=self._place).text

    def files_at(self, commit: str, names: Sequence[str]) -> dict[str, bytes]:
        """Return {name: content} of those files that `commit` has."""
        reader = self._git.reader(self.git_dir)
        try:
            found = {name: reader.read(f"{check_oid(commit)}:{name}") for name in names}
        finally:
            reader.close()
        return {name: file.content for name, file in found.items() if file is not None}

    def names_at(self, commit: str) -> frozenset[str]:
        """Return the names at the top of the tree of `commit`."""
        tree = f"{check_oid(commit)}^{{tree}}"
        listed = self._git.run("cat-file", "-p", tree, at=Place(git_dir=self.git_dir))
        return frozenset(line.partition("\t")[2] for line in listed.text.splitlines())

    def put(self, branch: str, before: str | None, stream: bytes) -> Published:
        """Make the commit that `stream` describes to git-fast-import(1), mark :1, and move `branch` to it from `before`.

        Forward only, or say why not; tried once more as in `receive`. Objects come first, the branch last.
        """
        made = self._import(branch, stream)
        if isinstance(made, GitError) and (
            self._remove_left_lock(branch) or not self._why_refused(branch, None, "")
        ):
            made = self._import(branch, stream)
        if isinstance(made, GitError):
            reason = self._why_refused(branch, None, "") or made.got
            return Published(branch=branch, commit=before, state="refused", reason=reason)
        return Published(branch=branch, commit=made, state="moved")

    def _import(self, branch: str, stream: bytes) -> str | GitError:
        """Return the new commit of `branch`, or why there is none."""
        self._remove_left_lock(branch)
        reports = set(self.git_dir.glob(_CRASH_REPORTS))
        try:
            if self._is_checked_out(branch):
                return GitError(f"branch {branch} does not move")
            with self._noted(branch):
                answer = self._git.run(
                    *("fast-import", "--quiet", "--done", "--date-format=raw"),
                    at=Place(git_dir=self.git_dir),
                    stdin=stream,
                )
            return check_oid(answer.text)
        except GitError as error:
            for report in set(self.git_dir.glob(_CRASH_REPORTS)) - reports:
                report.unlink(missing_ok=True)  # the error says it
            return error

    def receive(self, branch: str, source: Path, revision: str, commit: str) -> Published:
        """Make or move `branch` to `commit`, fetched as `revision` from `source`; forward only, or say why not.

        Tried once more when nothing stands against it: a git that was killed alone (out of memory) says nothing of the branch.
        """
        before = self.branch(branch)
        if before == commit:
            return Published(branch=branch, commit=commit, state="current")
        failure = self._move_branch(branch, source, revision, before, commit)
        if failure is not None and (
            self._remove_left_lock(branch) or not self._why_refused(branch, before, commit)
        ):
            failure = self._move_branch(branch, source, revision, before, commit)
        if failure is not None:
            reason = self._why_refused(branch, before, commit) or failure.got
            return Published(branch=branch, commit=before, state="refused", reason=reason)
        return Published(branch=branch, commit=commit, state="moved")

    def _move_branch(
        self, branch: str, source: Path, revision: str, before: str | None, commit: str
    ) -> GitError | None:
        """Fetch `revision` and move `branch` from `before` to it by compare-and-swap; return why it did not move, or None.

        Not by fetch alone: for a branch that was not there when it began, git 2.39 fetch compares nothing, and a fetch that
        had been stopped moved the branch back. A note in the engine home says that git is at work on the branch. It
        outlives a kill, and tells the next engine that a lock on this branch is not the user's.
        """
        place = Place(git_dir=self.git_dir)
        self._remove_left_lock(branch)
        try:
            fetch(self._git, place, source, [revision])  # objects only, no ref
            is_forward = before is None or self._is_ancestor(before, commit)
            if not is_forward or self._is_checked_out(branch):
                return GitError(f"branch {branch} does not move")
            with self._noted(branch):
                old = before or "0" * len(commit)
                self._git.run("update-ref", f"refs/heads/{branch}", commit, old, at=place)
        except GitError as error:
            return error
        return None

    @contextmanager
    def _noted(self, branch: str) -> Iterator[None]:
        note, lock = self._note(branch), self._lock(branch)
        if not lock.exists():  # else it is not ours
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        try:
            yield
        except GitError:
            if not lock.exists():
                note.unlink(missing_ok=True)
            raise
        note.unlink(missing_ok=True)

    def _remove_left_lock(self, branch: str) -> bool:
        """Remove the lock of `branch` that a killed git of ours left; tell whether there was one."""
        note, lock = self._note(branch), self._lock(branch)
        if not (note.exists() and lock.exists()):
            return False
        time.sleep(_LIVE_LOCK_S)  # the user's own git may be at work on this very branch
        lock.unlink(missing_ok=True)
        note.unlink()
        return True

    def _note(self, branch: str) -> Path:
        return self._notes / f"{branch}.note"

    def _lock(self, branch: str) -> Path:
        return self.git_dir / "refs" / "heads" / f"{branch}.lock"

    def fast_forward(self, branch: str, source: Path, ref: str, commit: str) -> Published:
        """Move `branch` forward to `commit`; when it is what is checked out here, move the files too.

        Refused, with the reason: files have changes, the branch has other commits, it is checked out elsewhere.
        """
        before = self.branch(branch)
        if self.is_bare or self._ask("symbolic-ref", "--quiet", "--short", "HEAD") != branch:
            return self.receive(branch, source, ref, commit)
        if before == commit:
            return Published(branch=branch, commit=commit, state="current")
        changes = self._git.run(
            "status", "--porcelain", "-z", "--untracked-files=no", at=self._place, personal=True
        ).records
        if changes:
            reason = f"{branch} is checked out and {len(changes)} files have changes that are not committed"
            return Published(branch=branch, commit=before, state="refused", reason=reason)
        return self._move_checkout(branch, before, source, ref, commit)

    def show(self, source: Path, commit: str, feature: str, task: str) -> Published:
        """Make a quarantine branch at `commit`. A branch of that name that is elsewhere stays; ours gets a longer name."""
        name = f"{QUARANTINE}/{feature}/{task}"
        if self.branch(name) not in (None, commit):
            name = f"{name}-{commit[:12]}"
        return self.receive(name, source, commit, commit)

    def quarantined(self, feature: str | None) -> dict[str, str]:
        """Return {branch: commit} of the quarantine branches."""
        prefix = f"refs/heads/{QUARANTINE}/" + (f"{feature}/" if feature else "")
        listed = self._git.run(
            "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", prefix, at=self._place
        ).text
        pairs = (line.rpartition(" ") for line in listed.splitlines())
        return {name: commit for name, _, commit in pairs}

    def delete_branch(self, name: str, commit: str) -> bool:
        """Delete a branch if it is still at `commit` and checked out nowhere; return whether it is gone."""
        if self._is_checked_out(name):
            return False
        answer = self._git.run(
            *("update-ref", "-d", f"refs/heads/{name}", commit), at=self._place, accept=(0, 1, 128)
        )
        return answer.code == 0

    def _discover(self, folder: Path) -> list[str]:
        try:
            return self._git.run(
                "rev-parse",
                "--path-format=absolute",
                "--git-common-dir",
                "--show-object-format",
                "--is-bare-repository",
                at=self._place,
            ).text.splitlines()
        except GitError as error:
            dubious = "dubious ownership" in error.got
            raise UsageError(
                "this repository belongs to somebody else"
                if dubious
                else "this is not a git repository",
                where=str(folder),
                expected="a repository that git trusts"
                if dubious
                else "a folder with a git repository",
                got=error.got,
                hint="Allow it with git config --global --add safe.directory PATH."
                if dubious
                else "Make one: git init && git add -A && git commit.",
            ) from error

    def _ask(self, *arguments: str) -> str | None:
        """Return the one line a command prints, or None when it says no."""
        answer = self._git.run(*arguments, at=self._place, accept=(0, 1, 128))
        return answer.text or None if answer.code == 0 else None

    def _branches(self) -> list[str]:
        listed = self._git.run(
            "for-each-ref", "--count=8", "--format=%(refname:short)", "refs/heads/", at=self._place
        )
        return listed.text.splitlines()

    def _is_checked_out(self, branch: str) -> bool:
        """Ask git only where it can be: with one worktree, `HEAD` says it (gitrepository-layout(5)), unless refs are kept elsewhere."""
        if not (self.git_dir / "worktrees").exists():
            try:
                head = (self.git_dir / "HEAD").read_text("utf-8", "surrogateescape").strip()
            except OSError:
                head = ""
            is_kept_there = head and head != "ref: refs/heads/.invalid"
            if is_kept_there and head != f"ref: refs/heads/{branch}":
                return False
        return branch in self._checked_out()

    def _checked_out(self) -> dict[str, str]:
        """Return {branch: folder} of everything that is checked out from this repository."""
        listed = self._git.run("worktree", "list", "--porcelain", "-z", at=self._place).text
        found = re.findall(r"worktree ([^\0]*)\0(?:[^\0]+\0)*?branch refs/heads/([^\0]*)\0", listed)
        return {branch: folder for folder, branch in found}

    def _why_refused(self, branch: str, before: str | None, commit: str) -> str:
        """Return what stands against moving `branch` from `before` to `commit`; "" when nothing does."""
        folder = self._checked_out().get(branch)
        if folder is not None:
            return f"branch {branch} is checked out in {folder}; switch to another branch there"
        if before is not None and self._is_ancestor(before, commit) is False:
            return (
                f"branch {branch} is at {before[:12]}, which is not part of {commit[:12]}: somebody committed to it; "
                "rename that branch, and the engine makes it anew"
            )
        lock = self._lock(branch)
        if lock.exists():
            return f"branch {branch} is locked by {lock}; when no git is at work there, remove that file and run again"
        return ""

    def _is_ancestor(self, commit: str, of: str) -> bool | None:
        """Whether `commit` is an ancestor of `of`, or None when one of them is not here."""
        answer = self._git.run(
            *("merge-base", "--is-ancestor", commit, of), at=self._place, accept=(0, 1, 128)
        )
        return {0: True, 1: False}.get(answer.code)

    def _move_checkout(
        self, branch: str, before: str | None, source: Path, ref: str, commit: str
    ) -> Published:
        fetch(self._git, Place(git_dir=self.git_dir), source, [ref])  # objects only, no ref
        answer = self._git.run(
            *("merge", "--ff-only", "--quiet", "--no-stat", commit),
            at=self._place,
            accept=(0, 1, 2, 128),
            personal=True,
        )
        if answer.code == 0:
            return Published(branch=branch, commit=commit, state="moved")
        return Published(branch=branch, commit=before, state="refused", reason=answer.err)


def trusted_folders(git: Git, folder: Path) -> list[str]:
    """Return the person's own `safe.directory` entries, when `folder` belongs to another user; else nothing.

    Git refuses another user's repository unless its own configuration allows it. The engine reads no personal
    configuration, so it takes over this one list, which is the person's decision to make.
    """
    try:
        if folder.stat().st_uid == os.geteuid():
            return []
    except OSError:
        return []
    return git.run(
        *("config", "-z", "--get-all", "safe.directory"),
        at=Place(folder=Path("/")),
        accept=(0, 1),
        personal=True,
    ).text.split("\0")[:-1]
