"""From the rules that matched to the answer of the table: the seven hit policies and the four aggregators.

Nothing here is resolved silently: two rules under UNIQUE, or different outputs under ANY, are a VIOLATION with the
rows named; no rule is NO_MATCH, or DEFAULT when the table gives default outputs.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence

from engine.decisions.explanation import Outcome
from engine.decisions.model import Aggregator, HitPolicy
from engine.feel.values import CONTEXT, NUMBERS, Value, kind
from engine.frozen import dataclass

Outputs = tuple[Value, ...]  #: one value for each output column


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What of a table decides between its matching rules."""

    hit_policy: HitPolicy
    aggregator: Aggregator | None
    names: tuple[str, ...]  #: of the output columns
    ranks: tuple[
        Callable[[Value], int] | None, ...
    ]  #: place of a value among the allowed ones, 0 first
    default: Outputs | None  #: answer when no rule matches

    def compose(self, outputs: Outputs) -> Value:
        """Return the value of one rule: the only output itself, or a context of all."""
        if len(self.names) == 1:
            return outputs[0]
        return dict(zip(self.names, outputs, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a table answers."""

    value: Value
    outcome: Outcome
    rules: tuple[int, ...]  #: indexes of the rules that count, in the order of the hit policy
    warning: str = ""


def answer(policy: Policy, matched: Sequence[int], outputs: Callable[[int], Outputs]) -> Answer:
    """Return the answer when the rules `matched` (indexes, ascending) hold; `outputs` evaluates a rule."""
    if not matched:
        return _without_match(policy)
    match policy.hit_policy:
        case HitPolicy.FIRST:
            return _single(policy, matched[:1], outputs(matched[0]))
        case HitPolicy.UNIQUE:
            if len(matched) > 1:
                return _violation(matched, "UNIQUE permits one rule, but rows {rows} match")
            return _single(policy, matched, outputs(matched[0]))
        case HitPolicy.ANY:
            found = [outputs(rule) for rule in matched]
            if any(not same_value(list(found[0]), list(other)) for other in found[1:]):
                return _violation(matched, "ANY permits one answer, but rows {rows} differ")
            return _single(policy, matched, found[0])
        case HitPolicy.PRIORITY:
            ranked = _by_priority(policy, matched, outputs)
            return _single(policy, [rule for rule, _ in ranked], ranked[0][1])
        case HitPolicy.OUTPUT_ORDER:
            return _several(policy, _by_priority(policy, matched, outputs))
        case HitPolicy.RULE_ORDER | HitPolicy.COLLECT:
            return _several(policy, [(rule, outputs(rule)) for rule in matched])


def same_value(a: Value, b: Value) -> bool:
    """Whether two values are the same; unlike `==`, true is not the number 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same_value(a[key], b[key]) for key in a)
    return bool(a == b)


def _without_match(policy: Policy) -> Answer:
    if policy.default is not None:
        value = policy.compose(policy.default)
        if not policy.hit_policy.is_single and policy.aggregator is None:
            value = [value]
        return Answer(value=value, outcome=Outcome.DEFAULT, rules=())
    value = CONTEXT.create_decimal(0) if policy.aggregator is Aggregator.COUNT else None
    return Answer(value=value, outcome=Outcome.NO_MATCH, rules=(), warning="no rule matches")


def _single(policy: Policy, rules: Sequence[int], outputs: Outputs) -> Answer:
    return Answer(value=policy.compose(outputs), outcome=Outcome.MATCHED, rules=tuple(rules))


def _violation(rules: Sequence[int], sentence: str) -> Answer:
    rows = ", ".join(str(rule + 1) for rule in rules)
    return Answer(
        value=None,
        outcome=Outcome.VIOLATION,
        rules=tuple(rules),
        warning=sentence.format(rows=rows),
    )


def _several(policy: Policy, found: Sequence[tuple[int, Outputs]]) -> Answer:
    values = [policy.compose(outputs) for _, outputs in found]
    rules = tuple(rule for rule, _ in found)
    if policy.aggregator is None:
        return Answer(value=values, outcome=Outcome.MATCHED, rules=rules)
    value, warning = _aggregate(policy.aggregator, values)
    return Answer(value=value, outcome=Outcome.MATCHED, rules=rules, warning=warning)


def _by_priority(
    policy: Policy, matched: Sequence[int], outputs: Callable[[int], Outputs]
) -> list[tuple[int, Outputs]]:
    def rank(found: tuple[int, Outputs]) -> tuple[int, ...]:
        return tuple(
            place(value) for place, value in zip(policy.ranks, found[1], strict=True) if place
        )

    return sorted(((rule, outputs(rule)) for rule in matched), key=rank)


def _aggregate(aggregator: Aggregator, values: list[Value]) -> tuple[Value, str]:
    if aggregator is Aggregator.COUNT:
        return CONTEXT.create_decimal(len(values)), ""
    if aggregator is Aggregator.SUM:
        if any(type(value) not in NUMBERS for value in values):
            return None, "SUM expects numbers, but an output is something else"
        total = decimal.Decimal(0)
        try:
            for value in values:
                total = CONTEXT.add(total, value)
        except decimal.DecimalException:
            return None, "SUM exceeds the range of numbers"
        return total, ""
    kinds = {kind(value) for value in values}
    if len(kinds) > 1 or kinds & {"null", "list", "context", "function", "range", "boolean"}:
        return None, f"{aggregator.value} expects values of one ordered kind"
    return (min if aggregator is Aggregator.MIN else max)(values), ""
