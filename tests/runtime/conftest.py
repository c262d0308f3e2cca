"""One recorded run for everything that only looks: merged, blocked and failed tasks in two waves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.cli import _run
from tests.acceptance.conftest import Answer, Project, task

Asked = Callable[..., Answer]

CONFIG = """
[[gates]]
name = "no_debt"
command = "! test -e debt.txt || { echo debt.txt is not wanted; exit 1; }"
stage = "pre_merge"
"""


def carried_out(root: Path, configuration: str, tasks: Sequence[Mapping[str, Any]]) -> Project:
    """Return a project whose feature shop, with these tasks, has been carried out as far as it goes."""
    project = begun(root, configuration, tasks)
    done = project.engine("run", "--feature", "shop")
    assert done.code in (0, 1, 4), done.out + done.err
    return project


def begun(root: Path, configuration: str, tasks: Sequence[Mapping[str, Any]]) -> Project:
    """Return a project with a feature shop that has these tasks, and no run yet."""
    root.mkdir(parents=True, exist_ok=True)
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    project.git(
        *("-c", "user.name=T", "-c", "user.email=t@example.org"),
        *("commit", "-q", "--allow-empty", "-m", "first"),
    )
    project.configure(configuration)
    project.write_graph(tasks)
    return project


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run of feature shop: price merged; then debt blocked by gate no_debt, tax failed its check and is
    quarantined."""
    tasks = [
        task("price"),
        task("debt", dependencies=["price"]),
        task("tax", check="echo no such tax; exit 3", dependencies=["price"]),
    ]
    return carried_out(tmp_path_factory.mktemp("recorded") / "shop", CONFIG, tasks)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle as `engine bundle copy` makes it. Tests copy it before they edit it."""
    place = tmp_path_factory.mktemp("bundle")
    project = Project(place)
    done = project.engine("bundle", "copy", "lock")
    assert done.code == 0, done.out + done.err
    return place / "lock"


@pytest.fixture
def asked(capfd: pytest.CaptureFixture[str]) -> Asked:
    """Return a function that asks `engine` about a project in this process: the command without its start-up."""

    def answer(project: Project, *arguments: str) -> Answer:
        capfd.readouterr()
        code = _run([*arguments, "--project", str(project.root)])
        told = capfd.readouterr()
        return Answer(code, told.out, told.err)

    return answer


@pytest.fixture
def ask(shop: Project, asked: Asked) -> Callable[..., Answer]:
    """Return a function that asks `engine` about the recorded run."""
    return partial(asked, shop)
