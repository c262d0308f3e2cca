"""What FEEL in Camunda 8 has beyond the standard, after its public documentation (version 8.8).

Where a name is also in the standard, the signature here is tried first.
"""

from __future__ import annotations

import base64
import binascii
import decimal
import hashlib
import json
from decimal import Decimal
from typing import Final, NoReturn

from engine.feel import operations, patterns, temporal
from engine.feel.builtins import contexts, numbers
from engine.feel.builtins.catalog import Catalog
from engine.feel.builtins.contexts import key_and_value
from engine.feel.builtins.conversions import number_with_separators
from engine.feel.builtins.lists import distinct
from engine.feel.builtins.numbers import rounded
from engine.feel.builtins.strings import joined
from engine.feel.errors import FeelError, NoValue
from engine.feel.run import Run
from engine.feel.temporal import Date, DateTime, DaysTimeDuration, Time, YearsMonthsDuration
from engine.feel.values import Function, Range, Value, kind, native, number_text

catalog = Catalog()

MAX_JSON_DEPTH: Final = 100
_ROUNDINGS: Final = frozenset(
    {"UP", "DOWN", "CEILING", "FLOOR", "HALF_UP", "HALF_DOWN", "HALF_EVEN"}
)


# -------------------------------------------------------------------- null and errors


@catalog.add("is defined(value: any)", camunda=True)
def is_defined(run: Run, value: Value) -> Value:
    return value is not None


@catalog.add("get or else(value: any, default: any)", camunda=True)
def get_or_else(run: Run, value: Value, default: Value) -> Value:
    return default if value is None else value


@catalog.add("assert(value: any, condition: any, cause: string?)", camunda=True)
def assert_(run: Run, value: Value, condition: Value, cause: str | None = None) -> Value:
    if condition is True:
        return value
    raise FeelError(cause or "the condition of assert() is not met")


@catalog.add(
    "fromAi(value: any, description: any?, type: any?, schema: any?, options: any?)", camunda=True
)
def from_ai(run: Run, value: Value, *tags: Value) -> Value:
    return value


# -------------------------------------------------------------------- strings


@catalog.add("extract(string: string, pattern: string)", camunda=True)
def extract(run: Run, text: str, pattern: str) -> Value:
    return patterns.matches_of(run, pattern, text)


@catalog.add("trim(string: string)", camunda=True)
def trim(run: Run, text: str) -> Value:
    return text.strip()


@catalog.add("is blank(string: string)", camunda=True)
def is_blank(run: Run, text: str) -> Value:
    return not text.strip()


@catalog.add("to base64(value: string)", camunda=True)
def to_base64(run: Run, text: str) -> Value:
    return base64.b64encode(text.encode()).decode()


@catalog.add("from base64(value: string)", camunda=True)
def from_base64(run: Run, text: str) -> Value:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise NoValue("expected text in base64") from error


@catalog.add(
    "string join(list: list, delimiter: string, prefix: string, suffix: string?)", camunda=True
)
def string_join(
    run: Run, items: list[Value], delimiter: str, prefix: str, suffix: str | None = None
) -> Value:
    return prefix + joined(run, items, delimiter) + (suffix or "")


@catalog.add("string(from: duration)", camunda=True)
def string(run: Run, value: DaysTimeDuration | YearsMonthsDuration) -> Value:
    if value == DaysTimeDuration(0):
        return "P0D"
    return "P0Y" if value == YearsMonthsDuration(0) else str(value)


@catalog.add("number(from: string, grouping separator: string)", camunda=True)
def number(run: Run, text: str, grouping: str) -> Value:
    return number_with_separators(run, text, grouping, "," if grouping == "." else ".")


@catalog.add("uuid()", camunda=True, needs="seed")
def uuid(run: Run) -> Value:
    digest = bytearray(_chance(run, "uuid()")[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@catalog.add("random number()", camunda=True, needs="seed")
def random_number(run: Run) -> Value:
    drawn = int.from_bytes(_chance(run, "random number()")[:8]) % 10**17
    return Decimal(drawn).scaleb(-17)


def _chance(run: Run, name: str) -> bytes:
    """Return bytes that follow from the seed and from how often chance was asked for."""
    if run.seed is None:
        raise FeelError(
            f"{name} needs chance, and an evaluation is to give the same value every time",
            hint="Give a `seed`, or let a job make the value and read it from a variable.",
        )
    run.draws += 1
    run.spend(1)
    return hashlib.sha256(f"{run.seed}\n{run.draws}".encode()).digest()


# -------------------------------------------------------------------- numbers


@catalog.add("abs(number: number|duration)", camunda=True)
def abs_(run: Run, number: Value) -> Value:
    return numbers.abs_(run, number)


@catalog.add("decimal(n: number, scale: number, mode: string)", camunda=True)
def decimal_(run: Run, n: Decimal, scale: Decimal, mode: str) -> Value:
    if mode.upper() not in _ROUNDINGS:
        raise NoValue(f"expected a rounding mode such as HALF_UP, but got {mode!r}")
    return rounded(n, scale, f"ROUND_{mode.upper()}")


@catalog.add("round up(n: number)", camunda=True)
def round_up(run: Run, n: Decimal) -> Value:
    return rounded(n, Decimal(0), decimal.ROUND_UP)


@catalog.add("round down(n: number)", camunda=True)
def round_down(run: Run, n: Decimal) -> Value:
    return rounded(n, Decimal(0), decimal.ROUND_DOWN)


@catalog.add("round half up(n: number)", camunda=True)
def round_half_up(run: Run, n: Decimal) -> Value:
    return rounded(n, Decimal(0), decimal.ROUND_HALF_UP)


@catalog.add("round half down(n: number)", camunda=True)
def round_half_down(run: Run, n: Decimal) -> Value:
    return rounded(n, Decimal(0), decimal.ROUND_HALF_DOWN)


# -------------------------------------------------------------------- lists


@catalog.add("is empty(list: list)", camunda=True)
def is_empty(run: Run, items: list[Value]) -> Value:
    return not items


@catalog.add("duplicate values(list: list)", camunda=True)
def duplicate_values(run: Run, items: list[Value]) -> Value:
    once = distinct(run, items)
    rest = list(items)
    for item in once:
        run.spend(len(rest) >> 2)
        rest.pop(next(i for i, x in enumerate(rest) if operations.equal_items(run, x, item)))
    return [x for x in once if any(operations.equal_items(run, x, y) for y in rest)]


@catalog.add("partition(list: list, size: number)", camunda=True)
def partition(run: Run, items: list[Value], size: Decimal) -> Value:
    step = int(size)
    if step < 1:
        raise NoValue("the size is less than 1")
    run.spend(len(items))
    return [items[start : start + step] for start in range(0, len(items), step)]


@catalog.add("and(list: list)", camunda=True)
@catalog.add("and(values…: any)", camunda=True)
def and_(run: Run, items: list[Value]) -> Value:
    return _verdict(items, False)


@catalog.add("or(list: list)", camunda=True)
@catalog.add("or(values…: any)", camunda=True)
def or_(run: Run, items: list[Value]) -> Value:
    return _verdict(items, True)


def _verdict(items: list[Value], decisive: bool) -> Value:
    if any(item is decisive for item in items):
        return decisive
    if all(type(item) is bool for item in items):
        return not decisive
    raise NoValue("expected true or false only")


# -------------------------------------------------------------------- contexts


@catalog.add("get value(context: context, key: string)", camunda=True)
def get_value(run: Run, context: dict[str, Value], key: str) -> Value:
    return get_value_at(run, context, [key])


@catalog.add("get entries(context: context)", camunda=True)
def get_entries(run: Run, context: dict[str, Value]) -> Value:
    return contexts.get_entries(run, context)


@catalog.add("get value(context: context, keys: list)", camunda=True)
def get_value_at(run: Run, context: Value, keys: list[Value]) -> Value:
    if not keys:
        raise NoValue("expected at least one key")
    for key in keys:
        if type(context) is not dict or key not in context:
            raise NoValue(f"there is no entry {key!r}")
        context = native(context[key])
    return context


@catalog.add("put(context: context, key: string, value: any)", camunda=True)
def put(run: Run, context: dict[str, Value], key: str, value: Value) -> Value:
    return {**context, key: value}


@catalog.add("put all(contexts…: context)", camunda=True)
def put_all(run: Run, contexts: list[dict[str, Value]]) -> Value:
    return _merged(run, contexts)


@catalog.add("context merge(contexts…: context)", camunda=True)
def context_merge(run: Run, contexts: list[dict[str, Value]]) -> Value:
    return _merged(run, contexts)


@catalog.add("context(entries: list)", camunda=True)
def context(run: Run, entries: list[Value]) -> Value:
    run.spend(len(entries))
    return dict(key_and_value(entry) for entry in entries)


def _merged(run: Run, contexts: list[dict[str, Value]]) -> dict[str, Value]:
    result: dict[str, Value] = {}
    for part in contexts:
        run.spend(len(part) + 1)
        result.update(part)
    return result


# -------------------------------------------------------------------- dates


@catalog.add("last day of month(date: date|date and time)", camunda=True)
def last_day_of_month(run: Run, value: Date | DateTime) -> Value:
    date = value.date if isinstance(value, DateTime) else value
    return Date(date.year, date.month, temporal.month_length(date.year, date.month))


@catalog.add("date and time(date: date and time, timezone: string)", camunda=True)
def date_and_time_at(run: Run, value: DateTime, zone: str) -> Value:
    if value.is_local:
        raise NoValue("a local date and time is at no known instant")
    target = (
        temporal.parse_time(f"00:00:00{zone}")
        if zone[:1] in ("Z", "+", "-")
        else temporal.parse_time(f"00:00:00@{zone}")
    )
    return DateTime(value.date, target).at_instant(value.instant)


@catalog.add("date and time(from: string)", camunda=True)
def date_and_time(run: Run, text: str) -> Value:
    return temporal.parse_date_time(temporal.loosened(text))


@catalog.add("time(from: string)", camunda=True)
def time(run: Run, text: str) -> Value:
    return temporal.parse_time(temporal.loosened(text))


# -------------------------------------------------------------------- JSON


@catalog.add("from json(value: string)", camunda=True)
def from_json(run: Run, text: str) -> Value:
    run.text(len(text))
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, decimal.DecimalException) as error:
        raise NoValue("expected text in JSON") from error


@catalog.add("to json(value: any)", camunda=True)
def to_json(run: Run, value: Value) -> Value:
    return _json_text(run, value, 0)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json_text(run: Run, value: Value, depth: int) -> str:
    if depth > MAX_JSON_DEPTH:
        raise NoValue(f"the value nests deeper than {MAX_JSON_DEPTH} levels")
    value = native(value)
    match value:
        case None | bool() | str():
            run.text(len(value) if type(value) is str else 1)
            return json.dumps(value, ensure_ascii=False)
        case Decimal() | int():
            return number_text(value)
        case list():
            run.spend(len(value) + 4)
            return f"[{','.join(_json_text(run, item, depth + 1) for item in value)}]"
        case dict():
            run.spend(len(value) + 4)
            pairs = (
                f"{json.dumps(k, ensure_ascii=False)}:{_json_text(run, v, depth + 1)}"
                for k, v in value.items()
            )
            return f"{{{','.join(pairs)}}}"
        case Range() | Function():
            raise NoValue(f"JSON has no {kind(value)}")
        case DateTime(time=Time(zone=str() as zone)):
            offset = temporal.Time(0, 0, 0, 0, value.offset)
            clock = str(value).partition("@")[0]
            return json.dumps(f"{clock}{str(offset)[8:]}[{zone}]")
        case _:
            return json.dumps(str(value))
