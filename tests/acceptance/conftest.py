"""A project on disk and the installed command, as a user has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import commands

ENGINE = str(Path(sys.executable).with_name("engine"))

CLEAN = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, its one JSON object, both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        lines = self.out.splitlines()
        assert len(lines) == 1, f"expected one JSON object on stdout, but got {self.out!r}"
        return json.loads(lines[0])


@dataclass(frozen=True)
class Project:
    """A git repository with an engine home."""

    root: Path

    def engine(self, *arguments: str, timeout_s: float = 90) -> Answer:
        variables = {**CLEAN, "HOME": str(self.root.parent)}
        done = commands.call(self.root, *arguments, variables=variables, timeout_s=timeout_s)
        assert "Traceback" not in done.stdout + done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**CLEAN, "HOME": str(self.root.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def branch(self, name: str = "engine/shop") -> str | None:
        """Return the commit of a branch, or None when there is none."""
        listed = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{name}")
        return listed or None

    def write_graph(self, tasks: Sequence[Mapping[str, Any]], feature: str = "shop") -> None:
        place = self.root / ".engine" / "specs" / feature
        place.mkdir(parents=True, exist_ok=True)
        graph = {"feature": feature, "version": "1.0", "tasks": list(tasks)}
        (place / "task-graph.json").write_text(json.dumps(graph), "utf-8")

    def configure(self, text: str) -> None:
        (self.root / ".engine").mkdir(exist_ok=True)
        (self.root / ".engine" / "engine.toml").write_text(text, "utf-8")


def one_after_the_other(root: Path) -> Project:
    """Return a new project in `root` whose feature has two tasks, in two waves."""
    root.mkdir()
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    project.git("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "first")  # fmt: skip
    project.configure("")
    project.write_graph([task("price"), task("order", dependencies=["price"])])
    return project


def task(name: str, script: str = "", check: str = "true", **more: Any) -> dict[str, Any]:
    """Return a shell task that owns `<name>.txt`; by default it writes it."""
    return {
        "id": name,
        "tool": "shell",
        "args": ["sh", "-c", script or f"echo {name} > {name}.txt"],
        "files": {"create": [f"{name}.txt"]},
        "verification": {"command": check, "timeout_seconds": 20},
        "max_attempts": 1,
        **more,
    }


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Project]:
    """Return a function that makes a committed repository with an engine home."""

    def make(name: str = "project", configuration: str = "[run]\nworkers = 4\n") -> Project:
        root = tmp_path / name
        root.mkdir(parents=True)
        project = Project(root)
        project.git("init", "-q", "-b", "main")
        (root / "README.md").write_text("A repository.\n", "utf-8")
        project.git("add", "-A")
        project.git(
            "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first"
        )
        assert project.engine("init").code == 0
        project.configure(configuration)
        return project

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()
