"""What the scenarios reach: every scenario played once, and the BPMN it went through. `matrix` and its test read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lxml import etree

from engine.bpmn.extensions import PREFIXES
from engine.bpmn.xml import BPMN, split
from engine.cli import scenario_files
from engine.core.model import ElementActivated, ElementCompleted
from engine.core.process import Step
from engine.core.scenario import Difference, play

TESTS = Path(__file__).parents[1]
FOLDERS = (TESTS / "core" / "diagrams", TESTS / "process" / "people")
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
EVENTS = {
    "startEvent": "start event",
    "endEvent": "end event",
    "intermediateCatchEvent": "catch event",
    "intermediateThrowEvent": "throw event",
    "boundaryEvent": "boundary event",
}


@dataclass(frozen=True, kw_only=True)
class Played:
    """One scenario: what differed, every step in its order, and the XML of its diagram's elements by id."""

    file: Path
    differences: tuple[Difference, ...]
    steps: tuple[Step, ...]
    elements: dict[str, etree._Element] = field(compare=False)

    @property
    def reached(self) -> set[str]:
        """Ids of the activities and gateways that began, and of the events that fired."""
        events = [event for step in self.steps for event in step.events]
        fired = {event.element for event in events if isinstance(event, ElementCompleted)}
        began = {event.element for event in events if isinstance(event, ElementActivated)}
        known = {id_ for id_ in fired | began if id_ in self.elements}
        return {id_ for id_ in known if id_ in fired or split(self.elements[id_])[1] not in EVENTS}


@cache
def played() -> tuple[Played, ...]:
    """Play all scenarios of the semantics tests and of the diagrams that people draw."""
    return tuple(_play(file) for file in scenario_files.find([f for f in FOLDERS if f.exists()]))


def _play(file: Path) -> Played:
    scenario = scenario_files.read(file)
    definitions, judge = scenario_files.load(file, scenario)
    steps: list[Step] = []
    differences = play(scenario, definitions, judge, steps.append)
    elements = {}
    for name, content in definitions.files.items():
        if name.endswith(".bpmn"):
            root = etree.fromstring(content)
            elements |= {item.get("id"): item for item in root.iter() if item.get("id")}
    return Played(file=file, differences=differences, steps=tuple(steps), elements=elements)


def by_tag() -> dict[str, set[str]]:
    """Return {BPMN or zeebe element: scenarios that reach it}."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in played():
        for name in _tags(item):
            found[name].add(item.file.stem)
    return found


def by_place() -> dict[tuple[str, str, str], set[str]]:
    """Return {(place, kind, interrupting or not): scenarios in which such an event fires}."""
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for item in played():
        for element in map(item.elements.__getitem__, item.reached):
            if split(element)[1] in EVENTS:
                found[_place(element)].add(item.file.stem)
    return found


def _place(element: etree._Element) -> tuple[str, str, str]:
    place = EVENTS[split(element)[1]]
    kinds = [split(c)[1] for c in element if str(c.tag).endswith("EventDefinition")]
    kind = kinds[0].removesuffix("EventDefinition") if kinds else "none"
    parent = element.getparent()
    if place == "start event" and parent is not None and parent.get("triggeredByEvent") == "true":
        place = "event sub-process start event"
    goes_on = "false" in (element.get("cancelActivity"), element.get("isInterrupting"))
    can_interrupt = place in ("boundary event", "event sub-process start event")
    return place, kind, ("non-interrupting" if goes_on else "interrupting") if can_interrupt else ""


def _tags(item: Played) -> Iterator[str]:
    for id_ in item.reached:
        element = item.elements[id_]
        yield from _below(element)
        for flow in element.iterchildren(f"{{{BPMN}}}outgoing"):
            if flow.text in item.elements:
                yield from _below(item.elements[flow.text])
        for definition in element.iter(f"{{{BPMN}}}*"):
            yield from _referred(definition, item)
    root = next(iter(item.elements.values())).getroottree().getroot()
    for top in root.iter(
        f"{{{BPMN}}}process", f"{{{BPMN}}}collaboration", f"{{{BPMN}}}participant"
    ):
        yield split(top)[1]
    yield "definitions"


def _below(element: etree._Element) -> Iterator[str]:
    """Yield the element and what is inside it, but not the flow nodes of a sub-process."""
    namespace, name = split(element)
    yield name if namespace == BPMN else f"{PREFIXES.get(namespace, 'other')}:{name}"
    if (element.get(TYPE) or "").endswith("tFormalExpression"):  # which is an expression
        yield from ("formalExpression", "expression")
    for child in element:
        if (isinstance(child.tag, str) and not child.get("id", "").strip()) or _is_part(child):
            yield from _below(child)


def _is_part(child: etree._Element) -> bool:
    name = split(child)[1]
    return name.endswith("EventDefinition") or name.startswith(("time", "loop", "multi", "condition", "completion", "input", "output"))  # fmt: skip


def _referred(definition: etree._Element, item: Played) -> Iterator[str]:
    for kind in ("message", "signal", "error", "escalation"):
        root = item.elements.get(definition.get(f"{kind}Ref", ""))
        if root is not None:
            yield from _below(root)
