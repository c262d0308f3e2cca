"""Rules about the ways through a diagram: what is never reached, what never ends, what nothing bounds. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.lint import reading, tables
from engine.bpmn.lint.graph import Graph, components
from engine.bpmn.lint.rule import Case, Found
from engine.bpmn.model import (
    Activity,
    BoundaryEvent,
    BusinessRuleTask,
    CallActivity,
    CatchEvent,
    EndEvent,
    Error,
    EventBasedGateway,
    ExclusiveGateway,
    InclusiveGateway,
    Node,
    ReceiveTask,
    StartEvent,
    SubProcess,
    Terminate,
    UserTask,
)

__all__ = ["gateway_without_default", "loop_without_bound", "no_way_out", "unreachable"]


def unreachable(case: Case) -> Iterator[Found]:
    """Nothing leads there from a start event, so it never runs: the first of each such part of the drawing."""
    for graph in case.graphs:
        lost = set(graph.after) - graph.reached(graph.roots)
        heads = [id_ for id_ in lost if not set(graph.before[id_]) & lost]
        for id_ in heads or sorted(lost)[:1]:
            more = len(graph.reached([id_]) & lost) - 1
            rest = f", nor do the {more} elements after it" if more > 1 else ""
            rest = ", nor does the element after it" if more == 1 else rest
            yield Found(
                graph.node(id_),
                f"no flow leads here from a start event, so it never runs{rest}",
                "Draw the flow that leads to it, or delete it.",
            )


def no_way_out(case: Case) -> Iterator[Found]:
    """A token that comes here never reaches an end, and nothing interrupts it."""
    interrupted = _interrupted(case)
    for owner, graph in case.scopes:
        if _stops_from_inside(graph) or (owner is not None and owner.id in interrupted):
            continue
        caught = graph.reached(graph.roots) - graph.reaching(graph.ends())
        for loop in components({id_: graph.after[id_] for id_ in graph.after}):
            if loop <= caught:
                first = min(loop, key=graph.ranks().__getitem__)
                yield Found(
                    graph.node(first),
                    f"begins a loop that no flow leaves ({_way(graph, loop)}), so {_what(owner)} never ends",
                    "Draw a gateway in the loop with a flow that leads out of it.",
                )


def loop_without_bound(case: Case) -> Iterator[Found]:
    """A loop in which nothing waits and nothing counts runs as fast as it can, for as long as its condition says."""
    for graph in case.graphs:
        caught = set(graph.after) - graph.reaching(graph.ends())
        for loop in components(graph.after):
            nodes = [graph.node(id_) for id_ in loop]
            if loop <= caught or any(map(_waits, nodes)) or any(map(_counts, nodes)):
                continue
            ranks = graph.ranks()
            first = min(loop, key=lambda id_: ranks.get(id_, 0))
            yield Found(
                graph.node(first),
                f"begins a loop ({_way(graph, loop)}) in which nothing counts its turns and nothing waits",
                "Count in an output mapping (=turns + 1) and leave the loop at a limit, or wait in it for a timer, "
                "a message or a person.",
            )


def gateway_without_default(case: Case) -> Iterator[Found]:
    """When no condition holds, the run stops there with an incident."""
    for node in case.nodes():
        if not isinstance(node, ExclusiveGateway | InclusiveGateway):
            continue
        if len(node.outgoing) < 2 or node.default is not None:
            continue
        if isinstance(node, ExclusiveGateway) and node.policy is not None:
            continue  # said as an error by policy-without-default
        graph = next(g for g in case.graphs if node.id in g.scope.nodes)
        conditions = [graph.scope.flows[id_].condition for id_ in node.outgoing]
        if None in conditions or reading.cover_everything([c.text for c in conditions if c]):
            continue
        if isinstance(node, ExclusiveGateway) and tables.asks_a_table(case, node):
            continue
        yield Found(
            node,
            f"has {len(node.outgoing)} conditions and no default flow; when none of them holds, an incident stops here",
            "Make the flow that is right for everything else the default.",
        )


def _interrupted(case: Case) -> set[str]:
    """Return the ids of the sub-processes that something outside of them can stop."""
    found: set[str] = set()
    for owner, graph in case.scopes:
        inherited = owner is not None and owner.id in found
        for node in graph.scope.nodes.values():
            events = graph.boundaries.get(node.id, ())
            stopped = any(event.interrupting for event in events)
            if isinstance(node, SubProcess) and (stopped or inherited or _stops_from_inside(graph)):
                found.add(node.id)
    return found


def _stops_from_inside(graph: Graph) -> bool:
    """Whether something in the scope can end all of it: a terminate or error end, an interrupting event sub-process."""
    for node in graph.scope.nodes.values():
        if isinstance(node, EndEvent) and isinstance(node.trigger, Terminate | Error):
            return True
        if isinstance(node, SubProcess) and node.triggered_by_event:
            starts = [n for n in node.scope.nodes.values() if isinstance(n, StartEvent)]
            if any(start.interrupting for start in starts):
                return True
    return False


def _waits(node: Node) -> bool:
    """Whether time passes here by design."""
    match node:
        case UserTask() | ReceiveTask() | CatchEvent() | EventBasedGateway() | CallActivity():
            return True
        case BoundaryEvent():
            return not isinstance(node.trigger, Error)
        case SubProcess():
            return any(map(_waits, node.scope.nodes.values()))
        case _:
            return False


def _counts(node: Node) -> bool:
    """Whether something here may bound the turns: a decision, or a mapping that reads what it writes."""
    if isinstance(node, BusinessRuleTask):
        return True
    if isinstance(node, SubProcess) and any(map(_counts, node.scope.nodes.values())):
        return True
    mappings = (*getattr(node, "inputs", ()), *getattr(node, "outputs", ()))
    return any(m.target.partition(".")[0] in reading.names(m.source.text) for m in mappings)


def _way(graph: Graph, loop: set[str]) -> str:
    """Return the activities of a loop in order, as a person would name them."""
    ranks = graph.ranks()
    ordered = sorted(loop, key=lambda id_: ranks.get(id_, 0))
    work = [graph.node(id_) for id_ in ordered if isinstance(graph.node(id_), Activity)]
    named = [node.name or node.id for node in work] or ordered
    shown = " → ".join(named[:5])
    return f"{shown} → …" if len(named) > 5 else shown


def _what(owner: SubProcess | None) -> str:
    return f"sub-process {owner.label}" if owner else "the process"
