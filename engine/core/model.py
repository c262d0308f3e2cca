"""Values of the core: facts come from outside, events are what they cause, a step is both with the new instance.

Invariants
- Everything here is a frozen value; equal facts on equal instances give equal steps.
- Identities are stable on replay. An instance is named by the path that leads to it (`0`, then
  `0.Call_wave#1[2]` for the third child of the first visit of element `Call_wave`). A job, timer, user task,
  verdict request or incident is named `{element_id}#{visit}` or, for jobs, `{element_id}#{visit}.{attempt}`
  inside its instance; the key that leaves the core is `{run}/{instance}/{that}`.
- Time is in facts only. `at` is an aware UTC datetime.
- A field with `compare=False` is derived: it follows from facts and definitions, is not recorded and not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from engine.frozen import dataclass

Json = None | bool | int | Decimal | str | Sequence["Json"] | Mapping[str, "Json"]
Variables = Mapping[str, Json]

RunId = NewType("RunId", str)
InstanceId = NewType("InstanceId", str)
Key = NewType("Key", str)

ROOT_INSTANCE = InstanceId("0")


class Outcome(StrEnum):
    """The only three results a check, gate or plugin may have; `na` always carries a reason code."""

    OK = "ok"
    FAILED = "failed"
    NA = "na"


class Ruling(StrEnum):
    """What a policy said. Only `pass` opens."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    UNDEFINED = "undefined"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a policy denied: stable `code`, a sentence, and where it looked (JSON pointer, `file:line`)."""

    code: str
    message: str
    path: str = ""
    location: str = ""


@dataclass(frozen=True, kw_only=True)
class Waived:
    """A denial that did not count because of waiver `waiver` (its id)."""

    code: str
    message: str
    waiver: str
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of one policy for one input. `bundle` is the digest of the Rego text that judged."""

    ruling: Ruling
    reasons: tuple[Reason, ...] = ()
    waived: tuple[Waived, ...] = ()  #: denials that valid waivers took away
    engine: str = ""  #: name and version of what evaluated, e.g. "regorus 0.13.0"
    bundle: str = ""
    duration_us: int = 0  #: observed; not part of what replay compares

    def variables(self) -> Variables:
        """Return {verdict, reasons[{code, message, path, location}]}, as conditions behind a gateway see it."""
        reasons: list[Json] = [
            {
                "code": reason.code,
                "message": reason.message,
                "path": reason.path,
                "location": reason.location,
            }
            for reason in self.reasons
        ]
        return {"verdict": self.ruling.value, "reasons": reasons}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt failed. `class_` is the word that tables see: timeout, exit, crash, exception…"""

    message: str
    class_: str = "exception"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One waiting activation of a service task."""

    key: Key  #: "{run}/{instance}/{element_id}#{visit}.{attempt}"; the idempotency key
    type: str  #: "area.verb_object"; resolved by Handlers
    element: str
    visit: int
    attempt: int  #: 1 for the first
    retries: int  #: attempts left, this one included
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: Variables = field(
        default_factory=dict
    )  #: its own scope: what mappings and the loop gave it
    variables: Variables = field(
        default_factory=dict, compare=False
    )  #: all it can see, its inputs among them

    @property
    def local_key(self) -> str:
        """Its key inside its instance: `{element}#{visit}.{attempt}`."""
        return f"{self.element}#{self.visit}.{self.attempt}"


# --- facts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What happened outside, and when."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class InstanceStarted(Fact):
    """First fact of every instance. `parent` is "" for the root, and for what a message or a signal has started."""

    process: str
    variables: Variables = field(default_factory=dict)
    parent: str = ""
    start_event: str = ""  #: id when not the none start event
    message: str = ""  #: id of the message that started it
    key: str = ""  #: correlation key of that message


@dataclass(frozen=True, kw_only=True)
class JobCompleted(Fact):
    job: str  #: local key "{element}#{visit}.{attempt}"
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JobFailed(Fact):
    """An attempt failed; the core decides by retries left: another attempt or an incident."""

    job: str
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class BpmnErrorThrown(Fact):
    job: str
    code: str
    message: str = ""
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TimerFired(Fact):
    timer: str


@dataclass(frozen=True, kw_only=True)
class UserTaskCompleted(Fact):
    task: str
    variables: Variables = field(default_factory=dict)
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class MessageCorrelated(Fact):
    """A published message has reached the subscription; `message` is the id it was published under."""

    subscription: str
    name: str
    variables: Variables = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class SignalBroadcast(Fact):
    name: str
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VerdictGiven(Fact):
    request: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ChildEnded(Fact):
    """A child instance has ended. `state` is completed, failed (BPMN error `code`) or cancelled."""

    child: InstanceId
    state: str
    variables: Variables = field(default_factory=dict)
    code: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class ChildEscalated(Fact):
    child: InstanceId
    code: str
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class IncidentResolved(Fact):
    """A person mended what was wrong; the element is tried again with `variables` set first."""

    incident: str
    variables: Variables = field(default_factory=dict)
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class VariablesSet(Fact):
    variables: Variables
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class InstanceCancelled(Fact):
    reason: str
    by: str = ""


# --- events -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a fact caused."""


@dataclass(frozen=True, kw_only=True)
class ElementActivated(Event):
    """`body`: the multi-instance activity as a whole; each of its items is an element instance of its own
    (for a call activity: a child instance)."""

    element: str
    visit: int
    body: bool = False


@dataclass(frozen=True, kw_only=True)
class ElementCompleted(Event):
    """`flows` names the sequence flows taken, for gateways only; `body` as in ElementActivated."""

    element: str
    visit: int
    flows: tuple[str, ...] = ()
    body: bool = False


@dataclass(frozen=True, kw_only=True)
class ElementTerminated(Event):
    element: str
    visit: int
    body: bool = False


@dataclass(frozen=True, kw_only=True)
class JobCreated(Event):
    job: Job


@dataclass(frozen=True, kw_only=True)
class JobCancelled(Event):
    job: str


@dataclass(frozen=True, kw_only=True)
class UserTaskCreated(Event):
    task: str
    name: str
    assignee: str = ""
    candidate_groups: str = ""
    candidate_users: str = ""
    due: str = ""
    follow_up: str = ""  #: when somebody should begin with it; it may be completed before
    form: str = ""
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class UserTaskCancelled(Event):
    task: str


@dataclass(frozen=True, kw_only=True)
class TimerScheduled(Event):
    timer: str
    due: datetime


@dataclass(frozen=True, kw_only=True)
class TimerCancelled(Event):
    timer: str


@dataclass(frozen=True, kw_only=True)
class MessageSubscribed(Event):
    """Waits for a message of that name and key (text, whatever its type was); see `engine.core.messages`."""

    subscription: str
    name: str
    correlation_key: str


@dataclass(frozen=True, kw_only=True)
class MessageUnsubscribed(Event):
    subscription: str


@dataclass(frozen=True, kw_only=True)
class SignalThrown(Event):
    name: str
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VerdictRequested(Event):
    request: str
    element: str
    package: str
    input: Json


@dataclass(frozen=True, kw_only=True)
class VerdictCancelled(Event):
    """The gateway was interrupted before its verdict came."""

    request: str


@dataclass(frozen=True, kw_only=True)
class DecisionEvaluated(Event):
    """`record` is the explanation: inputs, matched rule ids, outputs, intermediate decisions, warnings."""

    element: str
    visit: int
    decision: str
    definition: str  #: digest of the DMN file
    record: Json
    value: Json


@dataclass(frozen=True, kw_only=True)
class ChildRequested(Event):
    child: InstanceId
    process: str
    element: str
    variables: Variables = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class ChildCancelled(Event):
    child: InstanceId


@dataclass(frozen=True, kw_only=True)
class EscalationThrown(Event):
    """No scope of this instance caught it; the parent may."""

    code: str
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class IncidentRaised(Event):
    """Needs a person. `code` is stable: JOB_FAILED, CONDITION_NULL, NO_FLOW, UNHANDLED_ERROR, MAPPING…"""

    incident: str
    element: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class IncidentCancelled(Event):
    """The element in the incident was interrupted: nobody needs to act any more."""

    incident: str


@dataclass(frozen=True, kw_only=True)
class InstanceEnded(Event):
    """`state` is completed, failed (uncaught BPMN error `code`) or cancelled."""

    state: str
    end_event: str = ""
    variables: Variables = field(default_factory=dict)
    code: str = ""
    message: str = ""
