"""What helps a designer to understand a scenario that does not hold: where it stopped, names that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from engine.bpmn.model import EndEvent, ServiceTask, ThrowEvent
from engine.core.definitions import Definitions
from engine.core.model import (
    Event,
    IncidentCancelled,
    IncidentRaised,
    IncidentResolved,
    Json,
)
from engine.core.process import Step
from engine.core.scenario import Scenario

_IDS = ("path", "open", "ignore", "end")


def notes(scenario: Scenario, definitions: Definitions, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return one sentence for what is open, each incident, each unknown element and job type that no task asks for."""
    return (
        *_open(steps),
        *_incidents(steps),
        *_unknown_elements(scenario, definitions),
        *_unknown_jobs(scenario, definitions),
    )


def _open(steps: Sequence[Step]) -> Iterator[str]:
    last = {step.instance.id: step.instance for step in steps}
    active = [
        id_ for instance in last.values() if instance.state == "active" for id_ in instance.active
    ]
    if active:
        yield f"not finished: {', '.join(dict.fromkeys(active))}"


def _incidents(steps: Sequence[Step]) -> Iterator[str]:
    raised: dict[tuple[str, str], IncidentRaised] = {}
    for step in steps:
        last = [*step.instance.facts()][-1]
        if isinstance(last, IncidentResolved):
            raised.pop((step.instance.id, last.incident), None)
        for event in step.events:
            _note(raised, step.instance.id, event)
    for event in raised.values():
        yield f"incident {event.code}: {event.message}"


def _note(raised: dict[tuple[str, str], IncidentRaised], instance: str, event: Event) -> None:
    if isinstance(event, IncidentRaised):
        raised[instance, event.incident] = event
    elif isinstance(event, IncidentCancelled):
        raised.pop((instance, event.incident), None)


def _unknown_elements(scenario: Scenario, definitions: Definitions) -> Iterator[str]:
    known = {id_ for process in definitions.processes.values() for id_ in process.elements}
    for name in dict.fromkeys(_elements(scenario)):
        if name not in known:
            yield f'"{name}" is no element of the diagram{_meant(name, known)}'


def _elements(scenario: Scenario) -> Iterator[str]:
    """Yield every element id that the scenario names."""
    for fact in scenario.facts:
        yield from _texts([fact.get("complete"), fact.get("verdict")])
        yield from _texts(fact.get("check"))
    for key in _IDS:
        yield from _texts(scenario.expect.get(key))
    counts = scenario.expect.get("counts")
    yield from counts if isinstance(counts, Mapping) else ()


def _texts(value: Json) -> list[str]:
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, str)]


def _unknown_jobs(scenario: Scenario, definitions: Definitions) -> Iterator[str]:
    known = set()
    for process in definitions.processes.values():
        for element in process.elements.values():
            node = element.node
            job = node.job if isinstance(node, ServiceTask | ThrowEvent | EndEvent) else None
            if job is not None:
                if job.type.is_feel:
                    return  # any type may be asked for
                known.add(job.type.text)
    named = [*scenario.jobs, *(str(fact["job"]) for fact in scenario.facts if "job" in fact)]
    for name in dict.fromkeys(named):
        if name not in known:
            yield f'no task of the diagram has the type "{name}"{_meant(name, known)}'


def _meant(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(sorted(known)[:12])}" if known else ""
