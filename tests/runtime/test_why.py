"""`engine why`: what decided about a task, and the nearest change of recorded facts that would have merged it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Answer, Project, task
from tests.runtime.conftest import Asked, carried_out

Ask = Callable[..., Answer]

FAILING_GATES = """
[[gates]]
name = "one"
command = "false"
stage = "pre_merge"
[[gates]]
name = "two"
command = "exit 4"
stage = "pre_merge"
"""
DOCTOR = """
[doctor]
command = "test ! -e bad.txt"
"""


def step(told: Any, kind: str, starts: str) -> Any:
    """Return the one step of a kind whose text starts so."""
    (found,) = [s for s in told["steps"] if s["kind"] == kind and s["text"].startswith(starts)]
    return found


def test_a_table_row_is_told_with_the_values_that_met_its_cells(ask: Ask) -> None:
    told = ask("why", "debt", "--json").json
    (row,) = step(told, "decision", "gate_tier")["evidence"]["rows"]
    assert (row["table"], row["row"], row["annotations"]) == ("gate_tier", 4, ["The usual change."])
    assert row["cells"] == [
        {"column": "changed_files", "value": 1, "cell": "[0..20]"},
        {"column": "tags", "value": [], "cell": "-"},
    ]
    assert "changed_files = 1 meets [0..20], tags = []" in ask("why", "debt").out


def test_a_denial_is_told_with_its_reasons_and_the_rules_that_gave_them(ask: Ask) -> None:
    told = step(ask("why", "debt", "--json").json, "policy", "gateway May_merge")["evidence"]
    assert (told["package"], told["ruling"]) == ("merge", "fail")
    assert [(reason["code"], reason["path"]) for reason in told["reasons"]] == [
        ("GATE", "/gates/results/0"),
        ("GATES", "/gates/result"),
    ]
    text = (Path(__file__).parents[2] / "policies" / "merge.rego").read_text("utf-8").splitlines()
    rules = [rule.partition(":") for rule in told["rules"]]
    assert [file for file, _, _ in rules] == ["policies/merge.rego"] * 2
    assert all(text[int(line) - 1].startswith("findings contains") for _, _, line in rules)


def test_a_gate_is_told_with_the_end_of_its_output(ask: Ask) -> None:
    told = step(ask("why", "debt", "--json").json, "check", "pre_merge no_debt")
    assert told["details"] == ["debt.txt is not wanted"]


def test_a_merged_task_needs_no_change(ask: Ask) -> None:
    assert ask("why", "price", "--json").json["nearest"] is None
    assert "nearest" not in ask("why", "price").out


# --- the nearest change ---------------------------------------------------------------------------------


def nearest(told: Answer) -> tuple[str, list[tuple[str, str]]]:
    """Return the outcome and (kind, text) of each change."""
    found = told.json["nearest"]
    return found["outcome"], [(change["kind"], change["text"]) for change in found["changes"]]


def test_a_closed_gate_is_the_nearest_change(ask: Ask) -> None:
    told = ask("why", "debt", "--json")
    assert nearest(told) == ("merged", [("gate", "gate no_debt passes")])
    (change,) = told.json["nearest"]["changes"]
    gates = next(e for e in entries(ask) if e["seq"] == change["seq"])
    assert gates["fact"]["job"].startswith("Run_gates")
    assert "gate no_debt passes (recorded: exited with code 1)" in ask("why", "debt").out


def entries(ask: Ask) -> Any:
    return ask("ledger", "show", "--limit", "0", "--json").json["entries"]


def test_a_check_that_fails_reaches_no_further_than_the_record(ask: Ask) -> None:
    told = ask("why", "tax", "--json")
    assert nearest(told) == ("verified", [("check", "attempt 1: the task's check passes")])
    assert "is not recorded" in told.json["nearest"]["reason"]
    assert "as far as the record reaches" in ask("why", "tax").out


@pytest.mark.parametrize(
    ("configuration", "one", "expected"),
    [
        pytest.param(
            FAILING_GATES,
            task("t"),
            ("merged", [("gate", "gate one passes"), ("gate", "gate two passes")]),
            id="two gates, no fewer",
        ),
        pytest.param(
            "",
            task("t", script='printf \'a\\nk = "AKIAIOSFODNN7EXAMPLQ"\\nb\\n\' > t.txt'),
            (
                "merged",
                [("fact", "what policy merge sees at /candidate/changed/0/added_lines/1 is not there")],
            ),
            id="the one line with a secret",
        ),
        pytest.param(
            DOCTOR,
            task("bad"),
            ("merged", [("doctor", "the doctor is content")]),
            id="a merge that was taken back",
        ),
    ],
)  # fmt: skip
def test_the_smallest_set_of_changes_is_found(
    tmp_path: Path, asked: Asked, configuration: str, one: Any, expected: object
) -> None:
    project = carried_out(tmp_path / "p", configuration, [one])
    told = asked(project, "why", one["id"], "--json")
    assert nearest(told) == expected


def test_where_the_record_says_nothing_no_change_is_made_up(tmp_path: Path, asked: Asked) -> None:
    tasks = [task("first", tool="nosuch"), task("second", dependencies=["first"])]
    project = carried_out(tmp_path / "p", "", tasks)
    first = asked(project, "why", "first")
    assert (
        "none found: what job worker.run at Run_worker would have answered is not recorded"
        in first.out
    )
    told = asked(project, "why", "second", "--json").json
    assert told["state"] == "na"
    second = told["nearest"]
    assert (second["outcome"], second["changes"]) == ("none", [])
    assert second["reason"] == ("the task was never begun; before it, not merged: first (blocked)")


def test_every_change_that_is_named_was_tried(shop: Project, ask: Ask) -> None:
    found = ask("why", "debt", "--json").json["nearest"]
    assert 1 < found["courses"] <= 300


def test_a_row_of_a_table_may_be_the_nearest_change(
    tmp_path: Path, asked: Asked, bundle: Path
) -> None:
    """A bundle whose diagram merges only large changes: the table's other row is what would have merged."""
    root = tmp_path / "p"
    place = shutil.copytree(bundle, root / "lock")
    diagram = place / "process" / "deliver_wave.bpmn"
    text = diagram.read_text("utf-8")
    for old, new in {
        '=verdict = "pass"': '=verdict = "pass" and tier.max_level = 5',
        "=tier.max_level": "=3",
    }.items():
        assert old in text
        text = text.replace(old, new)
    diagram.write_text(text, "utf-8")
    project = carried_out(root, 'bundle = "lock"\n', [task("t")])
    found = asked(project, "why", "t", "--json").json["nearest"]
    assert (found["outcome"], [c["kind"] for c in found["changes"]]) == ("merged", ["cell"])
    assert found["changes"][0]["text"] == ("table gate_tier sees changed_files = 21 instead of 1")
