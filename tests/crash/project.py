"""The feature that is killed: three tasks in two waves, whose effects show when they are lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.core.definitions import Definitions
from tests.crash import nursery
from tests.crash.nursery import ENVIRONMENT

RUN = ("run", "--feature", "shop", "--json")
BRANCH = "engine/shop"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A feature and how it must end. In `merged` are the tasks that must be on the branch; in `barred` those that must not."""

    name: str
    status: tuple[str, ...]
    merged: frozenset[str]
    barred: frozenset[str] = frozenset()


#: everything merges; and a feature whose second wave a gate must stop
SOUND = Shape(name="sound", status=("completed",), merged=frozenset({"a", "b", "c"}))
BARRED = Shape(
    name="barred",
    status=("blocked", "failed"),
    merged=frozenset({"a", "b"}),
    barred=frozenset({"c"}),
)
SHAPES = (SOUND, BARRED)


class Nest:
    """A folder in which rounds are played, each on a fresh copy of a project made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    @cached_property
    def _templates(self) -> dict[str, Path]:
        return {shape.name: make_project(self.folder / shape.name, shape) for shape in SHAPES}

    @cached_property
    def run_s(self) -> float:
        """How long an undisturbed run takes here and now; random moments are drawn within it."""
        with self.project(SOUND) as root:
            started = time.monotonic()
            nursery.call(root, *RUN)
            return time.monotonic() - started

    @contextmanager
    def project(self, shape: Shape, at: Path | None = None) -> Iterator[Path]:
        """Give the root of a fresh project, in a folder of its own (or in `at`) that is deleted afterwards."""
        self._made += 1
        home = at or self.folder / f"round-{self._made}"
        root = home / "project"
        shutil.copytree(self._templates[shape.name], root, symlinks=True)
        try:
            yield root
        finally:
            shutil.rmtree(root if at else home, ignore_errors=True)

    @contextmanager
    def copy(self, original: Path) -> Iterator[Path]:
        """Give a copy of a project at the same path as the original, which is out of the way meanwhile.

        (What the engine recorded names absolute paths.)
        """
        aside = original.with_name("original")
        original.rename(aside)
        try:
            shutil.copytree(aside, original, symlinks=True)
            yield original
        finally:
            shutil.rmtree(original, ignore_errors=True)
            aside.rename(original)


@contextmanager
def nest() -> Iterator[Nest]:
    """Give a nest in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="engine-chaos-", ignore_cleanup_errors=True) as folder:
        yield Nest(Path(folder).resolve())


def warm_up(folder: Path) -> None:
    """Carry the feature out once in this process, so that engines forked from it need not make again what each start
    makes of the same bytes: the classes of values, and the shipped definitions."""
    Definitions.load = _remembered(Definitions.load)  # type: ignore[method-assign]  # of this process and its forks
    root = make_project(folder, SOUND)
    for words in (RUN, ("status", "--json"), ("ledger", "verify")):
        nursery.carry_out(root, *words)
    nursery.orphans(limit_s=0)  # git's reader of objects
    shutil.rmtree(folder)


def _remembered(load: Callable[..., Definitions]) -> Callable[..., Definitions]:
    """Return `load`, whose answer depends on the files alone, with a memory. A refusal is not kept."""
    known: dict[object, Definitions] = {}

    def remembered(files: Mapping[str, bytes], *, needs_policies: bool = True) -> Definitions:
        key = (frozenset(files.items()), needs_policies)
        if key not in known:
            known[key] = load(files, needs_policies=needs_policies)
        return known[key]

    return remembered


def make_project(folder: Path, shape: Shape) -> Path:
    """Write a repository with the feature of `shape`, ready to run, and return its root."""
    folder.mkdir(parents=True)
    root = folder / "project"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "log.txt").write_text("start\n", "utf-8")
    git(root, "add", "-A")
    git(root, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
    home = root / ".engine"
    (home / "specs" / "shop").mkdir(parents=True)
    (home / ".gitignore").write_text("*\n", "utf-8")
    gate = "test -s log.txt" if shape is SOUND else "test ! -e c.txt"
    (home / "engine.toml").write_text(
        f'[run]\nworkers = 2\n[[gates]]\nname = "g"\ncommand = "{gate}"\n', "utf-8"
    )
    graph = {"feature": "shop", "version": "1.0", "tasks": _tasks()}
    (home / "specs" / "shop" / "task-graph.json").write_text(json.dumps(graph), "utf-8")
    return root


def _tasks() -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "tool": "shell",
            "args": ["sh", "-c", f"echo {name} >> {name}.txt"],
            "files": {"create": [f"{name}.txt"]},
            "dependencies": after,
            "verification": {"command": f"test $(wc -l < {name}.txt) = 1"},
        }
        for name, after in (("a", []), ("b", []), ("c", ["a"]))
    ]


def git(root: Path, *arguments: str) -> str:
    """Return what git answers in `root`. Raises CalledProcessError when it says no."""
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**ENVIRONMENT, "HOME": str(root.parent)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def shown(root: Path, name: str) -> list[str] | None:
    """Return the lines of a file on the integration branch, or None when it is not there."""
    found = subprocess.run(
        ["git", "show", f"{BRANCH}:{name}"],
        cwd=root,
        env={**ENVIRONMENT, "HOME": str(root.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.splitlines() if found.returncode == 0 else None


def git_version() -> str:
    return subprocess.run(
        ["git", "version"], check=True, capture_output=True, text=True
    ).stdout.strip()


def is_root() -> bool:
    return os.geteuid() == 0
