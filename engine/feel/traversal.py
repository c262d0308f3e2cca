"""Going into values and over them: paths, filters, `for`, `some` and `every`, calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from engine.feel import operations
from engine.feel.errors import FeelError
from engine.feel.run import Run
from engine.feel.temporal import (
    SECOND,
    Date,
    DateTime,
    DaysTimeDuration,
    Time,
    YearsMonthsDuration,
)
from engine.feel.types import coerce
from engine.feel.values import (
    NATIVE,
    NUMBERS,
    Function,
    Parameter,
    Range,
    Value,
    kind,
    native,
    whole,
)

Body = Callable[..., Value]

NOTHING: Final[Mapping[str, Value]] = {}


# -------------------------------------------------------------------- variables and paths


def read(run: Run, variables: Mapping[str, Value], name: str) -> Value:
    """Return a variable, with a warning if there is none."""
    if name in variables:
        return native(variables[name])
    return run.null(f"there is no variable {name!r}")


def path(run: Run, source: Value, name: str) -> Value:
    """`source.name`: an entry, a component of a temporal value or range, or that of every item of a list."""
    kind_of = type(source)
    if kind_of is dict:
        if name in source:
            value = source[name]
            return value if type(value) in NATIVE else native(value)
        return run.null(f"the context has no entry {name!r}")
    if kind_of is list:
        run.spend(len(source))
        return [path(run, item, name) for item in source]
    if kind_of not in NATIVE:
        return path(run, native(source), name)
    component = _COMPONENTS.get((kind_of, name))
    if component is None:
        return run.null(f"a {kind(source)} has no component {name!r}")
    value = component(source)
    return Decimal(value) if type(value) is int else value


def _offset(value: Time | DateTime) -> Value:
    if value.is_local:
        return None
    time, date = (value.time, value.date) if isinstance(value, DateTime) else (value, _EPOCH)
    return DaysTimeDuration(time.offset_on(date) * SECOND)


_EPOCH: Final = Date(1970, 1, 1)
_SECONDS: Final[Callable[[Time], Value]] = lambda t: t.second  # noqa: E731
_COMPONENTS: Final[Mapping[tuple[type, str], Callable[[Value], Value]]] = {
    (Date, "year"): lambda v: v.year,
    (Date, "month"): lambda v: v.month,
    (Date, "day"): lambda v: v.day,
    (Date, "weekday"): lambda v: v.weekday,
    (DateTime, "year"): lambda v: v.date.year,
    (DateTime, "month"): lambda v: v.date.month,
    (DateTime, "day"): lambda v: v.date.day,
    (DateTime, "weekday"): lambda v: v.date.weekday,
    (DateTime, "hour"): lambda v: v.time.hour,
    (DateTime, "minute"): lambda v: v.time.minute,
    (DateTime, "second"): lambda v: _SECONDS(v.time),
    (DateTime, "time offset"): _offset,
    (DateTime, "timezone"): lambda v: v.time.zone,
    (Time, "hour"): lambda v: v.hour,
    (Time, "minute"): lambda v: v.minute,
    (Time, "second"): _SECONDS,
    (Time, "time offset"): _offset,
    (Time, "timezone"): lambda v: v.zone,
    (DaysTimeDuration, "days"): lambda v: _signed(v, 0),
    (DaysTimeDuration, "hours"): lambda v: _signed(v, 1),
    (DaysTimeDuration, "minutes"): lambda v: _signed(v, 2),
    (DaysTimeDuration, "seconds"): lambda v: _signed(v, 3),
    (YearsMonthsDuration, "years"): lambda v: _parts(v.months)[0],
    (YearsMonthsDuration, "months"): lambda v: _parts(v.months)[1],
    (Range, "start"): lambda v: v.start,
    (Range, "end"): lambda v: v.end,
    (Range, "start included"): lambda v: v.start_included,
    (Range, "end included"): lambda v: v.end_included,
}


def _signed(duration: DaysTimeDuration, index: int) -> int:
    value = duration.fields[index]
    return -value if duration.nanoseconds < 0 else value


def _parts(months: int) -> tuple[int, int]:
    years, rest = divmod(abs(months), 12)
    return (-years, -rest) if months < 0 else (years, rest)


# -------------------------------------------------------------------- filters


def entries(item: Value) -> Mapping[str, Value]:
    """Return what an item's names resolve to inside a filter."""
    return item if type(item) is dict else NOTHING


def at_position(run: Run, source: Value, position: Value) -> Value:
    """`source[position]`, counted from 1, or from -1 at the end."""
    items = source if type(source) is list else _as_list(source)
    index = whole(position)
    if index is None or not 1 <= abs(index) <= len(items):
        return run.null(f"there is no item {position} in a list of {len(items)}")
    return native(items[index - 1 if index > 0 else index])


def select(run: Run, source: Value, condition: Body) -> Value:
    """`source[condition]`, when the condition cannot be a number."""
    items = source if type(source) is list else _as_list(source)
    run.spend(len(items))
    return [item for item in map(native, items) if condition(item, entries(item)) is True]


def pick(run: Run, source: Value, condition: Body) -> Value:
    """`source[condition]`, when only its value tells whether it is a position or a condition."""
    items = source if type(source) is list else _as_list(source)
    sample = native(items[0]) if items else None
    first = condition(sample, entries(sample))
    if type(first) in NUMBERS:
        return at_position(run, items, first)
    return select(run, items, condition)


def _as_list(value: Value) -> list[Value]:
    if value is None:
        return []
    value = native(value)
    return value if type(value) is list else [value]


# -------------------------------------------------------------------- iteration


def loop(run: Run, domains: Sequence[Body], body: Body) -> Value:
    """`for`: `domains` get the earlier variables; `body` all of them, after the results so far."""
    results: list[Value] = []
    for values in _combinations(run, domains, ()):
        if values is None:
            return None
        results.append(body(results, *values))
    return results


def loop_one(run: Run, domain: Value, body: Body) -> Value:
    """`for` with one variable and no look at the results so far."""
    items = domain_items(run, domain)
    if items is None:
        return None
    results = []
    for item in items:
        run.spend(1)
        results.append(body(item))
    return results


def some(run: Run, domains: Sequence[Body], condition: Body) -> Value:
    """`some … satisfies`: true once it holds, null if it was ever null."""
    return _quantified(run, domains, condition, True)


def every(run: Run, domains: Sequence[Body], condition: Body) -> Value:
    """`every … satisfies`: false once it does not hold, null if it was ever null."""
    return _quantified(run, domains, condition, False)


def _quantified(run: Run, domains: Sequence[Body], condition: Body, decisive: bool) -> Value:
    answer: bool | None = not decisive
    for values in _combinations(run, domains, ()):
        if values is None:
            return None
        found = condition(*values)
        if found is decisive:
            return decisive
        if found is not (not decisive):
            answer = operations.undecided(run, found)
    return answer


def _combinations(
    run: Run, domains: Sequence[Body], earlier: tuple[Value, ...]
) -> Iterator[tuple[Value, ...] | None]:
    """Return every combination of the variables, the last changing fastest; None if a domain is no list."""
    items = domain_items(run, domains[len(earlier)](*earlier))
    if items is None:
        yield None
        return
    last = len(earlier) + 1 == len(domains)
    for item in items:
        run.spend(1)
        values = (*earlier, item)
        if last:
            yield values
        else:
            yield from _combinations(run, domains, values)


def domain_items(run: Run, domain: Value) -> Iterable[Value] | None:
    """Return what a domain consists of: a list's items, a range's whole numbers or days, a single value."""
    domain = native(domain)
    if type(domain) is list:
        return domain if all(type(item) in NATIVE for item in domain) else map(native, domain)
    if type(domain) is Range:
        return _range_items(run, domain)
    if domain is None:
        run.null("expected a list to go through, but it is null")
        return None
    return [domain]


def _range_items(run: Run, range_: Range) -> Iterable[Value] | None:
    start, end = range_.start, range_.end
    first, last = _ordinal(start), _ordinal(end)
    if first is None or last is None or (type(start) is Date and type(end) is not Date):
        run.null(f"{kind(start)}..{kind(end)} has no next value")
        return None
    first += not range_.start_included
    last -= not range_.end_included
    if first > last:
        run.null("the range to go through ends before it starts")
        return None
    return _steps(start, first, last)


def steps(run: Run, first: Value, last: Value) -> Value:
    """Return a list for `first..last` of an iteration: whole numbers or days, up or down."""
    low, high = _ordinal(first), _ordinal(last)
    if low is None or high is None or kind(first) != kind(last):
        return run.null(f"{kind(first)}..{kind(last)} has no next value")
    run.spend(abs(high - low) + 1)
    return list(_steps(first, low, high))


def _steps(sample: Value, first: int, last: int) -> Iterator[Value]:
    direction = 1 if last >= first else -1
    numbers = range(first, last + direction, direction)
    return map(Date.of_ordinal if type(sample) is Date else Decimal, numbers)


def _ordinal(value: Value) -> int | None:
    return value.ordinal if type(value) is Date else whole(value)


def snapshot(run: Run, results: list[Value]) -> list[Value]:
    """Return the results so far as a list of their own."""
    run.spend(len(results) >> 3)
    return list(results)


# -------------------------------------------------------------------- calls


def call(
    run: Run, function: Value, arguments: Sequence[Value], names: Sequence[str] | None = None
) -> Value:
    """Call any function value with arguments by position, or by the names given for them."""
    if type(function) is not Function:
        return run.null(f"expected a function to call, but got {kind(function)}")
    if function.builtin is not None:
        return function.builtin(run, arguments, names)
    wanted = function.parameters
    if names is not None:
        given = dict(zip(names, arguments, strict=True))
        if set(given) - {parameter.name for parameter in wanted}:
            return run.null(f"{_title(function)} has no parameter {_unknown(given, function)!r}")
        arguments = [given.get(parameter.name) for parameter in wanted]
    if len(arguments) != len(wanted):
        return run.null(f"{_title(function)} takes {len(wanted)} arguments, got {len(arguments)}")
    values = []
    for parameter, argument in zip(wanted, arguments, strict=True):
        value = coerce(argument, parameter.type, run)
        if value is None and argument is not None:
            return None
        values.append(value)
    return _entered(run, function, values)


def _entered(run: Run, function: Function, values: list[Value]) -> Value:
    run.enter()
    try:
        result = function.body(run, *values)
    except RecursionError:
        raise FeelError("expected fewer nested function calls, but the stack is full") from None
    finally:
        run.leave()
    return result if function.result is None else coerce(result, function.result, run)


def external(run: Run, parameters: tuple[Parameter, ...], body: Value) -> Value:
    """Return the function outside of FEEL that `body` names, if the caller allows it."""
    java = body.get("java") if type(body) is dict else None
    if type(java) is not dict:
        return run.null("expected external {java: {class: …, method signature: …}}")
    signature = f"{java.get('class')}.{java.get('method signature')}".replace(" ", "")
    function = run.externals.get(signature)
    if function is None:
        return run.null(f"the external function {signature!r} is not allowed here")
    target = function

    def invoke(run: Run, *arguments: Value) -> Value:
        try:
            return native(target(*arguments))
        except (ArithmeticError, TypeError, ValueError, LookupError) as problem:
            return run.null(f"the external function {signature!r} failed: {problem}")

    return Function(parameters, invoke, name=signature)


def _title(function: Function) -> str:
    return f"function {function.name!r}" if function.name else "the function"


def _unknown(given: Iterable[str], function: Function) -> str:
    known = {parameter.name for parameter in function.parameters}
    return next(name for name in given if name not in known)
