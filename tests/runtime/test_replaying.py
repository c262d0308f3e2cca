"""`engine replay`: the run folded again, as it stood at an entry, asked again under other definitions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.replay import first_difference
from engine.runtime.engine import Engine
from engine.runtime.past import state_at
from engine.runtime.proof import book_of
from tests.acceptance.conftest import Answer, Project

Ask = Callable[..., Answer]


def test_the_state_after_the_last_entry_is_what_the_store_holds(shop: Project) -> None:
    with Engine.open(shop.root).store() as store:
        run = store.runs()[-1]
        state = state_at(book_of(store, run.id), run.entries)
        held = {row.task: row.state for row in store.tasks(run.id)}
    assert {task: told["state"] for task, told in state.tasks.items()} == held
    assert held == {"price": "merged", "debt": "blocked", "tax": "quarantined"}


def test_at_every_entry_what_is_open_is_what_the_instances_wait_for(shop: Project) -> None:
    with Engine.open(shop.root).store() as store:
        book = book_of(store, store.runs()[-1].id)
        for until in range(1, book.verified.entries + 1, 3):
            state = state_at(book, until)
            jobs = {(job["instance"], job["key"]) for job in state.to_json()["jobs"]}
            waiting = {
                (id, wait.key)
                for id, instance in state.replayed.final.items()
                for wait in instance.waiting
                if wait.kind == "job"
            }
            assert jobs == waiting, f"after entry {until}"


def test_the_state_in_the_middle_names_tokens_tasks_and_jobs(ask: Ask) -> None:
    told = ask("ledger", "show", "--limit", "0", "--json").json["entries"]
    begun = next(entry["seq"] for entry in told if entry["type"] == "worker.started")
    state = ask("replay", "--until", str(begun), "--json").json
    root, wave, job = state["instances"]
    assert (state["schema"], state["entry"]) == ("engine.replay-state/v1", begun)
    assert [(i["process"], i["state"], i["tokens"]) for i in (root, wave, job)] == [
        ("orchestration", "active", ["Deliver_waves"]),
        ("deliver_wave", "active", ["Deliver_tasks"]),
        ("deliver_task", "active", ["Run_worker"]),
    ]
    assert (job["task"], job["variables"]["attempt"]) == ("price", 1)
    assert state["tasks"] == [
        {"id": "price", "state": "running", "attempts": 1},
        {"id": "debt", "state": "pending", "attempts": 0},
        {"id": "tax", "state": "pending", "attempts": 0},
    ]
    assert [(open["type"], open["key"]) for open in state["jobs"]] == [
        ("worker.run", "Run_worker#1.1")
    ]
    people = ask("replay", "--until", str(begun))
    assert "active at Run_worker" in people.out
    assert "no such tax" not in people.out, "nothing of what came later is told"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--until", "9999"], "--until: expected an entry from 1 to", id="no entry"),
        pytest.param(["--against", "nowhere"], "expected a bundle: a folder", id="no bundle"),
        pytest.param(["--until", "1", "--against", "."], "but got both", id="two questions"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    ask: Ask, arguments: list[str], sentence: str
) -> None:
    done = ask("replay", *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


# --- other definitions ---------------------------------------------------------------------------------


def edited(bundle: Path, place: Path, file: str, old: str, new: str) -> Path:
    """Return a copy of the bundle in which `old` stands as `new` in one file."""
    copy = shutil.copytree(bundle, place / "other")
    text = (copy / file).read_text("utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new), "utf-8")
    return copy


def test_the_same_definitions_decide_the_same(ask: Ask, bundle: Path) -> None:
    done = ask("replay", "--against", str(bundle), "--json")
    told = done.json
    assert (done.code, told["differences"], told["not_replayable"]) == (0, [], [])
    assert told["decided"] == told["same"] > 10
    assert told["bundle"] == told["recorded_bundle"]


def test_a_gentler_policy_opens_what_was_closed(ask: Ask, bundle: Path, tmp_path: Path) -> None:
    gentle = edited(
        bundle,
        tmp_path,
        "policies/merge.rego",
        "not gate.required == false",
        'not gate.required == false\n\tnot gate.name == "no_debt"',
    )
    gentle = edited(
        gentle,
        tmp_path / "twice",
        "policies/merge.rego",
        'not input.gates.result == "ok"',
        "not input.gates.result",
    )
    done = ask("replay", "--against", str(gentle), "--json")
    (found,) = done.json["differences"]
    assert done.code == 1
    assert (found["element"], found["kind"], found["name"]) == ("May_merge", "policy", "merge")
    assert (found["effect"], found["recorded"]["ruling"], found["now"]["ruling"]) == (
        *("opens", "fail", "pass"),
    )
    people = ask("replay", "--against", str(gentle))
    assert "May_merge  policy merge  opens" in people.out
    assert "1 otherwise than recorded, 0 not replayable" in people.out


def test_another_table_is_shown_by_task_and_element(ask: Ask, bundle: Path, tmp_path: Path) -> None:
    other = edited(
        bundle, tmp_path, "decisions/retry_policy.dmn", '<text>"quarantine"</text>', '<text>"fail"</text>'
    )  # fmt: skip
    found = ask("replay", "--against", str(other), "--json").json["differences"]
    assert [(f["task"], f["element"], f["name"]) for f in found] == [
        ("tax", "Decide_retry", "retry_policy")
    ]
    assert (found[0]["recorded"]["action"], found[0]["now"]["action"]) == ("quarantine", "fail")


def test_what_the_record_does_not_hold_is_not_guessed(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(bundle, tmp_path / "other")
    (other / "decisions" / "retry_policy.dmn").unlink()
    for diagram in (other / "process").glob("*.bpmn"):
        diagram.unlink()
    done = ask("replay", "--against", str(other), "--json")
    (left,) = done.json["not_replayable"]
    assert (done.code, left["element"]) == (0, "Decide_retry")
    assert left["reason"] == "the other bundle has no decision retry_policy"


MOODY = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="https://www.omg.org/spec/DMN/20191111/MODEL/" id="d" name="d" namespace="n">
  <inputData id="mood" name="mood"><variable id="mood_v" name="mood" typeRef="string"/></inputData>
  <decision id="retry_policy" name="retry_policy">
    <variable id="retry_v" name="retry_policy"/>
    <informationRequirement id="needs"><requiredInput href="#mood"/></informationRequirement>
    <literalExpression id="logic"><text>mood</text></literalExpression>
  </decision>
</definitions>
"""


def test_an_input_that_nobody_recorded_is_named(ask: Ask, bundle: Path, tmp_path: Path) -> None:
    other = shutil.copytree(bundle, tmp_path / "other")
    (other / "decisions" / "retry_policy.dmn").write_text(MOODY, "utf-8")
    (left,) = ask("replay", "--against", str(other), "--json").json["not_replayable"]
    assert (left["task"], left["reason"]) == (
        *("tax", "it needs mood, which the element could not see"),
    )
    people = ask("replay", "--against", str(other)).out
    assert "not replayable: it needs mood" in people
    assert "1 not replayable" in people


def test_a_broken_bundle_is_a_definition_error(ask: Ask, bundle: Path, tmp_path: Path) -> None:
    broken = edited(
        bundle, tmp_path, "policies/merge.rego", "default allow := false", "default allow :="
    )
    done = ask("replay", "--against", str(broken))
    assert (done.code, done.out) == (3, "")
    assert "policies/merge.rego" in done.err


def test_a_difference_is_named_by_its_pointer() -> None:
    recorded = {"kind": "x", "value": {"a/b": [1, 2]}}
    assert first_difference(recorded, {"kind": "x", "value": {"a/b": [1, 3]}}) == (
        *("/value/a~1b/1", 2, 3),
    )
    assert first_difference({"a": 1}, {"a": True}) == ("/a", 1, True)
    assert first_difference({"a": 1}, {}) == ("/a", 1, None)
    assert first_difference([1], [1, 2]) == ("/1", None, 2)
