"""What the operators do. Every function gets the `Run` first and answers null, with a reason, where FEEL does.

Generated code calls these; so the usual case, two numbers or two strings, comes first in each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Final

from engine.feel.run import Run
from engine.feel.temporal import (
    DAY,
    SECOND,
    Date,
    DateTime,
    DaysTimeDuration,
    Time,
    YearsMonthsDuration,
)
from engine.feel.values import CONTEXT, NATIVE, NUMBERS, Range, Value, kind, native

MAX_COMPARED_DEPTH: Final = 200

_add: Final = CONTEXT.add
_subtract: Final = CONTEXT.subtract
_multiply: Final = CONTEXT.multiply
_divide: Final = CONTEXT.divide
_PLAIN: Final = frozenset(
    {str, Decimal, int, bool, type(None), Date, DaysTimeDuration, YearsMonthsDuration}
)
_ORDERED: Final = frozenset({str, Date, DaysTimeDuration, YearsMonthsDuration})
_CLOCKS: Final = frozenset({Time, DateTime})
_MIDNIGHT: Final = Time(0, 0, 0, 0, 0)


# -------------------------------------------------------------------- arithmetic


def add(run: Run, a: Value, b: Value) -> Value:
    """`a + b`: numbers, strings, durations, or a temporal value and a duration."""
    kind_a, kind_b = type(a), type(b)
    if kind_a in NUMBERS and kind_b in NUMBERS:
        try:
            return _add(a, b)
        except DecimalException:
            return run.null("the sum is beyond 10 ** 6144")
    if kind_a is str and kind_b is str:
        run.text(len(a) + len(b))
        return a + b
    return _temporal(run, _SUMS, a, "+", b)


def subtract(run: Run, a: Value, b: Value) -> Value:
    """`a - b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        try:
            return _subtract(a, b)
        except DecimalException:
            return run.null("the difference is beyond 10 ** 6144")
    return _temporal(run, _DIFFERENCES, a, "-", b)


def multiply(run: Run, a: Value, b: Value) -> Value:
    """`a * b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        try:
            return _multiply(a, b)
        except DecimalException:
            return run.null("the product is beyond 10 ** 6144")
    return _temporal(run, _PRODUCTS, a, "*", b)


def divide(run: Run, a: Value, b: Value) -> Value:
    """`a / b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        try:
            return _divide(a, b)
        except DecimalException:
            return run.null("division by zero" if b == 0 else "the quotient is beyond 10 ** 6144")
    return _temporal(run, _QUOTIENTS, a, "/", b)


def power(run: Run, a: Value, b: Value) -> Value:
    """`a ** b`."""
    if type(a) not in NUMBERS or type(b) not in NUMBERS:
        return _no_value(run, a, "**", b)
    try:
        return CONTEXT.power(a, b)
    except DecimalException:
        return run.null("the power is no number, or beyond 10 ** 6144")


def negate(run: Run, a: Value) -> Value:
    """`-a`."""
    if type(a) in NUMBERS:
        return CONTEXT.minus(a)
    if type(a) is DaysTimeDuration:
        return DaysTimeDuration(-a.nanoseconds)
    if type(a) is YearsMonthsDuration:
        return YearsMonthsDuration(-a.months)
    return run.null(f"-{kind(a)} has no value")


Operation = Callable[[Value, Value], Value]


def _temporal(
    run: Run, table: Mapping[tuple[type, type], Operation], a: Value, sign: str, b: Value
) -> Value:
    operation = table.get((type(a), type(b)))
    if operation is None:
        if type(a) in NATIVE and type(b) in NATIVE:
            return _no_value(run, a, sign, b)
        return _ARITHMETIC[sign](run, native(a), native(b))
    try:
        result = operation(a, b)
    except (ValueError, DecimalException, OverflowError):
        return run.null(f"{kind(a)} {sign} {kind(b)} goes beyond what FEEL can hold")
    return _no_value(run, a, sign, b) if result is None else result


def _no_value(run: Run, a: Value, sign: str, b: Value) -> Value:
    return run.null(f"{kind(a)} {sign} {kind(b)} has no value")


def _scaled(amount: int, factor: Value, by: Callable[[Value, Value], Decimal]) -> int:
    """Return the amount times or divided by a number, cut to a whole number."""
    result = int(by(Decimal(amount), factor))
    if abs(result) > 10**30:
        raise OverflowError
    return result


def _shift_date(date: Date, nanoseconds: int) -> Date:
    return date.plus_days(nanoseconds // DAY)


def _between_times(a: Time, b: Time) -> DaysTimeDuration | None:
    (local_a, at_a), (local_b, at_b) = a.key, b.key
    if local_a != local_b:
        return None
    if not local_a:  # the offsets may put one of them on another day, so the keys will not do
        at_a = a.of_day - a.offset_on(_EPOCH) * SECOND
        at_b = b.of_day - b.offset_on(_EPOCH) * SECOND
    return DaysTimeDuration(at_a - at_b)


def _between(a: Date | DateTime, b: Date | DateTime) -> DaysTimeDuration | None:
    first = DateTime(a, _MIDNIGHT) if isinstance(a, Date) else a
    second = DateTime(b, _MIDNIGHT) if isinstance(b, Date) else b
    if first.is_local != second.is_local:
        return None
    return DaysTimeDuration(first.instant - second.instant)


_EPOCH: Final = Date(1970, 1, 1)
_DT, _YM = DaysTimeDuration, YearsMonthsDuration
_SUMS: Final[Mapping[tuple[type, type], Operation]] = {
    (_DT, _DT): lambda a, b: _DT(a.nanoseconds + b.nanoseconds),
    (_YM, _YM): lambda a, b: _YM(a.months + b.months),
    (DateTime, _DT): lambda a, b: a.plus(b),
    (_DT, DateTime): lambda a, b: b.plus(a),
    (DateTime, _YM): lambda a, b: a.plus_months(b.months),
    (_YM, DateTime): lambda a, b: b.plus_months(a.months),
    (Date, _DT): lambda a, b: _shift_date(a, b.nanoseconds),
    (_DT, Date): lambda a, b: _shift_date(b, a.nanoseconds),
    (Date, _YM): lambda a, b: a.plus_months(b.months),
    (_YM, Date): lambda a, b: b.plus_months(a.months),
    (Time, _DT): lambda a, b: a.plus(b),
    (_DT, Time): lambda a, b: b.plus(a),
}
_DIFFERENCES: Final[Mapping[tuple[type, type], Operation]] = {
    (_DT, _DT): lambda a, b: _DT(a.nanoseconds - b.nanoseconds),
    (_YM, _YM): lambda a, b: _YM(a.months - b.months),
    (DateTime, DateTime): _between,
    (DateTime, Date): _between,
    (Date, DateTime): _between,
    (Date, Date): _between,
    (Time, Time): _between_times,
    (DateTime, _DT): lambda a, b: a.plus(_DT(-b.nanoseconds)),
    (DateTime, _YM): lambda a, b: a.plus_months(-b.months),
    (Date, _DT): lambda a, b: _shift_date(a, -b.nanoseconds),
    (Date, _YM): lambda a, b: a.plus_months(-b.months),
    (Time, _DT): lambda a, b: a.plus(_DT(-b.nanoseconds)),
}
_PRODUCTS: Final[Mapping[tuple[type, type], Operation]] = {
    **{(_DT, n): lambda a, b: _DT(_scaled(a.nanoseconds, b, _multiply)) for n in NUMBERS},
    **{(n, _DT): lambda a, b: _DT(_scaled(b.nanoseconds, a, _multiply)) for n in NUMBERS},
    **{(_YM, n): lambda a, b: _YM(_scaled(a.months, b, _multiply)) for n in NUMBERS},
    **{(n, _YM): lambda a, b: _YM(_scaled(b.months, a, _multiply)) for n in NUMBERS},
}
_QUOTIENTS: Final[Mapping[tuple[type, type], Operation]] = {
    **{(_DT, n): lambda a, b: _DT(_scaled(a.nanoseconds, b, _divide)) for n in NUMBERS},
    **{(_YM, n): lambda a, b: _YM(_scaled(a.months, b, _divide)) for n in NUMBERS},
    (_DT, _DT): lambda a, b: _divide(a.nanoseconds, b.nanoseconds),
    (_YM, _YM): lambda a, b: _divide(a.months, b.months),
}
_ARITHMETIC: Final[Mapping[str, Callable[[Run, Value, Value], Value]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
}


# -------------------------------------------------------------------- comparison


def equal(run: Run, a: Value, b: Value) -> bool | None:
    """`a = b`: null for values of different kinds, unless one is null."""
    kind_a, kind_b = type(a), type(b)
    if kind_a is kind_b and kind_a in _PLAIN:
        return bool(a == b)
    if a is None or b is None:
        return False
    if kind_a in NUMBERS and kind_b in NUMBERS:
        return bool(a == b)
    return _equal_parts(run, native(a), native(b), 0)


def unequal(run: Run, a: Value, b: Value) -> bool | None:
    """`a != b`."""
    same = equal(run, a, b)
    return None if same is None else not same


def less(run: Run, a: Value, b: Value) -> bool | None:
    """`a < b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        return bool(a < b)
    order = compare(a, b)
    return _no_value(run, a, "<", b) if order is None else order < 0


def at_most(run: Run, a: Value, b: Value) -> bool | None:
    """`a <= b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        return bool(a <= b)
    order = compare(a, b)
    return _no_value(run, a, "<=", b) if order is None else order <= 0


def greater(run: Run, a: Value, b: Value) -> bool | None:
    """`a > b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        return bool(a > b)
    order = compare(a, b)
    return _no_value(run, a, ">", b) if order is None else order > 0


def at_least(run: Run, a: Value, b: Value) -> bool | None:
    """`a >= b`."""
    if type(a) in NUMBERS and type(b) in NUMBERS:
        return bool(a >= b)
    order = compare(a, b)
    return _no_value(run, a, ">=", b) if order is None else order >= 0


def compare(a: Value, b: Value) -> int | None:
    """Return -1, 0 or 1, or None when the two have no order.

    A local time and one with an offset have none.
    """
    kind_a, kind_b = type(a), type(b)
    if kind_a in NUMBERS and kind_b in NUMBERS:
        return -1 if a < b else int(a > b)
    if kind_a is kind_b:
        if kind_a in _ORDERED:
            return -1 if a < b else int(a != b)
        if kind_a in _CLOCKS:
            (local_a, at_a), (local_b, at_b) = a.key, b.key
            if local_a == local_b:
                return -1 if at_a < at_b else int(at_a > at_b)
            return None
    if kind_a in NATIVE and kind_b in NATIVE:
        return None
    return compare(native(a), native(b))


def between(run: Run, value: Value, low: Value, high: Value) -> bool | None:
    """`value between low and high`."""
    return both(run, at_least(run, value, low), at_most(run, value, high))


def _equal_parts(run: Run, a: Value, b: Value, depth: int) -> bool | None:
    """Compare values that have parts, or that came in as foreign types."""
    if depth > MAX_COMPARED_DEPTH:
        run.null(f"the values nest deeper than {MAX_COMPARED_DEPTH} levels")
        return None
    kind_of = type(a)
    if kind_of is not type(b) and not (kind_of in NUMBERS and type(b) in NUMBERS):
        return False if a is None or b is None else _no_value(run, a, "=", b)
    if kind_of in _CLOCKS:  # fractions of a second do not count (DMN 1.5, table 53)
        (local_a, at_a), (local_b, at_b) = a.key, b.key
        return bool(local_a == local_b and at_a // SECOND == at_b // SECOND)
    if kind_of is list:
        run.spend((len(a) >> 3) + 8)
        return len(a) == len(b) and all(
            _equal_items(run, x, y, depth) for x, y in zip(a, b, strict=True)
        )
    if kind_of is dict:
        run.spend((len(a) >> 3) + 8)
        return a.keys() == b.keys() and all(_equal_items(run, a[k], b[k], depth) for k in a)
    if kind_of is Range:
        return (
            (a.start_included, a.end_included, a.operator)
            == (b.start_included, b.end_included, b.operator)
            and _equal_items(run, a.start, b.start, depth)
            and _equal_items(run, a.end, b.end, depth)
        )
    return bool(a == b)


def _equal_items(run: Run, a: Value, b: Value, depth: int) -> bool:
    """Compare parts of two values; parts of different kinds make the wholes unequal."""
    kind_of = type(a)
    if kind_of is type(b) and kind_of in _PLAIN:
        return bool(a == b)
    if type(a) not in NATIVE or type(b) not in NATIVE or kind(a) == kind(b):
        return _equal_parts(run, native(a), native(b), depth + 1) is True
    return False


def equal_items(run: Run, a: Value, b: Value) -> bool:
    """Whether two items of lists are equal; null is equal to null, different kinds are not."""
    return _equal_items(run, a, b, 0)


# -------------------------------------------------------------------- membership


def holds(run: Run, value: Value, wanted: Value) -> bool | None:
    """Whether a value passes a test given as a value: it is in the range, in the list, or equal."""
    kind_of = type(wanted)
    if kind_of is Range:
        return in_range(run, value, wanted)
    if kind_of is list:
        return _in_list(run, value, wanted)
    if kind_of not in NATIVE:
        return holds(run, value, native(wanted))
    return equal(run, value, wanted)


def answer(run: Run, value: Value, result: Value) -> bool | None:
    """Take the result of a test that mentions `?`: true or false is the answer itself."""
    if type(result) is bool or result is None:
        return result
    return holds(run, value, result)


def answer_or_true(run: Run, value: Value, result: Value) -> bool | None:
    """Take the result of a test as Camunda does: true or false is the answer, unless a boolean is tested."""
    if type(result) is bool and type(value) is not bool:
        return result
    return holds(run, value, result)


def _in_list(run: Run, value: Value, wanted: list[Value]) -> bool:
    run.spend(len(wanted) >> 3)
    value = native(value)
    if type(value) is list and _equal_parts(run, value, wanted, 0):
        return True
    kind_of = type(value)
    if kind_of in _PLAIN:  # the usual case without a call for each item
        for item in wanted:
            if type(item) is kind_of:
                if item == value:
                    return True
            elif type(item) is Range:
                if in_range(run, value, item):
                    return True
            elif _equal_items(run, value, item, 0):
                return True
        return False
    return any(
        in_range(run, value, item) if type(item) is Range else _equal_items(run, value, item, 0)
        for item in wanted
    )


def in_range(run: Run, value: Value, range_: Range) -> bool | None:
    """Whether a value lies in a range; null if it has no order with the ends, or if an end is null."""
    operator = range_.operator
    if operator:
        return COMPARISONS[operator](
            run, value, range_.end if range_.start is None else range_.start
        )
    low, high = compare(value, range_.start), compare(value, range_.end)
    if low is None or high is None:
        run.null(f"{kind(value)} in {kind(range_.start)}..{kind(range_.end)} has no value")
        return None
    return (low > 0 or (low == 0 and range_.start_included)) and (
        high < 0 or (high == 0 and range_.end_included)
    )


def operator_range(run: Run, operator: str, value: Value) -> Value:
    """Return the range that `(< value)` and its like stand for."""
    match operator:
        case "<" | "<=":
            return Range(None, value, False, operator == "<=", operator)
        case ">" | ">=":
            return Range(value, None, operator == ">=", False, operator)
        case _:
            return Range(value, value, operator == "=", operator == "=", operator)


def make_range(run: Run, low: Value, high: Value, low_in: bool, high_in: bool) -> Value:
    """Return the range `[low..high]`, null if the ends are of different kinds."""
    if low is not None and high is not None and compare(low, high) is None:
        return run.null(f"a range from {kind(low)} to {kind(high)} has no value")
    return Range(low, high, low_in and low is not None, high_in and high is not None)


COMPARISONS: Final[Mapping[str, Callable[[Run, Value, Value], bool | None]]] = {
    "=": equal,
    "!=": unequal,
    "<": less,
    "<=": at_most,
    ">": greater,
    ">=": at_least,
}
ARITHMETIC: Final[Mapping[str, Callable[[Run, Value, Value], Value]]] = {
    **_ARITHMETIC,
    "**": power,
}


# -------------------------------------------------------------------- logic


def both(run: Run, a: Value, b: Value) -> bool | None:
    """`a and b` with three truth values."""
    if a is False or b is False:
        return False
    return True if a is True and b is True else None


def undecided(run: Run, *operands: Value) -> Value:
    """Answer null for `and` and `or`, with the reason if an operand is no truth value."""
    for operand in operands:
        if operand is not None and operand is not True and operand is not False:
            return run.null(f"{kind(operand)} is neither true nor false")
    return None


def condition(run: Run, value: Value) -> Value:
    """Return the condition of an `if`, with a warning when it is no truth value."""
    if value is not True and value is not False:
        run.null(f"the condition is {kind(value)}, which counts as false")
    return value
