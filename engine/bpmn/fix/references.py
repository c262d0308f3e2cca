"""What an element says about its flows is what the flows say. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.dialect import NODES
from engine.bpmn.fix.tags import Source
from engine.bpmn.xml import BPMN, Element, children, label, split, text_of

__all__ = ["flow_references"]

BEFORE = {"incoming": {"documentation", "extensionElements", "auditing", "monitoring", "incoming"}}
BEFORE["outgoing"] = BEFORE["incoming"] | {"outgoing"}


def flow_references(source: Source) -> list[str]:
    """Add the `incoming` and `outgoing` of flows that lack them, and take away those of flows that are not there.

    They are added behind the others in the order of the flows, which is how the reader orders them without.
    """
    said = []
    for node, flows in _nodes(source.root):
        for kind, end in (("incoming", "targetRef"), ("outgoing", "sourceRef")):
            real = [flow.get("id") or "" for flow in flows if flow.get(end) == node.get("id")]
            listed = list(children(node, kind))
            known = [text_of(reference) for reference in listed]
            for position, reference in enumerate(listed):
                name = known[position]
                if name not in real or name in known[:position]:
                    source.remove(reference)
                    said.append(f'{label(node)} no longer lists {kind} "{name}"')
            missing = [id_ for id_ in real if id_ and id_ not in known]
            if missing:
                source.insert(node, _last(node, BEFORE[kind]), _written(source, kind, missing))
                said.append(f"{label(node)} lists {kind} {', '.join(missing)}")
    return said


def _nodes(root: Element) -> Iterator[tuple[Element, list[Element]]]:
    """Yield (flow node, flows of its scope)."""
    for scope in root.iter(f"{{{BPMN}}}process", f"{{{BPMN}}}subProcess"):
        flows = list(children(scope, "sequenceFlow"))
        for node in children(scope):
            if split(node)[1] in NODES and node.get("id"):
                yield node, flows


def _last(node: Element, kinds: set[str]) -> Element | None:
    """Return the last child of these kinds, which stand first in an element (BPMN 2.0.2, table 8.31)."""
    found = [child for child in children(node) if split(child)[1] in kinds]
    return found[-1] if found else None


def _written(source: Source, kind: str, flows: list[str]) -> str:
    tag = f"{source.prefix(BPMN)}{kind}"
    return "\n".join(f"<{tag}>{flow}</{tag}>" for flow in flows)
