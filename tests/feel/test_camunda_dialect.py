"""FEEL as people write it in Camunda Modeler.

Expectations are those of the public documentation of Camunda 8.8 (docs.camunda.io, "FEEL expressions"), page by page;
the expressions follow its examples. Written as FEEL so that both sides are read the same way.
"""

from __future__ import annotations

from typing import Any

import pytest

from engine.feel import FeelError, Value, compile_expression, evaluate, parse_temporal, unary_test
from tests.feel.sameness import same

NOW = parse_temporal("2020-07-31T14:27:30@Europe/Berlin")

DATA_TYPES = [
    ("null", "null"),
    ("1 + .5 + -2", "-0.5"),
    ('"a\\nb"', '"a\\nb"'),
    ("[1, [2]]", "[1, [2]]"),
    ('{"a": 1}', "{a: 1}"),
    ('@"2020-04-06"', 'date("2020-04-06")'),
    ('@"08:00:00+02:00"', 'time("08:00:00+02:00")'),
    ('@"2020-04-06T08:00:00@Europe/Berlin"', 'date and time("2020-04-06T08:00:00@Europe/Berlin")'),
    ('@"PT6H"', 'duration("PT6H")'),
    ('@"P1Y6M"', 'duration("P1Y6M")'),
    ('@"2024-06-31"', "null"),
]

BOOLEAN_EXPRESSIONS = [
    ("5 = 5", "true"),
    ("5 != 5", "false"),
    ('date("2020-04-05") < date("2020-04-06")', "true"),
    ('time("08:00:00") <= time("08:00:00")', "true"),
    ('duration("P1D") > duration("P5D")', "false"),
    ('duration("P1Y") >= duration("P6M")', "true"),
    ("5 between 3 and 7", "true"),
    ('date("2020-04-06") between date("2020-04-05") and date("2020-04-09")', "true"),
    ("null = null", "true"),
    ('"foo" = null', "false"),
    ("{x: null}.x = null", "true"),
    ("{}.y = null", "true"),
    ("true and true", "true"),
    ("true and false", "false"),
    ("true and null", "null"),
    ('true and "otherwise"', "null"),
    ("false and null", "false"),
    ('false and "otherwise"', "false"),
    ("true or false", "true"),
    ("false or false", "false"),
    ("true or null", "true"),
    ('true or "otherwise"', "true"),
    ("false or null", "null"),
    ('false or "otherwise"', "null"),
    ("1 instance of number", "true"),
    ("1 instance of string", "false"),
    ("1 instance of Any", "true"),
    ("null instance of Any", "false"),
    ('@"P1D" instance of day-time-duration', "true"),
    ('@"P1Y" instance of year-month-duration', "true"),
    ('@"2020-01-01T00:00:00" instance of date time', "true"),
    ("[1] instance of list", "true"),
    ("{a: 1} instance of context", "true"),
    ("(function() 1) instance of function", "true"),
    ("5 in (3..7)", "true"),
    ('date("2021-06-04") in [date("2021-05-01")..date("2021-05-31")]', "false"),
    ("5 in (3, 5, 7)", "true"),
    ("5 in [2, 4, 6, 8]", "false"),
]

LISTS_AND_CONTEXTS = [
    ("[1,2,3,4][1]", "1"),
    ("[1,2,3,4][5]", "null"),
    ("[1,2,3,4][0]", "null"),
    ("[1,2,3,4][-1]", "4"),
    ("[1,2,3,4][-5]", "null"),
    ("[1,2,3,4][item > 2]", "[3, 4]"),
    ("[1,2,3,4][item > 10]", "[]"),
    ("[1,2,3,4][even(item)]", "[2, 4]"),
    ("some x in [1,2,3] satisfies x > 2", "true"),
    ("some x in [1,2,3] satisfies x > 5", "false"),
    ("some x in [1,2], y in [2,3] satisfies x < y", "true"),
    ("every x in [1,2,3] satisfies x >= 1", "true"),
    ("every x in [1,2,3] satisfies even(x)", "false"),
    ("every x in [1,2], y in [2,3] satisfies x < y", "false"),
    ("{a: 2, b: a * 2}", "{a: 2, b: 4}"),
    ("{a: {b: 3}}.a.b", "3"),
    ('[{a: "p1", b: 5}, {a: "p2", b: 10}][b > 7]', '[{a: "p2", b: 10}]'),
    ('[{a: "p1", b: 5}, {a: "p2", b: 10}].a', '["p1", "p2"]'),
    ("[{a: 1}, {b: 2}].a", "[1, null]"),
    ("[{a: 1}, {b: 2}][a < 10]", "[{a: 1}]"),
    ("{a: 1, a: 2}", "{a: 2}"),
    ("order.`total price`", "40"),
    ("`first name`", '"Ada"'),
    ("`tracking-id` + 1", "8"),
    ('{`a+b`: 1, c: `a+b` + 1}.c', "2"),
    ('get value(order, "total price")', "40"),
    ("for p in distinct values(invoices.person) return count(invoices[person = p])", "[2, 1]"),
    (
        "{ids: union(x.files.id, y.files.id), "
        "byId: function(files, fileId) get or else(files[id = fileId][1], {}), "
        "merge: for id in ids return context merge(byId(x.files, id), byId(y.files, id))}.merge",
        '[{id: 1, content: "a2"}, {id: 2, content: "b"}, {id: 3, content: "c"}]',
    ),
]  # fmt: skip

TEMPORAL = [
    ('date("2020-04-06") + duration("P1D")', '@"2020-04-07"'),
    ('time("08:00:00") + duration("PT1H")', '@"09:00:00"'),
    ('date and time("2020-04-06T08:00:00") + duration("P7D")', '@"2020-04-13T08:00:00"'),
    ('duration("P2D") + duration("P5D")', '@"P7D"'),
    ('date("2020-04-06") - date("2020-04-01")', '@"P5D"'),
    ('date("2020-04-06") - duration("P5D")', '@"2020-04-01"'),
    ('time("08:00:00") - time("06:00:00")', '@"PT2H"'),
    ('duration("P1Y") - duration("P3M")', '@"P9M"'),
    ('duration("P1D") * 5', '@"P5D"'),
    ('duration("P1M") * 6', '@"P6M"'),
    ('duration("P5D") / duration("P1D")', "5"),
    ('duration("P5D") / 5', '@"P1D"'),
    ('duration("P1Y") / duration("P1M")', "12"),
    ('date("2020-04-06").weekday', "1"),
    ('date and time("2020-04-06T08:00:00+02:00").time offset', '@"PT2H"'),
    ('date and time("2020-04-06T08:00:00@Europe/Berlin").timezone', '"Europe/Berlin"'),
    ('duration("PT2H30M").minutes', "30"),
    ('(now() - @"1970-01-01T00:00Z") / @"PT1S" * 1000', "1596198450000"),
    ("now()", 'date and time("2020-07-31T14:27:30@Europe/Berlin")'),
    ("today()", 'date("2020-07-31")'),
    ('years and months duration(date("1990-08-01"), today()).years', "29"),
    ('day of week(today()) in ("Saturday","Sunday")', "false"),
    (
        '(for x in 1..7 return date and time(today(), @"08:00:00Z") + @"P1D" * x)'
        '[day of week(item) = "Tuesday"][1]',
        '@"2020-08-04T08:00:00Z"',
    ),
    (
        '{time: @"09:00:00@Europe/Berlin", date: if time(now()) < time then today() else today() + @"P1D",'
        " at: date and time(date, time)}.at",
        '@"2020-08-01T09:00:00@Europe/Berlin"',
    ),
    ('string(@"P0D")', '"P0D"'),
]  # fmt: skip

CONVERSIONS = [
    ("string(1.1)", '"1.1"'),
    ('string(date("2012-12-25"))', '"2012-12-25"'),
    ("string([1, 2, 3])", '"[1, 2, 3]"'),
    ("string({x: 1})", '"{x: 1}"'),
    ('number("1500.5")', "1500.5"),
    ('number("1,500", ",")', "1500"),
    ('number("1 500.5", " ", ".")', "1500.5"),
    ('number("abc")', "null"),
    ('context([{"key":"a", "value":1}, {"key":"b", "value":2}])', "{a: 1, b: 2}"),
    ('context([{"key":"a", "value":1}, {"key":"a", "value":2}])', "{a: 2}"),
    ('date(date and time("2012-12-25T11:00:00"))', '@"2012-12-25"'),
    ("date(2012, 12, 25)", '@"2012-12-25"'),
    ("date(2024, 6, 31)", "null"),
    ('time(date and time("2012-12-25T11:00:00"))', '@"11:00:00"'),
    ("time(23, 59, 0)", '@"23:59:00"'),
    ('time(14, 30, 0, duration("PT1H"))', '@"14:30:00+01:00"'),
    ('date and time("2018-04-29T09:30:00+02:00[Europe/Berlin]")', '@"2018-04-29T09:30:00@Europe/Berlin"'),
    ('date and time(date("2012-12-24"), time("T23:59:00"))', '@"2012-12-24T23:59:00"'),
    ('date and time(@"2020-07-31T14:27:30@Europe/Berlin", "America/Los_Angeles")', '@"2020-07-31T05:27:30@America/Los_Angeles"'),
    ('date and time(@"2020-07-31T14:27:30@Europe/Berlin", "Z")', '@"2020-07-31T12:27:30Z"'),
    ('years and months duration(date("2011-12-22"), date("2013-08-24"))', '@"P1Y8M"'),
    ('from json("{\\"a\\": 1, \\"b\\": 2}")', "{a: 1, b: 2}"),
    ('from json("true")', "true"),
    ('from json("\\"2023-06-14\\"")', '"2023-06-14"'),
    ('from json("{")', "null"),
    ("to json({a: 1, b: 2})", '"{\\"a\\":1,\\"b\\":2}"'),
    ("to json(true)", '"true"'),
    ('to json(@"2023-06-14")', '"\\"2023-06-14\\""'),
    ('to json(@"2025-11-24T10:00:00@Europe/Berlin")', '"\\"2025-11-24T10:00:00+01:00[Europe/Berlin]\\""'),
    ('to json(@"P3Y")', '"\\"P3Y\\""'),
]  # fmt: skip

BOOLEAN_AND_NULL = [
    ("not(true)", "false"),
    ("not(null)", "null"),
    ("is defined(1)", "true"),
    ("is defined(null)", "false"),
    ("is defined(nowhere)", "false"),
    ("is defined(nowhere.y)", "false"),
    ('get or else("this", "default")', '"this"'),
    ('get or else(null, "default")', '"default"'),
    ("get or else(null, null)", "null"),
    ("assert(order, order != null).id", "7"),
    ("fromAi(order.id)", "7"),
    ('fromAi(value: order.id, type: "number")', "7"),
    ("nowhere.b > 10", "null"),
    ("nowhere", "null"),
    ("noSuchFunction(1)", "null"),
    ("upper case(1)", "null"),
    ('1 < "2"', "null"),
    ('1 + "2"', "null"),
    ("nowhere != null and nowhere.b > 10", "false"),
    ('get or else(nowhere, "prio-99")', '"prio-99"'),
    ("if nowhere > 1 then 1 else 2", "2"),
]

STRINGS = [
    ('substring("foobar", 3)', '"obar"'),
    ('substring("foobar", -2)', '"ar"'),
    ('substring("foobar", 3, 3)', '"oba"'),
    ('substring("foobar", 3, 10)', '"obar"'),
    ('string length("foo")', "3"),
    ('upper case("aBc4")', '"ABC4"'),
    ('lower case("aBc4")', '"abc4"'),
    ('substring before("foobar", "bar")', '"foo"'),
    ('substring after("foobar", "ob")', '"ar"'),
    ('contains("foobar", "of")', "false"),
    ('starts with("foobar", "fo")', "true"),
    ('ends with("foobar", "r")', "true"),
    ('matches("foobar", "^fo*bar")', "true"),
    ('matches("FooBar", "foo", "i")', "true"),
    ('replace("abcd", "(ab)|(a)", "[1=$1][2=$2]")', '"[1=ab][2=]cd"'),
    ('replace("0123456789", "(\\d{3})(\\d{3})(\\d{4})", "($1) $2-$3")', '"(012) 345-6789"'),
    ('replace("How do you feel?", "Feel", "FEEL", "i")', '"How do you FEEL?"'),
    ('split("John Doe", "\\s")', '["John", "Doe"]'),
    ('split("a;b;c;;", ";")', '["a", "b", "c", "", ""]'),
    ('extract("references are 1234, 1256, 1378", "12[0-9]*")', '["1234", "1256"]'),
    ('trim("  hello world  ")', '"hello world"'),
    ('trim("hello   world ")', '"hello   world"'),
    ('to base64("FEEL")', '"RkVFTA=="'),
    ('from base64("RkVFTA==")', '"FEEL"'),
    ('from base64("?")', "null"),
    ('is blank("")', "true"),
    ('is blank(" ")', "true"),
    ('is blank("hello world")', "false"),
    ('contains(string: "me@camunda.com", match: ".de")', "false"),
]

NUMBERS = [
    ("decimal(1/3, 2)", ".33"),
    ("decimal(1.5, 0)", "2"),
    ("decimal(2.5, 0)", "2"),
    ('decimal(2.5, 0, "half_up")', "3"),
    ("floor(-1.56, 1)", "-1.6"),
    ("ceiling(-1.56, 1)", "-1.5"),
    ("round up(5.5)", "6"),
    ("round up(-1.126, 2)", "-1.13"),
    ("round down(-5.5)", "-5"),
    ("round half up(-5.5)", "-6"),
    ("round half down(5.5)", "5"),
    ("abs(-10)", "10"),
    ("modulo(12, 5)", "2"),
    ("sqrt(16)", "4"),
    ("decimal(log(10), 6)", "2.302585"),
    ("decimal(exp(5), 6)", "148.413159"),
    ("odd(5)", "true"),
    ("even(5)", "false"),
]

LIST_FUNCTIONS = [
    ("list contains([1,2,3], 2)", "true"),
    ("count([1,2,3])", "3"),
    ("min(1,2,3)", "1"),
    ("max([1,2,3])", "3"),
    ("sum(1,2,3)", "6"),
    ("product([2, 3, 4])", "24"),
    ("mean([1,2,3])", "2"),
    ("median([6, 1, 2, 3])", "2.5"),
    ("decimal(stddev(2, 4, 7, 5), 6)", "2.081666"),
    ("mode([6, 1, 9, 6, 1])", "[1, 6]"),
    ("all(false,null,true)", "false"),
    ("any(false,null,true)", "true"),
    ("and([true,false])", "false"),
    ("or(false,null,true)", "true"),
    ("sublist([1,2,3], 1, 2)", "[1, 2]"),
    ("append([1], 2, 3)", "[1, 2, 3]"),
    ("concatenate([1],[2],[3])", "[1, 2, 3]"),
    ("insert before([1,3],1,2)", "[2, 1, 3]"),
    ("remove([1,2,3], 2)", "[1, 3]"),
    ("reverse([1,2,3])", "[3, 2, 1]"),
    ("index of([1,2,3,2],2)", "[2, 4]"),
    ("union([1,2],[2,3])", "[1, 2, 3]"),
    ("distinct values([1,2,3,2,1])", "[1, 2, 3]"),
    ("duplicate values([1,2,3,2,1])", "[1, 2]"),
    ("flatten([[1,2],[[3]], 4])", "[1, 2, 3, 4]"),
    ("sort(list: [3,1,4,5,2], precedes: function(x,y) x < y)", "[1, 2, 3, 4, 5]"),
    ('string join(["a",null,"c"])', '"ac"'),
    ('string join(["a","b","c"], ", ")', '"a, b, c"'),
    ('string join(["a","b","c"], ", ", "[", "]")', '"[a, b, c]"'),
    ('string join(["a","b"], ", ", "> ")', '"> a, b"'),
    ("is empty([])", "true"),
    ("is empty([1,2,3])", "false"),
    ("partition([1,2,3,4,5], 2)", "[[1,2], [3,4], [5]]"),
    ("partition([], 2)", "[]"),
    ("partition([1,2], 0)", "null"),
]

CONTEXT_AND_DATE_FUNCTIONS = [
    ('get value({foo: 123}, "foo")', "123"),
    ('get value({a: 1}, "b")', "null"),
    ('get value({x:1, y: {z:0}}, ["y", "z"])', "0"),
    ('get value({a: {b: 3}}, ["b"])', "null"),
    ("get entries({foo: 123})", '[{key: "foo", value: 123}]'),
    ('get value(context: {foo: 123}, key: "foo")', "123"),
    ('get value(context: {x: {y: 1}}, keys: ["x", "y"])', "1"),
    ("get entries(context: {foo: 123})", '[{key: "foo", value: 123}]'),
    ('context put(context: {x: 1}, key: "y", value: 2)', "{x: 1, y: 2}"),
    ("abs(number: -10)", "10"),
    ('context put({x:1}, "y", 2)', "{x: 1, y: 2}"),
    ('context put({x:1}, ["y", "z"], 2)', "{x: 1, y: {z: 2}}"),
    ('put({x:1}, "y", 2)', "{x: 1, y: 2}"),
    ("context merge([{x:1, y: 0}, {y:2}])", "{x: 1, y: 2}"),
    ("context merge({x:1}, {y:2})", "{x: 1, y: 2}"),
    ("put all({x:1}, {y:2})", "{x: 1, y: 2}"),
    ('day of week(date and time("2019-09-17T12:00:00"))', '"Tuesday"'),
    ('day of year(date("2019-09-17"))', "260"),
    ('week of year(date("2019-09-17"))', "38"),
    ('month of year(date("2019-09-17"))', '"September"'),
    ('abs(duration("-PT5H"))', '@"PT5H"'),
    ('last day of month(date("2022-10-01"))', '@"2022-10-31"'),
    ('last day of month(date and time("2024-02-16T12:00:00"))', '@"2024-02-29"'),
    ("before([1..5], [6..10])", "true"),
    ("overlaps before([1..5], [3..8])", "true"),
]

CONTROL_FLOW = [
    ('if 5 < 10 then "low" else "high"', '"low"'),
    ('if null then "low" else "high"', '"high"'),
    ("for x in [1,2,3] return x * 2", "[2, 4, 6]"),
    ("for x in [1,2], y in [3,4] return x * y", "[3, 4, 6, 8]"),
    (
        "for i in 1..10 return if (i <= 2) then 1 else partial[-1] + partial[-2]",
        "[1, 1, 2, 3, 5, 8, 13, 21, 34, 55]",
    ),
    (
        'for x in ["a","b"] return {value: x, index: count(partial) + 1}',
        '[{value: "a", index: 1}, {value: "b", index: 2}]',
    ),
    ("for x in 3..1 return 2 * x", "[6, 4, 2]"),
    ("for x in 0..4 return 2 ** x", "[1, 2, 4, 8, 16]"),
    ('"order-" + string(123)', '"order-123"'),
]

RANGES = [
    ("before(1, 10)", "true"),
    ("before([1..5], 10)", "true"),
    ("before([1..5), [5..10])", "true"),
    ("after(12, [2..5])", "true"),
    ("after([5..10], [1..5))", "true"),
    ("meets([1..5], [5..10])", "true"),
    ("meets([1..5], (5..8])", "false"),
    ("met by([5..10], [1..5))", "false"),
    ("overlaps([5..10], [1..6])", "true"),
    ("overlaps([1..3], (3..6])", "false"),
    ("overlaps([4..10], [1..5))", "true"),
    ("overlaps before([1..5), (3..8])", "true"),
    ("overlaps before([1..5), [5..10])", "false"),
    ("overlaps after([4..10], [1..5))", "true"),
    ("finishes(5, [1..5])", "true"),
    ("finishes([5..10], [1..10))", "false"),
    ("finished by([5..10], 10)", "true"),
    ("finished by([5..10], (1..10))", "false"),
    ("includes([1..10], [1..5))", "true"),
    ("during(1, (1..10])", "false"),
    ("during((1..5], (1..10])", "true"),
    ("starts((1..5), (1..10))", "true"),
    ("starts(1, (1..8])", "false"),
    ("started by([1..10], [1..10))", "true"),
    ("coincides(5, 5)", "true"),
    ("coincides((1..5], [1..5))", "false"),
]

TABLE = [
    *DATA_TYPES,
    *BOOLEAN_EXPRESSIONS,
    *LISTS_AND_CONTEXTS,
    *TEMPORAL,
    *CONVERSIONS,
    *BOOLEAN_AND_NULL,
    *STRINGS,
    *NUMBERS,
    *LIST_FUNCTIONS,
    *CONTEXT_AND_DATE_FUNCTIONS,
    *CONTROL_FLOW,
    *RANGES,
]
VARIABLES: dict[str, Any] = {
    "order": {"id": 7, "total price": 40},
    "first name": "Ada",
    "tracking-id": 7,
    "invoices": [{"person": "A"}, {"person": "B"}, {"person": "A"}],
    "x": {"files": [{"id": 1, "content": "a"}, {"id": 2, "content": "b"}]},
    "y": {"files": [{"id": 1, "content": "a2"}, {"id": 3, "content": "c"}]},
}


@pytest.mark.parametrize(("expression", "expected"), TABLE)
def test_documented_expression(expression: str, expected: str) -> None:
    found = evaluate(expression, VARIABLES, "camunda", now=NOW)
    assert same(found, evaluate(expected, {}))


def test_the_table_is_long_enough() -> None:
    assert len({expression for expression, _ in TABLE}) >= 150


@pytest.mark.parametrize(
    ("tests", "value", "expected"),
    [
        ('"valid"', "valid", True),
        ("< 10", 9, True),
        ('<= date("2020-04-06")', parse_temporal("2020-04-07"), False),
        ('>= duration("P5D")', parse_temporal("P6D"), True),
        ("(2..5)", 2, False),
        ("]2..5[", 3, True),
        ("2, 3, 4", 3, True),
        ("< 10, > 50", 20, False),
        ('not("valid")', "other", True),
        ("not(2, 3)", 3, False),
        ('contains(?, "good")', "very good", True),
        ('ends with(?, "@camunda.com")', "me@example.org", False),
        ("-", None, True),
        ("null", None, True),
        ("even(4)", "anything", True),
        ("limit > 3", "anything", True),
        ("limit > 30", "anything", False),
        ("limit", 5, True),
        ("false", False, True),
        ("true", False, False),
        ("[1, 2, 3]", 2, True),
        ("< 10", "text", None),
    ],
)
def test_unary_tests(tests: str, value: Value, expected: bool | None) -> None:
    assert unary_test(tests, value, {"limit": 5}, "camunda") is expected


@pytest.mark.parametrize("expression", ["uuid()", "random number()", "now()", "today()"])
def test_time_and_chance_must_be_given(expression: str) -> None:
    with pytest.raises(FeelError, match=r"needs (the time|chance)"):
        evaluate(expression, {}, "camunda")


def test_chance_follows_from_the_seed() -> None:
    first, second = (
        evaluate("[uuid(), uuid(), random number()]", {}, "camunda", seed="run 1") for _ in range(2)
    )
    assert first == second
    assert first[0] != first[1]
    assert [len(part) for part in first[0].split("-")] == [8, 4, 4, 4, 12]
    assert 0 <= first[2] < 1
    assert first != evaluate("[uuid(), uuid(), random number()]", {}, "camunda", seed="run 2")


def test_time_may_come_as_a_variable() -> None:
    condition = compile_expression('now() > @"2020-01-01T00:00:00Z"')
    assert condition.needs == {"now"}
    assert condition({"now": NOW}) is True


def test_assert_fails_with_its_cause() -> None:
    with pytest.raises(FeelError, match="'x' should be positive"):
        evaluate("assert(x, x >= 0, \"'x' should be positive\")", {"x": -1}, "camunda")


@pytest.mark.parametrize("expression", ['trim(" a ")', "uuid()", "and_(1)"])
def test_functions_of_camunda_are_unknown_to_the_standard(expression: str) -> None:
    assert evaluate(expression, {}, "dmn") is None


@pytest.mark.parametrize("expression", ["is defined(1)", "`a`", "and(true)", "get or else(1, 2)"])
def test_syntax_of_camunda_is_no_feel_of_the_standard(expression: str) -> None:
    with pytest.raises(FeelError):
        evaluate(expression, {}, "dmn")
