"""Sequence flows that are new, gone, under another condition, or tried in another order. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.checks import scopes
from engine.bpmn.diff.change import Change, Weight
from engine.bpmn.diff.elements import nodes_of
from engine.bpmn.lint import reading
from engine.bpmn.model import ExclusiveGateway, InclusiveGateway, Node, Process, SequenceFlow
from engine.frozen import dataclass

__all__ = ["flow_changes"]

VERDICTS = ("pass", "fail", "error", "undefined")


@dataclass(frozen=True)
class _Drawn:
    flow: SequenceFlow
    source: Node | None
    target: Node | None

    @property
    def way(self) -> str:
        ends = (self.source.label if self.source else self.flow.source,
                self.target.label if self.target else self.flow.target)  # fmt: skip
        return " → ".join(ends)

    @property
    def is_default(self) -> bool:
        return getattr(self.source, "default", None) == self.flow.id

    @property
    def policy(self) -> str:
        gate = self.source
        return gate.policy.package if isinstance(gate, ExclusiveGateway) and gate.policy else ""

    @property
    def said(self) -> str:
        if self.flow.condition is not None:
            return f"={self.flow.condition.text}"
        return "the default flow" if self.is_default else "without a condition"


def flow_changes(old: Process, new: Process) -> Iterator[Change]:
    """Yield what is other about the flows; a flow between the same two elements is the same flow."""
    before, after = _flows(old), _flows(new)
    kept = nodes_of(old).keys() & nodes_of(new).keys()
    for ends in [ends for ends in before if ends not in after]:
        if set(ends[:2]) <= kept and not _through(new, ends[0], ends[1], kept):
            drawn = before[ends]
            yield _change(new, drawn, f"no flow leads any more {drawn.way}", "This way is closed.")
    for ends in [ends for ends in after if ends not in before]:
        if set(ends[:2]) <= kept:
            drawn = after[ends]
            yield _change(new, drawn, f"a flow leads now {drawn.way}, {drawn.said}", "")
    for ends in [ends for ends in after if ends in before]:
        yield from _other(new, before[ends], after[ends])
    yield from _orders(old, new)


def _through(process: Process, source: str, target: str, kept: set[str]) -> bool:
    """Whether what is new was drawn into a flow: a way leads from one end to the other through nothing but new nodes."""
    ways = [flow for _, scope in scopes(process) for flow in scope.flows.values()]
    found = {flow.target for flow in ways if flow.source == source} - kept
    waiting = list(found)
    while waiting:
        at = waiting.pop()
        for flow in ways:
            if flow.source != at or flow.target in found:
                continue
            if flow.target == target:
                return True
            if flow.target not in kept:
                found.add(flow.target)
                waiting.append(flow.target)
    return False


def _flows(process: Process) -> dict[tuple[str, str, int], _Drawn]:
    """Return the flows by (source, target, how many like it came before)."""
    found: dict[tuple[str, str, int], _Drawn] = {}
    for _, scope in scopes(process):
        for flow in scope.flows.values():
            count = 0
            while (flow.source, flow.target, count) in found:
                count += 1
            ends = scope.nodes.get(flow.source), scope.nodes.get(flow.target)
            found[flow.source, flow.target, count] = _Drawn(flow, *ends)
    return found


def _change(process: Process, drawn: _Drawn, message: str, means: str) -> Change:
    weight: Weight = "gate" if drawn.policy else "behaviour"
    return Change(
        process=process.id, element=drawn.flow.id, weight=weight, message=message, means=means
    )


def _other(process: Process, was: _Drawn, now: _Drawn) -> Iterator[Change]:
    if was.said != now.said:
        yield _change(
            process,
            now,
            f"flow {now.way}: is taken under {_quoted(now.said)} now, it was {_quoted(was.said)}",
            _opens(was, now),
        )
    if was.flow.name != now.flow.name:
        yield Change(
            process=process.id,
            element=now.flow.id,
            weight="wording",
            message=f'flow {now.way}: is called "{now.flow.name}" now, it was "{was.flow.name}"',
        )


def _quoted(said: str) -> str:
    return said if said.startswith("=") else f"({said})"


def _opens(was: _Drawn, now: _Drawn) -> str:
    """Return for which verdicts a flow of a policy gateway opens now."""
    if not now.policy:
        return "Runs may go another way here."
    before, after = _verdicts(was), _verdicts(now)
    if before == after:
        return f"It still opens for the verdict {' or '.join(after) or 'of no policy'}."
    opened = (
        f"opens for the verdict {' or '.join(after)}" if after else "opens for no verdict alone"
    )
    return f'It {opened}; before, for {" or ".join(before) or "none alone"}. The policy is "{now.policy}".'


def _verdicts(drawn: _Drawn) -> list[str]:
    if drawn.flow.condition is None:
        return []
    return [word for word in VERDICTS if reading.holds_for(drawn.flow.condition.text, word)]


def _orders(old: Process, new: Process) -> Iterator[Change]:
    """Yield the gateways that try the same flows in another order."""
    before = nodes_of(old)
    tried_before, tried_now = _tried(old), _tried(new)
    for id_, targets in tried_now.items():
        was = tried_before.get(id_)
        if was is not None and was != targets and sorted(was) == sorted(targets) and id_ in before:
            node = nodes_of(new)[id_][1]
            yield Change(
                process=new.id,
                element=id_,
                weight="behaviour",
                message=f"{node.label}: tries its flows in the order {', '.join(targets)} now, it was {', '.join(was)}",
                means="Where two conditions hold, the first one is taken.",
            )


def _tried(process: Process) -> dict[str, list[str]]:
    """Return {gateway: where its conditions lead, in the order in which they are tried}."""
    return {
        node.id: [scope.flows[id_].target for id_ in node.outgoing if scope.flows[id_].condition]
        for _, scope in scopes(process)
        for node in scope.nodes.values()
        if isinstance(node, ExclusiveGateway | InclusiveGateway)
    }
