"""Why is it null? Every null has a reason with a place, and asking for reasons changes no value."""

from __future__ import annotations

from typing import Any

import pytest

from engine.feel import compile_expression, compile_unary_tests

VARIABLES: dict[str, Any] = {"a": 1, "text": "x", "order": {"id": 7}, "items": [1, 2]}


@pytest.mark.parametrize(
    ("expression", "reasons"),
    [
        ("a + 1", []),
        ("a + text", [("number + string has no value", "a + text")]),
        ("b", [("there is no variable 'b'", "b")]),
        ("b + 1", [("there is no variable 'b'", "b"), ("null + number has no value", "b + 1")]),
        ("order.name", [("the context has no entry 'name'", "order.name")]),
        ("a / 0", [("division by zero", "a / 0")]),
        ("items[5]", [("there is no item 5 in a list of 2", "items[5]")]),
        ('a > "5"', [("number > string has no value", 'a > "5"')]),
        ("a and true", [("number is neither true nor false", "a and true")]),
        ("if a then 1 else 2", [("the condition is number, which counts as false", "a")]),
        ("order.id(1)", [("expected a function to call, but got number", "order.id(1)")]),
        ("frobnicate(1)", [
            ("there is no variable 'frobnicate'", "frobnicate"),
            ("expected a function to call, but got null", "frobnicate(1)"),
        ]),
        ("substring(a, 1)", [
            ("substring: expected string as 'string', but got number", "substring(a, 1)")
        ]),
        ('date("2024-02-30")', [("date: 2024-2-30 is no date", 'date("2024-02-30")')]),
        ("sqrt(-1)", [("sqrt: the result is no number, or beyond 10 ** 6144", "sqrt(-1)")]),
        ("abs()", [("abs: expected abs(n: number|duration)", "abs()")]),
        ('matches("a", "(")', [
            ("matches: '(' is no regular expression: a ( is not closed", 'matches("a", "(")')
        ]),
        ("(function(n: number) n)(text)", [
            ("expected number, but got x", "(function(n: number) n)(text)")
        ]),
        ("for x in b return x", [
            ("there is no variable 'b'", "b"),
            ("expected a list to go through, but it is null", "for x in b return x"),
        ]),
        ("[text, a][item > 1]", [("string > number has no value", "item > 1")] * 1 + [
        ]),
        ("{k: 1, k: 2}", [("the context has two entries with one key", "{k: 1, k: 2}")]),
        ("a = text", [("number = string has no value", "a = text")]),
        ("text in [1..5]", [("string in number..number has no value", "[1..5]")]),
    ],
)  # fmt: skip
def test_reasons(expression: str, reasons: list[tuple[str, str]]) -> None:
    compiled = compile_expression(expression, dialect="dmn")
    result = compiled.evaluate(VARIABLES)
    found = [
        (warning.message, expression[warning.start : warning.end]) for warning in result.warnings
    ]
    assert found == reasons
    assert result.value == compiled(VARIABLES)


def test_reasons_in_unary_tests() -> None:
    tests = compile_unary_tests('< 5, "x"')
    assert tests.evaluate(3, {}).warnings == ()
    result = tests.evaluate("y", {})
    assert result.value is None
    assert [str(warning) for warning in result.warnings] == ["string < number has no value"]


def test_a_loop_reports_each_reason_once_and_not_without_end() -> None:
    result = compile_expression("for i in 1..1000 return missing + i").evaluate({})
    assert [str(warning) for warning in result.warnings] == [
        "there is no variable 'missing'",
        "null + number has no value",
    ]
    many = compile_expression("for i in 1..1000 return [][i]").evaluate({})
    assert len(many.warnings) == 100
