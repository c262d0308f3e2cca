"""Rules about one file: its picture, and what its processes share. They look at the XML, not at the model. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from engine.bpmn.dialect import NODES
from engine.bpmn.lint.rule import File, Spot
from engine.bpmn.picture import Box, Picture, Shape
from engine.bpmn.xml import BPMN, Element, children, label, name_of, split

__all__ = ["global_", "no_bpmndi", "no_overlapping_elements", "pool_label_required"]

_SHARED: Final = {
    "error": "errorRef",
    "escalation": "escalationRef",
    "message": "messageRef",
    "signal": "signalRef",
}
_DRAWN: Final = NODES | {"participant", "lane", "sequenceFlow", "messageFlow", "dataObjectReference",
                         "dataStoreReference", "textAnnotation", "group", "association"}  # fmt: skip


def global_(file: File) -> Iterator[Spot]:
    """A message, signal, error or escalation that nothing refers to, or two of one name."""
    used = {
        (attribute, (element.get(attribute) or "").rpartition(":")[2])
        for element in file.root.iter(f"{{{BPMN}}}*")
        for attribute in _SHARED.values()
    }
    names: dict[tuple[str, str], Element] = {}
    for element in children(file.root):
        kind = split(element)[1]
        if kind not in _SHARED:
            continue
        if (_SHARED[kind], element.get("id") or "") not in used:
            yield Spot(element, "nothing refers to it", "Remove it, or choose it in an event.")
        first = names.setdefault((kind, name_of(element)), element)
        if first is not element and name_of(element):
            yield Spot(
                element,
                f"has the same name as {label(first)}",
                f"Use one {kind} in both places, or give it another name.",
            )


def no_bpmndi(file: File) -> Iterator[Spot]:
    """An element that a modeller cannot show; of a process without any picture only the process."""
    drawn = file.picture.drawn()
    for process in children(file.root, "process"):
        known = [element for element in _elements(process) if element.get("id")]
        hidden = [element for element in known if element.get("id") not in drawn]
        if known and len(hidden) == len(known):
            yield Spot(
                process,
                "has no picture, so a modeller shows nothing",
                "Let `engine process lint --fix` draw one.",
            )
            continue
        for element in hidden:
            yield Spot(
                element, "is not drawn, so nobody sees it", "Remove it, or draw it in a modeller."
            )


def no_overlapping_elements(file: File) -> Iterator[Spot]:
    """Two elements drawn over each other, or one drawn outside of what it lies in."""
    shapes = file.picture.shapes()
    for collaboration in children(file.root, "collaboration"):
        yield from _overlaps(list(children(collaboration, "participant")), shapes)
    pools = _pools(file)
    for process in children(file.root, "process"):
        yield from _inside(process, pools.get(process.get("id") or ""), shapes, file.picture)


def pool_label_required(file: File) -> Iterator[Spot]:
    """A pool or lane without a name says nothing about who acts in it."""
    for element in chain(
        file.root.iter(f"{{{BPMN}}}participant"), file.root.iter(f"{{{BPMN}}}lane")
    ):
        if not name_of(element):
            yield Spot(element, "has no name", "Name who acts in it.")


def _elements(scope: Element) -> Iterator[Element]:
    """Yield what should be seen of a process: nodes, flows, data and notes of every depth, and its lanes."""
    for element in scope.iterdescendants(f"{{{BPMN}}}*"):
        if split(element)[1] in _DRAWN:
            yield element


def _pools(file: File) -> dict[str, Box]:
    """Return {process id: the box of its pool}."""
    shapes = file.picture.shapes()
    return {
        (pool.get("processRef") or "").rpartition(":")[2]: shapes[id_].box
        for pool in file.root.iter(f"{{{BPMN}}}participant")
        if (id_ := pool.get("id") or "") in shapes
    }


def _inside(
    scope: Element, around: Box | None, shapes: dict[str, Shape], picture: Picture
) -> Iterator[Spot]:
    nodes = [element for element in children(scope) if element.get("id") in shapes]
    nodes = [element for element in nodes if split(element)[1] != "group"]
    yield from _overlaps(nodes, shapes)
    for element in nodes:
        own = shapes[element.get("id") or ""]
        if around is not None and split(element)[1] in NODES and not around.holds(own.box):
            yield Spot(
                element,
                "is drawn outside of what it lies in",
                "Move it inside, or make the frame larger.",
            )
        if split(element)[1] == "subProcess":
            yield from _inside(element, own.box if own.is_expanded else None, shapes, picture)


def _overlaps(elements: Sequence[Element], shapes: dict[str, Shape]) -> Iterator[Spot]:
    """Yield each element that lies over an earlier one; an event may lie at the boundary of its activity."""
    placed = [(shapes[id_].box, e) for e in elements if (id_ := e.get("id") or "") in shapes]
    placed.sort(key=lambda item: item[0].x)
    for position, (box, element) in enumerate(placed):
        for other_box, other in placed[position + 1 :]:
            if other_box.x > box.right:
                break
            if box.touches(other_box) and not _belong_together(element, other):
                yield Spot(other, f"is drawn over {label(element)}", "Move one of the two.")


def _belong_together(one: Element, other: Element) -> bool:
    return one.get("attachedToRef") == other.get("id") or other.get("attachedToRef") == one.get(
        "id"
    )
