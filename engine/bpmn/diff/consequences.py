"""What a change means before a merge: ways that open or close, policies and people that are asked no more. Pure.

A process merges when it has a task `repository.merge`, or calls a process that merges. All its scopes are looked at as
one graph: a token enters a sub-process at its start events and leaves it where its paths end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.bpmn.checks import scopes
from engine.bpmn.diff.change import Change
from engine.bpmn.lint import reading
from engine.bpmn.lint.gates import MERGE
from engine.bpmn.model import (
    BoundaryEvent,
    CallActivity,
    ExclusiveGateway,
    Node,
    Process,
    ServiceTask,
    StartEvent,
    SubProcess,
    UserTask,
)
from engine.frozen import dataclass

__all__ = ["consequences", "merging"]

Edge = tuple[str, str]
LEFT = "\0left"  #: behind the id of a sub-process: the place where a token has left it


def merging(processes: Mapping[str, Process]) -> frozenset[str]:
    """Return the ids of the processes that merge, themselves or by a call."""
    found: set[str] = set()
    while True:
        more = {
            id_ for id_, process in processes.items() if any(_merges(_nodes(process), found))
        } - found
        if not more:
            return frozenset(found)
        found |= more


def consequences(
    old: Process, new: Process, merged: frozenset[str], merge: frozenset[str]
) -> Iterator[Change]:
    """Yield what is other before the merges of a process; `merged` and `merge` are the merging processes."""
    was, now = _Ways.of(old, merged), _Ways.of(new, merge)
    for id_ in [id_ for id_ in was.merges if id_ not in now.merges]:
        called = getattr(now.nodes.get(id_), "called", None)
        means = f'It calls "{called.process_id.text}" now.' if called else ""
        yield _change(new, id_, f"{was.merges[id_].label} does not merge any more", means)
    for id_, node in now.merges.items():
        if id_ not in was.merges:
            yield _change(new, id_, f"{node.label} merges", _guards(now, id_))
        else:
            yield from _before(new, node, was, now)


@dataclass(frozen=True, eq=False)
class _Ways:
    """A process as one graph."""

    nodes: Mapping[str, Node]
    edges: Mapping[str, tuple[Edge, ...]]  #: by source
    opened: Mapping[
        Edge, str
    ]  #: edges that leave a policy gateway and ask for its verdict: the package
    roots: tuple[str, ...]
    merges: Mapping[str, Node]

    @classmethod
    def of(cls, process: Process, merging: frozenset[str]) -> _Ways:
        nodes = {node.id: node for node in _nodes(process)}
        edges: dict[str, list[Edge]] = {}
        opened: dict[Edge, str] = {}
        for source, target, package in _edges(process):
            edges.setdefault(source, []).append((source, target))
            if package:
                opened[source, target] = package
        return cls(
            nodes=nodes,
            edges={source: tuple(found) for source, found in edges.items()},
            opened=opened,
            roots=tuple(_roots(process)),
            merges={node.id: node for node in _merges(nodes.values(), merging)},
        )

    def reached(self, *, without: Iterable[str] = (), closed: str = "") -> set[str]:
        """Return what a token reaches without the nodes `without` and the flows that policy `closed` opens."""
        blocked = set(without)
        found = {root for root in self.roots if root not in blocked}
        waiting = list(found)
        while waiting:
            for edge in self.edges.get(waiting.pop(), ()):
                target = edge[1]
                if (
                    target in found
                    or target in blocked
                    or (closed and self.opened.get(edge) == closed)
                ):
                    continue
                found.add(target)
                waiting.append(target)
        return found

    def policies(self, merge: str) -> list[str]:
        """Return the policies without whose pass no token comes to `merge`."""
        if merge not in self.reached():
            return []
        return [p for p in sorted(set(self.opened.values())) if merge not in self.reached(closed=p)]

    def approvals(self, merge: str) -> dict[str, Node]:
        """Return the user tasks without which no token comes to `merge`."""
        if merge not in self.reached():
            return {}
        tasks = (node for node in self.nodes.values() if isinstance(node, UserTask))
        return {t.id: t for t in tasks if merge not in self.reached(without=[t.id])}

    def leading_to(self, merge: str) -> set[Edge]:
        """Return the edges that lie on a way from a start to `merge`."""
        reached = self.reached()
        before: dict[str, list[str]] = {}
        for edges in self.edges.values():
            for source, target in edges:
                before.setdefault(target, []).append(source)
        found = {merge}
        waiting = [merge]
        while waiting:
            for source in before.get(waiting.pop(), ()):
                if source not in found:
                    found.add(source)
                    waiting.append(source)
        return {
            edge
            for edges in self.edges.values()
            for edge in edges
            if edge[0] in reached and edge[0] in found and edge[1] in found
        }

    def label(self, id_: str) -> str:
        node = self.nodes.get(id_.removesuffix(LEFT))
        return node.label if node else id_


def _before(process: Process, merge: Node, was: _Ways, now: _Ways) -> Iterator[Change]:
    """Yield what is other on the ways to a merge that both versions have."""
    id_ = merge.id
    could, can = id_ in was.reached(), id_ in now.reached()
    if could != can:
        said = "can be reached now" if can else "cannot be reached any more"
        means = _guards(now, id_) if can else "Nothing is merged here."
        yield _change(process, id_, f"{merge.label}: {said}", means)
        return
    policies = was.policies(id_), now.policies(id_)
    for package in [name for name in policies[0] if name not in policies[1]]:
        message = f'{merge.label}: a way leads to it without a pass of policy "{package}"'
        yield _change(process, id_, message, _guards(now, id_))
    for package in [name for name in policies[1] if name not in policies[0]]:
        message = f'{merge.label}: every way to it needs a pass of policy "{package}" now'
        yield _change(process, id_, message, "")
    people = was.approvals(id_), now.approvals(id_)
    for task in [task for task in people[0] if task not in people[1]]:
        message = f"{merge.label}: a way leads to it past the approval {people[0][task].label}"
        yield _change(process, id_, message, "It merges without that person.")
    for task in [task for task in people[1] if task not in people[0]]:
        message = (
            f"{merge.label}: every way to it waits for the approval {people[1][task].label} now"
        )
        yield _change(process, id_, message, "")
    yield from _ways(process, merge, was, now)


def _ways(process: Process, merge: Node, was: _Ways, now: _Ways) -> Iterator[Change]:
    """Yield the flows that opened or closed a way to a merge, between elements that both versions have."""
    before, after = was.leading_to(merge.id), now.leading_to(merge.id)
    for source, target in sorted(after - before):
        if _is_kept(source, was) and _is_kept(target, was) and not _went(was, now, source, target):
            way = f"{now.label(source)} → {now.label(target)}"
            yield _change(process, merge.id, f"{merge.label}: a new way leads to it, by {way}", "")
    for source, target in sorted(before - after):
        if _is_kept(source, now) and _is_kept(target, now) and not _went(now, was, source, target):
            way = f"{was.label(source)} → {was.label(target)}"
            yield _change(
                process, merge.id, f"{merge.label}: no way leads to it any more by {way}", ""
            )


def _went(ways: _Ways, others: _Ways, source: str, target: str) -> bool:
    """Whether `ways` lead from `source` to `target` through nothing but nodes that `others` do not have."""
    own = {id_ for id_ in ways.nodes if id_ not in others.nodes}
    found = {source}
    waiting = [source]
    while waiting:
        for _, after in ways.edges.get(waiting.pop(), ()):
            if after == target:
                return True
            if after.removesuffix(LEFT) in own and after not in found:
                found.add(after)
                waiting.append(after)
    return False


def _is_kept(id_: str, ways: _Ways) -> bool:
    return id_.removesuffix(LEFT) in ways.nodes


def _guards(ways: _Ways, merge: str) -> str:
    names = [f'policy "{name}"' for name in ways.policies(merge)]
    names += [f"approval {task.label}" for task in ways.approvals(merge).values()]
    if names:
        return f"Every way to it still needs {' and '.join(names)}."
    if isinstance(ways.nodes[merge], CallActivity):
        return "No policy and no person stands before it on every way here; the process it calls asks on its own."
    return "No policy and no person stands before it on every way; the safety kernel refuses a merge without a pass."


def _change(process: Process, element: str, message: str, means: str) -> Change:
    return Change(process=process.id, element=element, weight="gate", message=message, means=means)


# --- the graph ----------------------------------------------------------------------------------------


def _nodes(process: Process) -> list[Node]:
    return [node for _, scope in scopes(process) for node in scope.nodes.values()]


def _merges(nodes: Iterable[Node], merging: Iterable[str]) -> Iterator[Node]:
    known = set(merging)
    for node in nodes:
        merges = isinstance(node, ServiceTask) and node.job.type.text == MERGE
        calls = isinstance(node, CallActivity) and node.called.process_id.text in known
        if merges or calls:
            yield node


def _roots(process: Process) -> Iterator[str]:
    for owner, scope in scopes(process):
        for node in scope.nodes.values():
            if isinstance(node, StartEvent) and (owner is None or owner.triggered_by_event):
                yield node.id


def _edges(process: Process) -> Iterator[tuple[str, str, str]]:
    """Yield (from, to, policy whose verdict opens it or "")."""
    for owner, scope in scopes(process):
        for flow in scope.flows.values():
            source = scope.nodes.get(flow.source)
            package = ""
            if isinstance(source, ExclusiveGateway) and source.policy and flow.condition:
                asks = "verdict" in reading.names(flow.condition.text)
                package = source.policy.package if asks else ""
            inner = isinstance(source, SubProcess)
            yield (f"{flow.source}{LEFT}" if inner else flow.source), flow.target, package
        for node in scope.nodes.values():
            if isinstance(node, BoundaryEvent):
                yield node.attached_to, node.id, ""
            if owner is not None and isinstance(node, StartEvent) and not owner.triggered_by_event:
                yield owner.id, node.id, ""
            if owner is not None and not node.outgoing:
                yield (
                    (f"{node.id}{LEFT}" if isinstance(node, SubProcess) else node.id),
                    f"{owner.id}{LEFT}",
                    "",
                )
