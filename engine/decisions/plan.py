"""How one question is answered: the decisions it needs, in order, each with what it may see.

A plan runs in two ways that give the same value. `follow` goes step by step and can record every decision.
`generate` turns the plan into one Python function for the usual case; whatever is unusual (a value of another type, a
broken hit policy) makes that function start over with `follow`, which is possible because nothing here has effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any, Final

from engine.decisions.explanation import DecisionRecord, Outcome
from engine.decisions.graph import Key, Node
from engine.decisions.model import (
    BoxedContext,
    BoxedFilter,
    BoxedFor,
    BoxedList,
    Conditional,
    DecisionElement,
    DecisionTable,
    FunctionDefinition,
    HitPolicy,
    Invocation,
    LiteralExpression,
    Quantified,
    Relation,
)
from engine.decisions.quick import compiled, match_lines
from engine.decisions.tables import DecisionRun, Table
from engine.decisions.terms import Eval, Scope
from engine.errors import EngineError
from engine.feel import DateTime, Run, Value, parse_temporal
from engine.feel.types import (
    BOOLEAN,
    DATE,
    DATE_TIME,
    DAYS_TIME_DURATION,
    NUMBER,
    STRING,
    TIME,
    YEARS_MONTHS_DURATION,
    Type,
    coerce,
)
from engine.feel.values import native
from engine.frozen import dataclass

TEMPORAL: Final = frozenset({DATE, TIME, DATE_TIME, DAYS_TIME_DURATION, YEARS_MONTHS_DURATION})
#: The Python test that a value is already of a type.
GUARDS: Final[Mapping[Type, str]] = {
    NUMBER: "{v}.__class__ is Decimal or {v}.__class__ is int",
    STRING: "{v}.__class__ is str",
    BOOLEAN: "{v}.__class__ is bool",
}
#: Python types whose values are of a type as they are.
ACCEPTS: Final[Mapping[Type, frozenset[type]]] = {
    NUMBER: frozenset({type(None), int, Decimal}),
    STRING: frozenset({type(None), str}),
    BOOLEAN: frozenset({type(None), bool}),
}
KINDS: Final = {
    LiteralExpression: "literal expression",
    DecisionTable: "decision table",
    BoxedContext: "context",
    BoxedList: "list",
    Relation: "relation",
    FunctionDefinition: "function definition",
    Invocation: "invocation",
    Conditional: "conditional",
    BoxedFor: "for",
    Quantified: "quantified",
    BoxedFilter: "filter",
}


class HitPolicyViolation(EngineError):
    """More rules of a table match than its hit policy permits; the answer is not chosen for you."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InputStep:
    """An input: where its value comes from, and its type."""

    node: Node
    names: tuple[str, ...]  #: names to look for, own first
    paths: tuple[str, ...]  #: import names under which it may also be given
    accepts: frozenset[type]  #: Python types whose values are of this type as they are
    type: Type | None

    def read(self, inputs: Mapping[str, Value], run: Run) -> Value:
        """Return the value with its type; null with a warning when it does not fit."""
        value = self._find(inputs) if self.paths else self._given(inputs)
        return value if value.__class__ in self.accepts else self.typed(value, run)

    def typed(self, value: Value, run: Run) -> Value:
        """Return a value that came in with the type of this input; text becomes a date where one is wanted."""
        value = native(value)
        if isinstance(value, str) and self.type in TEMPORAL:
            value = _temporal(value)
        return coerce(value, self.type, run)

    def _given(self, inputs: Mapping[str, Value]) -> Value:
        for name in self.names:
            if name in inputs:
                return inputs[name]
        return None

    def _find(self, inputs: Mapping[str, Value]) -> Value:
        for path in self.paths:
            group = inputs.get(path)
            if isinstance(group, Mapping):
                for name in self.names:
                    if name in group:
                        return group[name]
        return self._given(inputs)


def input_step(
    node: Node, names: tuple[str, ...], paths: tuple[str, ...], type_: Type | None
) -> InputStep:
    """Return the step for an input, or for a decision whose value is given like one."""
    accepts = frozenset[type]() if type_ is None else ACCEPTS.get(type_, frozenset())
    return InputStep(node=node, names=names, paths=paths, type=type_, accepts=accepts)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionStep:
    """A decision: what it sees, and its logic."""

    node: Node
    element: DecisionElement
    kind: str  #: of the logic, for the record
    policy: str  #: hit policy with aggregator, for the record
    columns: tuple[str, ...]  #: input expressions, when the logic is a table
    logic: Eval | None  #: None: no logic, the value must come in
    type: Type | None
    sees: tuple[
        tuple[str, tuple[str, ...], Key], ...
    ]  #: (import name or "", names, where the value comes from)
    knowledge: Scope  #: functions by name; imported ones in contexts by import name
    all_inputs: bool  #: Camunda: every input is in scope without being required

    def scope(self, values: Mapping[Key, Value], inputs: Mapping[str, Value]) -> Scope:
        """Return the names in scope with their values."""
        found: Scope = {**inputs, **self.knowledge} if self.all_inputs else dict(self.knowledge)
        for path, names, key in self.sees:
            into = found
            if path:
                into = found[path] = dict(found.get(path) or {})
            for name in names:
                into[name] = values.get(key)
        return found


Step = InputStep | DecisionStep


def decision_step(
    node: Node,
    *,
    logic: Eval | None,
    type_: Type | None,
    sees: tuple[tuple[str, tuple[str, ...], Key], ...],
    knowledge: Scope,
) -> DecisionStep:
    """Return the step for a decision."""
    element = node.element
    assert isinstance(element, DecisionElement)
    table = element.logic if isinstance(element.logic, DecisionTable) else None
    policy = table.hit_policy.value if table else ""
    if table and table.aggregator:
        policy += f" {table.aggregator.value}"
    return DecisionStep(
        node=node,
        element=element,
        kind="none" if element.logic is None else KINDS[type(element.logic)],
        policy=policy,
        columns=tuple(clause.expression.text for clause in table.inputs) if table else (),
        logic=logic,
        type=type_,
        sees=sees,
        knowledge=knowledge,
        all_inputs=node.file.dialect == "camunda",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Steps in order, the asked decisions among them."""

    steps: tuple[Step, ...]
    targets: tuple[Key, ...]
    externals: Mapping[str, Callable[..., Value]] = field(default_factory=dict)

    def run(self, inputs: Mapping[str, Value], now: object = None) -> DecisionRun:
        """Return a fresh evaluation; its time is `now`, or the input of that name."""
        run = DecisionRun()
        given = inputs.get("now") if now is None else now
        if given is not None and type(given := native(given)) is DateTime:
            run.now = given
        if self.externals:
            run.externals = self.externals
        return run

    def follow(
        self,
        inputs: Mapping[str, Value],
        run: DecisionRun,
        given: Mapping[Key, Value] | None = None,
        records: list[DecisionRecord] | None = None,
    ) -> dict[Key, Value]:
        """Return the value of every step. `given` are values that are not evaluated."""
        values: dict[Key, Value] = dict(given or {})
        for step in self.steps:
            if isinstance(step, InputStep):
                values[step.node.key] = _read(step, inputs, run)
            elif records is None:
                values[step.node.key] = _decide(step, values, inputs, run)
            else:
                record = _recorded(step, values, inputs, run)
                records.append(record)
                values[step.node.key] = record.value
        return values

    def evaluate(self, inputs: Mapping[str, Value], now: object = None) -> Value:
        """Return the value of the only target. Raises HitPolicyViolation."""
        run = self.run(inputs, now)
        values = self.follow(inputs, run)
        if run.violations is not None:
            raise self.violation(run)
        return values[self.targets[0]]

    def violation(self, run: DecisionRun) -> HitPolicyViolation:
        """Return the error for what tables reported."""
        asked = next(s for s in self.steps if s.node.key == self.targets[0])
        return HitPolicyViolation("; ".join(run.violations or ()), where=asked.node.where)


def _temporal(text: str) -> Value:
    try:
        return parse_temporal(text)
    except Exception:  # whatever is wrong with the text: it stays text, and coercion says so
        return text


def _read(step: InputStep, inputs: Mapping[str, Value], run: DecisionRun) -> Value:
    before = len(run.notes) if run.notes is not None else 0
    value = step.read(inputs, run)
    if run.notes is not None and len(run.notes) > before:
        run.notes[before:] = [
            type(n)(f"input {step.names[0]}: {n.message}", n.start, n.end)
            for n in run.notes[before:]
        ]
    return value


def _decide(
    step: DecisionStep, values: Mapping[Key, Value], inputs: Mapping[str, Value], run: Run
) -> Value:
    if step.logic is None:
        element = step.element
        found = native(inputs.get(element.variable.name, inputs.get(element.name)))
    else:
        found = step.logic(run, step.scope(values, inputs))
    return found if step.type is None else coerce(found, step.type, run)


def _recorded(
    step: DecisionStep, values: Mapping[Key, Value], inputs: Mapping[str, Value], run: DecisionRun
) -> DecisionRecord:
    """Evaluate a decision and say how it came to its value."""
    kept, run.notes = run.notes, []
    run.placed = 0
    run.answers = []
    value = _decide(step, values, inputs, run)
    warnings = tuple(dict.fromkeys([note.message for note in run.notes])) if run.notes else ()
    answers, run.answers = run.answers, None
    run.notes = kept
    logic = step.element.logic
    root = next((a for a in reversed(answers) if a.table is logic), None) if answers else None
    return DecisionRecord(
        id=step.element.id,
        name=step.element.name,
        kind=step.kind,
        inputs=_inputs_of(step, root.values if root else None, values, inputs),
        rules=tuple([rule for answer in answers for rule in answer.rules]),
        value=value,
        outcome=root.outcome if root else _outcome(step, inputs),
        hit_policy=step.policy,
        warnings=warnings,
    )


def _outcome(step: DecisionStep, inputs: Mapping[str, Value]) -> Outcome:
    """Return how a decision that is no table came to its value."""
    if step.logic is not None:
        return Outcome.EVALUATED
    names = (step.element.variable.name, step.element.name)
    return Outcome.GIVEN if any(name in inputs for name in names) else Outcome.MISSING


def _inputs_of(
    step: DecisionStep,
    columns: list[Value] | None,
    values: Mapping[Key, Value],
    inputs: Mapping[str, Value],
) -> dict[str, Value]:
    """Return what the decision looked at: the columns of a table, or the required variables."""
    logic = step.element.logic
    if columns is not None:
        return dict(zip(step.columns, columns, strict=True))
    found = {
        f"{path}.{names[0]}" if path else names[0]: values.get(key)
        for path, names, key in step.sees
    }
    if step.all_inputs and isinstance(logic, LiteralExpression):
        words = set(logic.text.replace("(", " ").replace(")", " ").replace(",", " ").split())
        found.update({n: native(v) for n, v in inputs.items() if n in words and n not in found})
    return found


# --- the generated function ---


def generate(plan: Plan) -> Callable[[Mapping[str, Value]], Value]:
    """Return `decide(inputs) -> value` for a plan with one target; it gives what `plan.evaluate` gives."""
    writer = _Writer(plan)
    for step in plan.steps:
        if isinstance(step, InputStep):
            writer.input(step)
        else:
            writer.decision(step)
    return writer.function()


class _Writer:
    """Writes the function line by line. Values are locals `a0`, `a1`, …; everything else is in `space`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.space: dict[str, Any] = {  # Any: what the generated function refers to
            "slow": plan.evaluate,
            "Run": plan.run,
            "Decimal": Decimal,
        }
        self.lines: list[str] = []
        self.locals: dict[Key, str] = {}
        self.implicit: dict[str, str] = {}
        self.needs_run = False

    def function(self) -> Callable[[Mapping[str, Value]], Value]:
        head = ["def decide(inputs):", "    get = inputs.get"]
        tail = [f"return {self.locals[self.plan.targets[0]]}"]
        if self.needs_run:
            head.append("    run = Run(inputs)")
            tail.insert(0, "if run.violations is not None: return slow(inputs)")
        body = [f"    {line}" for line in (*self.lines, *tail)]
        made: Callable[[Mapping[str, Value]], Value] = compiled(
            "\n".join((*head, *body)), self.space
        )
        return made

    def new(self, value: object) -> str:
        """Return a name for something the function refers to."""
        name = f"x{len(self.space)}"
        self.space[name] = value
        return name

    def local(self, key: Key) -> str:
        name = f"a{len(self.locals)}"
        self.locals[key] = name
        return name

    def input(self, step: InputStep) -> None:
        v = self.local(step.node.key)
        if step.paths or len(step.names) > 1:
            self.needs_run = True
            self.lines.append(f"{v} = {self.new(step.read)}(inputs, run)")
            return
        self.lines.append(f"{v} = get({step.names[0]!r})")
        guard = GUARDS.get(step.type) if step.type is not None else None
        if guard is None:
            self.needs_run = True
            self.lines.append(f"if {v} is not None: {v} = {self.new(step.typed)}({v}, run)")
        else:
            # a value of another type is coerced, or refused, on the slow path
            test = guard.format(v=v)
            self.lines.append(f"if not ({test} or {v} is None): return slow(inputs)")

    def decision(self, step: DecisionStep) -> None:
        if isinstance(step.logic, Table):
            v = self.table(step, step.logic)
        else:
            self.needs_run = True
            v = self.local(step.node.key)
            if step.logic is None:
                self.lines.append(f"{v} = {self.new(_decide)}({self.new(step)}, {{}}, inputs, run)")
                return
            self.lines.append(f"{v} = {self.new(step.logic)}(run, {self.scope(step)})")
        self.coerced(v, step.type)

    def coerced(self, v: str, type_: Type | None) -> None:
        if type_ is None:
            return
        self.space["coerce"] = coerce
        guard = GUARDS.get(type_)
        test = f"{v} is not None"
        if guard is not None:
            test += f" and not ({guard.format(v=v)})"
            self.lines.append(f"if {test}: return slow(inputs)")
            return
        self.needs_run = True
        self.lines.append(f"if {test}: {v} = coerce({v}, {self.new(type_)}, run)")

    def scope(self, step: DecisionStep) -> str:
        """Return the expression of the scope that a decision sees."""
        groups: dict[str, list[str]] = {}
        for path, names, key in step.sees:
            value = self.locals.get(key, "None")
            groups.setdefault(path, []).extend(f"{name!r}: {value}" for name in names)
        parts = ["**inputs"] if step.all_inputs else []
        if step.knowledge:
            parts.append(f"**{self.new(step.knowledge)}")
        parts += groups.pop("", [])
        for path, entries in groups.items():
            known = step.knowledge.get(path)
            inside = ([f"**{self.new(known)}"] if known else []) + entries
            parts.append(f"{path!r}: {{{', '.join(inside)}}}")
        return "{" + ", ".join(parts) + "}"

    # --- tables ---

    def table(self, step: DecisionStep, table: Table) -> str:
        """Write the match and the answer of a table; return the local that holds the value."""
        scope = ""
        columns = [self.column(step, clause.expression.text) for clause in table.table.inputs]
        constants = table.constant_outputs
        is_plain = constants is not None and not table.open_
        if None in columns or not is_plain:
            self.needs_run = True
            scope = f"s{len(self.locals)}"
            self.lines.append(f"{scope} = {self.scope(step)}")
        values = []
        for number, column in enumerate(columns):
            if column is None:
                column = f"c{len(self.locals)}_{number}"
                clause = self.new(table.inputs[number])
                self.lines.append(f"{column} = {clause}(run, {scope})")
            values.append(column)
        prefix = f"t{len(self.locals)}_"
        space: dict[str, Any] = {}  # Any: what the generated function refers to
        self.lines += match_lines(
            table.columns, len(table.tests), values, space, "return slow(inputs)", prefix
        )
        self.space.update(space)
        v = self.local(step.node.key)
        if is_plain and constants is not None and self.answer(v, table):
            return v
        self.needs_run = True
        finish = self.new(table.finish)
        self.lines.append(
            f"{v} = {finish}(m, run, {scope or '{}'}, ({''.join(c + ', ' for c in values)}))"
        )
        return v

    def column(self, step: DecisionStep, text: str) -> str | None:
        """Return the local that an input expression names, if it is only a name."""
        for path, names, key in step.sees:
            if not path and text in names:
                return self.locals.get(key)
        if step.all_inputs and text.isidentifier() and text not in step.knowledge:
            if text in ("true", "false", "null"):
                return None
            if text not in self.implicit:
                self.implicit[text] = f"i{len(self.implicit)}"
                self.lines.append(f"{self.implicit[text]} = get({text!r})")
            return self.implicit[text]
        return None

    def answer(self, v: str, table: Table) -> bool:
        """Write the answer of a table with constant outputs under FIRST or UNIQUE."""
        policy = table.policy
        if policy.hit_policy not in (HitPolicy.FIRST, HitPolicy.UNIQUE):
            return False
        none = None if policy.default is None else policy.compose(policy.default)
        rows = [none, *(policy.compose(o) for o in table.constant_outputs or ())]
        answers = self.new(rows)
        if policy.hit_policy is HitPolicy.FIRST:
            self.lines.append(f"{v} = {answers}[(m & -m).bit_length()]")
        else:
            self.lines.append("if m & (m - 1): return slow(inputs)")
            self.lines.append(f"{v} = {answers}[m.bit_length()]")
        if len(policy.names) > 1:
            self.lines.append(f"{v} = {v} and {v}.copy()")
        return True
