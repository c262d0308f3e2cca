"""What extension elements say, normalised: one value, whichever of the three dialects it was written in.

Each dialect is a function from a BPMN element to `Extensions`; `read_extensions` joins them. An extension of a
known dialect that no function reads has a meaning this engine would ignore, and is a finding. Extensions of other
namespaces (colours, layout, a vendor's notes) have none, except those of engines we do not translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import Final

from engine.bpmn.model import (
    CalledDecision,
    CalledElement,
    Expression,
    JobDefinition,
    Mapping_,
    Template,
)
from engine.bpmn.texts import Texts, owner_id, owner_of
from engine.bpmn.xml import Element, children, label, line, split
from engine.frozen import dataclass

__all__ = [
    "CAMUNDA",
    "SPIFF",
    "ZEEBE",
    "Extensions",
    "check_attributes",
    "extension_children",
    "report_foreign",
    "report_unknown",
]

ZEEBE: Final = "http://camunda.org/schema/zeebe/1.0"
CAMUNDA: Final = "http://camunda.org/schema/1.0/bpmn"
SPIFF: Final = "http://spiffworkflow.org/bpmn/schema/1.0/core"
FOREIGN: Final = {
    "http://activiti.org/bpmn": "Activiti",
    "http://flowable.org/bpmn": "Flowable",
    "http://www.jboss.org/drools": "jBPM",
    "http://www.bonitasoft.org/ns/process/client/7.0": "Bonita",
}
PREFIXES: Final = {ZEEBE: "zeebe", CAMUNDA: "camunda", SPIFF: "spiffworkflow"}


@dataclass(frozen=True, kw_only=True)
class Extensions:
    """What the extensions of one element say; everything is absent unless written."""

    job: JobDefinition | None = None
    decision: CalledDecision | None = None
    called: CalledElement | None = None
    inputs: tuple[Mapping_, ...] = ()
    outputs: tuple[Mapping_, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    correlation_key: Expression | None = None
    input_collection: Expression | None = None
    input_element: str = ""
    output_collection: str = ""
    output_element: Expression | None = None
    assignee: Template | None = None
    candidate_groups: Template | None = None
    candidate_users: Template | None = None
    due_date: Template | None = None
    follow_up_date: Template | None = None
    form: str = ""
    version_tag: str = ""

    def over(self, other: Extensions) -> Extensions:
        """Return both, this one winning where both say something."""
        said = {f.name: value for f in fields(self) if (value := getattr(self, f.name))}
        return replace(other, **said)


def extension_children(element: Element, namespace: str) -> list[Element]:
    """Return the extension elements of `element` in `namespace`."""
    return [
        child
        for extensions in children(element, "extensionElements")
        for child in children(extensions, namespace=namespace)
    ]


def report_unknown(
    element: Element,
    texts: Texts,
    namespace: str,
    known: frozenset[str],
    attributes: frozenset[str],
) -> None:
    """Report what `namespace` says on `element` and nobody reads; `attributes` are those of the element itself."""
    prefix = PREFIXES[namespace]
    for child in extension_children(element, namespace):
        name = split(child)[1]
        if name not in known:
            _unknown(element, child, texts, f"{prefix}:{name}")
    for key in element.attrib:
        if (
            str(key).startswith(f"{{{namespace}}}")
            and str(key).rpartition("}")[2] not in attributes
        ):
            _unknown(element, element, texts, f"attribute {prefix}:{str(key).rpartition('}')[2]}")


def check_attributes(element: Element, texts: Texts, known: frozenset[str]) -> None:
    """Report plain attributes of an extension element that nobody reads."""
    for key in element.attrib:
        if (plain := str(key)) not in known and not plain.startswith("{"):
            name = f"{PREFIXES[split(element)[0]]}:{split(element)[1]}"
            _unknown(element, element, texts, f'attribute "{plain}" of {name}')


def report_foreign(element: Element, texts: Texts) -> None:
    """Report extensions of engines whose dialect is not read."""
    found = {split(child)[0] for ext in children(element, "extensionElements") for child in ext}
    found |= {str(key).rpartition("}")[0].removeprefix("{") for key in element.attrib}
    for namespace in sorted(found & FOREIGN.keys()):
        texts.collector.add(
            "unknown-extension",
            line(element),
            f"{label(element)}: found {FOREIGN[namespace]} extensions, which this engine does not read",
            "Say the same in the Camunda 8 dialect.",
            element=owner_id(element),
        )


def _unknown(owner: Element, where: Element, texts: Texts, what: str) -> None:
    texts.collector.add(
        "unknown-extension",
        line(where),
        f"{label(owner_of(owner))}: found {what}, which this engine would have to ignore",
        "Remove it, or say the same in the Camunda 8 dialect.",
        element=owner_id(owner),
    )
