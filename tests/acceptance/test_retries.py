"""What follows a failed attempt, in a real run: counts by kind, waits, and what a person sets back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from engine import Engine
from engine.core.model import DecisionEvaluated
from engine.ledger import EntryType, read_turn
from tests.acceptance.conftest import Project, task

TURN = EntryType.INSTANCE_TURN


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
    """Return {input: value} of each question that the newest run asked `table` about a task, in order."""
    with Engine.open(project.root).store() as store:
        run = store.runs()[-1].id
        turns = [read_turn(e) for e in store.entries(run, types=(TURN,)) if e.task == name]
    events = [event for turn in turns for event in turn.events]
    asked = [e for e in events if isinstance(e, DecisionEvaluated) and e.decision == table]
    records: list[Any] = [event.record for event in asked]
    return [record["decisions"][-1]["inputs"] for record in records]


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
    assert [row["kind_count"] for row in decisions(hasty, "a")] == [1, 2, 3, 4, 5]


@pytest.fixture
def ended(make_project: Callable[..., Project]) -> Project:
    """A run that has ended: `m` merged; `a` and `b` put aside; `c`, which needs `a`, and `d`, which needs `b`, not begun."""
    project = make_project()
    go = project.root.parent / "go"
    project.write_graph(
        [
            task("a", f"test -e {go} || exit 5; echo a > a.txt"),
            task("b", "exit 6"),
            task("c", dependencies=["a"]),
            task("d", dependencies=["b"]),
            task("m"),
        ]
    )
    assert project.engine("run", "--feature", "shop").code == 1
    return project


def states(report: Any) -> dict[str, str]:
    return {t["id"]: t["state"] for t in report["tasks"]}


def test_a_person_sets_one_task_back_and_the_next_run_does_it(ended: Project) -> None:
    refused = ended.engine("retry", "d", "b")  # d was never begun, so there is nothing to set back
    assert (refused.code, "has not put task d aside" in refused.err) == (2, True)
    set_back = ended.engine("retry", "a", "--reason", "the licence is there", "--json").json
    assert (set_back["kind"], set_back["tasks"]) == ("retry", ["a"])
    (ended.root.parent / "go").touch()
    again = ended.engine("run", "--feature", "shop", "--json")
    assert (again.code, again.json["status"]) == (1, "failed")  # b and d are still to do
    assert states(again.json) == {
        "a": "merged",
        "b": "quarantined",
        "c": "merged",
        "d": "na",
        "m": "na",
    }
    reasons = {t["id"]: t["reason"] for t in again.json["tasks"]}
    assert reasons["b"].startswith("left aside as in run ")
    assert reasons["d"] == "needs b, which was left aside"
    assert reasons["m"].startswith("merged by run ")
    (person, *_) = ended.engine("why", "a", "--json").json["steps"]
    assert person["kind"] == "person"
    assert person["text"].endswith(": the licence is there")
    files = ended.git("ls-tree", "--name-only", "engine/shop").split()
    assert files == ["README.md", "a.txt", "c.txt", "m.txt"]
    assert ended.engine("replay").code == 0


def test_failures_go_on_being_counted_unless_they_are_reset(ended: Project) -> None:
    assert ended.engine("retry", "--all-blocked").code == 0
    assert ended.engine("run", "--feature", "shop").code == 1
    assert [row["failure_count"] for row in decisions(ended, "b")] == [2]
    assert ended.engine("retry", "b", "--reset").code == 0
    assert ended.engine("run", "--feature", "shop").code == 1
    assert [row["failure_count"] for row in decisions(ended, "b")] == [1]
