"""Element templates: what a designer picks from the modeller's menu, one for each job type.

The form is Camunda's for zeebe (schema @camunda/zeebe-element-templates-json-schema). Headers become fields with their
help; variables that a handler needs become input mappings; what it gives is said in the description.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from engine.handlers import Handlers, HandlerSpec, Header

SCHEMA: Final = (
    "https://unpkg.com/@camunda/zeebe-element-templates-json-schema/resources/schema.json"
)
VERSION: Final = 1
_COLOURS: Final = {  #: area of a job type → colour of its icon
    "plan": "#6b4fbb",
    "workspace": "#2f7d5b",
    "task": "#2f7d5b",
    "worker": "#b8641e",
    "command": "#b8641e",
    "checks": "#1f6fb2",
    "repository": "#a13d3d",
    "people": "#7a7a1a",
    "message": "#7a7a1a",
    "http": "#b8641e",
    "decision": "#1f6fb2",
    "policy": "#1f6fb2",
    "report": "#555555",
}


def templates(handlers: Handlers) -> dict[str, dict[str, Any]]:  # Any: JSON
    """Return {file name: template} of every job type, and of a gateway with a policy."""
    found = {f"{spec.type}.json": _of_job(spec) for spec in handlers.specs.values()}
    found["policy-gateway.json"] = _policy_gateway()
    return dict(sorted(found.items()))


def _of_job(spec: HandlerSpec) -> dict[str, Any]:  # Any: JSON
    help_ = " ".join(spec.help.split())
    gives = f" Gives {', '.join(spec.gives)}." if spec.gives else ""
    return {
        "$schema": SCHEMA,
        "id": f"poundlock.{spec.type}",
        "name": spec.title,
        "version": VERSION,
        "description": f"{help_}{gives}",
        "appliesTo": ["bpmn:Task"],
        "elementType": {"value": "bpmn:ServiceTask"},
        "icon": {"contents": _icon(spec.type)},
        "groups": [
            {"id": "say", "label": "What it is told"},
            {"id": "needs", "label": "What it needs"},
            {"id": "attempts", "label": "Attempts"},
        ],
        "properties": [
            {
                "type": "Hidden",
                "value": spec.type,
                "binding": {"type": "zeebe:taskDefinition", "property": "type"},
            },
            *(_of_header(header) for header in spec.headers),
            *(_of_need(name) for name in spec.needs),
            {
                "id": "retries",
                "label": "Attempts",
                "description": "How often it is tried before a person is asked.",
                "type": "String",
                "value": "3",
                "feel": "optional",
                "group": "attempts",
                "binding": {"type": "zeebe:taskDefinition", "property": "retries"},
            },
        ],
    }


def _of_header(header: Header) -> dict[str, Any]:  # Any: JSON
    field: dict[str, Any] = {
        "id": header.name,
        "label": header.name.replace("_", " ").capitalize(),
        "description": header.help,
        "type": "Dropdown" if header.choices else "String",
        "group": "say",
        "binding": {"type": "zeebe:taskHeader", "key": header.name},
    }
    if header.choices:
        field["choices"] = [{"name": choice, "value": choice} for choice in header.choices]
        field["value"] = header.choices[0]
    if header.required:
        field["constraints"] = {"notEmpty": True}
    else:
        field["optional"] = True
    return field


def _of_need(name: str) -> dict[str, Any]:  # Any: JSON
    return {
        "id": f"input_{name}",
        "label": name.replace("_", " ").capitalize(),
        "description": f"FEEL that gives the variable {name}; left empty, the process's own variable is used.",
        "type": "String",
        "feel": "required",
        "optional": True,
        "group": "needs",
        "binding": {"type": "zeebe:input", "name": name},
    }


def _policy_gateway() -> dict[str, Any]:  # Any: JSON
    return {
        "$schema": SCHEMA,
        "id": "poundlock.policy-gateway",
        "name": "Ask a policy",
        "version": VERSION,
        "description": "Asks a Rego package; its verdict and reasons are there for the outgoing conditions. "
        "The default flow is the closed one.",
        "appliesTo": ["bpmn:ExclusiveGateway"],
        "elementType": {"value": "bpmn:ExclusiveGateway"},
        "icon": {"contents": _icon("checks")},
        "properties": [
            {
                "id": "policy",
                "label": "Rego package",
                "description": "The package that decides, for example merge.",
                "type": "String",
                "constraints": {"notEmpty": True},
                "binding": {"type": "zeebe:property", "name": "policy"},
            },
            {
                "id": "policyInput",
                "label": "Input",
                "description": "FEEL that makes the policy's input; left empty, it sees all variables.",
                "type": "String",
                "feel": "required",
                "optional": True,
                "binding": {"type": "zeebe:property", "name": "policyInput"},
            },
        ],
    }


def _icon(type_: str) -> str:
    """Return a lock's gate in the colour of the area, as an SVG data URL."""
    colour = _COLOURS.get(type_.partition(".")[0], "#555555")
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="18" height="18" viewBox="0 0 18 18">'
        f'<path d="M2 3v12M16 3v12M2 5l7 4 7-4M2 10l7 4 7-4" fill="none" stroke="{colour}" '
        'stroke-width="1.8" stroke-linecap="round"/></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
