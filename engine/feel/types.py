"""Types: what `instance of` asks, and what values are coerced to.

Invariants
- `conforms` looks at structure: a context may have more entries than its type names, and constraints do not count.
- `coerce` returns a value of the type, or null with a warning; it changes a value in the standard's four ways only:
  one item ↔ list of one item, date → date and time at midnight UTC, and null stays null (DMN 1.5, section 10.3.2.9.4).

>>> str(ListOf(NUMBER))
'list<number>'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from engine.feel.temporal import Date, DateTime, Time
from engine.feel.values import Function, Range, Value, kind, native
from engine.frozen import dataclass

if TYPE_CHECKING:
    from engine.feel.run import Run


@dataclass(frozen=True, slots=True)
class Simple:
    """A type without parts: Any, Null, number, string, boolean, one of the temporal kinds, context, list …"""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListOf:
    """`list<element>`."""

    element: Type

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class RangeOf:
    """`range<element>`."""

    element: Type

    def __str__(self) -> str:
        return f"range<{self.element}>"


@dataclass(frozen=True, slots=True)
class ContextOf:
    """`context<name: type, …>`; values may have more entries than these."""

    entries: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return f"context<{', '.join(f'{name}: {type_}' for name, type_ in self.entries)}>"


@dataclass(frozen=True, slots=True)
class FunctionOf:
    """`function<parameters> -> result`."""

    parameters: tuple[Type, ...]
    result: Type

    def __str__(self) -> str:
        return f"function<{', '.join(map(str, self.parameters))}> -> {self.result}"


@dataclass(frozen=True, slots=True)
class Restricted:
    """A type of which only some values are allowed (the allowed values of an item definition).

    `allows` gets a value that already has the base type. `instance of` ignores it, coercion does not.
    """

    base: Type
    allows: Callable[[Value], bool | None]
    text: str = ""  #: the constraint as written, for messages

    def __str__(self) -> str:
        return f"{self.base} ({self.text})" if self.text else str(self.base)


@dataclass(frozen=True, slots=True)
class Named:
    """A type known by name only; `resolve` finds it, so that types may refer to themselves."""

    name: str
    resolve: Callable[[str], Type | None]

    def __str__(self) -> str:
        return self.name


Type: TypeAlias = Simple | ListOf | RangeOf | ContextOf | FunctionOf | Restricted | Named

ANY: Final = Simple("Any")
NULL: Final = Simple("Null")
NUMBER: Final = Simple("number")
STRING: Final = Simple("string")
BOOLEAN: Final = Simple("boolean")
DATE: Final = Simple("date")
TIME: Final = Simple("time")
DATE_TIME: Final = Simple("date and time")
DAYS_TIME_DURATION: Final = Simple("days and time duration")
YEARS_MONTHS_DURATION: Final = Simple("years and months duration")
SIMPLE_TYPES: Final[Mapping[str, Type]] = {
    "Any": ANY,
    "any": ANY,
    "Null": NULL,
    "number": NUMBER,
    "string": STRING,
    "boolean": BOOLEAN,
    "date": DATE,
    "time": TIME,
    "date and time": DATE_TIME,
    "dateTime": DATE_TIME,
    "days and time duration": DAYS_TIME_DURATION,
    "dayTimeDuration": DAYS_TIME_DURATION,
    "years and months duration": YEARS_MONTHS_DURATION,
    "yearMonthDuration": YEARS_MONTHS_DURATION,
    "date time": DATE_TIME,
    "day-time-duration": DAYS_TIME_DURATION,
    "year-month-duration": YEARS_MONTHS_DURATION,
    "list": Simple("list"),
    "context": Simple("context"),
    "function": Simple("function"),
    "range": Simple("range"),
}


def type_of(value: Value) -> Type:
    """Return the most specific type a value has by itself."""
    match native(value):
        case None:
            return NULL
        case list() as items:
            found = {type_of(item) for item in items if item is not None}
            return ListOf(found.pop() if len(found) == 1 else ANY)
        case dict() as entries:
            return ContextOf(tuple((name, type_of(item)) for name, item in entries.items()))
        case Range(start=start, end=end):
            return RangeOf(type_of(end if start is None else start))
        case Function(parameters=parameters, result=result):
            return FunctionOf(tuple(p.type or ANY for p in parameters), result or ANY)
        case other:
            return Simple(kind(other))


def conforms(value: Value, type_: Type) -> bool:
    """Whether `value instance of type_`. Null is an instance of the type Null only."""
    value = native(value)
    if value is None:
        return type_ == NULL
    match type_:
        case Simple(name="Any"):
            return True
        case Simple(name=name):
            return kind(value) == name
        case ListOf(element=element):
            return type(value) is list and all(_is_or_null(item, element) for item in value)
        case RangeOf(element=element):
            ends = (value.start, value.end) if type(value) is Range else ()
            return bool(ends) and all(_is_or_null(end, element) for end in ends)
        case ContextOf(entries=entries):
            return type(value) is dict and all(
                name in value and _is_or_null(value[name], entry) for name, entry in entries
            )
        case FunctionOf():
            return type(value) is Function and is_subtype(type_of(value), type_)
        case Restricted(base=base):
            return conforms(value, base)
        case Named(name=name, resolve=resolve):
            found = resolve(name)
            return found is not None and conforms(value, found)


def is_subtype(type_: Type, wider: Type) -> bool:
    """Whether every value of `type_` is one of `wider` (DMN 1.5, section 10.3.2.9.2, "conforms to")."""
    type_, wider = _plain(type_), _plain(wider)
    if wider == ANY or type_ in (wider, NULL):
        return True
    match type_, wider:
        case (ListOf(element=a), ListOf(element=b)) | (RangeOf(element=a), RangeOf(element=b)):
            return is_subtype(a, b)
        case (ListOf() | RangeOf() | ContextOf() | FunctionOf(), Simple(name=name)):
            return str(type_).startswith(f"{name}<")
        case ContextOf(entries=entries), ContextOf(entries=wanted):
            known = dict(entries)
            return all(name in known and is_subtype(known[name], t) for name, t in wanted)
        case FunctionOf(parameters=p, result=r), FunctionOf(parameters=q, result=s):
            return (
                len(p) == len(q)
                and all(is_subtype(b, a) for a, b in zip(p, q, strict=True))
                and is_subtype(r, s)
            )
        case _:
            return False


def coerce(value: Value, type_: Type | None, run: Run) -> Value:
    """Return `value` as a value of `type_`, or null with a warning on `run`. None and Any take everything."""
    value = native(value)
    if value is None or type_ is None or type_ == ANY:
        return value
    type_ = _resolved(type_)
    if type(value) is list and not _wants_list(type_) and len(value) == 1:
        value = native(value[0])
    match type_:
        case Restricted(base=base, allows=allows):
            found = coerce(value, base, run)
            if found is not None and allows(found) is not True:
                return run.null(f"{_shown(found)} is none of the allowed values of {type_}")
            return found
        case ListOf(element=element):
            return _coerce_list(value, element, type_, run)
        case ContextOf(entries=entries) if type(value) is dict:
            return _coerce_context(value, entries, type_, run)
        case FunctionOf() if type(value) is Function:
            if _may_be(value, type_):
                return replace(value, result=value.result or type_.result)
        case Simple(name="date and time") if type(value) is Date:
            return DateTime(value, Time(0, 0, 0, 0, 0))
        case _ if conforms(value, type_):
            return value
    return run.null(f"expected {type_}, but got {_shown(value)}")


def _may_be(function: Function, wanted: FunctionOf) -> bool:
    """Whether a function may be of a type; parameters and results without a type may be of any."""
    if function.builtin is not None:
        return True  # it takes what it can when it is called
    given, result = function.parameters, function.result
    return (
        len(given) == len(wanted.parameters)
        and all(
            own.type is None or is_subtype(type_, own.type)
            for own, type_ in zip(given, wanted.parameters, strict=True)
        )
        and (result is None or is_subtype(result, wanted.result))
    )


def _coerce_list(value: Value, element: Type, type_: Type, run: Run) -> Value:
    items = value if type(value) is list else [value]
    found = [coerce(item, element, run) for item in items]
    if any(new is None and old is not None for new, old in zip(found, items, strict=True)):
        return run.null(f"expected {type_}, but an item is none")
    return found


def _coerce_context(
    value: Mapping[str, Value], entries: tuple[tuple[str, Type], ...], type_: Type, run: Run
) -> Value:
    result = dict(value)
    for name, entry in entries:
        if name not in value:
            return run.null(f"expected {type_}, but there is no entry {name!r}")
        result[name] = coerce(value[name], entry, run)
        if result[name] is None and value[name] is not None:
            return run.null(f"expected {type_}, but entry {name!r} is none")
    return result


def _is_or_null(value: Value, type_: Type) -> bool:
    return value is None or conforms(value, type_)


def _plain(type_: Type) -> Type:
    """Return a type without its name and its constraint."""
    type_ = _resolved(type_)
    return _plain(type_.base) if isinstance(type_, Restricted) else type_


def _resolved(type_: Type) -> Type:
    while isinstance(type_, Named):
        type_ = type_.resolve(type_.name) or ANY
    return type_


def _wants_list(type_: Type) -> bool:
    plain = _plain(type_)
    return isinstance(plain, ListOf) or plain == Simple("list")


def _shown(value: Value) -> str:
    return f"a {kind(value)}" if isinstance(value, list | dict | Range | Function) else f"{value!s}"
