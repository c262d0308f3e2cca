"""The one flow without a condition becomes the default flow. Pure."""

from __future__ import annotations

from engine.bpmn.fix.tags import Source
from engine.bpmn.xml import BPMN, children, label

__all__ = ["only_flow_without_condition"]


def only_flow_without_condition(source: Source) -> list[str]:
    """Mark the default flow of gateways that choose, where one flow alone has no condition and nothing else is meant."""
    said = []
    for gateway in source.root.iter(f"{{{BPMN}}}exclusiveGateway", f"{{{BPMN}}}inclusiveGateway"):
        scope = gateway.getparent()
        if gateway.get("default") or scope is None or not gateway.get("id"):
            continue
        flows = [
            flow
            for flow in children(scope, "sequenceFlow")
            if flow.get("sourceRef") == gateway.get("id")
        ]
        bare = [flow for flow in flows if next(children(flow, "conditionExpression"), None) is None]
        if len(flows) > 1 and len(bare) == 1 and bare[0].get("id"):
            source.put(gateway, "default", bare[0].get("id") or "")
            said.append(f"{label(gateway)} has the default flow {bare[0].get('id')}")
    return said
