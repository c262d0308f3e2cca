"""What expressions mean, by the chapters of the standard (DMN 1.5, section 10.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.feel import Range, Value, evaluate, parse_temporal
from tests.feel.sameness import same


def number(text: str) -> Decimal:
    return Decimal(text)


def numbers(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


ARITHMETIC = [
    ("1 + 2 * 3", number("7")),
    ("(1 + 2) * 3", number("9")),
    ("2 ** 3 ** 2", number("64")),
    ("-3 ** 2", number("9")),
    ("--10", number("10")),
    ("10 / 4", number("2.5")),
    ("1 / 3", number("0.3333333333333333333333333333333333")),
    ("0.1 + 0.2", number("0.3")),
    ("1 / 0", None),
    ("1.2e3", number("1200")),
    (".5", number("0.5")),
    ('"foo" + "bar"', "foobar"),
    ('"foo" + 1', None),
    ("null + 1", None),
    ('@"P1D" * 1.5', parse_temporal("P1DT12H")),
    ('@"P1Y" / @"P1M"', number("12")),
    ('@"2024-01-31" + @"P1M"', parse_temporal("2024-02-29")),
    ('@"2024-03-31T01:30:00@Europe/Berlin" + @"PT1H"', parse_temporal("2024-03-31T03:30:00@Europe/Berlin")),
    ('@"2021-01-02" - @"PT1H"', parse_temporal("2021-01-01")),
    ('@"10:00:00" - @"11:00:00"', parse_temporal("-PT1H")),
    ('@"2021-01-02T10:00:00+02:00" - @"2021-01-01T10:00:00"', None),
]  # fmt: skip

COMPARISON = [
    ("1 = 1.0", True),
    ('1 = "1"', None),
    ("1 != 2", True),
    ("null = null", True),
    ("[] = null", False),
    ('[1] = ["a"]', False),
    ("{a: 1, b: 2} = {b: 2, a: 1}", True),
    ("[1..10) = [1..10[", True),
    ("(< 10) = (null..10)", False),
    ('"a" < "b"', True),
    ('1 < "b"', None),
    ("5 between 3 and 7", True),
    ('"b" between "a" and "c"', True),
    ("5 between null and 7", None),
    ("8 between null and 7", False),
    ("5 in (3, 5, 7)", True),
    ("5 in [1..5)", False),
    ("5 in (< 3, > 4)", True),
    ("5 in [[1..2], [4..6]]", True),
    ("[1] in [[1], [2]]", True),
    ('"b" in ("a", "b")', True),
    ("null in [1..10]", None),
    ("5 in [1..null]", None),
    ("7 in (3 + 4) * 1", True),
    ('@"10:00:00Z" = @"11:00:00+01:00"', True),
    ('@"2024-01-01" = @"2024-01-01T00:00:00"', None),
]

LOGIC = [
    ("true and false", False),
    ("true and null", None),
    ("null and false", False),
    ("false or true", True),
    ("null or false", None),
    ('"x" or true', True),
    ("true or null and false", True),
    ("not(null)", None),
    ("if null then 1 else 2", number("2")),
    ('if "x" then 1 else 2', number("2")),
    ("1 instance of number", True),
    ("null instance of Any", False),
    ("[1, 2] instance of list<number>", True),
    ('{a: "x"} instance of context<a: string, b: number>', False),
    ("[1..2] instance of range<number>", True),
    ("abs instance of function<number> -> number", False),
    ("(function(a: number) a) instance of function<number> -> Any", True),
    ("1 instance of tUnheardOf", None),
]

COLLECTIONS = [
    ("[1, 2, 3][-1]", number("3")),
    ("[1, 2, 3][4]", None),
    ("[1, 2, 3][item > 1]", numbers("2", "3")),
    ("[{a: 1}, {a: 2}][a > 1].a", numbers("2")),
    ("[{item: 1}, {item: 2}][item > 1]", [{"item": number("2")}]),
    ("{i: 2, r: [5, 6, 7][i]}.r", number("6")),
    ("100[1]", number("100")),
    ("100[item > 1]", numbers("100")),
    ("[{a: {b: 1}}, {a: {b: 2}}].a.b", numbers("1", "2")),
    ("[{a: 1}, {b: 2}].a", [number("1"), None]),
    ("{a: 1, b: a + 1, c: b * 2}.c", number("4")),
    ("{first name: 1, b: first name + 1}.b", number("2")),
    ("{a+b: 7, c: a+b}.c", number("7")),
    ("{c: [{a+b: 1}], d: 2}.c[a+b = 1]", [{"a+b": number("1")}]),
    ("{a: 1, a: 2}", None),
    ("[1..3].start", number("1")),
    ("(< 5).start included", False),
    ('@"2024-02-29".weekday', number("4")),
    ('@"PT36H".hours', number("12")),
]

ITERATION = [
    ("for i in 1..3 return i * i", numbers("1", "4", "9")),
    ("for i in 3..1 return i", numbers("3", "2", "1")),
    ("for i in [1..3] return i", numbers("1", "2", "3")),
    ("for i in (1..3) return i", numbers("2")),
    ("for i in [2..1] return i", None),
    ("for i in null return i", None),
    ("for i in 7 return i", numbers("7")),
    ("for x in [1, 2], y in [x, 10] return x * y", numbers("1", "10", "4", "20")),
    ("for i in 0..4 return if i = 0 then 1 else i * partial[-1]", numbers("1", "1", "2", "6", "24")),
    ("for i in 1..3 return sum(append(partial, i))", numbers("1", "3", "7")),
    ('for d in @"2024-02-28"..@"2024-03-01" return d.day', numbers("28", "29", "1")),
    ("for my item in [1, 2] return my item + 1", numbers("2", "3")),
    ("some x in [1, 2], y in [2, 3] satisfies x = y", True),
    ("every x in [1, 2] satisfies x > 0", True),
    ("every x in [] satisfies false", True),
    ("some x in [1, null] satisfies x > 5", None),
]  # fmt: skip

FUNCTIONS = [
    ("(function(a, b) a - b)(5, 3)", number("2")),
    ("(function(a, b) a - b)(b: 5, a: 3)", number("-2")),
    ("(function(a: number) a)(\"x\")", None),
    ("(function(a: number) a)([4])", number("4")),
    ("(function(a) a)(1, 2)", None),
    ("(function(a) a)(c: 1)", None),
    ("{add: function(x) function(y) x + y, r: add(1)(2)}.r", number("3")),
    ("{f: function(n) if n <= 1 then 1 else n * f(n - 1), r: f(20)}.r", number("2432902008176640000")),
    ("sort([3, 1, 2], function(a, b) a > b)", numbers("3", "2", "1")),
    ("{half: function(x) x / 2, r: for f in [half, abs] return f(-4)}.r", numbers("-2", "4")),
    ("nonsense(1)", None),
    ("null()", None),
    ("{count: 3, r: count([1, 2])}.r", number("2")),
    ("substring(start position: 3, string: \"foobar\")", "obar"),
    ("substring(string: \"foobar\", begin: 3)", None),
]  # fmt: skip

TEXT = [
    (r'"\"quoted\" \\ tab\t\u00e9"', '"quoted" \\ tab\té'),
    (r'"\uD83D\uDC0E"', "🐎"),
    (r'"\U01F40E"', "🐎"),
    (r'matches("a1", "\w\d")', True),
    ('string length("🐎")', number("1")),
    ("1 /* one */ + // two\n 2", number("3")),
    ('{"key with: signs!": 1}', {"key with: signs!": number("1")}),
]


@pytest.mark.parametrize(
    ("expression", "value"),
    [*ARITHMETIC, *COMPARISON, *LOGIC, *COLLECTIONS, *ITERATION, *FUNCTIONS, *TEXT],
)
def test_expression(expression: str, value: Value) -> None:
    assert same(evaluate(expression, {}), value)


VARIABLES: dict[str, Any] = {
    "a": 5,
    "b": 2.5,
    "a b": 7,
    "a-b": 100,
    "Applicant's age": 30,
    "monthly.fee": 9,
    "list": [1, {"x": 2.5}],
    "🐎": "horse",
    "größe": 3,
    "date": True,
    "time": True,
    "count": 4,
    "range": Range(number("1"), number("3"), True, True),
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a + b", number("7.5")),
        ("a b + 1", number("8")),
        ("a   b + 1", number("8")),
        ("a-b + 1", number("101")),
        ("a - b", number("2.5")),
        ("Applicant's age / 2", number("15")),
        ("monthly.fee * 12", number("108")),
        ("list[2].x", number("2.5")),
        ("🐎", "horse"),
        ("größe + 1", number("4")),
        ("date and time", True),
        ('date and time("2024-01-01T00:00:00").year', number("2024")),
        ("count + count([1, 2])", number("6")),
        ("2 in range", True),
        ("missing", None),
    ],
)
def test_longest_known_name_wins(expression: str, value: Value) -> None:
    assert same(evaluate(expression, VARIABLES), value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[1, 2, 3][item > 1][1]", number("2")),
        ("{x: [1, 2], y: x[1]}.y", number("1")),
        ("for f in [function(x) x + 1] return f(1)", numbers("2")),
        ("[for x in [1, 2] return {y: x, z: function() y * 10}][1].z()", None),
        ("(for x in [1, 2] return {y: x, z: function() y * 10})[2].z()", number("20")),
        ("[[1, 2], [3]][count(item) = 1]", [numbers("3")]),
        ("[1, 2][some y in [2] satisfies y = item]", numbers("2")),
        ("[{a: 1, b: [{a: 5}, {a: 6}]}][b[a = 5][1].a = 5].a", numbers("1")),
        ("[{a: 1, b: [{c: 5}]}][count(b[a = 1]) = 1].a", numbers("1")),
    ],
)
def test_scopes_nest(expression: str, value: Value) -> None:
    """Inner names hide outer ones, functions keep theirs, entries of outer items are seen from inner filters."""
    assert same(evaluate(expression, {}), value)
