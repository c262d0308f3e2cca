"""FEEL in diagrams: compiled once for each process, evaluated on the variables that a scope can see.

A result that goes into a variable is plain JSON: temporal values become text, functions and ranges are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from engine.bpmn.model import Expression, Mapping_, Template
from engine.core.model import Json, Variables
from engine.feel import FeelError, Result, Value, compile_expression, to_json
from engine.feel.values import number_text
from engine.frozen import dataclass

_NAMES: Final = re.compile(r"[^\W\d]\w*+(?!\s*\()")


class Trouble(Exception):
    """An element cannot go on: becomes an incident with `code`. Never leaves the core."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Moment:
    """What FEEL takes from outside: `now` for `now()` and `today()`, `seed` for random values. Set by the fact."""

    now: datetime
    seed: str


@dataclass(frozen=True, slots=True)
class View:
    """What an expression sees: the variables of a scope, at a moment."""

    variables: Variables
    moment: Moment

    def with_more(self, more: Variables) -> View:
        """Return the view with `more` variables before the others."""
        return View({**self.variables, **more}, self.moment)


class Text(Protocol):
    """A compiled template: fixed text or FEEL."""

    def value(self, view: View) -> Json: ...

    def text(self, view: View) -> str: ...


class Compiled:
    """A FEEL expression, ready to run."""

    __slots__ = ("_expression", "position", "source")

    def __init__(self, expression: Expression) -> None:
        """Compile `expression`. Raises FeelError when its text is no FEEL."""
        self.source = expression.text
        self.position = expression.position
        # a variable hides the built-in function of its name (`count > 2`), but only when it is declared
        names = _NAMES.findall(expression.text)
        self._expression = compile_expression(expression.text, names=names, dialect="camunda")

    def raw(self, view: View) -> Value:
        """Return the FEEL value. Raises Trouble(MAPPING) when the evaluation runs into a bound."""
        try:
            if not self._expression.needs:
                return self._expression(view.variables)
            return self._evaluated(view).value
        except FeelError as error:
            raise Trouble("MAPPING", f"={self.source} cannot be evaluated: {error}") from error

    def value(self, view: View) -> Json:
        """Return the value as JSON. Raises Trouble(MAPPING)."""
        value = self.raw(view)
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value  # type: ignore[no-any-return]  # narrowed by type() for speed
        try:
            return to_json(value)  # type: ignore[no-any-return]  # FEEL's Value is Any; JSON by contract
        except FeelError as error:
            raise Trouble("MAPPING", f"={self.source} gives no JSON: {error}") from error

    def text(self, view: View) -> str:
        """Return the value as text: text as it is, a number as FEEL writes it. Raises Trouble(MAPPING)."""
        value = self.value(view)
        text = as_text(value)
        if text is not None:
            return text
        shown = f"null{self.why_null(view)}" if value is None else repr(value)
        raise Trouble(
            "MAPPING", f"expected a text or a number from ={self.source}, but got {shown}"
        )

    def truth(self, view: View) -> bool:
        """Return a condition's answer.

        Raises Trouble: CONDITION_NULL when it is null, CONDITION_TYPE when it is anything but true or false.
        """
        value = self.raw(view)
        if value is True or value is False:
            return value
        if value is None:
            raise Trouble(
                "CONDITION_NULL",
                f"expected true or false from ={self.source}, but got null{self.why_null(view)}",
            )
        raise Trouble(
            "CONDITION_TYPE", f"expected true or false from ={self.source}, but got {value!r}"
        )

    def why_null(self, view: View) -> str:
        """Return what FEEL says about a null, in brackets, or nothing."""
        try:
            warnings = self._evaluated(view).warnings
        except FeelError:
            return ""
        return f" ({'; '.join(map(str, warnings))})" if warnings else ""

    def _evaluated(self, view: View) -> Result:
        moment = view.moment
        return self._expression.evaluate(view.variables, now=moment.now, seed=moment.seed)


class Fixed:
    """Plain text where FEEL could stand."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, view: View) -> Json:
        return self._text

    def text(self, view: View) -> str:
        return self._text


class Mappings:
    """Input or output mappings of one element, in document order; later ones see the targets of earlier ones."""

    __slots__ = ("_lines",)

    def __init__(self, lines: tuple[tuple[tuple[str, ...], Compiled], ...]) -> None:
        self._lines = lines

    def __bool__(self) -> bool:
        return bool(self._lines)

    def evaluate(self, view: View, *, merge: bool) -> dict[str, Json]:
        """Return the targets with their values. Raises Trouble(MAPPING).

        A target `a.b` makes a context; with `merge` it goes into the context `a` that is already visible.
        """
        seen = dict(view.variables)
        growing = View(seen, view.moment)
        targets: dict[str, Json] = {}
        for path, source in self._lines:
            value = source.value(growing)
            name = path[0]
            if len(path) > 1:
                base = seen.get(name) if merge or name in targets else None
                value = _placed(base, path[1:], value)
            targets[name] = seen[name] = value
        return targets


def compile_template(template: Template) -> Text:
    """Return `template` ready to run. Raises FeelError."""
    if template.is_feel:
        return Compiled(Expression(text=template.text, position=template.position))
    return Fixed(template.text)


def target_path(mapping: Mapping_) -> tuple[str, ...]:
    """Return the names of a mapping's target, outermost first."""
    return tuple(part.strip() for part in mapping.target.split("."))


def as_text(value: Json) -> str | None:
    """Return text for a text or number, None for everything else: 7, 7.0 and "7" are the same key."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return None
    return number_text(value) if not isinstance(value, Mapping | list | tuple) else None  # type: ignore[arg-type]  # what is left is a number


def _placed(base: Json, path: tuple[str, ...], value: Json) -> Json:
    """Return context `base` (or a new one) with `value` at `path`."""
    context = dict(base) if isinstance(base, Mapping) else {}
    inner = value if len(path) == 1 else _placed(context.get(path[0]), path[1:], value)
    context[path[0]] = inner
    return context
