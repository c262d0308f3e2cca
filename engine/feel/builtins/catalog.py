"""Built-in functions: how they are declared, and how a call finds the right one.

A function is declared with its signature as text, which is also what the documentation shows:

    @catalog.add("substring(string: string, start position: number, length: number?)")
    def substring(run, text, start, length=None): ...

- `?` behind a type: may be left out, and is None then. `…` behind a name: any number of arguments, which arrive as one list.
- Kinds are FEEL's; `a|b` is either, `any` is all with null. A list is taken for its only item, and a single value for
  a list of it, where the other is wanted (DMN 1.5, section 10.3.2.9.4).
- Several signatures of one name are tried in order. If none fits, or the body raises `NoValue`, the answer is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Final

from engine.feel.errors import NoValue
from engine.feel.run import Run
from engine.feel.temporal import (
    Date,
    DateTime,
    DaysTimeDuration,
    Time,
    YearsMonthsDuration,
)
from engine.feel.values import NATIVE, Function, Parameter, Range, Value, kind, native, number
from engine.frozen import dataclass

Body = Callable[..., Value]
MISSING: Final = object()  #: stands for an argument that was left out

_TYPES: Final[Mapping[str, frozenset[type]]] = {
    "any": NATIVE,
    "null": frozenset({type(None)}),
    "string": frozenset({str}),
    "number": frozenset({Decimal, int}),
    "boolean": frozenset({bool}),
    "list": frozenset({list}),
    "context": frozenset({dict}),
    "date": frozenset({Date}),
    "time": frozenset({Time}),
    "date and time": frozenset({DateTime}),
    "days and time duration": frozenset({DaysTimeDuration}),
    "years and months duration": frozenset({YearsMonthsDuration}),
    "duration": frozenset({DaysTimeDuration, YearsMonthsDuration}),
    "range": frozenset({Range}),
    "function": frozenset({Function}),
    "point": frozenset(
        {Decimal, int, str, Date, Time, DateTime, DaysTimeDuration, YearsMonthsDuration}
    ),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One parameter of a signature."""

    name: str
    kinds: str
    types: frozenset[type]
    optional: bool = False
    variadic: bool = False

    def fit(self, value: Value) -> Value:
        """Return `value` as this parameter wants it. Raises NoValue."""
        kind_of = type(value)
        if kind_of not in self.types:
            return self._converted(native(value))
        if kind_of is int:
            return number(value)
        if kind_of is list and not all(type(item) in NATIVE for item in value):
            return [native(item) for item in value]
        return value

    def _converted(self, value: Value) -> Value:
        if type(value) in self.types:
            return self.fit(value)
        if type(value) is list and len(value) == 1 and type(value[0]) in self.types:
            return self.fit(value[0])
        if list in self.types and value is not None:
            return [value]
        raise NoValue(f"expected {self.kinds} as {self.name!r}, but got {kind(value)}")


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a function."""

    text: str
    parameters: tuple[Wanted, ...]
    body: Body
    is_variadic: bool  #: whether the last parameter takes any number of arguments

    def takes(self, count: int) -> bool:
        """Whether so many arguments by position are right."""
        if self.is_variadic:
            return count >= len(self.parameters)
        required = sum(not parameter.optional for parameter in self.parameters)
        return required <= count <= len(self.parameters)

    def arranged(
        self, arguments: Sequence[Value], names: Sequence[str] | None
    ) -> list[Value] | None:
        """Return one argument for each parameter, or None if they are too many, too few or named otherwise."""
        if names is not None:
            given = dict(zip(names, arguments, strict=True))
            if self.is_variadic or given.keys() - {p.name for p in self.parameters}:
                return None
            return [given.get(p.name, MISSING if p.optional else None) for p in self.parameters]
        if not self.takes(len(arguments)):
            return None
        if self.is_variadic:
            fixed = len(self.parameters) - 1
            return [*arguments[:fixed], list(arguments[fixed:])]
        return [*arguments, *[MISSING] * (len(self.parameters) - len(arguments))]

    def is_plain_match(self, arguments: Sequence[Value]) -> bool:
        """Whether the arguments by position are as many as can be, and of the kinds wanted: the usual case."""
        parameters = self.parameters
        if len(parameters) != len(arguments) or self.is_variadic:
            return False
        for parameter, value in zip(parameters, arguments, strict=True):
            if type(value) not in parameter.types:
                return False
        return True

    def is_exact(self, arranged: list[Value]) -> bool:
        """Whether the arguments have the kinds wanted, without any conversion."""
        return all(
            all(type(item) in p.types for item in value) if p.variadic else type(value) in p.types
            for p, value in zip(self.parameters, arranged, strict=True)
            if value is not MISSING
        )

    def fitted(self, arranged: list[Value]) -> list[Value]:
        """Return the arguments as the body wants them. Raises NoValue."""
        return [
            None
            if value is MISSING
            else [p.fit(item) for item in value]
            if p.variadic
            else p.fit(value)
            for p, value in zip(self.parameters, arranged, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Builtin:
    """A built-in function with all its signatures."""

    name: str
    signatures: tuple[Signature, ...]
    camunda: bool = False  #: whether only Camunda has it
    needs: str = ""  #: "now" or "seed": what must come from outside

    def call(
        self, run: Run, arguments: Sequence[Value], names: Sequence[str] | None = None
    ) -> Value:
        """Call the first signature whose kinds are those of the arguments, or that they can be converted to."""
        if names is None:
            for signature in self.signatures:
                if signature.is_plain_match(arguments):
                    values = [
                        p.fit(v) for p, v in zip(signature.parameters, arguments, strict=False)
                    ]
                    return self._answer(run, signature, values)
        possible = [
            (signature, arranged)
            for signature in self.signatures
            if (arranged := signature.arranged(arguments, names)) is not None
        ]
        if len(possible) > 1:
            possible.sort(key=lambda entry: not entry[0].is_exact(entry[1]))
        reason = ""
        for signature, arranged in possible:
            try:
                values = signature.fitted(arranged)
            except (NoValue, DecimalException) as problem:
                reason = reason or str(problem)
                continue
            return self._answer(run, signature, values)
        return run.null(f"{self.name}: {reason or self._usage()}")

    def _answer(self, run: Run, signature: Signature, values: list[Value]) -> Value:
        try:
            result = signature.body(run, *values)
            kind_of = type(result)
            if kind_of is str:
                run.text(len(result))
            elif kind_of is list or kind_of is dict:
                run.spend(len(result) >> 3)
            return result
        except NoValue as problem:
            return run.null(f"{self.name}: {problem}")
        except DecimalException:
            return run.null(f"{self.name}: the result is no number, or beyond 10 ** 6144")
        except (ValueError, OverflowError) as problem:
            return run.null(f"{self.name}: {problem}")

    def _usage(self) -> str:
        return "expected " + " or ".join(signature.text for signature in self.signatures)

    def as_value(self) -> Function:
        """Return the function as a value of FEEL."""
        parameters = tuple(Parameter(p.name) for p in self.signatures[0].parameters)
        return Function(parameters, self.call, name=self.name, builtin=self.call)


class Catalog:
    """The functions that one module declares."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Signature, bool, str]] = []

    def add(self, text: str, *, camunda: bool = False, needs: str = "") -> Callable[[Body], Body]:
        """Declare a function by its signature."""

        def declare(body: Body) -> Body:
            name, _, parameters = text.partition("(")
            wanted = _parameters(parameters.rstrip(")"))
            signature = Signature(text, wanted, body, bool(wanted) and wanted[-1].variadic)
            self.entries.append((name, signature, camunda, needs))
            return body

        return declare


def collect(catalogs: Iterable[Catalog], *, camunda: bool) -> dict[str, Builtin]:
    """Return the functions of a dialect by name; where a dialect has its own way, that comes first."""
    found: dict[str, list[tuple[Signature, bool, str]]] = {}
    for catalog in catalogs:
        for name, signature, camunda_only, needs in catalog.entries:
            if camunda or not camunda_only:
                entry = (signature, camunda_only, needs)
                if camunda_only:
                    found.setdefault(name, []).insert(0, entry)
                else:
                    found.setdefault(name, []).append(entry)
    return {
        name: Builtin(
            name,
            tuple(sorted((s for s, _, _ in entries), key=lambda s: s.is_variadic)),
            all(camunda_only for _, camunda_only, _ in entries),
            entries[0][2],
        )
        for name, entries in found.items()
    }


def _parameters(text: str) -> tuple[Wanted, ...]:
    parts = [part for part in text.split(", ") if part]
    return tuple(_wanted(part) for part in parts)


def _wanted(text: str) -> Wanted:
    name, _, kinds = text.partition(": ")
    optional = kinds.endswith("?")
    kinds = kinds.rstrip("?")
    types = frozenset[type]().union(*(_TYPES[part] for part in kinds.split("|")))
    return Wanted(name.rstrip("…"), kinds, types, optional, name.endswith("…"))
