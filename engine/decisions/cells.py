"""What a cell says when it is constant: from its syntax tree to `columns.Static`.

A cell is constant when it names values only: `"a", "b"`, `[18..65)`, `>= date("2024-01-01")`, `not(5)`, `null`, `-`.
Anything else (variables, `?`, functions) is not, and is evaluated each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from engine.decisions.columns import DASH, Kind, Ordered, Span, Static
from engine.feel.ast import (
    Call,
    ComparisonTest,
    ListLiteral,
    Literal,
    Name,
    Negation,
    Node,
    RangeLiteral,
    UnaryTests,
)
from engine.feel.temporal import Date, parse_date
from engine.frozen import dataclass

KINDS: Final = {
    Decimal: Kind.NUMBER,
    int: Kind.NUMBER,
    str: Kind.STRING,
    bool: Kind.BOOLEAN,
    Date: Kind.DATE,
}
ORDERED: Final = frozenset({Kind.NUMBER, Kind.STRING, Kind.DATE})


class NotConstant(Exception):
    """The cell, or a part of it, depends on more than the value under test. Never leaves the package."""


@dataclass(frozen=True, slots=True)
class _Test:
    """One test of a cell: spans of one kind, and what it says of null (None: neither yes nor no)."""

    kind: Kind | None
    spans: tuple[Span, ...]
    null: bool | None


def static(tests: UnaryTests) -> Static | None:
    """Return the meaning of a constant cell, or None when it is not constant."""
    if not tests.tests:
        return DASH
    try:
        parts = [part for test in tests.tests for part in _tests(test)]
    except NotConstant:
        return None
    kinds = {part.kind for part in parts if part.kind is not None}
    if len(kinds) > 1:
        return None
    return Static(
        kind=kinds.pop() if kinds else None,
        spans=tuple(span for part in parts for span in part.spans),
        negated=tests.negated,
        null=all(p.null is False for p in parts) if tests.negated else any(p.null for p in parts),
    )


def constant(node: Node) -> Ordered:
    """Return the value of a constant expression of a simple kind. Raises NotConstant."""
    match node:
        case Literal(value=value):
            return value
        case Negation(operand=Literal(value=Decimal() as value)):
            return -value
        case Negation(operand=Literal(value=int() as value)) if type(value) is int:
            return Decimal(-value)
        case Call(function=Name(name="date"), arguments=(Literal(value=str() as text),)):
            return _date(text)
        case _:
            raise NotConstant


def kind_of(value: Ordered) -> Kind:
    """Return the kind of a constant. Raises NotConstant for kinds without regions."""
    found = KINDS.get(type(value))
    if found is None:
        raise NotConstant
    return found


def _date(text: str) -> Date:
    try:
        return parse_date(text)
    except Exception as cause:
        raise NotConstant from cause


def _tests(node: Node) -> Iterator[_Test]:
    match node:
        case ListLiteral(items=items):
            yield from (_equal(constant(item)) for item in items)
        case RangeLiteral(low=low, high=high, low_included=low_in, high_included=high_in):
            yield _between(constant(low), constant(high), low_in, high_in)
        case ComparisonTest(operator=operator, operand=operand):
            yield _compared(operator, constant(operand))
        case _:
            yield _equal(constant(node))


def _equal(value: Ordered) -> _Test:
    if value is None:
        return _Test(None, (), True)
    return _Test(kind_of(value), (Span(value, value),), False)


def _between(low: Ordered, high: Ordered, low_in: bool, high_in: bool) -> _Test:
    kind = kind_of(low)
    if kind not in ORDERED or kind_of(high) is not kind:
        raise NotConstant
    return _Test(kind, (Span(low, high, low_in, high_in),), None)


def _compared(operator: str, value: Ordered) -> _Test:
    if operator == "=":
        return _equal(value)
    kind = kind_of(value)
    if operator == "!=":
        return _Test(kind, (Span(None, value, True, False), Span(value, None, False, True)), True)
    if kind not in ORDERED:
        raise NotConstant
    match operator:
        case "<" | "<=":
            span = Span(None, value, True, operator == "<=")
        case _:
            span = Span(value, None, operator == ">=", True)
    return _Test(kind, (span,), None)
