"""What a rule of lint is: a name, a severity, and a function from a case to what it found. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from typing import Literal

from engine.bpmn.checks import scopes
from engine.bpmn.lint.graph import Graph
from engine.bpmn.model import Finding, FlowNode, Process, SequenceFlow, SubProcess
from engine.bpmn.picture import Picture, read_picture
from engine.bpmn.texts import owner_id
from engine.bpmn.xml import Element, label, line
from engine.frozen import dataclass

__all__ = [
    "Case",
    "File",
    "FileRule",
    "Found",
    "Outputs",
    "Rule",
    "Severity",
    "Spot",
    "Surroundings",
    "flow_label",
]

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a decision can answer: {output name, "" for a single one: texts it can be}.

    An output that is not in the map can be anything.
    """

    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a process is seen together with: what it names, and others know."""

    gives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: {job type: variables its handler answers with}; a type that is not here can answer anything
    decisions: Mapping[str, Outputs] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Case:
    """One process, and all its scopes as graphs."""

    process: Process
    surroundings: Surroundings

    @cached_property
    def scopes(self) -> tuple[tuple[SubProcess | None, Graph], ...]:
        """Return (sub-process or None for the process itself, graph), outermost first."""
        return tuple((owner, Graph.of(scope)) for owner, scope in scopes(self.process))

    @property
    def graphs(self) -> Iterator[Graph]:
        return (graph for _, graph in self.scopes)

    def nodes(self) -> Iterator[FlowNode]:
        """Yield the nodes of every scope."""
        for graph in self.graphs:
            yield from graph.scope.nodes.values()


@dataclass(frozen=True)
class Found:
    """One thing that a rule found at `place`; `severity` overrides the rule's."""

    place: FlowNode | SequenceFlow | Process
    message: str
    hint: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """`name` is also the heading of the section that documents it."""

    name: str
    severity: Severity
    check: Callable[[Case], Iterator[Found]]

    def findings(self, case: Case) -> Iterator[Finding]:
        """Yield the findings of this rule about one process."""
        for found in self.check(case):
            position = found.place.position
            yield Finding(
                file=position.file,
                line=position.line,
                severity=found.severity or self.severity,
                rule=self.name,
                element=found.place.id,
                message=f"{_label(found.place)}: {found.message}",
                hint=found.hint,
            )


@dataclass(frozen=True, eq=False)
class File:
    """One file as it was drawn: `name` as in findings, `root` its outermost element."""

    name: str
    root: Element

    @cached_property
    def picture(self) -> Picture:
        return read_picture(self.root)


@dataclass(frozen=True)
class Spot:
    """One thing that a rule about a file found at `element`."""

    element: Element
    message: str
    hint: str


@dataclass(frozen=True)
class FileRule:
    """As Rule, about one file."""

    name: str
    severity: Severity
    check: Callable[[File], Iterator[Spot]]

    def findings(self, file: File) -> Iterator[Finding]:
        """Yield the findings of this rule about one file."""
        for spot in self.check(file):
            yield Finding(
                file=file.name,
                line=line(spot.element),
                severity=self.severity,
                rule=self.name,
                element=owner_id(spot.element),
                message=f"{label(spot.element)}: {spot.message}",
                hint=spot.hint,
            )


def flow_label(flow: SequenceFlow) -> str:
    """Return a flow's name and id as a person would say them."""
    return f'flow "{flow.name}" ({flow.id})' if flow.name else f"flow {flow.id}"


def _label(place: FlowNode | SequenceFlow | Process) -> str:
    match place:
        case FlowNode():
            return place.label
        case SequenceFlow():
            return flow_label(place)
        case Process():
            return f"process {place.id}"
