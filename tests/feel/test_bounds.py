"""Hostile expressions end soon, with an error that says so or with null. Nothing here may take seconds or gigabytes."""

from __future__ import annotations

import pytest

from engine.feel import FeelError, Value, compile_expression, evaluate, from_json, to_json


def doubling(first: str, step: str, times: int, last: str) -> str:
    """Return a context whose entries a0, a1 … are each made of the one before, twice."""
    entries = [f"a{i + 1}: {step.format(a=f'a{i}')}" for i in range(times)]
    return "{" + ", ".join([f"a0: {first}", *entries, f"last: {last}"]) + "}.last"


REFUSED = {
    "endless range": "for i in 1..10**12 return i",
    "endless range as a domain": "for i in [1..1000000000000] return i",
    "endless search": "some i in [1..10**15] satisfies i < 0",
    "loops in loops": "for a in 1..1000, b in 1..1000, c in 1..1000 return 1",
    "endless recursion": "{f: function(n) f(n + 1), r: f(0)}.r",
    "recursion without a name": "(function(f) f(f))(function(f) f(f))",
    "exponential recursion": "{f: function(n) if n < 2 then 1 else f(n-1) + f(n-2), r: f(40)}.r",
    "doubling strings": doubling('"xxxxxxxxxx"', "{a} + {a}", 40, "a40"),
    "doubling lists": doubling("[1]", "concatenate({a}, {a})", 40, "a40"),
    "doubling structure, written": doubling("{x: 1}", "[{a}, {a}]", 40, "string(a40)"),
    "doubling structure, compared": doubling("{x: 1}", "[{a}, {a}]", 40, "a40 = a40"),
    "doubling structure, flattened": doubling("{x: 1}", "[{a}, {a}]", 40, "flatten(a40)"),
    "many large strings": doubling('"xxxxxxxxxx"', "{a} + {a}", 18, "for i in 1..1000000 return substring(a18, 2)"),
    "many large lists": "{l: for i in 1..100000 return i, r: for i in 1..10000 return sublist(l, 2)}",
    "many copies of the results": "for i in 1..100000 return partial",
    "joining large strings": 'string join(for i in 1..100000 return "' + "x" * 1000 + '")',
    "growing replacement": 'replace("' + "a" * 2000 + '", "a", "' + "b" * 100000 + '")',
    "quadratic sets": "distinct values(for i in 1..20000 return [i])",
    "too many levels": "(" * 101 + "1" + ")" * 101,
    "far too many levels": "[" * 100_000,
    "many signs": "-" * 100_000 + "1",
    "too long a sum": "+".join(["1"] * 600),
    "too long a path": "a" + ".b" * 200,
    "too many values": "[" + ",".join(["1"] * 120_000) + "]",
    "more than 1 MB": '"' + "x" * 1_000_001 + '"',
    "number beyond bounds": "1e999999999",
    "comment without end": "/*" * 50_000,
}  # fmt: skip
ANSWERED: dict[str, tuple[str, Value]] = {
    "tower of powers": ("9 ** 9 ** 9 ** 9 ** 9", None),
    "exponential beyond bounds": ("exp(10 ** 9)", None),
    "product beyond bounds": ("9e6144 * 10", None),
    "day after the last": ('@"999999999-12-31" + @"P1D"', None),
    "year beyond bounds": ('@"2024-01-01" + @"P9999999999Y"', None),
    "duration without end": ('duration("P' + "9" * 5000 + 'D")', None),
    "repetition in repetition": ('matches("' + "a" * 40 + '!", "(a+)+$")', False),
    "too large a repetition": ('matches("a", "a{65536}")', None),
    "groups in groups": ('matches("a", "' + "(" * 3000 + ")" * 3000 + '")', None),
    "long pattern": ('matches("a", "' + "a" * 20_000 + '")', None),
    "deep result, written": ("string({x: for i in 1..3000 return [partial[-1]]})", None),
    "deep result, flattened": ("flatten(for i in 1..3000 return [partial[-1]])", None),
    "deep JSON": ('from json("' + "[" * 100_000 + '")', None),
    "levels at the limit": ("(" * 99 + "1" + ")" * 99 + " = 1", True),
    "conditions at the limit": ("(" + "if true then " * 95 + "1" + " else 2" * 95 + ") = 1", True),
    "filters in filters": ("[1]" + "[item in [1]" * 90 + "]" * 90 + " = [1]", True),
    "long sum": ("+".join(["1"] * 500) + " = 500", True),
    "long disjunction": (" or ".join(["a = 1"] * 5000) + " or true", True),
    "wide list": ("count([" + ",".join(["1"] * 50_000) + "]) = 50000", True),
    "long string": ('string length("' + "x" * 900_000 + '") = 900000', True),
}


@pytest.mark.parametrize("expression", REFUSED.values(), ids=REFUSED)
def test_refused(expression: str) -> None:
    with pytest.raises(FeelError, match="expected"):
        evaluate(expression, {}, "camunda")


@pytest.mark.parametrize(("expression", "value"), ANSWERED.values(), ids=ANSWERED)
def test_answered(expression: str, value: Value) -> None:
    assert evaluate(expression, {}, "camunda") is value


def test_bounds_hold_with_reasons_too() -> None:
    with pytest.raises(FeelError, match="at most 1,000,000 steps"):
        compile_expression("for i in 1..10**7 return missing").evaluate({})


def test_the_bound_counts_and_does_not_measure() -> None:
    """One step below the bound always passes, one above never does."""
    assert len(evaluate("for i in 1..499999 return i", {})) == 499_999
    with pytest.raises(FeelError):
        evaluate("for i in 1..500001 return i", {})


def test_values_that_nest_too_deep_or_grow_too_large() -> None:
    deep: Value = []
    for _ in range(300):
        deep = [deep]
    for convert in (from_json, to_json):
        with pytest.raises(FeelError, match="at most 200 nested"):
            convert(deep)
    shared: Value = [1]
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(FeelError, match="1,000,000 items"):
        to_json(shared)
