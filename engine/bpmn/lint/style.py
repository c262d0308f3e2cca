"""Rules about how a process is drawn: it would run, but a reader may stumble. Names are bpmnlint's. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.lint.rule import Case, Found
from engine.bpmn.model import (
    EndEvent,
    EventBasedGateway,
    ExclusiveGateway,
    FlowNode,
    InclusiveGateway,
    ParallelGateway,
    Scope,
    SequenceFlow,
    StartEvent,
    SubProcess,
    Terminate,
)

__all__ = [
    "label_required",
    "no_duplicate_sequence_flows",
    "no_gateway_join_fork",
    "no_implicit_end",
    "superfluous_gateway",
    "superfluous_label",
    "superfluous_termination",
]

Gateway = ExclusiveGateway | InclusiveGateway | ParallelGateway | EventBasedGateway


def label_required(case: Case) -> Iterator[Found]:
    """What a reader cannot guess has a name: events, tasks, gateways that choose, flows with a condition."""
    for scope in _scopes(case):
        for node in scope.nodes.values():
            if node.name or isinstance(node, ParallelGateway | EventBasedGateway | SubProcess):
                continue
            if isinstance(node, Gateway) and len(node.outgoing) < 2:
                continue
            what = "the question it asks" if isinstance(node, Gateway) else "what happens here"
            yield Found(node, "has no name", f"Name it: {what}.")
        for flow in scope.flows.values():
            if flow.condition is not None and not flow.name:
                yield Found(
                    flow, "has a condition but no name", "Name it: the answer it stands for."
                )


def superfluous_gateway(case: Case) -> Iterator[Found]:
    """One flow in, one flow out: the gateway decides nothing."""
    for node in case.nodes():
        if isinstance(node, Gateway) and len(node.incoming) == 1 and len(node.outgoing) == 1:
            yield Found(
                node,
                "has one flow in and one flow out, so it does nothing",
                "Remove it, or draw the other flow.",
            )


def superfluous_label(case: Case) -> Iterator[Found]:
    """The name of a flow that does not depend on anything answers no question."""
    for scope in _scopes(case):
        for flow in scope.flows.values():
            if flow.name and flow.condition is None and not _is_answer(flow, scope):
                yield Found(
                    flow,
                    "has a name, but it is always taken",
                    "Remove the name, or say it in an annotation.",
                )


def superfluous_termination(case: Case) -> Iterator[Found]:
    """A terminate end event that is the only end has nothing else to end."""
    for scope in _scopes(case):
        ends = [node for node in scope.nodes.values() if not node.outgoing]
        ends = [node for node in ends if not _is_interrupting_event_sub_process(node)]
        if len(ends) == 1 and _terminates(ends[0]):
            yield Found(
                ends[0],
                "terminates, but there is no other end whose work it could stop",
                "Make it a plain end event.",
            )


def no_duplicate_sequence_flows(case: Case) -> Iterator[Found]:
    """Two flows say the same, often one lies hidden under the other."""
    for scope in _scopes(case):
        seen: dict[tuple[str, str, str | None], SequenceFlow] = {}
        for flow in scope.flows.values():
            text = flow.condition.text if flow.condition else None
            first = seen.setdefault((flow.source, flow.target, text), flow)
            if first is not flow:
                yield Found(
                    flow,
                    f"leads from and to where flow {first.id} does, under the same condition",
                    "Remove one of the two; it may lie hidden under the other.",
                )


def no_gateway_join_fork(case: Case) -> Iterator[Found]:
    """A parallel or inclusive gateway that waits for several flows and starts several is read wrongly."""
    for node in case.nodes():
        if not isinstance(node, ParallelGateway | InclusiveGateway):
            continue
        if len(node.incoming) > 1 and len(node.outgoing) > 1:
            yield Found(
                node,
                f"joins {len(node.incoming)} flows and begins {len(node.outgoing)}",
                "Draw two gateways: one that joins, then one that forks.",
            )


def no_implicit_end(case: Case) -> Iterator[Found]:
    """A token that comes here ends here, and the drawing does not say so."""
    for node in case.nodes():
        if node.outgoing or isinstance(node, EndEvent):
            continue
        if isinstance(node, SubProcess) and node.triggered_by_event:
            continue
        yield Found(
            node, "nothing follows it, so the path ends here", "Draw an end event after it."
        )


def _scopes(case: Case) -> Iterator[Scope]:
    return (graph.scope for graph in case.graphs)


def _is_answer(flow: SequenceFlow, scope: Scope) -> bool:
    """Whether a flow leaves a gateway that asks a question."""
    source = scope.nodes.get(flow.source)
    return isinstance(source, ExclusiveGateway | InclusiveGateway) and len(source.outgoing) > 1


def _terminates(node: FlowNode) -> bool:
    return isinstance(node, EndEvent) and isinstance(node.trigger, Terminate)


def _is_interrupting_event_sub_process(node: FlowNode) -> bool:
    if not isinstance(node, SubProcess) or not node.triggered_by_event:
        return False
    starts = [inner for inner in node.scope.nodes.values() if isinstance(inner, StartEvent)]
    return any(start.interrupting for start in starts)
