"""Functions that make one kind of value from another (DMN 1.5, section 10.3.4.1)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from engine.feel import temporal
from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import FeelError, NoValue
from engine.feel.names import word_at
from engine.feel.run import Run
from engine.feel.temporal import Date, DateTime, DaysTimeDuration, Time, YearsMonthsDuration
from engine.feel.values import CONTEXT, Function, Range, Value, native, number_text, whole

catalog = Catalog()

MAX_SHOWN_DEPTH: Final = 100
_NUMBER: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


@catalog.add("string(from: any)")
def string(run: Run, value: Value) -> Value:
    if value is None:
        return None
    return value if type(value) is str else text_of(run, value, 0)


@catalog.add("number(from: string|number)")
def number(run: Run, value: Value) -> Value:
    return value if type(value) is Decimal else _number(value)


@catalog.add(
    "number(from: string, grouping separator: string|null, decimal separator: string|null)"
)
def number_with_separators(run: Run, text: str, grouping: str | None, point: str | None) -> Value:
    if grouping not in (None, " ", ",", "."):
        raise NoValue("the grouping separator is a space, a comma, a period or null")
    if point not in (None, ",", ".") or (point is not None and point == grouping):
        raise NoValue("the decimal separator is a comma, a period or null, and not the other one")
    if grouping:
        text = text.replace(grouping, "")
    if point == ",":
        if "." in text:
            raise NoValue(f"{text!r} is no number")
        text = text.replace(",", ".")
    return _number(text)


@catalog.add("date(from: string)")
def date_from_text(run: Run, text: str) -> Value:
    return temporal.parse_date(text)


@catalog.add("date(from: date and time|date)")
def date_from_temporal(run: Run, value: Date | DateTime) -> Value:
    return value.date if isinstance(value, DateTime) else value


@catalog.add("date(year: number, month: number, day: number)")
def date_from_parts(run: Run, year: Decimal, month: Decimal, day: Decimal) -> Value:
    return temporal.make_date(*(_integer(part) for part in (year, month, day)))


@catalog.add("time(from: string)")
def time_from_text(run: Run, text: str) -> Value:
    return temporal.parse_time(text)


@catalog.add("time(from: time|date and time|date)")
def time_from_temporal(run: Run, value: Time | DateTime | Date) -> Value:
    if isinstance(value, Date):
        return Time(0, 0, 0, 0, 0)
    return value.time if isinstance(value, DateTime) else value


@catalog.add(
    "time(hour: number, minute: number, second: number, offset: days and time duration|null?)"
)
def time_from_parts(
    run: Run,
    hour: Decimal,
    minute: Decimal,
    second: Decimal,
    offset: DaysTimeDuration | None = None,
) -> Value:
    whole_seconds = int(second)
    return temporal.make_time(
        _integer(hour),
        _integer(minute),
        whole_seconds,
        int((second - whole_seconds) * temporal.SECOND),
        None if offset is None else offset.nanoseconds // temporal.SECOND,
    )


@catalog.add("date and time(from: string)")
def date_time_from_text(run: Run, text: str) -> Value:
    return temporal.parse_date_time(text)


@catalog.add("date and time(date: date|date and time, time: time)")
def date_time_from_parts(run: Run, date: Date | DateTime, time: Time) -> Value:
    return DateTime(date.date if isinstance(date, DateTime) else date, time)


@catalog.add("duration(from: string)")
def duration(run: Run, text: str) -> Value:
    return temporal.parse_duration(text)


@catalog.add("duration(from: duration)")
def duration_from_duration(run: Run, value: Value) -> Value:
    return value


@catalog.add("years and months duration(from: date|date and time, to: date|date and time)")
def years_and_months_duration(run: Run, start: Date | DateTime, end: Date | DateTime) -> Value:
    first = start.date if isinstance(start, DateTime) else start
    last = end.date if isinstance(end, DateTime) else end
    months = (last.year - first.year) * 12 + last.month - first.month
    if months > 0 and last.day < first.day:
        months -= 1
    elif months < 0 and last.day > first.day:
        months += 1
    return YearsMonthsDuration(months)


@catalog.add("range(from: string)")
def range_(run: Run, text: str) -> Value:
    from engine.feel import ast
    from engine.feel.parser import parse

    try:
        node = parse(text)
    except FeelError as error:
        raise NoValue(f"{text[:60]!r} is no range") from error
    if not isinstance(node, ast.RangeLiteral):
        raise NoValue(f"{text[:60]!r} is no range")
    low, high = _end(run, node.low), _end(run, node.high)
    from engine.feel.operations import compare

    order = compare(low, high)
    if order is None or order > 0:
        raise NoValue("the ends of a range have one kind, and the first is not greater")
    return Range(low, high, node.low_included, node.high_included)


def _end(run: Run, node: object) -> Value:
    """Return the value of a literal, or of a temporal function with a literal string."""
    from engine.feel import ast

    match node:
        case ast.Literal(value=value):
            return value
        case ast.Call(
            function=ast.Name(name=name), arguments=(ast.Literal(value=str() as text),), names=None
        ) if name in _READERS:
            try:
                return _READERS[name](text)
            except ValueError as error:
                raise NoValue(str(error)) from error
    raise NoValue("the ends of a range written as text are literals")


_READERS: Final = {
    "date": temporal.parse_date,
    "time": temporal.parse_time,
    "date and time": temporal.parse_date_time,
    "duration": temporal.parse_duration,
}


def text_of(run: Run, value: Value, depth: int) -> str:
    """Return any value as FEEL would write it. Raises NoValue when it nests too deep."""
    if depth > MAX_SHOWN_DEPTH:
        raise NoValue(f"the value nests deeper than {MAX_SHOWN_DEPTH} levels")
    value = native(value)
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            run.text(len(value))
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Decimal() | int():
            return number_text(value)
        case list():
            run.spend(len(value) + 4)
            return f"[{', '.join(text_of(run, item, depth + 1) for item in value)}]"
        case dict():
            run.spend(len(value) + 4)
            parts = (f"{_key(k)}: {text_of(run, v, depth + 1)}" for k, v in value.items())
            return f"{{{', '.join(parts)}}}"
        case Range():
            return _range_text(run, value, depth)
        case Function():
            return f"function({', '.join(p.name for p in value.parameters)}) …"
        case _:
            return str(value)


def _range_text(run: Run, value: Range, depth: int) -> str:
    if value.operator:
        end = value.end if value.start is None else value.start
        return f"({value.operator} {text_of(run, end, depth + 1)})"
    low, high = text_of(run, value.start, depth + 1), text_of(run, value.end, depth + 1)
    return (
        f"{'[' if value.start_included else '('}{low}..{high}{']' if value.end_included else ')'}"
    )


def _key(key: str) -> str:
    if all(word and word_at(word, 0) == word for word in key.split(" ")):
        return key
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise NoValue(f"{text[:60]!r} is no number")
    return CONTEXT.create_decimal(text)


def _integer(value: Decimal) -> int:
    number = whole(value)
    if number is None or abs(number) > 10**10:
        raise NoValue(f"expected a whole number, but got {value}")
    return number
