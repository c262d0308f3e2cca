"""Single cells of a table: types, allowed values, words without quotes, ranges that hold nothing, aggregators."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from engine.decisions.cells import NotConstant, constant
from engine.decisions.columns import Kind, Static, holds
from engine.decisions.explanation import show
from engine.decisions.findings import Report, Severity
from engine.decisions.hit_policies import same_value
from engine.decisions.logic import Compiler
from engine.decisions.model import Aggregator, HitPolicy, OutputClause, Rule, Text
from engine.decisions.scoping import free_names
from engine.decisions.tables import Table, allowed_values, column_kind, output_values
from engine.decisions.terms import Constant, Names
from engine.errors import DefinitionError
from engine.feel import Value, ast, kind
from engine.feel.ast import Node
from engine.feel.types import Type, conforms
from engine.frozen import dataclass


@dataclass(frozen=True, kw_only=True)
class CellChecks:
    """Checks the cells of tables of one decision."""

    report: Report
    compiler: Compiler
    scope: Names  #: names in scope
    names: Names  #: the same, and built-in functions and whatever else is known
    types: Mapping[str, str]  #: type references of the variables in scope
    wrong_type: Severity  #: Camunda does not enforce types, so there it is a warning
    bare_word: Severity  #: Camunda may find any process variable, so there it is a warning

    def inputs(self, table: Table) -> None:
        """Check all input cells."""
        for c, clause in enumerate(table.table.inputs):
            declared = clause.type_ref or self.types.get(clause.expression.text, "")
            wanted = column_kind(self.compiler.types.find(declared) if declared else None)
            allowed = allowed_values(clause.values, declared, self.compiler)
            for rule, tests in zip(table.table.rules, table.tests, strict=True):
                tree = tests[c].tree
                if tree is None:
                    continue
                self._words(rule, rule.inputs[c], tree.tests)
                self._ranges(rule, rule.inputs[c], tree.tests)
                self._values(rule, rule.inputs[c], tests[c].static, wanted, allowed)

    def outputs(self, table: Table) -> None:
        """Check all output cells."""
        for o, clause in enumerate(table.table.outputs):
            type_ = self.compiler.types.find(clause.type_ref) if clause.type_ref else None
            values = output_values(clause, self.compiler)
            allowed = None
            if values is None and clause.values is not None:
                allowed = self.compiler.test(clause.values, frozenset()).static
            for rule in table.table.rules:
                self._output(rule, rule.outputs[o], clause, type_, values, allowed)

    def aggregation(self, table: Table) -> None:
        """Check what hit policy and aggregator ask of the outputs."""
        written = table.table
        ordered = written.hit_policy in (HitPolicy.PRIORITY, HitPolicy.OUTPUT_ORDER)
        if ordered and not any(table.policy.ranks):
            self.report.tell(
                written.line,
                "error",
                "priority",
                f"{written.hit_policy.value} needs the allowed output values in order of priority",
                hint="Add output values to at least one output column.",
            )
        folded = _unfoldable(written.aggregator)
        wrong = [
            row
            for row, outputs in enumerate(table.outputs, start=1)
            if any(isinstance(o, Constant) and kind(o.value) in folded for o in outputs)
        ]
        if wrong and written.aggregator is not None:
            rows = ", ".join(map(str, wrong[:8]))
            self.report.tell(
                written.line,
                "error",
                "aggregator",
                f"{written.aggregator.value} cannot fold the outputs of rows {rows}",
                rows=wrong,
            )

    # --- one cell ---

    def _tell(
        self, rule: Rule, cell: Text, severity: Severity, name: str, message: str, hint: str = ""
    ) -> None:
        self.report.tell(
            cell.line,
            severity,
            name,
            f"row {rule.row}: {message}",
            element=cell.id or rule.id,
            rows=[rule.row],
            hint=hint,
        )

    def _words(self, rule: Rule, cell: Text, parts: Sequence[Node]) -> None:
        """Report names that nothing defines: a word alone is most likely text without quotes."""
        for part in parts:
            alone = isinstance(part, ast.Name)
            unknown = sorted({name.name for name in free_names(part, self.names)})
            for name in unknown if alone or self.bare_word == "error" else ():
                close = difflib.get_close_matches(name, self.names, 1)
                meant = f"Did you mean {close[0]}?" if close else ""
                rule_name = "unquoted-text" if alone else "unknown-name"
                hint = f'Write "{name}" in quotes. {meant}' if alone else meant
                message = f"{name} is not in scope, so it is null"
                self._tell(rule, cell, self.bare_word, rule_name, message, hint.strip())

    def _ranges(self, rule: Rule, cell: Text, parts: Sequence[Node]) -> None:
        for part in parts:
            if isinstance(part, ast.RangeLiteral) and _is_empty(part):
                written = short(cell.text[part.start : part.end])
                message = f"{written} holds no value"
                self._tell(
                    rule, cell, "error", "empty-range", message, "Write the smaller end first."
                )

    def _values(
        self,
        rule: Rule,
        cell: Text,
        meaning: Static | None,
        wanted: Kind | None,
        allowed: Static | None,
    ) -> None:
        if meaning is None or meaning.kind is None:
            return
        if wanted is not None and meaning.kind is not wanted:
            message = f"{short(cell.text)} is a {meaning.kind.value}, but the column holds a {wanted.value}"
            hint = _quotes(wanted, meaning.kind)
            self._tell(rule, cell, self.wrong_type, "type", message, hint)
            return
        points = [s.low for s in meaning.spans if s.low is not None and s.low == s.high]
        for value in points if allowed is not None else ():
            if allowed is not None and not holds(allowed, value):
                message = f"{show(value)} is none of the allowed values of the column"
                self._tell(rule, cell, "error", "not-allowed", message)

    def _output(
        self,
        rule: Rule,
        cell: Text,
        clause: OutputClause,
        type_: Type | None,
        values: list[Value] | None,
        allowed: Static | None,
    ) -> None:
        tree = self.compiler.parsed(cell, self.scope)
        if isinstance(tree, DefinitionError):
            return
        self._words(rule, cell, [tree])
        made = self.compiler.text(cell, self.scope)
        if not isinstance(made, Constant) or made.value is None:
            return
        name = clause.name or clause.label or "the output"
        if type_ is not None and not conforms(made.value, type_):
            message = (
                f"{short(cell.text)} is a {kind(made.value)}, but {name} is a {clause.type_ref}"
            )
            self._tell(rule, cell, self.wrong_type, "type", message)
            return
        listed = values is None or any(same_value(value, made.value) for value in values)
        if not listed or (allowed is not None and not holds(allowed, made.value)):
            message = f"{short(cell.text)} is none of the allowed values of {name}"
            self._tell(rule, cell, "error", "not-allowed", message)


def short(text: str) -> str:
    """Return a text on one line, cut to what fits into a sentence."""
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def _is_empty(part: ast.RangeLiteral) -> bool:
    try:
        low, high = constant(part.low), constant(part.high)
        return bool(low > high or (low == high and not (part.low_included and part.high_included)))
    except (NotConstant, TypeError):
        return False


def _unfoldable(aggregator: Aggregator | None) -> frozenset[str]:
    """Return the kinds of values that an aggregator can do nothing with."""
    if aggregator is None or aggregator is Aggregator.COUNT:
        return frozenset()
    never = {"null", "boolean", "list", "context", "function", "range"}
    return frozenset(never | ({"string"} if aggregator is Aggregator.SUM else set()))


def _quotes(wanted: Kind, found: Kind) -> str:
    if wanted is Kind.STRING:
        return "Put it in quotes."
    return "Remove the quotes." if found is Kind.STRING and wanted is not Kind.DATE else ""
