"""Short ways to make definitions, start instances and give them facts, for the tests of the core."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from engine.core.definitions import Definitions
from engine.core.model import (
    ROOT_INSTANCE,
    ElementCompleted,
    Event,
    InstanceId,
    InstanceStarted,
    JobCompleted,
    Json,
    RunId,
)
from engine.core.process import Instance, Step, advance, start
from tests.core.drawing import draw, draw_all

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = RunId("run-1")


def at(**later: float) -> datetime:
    """Return the time so much after NOON, e.g. at(minutes=5)."""
    return NOON + timedelta(**later)


def bundle(text: str | dict[str, str], **files: bytes) -> Definitions:
    """Return a bundle of one drawing (process `p`), or of {process: drawing}; more files as name_ending=content."""
    xml = draw(text) if isinstance(text, str) else draw_all(text)
    more = {".".join(name.rsplit("_", 1)): content for name, content in files.items()}
    return Definitions.load({"p.bpmn": xml, **more})


def begin(
    definitions: Definitions, variables: Mapping[str, Json] | None = None, *, parent: str = ""
) -> Step:
    """Start process `p` at NOON, as the root or as a child of `parent`."""
    fact = InstanceStarted(at=NOON, process="p", variables=variables or {}, parent=parent)
    instance = InstanceId(f"{parent}.Call#1") if parent else ROOT_INSTANCE
    return start(definitions, RUN, instance, fact)


def done(
    definitions: Definitions,
    instance: Instance,
    job: str,
    variables: Mapping[str, Json] | None = None,
) -> Step:
    """Complete a job at NOON."""
    fact = JobCompleted(at=NOON, job=job, variables=variables or {})
    return advance(definitions, instance, fact)


def completed(events: tuple[Event, ...]) -> list[str]:
    """Return the elements that completed."""
    return [event.element for event in events if isinstance(event, ElementCompleted)]
