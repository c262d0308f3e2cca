"""Decision tables made ready to run.

Two ways lead to the rules that match. The plain one evaluates every cell. The quick one looks the values up in the
regions of the columns (`columns`), with one bit for each rule, and evaluates only the cells that are not constant; it
declines values of a kind that a column does not expect, and then the plain one answers. Both give the same rules: a
property test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.decisions.cells import NotConstant, constant
from engine.decisions.columns import DASH, Column, Kind, Static, build
from engine.decisions.coverage import bits
from engine.decisions.explanation import MatchedRule, Outcome
from engine.decisions.hit_policies import Answer, Outputs, Policy, answer, same_value
from engine.decisions.model import (
    Aggregator,
    DecisionTable,
    HitPolicy,
    InputClause,
    ItemDefinition,
    OutputClause,
    Text,
)
from engine.decisions.quick import Match, generate_match
from engine.decisions.terms import Constant, Eval, Names, Scope, Test
from engine.errors import DefinitionError
from engine.feel import Run, Value
from engine.feel.types import ListOf, Restricted, Simple, Type

if TYPE_CHECKING:
    from engine.decisions.logic import Compiler

MAX_RECORDED: Final = 1000  #: matched rules that one evaluation remembers


class Recorded(NamedTuple):
    """What one table answered."""

    table: DecisionTable
    outcome: Outcome
    values: list[Value]  #: of the input columns
    rules: tuple[MatchedRule, ...]


class DecisionRun(Run):
    """An evaluation that also remembers what tables answered."""

    violations: list[str] | None = None  #: sentences; None until there is one
    answers: list[Recorded] | None = None  #: None: do not record


class Table:
    """One decision table; calling it gives its value."""

    def __init__(
        self,
        table: DecisionTable,
        policy: Policy,
        inputs: Sequence[Eval],
        tests: Sequence[Sequence[Test]],
        outputs: Sequence[Sequence[Eval]],
        columns: Sequence[Column],
    ) -> None:
        self.table = table
        self.policy = policy
        self.inputs = inputs
        self.tests = tests  #: by rule, then by column
        self.outputs = outputs  #: by rule, then by column
        self.columns = columns
        self._rules: dict[int, MatchedRule] = {}  #: records of rules whose outputs are constants
        self.open_ = 0  #: rules with a cell that is not constant
        for column in columns:
            self.open_ |= column.open_

    def __call__(self, run: Run, scope: Scope) -> Value:
        """Return the value, reporting violations to a DecisionRun."""
        return self.decide(run, scope, [clause(run, scope) for clause in self.inputs])

    def decide(self, run: Run, scope: Scope, values: list[Value]) -> Value:
        """Return the value for the values of the input columns."""
        found = self.answer(run, scope, values)
        if isinstance(run, DecisionRun):
            if found.outcome is Outcome.VIOLATION:
                run.violations = [*(run.violations or ()), found.warning]
            if run.answers is not None:
                self._record(run, found, scope, values)
        if found.warning:
            run.null(found.warning)
        return found.value

    def answer(self, run: Run, scope: Scope, values: list[Value]) -> Answer:
        """Return the answer with the rules that count."""
        notes, run.notes = run.notes, None  # a cell that does not hold needs no reason …
        mask = self.match(*values)
        matched = self._matching(mask, run, scope, values)
        run.notes = notes
        if not matched and notes is not None:
            self._explain_miss(mask, run, scope, values)  # … unless no rule matches at all
        return answer(self.policy, matched, lambda rule: self.rule_outputs(rule, run, scope))

    def _matching(self, mask: int, run: Run, scope: Scope, values: list[Value]) -> list[int]:
        """Return the rules that match, ascending; under FIRST only the first."""
        if mask < 0:
            return self.match_plain(run, scope, values)
        return self.settle(mask, run, scope, values)

    def _explain_miss(self, mask: int, run: Run, scope: Scope, values: list[Value]) -> None:
        """Note what may be the reason that no rule matches: a null, or a cell that gives null."""
        for clause, value in zip(self.table.inputs, values, strict=True):
            if value is None:
                run.null(f"{clause.expression.text} is null")
        if mask < 0 or self.open_:
            self.match_plain(run, scope, values)

    def settle(self, mask: int, run: Run, scope: Scope, values: Sequence[Value]) -> list[int]:
        """Return the rules of `mask` of which also the cells that are not constant hold."""
        first = self.policy.hit_policy is HitPolicy.FIRST
        found = []
        for rule in bits(mask):
            if self.open_ >> rule & 1 and not self._open_hold(rule, run, scope, values):
                continue
            found.append(rule)
            if first:
                break
        return found

    def match_plain(self, run: Run, scope: Scope, values: Sequence[Value]) -> list[int]:
        """Return the rules that match, by evaluating the cells one by one."""
        first = self.policy.hit_policy is HitPolicy.FIRST
        found = []
        for rule, tests in enumerate(self.tests):
            if all(
                test.holds(run, value, scope) is True
                for test, value in zip(tests, values, strict=True)
            ):
                found.append(rule)
                if first:
                    break
        return found

    def finish(self, mask: int, run: Run, scope: Scope, values: Sequence[Value]) -> Value:
        """Return the value when the constant cells permit the rules of `mask`."""
        matched = self.settle(mask, run, scope, values)
        found = answer(self.policy, matched, lambda rule: self.rule_outputs(rule, run, scope))
        if found.outcome is Outcome.VIOLATION and isinstance(run, DecisionRun):
            run.violations = [*(run.violations or ()), found.warning]
        return found.value

    def rule_outputs(self, rule: int, run: Run, scope: Scope) -> Outputs:
        """Return the outputs of one rule."""
        fixed = self.fixed[rule]
        if fixed is not None:
            return fixed
        return tuple(output(run, scope) for output in self.outputs[rule])

    @cached_property
    def fixed(self) -> tuple[Outputs | None, ...]:
        """The outputs of each rule whose outputs are all constants."""
        found = []
        for row in self.outputs:
            values = tuple(o.value for o in row if isinstance(o, Constant))
            found.append(values if len(values) == len(row) else None)
        return tuple(found)

    @cached_property
    def match(self) -> Match:
        """The generated function from input values to the mask of rules, or -1 to decline."""
        return generate_match(self.columns, len(self.tests))

    @property
    def constant_outputs(self) -> tuple[Outputs, ...] | None:
        """Return the outputs of all rules when all are constants."""
        found = tuple(row for row in self.fixed if row is not None)
        return found if len(found) == len(self.fixed) else None

    def matched_rule(self, rule: int, run: Run, scope: Scope) -> MatchedRule:
        """Return the record of one rule."""
        if rule in self._rules:
            return self._rules[rule]
        written = self.table.rules[rule]
        names = self.policy.names
        shown = ("output",) if len(names) == 1 and not names[0] else names
        outputs = self.rule_outputs(rule, run, scope)
        made = MatchedRule(
            id=written.id,
            row=written.row,
            annotations=written.annotations,
            outputs=MappingProxyType(dict(zip(shown, outputs, strict=True))),
        )
        if self.fixed[rule] is not None:
            self._rules[rule] = made
        return made

    def _open_hold(self, rule: int, run: Run, scope: Scope, values: Sequence[Value]) -> bool:
        return all(
            test.holds(run, value, scope) is True
            for test, value, column in zip(self.tests[rule], values, self.columns, strict=True)
            if column.open_ >> rule & 1
        )

    def _record(self, run: DecisionRun, found: Answer, scope: Scope, values: list[Value]) -> None:
        assert run.answers is not None
        if len(run.answers) < MAX_RECORDED:
            notes, run.notes = run.notes, None  # the reasons are there already
            rules = tuple([self.matched_rule(rule, run, scope) for rule in found.rules])
            run.notes = notes
            run.answers.append(Recorded(self.table, found.outcome, values, rules))


def build_table(table: DecisionTable, compiler: Compiler, names: Names) -> Table:
    """Return `table` ready to run; `names` are in scope.

    Raises DefinitionError when its aggregator does not fit, whether or not the compiler is strict.
    """
    _check(table, compiler)
    clauses = [compiler.text(clause.expression, names) for clause in table.inputs]
    tests = [[compiler.test(cell, names) for cell in rule.inputs] for rule in table.rules]
    types = [_clause_type(clause, compiler) for clause in table.outputs]
    outputs = [
        [
            compiler.typed(compiler.text(cell, names), type_)
            for cell, type_ in zip(rule.outputs, types, strict=True)
        ]
        for rule in table.rules
    ]
    return Table(
        table,
        _policy(table, compiler, names, types),
        clauses,
        tests,
        outputs,
        [
            build_column(clause, [row[c] for row in tests], compiler)
            for c, clause in enumerate(table.inputs)
        ],
    )


def build_column(clause: InputClause, tests: Sequence[Test], compiler: Compiler) -> Column:
    """Return the regions of one input column; its kind is what most of its constant cells speak of."""
    cells = [test.static for test in tests]
    kinds = [cell.kind for cell in cells if cell is not None and cell.kind is not None]
    type_ = compiler.types.find(clause.type_ref) if clause.type_ref else None
    declared = column_kind(type_)
    kind = max(kinds, key=kinds.count) if kinds else declared or Kind.OTHER
    usable = [c if c is None or c.kind in (kind, None) else None for c in cells]
    allowed = allowed_values(clause.values, clause.type_ref, compiler)
    return build(kind, usable, allowed, [] if _is_list(type_) else "other")


def column_kind(type_: Type | None) -> Kind | None:
    """Return the kind that a type says a column has."""
    while isinstance(type_, Restricted):
        type_ = type_.base
    if isinstance(type_, Simple):
        return next((k for k in Kind if k.value == type_.name), None)
    return None


def _is_list(type_: Type | None) -> bool:
    return isinstance(type_, ListOf) or type_ == Simple("list")


def allowed_values(written: Text | None, type_ref: str, compiler: Compiler) -> Static | None:
    """Return the allowed values of a clause, its own or those of its type, when they are constant."""
    text = written or _item_values(compiler.types.item(type_ref))
    if text is None:
        return None
    found = compiler.test(text, frozenset()).static
    return None if found is None or found == DASH else found


def _item_values(item: ItemDefinition | None) -> Text | None:
    if item is None or item.is_collection or item.components:
        return None
    return item.allowed_values


def _clause_type(clause: OutputClause, compiler: Compiler) -> Type | None:
    """Camunda does not look at the type of an output, and its modeller fills one in; DMN does."""
    found = compiler.refer(clause.type_ref, clause.line, clause.id)
    return None if compiler.dialect == "camunda" else found


def _check(table: DecisionTable, compiler: Compiler) -> None:
    where = compiler.file.at(table.line, table.id)
    if table.aggregator is not None and table.hit_policy is not HitPolicy.COLLECT:
        raise DefinitionError(
            where=where,
            expected=f"hit policy COLLECT with aggregation {table.aggregator.value}",
            got=table.hit_policy.value,
        )
    if len(table.outputs) > 1 and table.aggregator not in (None, Aggregator.COUNT):
        raise DefinitionError(
            where=where,
            expected="one output column to aggregate",
            got=f"{len(table.outputs)}",
        )


def _policy(
    table: DecisionTable, compiler: Compiler, names: Names, types: Sequence[Type | None]
) -> Policy:
    run = Run()
    default = None
    if any(clause.default is not None for clause in table.outputs):
        default = tuple(
            None
            if clause.default is None
            else compiler.typed(compiler.text(clause.default, frozenset()), type_)(run, {})
            for clause, type_ in zip(table.outputs, types, strict=True)
        )
    return Policy(
        hit_policy=table.hit_policy,
        aggregator=table.aggregator,
        names=tuple(clause.name for clause in table.outputs),
        ranks=tuple(_rank(clause, compiler) for clause in table.outputs),
        default=default,
    )


def _rank(clause: OutputClause, compiler: Compiler) -> Callable[[Value], int] | None:
    """Return the place of a value among the allowed ones; a value that is none of them comes last."""
    values = output_values(clause, compiler)
    if values is None:
        return None

    def place(value: Value) -> int:
        found = (n for n, allowed in enumerate(values) if same_value(allowed, value))
        return next(found, len(values))

    return place


def output_values(clause: OutputClause, compiler: Compiler) -> list[Value] | None:
    """Return the allowed values of an output in their order, or None when they are no list of constants."""
    text = clause.values or _item_values(compiler.types.item(clause.type_ref))
    tree = None if text is None else compiler.test(text, frozenset()).tree
    if tree is None or tree.negated or not tree.tests:
        return None
    try:
        return [constant(test) for test in tree.tests]
    except NotConstant:
        return None
