"""The values of FEEL and the door by which Python's own values come in.

| FEEL | here |
|---|---|
| null, boolean, string | None, bool, str |
| number | `decimal.Decimal`, 34 digits, exponent to 6144; an int that comes in is a number too |
| list, context | list, dict with string keys |
| date, time, date and time | `Date`, `Time`, `DateTime` |
| the two durations | `DaysTimeDuration`, `YearsMonthsDuration` |
| range, function | `Range`, `Function` |
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine.feel.errors import FeelError
from engine.feel.temporal import (
    Date,
    DateTime,
    DaysTimeDuration,
    Time,
    YearsMonthsDuration,
    make_date,
)
from engine.frozen import dataclass

if TYPE_CHECKING:
    from engine.feel.run import Run
    from engine.feel.types import Type

Value: TypeAlias = Any  # FEEL is typed at run time; every operation asks for the kind it needs

PRECISION: Final = 34  #: digits of a number, as in IEEE 754 decimal128
CONTEXT: Final = decimal.Context(
    prec=PRECISION,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-6143,
    Emax=6144,
    capitals=1,
    clamp=0,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
MAX_DEPTH: Final = 200  #: how deep lists and contexts may nest
#: items and entries that a converted value may have, each as often as it appears
MAX_ITEMS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Range:
    """All values between two ends, or on one side of a value.

    `operator` is set for ranges written as `(< 10)`, `(>= 5)`, `(= 1)`: they hold the same values as a range with
    a null end, but are not equal to it.
    """

    start: Value
    end: Value
    start_included: bool
    end_included: bool
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A formal parameter; `type` is None when any value will do."""

    name: str
    type: Type | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function: `body(run, *arguments)` gets one argument for each parameter, already of its type."""

    parameters: tuple[Parameter, ...]
    body: Callable[..., Value]
    result: Type | None = None
    name: str = ""
    builtin: Callable[[Run, Sequence[Value], Sequence[str] | None], Value] | None = field(
        default=None, repr=False
    )  #: built-in functions choose among signatures themselves


NATIVE: Final[frozenset[type]] = frozenset(
    {type(None), bool, int, Decimal, str, list, dict, Date, Time, DateTime}
    | {DaysTimeDuration, YearsMonthsDuration, Range, Function}
)
NUMBERS: Final[frozenset[type]] = frozenset({int, Decimal})
KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    Decimal: "number",
    str: "string",
    list: "list",
    dict: "context",
    Date: "date",
    Time: "time",
    DateTime: "date and time",
    DaysTimeDuration: "days and time duration",
    YearsMonthsDuration: "years and months duration",
    Range: "range",
    Function: "function",
}


def kind(value: Value) -> str:
    """Return the FEEL name of the value's kind."""
    return KINDS.get(type(value)) or KINDS[type(native(value))]


def native(value: object) -> Value:
    """Return `value` as a FEEL value; what is inside a list or context is looked at when it is used.

    Raises FeelError if FEEL has nothing like it.
    """
    if type(value) in NATIVE:
        return value
    if isinstance(value, float):
        return Decimal(repr(value)) if value - value == 0 else None
    for base in (bool, int, Decimal, str):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, Sequence | Set):
        return list(value)
    return _from_datetime(value)


def from_json(value: object) -> Value:
    """Return `value` as a FEEL value, all the way down: int and float become Decimal, tuples lists,
    `datetime` types the FEEL types of the same meaning.

    Raises FeelError for anything FEEL has no value for, and for values that are too large.

    >>> from_json({"a": [1, 2.50]})
    {'a': [Decimal('1'), Decimal('2.5')]}
    """
    return _from_json(value, _Size())


def to_json(value: Value) -> Value:
    """Return None, bool, int, Decimal, str, list and dict only: whole numbers as int, temporal values as text.

    Raises FeelError for a range or a function, and for values that are too large.
    """
    return _to_json(value, _Size())


def number(value: int | Decimal) -> Decimal:
    """Return a number with 34 digits. Raises decimal.DecimalException beyond 10 ** 6144."""
    return CONTEXT.create_decimal(value)


def number_text(value: int | Decimal) -> str:
    """Return a number the way FEEL writes it: no exponent, no superfluous zeros.

    >>> number_text(Decimal("1.500E+3"))
    '1500'
    """
    value = number(value)
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole(value: Value) -> int | None:
    """Return a number as int, or None when it is no whole number."""
    if type(value) is int:
        return value
    if type(value) is Decimal and value == value.to_integral_value(decimal.ROUND_DOWN, CONTEXT):
        return int(value)
    return None


class _Size:
    """How large a value is that is being converted."""

    __slots__ = ("depth", "items")

    def __init__(self) -> None:
        self.depth = self.items = 0

    def enter(self, items: int) -> None:
        """Count a list or context. Raises FeelError beyond what may be converted."""
        self.depth += 1
        self.items += items
        if self.depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise FeelError(
                expected=f"at most {MAX_DEPTH} nested lists and contexts with {MAX_ITEMS:,} items",
                got="more",
            )


def _from_json(value: object, size: _Size) -> Value:
    found: Value = native(value)
    kind_of = type(found)
    if kind_of is list:
        size.enter(len(found))
        found = [_from_json(item, size) for item in found]
        size.depth -= 1
        return found
    if kind_of is dict:
        size.enter(len(found))
        found = {str(key): _from_json(item, size) for key, item in found.items()}
        size.depth -= 1
        return found
    if kind_of is int:
        try:
            return number(found)
        except decimal.DecimalException as error:
            raise FeelError(f"the number {hex(found)[:20]}… is beyond 10 ** 6144") from error
    return found


def _to_json(value: Value, size: _Size) -> Value:
    value = native(value)
    match value:
        case bool() | None | str() | int():
            return value
        case Decimal():
            integral = value == value.to_integral_value() and value.adjusted() < PRECISION
            return int(value) if integral else value
        case list():
            size.enter(len(value))
            items = [_to_json(item, size) for item in value]
            size.depth -= 1
            return items
        case dict():
            size.enter(len(value))
            entries = {key: _to_json(item, size) for key, item in value.items()}
            size.depth -= 1
            return entries
        case Range() | Function():
            raise FeelError(
                expected="a value that JSON can hold",
                got=f"a {kind(value)}",
                hint="Return a value made from it, such as a list or its ends.",
            )
        case _:
            return str(value)


def _from_datetime(value: object) -> Value:
    import datetime

    match value:
        case datetime.datetime():
            return DateTime(make_date(value.year, value.month, value.day), _from_time(value))
        case datetime.date():
            return make_date(value.year, value.month, value.day)
        case datetime.time():
            return _from_time(value)
        case datetime.timedelta():
            seconds = value.days * 86400 + value.seconds
            return DaysTimeDuration(seconds * 1_000_000_000 + value.microseconds * 1000)
        case _:
            raise FeelError(
                expected="a value that FEEL knows (null, boolean, number, text, list, mapping, date, time)",
                got=type(value).__name__,
            )


def _from_time(
    value: Any,
) -> Time:  # datetime.datetime or datetime.time: same fields, no common type
    nanosecond = value.microsecond * 1000
    zone = getattr(value.tzinfo, "key", None)
    if zone is not None and zone != "UTC":
        return Time(value.hour, value.minute, value.second, nanosecond, None, zone)
    offset = value.utcoffset()
    seconds = None if offset is None else int(offset.total_seconds())
    return Time(value.hour, value.minute, value.second, nanosecond, seconds)
