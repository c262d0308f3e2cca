"""What must hold of a process so that it can run: every refusal of the runtime, found before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.collector import Collector
from engine.bpmn.dialect import PLACES, Place
from engine.bpmn.model import (
    Activity,
    BoundaryEvent,
    CatchEvent,
    EndEvent,
    Error,
    Escalation,
    EventBasedGateway,
    ExclusiveGateway,
    FlowNode,
    InclusiveGateway,
    Message,
    Node,
    Process,
    ReceiveTask,
    Scope,
    StartEvent,
    SubProcess,
    ThrowEvent,
    Timer,
)

__all__ = ["check_process", "scopes"]


def check_process(process: Process, collector: Collector) -> None:
    """Add a finding for everything about `process` that cannot run."""
    for owner, scope in scopes(process):
        event_scope = isinstance(owner, SubProcess) and owner.triggered_by_event
        _check_starts(scope, collector, process, owner, event_scope=event_scope)
        _check_flows(scope, collector)
        _check_catchers(scope, collector)
        for node in scope.nodes.values():
            _check_node(node, scope, collector)
            _check_event(node, collector, event_scope=event_scope)


def scopes(process: Process) -> Iterator[tuple[SubProcess | None, Scope]]:
    """Yield (sub-process or None, scope) of a process and everything inside it."""
    waiting: list[tuple[SubProcess | None, Scope]] = [(None, process.scope)]
    while waiting:
        owner, scope = waiting.pop()
        yield owner, scope
        waiting += [(n, n.scope) for n in scope.nodes.values() if isinstance(n, SubProcess)]


def _check_starts(
    scope: Scope,
    collector: Collector,
    process: Process,
    owner: SubProcess | None,
    *,
    event_scope: bool,
) -> None:
    starts = [node for node in scope.nodes.values() if isinstance(node, StartEvent)]
    plain = [node for node in starts if node.trigger is None]
    where = owner or process
    label = owner.label if owner else f"process {process.id}"

    def refuse(message: str, hint: str) -> None:
        collector.add("start-event", where.position, f"{label}: {message}", hint, element=where.id)

    if event_scope:
        if len(starts) != 1 or plain:
            refuse(
                "an event sub-process needs one start event that waits for something",
                "Draw one, and choose its kind.",
            )
    elif owner is not None and (len(plain) != 1 or len(starts) != 1):
        refuse(f"expected one plain start event, but found {len(starts)}", "Draw one.")
    elif owner is None and not starts:
        refuse("has no start event", "Draw one.")
    elif owner is None and len(plain) > 1:
        refuse(f"has {len(plain)} plain start events", "Keep one; draw a gateway after it.")


def _check_flows(scope: Scope, collector: Collector) -> None:
    refused = {finding.element for finding in collector.findings}  # it is there, and said already
    for flow in scope.flows.values():
        for end in (flow.source, flow.target):
            if end not in scope.nodes and end not in refused:
                collector.add(
                    "dangling-reference",
                    flow.position,
                    f'sequence flow {flow.id}: its end "{end}" is not in the same scope',
                    "Draw the flow again; use an event to leave a sub-process.",
                    element=flow.id,
                )
        source = scope.nodes.get(flow.source)
        if flow.condition is not None and source is not None:
            if not isinstance(source, ExclusiveGateway | InclusiveGateway):
                collector.add(
                    "condition-without-gateway",
                    flow.position,
                    f"sequence flow {flow.id}: has a condition but leaves {source.label}, which is no gateway",
                    "Draw an exclusive gateway between the two.",
                    element=flow.id,
                )
            elif source.default == flow.id:
                collector.add(
                    "default-with-condition",
                    flow.position,
                    f"sequence flow {flow.id}: is the default flow of {source.label} and has a condition",
                    "Remove the condition; the default is taken when no other is.",
                    element=flow.id,
                )


def _check_node(node: Node, scope: Scope, collector: Collector) -> None:
    if isinstance(node, ExclusiveGateway | InclusiveGateway):
        _check_choice(node, scope, collector)
    elif isinstance(node, EventBasedGateway):
        _check_race(node, scope, collector)
    elif len(node.outgoing) > 1 and _flow_node_only(node):
        collector.about(
            node,
            "implicit-split",
            f"{len(node.outgoing)} flows leave it",
            "Draw a gateway that says whether all or one of them is taken.",
        )
    if isinstance(node, BoundaryEvent):
        _check_boundary(node, scope, collector)
    if isinstance(node, SubProcess) and node.triggered_by_event:
        _check_event_subprocess(node, collector)
    if isinstance(node, CatchEvent) and _is_cycle(node):
        collector.about(
            node, "timer-cycle", "a cycle cannot repeat here", "Use a duration, or draw a loop."
        )
    if isinstance(node, EndEvent) and node.outgoing:
        collector.about(node, "flow-after-end", "a flow leaves this end event", "Remove the flow.")
    if isinstance(node, StartEvent | BoundaryEvent) and node.incoming:
        collector.about(node, "flow-into-start", "a flow leads into this event", "Remove the flow.")
    needs_key = isinstance(node, CatchEvent | BoundaryEvent) and isinstance(node.trigger, Message)
    message = node.message if isinstance(node, ReceiveTask) else None
    if needs_key:
        message = node.trigger  # type: ignore[union-attr, assignment]  # narrowed by needs_key
    if message is not None and message.correlation_key is None:
        collector.about(
            node,
            "no-correlation-key",
            "its message has no correlation key",
            'Give one as FEEL with a leading "=".',
        )


def _flow_node_only(node: FlowNode) -> bool:
    """Everything but gateways: two flows out of it would be an implicit fork."""
    return isinstance(node, Activity | StartEvent | CatchEvent | BoundaryEvent | ThrowEvent)


def _check_choice(
    node: ExclusiveGateway | InclusiveGateway, scope: Scope, collector: Collector
) -> None:
    if node.default is not None and node.default not in node.outgoing:
        collector.about(
            node,
            "dangling-reference",
            f'its default flow "{node.default}" does not leave it',
            "Choose the default flow again.",
        )
    policy = node.policy if isinstance(node, ExclusiveGateway) else None
    if policy is not None and node.default is None:
        collector.about(
            node,
            "policy-without-default",
            f'asks policy "{policy.package}" but has no default flow',
            "Make the closed flow the default.",
        )
    if policy is not None and len(node.outgoing) < 2:
        collector.about(
            node,
            "policy-without-choice",
            f'asks policy "{policy.package}" but has no second flow',
            "Draw an open flow with a condition and a closed default flow.",
        )
    if len(node.outgoing) < 2:
        return
    refused = {finding.element for finding in collector.findings}  # a condition that is no FEEL
    for id_ in node.outgoing:
        flow = scope.flows[id_]
        if flow.condition is None and id_ != node.default and id_ not in refused:
            collector.about(
                node,
                "flow-without-condition",
                f"flow {flow.id} has no condition and is not the default",
                "Give it a condition, or make it the default flow.",
            )


def _check_event(node: Node, collector: Collector, *, event_scope: bool) -> None:
    """An event stands where BPMN lets it stand, and says what it needs there."""
    if not isinstance(node, StartEvent | CatchEvent | BoundaryEvent | ThrowEvent | EndEvent):
        return
    place = _place(node, event_scope=event_scope)
    trigger = node.trigger
    kind = "none" if trigger is None else type(trigger).__name__.lower()
    if event_scope and kind == "none":
        pass  # said by start-event
    elif kind not in PLACES[place]:
        *others, last = sorted(PLACES[place] - {"none"})
        collector.about(
            node,
            "event-place",
            f"expected {', '.join(others)} or {last} as the kind of this {place}, but found {kind}",
            "Change the type of the event.",
        )
    if isinstance(node, ThrowEvent | EndEvent):
        _check_throw(node, collector)
    elif isinstance(trigger, Error | Escalation) and trigger.expression is not None:
        collector.about(
            node,
            "code-is-feel",
            f'the code it catches is "{trigger.code}", which is FEEL',
            "Write the code itself; only an event that throws may compute it.",
        )


def _check_throw(node: ThrowEvent | EndEvent, collector: Collector) -> None:
    trigger = node.trigger
    if isinstance(trigger, Message) and node.job is None:
        collector.about(
            node,
            "task-without-type",
            f'does not say how its message "{trigger.name.text}" is sent',
            "Give it a task definition type, for example message.publish.",
        )
    if isinstance(trigger, Error | Escalation) and trigger.code is None:
        kind = type(trigger).__name__.lower()
        collector.about(
            node,
            "missing-code",
            f"throws an {kind} without a code",
            f"Choose an {kind} with a code.",
        )


def _place(node: Node, *, event_scope: bool) -> Place:
    match node:
        case StartEvent():
            return "event sub-process start event" if event_scope else "start event"
        case CatchEvent():
            return "catch event"
        case BoundaryEvent():
            return "boundary event"
        case ThrowEvent():
            return "throw event"
        case _:
            return "end event"


def _check_event_subprocess(node: SubProcess, collector: Collector) -> None:
    """An event sub-process begins by its event, as often as that happens: nothing leads to it, nothing follows."""
    if node.incoming or node.outgoing:
        collector.about(
            node,
            "event-sub-process",
            "a sequence flow touches it, but its event begins it",
            "Remove the flow, or make it a plain sub-process.",
        )
    if node.loop is not None:
        collector.about(
            node, "event-sub-process", "cannot be multi-instance", "Put a sub-process inside it."
        )
    starts = [n for n in node.scope.nodes.values() if isinstance(n, StartEvent)]
    for start in starts:
        if isinstance(start.trigger, Error) and not start.interrupting:
            collector.about(
                start, "event-sub-process", "an error always interrupts", "Make it interrupting."
            )
        if isinstance(start.trigger, Message) and start.trigger.correlation_key is None:
            collector.about(
                start,
                "no-correlation-key",
                "its message has no correlation key",
                'Give one as FEEL with a leading "=".',
            )
        if _is_cycle(start) and start.interrupting:
            collector.about(
                start,
                "event-sub-process",
                "a cycle cannot repeat when it interrupts",
                "Use a duration, or make it non-interrupting.",
            )


def _is_cycle(node: StartEvent | CatchEvent) -> bool:
    return isinstance(node.trigger, Timer) and node.trigger.kind == "cycle"


def _check_race(node: EventBasedGateway, scope: Scope, collector: Collector) -> None:
    if len(node.outgoing) < 2:
        collector.about(node, "event-gateway", "needs at least two flows", "Draw the second event.")
    for id_ in node.outgoing:
        target = scope.nodes.get(scope.flows[id_].target)
        if target is not None and not isinstance(target, CatchEvent | ReceiveTask):
            collector.about(
                node,
                "event-gateway",
                f"leads to {target.label}, which waits for nothing",
                "After an event-based gateway only catch events and receive tasks may stand.",
            )


def _check_catchers(scope: Scope, collector: Collector) -> None:
    """One code has one catcher at one activity."""
    seen: dict[tuple[str, str, str | None], BoundaryEvent] = {}
    for node in scope.nodes.values():
        host = scope.nodes.get(node.attached_to) if isinstance(node, BoundaryEvent) else None
        if not isinstance(node, BoundaryEvent) or host is None:
            continue
        if isinstance(node.trigger, Error | Escalation):
            kind = type(node.trigger).__name__.lower()
            first = seen.setdefault((host.id, kind, node.trigger.code), node)
            if first is not node:
                said = node.trigger.code or "every code"
                collector.about(
                    node,
                    "boundary-event",
                    f"catches {kind} {said} of {host.label}, as {first.label} does",
                    "Keep one of them.",
                )


def _check_boundary(node: BoundaryEvent, scope: Scope, collector: Collector) -> None:
    host = scope.nodes.get(node.attached_to)
    if not isinstance(host, Activity) or (isinstance(host, SubProcess) and host.triggered_by_event):
        collector.about(
            node,
            "boundary-event",
            f'is attached to "{node.attached_to}", which is no activity here',
            "Attach it to a task, sub-process or call activity.",
        )
    if isinstance(node.trigger, Error) and not node.interrupting:
        collector.about(
            node, "boundary-event", "an error always interrupts", "Make it interrupting."
        )
    if isinstance(node.trigger, Timer) and node.trigger.kind == "cycle" and node.interrupting:
        collector.about(
            node,
            "boundary-event",
            "a cycle cannot repeat when it interrupts",
            "Use a duration, or make it non-interrupting.",
        )
    if not node.outgoing:
        collector.about(node, "dead-end", "nothing follows it", "Draw what follows.")
