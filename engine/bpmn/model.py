"""The one typed model of a process definition, whichever dialect its file was written in.

`engine.bpmn.read` makes it; lint, diff, templates and the core work on nothing else: what this model does not
know cannot run. Every node and flow keeps the line of its XML element, so that a finding can point at it.

Words are BPMN 2.0.2's. An `Expression` is FEEL when its text started with "=" in the file (the sign is dropped);
a `Template` is what Camunda 8 calls static or FEEL: plain text unless it started with "=".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from engine.frozen import dataclass


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where an element stands: file as given to the reader, 1-based line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Expression:
    """FEEL text without the leading "=", and where it stands."""

    text: str
    position: Position


@dataclass(frozen=True, kw_only=True)
class Template:
    """Plain text, or FEEL when `is_feel`."""

    text: str
    is_feel: bool
    position: Position


@dataclass(frozen=True, kw_only=True)
class Mapping_:
    """One line of an input/output mapping: `target` (a variable name) = value of `source`."""

    target: str
    source: Expression


@dataclass(frozen=True, kw_only=True)
class JobDefinition:
    """How a service task (or send task, script-less business rule task) asks for work."""

    type: Template
    retries: Template | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CalledDecision:
    """`decision_id` names a decision of the bundle; its value goes to variable `result_variable`."""

    decision_id: Template
    result_variable: str


@dataclass(frozen=True, kw_only=True)
class CalledElement:
    """Process to start as a child instance; the flags are Camunda 8's propagateAll…Variables."""

    process_id: Template
    propagate_all_parent: bool = True
    propagate_all_child: bool = True


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Multi-instance: `input_collection` is FEEL giving a list; outputs are collected in item order."""

    sequential: bool
    input_collection: Expression
    input_element: str = ""
    output_collection: str = ""
    output_element: Expression | None = None
    completion_condition: Expression | None = None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy at an exclusive gateway: Rego `package`, and FEEL that makes its input (None: all variables)."""

    package: str
    input: Expression | None = None
    position: Position


# --- event definitions ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Timer:
    """ISO 8601 text or FEEL. `cycle` repeats (`R3/PT1H`, or cron is refused)."""

    kind: Literal["date", "duration", "cycle"]
    value: Template


@dataclass(frozen=True, kw_only=True)
class Message:
    """`name` is fixed or FEEL; `correlation_key` is FEEL (None on a process start event)."""

    name: Template
    correlation_key: Expression | None = None


@dataclass(frozen=True, kw_only=True)
class Signal:
    name: Template


@dataclass(frozen=True, kw_only=True)
class Error:
    """`code` None catches every code; when it is thrown, `expression` may give it instead."""

    code: str | None
    name: str = ""
    expression: Expression | None = None


@dataclass(frozen=True, kw_only=True)
class Escalation:
    """As Error."""

    code: str | None
    name: str = ""
    expression: Expression | None = None


@dataclass(frozen=True, kw_only=True)
class Conditional:
    condition: Expression


@dataclass(frozen=True, kw_only=True)
class Terminate:
    pass


@dataclass(frozen=True, kw_only=True)
class Compensate:
    activity: str | None = None


Trigger = Timer | Message | Signal | Error | Escalation | Conditional | Terminate | Compensate


# --- flow nodes -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FlowNode:
    """What every node has. `incoming`/`outgoing` hold sequence-flow ids in document order."""

    id: str
    name: str = ""
    position: Position
    documentation: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    incoming: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and id as a person would say them: `"Run tests" (Task_run)`."""
        return f'"{self.name}" ({self.id})' if self.name else self.id


@dataclass(frozen=True, kw_only=True)
class StartEvent(FlowNode):
    trigger: Trigger | None = None
    interrupting: bool = True
    outputs: tuple[Mapping_, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EndEvent(FlowNode):
    trigger: Trigger | None = None
    job: JobDefinition | None = None
    inputs: tuple[Mapping_, ...] = ()
    outputs: tuple[Mapping_, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CatchEvent(FlowNode):
    trigger: Trigger
    outputs: tuple[Mapping_, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ThrowEvent(FlowNode):
    trigger: Trigger | None = None
    job: JobDefinition | None = None
    inputs: tuple[Mapping_, ...] = ()
    outputs: tuple[Mapping_, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BoundaryEvent(FlowNode):
    trigger: Trigger
    attached_to: str
    interrupting: bool = True
    outputs: tuple[Mapping_, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Activity(FlowNode):
    """What can carry boundary events, mappings and a loop."""

    inputs: tuple[Mapping_, ...] = ()
    outputs: tuple[Mapping_, ...] = ()
    loop: Loop | None = None


@dataclass(frozen=True, kw_only=True)
class PassTask(Activity):
    """An undefined or manual task: passes at once."""


@dataclass(frozen=True, kw_only=True)
class ServiceTask(Activity):
    """Leaves a job (send tasks and job-backed business rule and script tasks too)."""

    job: JobDefinition


@dataclass(frozen=True, kw_only=True)
class BusinessRuleTask(Activity):
    decision: CalledDecision


@dataclass(frozen=True, kw_only=True)
class UserTask(Activity):
    """Waits for a person. Assignment texts are kept as written; `form` is the form id or key."""

    assignee: Template | None = None
    candidate_groups: Template | None = None
    candidate_users: Template | None = None
    due_date: Template | None = None
    follow_up_date: Template | None = None
    form: str = ""


@dataclass(frozen=True, kw_only=True)
class ReceiveTask(Activity):
    message: Message


@dataclass(frozen=True, kw_only=True)
class CallActivity(Activity):
    called: CalledElement


@dataclass(frozen=True, kw_only=True)
class SubProcess(Activity):
    """Embedded, or an event sub-process when `triggered_by_event`."""

    scope: Scope
    triggered_by_event: bool = False


@dataclass(frozen=True, kw_only=True)
class ExclusiveGateway(FlowNode):
    default: str | None = None
    policy: Policy | None = None


@dataclass(frozen=True, kw_only=True)
class InclusiveGateway(FlowNode):
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class ParallelGateway(FlowNode):
    pass


@dataclass(frozen=True, kw_only=True)
class EventBasedGateway(FlowNode):
    pass


Node = (
    StartEvent
    | EndEvent
    | CatchEvent
    | ThrowEvent
    | BoundaryEvent
    | PassTask
    | ServiceTask
    | BusinessRuleTask
    | UserTask
    | ReceiveTask
    | CallActivity
    | SubProcess
    | ExclusiveGateway
    | InclusiveGateway
    | ParallelGateway
    | EventBasedGateway
)


@dataclass(frozen=True, kw_only=True)
class SequenceFlow:
    id: str
    name: str = ""
    source: str
    target: str
    condition: Expression | None = None
    position: Position


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Nodes and flows of a process or sub-process, by id, in document order."""

    nodes: Mapping[str, Node]
    flows: Mapping[str, SequenceFlow]


@dataclass(frozen=True, kw_only=True)
class Process:
    """One executable process definition."""

    id: str
    name: str = ""
    executable: bool = True
    scope: Scope
    position: Position
    properties: Mapping[str, str] = field(default_factory=dict)
    version_tag: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file: its processes in document order, and its pools (participant name → process id)."""

    file: str
    processes: tuple[Process, ...]
    participants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """One thing to tell a designer. `rule` is also the name of its documentation page."""

    file: str
    line: int
    severity: Literal["error", "warning", "info"]
    rule: str
    element: str
    message: str
    hint: str = ""
    column: int = 0  #: from 1; 0 when the line says enough

    def __str__(self) -> str:
        said = self.message if self.message.endswith((".", "?", "!")) else f"{self.message}."
        hint = f" {self.hint}" if self.hint else ""
        column = f":{self.column}" if self.column else ""
        return f"{self.file}:{self.line}{column}: {self.severity}: {said}{hint} [{self.rule}]"
