"""Values at the door, types and coercion."""

from __future__ import annotations

import datetime
from decimal import Decimal
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

from engine.feel import (
    Date,
    DateTime,
    DaysTimeDuration,
    FeelError,
    Run,
    Time,
    Value,
    YearsMonthsDuration,
    compile_expression,
    evaluate,
    from_json,
    kind,
    parse_temporal,
    to_json,
)
from engine.feel.temporal import identical, parse_duration
from engine.feel.types import (
    ANY,
    BOOLEAN,
    DATE_TIME,
    NUMBER,
    STRING,
    ContextOf,
    FunctionOf,
    ListOf,
    Named,
    RangeOf,
    Restricted,
    Type,
    coerce,
    conforms,
    is_subtype,
    type_of,
)
from tests.feel.sameness import same

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (1, Decimal(1)),
        (2.5, Decimal("2.5")),
        (0.1, Decimal("0.1")),
        (float("nan"), None),
        (float("inf"), None),
        (True, True),
        ((1, (2,)), [Decimal(1), [Decimal(2)]]),
        (MappingProxyType({"a": 1}), {"a": Decimal(1)}),
        (datetime.date(2024, 2, 29), Date(2024, 2, 29)),
        (datetime.time(10, 30, tzinfo=datetime.UTC), Time(10, 30, 0, 0, 0)),
        (
            datetime.datetime(2024, 2, 29, 10, 0, 0, 5, tzinfo=BERLIN),
            DateTime(Date(2024, 2, 29), Time(10, 0, 0, 5000, None, "Europe/Berlin")),
        ),
        (datetime.timedelta(days=-1, microseconds=1), DaysTimeDuration(-86_399_999_999_000)),
    ],
)
def test_from_json(given: object, value: Value) -> None:
    assert same(from_json(given), value)


def test_what_feel_has_no_value_for() -> None:
    for given in (object(), 1j, 10**7000, {1: {2: object()}}):
        with pytest.raises(FeelError):
            from_json(given)


def test_to_json() -> None:
    value = {
        "whole": Decimal("1E+3"), "part": Decimal("1.50"), "date": Date(-5, 1, 1), "list": [None, True],
        "large": Decimal("1E+40"),
    }  # fmt: skip
    assert to_json(value) == {
        "whole": 1000, "part": Decimal("1.50"), "date": "-0005-01-01", "list": [None, True],
        "large": Decimal("1E+40"),
    }  # fmt: skip
    assert type(to_json(Decimal(3))) is int
    for refused in (evaluate("[1..3]", {}), evaluate("abs", {})):
        with pytest.raises(FeelError, match="expected a value that JSON can hold"):
            to_json(refused)


def test_a_compiled_expression_takes_python_values_where_it_touches_them() -> None:
    add = compile_expression("sum([a.b, c[1], d]) + 1")
    assert add({"a": {"b": 1.5}, "c": (2,), "d": 3}) == Decimal("7.5")
    assert compile_expression("list[price > 1].price")(
        {"list": [{"price": 0.5}, {"price": 1.5}]}
    ) == [Decimal("1.5")]


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29", "-0001-01-01", "999999999-12-31", "10:30:00", "10:30:00.123456789Z", "10:30:00-02:30:15",
        "10:30:00@Australia/Melbourne", "2024-02-29T23:59:59.5+14:00", "P1Y2M", "-P1D", "P1DT2H3M4.5S", "PT0S", "P0M",
        "-PT0.000000001S",
    ],
)  # fmt: skip
def test_temporal_text_comes_back(text: str) -> None:
    assert str(parse_temporal(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "P1Y1D", "1Y", "2024-13-01", "2023-02-29", "24:00:01", "10:60:00", "10:30", "9999999999-01-01",
     "01211-12-31", "+2024-01-01", "10:00:00+19:00", "10:00:00@Nowhere/Land", "10:00:00@../../etc/passwd",
     "10:00:00+02:00@Europe/Paris", "2024-01-01T", "2024-01-01 10:00:00", "٢٠٢٤-01-01", "P٢D"],
)  # fmt: skip
def test_no_temporal_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_temporal(text)


def test_summer_time() -> None:
    before = parse_temporal("2024-03-31T01:59:59@Europe/Berlin")
    after = parse_temporal("2024-03-31T03:00:00@Europe/Berlin")
    assert isinstance(before, DateTime)
    assert isinstance(after, DateTime)
    assert before.plus(DaysTimeDuration(1_000_000_000)) == after
    assert (before.offset, after.offset) == (3600, 7200)
    far = parse_temporal("99999-07-01T12:00:00@Europe/Berlin")
    assert isinstance(far, DateTime)
    assert far.offset == 7200


def test_equal_instants_are_not_identical_texts() -> None:
    a, b = parse_temporal("10:00:00Z"), parse_temporal("11:00:00+01:00")
    assert a == b
    assert hash(a) == hash(b)
    assert not identical(a, b)
    assert parse_duration("P1Y") == YearsMonthsDuration(12)


PERSON = ContextOf((("name", STRING), ("age", NUMBER)))
TREE = Named("tree", lambda name: ContextOf((("children", ListOf(TREE)),)))
GRADE = Restricted(NUMBER, lambda n: 1 <= n <= 6, "[1..6]")


@pytest.mark.parametrize(
    ("expression", "type_", "value"),
    [
        ("5", NUMBER, Decimal(5)),
        ('"5"', NUMBER, None),
        ("[5]", NUMBER, Decimal(5)),
        ("[5, 6]", NUMBER, None),
        ("5", ListOf(NUMBER), [Decimal(5)]),
        ('["x", 5]', ListOf(NUMBER), None),
        ("[null]", ListOf(NUMBER), [None]),
        ("null", NUMBER, None),
        ("5", None, Decimal(5)),
        ("5", ANY, Decimal(5)),
        ('@"2024-02-29"', DATE_TIME, parse_temporal("2024-02-29T00:00:00Z")),
        (
            '{name: "A", age: [3], more: 1}',
            PERSON,
            {"name": "A", "age": Decimal(3), "more": Decimal(1)},
        ),
        ('{name: "A"}', PERSON, None),
        ('{name: "A", age: "3"}', PERSON, None),
        ("5", GRADE, Decimal(5)),
        ("7", GRADE, None),
        ("[1, 7]", ListOf(GRADE), None),
        ("{children: [{children: []}]}", TREE, {"children": [{"children": []}]}),
        ("{children: [1]}", TREE, None),
        ("[1..3]", RangeOf(NUMBER), evaluate("[1..3]", {})),
        ("[1..3]", RangeOf(STRING), None),
    ],
)
def test_coerce(expression: str, type_: Type | None, value: Value) -> None:
    run = Run()
    run.notes = []
    given = evaluate(expression, {})
    assert same(coerce(given, type_, run), value)
    assert bool(run.notes) == (value is None and given is not None)


def test_a_coerced_function_answers_in_its_type() -> None:
    wanted = FunctionOf((NUMBER,), STRING)
    run = Run()
    text = coerce(evaluate("function(n) string(n)", {}), wanted, run)
    number = coerce(evaluate("function(n) n", {}), wanted, run)
    assert evaluate("f(1)", {"f": text}) == "1"
    assert evaluate("f(1)", {"f": number}) is None
    assert coerce(evaluate("function(a, b) a", {}), wanted, run) is None
    assert coerce(evaluate("function(a: string) a", {}), wanted, run) is None


def test_types_of_values_and_their_order() -> None:
    assert type_of([Decimal(1), None]) == ListOf(NUMBER)
    assert type_of([Decimal(1), "x"]) == ListOf(ANY)
    assert is_subtype(ListOf(NUMBER), ListOf(ANY))
    assert not is_subtype(ListOf(ANY), ListOf(NUMBER))
    assert is_subtype(FunctionOf((ANY,), NUMBER), FunctionOf((STRING,), ANY))
    assert not is_subtype(FunctionOf((STRING,), ANY), FunctionOf((ANY,), NUMBER))
    assert is_subtype(PERSON, ContextOf((("age", NUMBER),)))
    assert conforms(Decimal(9), GRADE)  # allowed values do not count here
    assert not conforms(None, ANY)
    assert not conforms(True, NUMBER)
    assert conforms([True], ListOf(BOOLEAN))
    assert kind((1, 2)) == "list"
