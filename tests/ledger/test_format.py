"""Format v1 is a contract: page, JSON Schema, writer and verifier say the same, and the bytes are those of RFC 8785."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.audit.findings import LEVELS
from engine.audit.lines import TYPES, parse_slowly, parser, shape_problem
from engine.core.model import ElementCompleted, JobCompleted, Variables
from engine.ledger import EntryType, Head, note, seal, turn
from engine.ledger.shape import BODIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/ledger-format.md").read_text("utf-8")
CONTRACT = json.loads((ROOT / "contracts/ledger-entry.v1.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(CONTRACT)
FIRST = ROOT / "tests/histories/ledger/first"

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    ["$number", "$blob", "$$blob", "\U0001f600", "\ufb33", "é", "__proto__", ""]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VARIABLES = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=8
    ),
)
TIMES = st.integers(0, 2**52).map(
    lambda n: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
)


@given(
    VARIABLES,
    TIMES,
    st.integers(1, 2**40),
    st.integers(0, 2**40),
    st.binary(min_size=32, max_size=32),
)
@settings(max_examples=100, deadline=None)
def test_every_entry_is_written_as_rfc_8785_says_and_read_by_both_readers(
    variables: Variables, at: datetime, epoch: int, seq: int, previous: bytes
) -> None:
    head = Head("r1", epoch, seq, previous)
    events = [ElementCompleted(element="Check", visit=1, flows=("yes",))]
    draft = turn("0", JobCompleted(at=at, job="Check#1.1", variables=variables), events)
    line = seal(head, draft).line
    entry = json.loads(line)
    assert rfc8785.dumps(entry) == line
    assert parser()(line) == parse_slowly(line) == entry
    assert shape_problem(entry, previous.hex()) == ""
    VALIDATOR.validate(entry)


@given(st.sampled_from(sorted(BODIES)), VARIABLES, TIMES)
@settings(max_examples=40, deadline=None)
def test_so_is_every_record_that_the_writer_lets_through(
    kind: str, body: dict[str, Any], at: datetime
) -> None:
    wanted = {
        "feature": "f",
        "bundle": "0" * 64,
        "status": "completed",
        "kind": "stop",
        "answer": "done",
    }
    wanted |= {
        "commit": "a" * 40,
        "job": "j",
        "plugin": "p",
        "tokens": 1,
        "cost_micros": 2,
        "reasons": [],
    }
    required = BODIES[kind]
    if not required.keys() <= wanted.keys() or kind == "verdict.recorded":
        return
    line = seal(
        Head("r1", 1), note(EntryType(kind), at, {**body, **{n: wanted[n] for n in required}})
    ).line
    entry = json.loads(line)
    assert rfc8785.dumps(entry) == line
    assert parser()(line) == parse_slowly(line) == entry
    assert shape_problem(entry, entry["prev"]) == ""


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["value", "list", "deep", "text"]),
)
@settings(max_examples=200, deadline=None)
def test_no_float_passes_wherever_it_stands(number: float, place: str) -> None:
    held: Any = {
        "value": {"a": number},
        "list": {"a": [1, number]},
        "deep": {"a": [{"b": [number]}]},
        "text": {},
    }[place]
    line = orjson.dumps(
        {"at": "2026-11-20T23:20:42.123456Z", "body": held}, option=orjson.OPT_SORT_KEYS
    )
    assert (parser()(line) is None) == (place != "text")


def test_a_text_that_looks_like_a_float_passes() -> None:
    for text in (":.5", ",1e16,", "[2.5]", ":e", '":1.5'):
        line = orjson.dumps({"a": [text, {text: 1}]}, option=orjson.OPT_SORT_KEYS)
        assert parser()(line) == json.loads(line)


def test_writer_verifier_contract_and_page_know_the_same_types() -> None:
    table = PAGE.partition("| type | reports |")[2].partition("## Bytes")[0]
    told = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", table, re.MULTILINE)
    assert sorted(told) == sorted(TYPES) == sorted(EntryType)
    assert set(told) == set(CONTRACT["properties"]["type"]["enum"])


def test_the_page_explains_every_level() -> None:
    assert re.findall(r"^\| (L[0-9]) \|", PAGE, re.MULTILINE) == list(LEVELS)


def test_the_code_of_the_page_checks_a_recorded_run() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(code, "ledger-format.md", "exec"), page)
    lines = (FIRST / "000000000001.jsonl").read_bytes().splitlines()
    for path in sorted(FIRST.glob("checkpoints/*")):
        page["check"](lines, path.read_text("utf-8"))
    with pytest.raises(AssertionError):
        page["check"]([*lines[:4], lines[5], *lines[4:]], path.read_text("utf-8"))


def test_exact_numbers_and_large_values_are_written_as_the_page_says() -> None:
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> str:
        blobs["sha256:x"] = content
        return "sha256:x"

    variables = {"half": Decimal("0.50"), "$blob": 1, "much": "x" * 65_537}
    line = seal(Head("r1", 1), turn("0", JobCompleted(at=datetime.now(UTC), job="A#1.1", variables=variables), []), put).line  # fmt: skip
    assert json.loads(line)["fact"]["variables"] == {
        "half": {"$number": "0.5"},
        "$$blob": 1,
        "much": {"$blob": "sha256:x"},
    }
    assert blobs == {"sha256:x": b'"' + b"x" * 65_537 + b'"'}
