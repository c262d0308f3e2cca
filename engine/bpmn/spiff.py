"""The SpiffWorkflow dialect: `spiffworkflow:` extension elements to `Extensions`, where the meaning is clear."""

from __future__ import annotations

from typing import Final

from engine.bpmn.extensions import SPIFF, Extensions, extension_children, report_unknown
from engine.bpmn.model import CalledDecision, CalledElement, JobDefinition, Mapping_, Template
from engine.bpmn.texts import Texts, owner_id, owner_of
from engine.bpmn.xml import Element, children, label, line, split, text_of

__all__ = ["read"]

KNOWN: Final = frozenset(
    {
        "serviceTaskOperator",
        "calledDecisionId",
        "properties",
        "instructionsForEndUser",
        "messageVariable",
        "messagePayload",
        "preScript",
        "postScript",
    }
)
REFUSED: Final = {
    "preScript": "Use input mappings.",
    "postScript": "Use output mappings.",
    "messageVariable": "Use an output mapping on the message event.",
    "messagePayload": "Use input mappings on the event and a job type message.publish.",
}
ATTRIBUTES: Final = frozenset({"isMatchingCorrelation"})


def read(element: Element, texts: Texts) -> Extensions:
    """Return what the `spiffworkflow:` extensions of a BPMN element say."""
    report_unknown(element, texts, SPIFF, KNOWN, ATTRIBUTES)
    found = Extensions(called=_called(element, texts))
    for child in extension_children(element, SPIFF):
        name = split(child)[1]
        if name in REFUSED:
            _refuse(child, texts, f"found spiffworkflow:{name}", REFUSED[name])
        elif name == "serviceTaskOperator":
            found = _operator(child, texts).over(found)
        elif name == "calledDecisionId":
            found = _decision(child, texts).over(found)
        elif name == "properties":
            found = Extensions(properties=_properties(child)).over(found)
    return found


def _refuse(element: Element, texts: Texts, message: str, hint: str) -> None:
    texts.collector.add(
        "unknown-extension",
        line(element),
        f"{label(owner_of(element))}: {message}, which this engine does not translate",
        hint,
        element=owner_id(element),
    )


def _operator(child: Element, texts: Texts) -> Extensions:
    """An operator is a job; its parameters are input mappings."""
    if child.get("resultVariable"):
        message = f'the operator has the result variable "{child.get("resultVariable")}"'
        _refuse(child, texts, message, "Use an output mapping; a job answers with variables.")
    inputs = []
    for group in children(child, "parameters", SPIFF):
        for item in children(group, "parameter", SPIFF):
            target = (item.get("id") or "").strip()
            source = texts.value(item, item.get("value") or "", f'parameter "{target}"')
            if target and source is not None:
                inputs.append(Mapping_(target=target, source=source))
    type_ = child.get("id") or ""
    if not type_:
        return Extensions(inputs=tuple(inputs))
    job = JobDefinition(type=Template(text=type_, is_feel=False, position=texts.position(child)))
    return Extensions(job=job, inputs=tuple(inputs))


def _decision(child: Element, texts: Texts) -> Extensions:
    """The result goes to the variable named like the decision: SpiffWorkflow names none."""
    id_ = text_of(child)
    if not id_:
        return Extensions()
    decision = Template(text=id_, is_feel=False, position=texts.position(child))
    return Extensions(decision=CalledDecision(decision_id=decision, result_variable=id_))


def _called(element: Element, texts: Texts) -> CalledElement | None:
    called = element.get("calledElement")
    if not called or texts.dialect != "spiffworkflow":
        return None
    process = Template(text=called, is_feel=False, position=texts.position(element))
    return CalledElement(process_id=process)


def _properties(child: Element) -> dict[str, str]:
    return {
        item.get("name") or "": item.get("value") or ""
        for item in children(child, "property", SPIFF)
        if item.get("name")
    }
