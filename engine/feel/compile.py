"""Expressions and unary tests made ready to run.

Compile once and call often: `expression(variables)` is the fast way, `expression.evaluate(variables)` says in addition
why something is null. Both are pure: the same variables give the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from engine.feel import ast
from engine.feel.codegen import Generator
from engine.feel.errors import FeelError, FeelWarning
from engine.feel.parser import parse, parse_unary_tests
from engine.feel.run import Run
from engine.feel.temporal import DateTime
from engine.feel.types import Type
from engine.feel.values import Value, from_json, native
from engine.frozen import dataclass

Dialect: TypeAlias = Literal["dmn", "camunda"]
Externals: TypeAlias = Mapping[str, Callable[..., Value]]

NO_EXTERNALS: Final[Externals] = Run.externals


_TOLD_BY_CODE: Final = frozenset({"_pending", "names_read", "names_in_filters", "needs"})


@dataclass(frozen=True, slots=True)
class Result:
    """A value, and why it or parts of it are null."""

    value: Value
    warnings: tuple[FeelWarning, ...] = ()


class _Compiled:
    """What expressions and tests have in common."""

    __slots__ = (
        "_externals",
        "_function",
        "_names",
        "_pending",
        "_traced",
        "dialect",
        "names_in_filters",
        "names_read",
        "needs",
        "text",
        "tree",
    )

    text: str
    tree: ast.Node
    dialect: Dialect
    _pending: tuple[str, Generator]
    names_read: frozenset[str]  #: variables that are read
    names_in_filters: frozenset[str]  #: names in filters: variables, or entries of the items
    needs: frozenset[str]  #: "now" if the time is asked for, "seed" if a random number is

    def __init__(
        self,
        text: str,
        tree: ast.Node,
        names: frozenset[str],
        dialect: Dialect,
        externals: Externals | None,
    ) -> None:
        self.text = text
        self.tree = tree
        self.dialect = dialect
        self._names = names
        self._externals = externals
        self._traced: Callable[..., Value] | None = None
        self._function: Callable[..., Value] = self._compile_and_call

    if not TYPE_CHECKING:  # what has no value yet comes here

        def __getattr__(self, name):
            """Generate the code when it, or what it tells, is first asked for: most expressions of a bundle are never called."""
            if name not in _TOLD_BY_CODE:
                raise AttributeError(name)
            _, generator = self._pending = self._generated(traced=False)
            self.names_read = frozenset(generator.certain)
            self.names_in_filters = frozenset(generator.in_filters)
            self.needs = frozenset(generator.needs)
            return object.__getattribute__(self, name)

    def _generated(self, *, traced: bool) -> tuple[str, Generator]:
        """Return the source of a module with the function `f`, and the generator that knows its globals."""
        generator = Generator(dialect=self.dialect, traced=traced, names=self._names)
        try:
            if isinstance(self.tree, ast.UnaryTests):
                head, code = "def f(v, r, x):", generator.tests(self.tree, "x")
            else:
                head, code = "def f(v, r):", generator.expression(self.tree)
        except RecursionError as error:
            raise _too_deep() from error
        return generator.module(
            "\n ".join([head, *generator.prologue(), f"return {code}"])
        ), generator

    def _compile_and_call(self, *arguments: Value) -> Value:
        """Have Python compile the code when it is first called: that takes longer than all before it."""
        self._function = _python(*self._pending)
        return self._function(*arguments)

    def _chosen(self, run: Run) -> Callable[..., Value]:
        """Return the code that fits: the traced one when the run collects reasons."""
        if self._externals and not run.externals:
            run.externals = self._externals
        if run.notes is None:
            return self._function
        if self._traced is None:
            self._traced = _python(*self._generated(traced=True))
        return self._traced

    def _run(
        self, variables: Mapping[str, Value], now: object = None, seed: str | None = None
    ) -> Run:
        run = Run()
        if self._externals:
            run.externals = self._externals
        if self.needs:
            given = native(variables.get("now") if now is None else now)
            if type(given) is DateTime:
                run.now = given
            run.seed = seed
        return run

    def _evaluate(self, run: Run, *arguments: Value) -> Result:
        notes: list[FeelWarning] = []
        run.notes = notes
        value = _guarded(self._chosen(run), *arguments)
        size = len(self.text)
        placed = (n if n.start >= 0 else FeelWarning(n.message, 0, size) for n in notes)
        return Result(value, tuple(dict.fromkeys(placed)))


class Expression(_Compiled):
    """A compiled expression. `text` is as written, `names_read` the variables it reads."""

    __slots__ = ()

    def __call__(self, variables: Mapping[str, Value]) -> Value:
        """Return the value. `variables` hold values of FEEL or JSON; others are converted when touched.

        Raises FeelError when a bound is exceeded, or time or chance is needed and not given.
        """
        if self.needs or self._externals:
            return _guarded(self._function, variables, self._run(variables))
        try:
            return self._function(variables, Run())
        except RecursionError:
            raise _too_deep() from None

    def evaluate(
        self, variables: Mapping[str, Value], *, now: object = None, seed: str | None = None
    ) -> Result:
        """Return the value, and the reasons for every null on the way.

        `now` is what `now()` and `today()` answer, `seed` what random values are derived from.
        """
        return self._evaluate(run := self._run(variables, now, seed), variables, run)

    def run(self, run: Run, variables: Mapping[str, Value]) -> Value:
        """Return the value as a part of a larger evaluation, whose bounds, time and warnings `run` holds."""
        return _guarded(self._chosen(run), variables, run)


class UnaryTests(_Compiled):
    """Compiled unary tests, such as an input cell of a decision table."""

    __slots__ = ()

    def __call__(self, value: Value, variables: Mapping[str, Value]) -> bool | None:
        """Return whether the value passes; None when that cannot be said."""
        run = self._run(variables) if self.needs or self._externals else Run()
        return _truth(_guarded(self._function, variables, run, native(value)))

    def run(self, run: Run, value: Value, variables: Mapping[str, Value]) -> bool | None:
        """Return whether the value passes, as a part of a larger evaluation."""
        return _truth(_guarded(self._chosen(run), variables, run, native(value)))

    def evaluate(
        self,
        value: Value,
        variables: Mapping[str, Value],
        *,
        now: object = None,
        seed: str | None = None,
    ) -> Result:
        """Return whether the value passes, and the reasons for every null on the way."""
        run = self._run(variables, now, seed)
        result = self._evaluate(run, variables, run, native(value))
        return Result(_truth(result.value), result.warnings)


def compile_expression(
    text: str,
    *,
    names: Iterable[str] = (),
    dialect: Dialect = "camunda",
    types: Mapping[str, Type] | None = None,
    externals: Externals | None = None,
    members: Iterable[str] = (),
) -> Expression:
    """Return an expression ready to run.

    `names` are names in scope that may hold spaces or operators, `members` such names that count after a dot and in
    filters only; `types` the named types for `instance of`; `externals` the external functions that may be called. Raises FeelError with the place of the fault.
    """
    known = frozenset(names)
    return Expression(text, parse(text, known, dialect, types, members), known, dialect, externals)


def compile_unary_tests(
    text: str,
    *,
    names: Iterable[str] = (),
    dialect: Dialect = "camunda",
    types: Mapping[str, Type] | None = None,
    externals: Externals | None = None,
    members: Iterable[str] = (),
) -> UnaryTests:
    """Return unary tests ready to run. See `compile_expression`."""
    known = frozenset(names)
    tree = parse_unary_tests(text, known, dialect, types, members)
    return UnaryTests(text, tree, known, dialect, externals)


def evaluate(
    expression: str,
    variables: Mapping[str, object] | None = None,
    dialect: Dialect = "dmn",
    *,
    now: object = None,
    seed: str | None = None,
    externals: Externals | None = None,
) -> Value:
    """Return the value of an expression; `variables` may hold any Python values that `from_json` takes.

    >>> evaluate("monthly fee * 12", {"monthly fee": 7.5})
    Decimal('90.0')
    """
    given = variables or {}
    compiled = compile_expression(expression, names=given, dialect=dialect, externals=externals)
    known = _converted(compiled, given)
    run = compiled._run(known, now, seed)
    return _guarded(compiled._function, known, run)


def unary_test(
    expression: str,
    value: object,
    variables: Mapping[str, object] | None = None,
    dialect: Dialect = "dmn",
    *,
    now: object = None,
    seed: str | None = None,
) -> bool | None:
    """Return whether `value` passes unary tests.

    >>> unary_test('not("red", "blue")', "green")
    True
    """
    given = variables or {}
    compiled = compile_unary_tests(expression, names=given, dialect=dialect)
    known = _converted(compiled, given)
    run = compiled._run(known, now, seed)
    return _truth(_guarded(compiled._function, known, run, from_json(value)))


def _converted(compiled: _Compiled, variables: Mapping[str, object]) -> dict[str, Value]:
    names = compiled.names_read | compiled.names_in_filters | ({"now"} if compiled.needs else set())
    return {name: from_json(variables[name]) for name in names if name in variables}


def _python(source: str, generator: Generator) -> Callable[..., Value]:
    """Return the function `f` of generated source."""
    space = generator.globals()
    try:
        exec(compile(source, "<feel>", "exec"), space)
    except (RecursionError, MemoryError) as error:
        raise _too_deep() from error
    return space["f"]  # type: ignore[return-value]  # the function just defined


def _guarded(function: Callable[..., Value], *arguments: Value) -> Value:
    try:
        return function(*arguments)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> FeelError:
    return FeelError("expected values and functions that nest less deeply, but the stack is full")


def _truth(value: Value) -> bool | None:
    return value if type(value) is bool else None
