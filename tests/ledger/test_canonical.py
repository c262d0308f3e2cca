"""Laws of canonical bytes: RFC 8785 where it has a say, one spelling for each value, exact both ways."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from uuid import UUID

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import LedgerError
from engine.ledger import canonical

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN_NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
NUMBERS = PLAIN_NUMBERS | st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
NAMES = TEXTS | st.sampled_from(["$number", "$blob", "$$number", "\U0001f600", "\ufb33", "é", "z"])


def values(numbers):
    leaves = st.none() | st.booleans() | numbers | TEXTS
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12
    )


def holds_reserved_name(value):
    if isinstance(value, dict):
        return any(
            name.lstrip("$") in ("number", "blob") and name[:1] == "$" for name in value
        ) or any(map(holds_reserved_name, value.values()))
    return isinstance(value, list) and any(map(holds_reserved_name, value))


@given(values(PLAIN_NUMBERS))
@example({"\U0001f600": 1, "\ufb33": 2})  # UTF-16 order differs from code point order
@example(['\x00\x1f\x7f\u2028"\\/\b\t\n\f\r'])
def test_without_tagged_numbers_the_bytes_are_those_of_rfc_8785(value):
    if not holds_reserved_name(value):
        assert canonical.encode(value) == rfc8785.dumps(value)


@given(values(NUMBERS))
@example({"$number": "0.5"})
@example({"$blob": "sha256:00"})
@example([Decimal("1E-900"), Decimal("-1.50E+900"), 2**60, -(2**53), Decimal("0.10")])
def test_a_value_comes_back_as_it_was(value):
    assert canonical.decode(canonical.encode(value)) == value


@given(values(NUMBERS))
@settings(max_examples=50)
def test_what_was_written_is_recognised_as_canonical(value):
    import orjson

    line = canonical.encode(value)
    assert canonical.is_canonical(line, orjson.loads(line))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(Decimal("1.00"), b"1", id="an integral decimal is the integer it equals"),
        pytest.param(Decimal("-0"), b"0", id="there is no negative zero"),
        pytest.param(
            Decimal("0.50"), b'{"$number":"0.5"}', id="a fraction is tagged, without zeros"
        ),
        pytest.param(2**53, b'{"$number":"9007199254740992"}', id="a large integer is tagged"),
        pytest.param(2**53 - 1, b"9007199254740991", id="the largest plain integer"),
        pytest.param(Decimal("1E+500"), b'{"$number":"1e500"}', id="many zeros become an exponent"),
        pytest.param({"$number": 1}, b'{"$$number":1}', id="a member of that name is escaped"),
        pytest.param({"$$blob": 1}, b'{"$$$blob":1}', id="so is an escaped one"),
        pytest.param((1, (2,)), b"[1,[2]]", id="tuples are lists"),
        pytest.param(MappingProxyType({"b": 1, "a": 2}), b'{"a":2,"b":1}', id="any mapping"),
        pytest.param({"é": "é"}, '{"é":"é"}'.encode(), id="text is not escaped"),
    ],
)
def test_there_is_one_spelling(value, written):
    assert canonical.encode(value) == written


class _Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "/: expected a JSON value with exact numbers (int or Decimal), but got float 0.5"),
        ({"a": [math.nan]}, "/a/0: expected a JSON value with exact numbers (int or Decimal), but got float nan"),
        ({"a": math.inf, "b": Decimal("0.5")}, "/a: expected a JSON value with exact numbers (int or Decimal), but got float inf"),
        ([Decimal("NaN")], "/0: expected a finite number, but got NaN"),
        ({"a": {1: "x"}}, "/a: expected string keys, but got int 1"),
        (["\ud800"], "/0: expected Unicode text, but got a lone surrogate at character 0"),
        ({"\udfff": 1}, "/: expected Unicode text, but got a lone surrogate at character 0"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], "/0: expected a JSON value with exact numbers (int or Decimal), but got datetime"),
        ([UUID(int=0)], "/0: expected a JSON value with exact numbers (int or Decimal), but got UUID"),
        ([_Colour.RED], "/0: expected a JSON value with exact numbers (int or Decimal), but got _Colour"),
        ([b"x"], "/0: expected a JSON value with exact numbers (int or Decimal), but got bytes"),
        ([{1, 2}], "/0: expected a JSON value with exact numbers (int or Decimal), but got set"),
    ],
)  # fmt: skip
def test_what_has_no_canonical_form_is_refused_with_its_place(value, message):
    with pytest.raises(LedgerError) as caught:
        canonical.encode(value)
    assert str(caught.value).startswith(message)


def test_endless_nesting_is_refused_both_ways():
    value: list = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(LedgerError, match="at most 200 levels"):
        canonical.encode(value)
    with pytest.raises(LedgerError, match="not JSON of ours"):
        canonical.decode(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    "line",
    [
        b"0.5",
        b"[1e3]",
        b"{",
        b'{"$number":"0.50"}',
        b'{"$number":"01"}',
        b'{"$number":5}',
        b'{"$number":"NaN"}',
        b'{"$number":"1","x":1}',
        b'{"$blob":7}',
    ],
)
def test_bytes_that_we_never_write_are_refused(line):
    with pytest.raises(LedgerError):
        canonical.decode(line)


def test_large_values_go_to_blobs_innermost_first_and_come_back():
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> str:
        blobs[f"sha256:{len(blobs)}"] = content
        return f"sha256:{len(blobs) - 1}"

    tasks = [{"id": f"t{n}", "cost": Decimal("0.5")} for n in range(4000)]
    value = {"tasks": tasks, "name": "shop", "text": "x" * 70_000, "$blob": "mine"}
    line = canonical.encode_tagged(canonical.spill(value, put))
    assert line == (
        b'{"$$blob":"mine","name":"shop","tasks":{"$blob":"sha256:0"},"text":{"$blob":"sha256:1"}}'
    )
    assert canonical.decode(line, blobs.__getitem__) == value
    assert canonical.decode(line) == {
        "$blob": "mine",
        "name": "shop",
        "tasks": {"$blob": "sha256:0"},
        "text": {"$blob": "sha256:1"},
    }
