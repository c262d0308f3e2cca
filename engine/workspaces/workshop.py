"""The workshop: folders in which workers and gates do as they like, and the way their files come back.

Invariants
1. Each folder has a git repository of its own, written by plain file operations, that borrows the vault's objects.
   Whatever a worker does to it reaches neither the engine nor another worker. No git process of the engine reads it.
2. Files come back through the vault: `--git-dir` is the vault, `--work-tree` the folder, the index is ours.
3. A folder is removed only after work in it that no snapshot holds was kept.

Layout of an engine home
    worktrees/<feature>/<task>/      a worker's files
    records/<feature>/<task>/        what the engine knows of them: index, workspace.json
    checkouts/<name>/                files of one commit, for gates; `.index-<name>` beside it
    spares/<run>.<n>/                filled in advance; becomes one of the above
    trash/                           what is being deleted
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import EngineError, GitError
from engine.frozen import dataclass
from engine.git import Place, check_name, check_oid
from engine.workspaces import paths
from engine.workspaces.inspection import (
    Inspection,
    nested_repository,
    remove_planted,
    symlink_escape,
)
from engine.workspaces.model import (
    Checkout,
    DeclaredFiles,
    Enforcement,
    FileChange,
    Provenance,
    Refusal,
    Snapshot,
    Workspace,
)
from engine.workspaces.spares import Spares
from engine.workspaces.trash import Trash, remove_tree
from engine.workspaces.vault import Vault

_REPOSITORY_CONFIG = """\
[core]
\trepositoryformatversion = {version}
\tbare = false
\tfilemode = true
[gc]
\tauto = 0
[user]
\tname = Poundlock worker
\temail = worker@poundlock.invalid
"""
_LEFT_BEHIND = Provenance(
    message="Work found in a workspace that no snapshot held",
    trailers={},
    at=datetime(2000, 1, 1, tzinfo=UTC),  # no clock: equal files give an equal commit
)


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What the engine knows of one workspace."""

    run: str
    feature: str
    task: str
    attempt: int
    base: str
    tree: str | None = (
        None  #: tree of the last snapshot; the index agrees with it. None: with `base`
    )
    begun: str | None = None  #: commit whose files it began with, when not those of `base`


class Workshop:
    """Makes, reads and removes the folders of workers and gates."""

    def __init__(self, home: Path, vault: Vault, *, reading_deadline_s: float = 60) -> None:
        """`reading_deadline_s`: how long git may look at a worker's folder; a planted pipe makes it wait for ever."""
        self._home = home
        self._reading_deadline_s = reading_deadline_s
        self._vault = vault
        self._git = vault.git
        self._trash = Trash(home)
        self.spares = Spares(self._git, vault.folder, home / "spares")

    def tidy(self) -> None:
        """Begin to delete the spares and what is in the trash: no more folders are wanted."""
        self.spares.close(self._trash.take)
        self._trash.begin()

    def close(self) -> None:
        """Wait until the trash is empty; what cannot be deleted is left for the next start."""
        self.tidy()
        self._trash.close()

    def empty_trash(self) -> None:
        """Wait until the trash is empty. Raises OSError for what cannot be deleted."""
        self._trash.empty()

    def acquire(
        self,
        *,
        feature: str,
        run: str,
        task: str,
        attempt: int,
        base_commit: str,
        begun: str | None = None,
    ) -> Workspace:
        """Return the workspace of `task` with exactly the files of `base_commit`, or of `begun` on top of it; keep what
        was there before."""
        check_name(feature, "feature")
        check_name(task, "task id")
        check_name(run, "run id")
        wanted = _Record(
            run=run,
            feature=feature,
            task=task,
            attempt=attempt,
            base=check_oid(base_commit),
            tree=self._vault.tree_of(check_oid(begun)) if begun else None,
            begun=begun,
        )
        folder = self._folder(feature, task)
        kept = None
        if os.path.lexists(folder):
            if self._read_record(feature, task) == wanted and self._is_pristine(wanted):
                return self._workspace(wanted, None)
            kept = self.keep(feature, task)
            self._remove(feature, task)
        self._make(wanted)
        return self._workspace(wanted, kept)

    def snapshot(
        self,
        workspace: Workspace,
        declared: DeclaredFiles,
        enforcement: Enforcement,
        provenance: Provenance,
    ) -> Snapshot:
        """Return the worker's files as one kept commit on top of the workspace's base."""
        self.spares.rest()
        tree, refused = self._take(workspace.feature, workspace.task, workspace.base, declared)
        changed = self._vault.diff(workspace.base, tree) if tree else ()
        refused = (*refused, *self._refused_entries(changed, refused))
        tree = tree or self._vault.tree_of(workspace.base)
        commit = self._vault.commit(tree, (workspace.base,), provenance)
        self._vault.keep(commit, workspace.run, workspace.task, workspace.attempt)
        self._write_record(
            _Record(
                run=workspace.run,
                feature=workspace.feature,
                task=workspace.task,
                attempt=workspace.attempt,
                base=workspace.base,
                tree=tree,
                begun=workspace.begun,
            )
        )
        return Snapshot(
            commit=commit,
            tree=tree,
            base=workspace.base,
            changed=changed,
            undeclared=tuple(c.path for c in changed if not paths.is_declared(c.path, declared)),
            refused=refused,
            enforcement=enforcement,
        )

    def checkpoint(
        self,
        workspace: Workspace,
        declared: DeclaredFiles,
        enforcement: Enforcement,
        provenance: Provenance,
    ) -> Snapshot | None:
        """Return the unfinished work in a workspace as one kept commit; None when a snapshot or the base has all of it."""
        if self._is_unchanged(workspace.feature, workspace.task, workspace.base):
            return None
        taken = self.snapshot(workspace, declared, enforcement, provenance)
        return taken if taken.changed else None

    def keep(self, feature: str, task: str) -> str | None:
        """Keep the work in a workspace that no snapshot holds; return its commit, or None when there is none."""
        record = self._read_record(feature, task)
        if record is not None and self._is_unchanged(feature, task, record.base):
            return None
        base = record.base if record else None
        known = (record.tree or self._vault.tree_of(record.base)) if record else None
        tree, _ = self._take(feature, task, base, DeclaredFiles())
        if tree is None or tree == known:
            return None
        commit = self._vault.commit(tree, (base,) if base else (), _LEFT_BEHIND)
        if record is None:
            self._vault.keep(commit, "unknown", task, 0)
        else:
            self._vault.keep(commit, record.run, task, record.attempt)
        return commit

    def release(self, feature: str, task: str) -> str | None:
        """Remove a workspace; return the commit that keeps what no snapshot held, or None."""
        kept = self.keep(feature, task)
        self._remove(feature, task)
        return kept

    def checkout(self, commit: str, name: str) -> Checkout:
        """Return a fresh folder with the files of `commit`, replacing an older one of that name."""
        check_name(name, "checkout name")
        folder = self._home / "checkouts" / name
        index = folder.with_name(f".index-{name}")
        self.remove_checkout(name)
        folder.mkdir(parents=True)
        self._fill(folder, index, commit)
        self._give_repository(folder, index, commit, branch=None)
        index.unlink()
        self.spares.distrust()
        return Checkout(name=name, path=folder, commit=commit)

    def remove_checkout(self, name: str) -> None:
        """Remove a checkout; it holds nothing that is not in the vault."""
        folder = self._home / "checkouts" / check_name(name, "checkout name")
        for left in (f".index-{name}", f".index-{name}.lock"):  # the lock: of a git that was killed
            folder.with_name(left).unlink(missing_ok=True)
        self._trash.take(folder)

    def has_one_of(self, run: str, feature: str, task: str) -> bool:
        """Return whether a workspace of `task` was made for `run` already."""
        record = self._read_record(feature, task)
        return record is not None and record.run == run

    def workspaces(self, feature: str | None) -> Iterator[tuple[str, str]]:
        """Yield (feature, task) of every workspace, or of one feature."""
        for folder in _folders(self._home / "worktrees"):
            if feature in (None, folder.name):
                for task in _folders(folder):
                    yield folder.name, task.name

    def checkouts(self) -> list[str]:
        """Return the names of all checkouts."""
        return [folder.name for folder in _folders(self._home / "checkouts")]

    def folder(self, feature: str, task: str) -> Path:
        """Return where the workspace of a task is."""
        return self._folder(feature, task)

    def remove_stale_files(self, only: tuple[str, str] | None = None) -> list[Path]:
        """Delete index locks and half-made or half-deleted folders of a dead engine; return what was deleted.

        `only` (feature, run): none but those of that feature's workspaces and that run's checkouts.
        """
        feature, run = only or ("*", "")
        home = self._home
        locks = [
            *(home / "records").glob(f"{feature}/*/*.lock"),
            *(home / "checkouts").glob(f".index-{run}*"),
            *(home / "spares").glob(f"{run}*.index*"),
        ]
        for lock in locks:
            lock.unlink(missing_ok=True)
        unfinished = [
            *(home / "worktrees").glob(f"{feature}/.new-*"),
            *(home / "records").glob(f"{feature}/.new-*"),
            *(path for path in (home / "spares").glob(f"{run}*") if path not in locks),
            *((home / "trash").glob("*") if only is None else ()),
        ]
        for folder in unfinished:
            remove_tree(folder)
        return [*locks, *unfinished]

    # ---- making a folder

    def _make(self, record: _Record) -> None:
        """Make a workspace beside its place and move it there, so that a half-made one is never taken for whole."""
        folder = self._folder(record.feature, record.task)
        notes = self._notes(record.feature, record.task)
        new_folder = folder.with_name(f".new-{record.task}")
        new_notes = notes.with_name(f".new-{record.task}")
        for leftover in (new_folder, new_notes, notes):
            self._trash.take(leftover)
        new_folder.mkdir(parents=True)
        new_notes.mkdir(parents=True)
        self._fill(new_folder, new_notes / "index", record.begun or record.base)
        self._give_repository(new_folder, new_notes / "index", record.base, branch=_branch(record))
        _write_record(new_notes, record)
        new_notes.rename(notes)
        new_folder.rename(folder)

    def _fill(self, folder: Path, index: Path, commit: str) -> None:
        """Put the files of `commit` into `folder`, which is empty, and make their index."""
        index.unlink(missing_ok=True)
        if self.spares.fill(folder, index, commit):
            return
        if index.exists() or any(folder.iterdir()):  # of a spare that was not fit
            index.unlink(missing_ok=True)
            self._trash.take(folder)
            folder.mkdir()
        place = Place(git_dir=self._vault.folder, work_tree=folder, index=index)
        self._git.run("read-tree", "--reset", "-u", check_oid(commit), at=place)

    def _give_repository(self, folder: Path, index: Path, commit: str, branch: str | None) -> None:
        """Write a `.git` folder at `commit`, as gitrepository-layout(5) describes it. It borrows the vault's objects."""
        own = folder / ".git"
        (own / "objects" / "info").mkdir(parents=True)
        (own / "refs" / "heads").mkdir(parents=True)
        (own / "objects" / "info" / "alternates").write_text(
            f"{self._vault.folder}/objects\n", "utf-8"
        )
        config = _REPOSITORY_CONFIG.format(version=0 if len(commit) == 40 else 1)
        if len(commit) != 40:
            config += "[extensions]\n\tobjectFormat = sha256\n"
        (own / "config").write_text(config, "utf-8")
        if branch is None:
            (own / "HEAD").write_text(f"{commit}\n", "ascii")
        else:
            (own / "HEAD").write_text(f"ref: refs/heads/{branch}\n", "utf-8")
            ref = own / "refs" / "heads" / branch
            ref.parent.mkdir(parents=True)
            ref.write_text(f"{commit}\n", "ascii")
        shutil.copyfile(index, own / "index")
        shallow = self._vault.folder / "shallow"
        if shallow.exists():
            shutil.copyfile(shallow, own / "shallow")

    # ---- taking files back

    def _take(
        self, feature: str, task: str, base: str | None, declared: DeclaredFiles
    ) -> tuple[str | None, tuple[Refusal, ...]]:
        """Bring our index up to the files in a workspace. Return its tree, or None when the workspace is gone."""
        folder = self._folder(feature, task)
        if not self._is_real(folder):
            message = "the workspace is gone or is no longer a folder, so nothing was taken from it"
            return None, (Refusal(code="workspace_missing", path=".", message=message),)
        place = self._place(feature, task, base)
        planted: tuple[Refusal, ...] = ()
        try:
            take, refused = self._look(place, folder, declared)
            self._add(place, take)
        except GitError:
            planted = remove_planted(folder)
            if not planted:
                raise
            take, refused = self._look(place, folder, declared)
            self._add(place, take)
        tree = self._git.run("write-tree", at=place).text
        return check_oid(tree), (*planted, *refused)

    def _look(
        self, place: Place, folder: Path, declared: DeclaredFiles
    ) -> tuple[list[bytes], tuple[Refusal, ...]]:
        """Return the paths to take and the refusals, among what differs from our index."""
        inspection = Inspection(os.fsencode(folder), declared)
        for path in self._changed_paths(place, folder, declared):
            inspection.look_at(path)
        return inspection.take, tuple(inspection.refused.values())

    def _changed_paths(self, place: Place, folder: Path, declared: DeclaredFiles) -> list[bytes]:
        """List modified, deleted and new paths, then declared ones that are ignored. A nested repository ends in "/"."""
        ignores = ("--exclude-per-directory=.gitignore", "--exclude=/.engine/")
        listed = self._git.run(
            "ls-files",
            "-z",
            "--modified",
            "--deleted",
            "--others",
            *ignores,
            at=place,
            deadline_s=self._reading_deadline_s,
        ).records
        entries = [
            e for e in (*declared.create, *declared.modify) if paths.is_plain(e.removesuffix("/"))
        ]
        listed += [
            os.fsencode(e)
            for e in entries
            if not e.endswith("/") and os.path.lexists(folder / e) and not _is_folder(folder / e)
        ]
        below = [e for e in entries if e.endswith("/") and self._is_real(folder / e)]
        if below:
            listed += self._git.run("ls-files", "-z", "--others", "--", *below, at=place).records
        return sorted(set(listed))

    def _add(self, place: Place, take: Sequence[bytes]) -> None:
        if take:
            self._git.run(
                *("update-index", "-z", "--add", "--remove", "--replace", "--stdin"),
                at=place,
                stdin=b"\0".join(take) + b"\0",
                deadline_s=self._reading_deadline_s,
            )

    def _refused_entries(
        self, changed: Sequence[FileChange], known: Sequence[Refusal]
    ) -> Iterator[Refusal]:
        """Judge what is in the tree, whatever the file system looked like when the files were listed."""
        seen = {refusal.path for refusal in known}
        for change in changed:
            refusal = None
            if change.mode == "160000":
                refusal = nested_repository(change.path)
            elif change.mode == "120000":
                target = self._vault.read_blob(change.oid).decode("utf-8", "backslashreplace")
                refusal = symlink_escape(change.path, target)
            if refusal is not None and refusal.path not in seen:
                yield refusal

    def _is_pristine(self, record: _Record) -> bool:
        """Whether a workspace that no snapshot was taken of still has a repository and the files of its base."""
        head = self._folder(record.feature, record.task) / ".git" / "HEAD"
        return head.is_file() and self._is_unchanged(record.feature, record.task, record.base)

    def _is_unchanged(self, feature: str, task: str, base: str) -> bool:
        """Whether a workspace is there and nothing in it differs from our index."""
        folder = self._folder(feature, task)
        if not self._is_real(folder):
            return False
        with contextlib.suppress(GitError):  # a planted pipe: let `_take` deal with it
            place = self._place(feature, task, base)
            return not self._changed_paths(place, folder, DeclaredFiles())
        return False

    def _place(self, feature: str, task: str, base: str | None) -> Place:
        """Return where to read a workspace, with an index; a lost index is made again from `base`."""
        index = self._notes(feature, task) / "index"
        place = Place(
            git_dir=self._vault.folder, work_tree=self._folder(feature, task), index=index
        )
        if base is not None and not index.exists():
            index.parent.mkdir(parents=True, exist_ok=True)
            self._git.run("read-tree", base, at=place)
        index.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _is_real(self, folder: Path) -> bool:
        """Whether `folder` and all between the engine home and it are folders, none a symbolic link."""
        inside = folder.relative_to(self._home).parents
        between = [folder, *(self._home / part for part in inside if part != Path("."))]
        return all(_is_folder(part) for part in between)

    # ---- records and removal

    def _workspace(self, record: _Record, kept: str | None) -> Workspace:
        return Workspace(
            path=self._folder(record.feature, record.task),
            branch=_branch(record),
            base=record.base,
            run=record.run,
            feature=record.feature,
            task=record.task,
            attempt=record.attempt,
            begun=record.begun,
            kept=kept,
        )

    def _folder(self, feature: str, task: str) -> Path:
        return self._home / "worktrees" / feature / task

    def _notes(self, feature: str, task: str) -> Path:
        return self._home / "records" / feature / task

    def _read_record(self, feature: str, task: str) -> _Record | None:
        """Return the record of a workspace, or None when it is missing or damaged."""
        try:
            text = (self._notes(feature, task) / "workspace.json").read_text("utf-8")
            record = _Record(**json.loads(text))
            check_oid(record.base)
        except (OSError, ValueError, TypeError, EngineError):
            return None
        return record if (record.feature, record.task) == (feature, task) else None

    def _write_record(self, record: _Record) -> None:
        _write_record(self._notes(record.feature, record.task), record)

    def _remove(self, feature: str, task: str) -> None:
        self._trash.take(self._folder(feature, task))
        self._trash.take(self._notes(feature, task))
        for parent in (self._folder(feature, task).parent, self._notes(feature, task).parent):
            _remove_if_empty(parent)


def _write_record(notes: Path, record: _Record) -> None:
    new = notes / "workspace.json.new"
    new.write_text(json.dumps(asdict(record)), "utf-8")
    new.rename(notes / "workspace.json")


def _branch(record: _Record) -> str:
    return f"engine/{record.feature}/{record.task}"


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(p for p in parent.iterdir() if not p.name.startswith("."))
    except FileNotFoundError:
        return []


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
