"""Lint: what a diagram says that its designer cannot have meant. Pure; works on the typed model.

What cannot run at all is refused when a file is read (`engine.bpmn.checks`); these rules look at what would run.
Each has a name, a section in docs/reference/bpmn-lint.md, and a table of good and bad diagrams as its test. An error
is certain whatever the conditions say; a warning depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from engine.bpmn.lint import events, flow, gates, tables, tokens, variables
from engine.bpmn.lint.rule import Case, Outputs, Rule, Surroundings
from engine.bpmn.model import Finding, Process

__all__ = ["RULES", "Outputs", "Surroundings", "lint"]

RULES: Final = (
    Rule("unreachable", "warning", flow.unreachable),
    Rule("no-way-out", "error", flow.no_way_out),
    Rule("loop-without-bound", "warning", flow.loop_without_bound),
    Rule("gateway-without-default", "warning", flow.gateway_without_default),
    Rule("join-waits-for-ever", "warning", tokens.join_waits_for_ever),
    Rule("runs-twice", "warning", tokens.runs_twice),
    Rule("read-before-written", "warning", variables.read_before_written),
    Rule("parallel-writes", "warning", variables.parallel_writes),
    Rule("merge-without-policy", "warning", gates.merge_without_policy),
    Rule("gate-opens-without-pass", "warning", gates.gate_opens_without_pass),
    Rule("verdict-without-policy", "warning", gates.verdict_without_policy),
    Rule("timer-never-fires", "warning", events.timer_never_fires),
    Rule("event-never-happens", "warning", events.event_never_happens),
    Rule("value-without-flow", "warning", tables.value_without_flow),
    Rule("flow-without-value", "warning", tables.flow_without_value),
)


def lint(processes: Iterable[Process], surroundings: Surroundings) -> Iterator[Finding]:
    """Yield what the rules find in `processes`, seen together with what they name."""
    for process in processes:
        case = Case(process, surroundings)
        for rule in RULES:
            yield from rule.findings(case)
