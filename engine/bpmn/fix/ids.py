"""Elements without an id get one. Pure."""

from __future__ import annotations

from typing import Final

from engine.bpmn.dialect import NODES
from engine.bpmn.fix.tags import Source
from engine.bpmn.xml import BPMN, label, split

__all__ = ["missing_ids"]

NEEDED: Final = NODES | {
    "process",
    "sequenceFlow",
    "participant",
    "lane",
    "message",
    "signal",
    "error",
    "escalation",
}


def missing_ids(source: Source) -> list[str]:
    """Give an id to every element that needs one: its kind and the first number that is free."""
    taken = {element.get("id") for element in source.root.iter() if element.get("id")}
    said = []
    for element in source.root.iter(f"{{{BPMN}}}*"):
        kind = split(element)[1]
        if kind not in NEEDED or element.get("id"):
            continue
        stem = kind[0].upper() + kind[1:]
        number = next(n for n in range(1, len(taken) + 2) if f"{stem}_{n}" not in taken)
        made = f"{stem}_{number}"
        taken.add(made)
        source.put(element, "id", made)
        said.append(f"{label(element)} has the id {made}")
    return said
