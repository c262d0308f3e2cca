"""L3: what was decided follows from what was recorded, under the definitions that were recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from engine.audit.facts import Unreadable, value_of
from engine.audit.lines import parser
from engine.audit.rederive import Derived, checked, records, rederive
from tests.audit.finished import Finished


def derived(
    finished: Finished, change: Callable[[dict[str, Any]], bool] | None = None, **blobs: bytes
) -> Derived:
    """Derive the run anew after the first entry that `change` takes was changed."""
    lines = list(finished.lines)
    for at, line in enumerate(lines):
        record = orjson.loads(line)
        if change is not None and change(record):
            lines[at] = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
            break
    content = {**finished.blobs, **blobs}
    return rederive(records(lines, parser()), checked(content.get))


def messages(found: Derived) -> list[str]:
    return [f"{finding.level} {finding.seq}: {finding.message}" for finding in found.findings]


def test_an_honest_run_comes_out_as_recorded(finished: Finished):
    found = derived(finished)
    assert found.findings == []
    assert (found.turns, found.decisions, found.policies) == (40, 13, 6)
    assert found.verdicts == 8, "four of the five, for two merges; conflict is derived from git"


def decision(table: str, member: str, value: Any) -> Callable[[dict[str, Any]], bool]:
    def change(record: dict[str, Any]) -> bool:
        for event in record.get("events", ()):
            if event.get("decision") == table:
                event["value"] = value if member == "" else {**event["value"], member: value}
                return True
        return False

    return change


def verdict(kind: str, said: str) -> Callable[[dict[str, Any]], bool]:
    def change(record: dict[str, Any]) -> bool:
        if record["type"] == "verdict.recorded" and record["body"]["kind"] == kind:
            record["body"]["verdict"] = said
            return True
        return False

    return change


def ruling(said: str) -> Callable[[dict[str, Any]], bool]:
    def change(record: dict[str, Any]) -> bool:
        fact = record.get("fact", {})
        if fact.get("kind") == "verdict_given" and fact["request"].startswith("May_merge"):
            fact["verdict"]["ruling"] = said
            return True
        return False

    return change


def gate(result: str) -> Callable[[dict[str, Any]], bool]:
    def change(record: dict[str, Any]) -> bool:
        if record["type"] == "gate.finished" and record["body"]["stage"] == "pre_merge":
            record["body"]["result"] = result
            return True
        return False

    return change


def captured(record: dict[str, Any]) -> bool:
    if record["type"] != "workspace.captured":
        return False
    record["body"]["undeclared"] = ["secret.txt"]
    return True


def gone(record: dict[str, Any]) -> bool:
    if record["type"] != "gate.finished" or record["body"]["stage"] != "verification":
        return False
    record["body"]["result"] = "failed"
    return True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(decision("schedule_mode", "", "dag"),
                     "DecisionEvaluated of Decide_mode/value, is recorded as 'dag', but 'waves' follows", id="a table"),
        pytest.param(verdict("manifest", "fail"), "manifest is recorded as fail, but pass follows", id="manifest"),
        pytest.param(verdict("budget", "error"), "budget is recorded as error, but pass follows", id="budget"),
        pytest.param(verdict("policy", "fail"), "policy is recorded as fail, but pass follows", id="policy"),
        pytest.param(gate("failed"), "validator is recorded as pass, but fail follows: gate tests failed", id="a gate"),
        pytest.param(gone, "validator is recorded as pass, but fail follows: no passed verification", id="unverified"),
        pytest.param(captured, "manifest is recorded as pass, but fail follows", id="undeclared files"),
        pytest.param(ruling("fail"), "policy merge is recorded as fail under", id="what a policy said"),
    ],
)  # fmt: skip
def test_what_does_not_follow_is_named(finished: Finished, change, message: str):
    told = messages(derived(finished, change))
    assert any(message in text for text in told), told
    assert all(text.startswith("L3 ") for text in told)


def test_definitions_come_from_their_digests(finished: Finished):
    files = orjson.loads(finished.lines[0])["body"]["files"]
    table = files["decisions/schedule_mode.dmn"]
    spoiled = finished.blobs[table].replace(b"waves", b"waved")
    assert messages(derived(finished, None, **{table: spoiled})) == [
        "L3 1: the definition decisions/schedule_mode.dmn is missing or altered"
    ]


def test_another_bundle_than_the_run_was_begun_with_is_refused(finished: Finished):
    def change(record: dict[str, Any]) -> bool:
        del record["body"]["files"]["decisions/schedule_mode.dmn"]
        return True

    (told,) = messages(derived(finished, change))
    assert told.startswith("L3 1: the definitions cannot be loaded: ")


@pytest.mark.parametrize(
    "fact",
    [{"kind": "job_completed"}, {"kind": "job_completed", "job": 5}, {"kind": "no_such_fact"}, {"kind": "timer_fired", "timer": "T#1", "x": 1},
     {"kind": "instance_started", "process": "nowhere"}, {"kind": "verdict_given", "request": "r", "verdict": 5},
     {"kind": "job_completed", "job": "A#1.1", "variables": {"$number": "NaNsense"}}],
)  # fmt: skip
def test_a_forged_fact_is_a_finding_and_no_crash(finished: Finished, fact: dict[str, Any]):
    def change(record: dict[str, Any]) -> bool:
        if record.get("fact", {}).get("kind") != "job_completed":
            return False
        record["fact"] = fact
        return True

    assert messages(derived(finished, change)) != []


def test_values_are_read_as_they_were_meant():
    blobs = {"sha256:1": b'{"n":{"$number":"0.5"}}'}
    assert value_of({"$blob": "sha256:1"}, blobs.get) == {
        "n": value_of({"$number": "0.5"}, blobs.get)
    }
    assert value_of({"$$number": "x", "a": [{"$$$blob": 1}]}, blobs.get) == {
        "$number": "x",
        "a": [{"$$blob": 1}],
    }
    with pytest.raises(Unreadable, match="missing"):
        value_of({"$blob": "sha256:2"}, blobs.get)
