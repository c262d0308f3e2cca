"""Values of the world of git: what goes into and comes out of a `Repository`. All ids are full, lower-case hex."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Literal

from engine.frozen import dataclass

Enforcement = Literal["off", "warn", "block"]


@dataclass(frozen=True, kw_only=True)
class Base:
    """Where a run starts, and the branch it builds."""

    branch: str | None  #: the user's base branch, or None when their HEAD is detached
    commit: str  #: commit of that branch when the run started
    ref: (
        str  #: integration ref of this run inside the vault; `merge` moves it and nothing else does
    )
    head: str  #: what `ref` points at now
    integration_branch: str  #: name of the result in the user's repository: engine/<feature>


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """One worker's folder: the files of `base`, and a private git repository on `branch`."""

    path: Path
    branch: str  #: engine/<feature>/<task>, exists inside the workspace only
    base: str
    run: str
    feature: str
    task: str
    attempt: int
    begun: str | None = None  #: commit whose files it began with, when not those of `base`
    kept: str | None = None  #: commit that keeps what an earlier owner had left in this folder


@dataclass(frozen=True, kw_only=True)
class DeclaredFiles:
    """What a task says it touches: exact paths, or a folder and all below it when the entry ends in "/".

    `read` gives no right to write. A path in `create` may exist already (another attempt made it).
    """

    create: tuple[str, ...] = ()
    modify: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a commit of the engine says about itself. Equal provenance and content give the same commit id."""

    message: str  #: first line and, after an empty line, more
    trailers: Mapping[str, str]  #: "Engine-Run", "Ledger-Checkpoint", …: one line each
    at: datetime  #: aware; author and committer date, in whole seconds


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One path that differs between two trees. A renamed file is one deleted and one created path."""

    path: str
    kind: Literal["created", "modified", "deleted"]
    mode: str  #: git mode of the new side: 100644, 100755, 120000, 160000; 000000 when deleted
    oid: str  #: blob of the new side; zeros when deleted
    added: int | None = (
        None  #: lines; None for a binary file, and where nobody asked for line counts
    )
    deleted: int | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Something in a workspace that is not taken into any commit, or must not be merged."""

    code: Literal[
        "control_file",
        "nested_repository",
        "odd_path",
        "special_file",
        "symlink_escape",
        "too_large",
        "unreadable",
        "workspace_missing",
    ]
    path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The worker's files as one commit on top of the workspace's base. It is kept before it is returned."""

    commit: str
    tree: str
    base: str
    changed: tuple[FileChange, ...]  #: by tree diff; ordered by path
    undeclared: tuple[
        str, ...
    ]  #: changed paths that the task does not declare, whatever the enforcement
    refused: tuple[Refusal, ...]  #: these have the content of the base in `commit`
    enforcement: Enforcement

    @property
    def is_empty(self) -> bool:
        """Nothing was written (and nothing refused)."""
        return not self.changed and not self.refused

    @property
    def manifest(self) -> Literal["pass", "fail"]:
        """The manifest verdict: a refusal always fails, an undeclared path does when enforcement is "block"."""
        blocked = self.enforcement == "block" and self.undeclared
        return "fail" if self.refused or blocked else "pass"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One merge commit of `sources` into `old`. No branch points at it."""

    old: str
    sources: tuple[str, ...]
    tree: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """`source` does not merge with `old` and the sources before it."""

    old: str
    sources: tuple[str, ...]
    source: str
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The integration ref points at `commit` now."""

    ref: str
    old: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Stale:
    """The integration ref was not at `expected`, so nothing moved: decide again, from the gates on."""

    ref: str
    expected: str
    found: str | None  #: None: the ref does not exist


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A fresh folder with the files of `commit` and a private git repository, for gates and verification."""

    name: str
    path: Path
    commit: str


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A diff as people read it, cut after a number of bytes."""

    text: str
    is_complete: bool


@dataclass(frozen=True, kw_only=True)
class Published:
    """What happened to a branch of the user's repository."""

    branch: str
    commit: str | None  #: where the branch is now; None: it does not exist
    state: Literal["moved", "current", "refused"]
    reason: str = ""  #: one sentence when refused


@dataclass(frozen=True, kw_only=True)
class Cleanup:
    """What a clean-up removed and what it kept first."""

    removed: tuple[Path, ...] = ()
    kept: Mapping[str, str] = field(
        default_factory=dict
    )  #: {feature/task: commit} kept before a removal
    deleted_branches: tuple[
        str, ...
    ] = ()  #: in the user's repository; their commits stay in the vault
