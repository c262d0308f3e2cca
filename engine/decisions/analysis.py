"""Mistakes in decisions, found without running them.

Everything is found at once; a file that loads only loosely (`strict=False`) is analysed as far as it goes. What is
said about gaps and overlaps is exact for cells that are constant, comes with inputs that show it, and where a table
is too large or its cells are not constant the finding is `not-proven`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.decisions.cells import NotConstant, constant
from engine.decisions.columns import Kind, Static
from engine.decisions.coverage import (
    Coverage,
    bits,
    common_point,
    cover,
    mask_at,
    never,
    overlaps,
    positions,
    value_at,
)
from engine.decisions.evaluation import DecisionModel
from engine.decisions.explanation import plain
from engine.decisions.findings import Finding, Severity
from engine.decisions.hit_policies import same_value
from engine.decisions.logic import Compiler, Constant, Names, Test
from engine.decisions.model import (
    Aggregator,
    BoxedContext,
    BoxedFilter,
    BoxedFor,
    BoxedList,
    Conditional,
    DecisionElement,
    DecisionTable,
    Expression,
    FunctionDefinition,
    HitPolicy,
    Invocation,
    KnowledgeModel,
    LiteralExpression,
    OutputClause,
    Quantified,
    Relation,
    Text,
)
from engine.decisions.tables import Table, allowed_values, build_table, column_kind, output_values
from engine.errors import DefinitionError
from engine.feel import ast, kind
from engine.feel.ast import Node
from engine.feel.builtins import builtins_of
from engine.feel.types import Type, conforms

MAX_LISTED: Final = 20  #: findings of one rule for one table; the rest is counted
MAX_GAPS: Final = 5


def analyse(model: DecisionModel) -> tuple[Finding, ...]:
    """Return all findings about the main file of `model`, by line."""
    inspector = _Inspector(model)
    for node in model.graph.nodes.values():
        if node.file is not model.definitions:
            continue
        match node.element:
            case DecisionElement() as decision:
                inspector.decision(decision, model.names_in_scope(node))
            case KnowledgeModel() as knowledge:
                inspector.knowledge(knowledge, model.names_in_scope(node))
            case _:
                model.type_of(node)
    inspector.faults()
    return tuple(sorted(inspector.found, key=lambda f: (f.line, f.rule, f.rows)))


def refusal(error: DefinitionError, file: str) -> Finding:
    """Return the finding for a file that cannot be loaded at all."""
    place, _, rest = error.where.partition(" ")
    name, _, line = place.rpartition(":")
    is_placed = line.isdecimal()
    return Finding(
        file=name if is_placed else file,
        line=int(line) if is_placed else 0,
        severity="error",
        rule="definition",
        element=rest.strip("()"),
        message=replace_where(error),
        hint=error.hint,
    )


def replace_where(error: DefinitionError) -> str:
    """Return the sentence of an error without its place and its hint."""
    return DefinitionError(error.message, expected=error.expected, got=error.got).sentence()


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Whose logic is looked at, and what it may name."""

    decision: str
    element: str
    types: Mapping[str, str]  #: type references of the variables in scope


class _Inspector:
    """Collects findings about one file."""

    def __init__(self, model: DecisionModel) -> None:
        self.model = model
        self.file = model.definitions
        own = model.compilers[self.file.namespace]
        self.compiler = Compiler(own.types, own.dialect, own.members, own.externals, strict=False)
        self.camunda = self.file.dialect == "camunda"
        self.builtins = frozenset(builtins_of(self.file.dialect))
        self.found: list[Finding] = []

    # --- reporting ---

    def tell(
        self,
        place: _Place,
        line: int,
        severity: Severity,
        rule: str,
        message: str,
        *,
        element: str = "",
        rows: Sequence[int] = (),
        witness: Mapping[str, object] | None = None,
        hint: str = "",
    ) -> None:
        self.found.append(
            Finding(
                file=self.file.source,
                line=line,
                severity=severity,
                rule=rule,
                element=element or place.element,
                decision=place.decision,
                message=f"{place.decision}: {message}",
                rows=tuple(rows),
                witness=witness or {},
                hint=hint,
            )
        )

    def faults(self) -> None:
        """Turn what could not be compiled into findings."""
        seen = set()
        own = self.model.compilers[self.file.namespace]
        for rule, error in (*self.compiler.faults, *own.faults):
            if error.where + error.message not in seen:
                seen.add(error.where + error.message)
                finding = refusal(error, self.file.source)
                hint = finding.hint or _quoting_hint(error)
                self.found.append(replace(finding, rule=rule, hint=hint))

    # --- elements ---

    def decision(self, decision: DecisionElement, names: Names) -> None:
        if decision.logic is None:
            return
        place = _Place(
            decision=decision.name, element=decision.id, types=self.model.types_in_scope(decision)
        )
        self.inspect(place, decision.logic, names)
        self.unused(place, decision)

    def knowledge(self, knowledge: KnowledgeModel, names: Names) -> None:
        if knowledge.function is None:
            return
        types = {p.name: p.type_ref for p in knowledge.function.parameters}
        place = _Place(decision=knowledge.name, element=knowledge.id, types=types)
        self.inspect(place, knowledge.function, names)

    def unused(self, place: _Place, decision: DecisionElement) -> None:
        assert decision.logic is not None
        text = " ".join(_all_texts(decision.logic))
        for name in place.types:
            if name not in text and not self.camunda:
                self.tell(
                    place,
                    decision.line,
                    "info",
                    "unused",
                    f"{name} is required, but nothing uses it",
                    hint="Remove the requirement, or use it.",
                )

    def inspect(self, place: _Place, boxed: Expression | None, names: Names) -> None:
        """Look at a boxed expression and everything in it."""
        match boxed:
            case None:
                return
            case LiteralExpression():
                self.text(place, Text(text=boxed.text, id=boxed.id, line=boxed.line), names)
            case DecisionTable():
                self.table(place, boxed, names)
            case BoxedContext():
                for entry in boxed.entries:
                    self.inspect(place, entry.value, names)
                    names |= {entry.variable.name} if entry.variable else set()
            case FunctionDefinition():
                if boxed.kind == "FEEL":
                    inner = names | {p.name for p in boxed.parameters}
                    self.inspect(place, boxed.body, inner)
            case BoxedFor():
                self.inspect(place, boxed.source, names)
                self.inspect(place, boxed.body, names | {boxed.iterator, "partial"})
            case Quantified():
                self.inspect(place, boxed.source, names)
                self.inspect(place, boxed.satisfies, names | {boxed.iterator})
            case BoxedFilter():
                self.inspect(place, boxed.source, names)
            case _:
                for part in _parts(boxed):
                    self.inspect(place, part, names)

    def text(self, place: _Place, text: Text, names: Names) -> Node | None:
        """Look at one FEEL text; return its tree when it has one."""
        tree = self.compiler.parsed(text, names)
        if isinstance(tree, DefinitionError):
            return None
        self.unknown(place, text, tree, names)
        return tree

    def unknown(self, place: _Place, text: Text, tree: Node, names: Names) -> None:
        if self.camunda:
            return  # any process variable may be in scope
        for name in sorted({n.name for n in free_names(tree, names | self.builtins)}):
            close = difflib.get_close_matches(name, names | self.builtins, 1)
            self.tell(
                place,
                text.line,
                "error",
                "unknown-name",
                f"{name!r} is not in scope in {_short(text.text)}",
                element=text.id,
                hint=f"Did you mean {close[0]}?" if close else "Add a requirement, or put it in quotes.",
            )

    # --- tables ---

    def table(self, place: _Place, written: DecisionTable, names: Names) -> None:
        try:
            table = build_table(written, self.compiler, names)
        except DefinitionError as error:
            self.compiler.faults.append(("aggregator", error))
            return
        place = replace(place, element=written.id or place.element)
        for clause in written.inputs:
            self.text(place, clause.expression, names)
        self.cells(place, table, names)
        self.outputs(place, table, names)
        self.aggregation(place, table)
        self.coverage(place, table)

    def cells(self, place: _Place, table: Table, names: Names) -> None:
        written = table.table
        for c, clause in enumerate(written.inputs):
            declared = clause.type_ref or place.types.get(clause.expression.text, "")
            type_ = self.compiler.types.find(declared) if declared else None
            allowed = allowed_values(clause.values, declared, self.compiler)
            for rule, tests in zip(written.rules, table.tests, strict=True):
                cell, test = rule.inputs[c], tests[c]
                if test.tree is not None:
                    self.cell(place, rule.row, cell, test, names, declared, column_kind(type_), allowed)

    def cell(
        self,
        place: _Place,
        row: int,
        cell: Text,
        test: Test,
        names: Names,
        declared: str,
        wanted: Kind | None,
        allowed: Static | None,
    ) -> None:
        assert test.tree is not None
        self.bare_words(place, row, cell, test.tree.tests, names)
        for part in test.tree.tests:
            self.empty_range(place, row, cell, part)
        meaning = test.static
        if meaning is None or meaning.kind is None:
            return
        if wanted is not None and meaning.kind is not wanted:
            self.tell(
                place,
                cell.line,
                "warning" if self.camunda else "error",
                "type",
                f"row {row}: the column holds a {declared}, but {_short(cell.text)} is a {meaning.kind.value}",
                element=cell.id,
                rows=[row],
                hint=_type_hint(wanted, meaning.kind),
            )
        elif allowed is not None and not meaning.negated:
            for value in _points(meaning):
                if not _allows(allowed, value):
                    self.tell(
                        place,
                        cell.line,
                        "error",
                        "not-allowed",
                        f"row {row}: {plain(value)!r} is none of the allowed values of the column",
                        element=cell.id,
                        rows=[row],
                    )

    def bare_words(
        self, place: _Place, row: int, cell: Text, parts: Sequence[Node], names: Names
    ) -> None:
        """Report names in a cell that nothing defines: a word alone is most likely text without quotes."""
        known = names | self.builtins | self.implicit() | {"?"}
        for part in parts:
            if isinstance(part, ast.Name) and part.name not in known:
                close = difflib.get_close_matches(part.name, names, 1)
                meant = f" (or did you mean {close[0]}?)" if close else ""
                self.tell(
                    place,
                    cell.line,
                    "warning" if self.camunda else "error",
                    "unquoted-text",
                    f"row {row}: {part.name} is not in scope, so it is null",
                    element=cell.id,
                    rows=[row],
                    hint=f'Write "{part.name}" in quotes{meant}.',
                )
            else:
                self.unknown(place, cell, part, known)

    def implicit(self) -> frozenset[str]:
        """Return the names that Camunda files use as input expressions: they are process variables."""
        if not self.camunda:
            return frozenset()
        return frozenset(
            clause.expression.text
            for decision in self.file.decisions
            if isinstance(decision.logic, DecisionTable)
            for clause in decision.logic.inputs
        )

    def empty_range(self, place: _Place, row: int, cell: Text, part: Node) -> None:
        if not isinstance(part, ast.RangeLiteral):
            return
        try:
            low, high = constant(part.low), constant(part.high)
            empty = low > high or (
                low == high and not (part.low_included and part.high_included)
            )
        except (NotConstant, TypeError):
            return
        if empty:
            self.tell(
                place,
                cell.line,
                "error",
                "empty-range",
                f"row {row}: {_short(cell.text[part.start : part.end])} holds no value",
                element=cell.id,
                rows=[row],
                hint="Write the smaller end first.",
            )

    def outputs(self, place: _Place, table: Table, names: Names) -> None:
        for o, clause in enumerate(table.table.outputs):
            type_ = self.compiler.types.find(clause.type_ref) if clause.type_ref else None
            values = output_values(clause, self.compiler)
            if values is None and clause.values is not None:
                allowed = self.compiler.test(clause.values, frozenset()).static
            else:
                allowed = None
            for rule in table.table.rules:
                self.output(place, rule.row, rule.outputs[o], clause, type_, values, allowed, names)

    def output(
        self,
        place: _Place,
        row: int,
        cell: Text,
        clause: OutputClause,
        type_: Type | None,
        values: list[object] | None,
        allowed: Static | None,
        names: Names,
    ) -> None:
        tree = self.compiler.parsed(cell, names)
        if isinstance(tree, DefinitionError):
            return
        if isinstance(tree, ast.Name):
            self.bare_words(place, row, cell, [tree], names)
            return
        self.unknown(place, cell, tree, names)
        made = self.compiler.text(cell, names)
        if not isinstance(made, Constant) or made.value is None:
            return
        name = clause.name or clause.label or "the output"
        if type_ is not None and not conforms(made.value, type_):
            self.tell(
                place,
                cell.line,
                "warning" if self.camunda else "error",
                "type",
                f"row {row}: {name} is a {clause.type_ref}, but {_short(cell.text)} is a {kind(made.value)}",
                element=cell.id,
                rows=[row],
            )
        elif (values is not None and not any(same_value(v, made.value) for v in values)) or (
            allowed is not None and not _allows(allowed, made.value)
        ):
            self.tell(
                place,
                cell.line,
                "error",
                "not-allowed",
                f"row {row}: {_short(cell.text)} is none of the allowed values of {name}",
                element=cell.id,
                rows=[row],
            )

    def aggregation(self, place: _Place, table: Table) -> None:
        written = table.table
        if written.hit_policy in (HitPolicy.PRIORITY, HitPolicy.OUTPUT_ORDER) and not any(
            table.policy.ranks
        ):
            self.tell(
                place,
                written.line,
                "error",
                "priority",
                f"{written.hit_policy.value} needs the allowed output values in order of priority",
                hint="Add output values to at least one output column.",
            )
        if written.aggregator in (Aggregator.SUM, Aggregator.MIN, Aggregator.MAX):
            wrong = [
                row
                for row, outputs in enumerate(table.outputs, start=1)
                for output in outputs
                if isinstance(output, Constant)
                and kind(output.value) in ("string", "boolean", "null")
                and (written.aggregator is Aggregator.SUM or kind(output.value) != "string")
            ]
            if wrong:
                self.tell(
                    place,
                    written.line,
                    "error",
                    "aggregator",
                    f"{written.aggregator.value} folds numbers, but rows {_listed(wrong)} give something else",
                    rows=wrong,
                )

    # --- gaps and overlaps ---

    def coverage(self, place: _Place, table: Table) -> None:
        rules = len(table.tests)
        policy = table.table.hit_policy
        twins = self.duplicates(place, table)
        dead = never(table.columns, rules)
        for rule in bits(dead):
            self.row(place, table, rule, "warning", "unreachable", "no value that can occur matches it")
        if policy in (HitPolicy.UNIQUE, HitPolicy.ANY):
            self.overlapping(place, table, twins)
        if policy is HitPolicy.PRIORITY:
            self.masked(place, table, twins | dead)
        seen = cover(table.columns, rules)
        self.gaps(place, table, seen)
        if policy is HitPolicy.FIRST:
            self.never_first(place, table, seen, twins | dead)
            self.catch_all(place, table, seen)

    def row(
        self, place: _Place, table: Table, rule: int, severity: Severity, name: str, message: str
    ) -> None:
        written = table.table.rules[rule]
        self.tell(
            place,
            written.line,
            severity,
            name,
            f"row {written.row}: {message}",
            element=written.id,
            rows=[written.row],
        )

    def duplicates(self, place: _Place, table: Table) -> int:
        """Report rules with the same conditions as an earlier one; return their bits."""
        first: dict[tuple[object, ...], int] = {}
        twins = 0
        for rule, tests in enumerate(table.tests):
            key = tuple(t.static if t.static is not None else t.text for t in tests)
            if key not in first:
                first[key] = rule
                continue
            twins |= 1 << rule
            same = _same_outputs(table, first[key], rule)
            single = table.table.hit_policy.is_single
            answers = "the same answer" if same else "another answer"
            self.tell(
                place,
                table.table.rules[rule].line,
                "error" if table.table.hit_policy is HitPolicy.UNIQUE else "warning" if same or single else "info",
                "duplicate",
                f"rows {first[key] + 1} and {rule + 1} have the same conditions, and {answers}",
                element=table.table.rules[rule].id,
                rows=[first[key] + 1, rule + 1],
                hint="Remove one of them." if same else "",
            )
        return twins

    def overlapping(self, place: _Place, table: Table, twins: int) -> None:
        """Report pairs that UNIQUE forbids, or that answer differently under ANY."""
        unique = table.table.hit_policy is HitPolicy.UNIQUE
        count = 0
        for a, b in overlaps(table.columns, len(table.tests)):
            same = _same_outputs(table, a, b)
            if (unique and twins >> b & 1) or (not unique and same):
                continue
            count += 1
            if count > MAX_LISTED:
                continue
            witness = self.witness(table, common_point(table.columns, (a, b)))
            verb = "match" if unique else "answer differently" if same is False else "may answer differently"
            self.tell(
                place,
                table.table.rules[b].line,
                "warning" if same is None and not unique else "error",
                "overlap" if unique else "different-answers",
                f"rows {a + 1} and {b + 1} both {verb} for {_shown(witness)}"
                if unique
                else f"rows {a + 1} and {b + 1} {verb} for {_shown(witness)}",
                element=table.table.rules[b].id,
                rows=[a + 1, b + 1],
                witness=witness,
            )
        if count > MAX_LISTED:
            rule = "overlap" if unique else "different-answers"
            self.tell(
                place, table.table.line, "error", rule, f"{count - MAX_LISTED} more pairs of rows like these"
            )
        self.open_overlaps(place, table)

    def open_overlaps(self, place: _Place, table: Table) -> None:
        """Say which rows may overlap because a cell is not constant."""
        if not table.open_:
            return
        rules = len(table.tests)
        sure = set(overlaps(table.columns, rules))
        possible = [_opened(column) for column in table.columns]
        pairs = [pair for pair in overlaps(possible, rules) if pair not in sure]
        if pairs:
            rows = sorted({row + 1 for pair in pairs for row in pair})
            self.tell(
                place,
                table.table.line,
                "info",
                "not-proven",
                f"rows {_listed(rows)} may overlap: some of their cells are not constant",
                rows=rows,
            )

    def masked(self, place: _Place, table: Table, known: int) -> None:
        """Report rules that a single rule with a better output always outranks."""
        outputs = table.constant_outputs
        if outputs is None:
            return
        ranks = [
            tuple(rank(v) for rank, v in zip(table.policy.ranks, row, strict=True) if rank)
            for row in outputs
        ]
        around = [(1 << len(table.tests)) - 1] * len(table.tests)
        for column in table.columns:
            for rule in range(len(table.tests)):
                around[rule] &= _holders(column, rule)
        for rule, others in enumerate(around):
            better = [o for o in bits(others & ~(1 << rule)) if ranks[o] < ranks[rule]]
            if better and not known >> rule & 1:
                message = f"row {better[0] + 1} always matches with it and has the higher priority"
                self.row(place, table, rule, "warning", "masked", message)

    def never_first(self, place: _Place, table: Table, seen: Coverage, known: int) -> None:
        if not seen.proven:
            return
        late = ~seen.first & ((1 << len(table.tests)) - 1) & ~known
        for rule in bits(late):
            before = [a + 1 for a, b in overlaps(table.columns, len(table.tests)) if b == rule]
            rows = f"rows {_listed(before)}" if len(before) != 1 else f"row {before[0]}"
            self.row(place, table, rule, "warning", "unreachable", f"{rows} always match first")

    def gaps(self, place: _Place, table: Table, seen: Coverage) -> None:
        written = table.table
        if table.policy.default is not None:
            return
        severity: Severity = "warning" if written.hit_policy.is_single else "info"
        if not seen.proven:
            message = "the table is too large to prove that it has no gap"
            self.tell(place, written.line, "info", "not-proven", message)
            return
        for gap in seen.gaps[:MAX_GAPS]:
            point = tuple(
                (places or positions(column))[0]
                for places, column in zip(gap.positions, table.columns, strict=True)
            )
            witness = self.witness(table, point)
            message = f"no rule matches {_shown(witness)}"
            self.tell(place, written.line, severity, "gap", message, witness=witness)
        more = len(seen.gaps) - MAX_GAPS
        if more > 0:
            more_text = f"{more}{'' if seen.all_gaps else ' or more'} other regions that no rule matches"
            self.tell(place, written.line, severity, "gap", more_text)
        if seen.open_gap and not seen.gaps:
            rows = [rule + 1 for rule in bits(table.open_)]
            message = (
                f"whether rows {_listed(rows)} leave a gap is not known: some of their cells are not constant"
            )
            self.tell(place, written.line, "info", "not-proven", message, rows=rows)

    def catch_all(self, place: _Place, table: Table, seen: Coverage) -> None:
        """Ask for a last row that holds for everything, unless nothing can be left."""
        closed = seen.proven and not seen.gaps and not seen.open_gap
        if closed or table.policy.default is not None or not table.tests:
            return
        if all(test.static is not None and test.static.is_dash for test in table.tests[-1]):
            return
        self.row(
            place,
            table,
            len(table.tests) - 1,
            "warning",
            "catch-all",
            "the last row does not catch what is left",
        )

    def witness(self, table: Table, point: Sequence[int]) -> dict[str, object]:
        """Return input expression → value at a point."""
        return {
            clause.expression.text: plain(value_at(column, position))
            for clause, column, position in zip(
                table.table.inputs, table.columns, point, strict=True
            )
        }


def free_names(node: Node, bound: frozenset[str]) -> Iterator[ast.Name]:
    """Yield the names that `node` uses and that neither it nor `bound` defines.

    Conditions of filters are left out: any name there may be an entry of the item.
    """
    match node:
        case ast.Name():
            if node.name not in bound and node.name != "?":
                yield node
        case ast.Filter():
            yield from free_names(node.source, bound)
        case ast.For(iterators=iterators, body=body):
            for iterator in iterators:
                yield from free_names(iterator, bound)
                bound |= {iterator.name}
            yield from free_names(body, bound | {"partial"})
        case ast.Quantified(iterators=iterators, condition=condition):
            for iterator in iterators:
                yield from free_names(iterator, bound)
                bound |= {iterator.name}
            yield from free_names(condition, bound)
        case ast.FunctionDefinition(parameters=parameters, body=body):
            if not node.external:
                yield from free_names(body, bound | {p.name for p in parameters})
        case ast.ContextLiteral(entries=entries):
            for entry in entries:
                yield from free_names(entry.value, bound)
                bound |= {entry.key}
        case _:
            for child in ast.children(node):
                yield from free_names(child, bound)


def _parts(boxed: Expression) -> Iterator[Expression]:
    match boxed:
        case BoxedList():
            yield from boxed.items
        case Relation():
            for row in boxed.rows:
                yield from row
        case Invocation():
            yield boxed.function
            yield from (b.value for b in boxed.bindings if b.value is not None)
        case Conditional():
            yield from (boxed.condition, boxed.then, boxed.otherwise)
        case _:
            return


def _all_texts(boxed: Expression | None) -> Iterator[str]:
    """Yield every FEEL text in a boxed expression."""
    match boxed:
        case None:
            return
        case LiteralExpression():
            yield boxed.text
        case DecisionTable():
            yield from (clause.expression.text for clause in boxed.inputs)
            for rule in boxed.rules:
                yield from (cell.text for cell in (*rule.inputs, *rule.outputs))
        case BoxedContext():
            for entry in boxed.entries:
                yield from _all_texts(entry.value)
        case FunctionDefinition():
            yield from _all_texts(boxed.body)
        case BoxedFor():
            yield from (*_all_texts(boxed.source), *_all_texts(boxed.body))
        case Quantified():
            yield from (*_all_texts(boxed.source), *_all_texts(boxed.satisfies))
        case BoxedFilter():
            yield from (*_all_texts(boxed.source), *_all_texts(boxed.match))
        case _:
            for part in _parts(boxed):
                yield from _all_texts(part)


def _opened(column: object) -> object:
    raise NotImplementedError


def _points(meaning: Static) -> list[object]:
    return [s.low for s in meaning.spans if s.low is not None and s.low == s.high]


def _allows(allowed: Static, value: object) -> bool:
    raise NotImplementedError


def _holders(column: object, rule: int) -> int:
    raise NotImplementedError


def _same_outputs(table: Table, a: int, b: int) -> bool | None:
    """Whether two rules give the same answer; None when that depends on the inputs."""
    if [t.text for t in table.table.rules[a].outputs] == [t.text for t in table.table.rules[b].outputs]:
        return True
    found = [
        [o.value for o in table.outputs[rule] if isinstance(o, Constant)] for rule in (a, b)
    ]
    if any(len(row) != len(table.outputs[a]) for row in found):
        return None
    return same_value(found[0], found[1])


def _quoting_hint(error: DefinitionError) -> str:
    return ""


def _type_hint(wanted: Kind, found: Kind) -> str:
    if wanted is Kind.STRING:
        return "Put it in quotes."
    return "Remove the quotes." if found is Kind.STRING else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _shown(witness: Mapping[str, object]) -> str:
    from engine.decisions.cases import show

    return ", ".join(f"{name} = {show(value)}" for name, value in witness.items()) or "anything"


def _listed(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:8]))
    return shown + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")


__all__ = ["analyse", "mask_at", "refusal"]
