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

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from engine.core.safety import MergeAuthorization
from engine.errors import EngineError, IntegrityError
from engine.git import Git, check_name, check_oid
from engine.workspaces.ahead import Ahead, Wanted
from engine.workspaces.attestation_branch import publish_files, published_names
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
from engine.workspaces.user_repository import UserRepository, trusted_folders
from engine.workspaces.vault import KEPT, Vault
from engine.workspaces.workshop import Workshop


class Repository:
    """One engine home and the user's repository it works for. Use it as a context manager, or call `close`."""

    @classmethod
    def open(cls, home: Path, user_repository: Path, lock_fd: int | None) -> Self:
        """Return the repository, making the vault under `home` when it is not there.

        `lock_fd`: descriptor of the engine's lock file; every git child inherits it, so that the lock is free only
        when no git process of a dead engine is left.
        Raises UsageError when `user_repository` is not a git repository, EnvironmentFailure when git is too old.
        """
        home = home.resolve()
        home.mkdir(parents=True, exist_ok=True)
        git = Git(lock_fd=lock_fd, home=home)
        git.check_version()
        trusted = trusted_folders(git, user_repository)
        if trusted:
            trust = _write_trust(home, trusted)
            git = Git(lock_fd=lock_fd, global_config=trust, home=home)
        user = UserRepository(git, user_repository.resolve(), home)
        if trusted:  # a fetch asks about the git folder itself, where all else asks about the folder above it
            _write_trust(home, [*trusted, str(user.git_dir)])
        vault = Vault(git, home / "vault.git", user.object_format)
        return cls(home, vault, Workshop(home, vault), user)

    def __init__(self, home: Path, vault: Vault, workshop: Workshop, user: UserRepository) -> None:
        """Put the parts together; `open` is the way in."""
        self._home = home
        self._vault = vault
        self._workshop = workshop
        self._user = user
        self._ahead = Ahead(
            self._acquire_first, lambda one: self._workshop.release(one.feature, one.task)
        )

    def tidy(self) -> None:
        """Begin to delete the folders that nobody needs any more; `close` waits for it."""
        self._workshop.tidy()

    def close(self) -> None:
        """Remove workspaces that nobody asked for, empty the trash and end the long-lived git reader."""
        self._end(is_ours=True)

    def _end(self, *, is_ours: bool) -> None:
        self._ahead.close(remove=is_ours)
        self._workshop.close()
        self._vault.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(is_ours=error is None)  # else the folders may be in use by who took the run over

    # ---- start and recovery

    def prepare(self, feature: str, run: str, base: str | None) -> Base:
        """Return where `run` starts; make its integration ref if it is new. Idempotent for a run.

        `base` names a branch of the user's repository; None means what is checked out there (a detached HEAD is
        fine). A new run starts from the base, or from the user's branch engine/<feature> when that exists and the
        base does not contain it, so that the branch only ever moves forward.
        Raises UsageError: no commit yet, no such branch; IntegrityError: the engine home is an older copy.
        """
        check_name(feature, "feature")
        check_name(run, "run id")
        ref, base_ref = f"refs/heads/engine/{feature}/{run}", f"refs/engine/base/{feature}/{run}"
        head = self._user.head(base)
        if self._vault.resolve(ref) is None:
            self._vault.start(ref, base_ref, self._start(feature, head.commit), head.commit)
        else:
            self._refuse_older_vault(feature, run)
        return Base(
            branch=head.branch,
            commit=self._must(base_ref),
            ref=ref,
            head=self._must(ref),
            integration_branch=f"engine/{feature}",
        )

    def start_of(self, feature: str, run: str | None, base: str | None) -> str:
        """Return where `run` stands, or a new run (None) would start; see `prepare`. No ref is made."""
        known = self._vault.resolve(f"refs/heads/engine/{feature}/{run}") if run else None
        return known or self._start(feature, self._user.head(base).commit)

    def recover_locks(self, only: tuple[str, str] | None = None) -> tuple[str, ...]:
        """Delete stale git lock files and half-made folders; return one sentence for each.

        Call it once, after the engine's file lock is held: then no git process of ours lives. While engines are at work
        on other features, name what is ours, `only` (feature, run): all else may be in use.
        """
        stale = [*self._vault.remove_stale_files(only), *self._workshop.remove_stale_files(only)]
        return tuple(
            f"removed {path.relative_to(self._home)}, which a dead git or engine process had left"
            for path in stale
        )

    def recover(self, ref: str, old: str, new: str) -> Literal["done", "redo", "void"]:
        """Look once what became of an authorised merge: "done", "redo" (merge again) or "void" (back to the gates)."""
        return self._vault.recover(ref, check_oid(old), check_oid(new))

    # ---- a task

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
        """Return the workspace of `task` with exactly the files of `base_commit`, or of `begun`, a kept commit on top
        of it that an earlier attempt has left.

        An untouched workspace of the same attempt is returned as it is. Any other one is removed, after a commit of
        what was in it is kept (`Workspace.kept`).
        """
        wanted = Wanted(
            feature=feature, run=run, task=task, attempt=attempt, base=base_commit, begun=begun
        )
        workspace = self._ahead.take(wanted) or self._acquire(wanted)
        self._workshop.spares.distrust()
        return workspace

    def acquire_ahead(
        self, *, feature: str, run: str, tasks: Sequence[str], base_commit: str
    ) -> None:
        """Begin to make the workspaces of the first attempts of `tasks`; `acquire` gives them, `close` removes the rest.

        A wrong guess costs the time of git: one that is asked for on another commit is made anew.
        """
        self._ahead.start(
            [
                Wanted(feature=feature, run=run, task=task, attempt=1, base=base_commit)
                for task in tasks
            ]
        )

    def make_spares(self, run: str, commit: str, count: int) -> None:
        """Begin to fill up to `count` folders with the files of `commit`, for workspaces and checkouts of commits near it."""
        self._workshop.spares.order(commit, check_name(run, "run id"), count)

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
        return self._workshop.snapshot(workspace, declared, enforcement, provenance)

    def checkpoint(
        self,
        workspace: Workspace,
        declared: DeclaredFiles,
        enforcement: Enforcement,
        provenance: Provenance,
    ) -> Snapshot | None:
        """Return the unfinished work in a workspace as one kept commit, or None when there is none that is not kept."""
        return self._workshop.checkpoint(workspace, declared, enforcement, provenance)

    def quarantine(self, snapshot_commit: str, *, feature: str, task: str) -> Published:
        """Show a kept commit to people as branch engine-quarantine/<feature>/<task> of the user's repository."""
        check_name(feature, "feature")
        check_name(task, "task id")
        return self._user.show(self._vault.folder, check_oid(snapshot_commit), feature, task)

    def release(self, workspace: Workspace | Checkout) -> Cleanup:
        """Remove a workspace or checkout; work in a workspace that no snapshot holds is kept first."""
        if isinstance(workspace, Checkout):
            self._workshop.remove_checkout(workspace.name)
            return Cleanup(removed=(workspace.path,))
        return self._release(workspace.feature, workspace.task)

    # ---- a merge

    def build_candidate(
        self, old: str, sources: tuple[str, ...], provenance: Provenance
    ) -> Candidate | Conflict:
        """Return one merge commit with parents (old, *sources), or the first source that conflicts. Moves nothing."""
        return self._vault.build_candidate(old, sources, provenance)

    def build_rollback(self, old: str, target: str, provenance: Provenance) -> Candidate:
        """Return a commit on top of `old` that has the tree of `target`, one of its ancestors. Moves nothing.

        `sources` of the result is (target,): the subject that `authorize_rollback` wants.
        """
        return self._vault.build_rollback(old, target, provenance)

    def merge(self, authorization: MergeAuthorization) -> Merged | Stale:
        """Move the integration ref by compare-and-swap. The only function that may. Safe to repeat."""
        return self._vault.merge(authorization)

    def checkout(self, commit: str, name: str) -> Checkout:
        """Return a fresh folder with the files of `commit`; an older checkout of that name is removed first."""
        return self._workshop.checkout(commit, name)

    # ---- reading

    def holds(self, commit: str, head: str) -> bool:
        """Return whether `commit` is part of the history of `head`."""
        return self._vault.resolve(commit) is not None and self._vault.is_ancestor(commit, head)

    def head_of(self, ref: str) -> str | None:
        """Return the commit that an integration ref is at, or None when the vault has no such ref."""
        return self._vault.resolve(ref)

    def diff(self, old: str, new: str) -> tuple[FileChange, ...]:
        """Return what differs between two commits, with line counts, ordered by path."""
        return self._vault.diff(old, new)

    def patch(self, old: str, new: str, limit_bytes: int) -> Patch:
        """Return the difference as text, cut after `limit_bytes`."""
        return self._vault.patch(old, new, limit_bytes)

    def read_file(self, commit: str, path: str, limit_bytes: int) -> bytes | None:
        """Return a file of a commit, or None when it has none at `path`. Raises UsageError above `limit_bytes`."""
        return self._vault.read_file(commit, path, limit_bytes)

    def kept(self, run: str) -> Mapping[str, str]:
        """Return {kept ref: commit} of a run."""
        return self._vault.refs(f"{KEPT}/{check_name(run, 'run id')}")

    # ---- the user's repository

    def publish(self, base: Base) -> Published:
        """Move branch engine/<feature> of the user's repository forward to the integration ref, or say why not.

        It is not made before something is merged: a branch that only shows the base would show a delivery.
        """
        head, branch = self._must(base.ref), base.integration_branch
        if head == base.commit and self._user.branch(branch) is None:
            return Published(branch=branch, commit=None, state="current")
        return self._user.receive(branch, self._vault.folder, base.ref, head)

    def promote(self, base: Base) -> Published:
        """Fast-forward the user's base branch to the integration ref, or say why not (diverged, dirty tree)."""
        if base.branch is None:
            reason = "the run started from a detached HEAD, so there is no branch to promote"
            return Published(branch="HEAD", commit=None, state="refused", reason=reason)
        return self._user.fast_forward(
            base.branch, self._vault.folder, base.ref, self._must(base.ref)
        )

    def shows(self, branch: str, commit: str) -> bool:
        """Return whether a branch of the user's repository has `commit` in its history."""
        return self._user.holds(branch, commit)

    def attest(self, files: Mapping[str, bytes], provenance: Provenance) -> Published:
        """Put files about merges on the branch engine-attestations of the user's repository, or say why not."""
        return publish_files(self._user, files, provenance)

    def attested(self) -> frozenset[str]:
        """Return the names of the files on the branch engine-attestations of the user's repository."""
        return published_names(self._user)

    def cleanup(self, feature: str | None, *, keep_branches: bool) -> Cleanup:
        """Remove the workspaces and checkouts of `feature` (None: all); keep their work first.

        Unless `keep_branches`, quarantine branches of the user's repository go too, when the vault holds their commit.
        """
        done = [self._release(*found) for found in self._workshop.workspaces(feature)]
        for name in self._workshop.checkouts():
            self._workshop.remove_checkout(name)
        self._workshop.empty_trash()
        branches = () if keep_branches else self._delete_quarantine(feature)
        return Cleanup(
            removed=tuple(path for one in done for path in one.removed),
            kept={task: commit for one in done for task, commit in one.kept.items()},
            deleted_branches=branches,
        )

    def child_environment(self) -> Mapping[str, str]:
        """Return variables for workers and gates: git must not find the user's repository from their folder."""
        return {"GIT_CEILING_DIRECTORIES": str(self._home)}

    # ---- private

    def _acquire_first(self, wanted: Wanted) -> Workspace:
        """Make a workspace ahead, unless the run has one for that task: then an engine that overtook this one is at work there."""
        if self._workshop.has_one_of(wanted.run, wanted.feature, wanted.task):
            raise EngineError("the task has a workspace already", where=wanted.task)
        return self._acquire(wanted)

    def _acquire(self, wanted: Wanted) -> Workspace:
        return self._workshop.acquire(
            feature=wanted.feature,
            run=wanted.run,
            task=wanted.task,
            attempt=wanted.attempt,
            base_commit=wanted.base,
            begun=wanted.begun,
        )

    def _start(self, feature: str, head: str) -> str:
        result = self._user.branch(f"engine/{feature}")
        self._vault.fetch(self._user.git_dir, [c for c in (head, result) if c])
        goes_on = result is not None and not self._vault.is_ancestor(result, head)
        return result if goes_on and result is not None else head

    def _refuse_older_vault(self, feature: str, run: str) -> None:
        """Raise IntegrityError when the user's branch has a merge of `run` that the vault does not know."""
        branch = f"engine/{feature}"
        published = self._user.branch(branch)
        if published is None or self._vault.reader.look(published) is not None:
            return
        if f"Engine-Run: {run}" in self._user.message(published).splitlines():
            raise IntegrityError(
                "the engine home is an older copy: its repository does not have what the run has merged",
                where=f"branch {branch} at {published}",
                expected=f"that merge of run {run} in {self._vault.folder}",
                hint=f"Put the newer {self._home.name} back; or start another run with --new, which goes on from the branch.",
            )

    def _release(self, feature: str, task: str) -> Cleanup:
        folder = self._workshop.folder(feature, task)
        kept = self._workshop.release(feature, task)
        return Cleanup(removed=(folder,), kept={f"{feature}/{task}": kept} if kept else {})

    def _delete_quarantine(self, feature: str | None) -> tuple[str, ...]:
        """Delete quarantine branches whose commit the vault keeps; return their names."""
        kept = set(self._vault.refs(KEPT).values())
        return tuple(
            name
            for name, commit in self._user.quarantined(feature).items()
            if commit in kept and self._user.delete_branch(name, commit)
        )

    def _must(self, ref: str) -> str:
        commit = self._vault.resolve(ref)
        if commit is None:
            raise IntegrityError("a ref is missing", where=str(self._vault.folder), expected=ref)
        return commit


def _write_trust(home: Path, folders: Sequence[str]) -> Path:
    file = home / "gitconfig"
    quoted = (folder.replace("\\", "\\\\").replace('"', '\\"') for folder in folders)
    lines = [f'\tdirectory = "{folder}"' for folder in quoted]
    file.write_text("\n".join(["[safe]", *lines, ""]), "utf-8")
    return file
