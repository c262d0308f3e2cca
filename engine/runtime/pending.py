"""What open instances wait for, folded from their recorded turns: jobs, timers, people, verdicts, children.

The conductor keeps it for the instances it carries; commands that only look fold it from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime

from engine.core.model import (
    ROOT_INSTANCE,
    BpmnErrorThrown,
    ChildCancelled,
    ChildEnded,
    ChildRequested,
    DecisionEvaluated,
    Event,
    Fact,
    IncidentCancelled,
    IncidentRaised,
    IncidentResolved,
    InstanceEnded,
    InstanceStarted,
    Job,
    JobCancelled,
    JobCompleted,
    JobCreated,
    JobFailed,
    MessageCorrelated,
    MessageSubscribed,
    MessageUnsubscribed,
    TimerCancelled,
    TimerFired,
    TimerScheduled,
    UserTaskCancelled,
    UserTaskCompleted,
    UserTaskCreated,
    Variables,
    VerdictCancelled,
    VerdictGiven,
    VerdictRequested,
)
from engine.frozen import dataclass
from engine.store import Store


def root_end(store: Store, run: str) -> InstanceEnded | None:
    """Return how the root instance of `run` ended, from its recorded turns; None while it is open."""
    turns = reversed(store.facts(run, ROOT_INSTANCE))
    events = (event for turn in turns for event in turn.events)
    return next((event for event in events if isinstance(event, InstanceEnded)), None)


@dataclass
class Open:
    """What an instance waits for; folded from its events, so that a rebuilt instance knows it again."""

    process: str
    parent: str = ""
    task: str = ""  #: task of the task graph that the instance works on
    label: str = ""  #: what people call it: its task, or its wave
    jobs: dict[str, Job] = field(default_factory=dict)
    timers: dict[str, datetime] = field(default_factory=dict)
    tasks: dict[str, UserTaskCreated] = field(default_factory=dict)
    verdicts: dict[str, VerdictRequested] = field(default_factory=dict)
    children: dict[str, ChildRequested] = field(default_factory=dict)
    incidents: dict[str, IncidentRaised] = field(default_factory=dict)
    messages: dict[str, MessageSubscribed] = field(default_factory=dict)
    decided: DecisionEvaluated | None = None  #: what a table said last

    def apply(self, fact: Fact, events: Sequence[Event]) -> None:
        """Fold one turn: what the fact answered is closed, what the events ask for is open."""
        match fact:
            case InstanceStarted(variables=variables):
                self.task = task_of(variables)
                self.label = self.task or _wave_of(variables)
            case JobCompleted(job=key) | JobFailed(job=key) | BpmnErrorThrown(job=key):
                self.jobs.pop(key, None)
            case TimerFired(timer=key):
                self.timers.pop(key, None)
            case UserTaskCompleted(task=key):
                self.tasks.pop(key, None)
            case VerdictGiven(request=key):
                self.verdicts.pop(key, None)
            case ChildEnded(child=key):
                self.children.pop(key, None)
            case IncidentResolved(incident=key):
                self.incidents.pop(key, None)
            case MessageCorrelated(subscription=key):
                self.messages.pop(key, None)
            case _:
                pass
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        match event:
            case JobCreated(job=job):
                self.jobs[local_key(job)] = job
            case JobCancelled(job=key):
                self.jobs.pop(key, None)
            case TimerScheduled(timer=key, due=due):
                self.timers[key] = due
            case TimerCancelled(timer=key):
                self.timers.pop(key, None)
            case UserTaskCreated(task=key):
                self.tasks[key] = event
            case UserTaskCancelled(task=key):
                self.tasks.pop(key, None)
            case VerdictRequested(request=key):
                self.verdicts[key] = event
            case ChildRequested(child=key):
                self.children[key] = event
            case ChildCancelled(child=key):
                self.children.pop(key, None)
            case VerdictCancelled(request=key):
                self.verdicts.pop(key, None)
            case IncidentRaised(incident=key):
                self.incidents[key] = event
            case IncidentCancelled(incident=key):
                self.incidents.pop(key, None)
            case MessageSubscribed(subscription=key):
                self.messages[key] = event
            case MessageUnsubscribed(subscription=key):
                self.messages.pop(key, None)
            case DecisionEvaluated():
                self.decided = event
            case _:
                pass

    @property
    def rests(self) -> bool:
        """Whether it waits for timers and for nothing else."""
        others = (
            self.jobs,
            self.tasks,
            self.verdicts,
            self.children,
            self.incidents,
            self.messages,
        )
        return bool(self.timers) and not any(others)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Something only a person or another system can give: a user task, a decision about an incident, a message."""

    instance: str
    element: str
    key: str
    kind: str  #: approval, incident, message, or event: a signal or a condition
    text: str
    task: str = ""  #: task of the task graph that the instance works on
    assignee: str = ""
    groups: str = ""
    due: str = ""
    follow_up: str = ""
    form: str = ""
    variables: Variables = field(default_factory=dict)

    def is_named(self, name: str) -> bool:
        """Return whether a person may mean this by `name`: element, key, instance/key or task."""
        return name in {self.element, self.key, f"{self.instance}/{self.key}"} or (
            name == self.task != ""
        )


@dataclass(frozen=True, kw_only=True)
class Rest:
    """An instance that waits for a timer of its process, and what a table said last before it: why, as a rule."""

    instance: str
    element: str
    task: str
    until: datetime
    decision: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """`waits at Cool_down until 2026-11-21 14:03:07 UTC: circuit_breaker: 5 failures of …`."""
        why = "".join(f": {part}" for part in (self.decision, self.reason) if part)
        return f"waits at {self.element} until {self.until:%Y-%m-%d %H:%M:%S} UTC{why}"


def resting_in(instances: Mapping[str, Open]) -> tuple[Rest, ...]:
    """Return the instances that wait for a timer alone, the earliest first."""
    found = [_rest(name, opened) for name, opened in instances.items() if opened.rests]
    return tuple(sorted(found, key=lambda rest: (rest.until, rest.instance)))


def _rest(instance: str, opened: Open) -> Rest:
    key, until = min(opened.timers.items(), key=lambda timer: timer[1])
    said = opened.decided.value if opened.decided else None
    return Rest(
        instance=instance,
        element=key.partition("#")[0],
        task=opened.task,
        until=until,
        decision=opened.decided.decision if opened.decided else "",
        reason=str(said.get("reason") or "") if isinstance(said, Mapping) else "",
    )


def waiting_in(instances: Mapping[str, Open]) -> tuple[Waiting, ...]:
    """Return what only people or other systems can go on with, in the order of the instances."""
    return tuple(
        item
        for instance, opened in instances.items()
        for item in (
            *_approvals(instance, opened),
            *_incidents(instance, opened),
            *_messages(instance, opened),
        )
    )


def look(store: Store, run: str) -> dict[str, Open]:
    """Return what every open instance of `run` waits for, as its recorded turns say; {instance: Open}."""
    found: dict[str, Open] = {}
    for row in store.open_instances(run):
        opened = Open(process=row.process, parent=row.parent)
        for turn in store.facts(run, row.instance):
            opened.apply(turn.fact, turn.events)
        found[row.instance] = opened
    return found


def _messages(instance: str, opened: Open) -> list[Waiting]:
    return [
        Waiting(
            instance=instance,
            element=key.partition("#")[0],
            key=key,
            kind="message",
            text=f"{event.name} for key {event.correlation_key}"
            if event.correlation_key
            else event.name,
            task=opened.task,
        )
        for key, event in opened.messages.items()
    ]


def task_of(variables: Variables) -> str:
    """Return the id of the task that an instance with these variables works on, or ""."""
    task = variables.get("task")
    identifier = task.get("id") if isinstance(task, Mapping) else None
    return identifier if isinstance(identifier, str) else ""


def _wave_of(variables: Variables) -> str:
    wave = variables.get("wave")
    return f"wave {wave.get('number')}" if isinstance(wave, Mapping) else ""


def _approvals(instance: str, opened: Open) -> list[Waiting]:
    return [
        Waiting(
            instance=instance,
            element=key.partition("#")[0],
            key=key,
            kind="approval",
            text=task.name,
            task=opened.task,
            assignee=task.assignee,
            groups=task.candidate_groups,
            due=task.due,
            follow_up=task.follow_up,
            form=task.form,
            variables=task.variables,
        )
        for key, task in opened.tasks.items()
    ]


def _incidents(instance: str, opened: Open) -> list[Waiting]:
    return [
        Waiting(
            instance=instance,
            element=incident.element,
            key=key,
            kind="incident",
            text=f"{incident.code}: {incident.message}",
            task=opened.task,
        )
        for key, incident in opened.incidents.items()
    ]


def local_key(job: Job) -> str:
    """Return the job's key inside its instance: `{element}#{visit}.{attempt}`."""
    return job.local_key
