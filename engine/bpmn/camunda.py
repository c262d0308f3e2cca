"""The Camunda 7 dialect: `camunda:` attributes and extension elements to `Extensions`, where the meaning is clear.

External tasks become jobs (their topic is the type, their properties are the headers). What names Java classes,
beans, scripts or listeners is refused.
"""

from __future__ import annotations

from typing import Final

from engine.bpmn import translate
from engine.bpmn.extensions import CAMUNDA, Extensions, extension_children, report_unknown
from engine.bpmn.model import (
    CalledDecision,
    CalledElement,
    Expression,
    JobDefinition,
    Mapping_,
    Template,
)
from engine.bpmn.texts import Texts, owner_id, owner_of
from engine.bpmn.xml import Element, children, label, line, split, text_of

__all__ = ["read"]

KNOWN: Final = frozenset({"inputOutput", "properties", "in", "out", "formData"})
READ: Final = frozenset(
    {
        "type",
        "topic",
        "decisionRef",
        "resultVariable",
        "mapDecisionResult",
        "collection",
        "elementVariable",
        "assignee",
        "candidateGroups",
        "candidateUsers",
        "dueDate",
        "followUpDate",
        "formKey",
        "formRef",
        "versionTag",
        "decisionRefBinding",
        "calledElementBinding",
    }
)
#: Knowingly without meaning here: scheduling, retention and presentation inside Camunda 7.
NO_MEANING: Final = frozenset(
    {
        "asyncAfter",
        "asyncBefore",
        "candidateStarterGroups",
        "candidateStarterUsers",
        "diagramRelationId",
        "exclusive",
        "formRefBinding",
        "formRefVersion",
        "calledElementVersion",
        "calledElementVersionTag",
        "decisionRefVersion",
        "decisionRefVersionTag",
        "historyTimeToLive",
        "initiator",
        "isStartableInTasklist",
        "jobPriority",
        "modelerTemplate",
        "modelerTemplateVersion",
        "priority",
        "taskPriority",
    }
)
CODE: Final = frozenset({"class", "delegateExpression", "expression"})
RESULTS: Final = frozenset({"singleEntry", "singleResult", "collectEntries"})


def read(element: Element, texts: Texts) -> Extensions:
    """Return what the `camunda:` extensions of a BPMN element say; findings go to the collector of `texts`."""
    report_unknown(element, texts, CAMUNDA, KNOWN, READ | NO_MEANING | CODE)
    _refuse_code(element, texts)
    inputs, outputs = _input_output(element, texts)
    properties = _properties(element)
    collection = _attribute(element, "collection")
    return Extensions(
        input_collection=(
            texts.variable(element, collection, "the collection") if collection else None
        ),
        input_element=_attribute(element, "elementVariable"),
        job=_job(element, properties, texts),
        decision=_decision(element, texts),
        called=_called(element, texts),
        inputs=(*inputs, *_passed(element, "in", texts)),
        outputs=(*outputs, *_passed(element, "out", texts)),
        properties=properties,
        assignee=_template(element, "assignee", texts),
        candidate_groups=_template(element, "candidateGroups", texts),
        candidate_users=_template(element, "candidateUsers", texts),
        due_date=_template(element, "dueDate", texts),
        follow_up_date=_template(element, "followUpDate", texts),
        form=_attribute(element, "formKey") or _attribute(element, "formRef"),
        version_tag=_attribute(element, "versionTag"),
    )


def _attribute(element: Element, name: str) -> str:
    return (element.get(f"{{{CAMUNDA}}}{name}") or "").strip()


def _template(element: Element, name: str, texts: Texts) -> Template | None:
    value = _attribute(element, name)
    return texts.template(element, value, f"camunda:{name}") if value else None


def _refuse(element: Element, texts: Texts, rule: str, message: str, hint: str) -> None:
    texts.collector.add(
        rule,
        line(element),
        f"{label(owner_of(element))}: {message}",
        hint,
        element=owner_id(element),
    )


def _refuse_code(element: Element, texts: Texts) -> None:
    for name in sorted(CODE):
        value = _attribute(element, name)
        if value:
            message = f'found camunda:{name} "{value}", which names Java code'
            hint = "Make it an external task with a topic, or give it a zeebe:taskDefinition type."
            _refuse(element, texts, "foreign-code", message, hint)


def _job(element: Element, properties: dict[str, str], texts: Texts) -> JobDefinition | None:
    kind, topic = _attribute(element, "type"), _template(element, "topic", texts)
    if kind and kind != "external":
        message = f'found camunda:type "{kind}", expected "external"'
        _refuse(element, texts, "foreign-code", message, "Make it an external task with a topic.")
    if topic is None or kind not in {"", "external"}:
        return None
    return JobDefinition(type=topic, headers=properties)


def _decision(element: Element, texts: Texts) -> CalledDecision | None:
    decision = _template(element, "decisionRef", texts)
    if decision is None:
        return None
    _refuse_version(element, "decisionRefBinding", texts)
    variable, shape = (
        _attribute(element, "resultVariable"),
        _attribute(element, "mapDecisionResult"),
    )
    if shape not in RESULTS:
        message = (
            f'camunda:mapDecisionResult is "{shape or "resultList"}", a list of every matched rule'
        )
        hint = f"Choose one of {', '.join(sorted(RESULTS))}; the result then has the table's own shape."
        _refuse(element, texts, "decision-result-shape", message, hint)
    return CalledDecision(decision_id=decision, result_variable=variable) if variable else None


def _called(element: Element, texts: Texts) -> CalledElement | None:
    called = element.get("calledElement")
    if not called:
        return None
    process = texts.template(element, called, "the called element")
    _refuse_version(element, "calledElementBinding", texts)
    if process is None:
        return None
    return CalledElement(
        process_id=process,
        propagate_all_parent=_passes_all(element, "in"),
        propagate_all_child=_passes_all(element, "out"),
    )


def _refuse_version(element: Element, name: str, texts: Texts) -> None:
    binding = _attribute(element, name)
    if binding in {"version", "versionTag"}:
        message = f'camunda:{name} is "{binding}", but a bundle holds one version'
        _refuse(element, texts, "version-binding", message, "Bind to latest.")


def _passes_all(element: Element, kind: str) -> bool:
    return any(
        split(child)[1] == kind and child.get("variables") == "all"
        for child in extension_children(element, CAMUNDA)
    )


def _passed(element: Element, kind: str, texts: Texts) -> list[Mapping_]:
    """Return the mappings of `camunda:in` or `camunda:out`; business keys have no meaning here."""
    found = []
    for child in extension_children(element, CAMUNDA):
        target = child.get("target") or ""
        if split(child)[1] != kind or not target:
            continue
        raw = child.get("source") or child.get("sourceExpression") or ""
        source = texts.variable(child, raw, f'camunda:{kind} of "{target}"')
        if source is not None:
            found.append(Mapping_(target=target, source=source))
    return found


def _properties(element: Element) -> dict[str, str]:
    return {
        item.get("name") or "": item.get("value") or ""
        for group in extension_children(element, CAMUNDA)
        if split(group)[1] == "properties"
        for item in children(group, "property", CAMUNDA)
        if item.get("name")
    }


def _input_output(
    element: Element, texts: Texts
) -> tuple[tuple[Mapping_, ...], tuple[Mapping_, ...]]:
    inputs: list[Mapping_] = []
    outputs: list[Mapping_] = []
    for group in extension_children(element, CAMUNDA):
        if split(group)[1] == "formData":
            _refuse_form_values(group, texts)
        if split(group)[1] != "inputOutput":
            continue
        inputs += _parameters(group, "inputParameter", texts)
        outputs += _parameters(group, "outputParameter", texts)
    return tuple(inputs), tuple(outputs)


def _refuse_form_values(group: Element, texts: Texts) -> None:
    for form_field in children(group, "formField", CAMUNDA):
        if form_field.get("defaultValue"):
            message = (
                f'form field "{form_field.get("id")}" has a default value, which sets a variable'
            )
            hint = "Set the variable with an input mapping."
            _refuse(group, texts, "form-default", message, hint)


def _parameters(group: Element, tag: str, texts: Texts) -> list[Mapping_]:
    found = []
    for item in children(group, tag, CAMUNDA):
        target = (item.get("name") or "").strip()
        source = _parameter(item, target, texts)
        if source is not None and target:
            found.append(Mapping_(target=target, source=source))
    return found


def _parameter(item: Element, target: str, texts: Texts) -> Expression | None:
    nested = list(children(item, namespace=CAMUNDA))
    if not nested:
        return texts.value(item, text_of(item), f'the mapping of "{target}"')
    feel = _structure(nested[0]) if len(nested) == 1 else None
    if feel is None:
        message = f'the mapping of "{target}" holds a script or a nested structure'
        _refuse(item, texts, "not-feel", message, 'Write it as FEEL with a leading "=".')
        return None
    return texts.expression(item, f"={feel}", f'the mapping of "{target}"')


def _structure(element: Element) -> str | None:
    """Return FEEL for camunda:list and camunda:map of plain texts and expressions."""
    name = split(element)[1]
    if name == "list":
        values = [translate.from_juel_text(text_of(v)) for v in children(element, None, CAMUNDA)]
        plain = [v for v in values if v is not None]
        return f"[{', '.join(plain)}]" if len(plain) == len(values) else None
    if name == "map":
        entries = {
            e.get("key") or "": translate.from_juel_text(text_of(e))
            for e in children(element, "entry", CAMUNDA)
        }
        if None in entries.values():
            return None
        return f"{{{', '.join(f'{translate.feel_string(k)}: {v}' for k, v in entries.items())}}}"
    return None
