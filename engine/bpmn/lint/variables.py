"""Rules about variables: read before anything wrote them, written by branches that run at the same time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations

from engine.bpmn.lint import reading
from engine.bpmn.lint.graph import Graph
from engine.bpmn.lint.rule import Case, Found, Surroundings
from engine.bpmn.model import (
    Activity,
    BoundaryEvent,
    BusinessRuleTask,
    CallActivity,
    CatchEvent,
    Conditional,
    EndEvent,
    ExclusiveGateway,
    Expression,
    FlowNode,
    InclusiveGateway,
    Message,
    Node,
    ParallelGateway,
    PassTask,
    ReceiveTask,
    SequenceFlow,
    ServiceTask,
    StartEvent,
    SubProcess,
    ThrowEvent,
    UserTask,
)

__all__ = ["parallel_writes", "read_before_written"]

Place = FlowNode | SequenceFlow
Writing = Mapping[str, frozenset[str]]  #: {node id: names it writes}, in document order


def read_before_written(case: Case) -> Iterator[Found]:
    """A variable that the process writes is read where nothing can have written it yet."""
    written = {name for node in case.nodes() for name in _writes(node, case.surroundings)}
    anything = _writes_anything(case)
    for owner, graph in case.scopes:
        if owner is not None:
            continue  # what a sub-process sees is what its process wrote; its own order is too loose to judge
        before = _written_before(graph, case.surroundings, anything)
        for node in graph.scope.nodes.values():
            known = before.get(node.id)
            if known is None:
                continue
            local: set[str] = set()
            given = _given(node, case.surroundings)
            for expression, target in _reads(node, case.surroundings):
                missing = reading.names(expression.text) & written - known - local - given
                missing -= reading.null_checked(expression.text)
                for name in sorted(missing):
                    yield _unwritten(node, name, expression)
                if target:
                    local.add(target)
            after = known | _writes(node, case.surroundings)
            yield from _conditions(graph, node, after, written)


def parallel_writes(case: Case) -> Iterator[Found]:
    """Branches that run at the same time write one variable: the one that ends last wins."""
    for graph in case.graphs:
        writing = _contested(graph, case.surroundings)
        for node in graph.scope.nodes.values() if writing else ():
            if isinstance(node, ParallelGateway | InclusiveGateway) and len(node.outgoing) > 1:
                yield from _clashes(graph, node, writing)
            elif isinstance(node, BoundaryEvent) and not node.interrupting:
                yield from _beside(graph, node, writing)


# --- order --------------------------------------------------------------------------------------------


def _written_before(
    graph: Graph, surroundings: Surroundings, anything: set[str]
) -> dict[str, frozenset[str]]:
    """Return {node id: names that may be written when a token first comes there}; nodes after a job that may have
    answered anything are left out."""
    ranks = graph.ranks()
    backwards = graph.back_edges()
    found: dict[str, frozenset[str]] = {}
    for id_ in sorted(ranks, key=ranks.__getitem__):
        sources = [s for s in graph.before[id_] if (s, id_) not in backwards and s in ranks]
        if any(s not in found or s in anything for s in sources):
            continue
        names: set[str] = set()
        for source in sources:
            names |= found[source] | _writes(graph.node(source), surroundings)
        found[id_] = frozenset(names)
    return found


def _conditions(
    graph: Graph, node: Node, known: frozenset[str] | set[str], written: set[str]
) -> Iterator[Found]:
    for id_ in node.outgoing:
        flow = graph.scope.flows.get(id_)
        if flow is None or flow.condition is None:
            continue
        missing = reading.names(flow.condition.text) & written - known
        missing -= reading.null_checked(flow.condition.text) | {"verdict", "reasons"}
        for name in sorted(missing):
            yield _unwritten(flow, name, flow.condition)


def _unwritten(place: Place, name: str, expression: Expression) -> Found:
    return Found(
        place,
        f'reads "{name}" in ={_short(expression.text)}, but nothing has written it when the first token comes here; '
        "unless it is given at the start, it is null",
        f"Set {name} before (for a counter: an output mapping with =0), or ask for it: if {name} = null then … else …",
    )


def _writes_anything(case: Case) -> set[str]:
    """Return the ids of the nodes whose answer may hold any variable."""
    return {node.id for node in case.nodes() if _any_answer(node, case.surroundings)}


def _any_answer(node: FlowNode, surroundings: Surroundings) -> bool:
    match node:
        case ServiceTask(outputs=(), job=job):
            return job.type.is_feel or job.type.text not in surroundings.gives
        case CallActivity(outputs=(), called=called):
            return called.propagate_all_child and node.loop is None
        case UserTask(outputs=()) | ReceiveTask(outputs=()):
            return True
        case CatchEvent(outputs=()) | BoundaryEvent(outputs=()) | StartEvent(outputs=()):
            return isinstance(node.trigger, Message)
        case EndEvent() | ThrowEvent():
            return node.job is not None and not node.outputs
        case SubProcess(outputs=()):
            return any(_any_answer(inner, surroundings) for inner in node.scope.nodes.values())
        case _:
            return False


def _writes(node: FlowNode, surroundings: Surroundings) -> frozenset[str]:
    """Return the names that a node leaves in its scope."""
    outputs = {mapping.target.partition(".")[0] for mapping in getattr(node, "outputs", ())}
    if isinstance(node, Activity) and node.loop is not None:
        return frozenset(outputs or {node.loop.output_collection} - {""})
    if outputs:
        return frozenset(outputs)
    match node:
        case BusinessRuleTask(decision=decision):
            return frozenset({decision.result_variable})
        case ServiceTask(job=job) if not job.type.is_feel:
            return frozenset(surroundings.gives.get(job.type.text, ()))
        case ExclusiveGateway(policy=policy) if policy is not None:
            return frozenset({"verdict", "reasons"})
        case SubProcess(scope=scope):
            inner = (_writes(part, surroundings) for part in scope.nodes.values())
            return frozenset().union(*inner)
        case _:
            return frozenset()


# --- reading ------------------------------------------------------------------------------------------


def _reads(node: Node, surroundings: Surroundings) -> Iterator[tuple[Expression, str]]:
    """Yield (expression, name it gives to those after it) for what is evaluated at a node, where its answer is known."""
    if isinstance(node, Activity) and node.loop is not None:
        yield node.loop.input_collection, node.loop.input_element
    for mapping in getattr(node, "inputs", ()):
        yield mapping.source, mapping.target.partition(".")[0]
    match node:
        case ExclusiveGateway(policy=policy) if policy is not None and policy.input is not None:
            yield policy.input, ""
        case CatchEvent(trigger=Conditional()):
            pass  # waits until it is written
        case ReceiveTask(message=message) if message.correlation_key is not None:
            yield message.correlation_key, ""
        case CatchEvent(trigger=Message(correlation_key=key)) if key is not None:
            yield key, ""
        case _:
            pass
    if _answer_is_known(node, surroundings):
        for mapping in getattr(node, "outputs", ()):
            yield mapping.source, mapping.target.partition(".")[0]


def _answer_is_known(node: Node, surroundings: Surroundings) -> bool:
    match node:
        case PassTask() | BusinessRuleTask():
            return True
        case ServiceTask(job=job):
            return not job.type.is_feel and job.type.text in surroundings.gives
        case _:
            return False


def _given(node: Node, surroundings: Surroundings) -> frozenset[str]:
    """Return what its loop and its own work give to the expressions of a node."""
    loop = node.loop if isinstance(node, Activity) else None
    given = {loop.input_element, "loopCounter"} if loop else set()
    match node:
        case BusinessRuleTask(decision=decision):
            given.add(decision.result_variable)
        case ServiceTask(job=job):
            given |= set(surroundings.gives.get(job.type.text, ()))
        case _:
            pass
    return frozenset(given)


# --- branches -----------------------------------------------------------------------------------------


def _contested(graph: Graph, surroundings: Surroundings) -> Writing:
    """Return what nodes write, as far as another node of the scope writes it too."""
    written = {id_: _writes(node, surroundings) for id_, node in graph.scope.nodes.items()}
    times = Counter(name for names in written.values() for name in names)
    several = {name for name, count in times.items() if count > 1}
    return {id_: contested for id_, names in written.items() if (contested := names & several)}


def _clashes(
    graph: Graph, fork: ParallelGateway | InclusiveGateway, writing: Writing
) -> Iterator[Found]:
    branches: Mapping[str, set[str]] = {
        flow: graph.reached([graph.scope.flows[flow].target])
        for flow in fork.outgoing
        if flow in graph.scope.flows and graph.scope.flows[flow].target in graph.after
    }
    for one, other in combinations(branches, 2):
        left, right = branches[one] - branches[other], branches[other] - branches[one]
        for first, second, name in _both(left, right, writing):
            yield Found(
                graph.node(second),
                f'writes "{name}", as {graph.node(first).label} does in a branch that runs at the same time '
                f"(both after {fork.label}); the one that ends last wins",
                "Let each write a name of its own, and put them together after the join.",
            )


def _beside(graph: Graph, event: BoundaryEvent, writing: Writing) -> Iterator[Found]:
    """What a non-interrupting event begins runs beside its host and what follows the host."""
    host = graph.scope.nodes.get(event.attached_to)
    if host is None:
        return
    flows = [graph.scope.flows[id_] for id_ in host.outgoing if id_ in graph.scope.flows]
    main = graph.reached([flow.target for flow in flows if flow.target in graph.after]) | {host.id}
    side = graph.reached([event.id])
    for first, second, name in _both(main - side, side - main, writing):
        yield Found(
            graph.node(second),
            f'writes "{name}", as {graph.node(first).label} does on the path that goes on beside it '
            f"({event.label} does not interrupt); the one that ends last wins",
            "Let each write a name of its own.",
        )


def _both(left: set[str], right: set[str], writing: Writing) -> Iterator[tuple[str, str, str]]:
    """Yield (node, node, name) once for each name that nodes of both sides write."""
    writers: dict[str, str] = {}
    for id_, names in writing.items():
        for name in names if id_ in left else ():
            writers.setdefault(name, id_)
    said: set[str] = set()
    for id_, names in writing.items():
        for name in sorted(names & writers.keys() - said) if id_ in right else ():
            said.add(name)
            yield writers[name], id_, name


def _short(text: str, limit: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
