"""The vault: the engine's own bare repository. All commits, merges and diffs the engine relies on are made here.

Its configuration is a constant of this module, written anew at each start, and no worker is told where it is. So
nothing a worker writes can become a hook, a filter, a merge driver or a pager of a git process of the engine.

Refs
    refs/heads/engine/<feature>/<run>                       the integration branch of a run; `merge` moves it
    refs/engine/base/<feature>/<run>                        the commit the run started from
    refs/engine/kept/<run>/<task>/<attempt>.<commit>        every snapshot; made once, never moved, never deleted
    refs/engine/fetched/<commit>                            what came from the user's repository
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from engine.core.safety import MergeAuthorization
from engine.errors import GitError, IntegrityError, UsageError
from engine.git import COMMIT_DRAFT, IDENTITY, Git, Place, TreeChange, check_oid, read_tree, seconds
from engine.workspaces.joining import joined, with_changes
from engine.workspaces.model import (
    Candidate,
    Conflict,
    FileChange,
    Merged,
    Patch,
    Provenance,
    Stale,
)

_UNFINISHED = ".new-"  #: between the name of the vault and a random part, while it is made
_UNFINISHED_S = 3600.0
KEPT = "refs/engine/kept"
FETCHED = "refs/engine/fetched"

_CONFIG = """\
# Written by the engine at every start; changes are lost.
[core]
\trepositoryformatversion = {version}
\tbare = true
\tfilemode = true
\tlogAllRefUpdates = false
\tprotectHFS = true
\tprotectNTFS = true
{platform}[extensions]
\tobjectFormat = {object_format}
[fetch]
\tunpackLimit = 1
[gc]
\tauto = 0
"""
_ON_MACOS = "\tprecomposeunicode = true\n\tignorecase = true\n"
_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_KINDS: Mapping[str, Literal["created", "modified", "deleted"]] = {"A": "created", "D": "deleted"}


class Vault:
    """The engine's bare repository."""

    def __init__(self, git: Git, folder: Path, object_format: str) -> None:
        """Open the vault at `folder`; make it when it is not there. `object_format`: sha1 or sha256."""
        self.git = git
        self.folder = folder
        self.object_format = object_format
        self.place = Place(git_dir=folder)
        if not folder.exists():
            self._make()
        self._fortify(folder)
        self.reader = git.reader(folder)
        self._differ = git.differ(folder)
        self._tree_maker = git.tree_maker(folder)
        self._ref_maker = git.ref_maker(folder)
        self._commit_writer = git.commit_writer(folder)

    def close(self) -> None:
        self.reader.close()
        for one in (self._differ, self._tree_maker, self._ref_maker, self._commit_writer):
            one.close()

    # ---- the integration ref

    def start(self, ref: str, base_ref: str, start: str, base: str) -> None:
        """Make the integration ref of a run at `start`, and remember its base. Raises GitError if one exists."""
        lines = f"create {ref}\0{check_oid(start)}\0create {base_ref}\0{check_oid(base)}\0"
        self.git.run("update-ref", "-z", "--stdin", at=self.place, stdin=lines.encode())

    def merge(self, authorization: MergeAuthorization) -> Merged | Stale:
        """Move the integration ref to the authorised commit, if it is still where the authorisation says.

        The only function that moves an integration ref. The commit itself is read again first: its parents and tree
        must be those the verdicts are about. Doing it twice is the same as doing it once.
        Raises IntegrityError if the commit is not the authorised one, GitError if git cannot write.
        """
        if not isinstance(authorization, MergeAuthorization):
            raise TypeError(
                "only the safety kernel authorises a merge"
            )  # a defect of ours, not of the user's
        subject, ref = authorization.subject, authorization.ref
        self._check_authorised(authorization)
        answer = self.git.run(
            "update-ref", ref, subject.commit, subject.old, at=self.place, accept=(0, 1, 128)
        )
        found = self.reader.resolve(ref)
        if found is not None and self.is_ancestor(subject.commit, found):
            return Merged(ref=ref, old=subject.old, commit=subject.commit)
        if found != subject.old:
            return Stale(ref=ref, expected=subject.old, found=found)
        raise GitError(where=f"git update-ref {ref}", expected="success", got=answer.err)

    def recover(self, ref: str, old: str, new: str) -> Literal["done", "redo", "void"]:
        """Say what became of an authorised move of `ref` from `old` to `new`."""
        found = self.reader.resolve(ref)
        if found == old:
            return "redo"
        if found is not None and self.reader.look(new) and self.is_ancestor(new, found):
            return "done"
        return "void"

    # ---- making commits

    def commit(self, tree: str, parents: Sequence[str], provenance: Provenance) -> str:
        """Write a commit and return its id. Equal arguments give an equal id.

        Raises IntegrityError when the tree or a parent is not there.
        """
        for oid, kind in ((tree, "tree"), *((parent, "commit") for parent in parents)):
            found = self.reader.look(check_oid(oid))
            if found is None or found.type != kind:
                raise IntegrityError(
                    "an object is missing", where=str(self.folder), expected=f"{kind} {oid}"
                )
        who = "{} <{}> {} +0000".format(*IDENTITY, seconds(provenance.at))
        lines = [
            f"tree {tree}",
            *(f"parent {parent}" for parent in parents),
            f"author {who}",
            f"committer {who}",
        ]
        head = "".join(f"{line}\n" for line in lines).encode()
        return self._commit_writer.write(head + b"\n" + commit_message(provenance))

    def keep(self, commit: str, run: str, task: str, attempt: int) -> str:
        """Make the kept ref of a commit and return its name. Idempotent."""
        ref = f"{KEPT}/{run}/{task}/{attempt}.{commit[:16]}"
        if self.reader.resolve(ref) == commit:
            return ref
        with contextlib.suppress(GitError):  # a single command may still do it, or says why not
            self._ref_maker.make(ref, commit)
            return ref
        nothing = "0" * len(commit)
        answer = self.git.run("update-ref", ref, commit, nothing, at=self.place, accept=(0, 1, 128))
        if answer.code != 0 and self.reader.resolve(ref) != commit:
            raise GitError(where=f"git update-ref {ref}", expected="success", got=answer.err)
        return ref

    def build_candidate(
        self, old: str, sources: Sequence[str], provenance: Provenance
    ) -> Candidate | Conflict:
        """Merge `sources` into `old` one after the other; return one commit with all as parents, or the conflict."""
        if not sources or len({old, *sources}) != len(sources) + 1:
            raise GitError(
                "a candidate cannot be built",
                expected="at least one source, none twice",
                got=repr([old, *sources]),
            )
        tree = self._joined(old, sources) or self._merge_one_by_one(old, sources, provenance)
        if isinstance(tree, Conflict):
            return tree
        commit = self.commit(tree, (old, *sources), provenance)
        return Candidate(old=old, sources=tuple(sources), tree=tree, commit=commit)

    def build_rollback(self, old: str, target: str, provenance: Provenance) -> Candidate:
        """Return a commit on top of `old` with the tree of `target`. Raises UsageError unless it is an ancestor."""
        if old == target or not self.is_ancestor(target, old):
            raise UsageError(
                "this commit cannot be restored",
                expected=f"an earlier state of the branch at {old}",
                got=target,
            )
        tree = self.tree_of(target)
        commit = self.commit(tree, (old,), provenance)
        return Candidate(old=old, sources=(target,), tree=tree, commit=commit)

    # ---- reading

    def diff(self, old: str, new: str) -> tuple[FileChange, ...]:
        """Return what differs between two commits or trees, with line counts, ordered by path."""
        changes = map(_file_change, self._tree_changes(old, new))
        return tuple(sorted(changes, key=lambda change: change.path))

    def patch(self, old: str, new: str, limit_bytes: int) -> Patch:
        """Return the difference as text, cut after `limit_bytes`."""
        content, is_complete = self.git.run_limited(
            "diff-tree",
            "-p",
            *_PLAIN_DIFF,
            check_oid(old),
            check_oid(new),
            at=self.place,
            limit_bytes=limit_bytes,
        )
        return Patch(text=content.decode("utf-8", "replace"), is_complete=is_complete)

    def read_file(self, commit: str, path: str, limit_bytes: int) -> bytes | None:
        """Return a file of a commit, or None when there is none. Raises UsageError if it is above the limit."""
        found = self.reader.look(f"{check_oid(commit)}:{path}")
        if found is None or found.type != "blob":
            return None
        if found.size > limit_bytes:
            raise UsageError(
                "this file is too large",
                where=path,
                expected=f"at most {limit_bytes} bytes",
                got=str(found.size),
            )
        return self.read_blob(found.oid)

    def read_blob(self, oid: str) -> bytes:
        """Return the content of a blob. Raises IntegrityError when it is not there."""
        found = self.reader.read(check_oid(oid))
        if found is None or found.type != "blob":
            raise IntegrityError(
                "an object is missing", where=str(self.folder), expected=f"blob {oid}"
            )
        return found.content

    def resolve(self, ref: str) -> str | None:
        """Return what a ref points at, or None."""
        return self.reader.resolve(ref)

    def tree_of(self, commit: str) -> str:
        """Return the tree of a commit, or a tree itself. Raises IntegrityError when it is not there."""
        tree = self.reader.resolve(f"{check_oid(commit)}^{{tree}}")
        if tree is None:
            raise IntegrityError(
                "an object is missing", where=str(self.folder), expected=f"commit or tree {commit}"
            )
        return tree

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `commit` is `of` or one of its ancestors."""
        if commit == of:
            return True
        answer = self.git.run(
            "merge-base",
            "--is-ancestor",
            check_oid(commit),
            check_oid(of),
            at=self.place,
            accept=(0, 1),
        )
        return answer.code == 0

    def refs(self, prefix: str) -> dict[str, str]:
        """Return {ref: commit} of all refs below `prefix`."""
        listed = self.git.run(
            "for-each-ref", "--format=%(refname) %(objectname)", f"{prefix}/", at=self.place
        ).text
        return dict(_pair(line) for line in listed.splitlines())

    def fetch(self, source: Path, commits: Iterable[str]) -> None:
        """Copy commits with their history from the user's repository. Those fetched before cost nothing."""
        missing = [
            commit for commit in commits if self.resolve(f"{FETCHED}/{check_oid(commit)}") is None
        ]
        if missing:
            specs = [f"{commit}:{FETCHED}/{commit}" for commit in missing]
            fetch(self.git, self.place, source, specs)

    # ---- upkeep

    def remove_stale_files(self, only: tuple[str, str] | None = None) -> list[Path]:
        """Delete the lock and temporary files that killed git processes left; return what was deleted.

        `only` (feature, run): none but the locks of that run's refs.
        """
        stale = list((self.folder / "refs").rglob("*.lock"))
        if only is not None:
            stale = [lock for lock in stale if only[1] in str(lock.relative_to(self.folder))]
        else:
            objects = self.folder / "objects"
            stale += [*self.folder.glob("fast_import_crash_*"), *self.folder.glob("*.lock")]
            stale += [*self.folder.glob(f"{COMMIT_DRAFT}*"), *objects.glob("pack/*.lock")]
            stale += [*objects.glob("*/tmp_*"), *objects.glob("tmp_*")]
        for file in stale:
            file.unlink(missing_ok=True)
        return [*stale, *self._remove_unfinished()]

    def _remove_unfinished(self) -> list[Path]:
        """Delete vaults whose making was killed; one that is younger may be in the making."""
        known = self.folder.parent.glob(f"{self.folder.name}{_UNFINISHED}*")
        old = [made for made in known if time.time() - made.stat().st_mtime > _UNFINISHED_S]
        for made in old:
            shutil.rmtree(made, ignore_errors=True)
        return old

    def _make(self) -> None:
        """Make the vault beside its place, whole, and move it there. Of several engines that do so one wins."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(
            mkdtemp(prefix=f"{self.folder.name}{_UNFINISHED}", dir=self.folder.parent)
        )
        try:
            self.git.run(
                "init",
                "--quiet",
                "--bare",
                "--template=",
                "--initial-branch=none",
                f"--object-format={self.object_format}",
                at=Place(git_dir=unfinished),
            )
            self._fortify(unfinished)
            unfinished.rename(self.folder)
        except OSError:
            if not (self.folder / "HEAD").exists():
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _fortify(self, folder: Path) -> None:
        """Put the configuration back to ours and take away what could add to it. Other engines may be at work in it."""
        text = _CONFIG.format(
            version=0 if self.object_format == "sha1" else 1,
            platform=_ON_MACOS if sys.platform == "darwin" else "",
            object_format=self.object_format,
        )
        if self.object_format == "sha1":
            text = text.replace("[extensions]\n\tobjectFormat = sha1\n", "")
        config = folder / "config"
        if config.is_symlink() or config.read_text("utf-8") != text:
            ours = config.with_name(f"config.{os.getpid()}")
            ours.write_text(text, "utf-8")
            ours.replace(config)
        shutil.rmtree(folder / "hooks", ignore_errors=True)
        for name in (
            "info/attributes",
            "info/grafts",
            "config.worktree",
            "objects/info/alternates",
        ):
            (folder / name).unlink(missing_ok=True)

    def _tree_changes(self, old: str, new: str) -> list[TreeChange]:
        return self._differ.diff(self.tree_of(old), self.tree_of(new))

    def _entries(self, tree: str) -> dict[bytes, tuple[str, str]]:
        """Return {name: (mode, id)} of a tree."""
        found = self.reader.read(tree)
        if found is None or found.type != "tree":
            raise IntegrityError(
                "an object is missing", where=str(self.folder), expected=f"tree {tree}"
            )
        entries = read_tree(found.content, len(tree) // 2)
        return {name: (mode, oid) for mode, oid, name in entries}

    def _head_lines(self, commit: str) -> list[tuple[str, str]]:
        """Return the (name, value) lines before the message of a commit; none when it is not there."""
        found = self.reader.read(commit)
        head = found.content.partition(b"\n\n")[0].decode("utf-8", "replace") if found else ""
        return [_pair(line) for line in head.splitlines() if " " in line]

    def _parents(self, commit: str) -> tuple[str, ...]:
        return tuple(value for name, value in self._head_lines(commit) if name == "parent")

    def _check_authorised(self, authorization: MergeAuthorization) -> None:
        subject = authorization.subject
        fields = self._head_lines(subject.commit)
        tree = [value for name, value in fields if name == "tree"]
        parents = tuple(value for name, value in fields if name == "parent")
        expected = (subject.old, *subject.sources)
        if authorization.kind == "rollback":
            expected = (subject.old,)
            tree.append(self.tree_of(subject.sources[0]))
        if set(tree) != {subject.tree} or parents != expected:
            raise IntegrityError(
                "the candidate is not the commit that was judged",
                where=subject.commit,
                expected=f"tree {subject.tree} and parents {' '.join(expected)}",
                got="\n".join(" ".join(field) for field in fields) or "no such commit",
            )

    def _joined(self, old: str, sources: Sequence[str]) -> str | None:
        """Return the tree of the merge when it is as plain as `joining` says; None when git has to merge."""
        if any(self._parents(source) != (old,) for source in sources):
            return None
        changes = joined([self._tree_changes(old, source) for source in sources])
        if changes is None:
            return None
        return with_changes(self.tree_of(old), changes, self._entries, self._tree_maker.make)

    def _merge_one_by_one(
        self, old: str, sources: Sequence[str], provenance: Provenance
    ) -> str | Conflict:
        """Return the tree of the merge as git makes it, or the first conflict."""
        head, tree = old, ""
        for position, source in enumerate(sources, start=1):
            merged = self._merge_trees(head, source)
            if not isinstance(merged, str):
                return Conflict(old=old, sources=tuple(sources), source=source, paths=merged)
            tree = merged
            if position < len(
                sources
            ):  # merge-tree wants commits: a stepping stone that nothing points at
                head = self.commit(tree, (head, source), provenance)
        return tree

    def _merge_trees(self, ours: str, theirs: str) -> str | tuple[str, ...]:
        """Return the tree of the merge, or the paths in conflict (git prints a tree then as well; it is no result)."""
        answer = self.git.run(
            "merge-tree",
            "--write-tree",
            "-z",
            "--name-only",
            "--no-messages",
            check_oid(ours),
            check_oid(theirs),
            at=self.place,
            accept=(0, 1),
        )
        tree, *paths = answer.records
        if answer.code == 0:
            return check_oid(tree.decode())
        return tuple(dict.fromkeys(path.decode("utf-8", "replace") for path in paths if path))


def fetch(git: Git, target: Place, source: Path, specs: Sequence[str]) -> None:
    """Copy objects between two repositories on this machine and set refs by `specs`, forward only."""
    git.run(
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--update-shallow",
        "--end-of-options",
        str(source),
        *specs,
        at=target,
        environment={"GIT_ALLOW_PROTOCOL": "file"},
    )


_PLAIN_DIFF = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")


def commit_message(provenance: Provenance) -> bytes:
    lines = [provenance.message.replace("\0", "").strip() or "(no message)", ""]
    for name, value in provenance.trailers.items():
        if not _TRAILER.fullmatch(name) or not value.isprintable():
            raise GitError(
                "a trailer cannot be written", expected="Name: one line", got=f"{name}: {value!r}"
            )
        lines.append(f"{name}: {value}")
    return ("\n".join(lines).rstrip() + "\n").encode("utf-8", "replace")


def _file_change(change: TreeChange) -> FileChange:
    added, deleted = change.lines or (None, None)
    return FileChange(
        path=change.path.decode("utf-8", "backslashreplace"),
        kind=_KINDS.get(change.status, "modified"),
        mode=change.mode,
        oid=change.oid,
        added=added,
        deleted=deleted,
    )


def _pair(line: str) -> tuple[str, str]:
    first, _, second = line.partition(" ")
    return first, second
