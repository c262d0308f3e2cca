"""The world of git in one object: the engine's vault, the workers' workspaces and the user's repository.

Invariants
1. `merge` is the only function that moves an integration ref, only forward, only with a `MergeAuthorization`.
2. No git process reads a configuration, hook, filter or attribute driver that a worker can write: git runs on the
   vault (ours) and on the user's repository (theirs), never on the repository inside a workspace.
3. A commit that a snapshot made stays under `refs/engine/kept/<run>/<task>/` in the vault. Nothing deletes it.
4. A folder is only removed after its unsnapshotted work was kept.
5. The user's checkout and index are never touched, but by `promote` when they asked for it and their tree is clean.

Every method blocks; call them from threads. They are safe to call at the same time, except two on one workspace.

Errors: UsageError (what the user can mend), GitError (git said no), EnvironmentFailure (no git, disk),
IntegrityError (objects are not what they must be).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from engine.core.safety import MergeAuthorization
from engine.workspaces.model import (
    Base,
    Candidate,
    Checkout,
    Cleanup,
    Conflict,
    DeclaredFiles,
    Enforcement,
    FileChange,
    Merged,
    Patch,
    Provenance,
    Published,
    Snapshot,
    Stale,
    Workspace,
)


class Repository:
    """One engine home and the user's repository it works for. Use it as a context manager, or call `close`."""

    @classmethod
    def open(cls, home: Path, user_repository: Path, lock_fd: int | None) -> Self:
        """Return the repository, making the vault under `home` when it is not there.

        `lock_fd`: descriptor of the engine's lock file; every git child inherits it, so that the lock is free only
        when no git process of a dead engine is left.
        Raises UsageError when `user_repository` is not a git repository, EnvironmentFailure when git is too old.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the long-lived git reader. The repository cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- start and recovery

    def prepare(self, feature: str, run: str, base: str | None) -> Base:
        """Return where `run` starts; make its integration ref if it is new. Idempotent for a run.

        `base` names a branch of the user's repository; None means what is checked out there (a detached HEAD is
        fine). A new run starts from the base, or from the user's branch engine/<feature> when that exists and the
        base does not contain it, so that the branch only ever moves forward.
        Raises UsageError: no commit yet, no such branch.
        """
        raise NotImplementedError

    def recover_locks(self) -> tuple[str, ...]:
        """Delete stale git lock files and half-made folders; return one sentence for each.

        Call it once, after the engine's file lock is held: then no git process of ours lives.
        """
        raise NotImplementedError

    def recover(self, ref: str, old: str, new: str) -> Literal["done", "redo", "void"]:
        """Look once what became of an authorised merge: "done", "redo" (merge again) or "void" (back to the gates)."""
        raise NotImplementedError

    # ---- a task

    def acquire(
        self, *, feature: str, run: str, task: str, attempt: int, base_commit: str
    ) -> Workspace:
        """Return the workspace of `task` with exactly the files of `base_commit`.

        An untouched workspace of the same attempt is returned as it is. Any other one is removed, after a commit of
        what was in it is kept (`Workspace.kept`).
        """
        raise NotImplementedError

    def snapshot(
        self,
        workspace: Workspace,
        declared: DeclaredFiles,
        enforcement: Enforcement,
        provenance: Provenance,
    ) -> Snapshot:
        """Return the worker's files as one kept commit on top of the workspace's base.

        Whatever is refused or undeclared is listed in the result; see `Snapshot.manifest` for what it means.
        Ignored files (.gitignore) are left out unless declared.
        """
        raise NotImplementedError

    def quarantine(self, snapshot_commit: str, *, feature: str, task: str) -> Published:
        """Show a kept commit to people as branch engine-quarantine/<feature>/<task> of the user's repository."""
        raise NotImplementedError

    def release(self, workspace: Workspace | Checkout) -> Cleanup:
        """Remove a workspace or checkout; work in a workspace that no snapshot holds is kept first."""
        raise NotImplementedError

    # ---- a merge

    def build_candidate(
        self, old: str, sources: tuple[str, ...], provenance: Provenance
    ) -> Candidate | Conflict:
        """Return one merge commit with parents (old, *sources), or the first source that conflicts. Moves nothing."""
        raise NotImplementedError

    def build_rollback(self, old: str, target: str, provenance: Provenance) -> Candidate:
        """Return a commit on top of `old` that has the tree of `target`, one of its ancestors. Moves nothing.

        `sources` of the result is (target,): the subject that `authorize_rollback` wants.
        """
        raise NotImplementedError

    def merge(self, authorization: MergeAuthorization) -> Merged | Stale:
        """Move the integration ref by compare-and-swap. The only function that may. Safe to repeat."""
        raise NotImplementedError

    def checkout(self, commit: str, name: str) -> Checkout:
        """Return a fresh folder with the files of `commit`; an older checkout of that name is removed first."""
        raise NotImplementedError

    # ---- reading

    def diff(self, old: str, new: str) -> tuple[FileChange, ...]:
        """Return what differs between two commits, with line counts, ordered by path."""
        raise NotImplementedError

    def patch(self, old: str, new: str, limit_bytes: int) -> Patch:
        """Return the difference as text, cut after `limit_bytes`."""
        raise NotImplementedError

    def read_file(self, commit: str, path: str, limit_bytes: int) -> bytes | None:
        """Return a file of a commit, or None when it has none at `path`. Raises UsageError above `limit_bytes`."""
        raise NotImplementedError

    def kept(self, run: str) -> Mapping[str, str]:
        """Return {kept ref: commit} of a run."""
        raise NotImplementedError

    # ---- the user's repository

    def publish(self, base: Base) -> Published:
        """Move branch engine/<feature> of the user's repository forward to the integration ref, or say why not."""
        raise NotImplementedError

    def promote(self, base: Base) -> Published:
        """Fast-forward the user's base branch to the integration ref, or say why not (diverged, dirty tree)."""
        raise NotImplementedError

    def cleanup(self, feature: str | None, *, keep_branches: bool) -> Cleanup:
        """Remove the workspaces and checkouts of `feature` (None: all); keep their work first.

        Unless `keep_branches`, quarantine branches of the user's repository go too, when the vault holds their commit.
        """
        raise NotImplementedError

    def child_environment(self) -> Mapping[str, str]:
        """Return variables for workers and gates: git must not find the user's repository from their folder."""
        raise NotImplementedError
