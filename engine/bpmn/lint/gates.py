"""Rules about policies and merges: a gate that does not gate. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.bpmn.lint import reading
from engine.bpmn.lint.graph import Graph
from engine.bpmn.lint.rule import Case, Found, flow_label
from engine.bpmn.model import ExclusiveGateway, ServiceTask

__all__ = ["gate_opens_without_pass", "merge_without_policy", "verdict_without_policy"]

MERGE: Final = "repository.merge"
CLOSED: Final = ("fail", "error", "undefined")


def merge_without_policy(case: Case) -> Iterator[Found]:
    """A way leads to a merge through no open flow of a policy gateway: the kernel refuses such a merge."""
    for graph in case.graphs:
        merges = [
            node
            for node in graph.scope.nodes.values()
            if isinstance(node, ServiceTask) and node.job.type.text == MERGE
        ]
        reached = _past_no_policy(graph) if merges else set()
        for node in merges:
            if node.id in reached:
                yield Found(
                    node,
                    "a way from the start leads here past no policy gateway, so the safety kernel will refuse the merge",
                    "Draw an exclusive gateway with the property policy (for example merge) before it, on every way.",
                )


def gate_opens_without_pass(case: Case) -> Iterator[Found]:
    """A flow of a policy gateway opens for more than a literal pass, or whatever the verdict is."""
    for graph in case.graphs:
        for gate in graph.scope.nodes.values():
            if not isinstance(gate, ExclusiveGateway) or gate.policy is None:
                continue
            for id_ in gate.outgoing:
                flow = graph.scope.flows.get(id_)
                if flow is None or flow.condition is None:
                    continue
                text = flow.condition.text
                opens = [verdict for verdict in CLOSED if reading.holds_for(text, verdict)]
                if "pass" in text and not reading.holds_for(text, "pass"):
                    continue  # more is asked than the verdict
                if reading.holds_for(text, "pass") and opens:
                    yield Found(
                        flow,
                        f"leaves the policy gateway {gate.label} and opens for the verdict {' and '.join(opens)} too "
                        f"(={text})",
                        'Open only for =verdict = "pass"; an error and an undefined policy are closed.',
                    )


def verdict_without_policy(case: Case) -> Iterator[Found]:
    """A condition asks for a verdict that no policy has given."""
    asked = {
        id_
        for graph in case.graphs
        for id_, node in graph.scope.nodes.items()
        if isinstance(node, ExclusiveGateway) and node.policy is not None
    }
    for graph in case.graphs:
        known = graph.reached([id_ for id_ in asked if id_ in graph.after])
        for flow in graph.scope.flows.values():
            if flow.condition is None or flow.source in known or asked - graph.after.keys():
                continue
            if "verdict" in reading.names(flow.condition.text) and not _is_written(case):
                source = graph.scope.nodes.get(flow.source)
                yield Found(
                    flow,
                    f"reads the verdict of a policy, but no policy is asked at {source.label if source else flow_label(flow)}"
                    " or before",
                    "Give the gateway the extension property policy with the name of a Rego package.",
                )


def _past_no_policy(graph: Graph) -> set[str]:
    """Return what a token can reach without leaving a policy gateway by a flow that a pass opens."""
    found = set(graph.roots)
    waiting = list(found)
    while waiting:
        node = graph.node(waiting.pop())
        gated = isinstance(node, ExclusiveGateway) and node.policy is not None
        targets = [event.id for event in graph.boundaries.get(node.id, ())]
        for id_ in node.outgoing:
            flow = graph.scope.flows.get(id_)
            if flow is not None and not (gated and _asks(flow.condition)):
                targets.append(flow.target)
        for target in targets:
            if target in graph.after and target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _asks(condition: object) -> bool:
    text = getattr(condition, "text", "")
    return "verdict" in reading.names(text)


def _is_written(case: Case) -> bool:
    """Whether the process makes a variable called verdict itself."""
    return any(
        mapping.target == "verdict"
        for node in case.nodes()
        for mapping in (*getattr(node, "outputs", ()), *getattr(node, "inputs", ()))
    ) or any(
        getattr(getattr(node, "decision", None), "result_variable", "") == "verdict"
        for node in case.nodes()
    )
