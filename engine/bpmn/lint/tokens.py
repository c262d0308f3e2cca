"""Rules about tokens: a join that waits for ever, branches that meet without one. Pure.

The scope is played with every choice open: conditions are not evaluated, each gateway may take each of its flows. Nodes
do not get into each other's way (only the flows of one choice exclude each other), so it is enough to move the first
node that can move and to try all its choices: every standstill is still found (the stubborn sets of A. Valmari).
Taking the first in drawing order makes tokens that can meet on one flow meet there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise
from typing import Final

from engine.bpmn.lint.graph import Graph
from engine.bpmn.lint.rule import Case, Found
from engine.bpmn.model import (
    EndEvent,
    Error,
    EventBasedGateway,
    ExclusiveGateway,
    InclusiveGateway,
    Node,
    ParallelGateway,
    StartEvent,
    Terminate,
)

__all__ = ["join_waits_for_ever", "runs_twice"]

MAX_STATES: Final = 3_000  #: states of one scope; a drawing with more is not judged
MAX_SUBSETS: Final = 5  #: flows of an inclusive gateway of which every subset is tried

State = frozenset[str]  #: ids of the flows that hold a token
NONE: Final[State] = frozenset()


def join_waits_for_ever(case: Case) -> Iterator[Found]:
    """A parallel join waits for a token that cannot come."""
    for graph in case.graphs:
        play = _played(graph)
        for id_ in sorted(play.stuck, key=play.ranks.__getitem__):
            missing = sorted(play.stuck[id_])
            names = ", ".join(_from(graph, flow) for flow in missing)
            if id_ in play.passed:
                yield Found(
                    graph.node(id_),
                    f"on some ways it waits for ever: the token from {names} does not come on them",
                    "Join with the kind of gateway that split: parallel with parallel, exclusive with exclusive.",
                )
            elif play.is_complete:
                yield Found(
                    graph.node(id_),
                    f"waits for ever: a token from {names} can never come together with the others",
                    "Join with the kind of gateway that split: parallel with parallel, exclusive with exclusive.",
                    severity="error",
                )


def runs_twice(case: Case) -> Iterator[Found]:
    """Parallel branches meet without a join, so what follows runs once for each."""
    for graph in case.graphs:
        play = _played(graph)
        for id_ in sorted(play.doubled, key=play.ranks.__getitem__)[:3]:
            yield Found(
                graph.node(id_),
                "branches that run at the same time meet here without a join, so what follows runs once for each",
                "Draw a parallel gateway that joins them, or end the branches that need not go on.",
            )


@dataclass
class _Play:
    """Everything that can happen in one scope."""

    graph: Graph
    passed: set[str] = field(default_factory=set)  #: joins that went on at least once
    stuck: dict[str, set[str]] = field(default_factory=dict)  #: {join: flows without a token}
    doubled: set[str] = field(default_factory=set)  #: nodes that put a second token on a flow
    is_complete: bool = True

    @cached_property
    def ranks(self) -> dict[str, int]:
        known = self.graph.ranks()
        return {id_: known.get(id_, len(known)) for id_ in self.graph.after}

    def run(self) -> _Play:
        """Visit every state from every start."""
        waiting = list(self._starts())
        seen = set(waiting)
        while waiting:
            state = waiting.pop()
            for following in self._moves(state):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
            if len(seen) > MAX_STATES:
                self.is_complete = False
                return self
        return self

    def _starts(self) -> Iterator[State]:
        for id_ in self.graph.roots:
            node = self.graph.node(id_)
            if isinstance(node, StartEvent):  # an event sub-process hands no token to its scope
                yield frozenset(node.outgoing)

    def _moves(self, state: State) -> Iterator[State]:
        """Yield the states that follow by moving the first node that can move."""
        late: list[tuple[str, State]] = []
        for id_, taken in self._enabled(state):
            node = self.graph.node(id_)
            if isinstance(node, InclusiveGateway) and len(node.incoming) > 1:
                late.append((id_, taken))  # waits while any token could still come
                continue
            yield from self._moved(state, node, taken)
            return
        if late:
            id_, taken = late[0]
            yield from self._moved(state, self.graph.node(id_), taken)
            return
        self._stand_still(state)

    def _enabled(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield (node, tokens it takes), first in drawing order first."""
        flows = self.graph.scope.flows
        targets: dict[str, set[str]] = {}
        for flow in state:
            targets.setdefault(flows[flow].target, set()).add(flow)
        for id_ in sorted(targets, key=self.ranks.__getitem__):
            here = targets[id_]
            match self.graph.node(id_):
                case ParallelGateway(incoming=incoming):
                    if here >= set(incoming):
                        yield id_, frozenset(incoming)
                case InclusiveGateway():
                    yield id_, frozenset(here)
                case _:
                    for flow in sorted(here):
                        yield id_, frozenset({flow})

    def _moved(self, state: State, node: Node, taken: State) -> Iterator[State]:
        if isinstance(node, ParallelGateway | InclusiveGateway) and len(node.incoming) > 1:
            self.passed.add(node.id)
        rest = state - taken
        if isinstance(node, EndEvent) and isinstance(node.trigger, Terminate | Error):
            yield NONE
            return
        for added in self._ways(node):
            for flow in rest & added:
                self.doubled.add(self.graph.scope.flows[flow].source)
            yield rest | added

    def _ways(self, node: Node) -> Iterator[State]:
        """Yield the sets of flows that get a token when `node` is done."""
        outgoing = [flow for flow in node.outgoing if flow in self.graph.scope.flows]
        match node:
            case ExclusiveGateway() | EventBasedGateway() if outgoing:
                yield from (frozenset({flow}) for flow in outgoing)
            case InclusiveGateway() if len(outgoing) > 1:
                yield from _subsets(outgoing)
            case _:
                yield frozenset(outgoing)
                yield from self._by_boundary(node, frozenset(outgoing))

    def _by_boundary(self, node: Node, done: State) -> Iterator[State]:
        for event in self.graph.boundaries.get(node.id, ()):
            flows = frozenset(f for f in event.outgoing if f in self.graph.scope.flows)
            yield flows if event.interrupting else done | flows

    def _stand_still(self, state: State) -> None:
        for flow in state:
            target = self.graph.scope.flows[flow].target
            node = self.graph.node(target)
            if isinstance(node, ParallelGateway):
                self.stuck.setdefault(target, set()).update(set(node.incoming) - state)


def _subsets(flows: list[str]) -> Iterator[State]:
    """Yield every subset that is not empty; of many flows each alone, neighbours, and all."""
    if len(flows) <= MAX_SUBSETS:
        for size in range(1, len(flows) + 1):
            yield from map(frozenset, combinations(flows, size))
        return
    yield from (frozenset({flow}) for flow in flows)
    yield from map(frozenset, pairwise(flows))
    yield frozenset(flows)


def _from(graph: Graph, flow: str) -> str:
    found = graph.scope.flows.get(flow)
    source = graph.scope.nodes.get(found.source) if found else None
    return source.label if source else flow


def _played(graph: Graph) -> _Play:
    """Return what happens in a scope; a scope without parallel branches is not played."""
    splits = (ParallelGateway, InclusiveGateway)
    forks = any(isinstance(node, splits) for node in graph.scope.nodes.values())
    parallel_events = any(
        not e.interrupting for events in graph.boundaries.values() for e in events
    )
    play = _Play(graph)
    return play.run() if forks or parallel_events else play
