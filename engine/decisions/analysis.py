"""Mistakes in decisions, found without running them.

Everything is found at once; a model that was loaded with `strict=False` is analysed as far as it goes. What is said
about gaps and overlaps is exact for cells that are constant and comes with inputs that show it; where a table is too
large, or its cells are not constant, the finding is `not-proven`. Only the main file of a model is looked at.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.decisions.evaluation import DecisionModel
from engine.decisions.findings import Finding, Report
from engine.decisions.gap_checks import check_coverage
from engine.decisions.logic import Compiler
from engine.decisions.model import (
    BoxedContext,
    BoxedFilter,
    BoxedFor,
    BoxedList,
    Conditional,
    DecisionElement,
    DecisionTable,
    Expression,
    FunctionDefinition,
    Invocation,
    KnowledgeModel,
    LiteralExpression,
    Quantified,
    Relation,
    Text,
)
from engine.decisions.scoping import free_names
from engine.decisions.table_checks import CellChecks, short
from engine.decisions.tables import build_table
from engine.decisions.terms import Names
from engine.errors import DefinitionError
from engine.feel.builtins import builtins_of
from engine.frozen import dataclass


def analyse(model: DecisionModel) -> tuple[Finding, ...]:
    """Return all findings about the main file of `model`, by line."""
    inspector = _Inspector(model)
    for node in model.graph.nodes.values():
        if node.file is not model.definitions:
            continue
        names, types = model.names_in_scope(node), model.types_in_scope(node)
        match node.element:
            case DecisionElement(logic=logic) as decision if logic is not None:
                inspector.decision(decision, logic, names, types)
            case KnowledgeModel(function=function) as knowledge if function is not None:
                inspector.inspect(
                    inspector.place(knowledge.name, knowledge.id, types), function, names
                )
            case _:
                pass
    found = [*inspector.found, *inspector.faults()]
    return tuple(sorted(found, key=lambda f: (f.line, f.rule, f.rows, f.message)))


def refusal(error: DefinitionError, file: str) -> Finding:
    """Return the finding for a file that cannot be loaded at all."""
    place, _, element = error.where.partition(" (")
    name, _, line = place.rpartition(":")
    placed = line.isdecimal()
    return Finding(
        file=name if placed else file,
        line=int(line) if placed else 0,
        severity="error",
        rule="definition",
        element=element.rstrip(")"),
        message=DefinitionError(error.message, expected=error.expected, got=error.got).sentence(),
        hint=error.hint,
    )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Whose logic is looked at."""

    report: Report
    types: Mapping[str, str]  #: type references of the variables in scope


class _Inspector:
    """Walks through the logic of one file."""

    def __init__(self, model: DecisionModel) -> None:
        self.model = model
        self.file = model.definitions
        own = model.compilers[self.file.namespace]
        self.compiler = Compiler(own.types, own.dialect, own.members, own.externals, strict=False)
        self.camunda = self.file.dialect == "camunda"
        self.builtins = frozenset(builtins_of(self.file.dialect))
        self.implicit = frozenset(_implicit(model)) if self.camunda else frozenset[str]()
        self.found: list[Finding] = []

    def place(self, name: str, element: str, types: Mapping[str, str]) -> _Place:
        report = Report(file=self.file.source, decision=name, element=element, found=self.found)
        return _Place(report=report, types=types)

    def faults(self) -> Iterator[Finding]:
        """Yield what could not be compiled, here or when the model was loaded."""
        seen = set()
        own = self.model.compilers[self.file.namespace]
        for rule, error in (*self.compiler.faults, *own.faults):
            if error.sentence() not in seen:
                seen.add(error.sentence())
                yield replace(refusal(error, self.file.source), rule=rule)

    def decision(
        self,
        decision: DecisionElement,
        logic: Expression,
        names: Names,
        types: Mapping[str, str],
    ) -> None:
        place = self.place(decision.name, decision.id, types)
        self.inspect(place, logic, names)
        text = "\n".join(_texts(logic))
        for name in types if not self.camunda else ():
            if name not in text:
                message = f"{name} is required, but nothing uses it"
                place.report.tell(decision.line, "info", "unused", message)

    def inspect(self, place: _Place, boxed: Expression, names: Names) -> None:
        """Look at a boxed expression and everything in it."""
        match boxed:
            case LiteralExpression():
                self.text(place, Text(text=boxed.text, id=boxed.id, line=boxed.line), names)
            case DecisionTable():
                self.table(place, boxed, names)
            case _:
                for part, bound in parts(boxed):
                    names |= bound
                    self.inspect(place, part, names)

    def text(self, place: _Place, text: Text, names: Names) -> None:
        """Look at one FEEL text; in Camunda any other name may be a process variable."""
        tree = self.compiler.parsed(text, names)
        if isinstance(tree, DefinitionError) or self.camunda:
            return
        known = names | self.builtins
        for name in sorted({n.name for n in free_names(tree, known)}):
            close = difflib.get_close_matches(name, known, 1)
            message = f"{name} is not in scope in {short(text.text)}, so it is null"
            hint = f"Did you mean {close[0]}?" if close else "Add a requirement."
            place.report.tell(
                text.line, "error", "unknown-name", message, element=text.id, hint=hint
            )

    def table(self, place: _Place, written: DecisionTable, names: Names) -> None:
        try:
            table = build_table(written, self.compiler, names)
        except DefinitionError as error:
            self.compiler.faults.append(("aggregator", error))
            return
        report = replace(place.report, element=written.id or place.report.element)
        for clause in written.inputs:
            self.text(replace(place, report=report), clause.expression, names)
        checks = CellChecks(
            report=report,
            compiler=self.compiler,
            scope=names,
            names=names | self.builtins | self.implicit,
            types=place.types,
            wrong_type="warning" if self.camunda else "error",
            bare_word="warning" if self.camunda else "error",
        )
        checks.inputs(table)
        checks.outputs(table)
        checks.aggregation(table)
        check_coverage(report, table)


def parts(boxed: Expression) -> Iterator[tuple[Expression, frozenset[str]]]:
    """Yield the direct parts of a boxed expression, each with the names that are bound from there on."""
    nothing: frozenset[str] = frozenset()
    match boxed:
        case BoxedContext():
            for entry in boxed.entries:
                yield entry.value, nothing
                if entry.variable is not None:
                    nothing |= {entry.variable.name}
        case BoxedList():
            yield from ((item, nothing) for item in boxed.items)
        case Relation():
            yield from ((cell, nothing) for row in boxed.rows for cell in row)
        case FunctionDefinition():
            if boxed.kind == "FEEL" and boxed.body is not None:
                yield boxed.body, frozenset(p.name for p in boxed.parameters)
        case Invocation():
            yield boxed.function, nothing
            yield from ((b.value, nothing) for b in boxed.bindings if b.value is not None)
        case Conditional():
            yield from ((p, nothing) for p in (boxed.condition, boxed.then, boxed.otherwise))
        case BoxedFor():
            yield boxed.source, nothing
            yield boxed.body, frozenset({boxed.iterator, "partial"})
        case Quantified():
            yield boxed.source, nothing
            yield boxed.satisfies, frozenset({boxed.iterator})
        case BoxedFilter():
            yield boxed.source, nothing
        case _:
            return


def _texts(boxed: Expression) -> Iterator[str]:
    """Yield every FEEL text in a boxed expression."""
    match boxed:
        case LiteralExpression():
            yield boxed.text
        case DecisionTable():
            yield from (clause.expression.text for clause in boxed.inputs)
            for rule in boxed.rules:
                yield from (cell.text for cell in (*rule.inputs, *rule.outputs))
        case _:
            for part, _ in parts(boxed):
                yield from _texts(part)
            if isinstance(boxed, BoxedFilter):
                yield from _texts(boxed.match)


def _implicit(model: DecisionModel) -> Iterator[str]:
    """Yield what Camunda files use as input expressions: those are process variables."""
    for decision in model.definitions.decisions:
        if isinstance(decision.logic, DecisionTable):
            yield from (clause.expression.text for clause in decision.logic.inputs)
    yield from (element.name for element in model.definitions.inputs)
