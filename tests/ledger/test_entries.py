"""Entries: the fast contract and the published one agree; facts and events come back; a chain finds every change."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.core import model
from engine.errors import LedgerError
from engine.ledger import (
    EntryType,
    Head,
    event_to_json,
    fact_to_json,
    note,
    read_entry,
    read_turn,
    seal,
    shape,
    turn,
    verify_chain,
)
from engine.ledger.entries import after, entry_hash

AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)
CONTRACT = json.loads(
    (Path(__file__).parents[2] / "contracts" / "ledger-entry.v1.json").read_text("utf-8")
)
MOVE = {
    "job": "r1/0/Merge#1.1",
    "ref": "refs/heads/engine/shop",
    "old": "a" * 40,
    "sources": ["b" * 40],
    "tree": "c" * 40,
    "commit": "d" * 40,
}
SUBJECT = {name: MOVE[name] for name in ("old", "sources", "tree", "commit")}
BODIES = {
    EntryType.RUN_CREATED: {"feature": "shop", "bundle": "0" * 64},
    EntryType.RUN_RESUMED: {},
    EntryType.RUN_STOPPED: {"status": "stopped"},
    EntryType.RUN_FINISHED: {"status": "completed"},
    EntryType.DEFINITIONS_LOADED: {"bundle": "0" * 64},
    EntryType.COMMAND_RECEIVED: {"kind": "approve", "answer": "taken"},
    EntryType.WORKSPACE_CREATED: {"path": "w/1"},
    EntryType.MANIFEST_RESCOPED: {"job": "j", "paths": ["a.txt"], "reason": "nobody owns it"},
    EntryType.WORKSPACE_CAPTURED: {"commit": "e" * 64},
    EntryType.WORKSPACE_REMOVED: {},
    EntryType.WORKER_STARTED: {"job": "j"},
    EntryType.WORKER_FINISHED: {"job": "j", "exit_code": None},
    EntryType.PLUGIN_CALLED: {"plugin": "p"},
    EntryType.USAGE_RECORDED: {"tokens": 0, "cost_micros": 12},
    EntryType.GATE_FINISHED: {"name": "tests", "result": "ok"},
    EntryType.VERDICT_RECORDED: {
        "kind": "policy",
        "verdict": "pass",
        "subject": SUBJECT,
        "reasons": [],
    },
    EntryType.WAIVER_GRANTED: {"by": "ada", "reason": "flaky"},
    EntryType.MERGE_AUTHORIZED: MOVE,
    EntryType.MERGE_COMPLETED: MOVE,
    EntryType.MERGE_VOIDED: {"job": "j", "reason": "stale"},
    EntryType.MERGE_REFUSED: {"reasons": ["budget: fail"]},
    EntryType.ROLLBACK_AUTHORIZED: MOVE,
    EntryType.ROLLBACK_COMPLETED: MOVE,
    EntryType.ROLLBACK_VOIDED: {"job": "j", "reason": "stale"},
    EntryType.PUBLISH_COMPLETED: {"branch": "engine/shop", "commit": "d" * 40},
    EntryType.PUBLISH_REFUSED: {"branch": "engine/shop", "reason": "checked out"},
    EntryType.CHECKPOINT_SIGNED: {"size": 1, "root": "0" * 64, "note": "n", "key": "k"},
    EntryType.KEY_ROTATED: {"key": "k"},
    EntryType.RECOVERY_ACTION: {"action": "removed index.lock"},
}


@cache
def contract():
    return Draft202012Validator(CONTRACT)


def chain(drafts, head=None):
    head = head or Head("r1", 1)
    lines = []
    for draft in drafts:
        sealed = seal(head, draft)
        head = after(head, sealed)
        lines.append(sealed.line)
    return lines, head


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3
        )
    ),
    max_leaves=4,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def records(base):
    """Return any fact or event, with every field filled by its type."""
    return st.one_of([built(kind) for kind in shape.kinds(base).values()])


def built(kind):
    hints = typing.get_type_hints(kind)
    fields = {field.name: by_type(hints[field.name]) for field in dataclasses.fields(kind)}
    return st.builds(kind, **fields)


def by_type(hint):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is datetime:
        return st.datetimes(timezones=st.just(UTC))
    if hint == Mapping[str, str]:
        return st.dictionaries(TEXT, TEXT, max_size=2)
    if origin is Mapping:
        return st.dictionaries(TEXT, JSON_VALUES, max_size=3)
    if origin in (types.UnionType, typing.Union):
        return JSON_VALUES
    if origin is tuple:
        return st.lists(by_type(arguments[0]), max_size=3).map(tuple)
    if dataclasses.is_dataclass(hint):
        return built(hint)
    if hint is str or getattr(hint, "__supertype__", None) is str:
        return TEXT
    return st.from_type(hint)


# --- the contract ------------------------------------------------------------------------------------


def test_the_contract_is_a_valid_schema_and_names_what_the_code_knows():
    Draft202012Validator.check_schema(CONTRACT)
    properties = CONTRACT["properties"]
    assert set(properties["type"]["enum"]) == {kind.value for kind in EntryType}
    assert {item["title"] for item in CONTRACT["oneOf"]} == {kind.value for kind in EntryType}
    assert set(properties["fact"]["properties"]["kind"]["enum"]) == shape.FACT_KINDS
    kinds = properties["events"]["items"]["properties"]["kind"]["enum"]
    assert set(kinds) == shape.EVENT_KINDS
    assert set(BODIES) == set(EntryType) - {EntryType.INSTANCE_TURN}


def mutations(record):
    """Return `record` with each member removed or replaced by something else, one level into the body."""
    wrong = [None, -1, 1, True, "", "x", [], ["x"], [1], {}, "A" * 64]
    for path in [(name,) for name in record] + [("body", name) for name in record.get("body", ())]:
        for value in ["<removed>", *wrong]:
            copy = json.loads(json.dumps(record))
            inner = copy
            for name in path[:-1]:
                inner = inner[name]
            if value == "<removed>":
                del inner[path[-1]]
            else:
                inner[path[-1]] = value
            yield copy
    yield {**record, "extra": 1}
    yield {**record, "type": "unknown.kind"}
    yield {**record, "fact": {"kind": "job_completed"}, "instance": "0"}
    yield {**record, "events": [{"kind": "nonsense"}]}


@pytest.mark.parametrize("kind", list(EntryType))
def test_the_fast_check_and_the_contract_give_one_answer(kind):
    if kind is EntryType.INSTANCE_TURN:
        events = [model.ElementActivated(element="A", visit=1)]
        draft = turn("0", model.JobCompleted(at=AT, job="A#1.1"), events, task="t1")
    else:
        draft = note(kind, AT, BODIES[kind], task="t1")
    record = orjson.loads(seal(Head("r1", 1), draft).line)
    assert (shape.problem(record), contract().is_valid(record)) == ("", True)
    for mutant in mutations(record):
        assert (shape.problem(mutant) == "") == contract().is_valid(mutant), mutant


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (note(EntryType.MERGE_AUTHORIZED, AT, {**MOVE, "commit": "HEAD"}),
         "entry 1 (merge.authorized): expected a full object id of git as 'body.commit', but got 'HEAD'"),
        (note(EntryType.VERDICT_RECORDED, AT, {**BODIES[EntryType.VERDICT_RECORDED], "verdict": "PASS"}),
         "entry 1 (verdict.recorded): expected pass, fail, error or undefined as 'body.verdict', but got 'PASS'"),
        (note(EntryType.RUN_FINISHED, AT, {"status": 0.5}),
         "entry 1 (run.finished) at /body/status: expected a JSON value with exact numbers (int or Decimal), but got float 0.5"),
        (note(EntryType.RUN_FINISHED, AT.replace(tzinfo=None), {"status": "x"}),
         "entry 1 (run.finished): expected an aware time, but got 2026-11-20T23:20:42.123456"),
        (turn("", model.JobCompleted(at=AT, job="A#1.1"), []),
         "entry 1 (instance.turn): expected the instance of a turn, but there is none"),
    ],
)  # fmt: skip
def test_an_entry_that_breaks_the_contract_is_not_sealed(draft, message):
    with pytest.raises(LedgerError) as caught:
        seal(Head("r1", 1), draft)
    assert str(caught.value).startswith(message)


# --- facts and events --------------------------------------------------------------------------------


@given(records(model.Fact), st.lists(records(model.Event), max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_turn_comes_back_as_it_was(fact, events):
    line = seal(Head("r1", 1), turn("0", fact, events)).line
    assert contract().is_valid(orjson.loads(line))
    read = read_turn(read_entry(line))
    assert (read.fact, list(read.events)) == (fact, events)
    assert [event_to_json(event) for event in read.events] == [event_to_json(e) for e in events]
    assert fact_to_json(read.fact) == fact_to_json(fact)


def test_a_turn_reads_like_what_happened():
    fact = model.JobFailed(at=AT, job="Build#1.2", failure=model.Failure(message="exit 3"))
    events = [model.ElementCompleted(element="Gate", visit=1, flows=("yes",))]
    record = orjson.loads(seal(Head("r1", 4), turn("0.Wave#1[2]", fact, events, task="t7")).line)
    assert record == {
        "v": 1,
        "seq": 1,
        "prev": "0" * 64,
        "run": "r1",
        "type": "instance.turn",
        "at": "2026-11-20T23:20:42.123456Z",
        "epoch": 4,
        "instance": "0.Wave#1[2]",
        "task": "t7",
        "fact": {
            "kind": "job_failed",
            "job": "Build#1.2",
            "failure": {"message": "exit 3", "class": "exception"},
        },
        "events": [{"kind": "element_completed", "element": "Gate", "visit": 1, "flows": ["yes"]}],
    }


def test_a_record_of_another_version_is_refused_not_guessed():
    entry = read_entry(seal(Head("r1", 1), turn("0", model.JobCompleted(at=AT, job="A"), [])).line)
    strange = dataclasses.replace(entry, fact={"kind": "job_completed", "job": "A", "mood": "good"})
    with pytest.raises(
        LedgerError, match="entry 1: job_completed cannot be read: got unknown member 'mood'"
    ):
        read_turn(strange)
    with pytest.raises(LedgerError, match=r"expected a turn, but got run\.resumed"):
        read_turn(read_entry(seal(Head("r1", 1), note(EntryType.RUN_RESUMED, AT, {})).line))


def test_large_values_leave_the_line_but_what_verification_reads_stays():
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> str:
        name = f"sha256:{len(blobs):064}"
        blobs[name] = content
        return name

    tasks = [{"id": n, "cost": Decimal("0.25")} for n in range(5000)]
    draft = turn("0", model.JobCompleted(at=AT, job="Plan#1.1", variables={"tasks": tasks}), [])
    sealed = seal(Head("r1", 1), draft, put)
    assert len(sealed.line) < 1000
    assert contract().is_valid(orjson.loads(sealed.line))
    assert read_turn(read_entry(sealed.line, blobs.__getitem__)).fact.variables == {"tasks": tasks}
    reasons = ["x" * 200] * 500
    refused = seal(Head("r1", 1), note(EntryType.MERGE_REFUSED, AT, {"reasons": reasons}), put)
    assert orjson.loads(refused.line)["body"]["reasons"] == reasons


# --- the chain ---------------------------------------------------------------------------------------

DRAFTS = [note(EntryType.RUN_CREATED, AT, BODIES[EntryType.RUN_CREATED])] + [
    turn("0", model.JobCompleted(at=AT, job=f"A#{n}.1"), []) for n in range(1, 12)
]


def test_a_chain_verifies_and_can_be_continued():
    lines, head = chain(DRAFTS)
    assert verify_chain(lines) == head
    assert verify_chain(lines[5:], verify_chain(lines[:5])) == head
    digest = bytes(32)
    for line in lines:
        digest = entry_hash(digest, line)
    assert head.hash == digest


def test_a_new_epoch_may_begin_but_none_comes_back():
    lines, head = chain(DRAFTS)
    more, end = chain([note(EntryType.RUN_RESUMED, AT, {})], dataclasses.replace(head, epoch=2))
    assert verify_chain(lines + more) == end
    back, _ = chain([note(EntryType.RUN_RESUMED, AT, {})], dataclasses.replace(end, epoch=1))
    with pytest.raises(LedgerError, match="entry 14: expected an epoch from 2, but got 1"):
        verify_chain(lines + more + back)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_before_the_last_line_is_found(data):
    lines, head = chain(DRAFTS)
    index = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[index]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda new: new != lines[index][place]))
    lines[index] = lines[index][:place] + bytes([byte]) + lines[index][place + 1 :]
    try:
        assert verify_chain(lines) != head
        assert index == len(lines) - 1
    except LedgerError:
        pass


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lines: lines[:3] + lines[4:], "entry 4: expected seq 4, but got 5"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "entry 4: expected seq 4, but got 5"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "entry 4: expected seq 4, but got 3"),
        (lambda lines: [*lines[:3], lines[3].replace(b'"A#3.1"', b'"A#9.1"'), *lines[4:]],
         "entry 5: expected prev"),
        (lambda lines: [*lines[:3], lines[3].replace(b":", b": ", 1), *lines[4:]],
         "entry 4: expected canonical bytes"),
        (lambda lines: [*lines[:3], lines[3].replace(b'"run":"r1"', b'"run":"r2"'), *lines[4:]],
         "entry 4: expected run r1, but got r2"),
        (lambda lines: [*lines[:3], b"[]"], "expected an object on each line"),
        (lambda lines: [*lines[:3], b"{"], "the line is not JSON"),
        (lambda lines: [*lines[:3], lines[3].replace(b'"epoch":1', b'"epoch":1.0'), *lines[4:]],
         "entry 4: expected an integer from 1 as 'epoch'"),
    ],
)  # fmt: skip
def test_a_spoiled_chain_names_the_entry(spoil, message):
    lines, _ = chain(DRAFTS)
    with pytest.raises(LedgerError) as caught:
        verify_chain(spoil(lines))
    assert message in str(caught.value)
