"""BPMN in a few lines: `draw(text)` returns the XML that a Camunda 8 modeller would write, without the picture.

`tests/process/layout.mjs` adds the picture.

    start Start
    service Work  type=work; retries=5; in item = order.id; out done = result
    xor Enough
    end Done
    Start -> Work -> Enough
    Enough -> Done : count > 3
    Enough -> Work default

An element is `kind Id  property; property …`; what stands indented below `sub` or `esub` is inside it.
Kinds: start end task manual service send user rule receive call sub esub xor or and race catch throw boundary.
Triggers: `duration=PT1H`, `date=…`, `cycle=…`, `message=name; key=expr`, `signal=`, `error=`, `escalation=`,
`condition=`, `terminate`. User tasks: `assignee`, `groups`, `users`, `form`, `due`, `follow_up`. Boundaries: `on=Host`,
`parallel` when not interrupting. Loops: `each=items; as=item; into=results; collect=expr;
until=expr; sequential`. Gateways: `policy=package; policyInput=expr`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import quoteattr

TAGS = {
    "start": "startEvent",
    "end": "endEvent",
    "task": "task",
    "manual": "manualTask",
    "service": "serviceTask",
    "send": "sendTask",
    "user": "userTask",
    "rule": "businessRuleTask",
    "receive": "receiveTask",
    "call": "callActivity",
    "sub": "subProcess",
    "esub": "subProcess",
    "xor": "exclusiveGateway",
    "or": "inclusiveGateway",
    "and": "parallelGateway",
    "race": "eventBasedGateway",
    "catch": "intermediateCatchEvent",
    "throw": "intermediateThrowEvent",
    "boundary": "boundaryEvent",
}
NAMESPACES = (
    'xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'targetNamespace="http://bpmn.io/schema/bpmn"'
)


@dataclass
class Node:
    kind: str
    id: str
    properties: list[tuple[str, str]]
    inside: list[Node] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        return dict(self.properties).get(name, default)

    def has(self, name: str) -> bool:
        return name in dict(self.properties)


@dataclass
class Flow:
    source: str
    target: str
    condition: str = ""
    default: bool = False

    @property
    def id(self) -> str:
        return f"{self.source}_to_{self.target}"


def draw(text: str, process: str = "p") -> bytes:
    """Return one process as a BPMN file."""
    return draw_all({process: text})


def draw_all(texts: dict[str, str]) -> bytes:
    """Return several processes ({id: text}) as one BPMN file."""
    roots: dict[str, str] = {}
    processes = []
    for process, text in texts.items():
        top = _parse(text)
        body = "\n".join(_scope(top, roots, 2))
        processes.append(
            f'  <bpmn:process id="{process}" isExecutable="true">\n{body}\n  </bpmn:process>'
        )
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<bpmn:definitions {NAMESPACES} id="Definitions_1">',
        *processes,
        *roots.values(),
        "</bpmn:definitions>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _parse(text: str) -> Node:
    top = Node("process", "", [])
    stack = [(-1, top)]
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while indent <= stack[-1][0]:
            stack.pop()
        scope = stack[-1][1]
        if "->" in line.split("=")[0]:
            scope.flows.extend(_flows(line.strip()))
            continue
        head, _, rest = line.strip().partition("  ")
        kind, identity = head.split()
        node = Node(kind, identity, [_property(item) for item in rest.split(";") if item.strip()])
        scope.inside.append(node)
        stack.append((indent, node))
    return top


def _property(item: str) -> tuple[str, str]:
    name, _, value = item.strip().partition("=")
    return name.strip(), value.strip()


def _flows(line: str) -> list[Flow]:
    path, _, condition = line.partition(" : ")
    is_default = path.endswith(" default")
    names = [name.strip() for name in path.removesuffix(" default").split("->")]
    return [
        Flow(source, target, condition.strip(), is_default) for source, target in pairwise(names)
    ]


def _scope(scope: Node, roots: dict[str, str], depth: int) -> list[str]:
    pad = "  " * depth
    lines = []
    for node in scope.inside:
        lines.extend(_node(node, scope.flows, roots, depth))
    for flow in scope.flows:
        ends = f'id="{flow.id}" sourceRef="{flow.source}" targetRef="{flow.target}"'
        if flow.condition:
            condition = _escaped(f"={flow.condition}")
            lines.append(
                f"{pad}<bpmn:sequenceFlow {ends}><bpmn:conditionExpression "
                f'xsi:type="bpmn:tFormalExpression">{condition}</bpmn:conditionExpression></bpmn:sequenceFlow>'
            )
        else:
            lines.append(f"{pad}<bpmn:sequenceFlow {ends} />")
    return lines


def _node(node: Node, flows: list[Flow], roots: dict[str, str], depth: int) -> list[str]:
    pad = "  " * depth
    attributes = f'id="{node.id}" name="{node.get("name", node.id.replace("_", " "))}"'
    default = next((flow for flow in flows if flow.source == node.id and flow.default), None)
    if default is not None:
        attributes += f' default="{default.id}"'
    if node.kind == "boundary":
        attributes += f' attachedToRef="{node.get("on")}"'
        if node.has("parallel"):
            attributes += ' cancelActivity="false"'
    if node.kind == "start" and node.has("parallel"):
        attributes += ' isInterrupting="false"'
    if node.kind == "esub":
        attributes += ' triggeredByEvent="true"'
    if node.kind == "receive":
        attributes += f' messageRef="{_message(node, roots)}"'
    inner = _extensions(node)
    inner += [
        f"<bpmn:incoming>{flow.id}</bpmn:incoming>" for flow in flows if flow.target == node.id
    ]
    inner += [
        f"<bpmn:outgoing>{flow.id}</bpmn:outgoing>" for flow in flows if flow.source == node.id
    ]
    if node.kind not in ("receive",):
        inner += _trigger(node, roots)
    inner += _loop(node)
    tag = f"bpmn:{TAGS[node.kind]}"
    lines = [f"{pad}<{tag} {attributes}>"]
    lines += [f"{pad}  {item}" for item in inner]
    lines += _scope(node, roots, depth + 1)
    return [*lines, f"{pad}</{tag}>"]


def _extensions(node: Node) -> list[str]:
    found = []
    if node.has("type"):
        retries = f" retries={_value(node.get('retries'))}" if node.has("retries") else ""
        found.append(f"<zeebe:taskDefinition type={_value(node.get('type'))}{retries} />")
    headers = [item for item in node.properties if item[0].startswith("header ")]
    if headers:
        items = "".join(
            f"<zeebe:header key={quoteattr(name[7:])} value={quoteattr(value)} />"
            for name, value in headers
        )
        found.append(f"<zeebe:taskHeaders>{items}</zeebe:taskHeaders>")
    mappings = [item for item in node.properties if item[0].startswith(("in ", "out "))]
    if mappings:
        items = "".join(
            f"<zeebe:{'input' if name.startswith('in ') else 'output'} "
            f"source={quoteattr('=' + value)} target={quoteattr(name.split()[1])} />"
            for name, value in mappings
        )
        found.append(f"<zeebe:ioMapping>{items}</zeebe:ioMapping>")
    if node.kind == "rule":
        found.append(
            f'<zeebe:calledDecision decisionId="{node.get("decision")}" '
            f'resultVariable="{node.get("result")}" />'
        )
    if node.kind == "call":
        parent = str(node.get("parent", "all") == "all").lower()
        child = str(node.get("child", "all") == "all").lower()
        found.append(
            f'<zeebe:calledElement processId="{node.get("process")}" '
            f'propagateAllParentVariables="{parent}" propagateAllChildVariables="{child}" />'
        )
    if node.kind == "user":
        found.append("<zeebe:userTask />")
        found += _assignment(node)
    properties = [name for name in ("policy", "policyInput") if node.has(name)]
    if properties:
        items = "".join(
            f'<zeebe:property name="{name}" value={_value(node.get(name))} />'
            for name in properties
        )
        found.append(f"<zeebe:properties>{items}</zeebe:properties>")
    inside = "".join(found)
    return [f"<bpmn:extensionElements>{inside}</bpmn:extensionElements>"] if found else []


def _assignment(node: Node) -> list[str]:
    """Return who a user task is for, its form, when it is due."""
    who = "".join(
        f" {attribute}={_value(node.get(name))}"
        for name, attribute in (
            ("assignee", "assignee"),
            ("groups", "candidateGroups"),
            ("users", "candidateUsers"),
        )
        if node.has(name)
    )
    found = [f"<zeebe:assignmentDefinition{who} />"] if who else []
    if node.has("form"):
        found.append(f"<zeebe:formDefinition formId={_value(node.get('form'))} />")
    dates = "".join(
        f" {attribute}={_value(node.get(name))}"
        for name, attribute in (("due", "dueDate"), ("follow_up", "followUpDate"))
        if node.has(name)
    )
    if dates:
        found.append(f"<zeebe:taskSchedule{dates} />")
    return found


def _trigger(node: Node, roots: dict[str, str]) -> list[str]:
    for kind in ("duration", "date", "cycle"):
        if node.has(kind):
            tag = f"bpmn:time{kind.capitalize()}"
            return [
                f'<bpmn:timerEventDefinition id="{node.id}_timer"><{tag} xsi:type="bpmn:tFormalExpression">'
                f"{_escaped(node.get(kind))}</{tag}></bpmn:timerEventDefinition>"
            ]
    if node.has("message"):
        reference = f' messageRef="{_message(node, roots)}"'
        return [f'<bpmn:messageEventDefinition id="{node.id}_message"{reference} />']
    for kind, attribute in (
        ("signal", "name"),
        ("error", "errorCode"),
        ("escalation", "escalationCode"),
    ):
        if node.has(kind):
            return [_reference(node, kind, attribute, roots)]
    if node.has("condition"):
        return [
            f'<bpmn:conditionalEventDefinition id="{node.id}_condition"><bpmn:condition '
            f'xsi:type="bpmn:tFormalExpression">{_escaped("=" + node.get("condition"))}</bpmn:condition>'
            "</bpmn:conditionalEventDefinition>"
        ]
    if node.has("terminate"):
        return [f'<bpmn:terminateEventDefinition id="{node.id}_terminate" />']
    return []


def _reference(node: Node, kind: str, attribute: str, roots: dict[str, str]) -> str:
    """Return an event definition that refers to a root element; an empty value refers to none: catch all."""
    value = node.get(kind)
    reference = ""
    if value:
        name = f"{kind.capitalize()}_{re.sub(r'[^A-Za-z0-9]', '_', value)}"
        roots[name] = f'  <bpmn:{kind} id="{name}" name="{value}" {attribute}="{value}" />'
        if attribute == "name":
            roots[name] = f'  <bpmn:{kind} id="{name}" name="{value}" />'
        reference = f' {kind}Ref="{name}"'
    return f'<bpmn:{kind}EventDefinition id="{node.id}_{kind}"{reference} />'


def _message(node: Node, roots: dict[str, str]) -> str:
    name, key = node.get("message"), node.get("key")
    reference = f"Message_{node.id}"
    subscription = (
        "<bpmn:extensionElements><zeebe:subscription "
        f"correlationKey={quoteattr('=' + key)} /></bpmn:extensionElements>"
        if key
        else ""
    )
    roots[reference] = (
        f'  <bpmn:message id="{reference}" name={quoteattr(name)}>{subscription}</bpmn:message>'
    )
    return reference


def _loop(node: Node) -> list[str]:
    if not node.has("each"):
        return []
    attributes = f"inputCollection={quoteattr('=' + node.get('each'))}"
    for name, attribute in (("as", "inputElement"), ("into", "outputCollection")):
        if node.has(name):
            attributes += f" {attribute}={quoteattr(node.get(name))}"
    if node.has("collect"):
        attributes += f" outputElement={quoteattr('=' + node.get('collect'))}"
    until = (
        '<bpmn:completionCondition xsi:type="bpmn:tFormalExpression">'
        f"{_escaped('=' + node.get('until'))}</bpmn:completionCondition>"
        if node.has("until")
        else ""
    )
    sequential = ' isSequential="true"' if node.has("sequential") else ""
    return [
        f"<bpmn:multiInstanceLoopCharacteristics{sequential}><bpmn:extensionElements>"
        f"<zeebe:loopCharacteristics {attributes} /></bpmn:extensionElements>{until}"
        "</bpmn:multiInstanceLoopCharacteristics>"
    ]


def _value(text: str) -> str:
    return quoteattr(text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
