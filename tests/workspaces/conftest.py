"""A real repository of a user, an engine home in it, and the words in which the tests speak of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.safety import (
    MERGE_KINDS,
    MergeAuthorization,
    Subject,
    VerdictEvidence,
    authorize,
    authorize_rollback,
)
from engine.workspaces import (
    Base,
    Candidate,
    DeclaredFiles,
    Enforcement,
    Provenance,
    Repository,
    Snapshot,
    Workspace,
)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FILES = {
    "src/app.py": "print('app')\n",
    "src/util.py": "def f(): ...\n",
    "README.md": "# Demo\n",
    ".gitignore": "*.log\n.engine/\n",
}


def provenance(message: str = "work", **trailers: str) -> Provenance:
    return Provenance(message=message, trailers=trailers, at=AT)


@dataclass(frozen=True)
class Project:
    """The user's repository."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".engine"

    def git(self, *arguments: str) -> str:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        return subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=variables,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def commit(self, message: str = "change", files: Mapping[str, str] | None = None) -> str:
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def state(self) -> tuple[str, str, str]:
        """What must not change under the user's feet: HEAD, index and working tree."""
        return (
            self.git("rev-parse", "--symbolic-full-name", "HEAD"),
            self.git("rev-parse", "HEAD"),
            self.git("status", "--porcelain=v2", "--untracked-files=all"),
        )


def make_project(root: Path, files: Mapping[str, str] = FILES) -> Project:
    root.mkdir(parents=True)
    made = Project(root)
    made.git("init", "-q", "-b", "main")
    made.commit("start", files)
    return made


@dataclass(frozen=True)
class Desk:
    """A repository with a prepared run, and short forms of what a test does with it."""

    repository: Repository
    base: Base
    project: Project

    def acquire(self, task: str = "t1", attempt: int = 1, base: str | None = None) -> Workspace:
        return self.repository.acquire(
            feature="shop", run="r1", task=task, attempt=attempt, base_commit=base or self.base.head
        )

    def take(
        self,
        workspace: Workspace,
        *create: str,
        enforcement: Enforcement = "block",
    ) -> Snapshot:
        return self.repository.snapshot(
            workspace, DeclaredFiles(create=create), enforcement, provenance(workspace.task)
        )

    def work(self, task: str, files: Mapping[str, str], base: str | None = None) -> Snapshot:
        workspace = self.acquire(task, base=base)
        for name, text in files.items():
            path = workspace.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return self.take(workspace, *files)

    def candidate(self, *snapshots: Snapshot, old: str | None = None) -> Candidate:
        made = self.repository.build_candidate(
            old or self.base.head, tuple(s.commit for s in snapshots), provenance("wave")
        )
        assert isinstance(made, Candidate)
        return made

    def authorize(self, candidate: Candidate, kind: str = "merge") -> MergeAuthorization:
        subject = Subject(
            old=candidate.old,
            sources=candidate.sources,
            tree=candidate.tree,
            commit=candidate.commit,
        )
        kinds = MERGE_KINDS if kind == "merge" else ("rollback",)
        evidence = [
            VerdictEvidence(kind=name, verdict="pass", subject=subject, seq=seq)
            for seq, name in enumerate(kinds)
        ]
        decide = authorize if kind == "merge" else authorize_rollback
        made = decide(subject, ref=self.base.ref, evidence=evidence)
        assert isinstance(made, MergeAuthorization)
        return made

    def vault(self, *arguments: str) -> str:
        return self.project.git(f"--git-dir={self.project.home}/vault.git", *arguments)

    def head(self) -> str:
        return self.vault("rev-parse", self.base.ref)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "größer als 1 Wort")


@pytest.fixture
def repository(project: Project) -> Iterator[Repository]:
    with Repository.open(project.home, project.root, None) as opened:
        yield opened


@pytest.fixture
def desk(repository: Repository, project: Project) -> Desk:
    return Desk(repository, repository.prepare("shop", "r1", None), project)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A command that leaves a mark when anything runs it; at the end no mark may be there."""
    mark = tmp_path / "canary-ran"
    program = tmp_path / "canary.sh"
    program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{mark}'\nexec cat\n")
    program.chmod(0o755)
    yield lambda: str(program)
    assert not mark.exists(), mark.read_text()
