"""Rules about events that never happen. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.bpmn.lint.graph import Graph
from engine.bpmn.lint.rule import Case, Found
from engine.bpmn.model import (
    BoundaryEvent,
    BusinessRuleTask,
    CatchEvent,
    Conditional,
    EventBasedGateway,
    Node,
    PassTask,
    StartEvent,
    Timer,
)
from engine.feel import DaysTimeDuration, parse_temporal

__all__ = ["event_never_happens", "timer_never_fires"]

_KINDS: Final = {"Error": "error", "Conditional": "condition"}


def timer_never_fires(case: Case) -> Iterator[Found]:
    """A timer at something that does not take time, behind an earlier one, or with no turn at all."""
    for graph in case.graphs:
        for node in graph.scope.nodes.values():
            timer = getattr(node, "trigger", None)
            if not isinstance(timer, Timer):
                continue
            if timer.kind == "cycle" and timer.value.text.startswith("R0/"):
                yield Found(
                    node,
                    f"its cycle {timer.value.text} has no turn, so it never fires",
                    "Write R/… for no limit, or R3/… for three turns.",
                )
            elif isinstance(node, BoundaryEvent):
                yield from _at_boundary(graph, node)
        yield from _races(graph)


def event_never_happens(case: Case) -> Iterator[Found]:
    """An event at the boundary of something that is over at once."""
    for graph in case.graphs:
        for node in graph.scope.nodes.values():
            if not isinstance(node, BoundaryEvent) or isinstance(node.trigger, Timer):
                continue
            host = graph.scope.nodes.get(node.attached_to)
            if isinstance(host, PassTask) and host.loop is None:
                kind = _KINDS.get(type(node.trigger).__name__, type(node.trigger).__name__.lower())
                if isinstance(node.trigger, Conditional):
                    continue  # may hold when the token comes
                yield Found(
                    node,
                    f"waits for {kind} at {host.label}, which has no work and is over at once, so it never happens",
                    "Attach it to a task that takes time, or give the task a job type.",
                )


def _at_boundary(graph: Graph, node: BoundaryEvent) -> Iterator[Found]:
    host = graph.scope.nodes.get(node.attached_to)
    if isinstance(host, PassTask | BusinessRuleTask) and host.loop is None:
        kind = "decides at once" if isinstance(host, BusinessRuleTask) else "has no work"
        yield Found(
            node,
            f"its timer runs at {host.label}, which {kind}, so it never fires",
            "Attach it to a task that takes time, or draw an intermediate timer event.",
        )
        return
    mine = _length(node)
    for other in graph.boundaries.get(node.attached_to, ()):
        theirs = _length(other)
        if other is node or not other.interrupting or mine is None or theirs is None:
            continue
        if (theirs, other.id) < (mine, node.id):
            yield Found(
                node,
                f"its timer never fires: {other.label} interrupts {host.label if host else 'its host'} before",
                "Make the earlier timer non-interrupting, or remove this one.",
            )
            return


def _races(graph: Graph) -> Iterator[Found]:
    """Yield the timers of an event gateway that another timer always beats."""
    for gate in graph.scope.nodes.values():
        if not isinstance(gate, EventBasedGateway):
            continue
        ahead = [graph.node(id_) for id_ in graph.after[gate.id]]
        timed = [(length, node) for node in ahead if (length := _length(node)) is not None]
        if len(timed) < 2:
            continue
        first = min(timed, key=lambda item: item[0])
        for length, node in timed:
            if node is not first[1] and length >= first[0]:
                yield Found(
                    node,
                    f"its timer never fires: {first[1].label} is due before it at {gate.label}",
                    "Keep the shorter timer; what should happen later is drawn after it.",
                )


def _length(node: Node) -> int | None:
    """Return the nanoseconds of a fixed duration, or None when it is not a timer with one."""
    if not isinstance(node, BoundaryEvent | CatchEvent | StartEvent):
        return None
    timer = node.trigger
    if not isinstance(timer, Timer) or timer.kind != "duration" or timer.value.is_feel:
        return None
    try:
        value = parse_temporal(timer.value.text)
    except ValueError:
        return None
    return value.nanoseconds if isinstance(value, DaysTimeDuration) else None
