"""Undeclared writes under enforcement `block`: a task is widened by them once, or it goes on as without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import Engine
from engine.ledger import EntryType
from tests.acceptance.conftest import Project, task

AUTO = "[run]\nworkers = 2\n[manifest]\nrescope = 'auto'\nrescope_paths = 2\n"
BOTH = "echo a > a.txt; echo more > more.txt"


def widened(project: Project) -> list[tuple[str, Any]]:
    """Return (task, paths) of each widening of the newest run."""
    with Engine.open(project.root).store() as store:
        run = store.runs()[-1].id
        found = list(store.entries(run, types=(EntryType.MANIFEST_RESCOPED,)))
    return [(entry.task, entry.body["paths"]) for entry in found if entry.body]


def state(project: Project, name: str) -> tuple[str, int]:
    rows = project.engine("status", "--json").json["report"]["tasks"]
    (row,) = [row for row in rows if row["id"] == name]
    return row["state"], row["attempts"]


def test_a_task_is_widened_by_a_file_that_nobody_owns_and_it_reaches_the_branch(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=AUTO)
    project.write_graph([task("a", BOTH), task("b")])
    graph = (project.root / ".engine/specs/shop/task-graph.json").read_text("utf-8")
    done = project.engine("run", "--feature", "shop")
    assert done.code == 0, done.err
    assert widened(project) == [("a", ["more.txt"])]
    assert state(project, "a") == ("merged", 2)
    files = project.git("ls-tree", "--name-only", "engine/shop").split()
    assert files == ["README.md", "a.txt", "b.txt", "more.txt"]
    assert (project.root / ".engine/specs/shop/task-graph.json").read_text("utf-8") == graph
    told = [step["text"] for step in project.engine("why", "a", "--json").json["steps"]]
    sentence = "may also write more.txt: written undeclared, and no other task owns it"
    assert sentence in told
    assert "may also write" in project.engine("ledger", "show").out
    assert project.engine("replay").code == 0
    verified = project.engine("ledger", "verify", "--level", "L3")
    assert verified.code == 0, verified.out + verified.err


@pytest.mark.parametrize(
    ("script", "configuration"),
    [
        pytest.param("echo a > a.txt; echo x > b.txt", AUTO, id="a file that another task owns"),
        pytest.param("echo a > a.txt; echo x > .gitlab-ci.yml", AUTO, id="a protected file"),
        pytest.param("touch a.txt x.txt y.txt z.txt", AUTO, id="more files than are allowed"),
        pytest.param(BOTH, "[run]\nworkers = 2\n", id="widening is off"),
    ],
)
def test_otherwise_it_is_a_failed_attempt_and_nothing_of_it_merges(
    make_project: Callable[..., Project], script: str, configuration: str
) -> None:
    project = make_project(configuration=configuration)
    project.write_graph([task("a", script, tags=["no-retry"]), task("b", dependencies=["a"])])
    assert project.engine("run", "--feature", "shop").code == 1
    assert widened(project) == []
    assert state(project, "a") == ("quarantined", 1)
    assert project.branch() is None or "a.txt" not in project.git(
        "ls-tree", "--name-only", "engine/shop"
    )


def test_a_task_is_widened_once(make_project: Callable[..., Project]) -> None:
    project = make_project(configuration=AUTO)
    project.write_graph([task("a", "echo a > a.txt; echo x > more$ATTEMPT.txt", tags=["no-retry"])])
    assert project.engine("run", "--feature", "shop").code == 1
    assert widened(project) == [("a", ["more1.txt"])]
    assert state(project, "a") == ("quarantined", 2)
