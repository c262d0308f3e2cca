"""Edits of a diagram as a designer makes them: each is a function from a file to a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

Edit = Callable[[bytes], bytes]
BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
ZEEBE = "http://camunda.org/schema/zeebe/1.0"
XML = Any  # lxml has no types here


def text(old: str, new: str) -> Edit:
    """Replace a text that is there once."""

    def edit(xml: bytes) -> bytes:
        assert xml.count(old.encode()) == 1, old
        return xml.replace(old.encode(), new.encode())

    return edit


def renamed(id_: str, name: str) -> Edit:
    return _edit(lambda root: _by_id(root, id_).set("name", name))


def type_of(id_: str, job_type: str) -> Edit:
    return _edit(
        lambda root: next(_by_id(root, id_).iter(f"{{{ZEEBE}}}taskDefinition")).set(
            "type", job_type
        )
    )


def saying(flow: str, condition: str) -> Edit:
    """Give a flow another condition."""

    def change(root: XML) -> None:
        next(_by_id(root, flow).iter(f"{{{BPMN}}}conditionExpression")).text = condition

    return _edit(change)


def moved(flow: str, target: str) -> Edit:
    """Let a flow end elsewhere."""

    def change(root: XML) -> None:
        _unlink(root, "incoming", flow)
        _by_id(root, flow).set("targetRef", target)
        _link(root, target, "incoming", flow)

    return _edit(change)


def gone(id_: str) -> Edit:
    """Delete an element as modellers do: what led to it leads to what followed it by the flow that is not the default;
    an event at a boundary takes what follows it alone with it."""

    def change(root: XML) -> None:
        node = _by_id(root, id_)
        default = node.get("default")
        flows = list(root.iter(f"{{{BPMN}}}sequenceFlow"))
        leaving = [flow for flow in flows if flow.get("sourceRef") == id_]
        kept = next((flow for flow in leaving if flow.get("id") != default), None)
        for flow in [flow for flow in flows if flow.get("targetRef") == id_]:
            flow.set("targetRef", kept.get("targetRef"))
            _link(root, kept.get("targetRef"), "incoming", flow.get("id"))
        for flow in leaving:
            _unlink(root, "incoming", flow.get("id"))
            flow.getparent().remove(flow)
        node.getparent().remove(node)

    return _edit(change)


def between(flow: str, kind: str, id_: str, name: str, inside: str = "") -> Edit:
    """Draw a new element into a flow."""

    def change(root: XML) -> None:
        drawn = _by_id(root, flow)
        target = drawn.get("targetRef")
        scope = drawn.getparent()
        new = etree.fromstring(
            f'<bpmn:{kind} xmlns:bpmn="{BPMN}" id="{id_}" name="{name}"><bpmn:incoming>{flow}</bpmn:incoming>'
            f"<bpmn:outgoing>{id_}_on</bpmn:outgoing>{inside}</bpmn:{kind}>"
        )
        on = etree.fromstring(
            f'<bpmn:sequenceFlow xmlns:bpmn="{BPMN}" id="{id_}_on" sourceRef="{id_}" targetRef="{target}"/>'
        )
        _unlink(root, "incoming", flow)
        drawn.set("targetRef", id_)
        _link(root, target, "incoming", f"{id_}_on")
        scope.append(new)
        scope.append(on)

    return _edit(change)


def after_layout(xml: bytes) -> bytes:
    """Move everything in the picture, and give every flow that is drawn again a new place in the file."""

    def change(root: XML) -> None:
        for bounds in root.iter("{http://www.omg.org/spec/DD/20100524/DC}Bounds"):
            bounds.set("x", str(float(bounds.get("x")) + 100))
        for process in root.iter(f"{{{BPMN}}}process"):
            process[:] = sorted(process, key=lambda child: child.get("id") or "")

    return _edit(change)(xml)


def _edit(change: Callable[[XML], object]) -> Edit:
    def edit(xml: bytes) -> bytes:
        root = etree.fromstring(xml)
        change(root)
        return etree.tostring(root)

    return edit


def _by_id(root: XML, id_: str) -> XML:
    (found,) = root.xpath("//*[@id=$id]", id=id_)
    return found


def _link(root: XML, node: str, kind: str, flow: str) -> None:
    made = etree.Element(f"{{{BPMN}}}{kind}")
    made.text = flow
    element = _by_id(root, node)
    position = sum(
        child.tag in {f"{{{BPMN}}}extensionElements", f"{{{BPMN}}}documentation"}
        for child in element
    )
    element.insert(position, made)


def _unlink(root: XML, kind: str, flow: str) -> None:
    for reference in list(root.iter(f"{{{BPMN}}}{kind}")):
        if reference.text == flow:
            reference.getparent().remove(reference)
