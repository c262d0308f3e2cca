"""Vault, workspaces and the user's repository: every effect the engine has on git. Start at `Repository`."""

from engine.workspaces.attestation_branch import Clone, CommitFacts
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
    Refusal,
    Snapshot,
    Stale,
    Workspace,
)
from engine.workspaces.paths import is_declared
from engine.workspaces.repository import Repository

__all__ = [
    "Base",
    "Candidate",
    "Checkout",
    "Cleanup",
    "Clone",
    "CommitFacts",
    "Conflict",
    "DeclaredFiles",
    "Enforcement",
    "FileChange",
    "Merged",
    "Patch",
    "Provenance",
    "Published",
    "Refusal",
    "Repository",
    "Snapshot",
    "Stale",
    "Workspace",
    "is_declared",
]
