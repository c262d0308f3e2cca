"""A scope as a graph: where a token can go from each node, whatever conditions say. Pure.

An edge is a sequence flow, or leads from an activity to an event at its boundary. Roots are the start events and the
event sub-processes; a node without incoming flows is no root, because nothing ever puts a token there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.bpmn.model import BoundaryEvent, FlowNode, Node, Scope, StartEvent, SubProcess
from engine.frozen import dataclass

__all__ = ["Graph", "components"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Graph:
    """One scope. `after` holds, for each node id, the ids that a token can reach in one step."""

    scope: Scope
    after: Mapping[str, tuple[str, ...]]
    before: Mapping[str, tuple[str, ...]]
    boundaries: Mapping[str, tuple[BoundaryEvent, ...]]  #: by the activity they are attached to
    roots: tuple[str, ...]

    @classmethod
    def of(cls, scope: Scope) -> Graph:
        """Return the graph of `scope`; flows that end nowhere are left out."""
        after: dict[str, list[str]] = {id_: [] for id_ in scope.nodes}
        boundaries: dict[str, list[BoundaryEvent]] = {}
        for flow in scope.flows.values():
            if flow.source in scope.nodes and flow.target in scope.nodes:
                after[flow.source].append(flow.target)
        for node in scope.nodes.values():
            if isinstance(node, BoundaryEvent) and node.attached_to in scope.nodes:
                after[node.attached_to].append(node.id)
                boundaries.setdefault(node.attached_to, []).append(node)
        before: dict[str, list[str]] = {id_: [] for id_ in scope.nodes}
        for source, targets in after.items():
            for target in targets:
                before[target].append(source)
        return cls(
            scope=scope,
            after={id_: tuple(targets) for id_, targets in after.items()},
            before={id_: tuple(sources) for id_, sources in before.items()},
            boundaries={id_: tuple(events) for id_, events in boundaries.items()},
            roots=tuple(node.id for node in scope.nodes.values() if _is_root(node)),
        )

    def node(self, id_: str) -> Node:
        return self.scope.nodes[id_]

    def reached(self, from_: Iterable[str]) -> set[str]:
        """Return `from_` and every node after it."""
        return _closure(from_, self.after)

    def reaching(self, to: Iterable[str]) -> set[str]:
        """Return `to` and every node before it."""
        return _closure(to, self.before)

    def ends(self) -> Iterator[str]:
        """Yield the nodes where a token ends: nothing follows them."""
        for node in self.scope.nodes.values():
            if not node.outgoing:
                yield node.id

    def ranks(self) -> dict[str, int]:
        """Return {node id: place in an order in which, loops aside, what comes first stands first}."""
        order = _finishing_order(self.roots or tuple(self.after), self.after)
        return {id_: rank for rank, id_ in enumerate(reversed(order))}

    def back_edges(self) -> set[tuple[str, str]]:
        """Return the edges that close a loop: those that lead back in the order of `ranks`."""
        ranks = self.ranks()
        return {
            (source, target)
            for source in ranks
            for target in self.after[source]
            if ranks[target] <= ranks[source]
        }


def components(after: Mapping[str, tuple[str, ...]]) -> Iterator[set[str]]:
    """Yield the loops: sets of nodes in which each can reach each (Kosaraju's algorithm)."""
    before: dict[str, list[str]] = {id_: [] for id_ in after}
    for source, targets in after.items():
        for target in targets:
            before[target].append(source)
    seen: set[str] = set()
    for id_ in reversed(_finishing_order(tuple(after), after)):
        if id_ in seen:
            continue
        found = {id_}
        waiting = [id_]
        while waiting:
            for source in before[waiting.pop()]:
                if source not in seen and source not in found:
                    found.add(source)
                    waiting.append(source)
        seen |= found
        if len(found) > 1 or id_ in after[id_]:
            yield found


def _is_root(node: FlowNode) -> bool:
    return isinstance(node, StartEvent) or (
        isinstance(node, SubProcess) and node.triggered_by_event
    )


def _closure(from_: Iterable[str], after: Mapping[str, tuple[str, ...]]) -> set[str]:
    found = set(from_)
    waiting = list(found)
    while waiting:
        for target in after[waiting.pop()]:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _finishing_order(roots: Iterable[str], after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the nodes in the order in which a depth-first walk leaves them; no recursion."""
    seen: set[str] = set()
    order: list[str] = []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        walk = [(root, iter(after[root]))]
        while walk:
            id_, targets = walk[-1]
            target = next((t for t in targets if t not in seen), None)
            if target is None:
                walk.pop()
                order.append(id_)
            else:
                seen.add(target)
                walk.append((target, iter(after[target])))
    return order
