"""Lint: what a diagram says that its designer cannot have meant. Pure; works on the typed model.

What cannot run at all is refused when a file is read (`engine.bpmn.checks`); these rules look at what would run.
Each has a name and a section in docs/reference/bpmn-lint.md, whose good and bad diagrams are its test. An error
is certain whatever the conditions say; a warning depends on them; an info is about how it is drawn, and carries the
name that bpmnlint gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from engine.bpmn.lint import events, files, flow, gates, style, tables, tokens, variables
from engine.bpmn.lint.rule import Case, File, FileRule, Outputs, Rule, Surroundings
from engine.bpmn.model import Finding, Process
from engine.bpmn.xml import parse

__all__ = ["FILE_RULES", "RULES", "Outputs", "Surroundings", "lint", "lint_file"]

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
    Rule("label-required", "info", style.label_required),
    Rule("no-duplicate-sequence-flows", "info", style.no_duplicate_sequence_flows),
    Rule("no-gateway-join-fork", "info", style.no_gateway_join_fork),
    Rule("no-implicit-end", "info", style.no_implicit_end),
    Rule("superfluous-gateway", "info", style.superfluous_gateway),
    Rule("superfluous-label", "info", style.superfluous_label),
    Rule("superfluous-termination", "info", style.superfluous_termination),
)
FILE_RULES: Final = (
    FileRule("global", "info", files.global_),
    FileRule("label-required", "info", files.pool_label_required),
    FileRule("no-bpmndi", "info", files.no_bpmndi),
    FileRule("no-overlapping-elements", "info", files.no_overlapping_elements),
)


def lint(processes: Iterable[Process], surroundings: Surroundings) -> Iterator[Finding]:
    """Yield what the rules find in `processes`, seen together with what they name."""
    for process in processes:
        case = Case(process, surroundings)
        for rule in RULES:
            yield from rule.findings(case)


def lint_file(content: bytes, name: str) -> Iterator[Finding]:
    """Yield what the rules about files find in a diagram. Raises BpmnDefinitionError when it is none."""
    file = File(name, parse(content, name))
    for rule in FILE_RULES:
        yield from rule.findings(file)
