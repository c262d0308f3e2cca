"""FEEL, the expression language of DMN 1.5, as a library without side effects.

>>> evaluate("sum(orders.price) > 100", {"orders": [{"price": 60}, {"price": 50}]})
True
>>> unary_test("[18..65), >= 80", 30, {})
True
>>> condition = compile_expression('status = "open" and age > 3', dialect="camunda")
>>> condition({"status": "open", "age": 5})
True
>>> [str(warning) for warning in condition.evaluate({"status": "open"}).warnings]
["there is no variable 'age'", 'null > number has no value']

`dialect="camunda"` adds the functions and the leniency of FEEL in Camunda 8.
"""

from __future__ import annotations

from engine.feel.compile import (
    Dialect,
    Expression,
    Result,
    UnaryTests,
    compile_expression,
    compile_unary_tests,
    evaluate,
    unary_test,
)
from engine.feel.errors import FeelError, FeelWarning
from engine.feel.parser import parse, parse_unary_tests
from engine.feel.run import Run
from engine.feel.temporal import (
    Date,
    DateTime,
    DaysTimeDuration,
    Time,
    YearsMonthsDuration,
    parse_temporal,
)
from engine.feel.values import Function, Parameter, Range, Value, from_json, kind, to_json

__all__ = [
    "Date",
    "DateTime",
    "DaysTimeDuration",
    "Dialect",
    "Expression",
    "FeelError",
    "FeelWarning",
    "Function",
    "Parameter",
    "Range",
    "Result",
    "Run",
    "Time",
    "UnaryTests",
    "Value",
    "YearsMonthsDuration",
    "compile_expression",
    "compile_unary_tests",
    "evaluate",
    "from_json",
    "kind",
    "parse",
    "parse_temporal",
    "parse_unary_tests",
    "to_json",
    "unary_test",
]
