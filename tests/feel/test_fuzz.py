"""Any text gives a `FeelError` or a value, and the ways of running an expression agree."""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.feel import (
    FeelError,
    Value,
    compile_expression,
    compile_unary_tests,
    evaluate,
    from_json,
    parse,
    parse_temporal,
    to_json,
    unary_test,
)
from engine.feel.ast import walk
from engine.feel.builtins import builtins_of
from tests.depth import examples
from tests.feel.sameness import same

PIECES = [
    *"()[]{}<>=+-*/.,:;?@!\"'`\\ \n\t#$%&|~^_",
    "..", "**", "!=", "<=", ">=", "//", "/*", "*/", "0", "1", "-1", "2.5", ".5", "1e5", "9e6000",
    '"x"', '""', '"(a+)+"', '@"2024-02-29"', '@"PT1H"', '@"10:00:00Z"', '@"x"', "a", "b c", "item", "partial",
    " in ", " and ", " or ", " between ", " instance of ", "if ", " then ", " else ", "for x in ", " return ",
    "some x in ", "every x in ", " satisfies ", "function(", "external ", "not(", "null", "true", "false",
    "list<", "context<", "number", "date and time", "[1..3]", "{a: 1}", "[1, 2]", "é", "🐎", "\u00a0", "\ud800",
    *sorted(builtins_of("camunda")),
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
ANY_TEXT = st.one_of(SOUP, st.text(max_size=40))
DIALECTS = st.sampled_from(["dmn", "camunda"])
NOW = parse_temporal("2024-05-05T10:00:00Z")
VARIABLES: dict[str, object] = {"a": 5, "b c": [1, {"a": 2}], "x": "y"}


@settings(max_examples=examples(600))
@given(ANY_TEXT, DIALECTS)
def test_any_text_is_refused_or_has_a_value(text: str, dialect: str) -> None:
    with contextlib.suppress(FeelError):
        evaluate(text, VARIABLES, dialect, now=NOW, seed="1")  # type: ignore[arg-type]


@settings(max_examples=examples(300))
@given(ANY_TEXT, DIALECTS)
def test_any_unary_test_is_refused_or_answers(text: str, dialect: str) -> None:
    with contextlib.suppress(FeelError):
        answer = unary_test(text, 5, VARIABLES, dialect, now=NOW, seed="1")  # type: ignore[arg-type]
        assert answer in (True, False, None)


LEAVES = st.sampled_from(
    ["a", "b", "s", "n", "xs", "c", "c.k", "1", "2.5", "-3", "0", '"x"', "null", "true", "[1, 2]", "{k: 1}", "[1..3]",
     '@"2024-02-29"', '@"P1D"', "item", "missing"]
)  # fmt: skip


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    triple = st.tuples(inner, inner, inner)
    binary = st.sampled_from(
        ["+", "-", "*", "/", "**", "=", "!=", "<", "<=", ">", ">=", "and", "or"]
    )
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        pair.map(lambda t: f'({t[0]} in ({t[1]}, < 3, "x"))'),
        pair.map(lambda t: f"({t[0]})[{t[1]}]"),
        pair.map(lambda t: f"(for x in {t[0]} return {t[1]})"),
        pair.map(lambda t: f"(some x in {t[0]} satisfies {t[1]})"),
        pair.map(lambda t: f"(function(p, q) {t[0]})({t[1]}, 1)"),
        pair.map(lambda t: f"{{k: {t[0]}, m: {t[1]}}}"),
        triple.map(lambda t: f"(if {t[0]} then {t[1]} else {t[2]})"),
        triple.map(lambda t: f"({t[0]} between {t[1]} and {t[2]})"),
        inner.map(lambda t: f"-{t}"),
        inner.map(lambda t: f"({t}).k"),
        inner.map(lambda t: f"count({t})"),
        inner.map(lambda t: f"sum({t})"),
        inner.map(lambda t: f"string({t})"),
        inner.map(lambda t: f"not({t})"),
        inner.map(lambda t: f"({t} instance of list<number>)"),
    )


EXPRESSIONS = st.recursive(LEAVES, compound, max_leaves=12)
VALUES: dict[str, Value] = {
    "a": Decimal(1), "b": Decimal("2.5"), "s": "x", "n": None,
    "xs": [Decimal(1), Decimal(2), "x", None, {"k": Decimal(3)}], "c": {"k": Decimal(3), "a": "entry"},
}  # fmt: skip


@settings(max_examples=examples(500))
@given(EXPRESSIONS, DIALECTS)
def test_asking_for_reasons_changes_no_value(text: str, dialect: str) -> None:
    compiled = compile_expression(text, dialect=dialect)  # type: ignore[arg-type]
    fast, traced = compiled(VALUES), compiled.evaluate(VALUES)
    assert comparable(fast) == comparable(traced.value)
    assert all(0 <= w.start < w.end <= len(text) for w in traced.warnings)


@settings(max_examples=examples(500))
@given(EXPRESSIONS.filter(lambda text: "null" not in text), DIALECTS)
def test_a_null_that_nobody_wrote_has_a_reason(text: str, dialect: str) -> None:
    full = {**VALUES, "n": Decimal(7), "xs": [Decimal(1), "x"]}
    result = compile_expression(text, dialect=dialect).evaluate(full)  # type: ignore[arg-type]
    assert result.value is not None or result.warnings


@settings(max_examples=examples(200))
@given(EXPRESSIONS)
def test_spans_lie_inside_each_other(text: str) -> None:
    tree = parse(text)
    assert all(0 <= node.start < node.end <= len(text) for node in walk(tree))
    assert text[tree.start : tree.end].strip("()") in text


@settings(max_examples=examples(200))
@given(EXPRESSIONS)
def test_an_expression_survives_brackets_and_space(text: str) -> None:
    assert comparable(evaluate(f" ( {text} )\n", VALUES)) == comparable(evaluate(text, VALUES))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_comes_back_as_it_was(value: Value) -> None:
    assert same(to_json(from_json(value)), value)


@given(JSON)
def test_equality_is_an_equivalence_on_json(value: Value) -> None:
    assert evaluate("v = w and w = v", {"v": value, "w": from_json(value)}) is True


@given(st.integers(-(10**12), 10**12), st.integers(-(10**6), 10**6), st.integers(1, 500))
def test_dates_and_durations_keep_their_laws(ordinal: int, days: int, months: int) -> None:
    from engine.feel import Date

    if abs(ordinal) > 365 * 10**8:
        ordinal //= 1000
    date = Date.of_ordinal(ordinal)
    assert date.ordinal == ordinal
    assert date.plus_days(days).plus_days(-days) == date
    later = date.plus_months(months)
    assert (later.year * 12 + later.month) - (date.year * 12 + date.month) == months
    assert parse_temporal(str(date)) == date
    assert date.plus_days(7).weekday == date.weekday


@pytest.mark.parametrize(
    "text", ["1..5", "< 5, [10..20]", 'not("x")', "-", "? > 3", "a, b", "null"]
)
def test_unary_tests_agree_with_their_reasons(text: str) -> None:
    if text == "1..5":
        with pytest.raises(FeelError):
            compile_unary_tests(text)
        return
    tests = compile_unary_tests(text)
    for value in (None, Decimal(4), Decimal(15), "x", True, [Decimal(4)]):
        assert tests(value, VALUES) is tests.evaluate(value, VALUES).value


def comparable(value: Value) -> str:
    """Return a text that is equal for equal values, functions without their identity."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
