"""What follows a failed attempt, in a real run: counts by kind, waits, and what a person sets back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Project, task


@pytest.fixture
def hasty(make_project: Callable[..., Project]) -> Project:
    """A project whose retry table does not wait."""
    project = make_project()
    assert project.engine("bundle", "copy", "lock").code == 0
    project.configure('bundle = "lock"\n')
    table = project.root / "lock" / "decisions" / "retry_policy.dmn"
    text = re.sub(r"<text>(min\([^<]*|3)</text>", "<text>0</text>", table.read_text("utf-8"))
    table.write_text(text, "utf-8")
    return project


def decisions(project: Project, name: str, table: str = "retry_policy") -> list[Any]:
    """Return {column: value} of the first row that met each question to `table` about a task, in order."""
    steps = project.engine("why", name, "--json").json["steps"]
    asked = [s["evidence"] for s in steps if s["kind"] == "decision"]
    rows = [evidence["rows"][0] for evidence in asked if evidence["decision"] == table]
    return [{cell["column"]: cell["value"] for cell in row["cells"]} for row in rows]


def test_failures_are_counted_by_kind(hasty: Project) -> None:
    """The script fails twice in one way, with other numbers, and then in another."""
    script = 'echo "request $ATTEMPT refused"; test $ATTEMPT -lt 3 && exit 7; echo no disk; exit 8'
    hasty.write_graph([task("a", script, max_attempts=4)])
    assert hasty.engine("run", "--feature", "shop").code == 1
    counts = [(row["failure_count"], row["kind_count"]) for row in decisions(hasty, "a")]
    assert counts == [(1, 1), (2, 2), (3, 1), (4, 2)]


def test_the_very_same_failure_ends_what_the_task_would_allow(hasty: Project) -> None:
    hasty.write_graph([task("a", "echo no; exit 7", max_attempts=9)])
    report = hasty.engine("run", "--feature", "shop", "--json").json
    assert [(t["state"], t["attempts"]) for t in report["tasks"]] == [("quarantined", 5)]
    assert "the same failure 5 times" in hasty.engine("why", "a").out
