"""Extensions of Camunda 7 and SpiffWorkflow, said in the Camunda 8 dialect. Pure.

What the reader understands of an element is written as `zeebe:` extensions, and what it was read from is taken away.
What has no meaning here (retention, asynchronous continuations, forms of a modeller) stays. The caller makes sure that
the normalised definition is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.bpmn import camunda, spiff
from engine.bpmn.collector import Collector
from engine.bpmn.extensions import CAMUNDA, SPIFF, ZEEBE, Extensions
from engine.bpmn.fix.tags import Source, attribute
from engine.bpmn.model import Expression, Mapping_, Template
from engine.bpmn.reader import dialect_of, read_extensions
from engine.bpmn.texts import Texts, owner_of
from engine.bpmn.xml import BPMN, Element, children, label, split, text_of

__all__ = ["one_dialect"]

#: children of an extension element that the reader understands, by namespace
READ: Final = {
    CAMUNDA: frozenset({"inputOutput", "properties", "in", "out"}),
    SPIFF: spiff.KNOWN - spiff.REFUSED.keys() - {"instructionsForEndUser"},
}
EXPRESSIONS: Final = ("conditionExpression", "condition", "completionCondition", "loopCardinality")
TIMERS: Final = ("timeDate", "timeDuration", "timeCycle")
NAMED: Final = {
    "message": "name",
    "signal": "name",
    "error": "errorCode",
    "escalation": "escalationCode",
}


def one_dialect(source: Source) -> list[str]:
    """Write the extensions of other dialects as `zeebe:` ones, and their expressions as FEEL."""
    dialect = dialect_of(source.root)
    if dialect == "zeebe" and not _uses_others(source.root):
        return []
    texts = Texts(file="", dialect=dialect, collector=Collector(""))
    said = dict.fromkeys(_expressions(source, texts))
    owners = [element for element in source.root.iter(f"{{{BPMN}}}*") if _is_foreign(element)]
    zeebe = source.declare("zeebe", ZEEBE) if owners else ""
    for element in owners:
        _rewrite(source, element, read_extensions(element, texts), zeebe)
        said[f"{label(owner_of(element))} says its extensions in the Camunda 8 dialect"] = None
    return list(said)


def _uses_others(root: Element) -> bool:
    return any(_is_foreign(element) for element in root.iter(f"{{{BPMN}}}*"))


def _is_foreign(element: Element) -> bool:
    """Whether the reader takes something from an extension of another dialect here."""
    read = any(
        str(key).startswith(f"{{{CAMUNDA}}}") and _local(key) in camunda.READ
        for key in element.attrib
    )
    return read or any(True for _ in _foreign_children(element))


def _foreign_children(element: Element) -> Iterator[Element]:
    for extensions in children(element, "extensionElements"):
        for child in extensions:
            namespace, name = split(child)
            if name in READ.get(namespace, ()):
                yield child


def _rewrite(source: Source, element: Element, said: Extensions, zeebe: str) -> None:
    prefixes = {
        f"{prefix}:{name}"
        for prefix, uri in element.nsmap.items()
        if uri == CAMUNDA
        for name in camunda.READ
    }
    gone = prefixes | ({"calledElement"} if said.called else set())
    source.drop(element, frozenset(gone))
    written = list(_written(split(element)[1], said, zeebe))
    old = list(_foreign_children(element))
    own = next(children(element, "extensionElements"), None)
    for child in old:
        source.remove(child)
    if not written:
        return
    if own is not None:
        source.insert(own, own[-1] if len(own) else None, "\n".join(written))
        return
    tag = f"{source.prefix(BPMN)}extensionElements"
    block = "\n".join([f"<{tag}>", *(f"  {line}" for line in written), f"</{tag}>"])
    source.insert(element, next(children(element, "documentation"), None), block)


def _written(kind: str, said: Extensions, zeebe: str) -> Iterator[str]:
    """Yield the lines of the `zeebe:` extensions of an element."""
    if said.job is not None:
        yield _tag(
            zeebe,
            "taskDefinition",
            type=_template(said.job.type),
            retries=_template(said.job.retries),
        )
        yield from _pairs(zeebe, "taskHeaders", "header", "key", said.job.headers)
    if said.decision is not None:
        decision = _template(said.decision.decision_id)
        yield _tag(
            zeebe,
            "calledDecision",
            decisionId=decision,
            resultVariable=said.decision.result_variable,
        )
    if said.called is not None:
        yield _tag(
            zeebe,
            "calledElement",
            processId=_template(said.called.process_id),
            propagateAllParentVariables=str(said.called.propagate_all_parent).lower(),
            propagateAllChildVariables=str(said.called.propagate_all_child).lower(),
        )
    yield from _mappings(zeebe, said.inputs, said.outputs)
    if kind == "multiInstanceLoopCharacteristics" and said.input_collection is not None:
        yield _tag(
            zeebe,
            "loopCharacteristics",
            inputCollection=_expression(said.input_collection),
            inputElement=said.input_element,
            outputCollection=said.output_collection,
            outputElement=_expression(said.output_element),
        )
    yield from _person(zeebe, kind, said)
    yield from _pairs(zeebe, "properties", "property", "name", said.properties)
    if said.version_tag:
        yield _tag(zeebe, "versionTag", value=said.version_tag)


def _person(zeebe: str, kind: str, said: Extensions) -> Iterator[str]:
    if kind == "userTask":
        yield f"<{zeebe}userTask />"
    if said.assignee or said.candidate_groups or said.candidate_users:
        yield _tag(
            zeebe,
            "assignmentDefinition",
            assignee=_template(said.assignee),
            candidateGroups=_template(said.candidate_groups),
            candidateUsers=_template(said.candidate_users),
        )
    if said.form:
        yield _tag(zeebe, "formDefinition", formId=said.form)
    if said.due_date or said.follow_up_date:
        yield _tag(
            zeebe,
            "taskSchedule",
            dueDate=_template(said.due_date),
            followUpDate=_template(said.follow_up_date),
        )


def _mappings(
    zeebe: str, inputs: tuple[Mapping_, ...], outputs: tuple[Mapping_, ...]
) -> Iterator[str]:
    if not inputs and not outputs:
        return
    yield f"<{zeebe}ioMapping>"
    for name, mappings in (("input", inputs), ("output", outputs)):
        for mapping in mappings:
            yield "  " + _tag(
                zeebe, name, source=_expression(mapping.source), target=mapping.target
            )
    yield f"</{zeebe}ioMapping>"


def _pairs(zeebe: str, group: str, item: str, key: str, pairs: Mapping[str, str]) -> Iterator[str]:
    if not pairs:
        return
    yield f"<{zeebe}{group}>"
    for name, value in pairs.items():
        yield f"  <{zeebe}{item}{attribute(key, name)}{attribute('value', value)} />"
    yield f"</{zeebe}{group}>"


def _tag(zeebe: str, name: str, **attributes: str) -> str:
    said = "".join(attribute(key, value) for key, value in attributes.items() if value)
    return f"<{zeebe}{name}{said} />"


def _template(value: Template | None) -> str:
    return "" if value is None else f"={value.text}" if value.is_feel else value.text


def _expression(value: Expression | None) -> str:
    return "" if value is None else f"={value.text}"


def _expressions(source: Source, texts: Texts) -> Iterator[str]:
    """Write conditions, timers and names that hold an expression of another language as FEEL."""
    for element in source.root.iter(f"{{{BPMN}}}*"):
        kind = split(element)[1]
        text = text_of(element)
        if kind in EXPRESSIONS and text and not text.startswith("="):
            if kind == "loopCardinality" and text.isdecimal():
                continue
            feel = _expression(texts.expression(element, text, "it"))
        elif kind in TIMERS and text:
            feel = _template(texts.template(element, text, "it"))
        elif kind in NAMED and element.get(NAMED[kind]):
            named = element.get(NAMED[kind]) or ""
            feel = _template(texts.template(element, named, "it"))
            if feel and feel != named.strip():
                source.put(element, NAMED[kind], feel)
                yield f"{label(element)} computes its {NAMED[kind]} in FEEL"
            continue
        else:
            continue
        if feel and feel != text:
            source.say(element, feel)
            parent = element.getparent()
            yield f"{label(element if parent is None else parent)} says {kind} in FEEL"


def _local(key: object) -> str:
    return str(key).rpartition("}")[2]
