"""The Camunda 8 dialect: `zeebe:` extension elements to `Extensions`."""

from __future__ import annotations

from typing import Final

from engine.bpmn.extensions import (
    ZEEBE,
    Extensions,
    check_attributes,
    extension_children,
    report_unknown,
)
from engine.bpmn.model import CalledDecision, CalledElement, JobDefinition, Mapping_, Template
from engine.bpmn.texts import Texts, owner_id, owner_of
from engine.bpmn.xml import Element, children, label, line, split

__all__ = ["read"]

KNOWN: Final = frozenset(
    {
        "taskDefinition",
        "taskHeaders",
        "ioMapping",
        "calledDecision",
        "calledElement",
        "loopCharacteristics",
        "subscription",
        "userTask",
        "assignmentDefinition",
        "priorityDefinition",
        "taskSchedule",
        "formDefinition",
        "userTaskForm",
        "properties",
        "versionTag",
    }
)
#: Attributes of BPMN elements that only a modeller reads.
ATTRIBUTES: Final = frozenset(
    {"modelerTemplate", "modelerTemplateVersion", "modelerTemplateIcon", "modelerTemplateHash"}
)
#: Attributes of extension elements; those that choose a deployed version bind to the bundle here.
CHILD_ATTRIBUTES: Final = {
    "taskDefinition": frozenset({"type", "retries"}),
    "calledDecision": frozenset({"decisionId", "resultVariable", "bindingType", "versionTag"}),
    "calledElement": frozenset(
        {
            "processId",
            "processIdExpression",
            "propagateAllChildVariables",
            "propagateAllParentVariables",
            "bindingType",
            "versionTag",
        }
    ),
    "loopCharacteristics": frozenset(
        {"inputCollection", "inputElement", "outputCollection", "outputElement"}
    ),
    "subscription": frozenset({"correlationKey"}),
    "assignmentDefinition": frozenset({"assignee", "candidateGroups", "candidateUsers"}),
    "taskSchedule": frozenset({"dueDate", "followUpDate"}),
    "formDefinition": frozenset(
        {"formId", "formKey", "externalReference", "bindingType", "versionTag"}
    ),
    "versionTag": frozenset({"value"}),
}


def read(element: Element, texts: Texts) -> Extensions:
    """Return what the `zeebe:` extensions of a BPMN element say; findings go to the collector of `texts`."""
    report_unknown(element, texts, ZEEBE, KNOWN, ATTRIBUTES)
    found = Extensions()
    for child in extension_children(element, ZEEBE):
        name = split(child)[1]
        if name in CHILD_ATTRIBUTES:
            check_attributes(child, texts, CHILD_ATTRIBUTES[name])
        found = _one(name, element, child, texts).over(found)
    return found


def _one(name: str, element: Element, child: Element, texts: Texts) -> Extensions:
    match name:
        case "taskDefinition":
            return Extensions(job=_job(element, child, texts))
        case "ioMapping":
            return Extensions(
                inputs=_mappings(child, "input", texts), outputs=_mappings(child, "output", texts)
            )
        case "calledDecision":
            return Extensions(decision=_decision(child, texts))
        case "calledElement":
            return Extensions(called=_called(child, texts))
        case "loopCharacteristics":
            return _loop(child, texts)
        case "subscription":
            key = child.get("correlationKey") or ""
            return Extensions(correlation_key=texts.expression(child, key, "the correlation key"))
        case "assignmentDefinition":
            return Extensions(
                assignee=_template(child, "assignee", texts),
                candidate_groups=_template(child, "candidateGroups", texts),
                candidate_users=_template(child, "candidateUsers", texts),
            )
        case "taskSchedule":
            return Extensions(
                due_date=_template(child, "dueDate", texts),
                follow_up_date=_template(child, "followUpDate", texts),
            )
        case "formDefinition":
            names = ("formId", "externalReference", "formKey")
            return Extensions(form=next((v for n in names if (v := child.get(n))), ""))
        case "properties":
            return Extensions(properties=_pairs(child, "property", "name", "value", texts))
        case "versionTag":
            return Extensions(version_tag=child.get("value") or "")
    return Extensions()


def _job(element: Element, child: Element, texts: Texts) -> JobDefinition | None:
    type_ = _template(child, "type", texts)
    if type_ is None or not type_.text:
        return None
    headers: dict[str, str] = {}
    for group in extension_children(element, ZEEBE):
        if split(group)[1] == "taskHeaders":
            headers |= _pairs(group, "header", "key", "value", texts)
    return JobDefinition(type=type_, retries=_template(child, "retries", texts), headers=headers)


def _decision(child: Element, texts: Texts) -> CalledDecision | None:
    decision = _template(child, "decisionId", texts)
    variable = (child.get("resultVariable") or "").strip()
    if decision is None or not decision.text or not variable:
        return None
    return CalledDecision(decision_id=decision, result_variable=variable)


def _called(child: Element, texts: Texts) -> CalledElement | None:
    name = "processId" if child.get("processId") else "processIdExpression"
    process = _template(child, name, texts)
    if process is None or not process.text:
        return None
    return CalledElement(
        process_id=process,
        propagate_all_parent=child.get("propagateAllParentVariables") != "false",
        propagate_all_child=child.get("propagateAllChildVariables") != "false",
    )


def _loop(child: Element, texts: Texts) -> Extensions:
    output = child.get("outputElement")
    return Extensions(
        input_collection=texts.expression(
            child, child.get("inputCollection") or "", "the input collection"
        ),
        input_element=(child.get("inputElement") or "").strip(),
        output_collection=(child.get("outputCollection") or "").strip(),
        output_element=texts.expression(child, output, "the output element") if output else None,
    )


def _mappings(group: Element, kind: str, texts: Texts) -> tuple[Mapping_, ...]:
    found = []
    for item in children(group, kind, ZEEBE):
        target = (item.get("target") or "").strip()
        what = f'the {kind} mapping of "{target}"'
        source = texts.value(item, item.get("source") or "=", what)
        if not target:
            texts.collector.add(
                "mapping-without-target",
                line(item),
                f"{label(owner_of(group))}: an {kind} mapping has no target",
                "Name the variable it writes.",
                element=owner_id(group),
            )
        elif source is not None:
            found.append(Mapping_(target=target, source=source))
    return tuple(found)


def _pairs(group: Element, tag: str, key: str, value: str, texts: Texts) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in children(group, tag, ZEEBE):
        name = (item.get(key) or "").strip()
        if name in found:
            texts.collector.add(
                "duplicate-property",
                line(item),
                f'{label(owner_of(group))}: "{name}" is written twice',
                "Keep one of the two.",
                element=owner_id(group),
            )
        if name:
            found[name] = item.get(value) or ""
    return found


def _template(child: Element, name: str, texts: Texts) -> Template | None:
    value = child.get(name)
    return texts.template(child, value, f'"{name}"') if value else None
