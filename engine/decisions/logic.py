"""Boxed expressions made ready to run: each becomes a function of the run and the names in scope.

FEEL itself is left to `engine.feel`; here are the boxes around it. Text is parsed when the file is loaded, so that
every fault is found then, and compiled when it is first needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from engine.decisions.cells import NotConstant, constant, static
from engine.decisions.columns import DASH
from engine.decisions.item_types import ItemTypes
from engine.decisions.model import (
    BoxedContext,
    BoxedFilter,
    BoxedFor,
    BoxedList,
    Conditional,
    DecisionTable,
    Dialect,
    Expression,
    FunctionDefinition,
    Invocation,
    LiteralExpression,
    Quantified,
    Relation,
    Text,
    Variable,
)
from engine.decisions.tables import build_table
from engine.decisions.terms import Constant, Eval, Externals, Names, Scope, Test
from engine.errors import DefinitionError
from engine.feel import (
    FeelError,
    Function,
    Parameter,
    Run,
    Value,
    compile_expression,
    compile_unary_tests,
    parse,
    parse_unary_tests,
)
from engine.feel.ast import Name, Node
from engine.feel.traversal import call, domain_items, snapshot
from engine.feel.types import Type, coerce
from engine.feel.values import native, number

_DASH: Final = parse_unary_tests("-")
_WORDS: Final = re.compile(r"[^\W\d][\w-]*(?: [\w-]+)+")  #: several words and nothing else
#: Text and numbers without anything special, which most output cells are; they need no parser.
_LITERAL: Final = re.compile(r'"([^"\\]*)"|([0-9]{1,30}(?:\.[0-9]{1,4})?)', re.ASCII)
NO_NAMES: Final[Names] = frozenset()


class Compiler:
    """Compiles the expressions of one file."""

    def __init__(
        self,
        types: ItemTypes,
        dialect: Dialect,
        members: Names = NO_NAMES,
        externals: Externals | None = None,
        strict: bool = True,
    ) -> None:
        """`members` are names of components, entries and imported elements, which any path may mention."""
        self.types = types
        self.file = types.file
        self.dialect = dialect
        self.members = members
        self.externals = externals or {}
        self.strict = strict
        self.faults: list[tuple[str, DefinitionError]] = []  #: rule of the lint, and the fault
        self._tests: dict[tuple[str, Names], Test] = {}
        self._several: dict[Names, Names] = {}

    def expression(self, boxed: Expression, names: Names) -> Eval:
        """Return a boxed expression as a function; its value has the type it declares.

        Raises DefinitionError with the place when a text is no FEEL, or collects it when not strict.
        """
        made = self._boxed(boxed, names)
        return self.typed(made, self.refer(boxed.type_ref, boxed.line, boxed.id))

    def refer(self, type_ref: str, line: int, id: str = "") -> Type | None:
        """Return the type of a `typeRef`; an unknown one is a fault."""
        try:
            return self.types.refer(type_ref, line, id)
        except DefinitionError as error:
            self._fault(error, "type")
            return None

    def typed(self, made: Eval, wanted: Type | None) -> Eval:
        """Return `made` with its value coerced."""
        if wanted is None:
            return made
        if isinstance(made, Constant):
            return Constant(coerce(made.value, wanted, Run()))
        return lambda run, scope: coerce(made(run, scope), wanted, run)

    def text(self, text: Text, names: Names) -> Eval:
        """Return a FEEL expression as a function."""
        if plain := _LITERAL.fullmatch(text.text):
            return Constant(plain[1] if plain[1] is not None else number(Decimal(plain[2])))
        tree = self.parsed(text, names)
        if isinstance(tree, DefinitionError):
            return _raising(tree)
        if isinstance(tree, Name) and tree.name in names:
            return _variable(tree.name)
        try:
            return Constant(constant(tree))
        except NotConstant:
            return self._lazy(text, names)

    def parsed(self, text: Text, names: Names) -> Node | DefinitionError:
        """Return the syntax tree, or the fault when not strict."""
        try:
            return parse(text.text, self._known(names), self.dialect, self.types, self.members)
        except FeelError as error:
            return self._fault(self._placed(error, text), "syntax")

    def test(self, text: Text, names: Names) -> Test:
        """Return a cell of a table; an empty one holds for every value."""
        key = (text.text, names)
        if key not in self._tests:
            self._tests[key] = self._test(text, names)
        return self._tests[key]

    # --- FEEL ---

    def _known(self, names: Names) -> Names:
        """Return the names that the parser must know beforehand."""
        if names not in self._several:
            self._several[names] = multi_word(names)
        return self._several[names]

    def _test(self, text: Text, names: Names) -> Test:
        if text.text in ("", "-"):
            return Test(text.text, _DASH, DASH, lambda run, value, scope: True)
        try:
            tree = parse_unary_tests(
                text.text, self._known(names), self.dialect, self.types, self.members
            )
        except FeelError as error:
            raising = _raising(self._fault(self._placed(error, text), "syntax"))
            return Test(text.text, None, None, lambda run, value, scope: raising(run, scope))
        return Test(text.text, tree, static(tree), self._lazy_test(text, names))

    def _lazy(self, text: Text, names: Names) -> Eval:
        ready: list[Eval] = []

        def evaluate(run: Run, scope: Scope) -> Value:
            if not ready:
                made = compile_expression(
                    text.text,
                    names=names,
                    members=self.members,
                    dialect=self.dialect,
                    types=self.types,
                    externals=self.externals,
                )
                ready.append(made.run)
            return ready[0](run, scope)

        return evaluate

    def _lazy_test(self, text: Text, names: Names) -> Callable[[Run, Value, Scope], bool | None]:
        ready: list[Callable[[Run, Value, Scope], bool | None]] = []

        def holds(run: Run, value: Value, scope: Scope) -> bool | None:
            if not ready:
                made = compile_unary_tests(
                    text.text,
                    names=names,
                    members=self.members,
                    dialect=self.dialect,
                    types=self.types,
                    externals=self.externals,
                )
                ready.append(made.run)
            return ready[0](run, value, scope)

        return holds

    def _placed(self, error: FeelError, text: Text) -> DefinitionError:
        """Return the fault with file and line of the element in front, and the caret line behind."""
        line = text.line + max(error.line - 1, 0)
        where = self.file.at(line, text.id)
        caret = f"\n{error.caret}" if error.caret else ""
        hint = (
            f'If this is text, write "{text.text}" in quotes.'
            if _WORDS.fullmatch(text.text)
            else ""
        )
        return DefinitionError(f"{error.sentence()}{caret}", where=where, hint=hint)

    def _fault(self, error: DefinitionError, rule: str) -> DefinitionError:
        if self.strict:
            raise error
        self.faults.append((rule, error))
        return error

    # --- boxes ---

    def _boxed(self, boxed: Expression, names: Names) -> Eval:
        match boxed:
            case LiteralExpression():
                return self.text(Text(text=boxed.text, id=boxed.id, line=boxed.line), names)
            case DecisionTable():
                return self.table(boxed, names)
            case BoxedContext():
                return self._context(boxed, names)
            case BoxedList():
                items = [self.expression(item, names) for item in boxed.items]
                return lambda run, scope: [item(run, scope) for item in items]
            case Relation():
                return self._relation(boxed, names)
            case FunctionDefinition():
                return self.function(boxed, names)
            case Invocation():
                return self._invocation(boxed, names)
            case Conditional():
                return self._conditional(boxed, names)
            case BoxedFor():
                return self._for(boxed, names)
            case Quantified():
                return self._quantified(boxed, names)
            case BoxedFilter():
                return self._filter(boxed, names)

    def table(self, boxed: DecisionTable, names: Names) -> Eval:
        """Return a decision table (a `tables.Table`, unless it is faulty and this compiler is not strict)."""
        try:
            return build_table(boxed, self, names)
        except DefinitionError as error:
            return _raising(self._fault(error, "aggregator"))

    def _context(self, boxed: BoxedContext, names: Names) -> Eval:
        named: list[tuple[str, Eval]] = []
        result: Eval | None = None
        for entry in boxed.entries:
            made = self.expression(entry.value, names)
            if entry.variable is None:
                result = made
                continue
            variable = entry.variable
            wanted = self.refer(variable.type_ref, variable.line, variable.id)
            named.append((variable.name, self.typed(made, wanted)))
            names |= {variable.name}

        def evaluate(run: Run, scope: Scope) -> Value:
            inner, made = dict(scope), {}
            for name, value in named:
                inner[name] = made[name] = value(run, inner)
            return made if result is None else result(run, inner)

        return evaluate

    def _relation(self, boxed: Relation, names: Names) -> Eval:
        wanted = [self.refer(c.type_ref, c.line, c.id) for c in boxed.columns]
        rows = [
            [
                (column.name, self.typed(self.expression(cell, names), type_))
                for column, cell, type_ in zip(boxed.columns, row, wanted, strict=True)
            ]
            for row in boxed.rows
        ]
        return lambda run, scope: [{name: cell(run, scope) for name, cell in row} for row in rows]

    def function(
        self, boxed: FunctionDefinition, names: Names, name: str = "", result: Type | None = None
    ) -> Eval:
        """Return a boxed function; evaluating it gives the function value, closed over its scope."""
        if boxed.kind != "FEEL":
            return self._external(boxed, names)
        parameters = tuple(map(self.parameter, boxed.parameters))
        inside = names | {p.name for p in parameters}
        body = Constant(None) if boxed.body is None else self.expression(boxed.body, inside)
        wanted = result or self.refer(boxed.type_ref, boxed.line, boxed.id)

        def evaluate(run: Run, scope: Scope) -> Value:
            def apply(run: Run, *arguments: Value) -> Value:
                inner = dict(scope)
                inner.update(zip((p.name for p in parameters), arguments, strict=True))
                return body(run, inner)

            return Function(parameters, apply, wanted, name)

        return evaluate

    def parameter(self, variable: Variable) -> Parameter:
        """Return a formal parameter."""
        return Parameter(variable.name, self.refer(variable.type_ref, variable.line, variable.id))

    def _external(self, boxed: FunctionDefinition, names: Names) -> Eval:
        """A Java or PMML function is the same as FEEL's `external`: what is not allow-listed gives null."""
        if not isinstance(boxed.body, BoxedContext):
            return Constant(None)
        entries = ", ".join(
            f"{e.variable.name}: {e.value.text}"
            for e in boxed.body.entries
            if e.variable is not None and isinstance(e.value, LiteralExpression)
        )
        formal = ", ".join(
            f"{p.name}: {p.type_ref}" if p.type_ref else p.name for p in boxed.parameters
        )
        text = f"function({formal}) external {{{boxed.kind.lower()}: {{{entries}}}}}"
        return self.text(Text(text=text, id=boxed.id, line=boxed.line), names)

    def _invocation(self, boxed: Invocation, names: Names) -> Eval:
        """Evaluate function and arguments, then call by name, with FEEL's rules for missing names."""
        function = self.expression(boxed.function, names)
        parameters = [binding.parameter for binding in boxed.bindings]
        arguments = [
            Constant(None) if binding.value is None else self.expression(binding.value, names)
            for binding in boxed.bindings
        ]
        return lambda run, scope: call(
            run, function(run, scope), [value(run, scope) for value in arguments], parameters
        )

    def _conditional(self, boxed: Conditional, names: Names) -> Eval:
        condition, then, otherwise = (
            self.expression(part, names) for part in (boxed.condition, boxed.then, boxed.otherwise)
        )

        def evaluate(run: Run, scope: Scope) -> Value:
            found = condition(run, scope)
            if not isinstance(found, bool):
                run.null("the condition of a conditional is neither true nor false")
                return None
            return then(run, scope) if found else otherwise(run, scope)

        return evaluate

    def _for(self, boxed: BoxedFor, names: Names) -> Eval:
        items = self._items(boxed.source, names)
        body = self.expression(boxed.body, names | {boxed.iterator, "partial"})

        def evaluate(run: Run, scope: Scope) -> Value:
            found = items(run, scope)
            if found is None:
                return None
            made: list[Value] = []
            for item in found:
                partial = snapshot(run, made)
                made.append(body(run, {**scope, "partial": partial, boxed.iterator: item}))
            return made

        return evaluate

    def _quantified(self, boxed: Quantified, names: Names) -> Eval:
        items = self._items(boxed.source, names)
        satisfies = self.expression(boxed.satisfies, names | {boxed.iterator})

        def evaluate(run: Run, scope: Scope) -> Value:
            found = items(run, scope)
            if found is None:
                return None
            answers = _answers(satisfies, boxed.iterator, found, run, scope)
            if answers is None:
                return None
            return all(answers) if boxed.every else any(answers)

        return evaluate

    def _filter(self, boxed: BoxedFilter, names: Names) -> Eval:
        items = self._items(boxed.source, names)
        match = self.expression(boxed.match, names | {"item"})

        def evaluate(run: Run, scope: Scope) -> Value:
            found = items(run, scope)
            if found is None:
                return None
            answers = _answers(match, "item", found, run, scope)
            if answers is None:
                return None
            return [item for item, keep in zip(found, answers, strict=True) if keep]

        return evaluate

    def _items(
        self, source: Expression, names: Names
    ) -> Callable[[Run, Scope], list[Value] | None]:
        """Return what gives the items to go through, or None when there are none to be had."""
        made = self.expression(source, names)

        def evaluate(run: Run, scope: Scope) -> list[Value] | None:
            found = domain_items(run, made(run, scope))
            return None if found is None else list(_counted(found, run))

        return evaluate


def multi_word(names: Iterable[str]) -> Names:
    """Return the names that a parser must know beforehand; single words need no knowledge."""
    return frozenset(name for name in names if not name.isidentifier())


def _counted(items: Iterable[Value], run: Run) -> Iterator[Value]:
    for item in items:
        run.spend(1)
        yield item


def _answers(
    condition: Eval, variable: str, items: list[Value], run: Run, scope: Scope
) -> list[bool] | None:
    """Return the condition for each item, or None when one answer is neither true nor false."""
    found = []
    for item in items:
        members = item if isinstance(item, dict) and variable == "item" else {}
        answer = condition(run, {**scope, **members, variable: item})
        if not isinstance(answer, bool):
            run.null("a condition is neither true nor false")
            return None
        found.append(answer)
    return found


def _variable(name: str) -> Eval:
    """Return what reads a variable that is known to be in scope."""
    return lambda run, scope: native(scope.get(name))


def _raising(error: DefinitionError) -> Eval:
    def evaluate(run: Run, scope: Scope) -> Value:
        raise error

    return evaluate


def declared(expression: Expression | None) -> Iterator[str]:
    """Yield the names that a boxed expression declares inside: entries, columns, outputs."""
    match expression:
        case BoxedContext():
            for entry in expression.entries:
                if entry.variable is not None:
                    yield entry.variable.name
                yield from declared(entry.value)
        case Relation():
            yield from (column.name for column in expression.columns)
        case DecisionTable():
            yield from (output.name for output in expression.outputs if output.name)
        case FunctionDefinition():
            yield from declared(expression.body)
        case BoxedList():
            for item in expression.items:
                yield from declared(item)
        case Conditional():
            for part in (expression.condition, expression.then, expression.otherwise):
                yield from declared(part)
        case BoxedFor():
            yield from declared(expression.body)
        case _:
            return
