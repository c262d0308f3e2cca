"""A virtual world around the core: clock, people, other systems. Process tests play their scenarios in it. Pure.

Facts are taken one after the other; what an event asks for (a job's answer, a child's start, a timer that is due)
is queued behind what is there already, so that answers come in the order in which they were asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime

from engine.bpmn.model import CatchEvent, EventBasedGateway, ReceiveTask
from engine.core.compiled import first_event
from engine.core.definitions import Definitions
from engine.core.messages import Message, PostOffice
from engine.core.model import (
    ROOT_INSTANCE,
    BpmnErrorThrown,
    ChildCancelled,
    ChildEnded,
    ChildEscalated,
    ChildRequested,
    ElementCompleted,
    EscalationThrown,
    Event,
    Fact,
    Failure,
    IncidentRaised,
    InstanceCancelled,
    InstanceEnded,
    InstanceId,
    InstanceStarted,
    Job,
    JobCancelled,
    JobCompleted,
    JobCreated,
    JobFailed,
    Json,
    MessageSubscribed,
    MessageUnsubscribed,
    Ruling,
    RunId,
    SignalBroadcast,
    SignalThrown,
    TimerFired,
    TimerScheduled,
    UserTaskCompleted,
    Variables,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.process import Instance, Step, advance, start
from engine.core.timing import Span
from engine.frozen import dataclass

Judge = Callable[[str, Json, datetime], Verdict]
Watch = Callable[[Step], None]


@dataclass(frozen=True)
class Throw:
    """The job throws this BPMN error with these variables."""

    code: str
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True)
class Fail:
    """The next `attempts` attempts of the job fail."""

    attempts: int


Answer = Variables | Throw | Fail | None


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of it. `end` is None while the root instance has not ended."""

    end: str | None
    variables: Variables
    path: tuple[str, ...]  #: completed elements; a multi-instance activity once, as a whole
    path_by_item: tuple[str, ...]  #: the same with such an activity once for each of its items
    jobs: Mapping[str, int]  #: {job type: jobs created}
    open: tuple[str, ...]
    incidents: tuple[str, ...]  #: "code: message" of those that are open


@dataclass
class _Task:
    """One job over all its attempts."""

    instance: InstanceId
    type: str
    key: str  #: of the current attempt
    state: str = "open"  #: open, answered, cancelled
    failing: int = 0  #: attempts that are still to fail


class Player:
    """Instances of one bundle under a virtual clock; `held_back` names gateways whose verdict a person gives.

    `watch` sees every step that was taken.
    """

    def __init__(
        self,
        definitions: Definitions,
        *,
        now: datetime,
        answers: Mapping[str, Sequence[Answer]],
        judge: Judge | None = None,
        held_back: Sequence[str] = (),
        watch: Watch | None = None,
    ) -> None:
        self._definitions = definitions
        self._now = now
        self._answers = {name: deque(given) for name, given in answers.items()}
        self._judge = judge
        self._held_back = list(held_back)
        self._watch = watch
        self._queue: deque[tuple[InstanceId, Fact]] = deque()
        self._instances: dict[InstanceId, Instance] = {}
        self._parents: dict[InstanceId, InstanceId] = {}
        self._items: dict[InstanceId, str] = {}  # children of multi-instance call activities
        self._tasks: list[_Task] = []
        self._timers: list[tuple[datetime, InstanceId, str]] = []
        self._office = PostOffice(definitions.doors)
        self._published = 0
        self._reasons: dict[tuple[InstanceId, str], str] = {}
        self._path: list[str] = []
        self._path_by_item: list[str] = []
        self._end: str | None = None

    def start(self, process: str, variables: Variables) -> None:
        """Start the root instance and let it go as far as it can."""
        fact = InstanceStarted(
            at=self._now,
            process=process,
            variables=variables,
            start_event=first_event(self._definitions.process(process)),
        )
        self._queue.append((ROOT_INSTANCE, fact))
        self._settle()

    # ---- what happens

    def answer(self, job_type: str, nth: int | None, answer: Answer) -> str:
        """Answer the nth job of a type, or its oldest open one; return why that is not possible."""
        task = self._find(job_type, nth, "open")
        if task is None:
            return self._no_job(job_type, nth, "open")
        self._give(task, answer)
        self._settle()
        return ""

    def answer_late(self, job_type: str, nth: int | None, variables: Variables) -> str:
        """Answer a job that was cancelled; return why when it was not, or when the answer has an effect."""
        task = self._find(job_type, nth, "cancelled")
        if task is None:
            return self._no_job(job_type, nth, "cancelled")
        instance = self._instances[task.instance]
        fact = JobCompleted(at=self._now, job=task.key, variables=variables)
        step = advance(self._definitions, instance, fact)
        return "" if step.ignored else "the late answer was accepted"

    def complete(self, element: str, variables: Variables) -> str:
        """A person completes the oldest open user task of that id; return why that is not possible."""
        for instance in self._instances.values():
            for wait in instance.waiting:
                if wait.kind == "user_task" and wait.element == element:
                    fact = UserTaskCompleted(at=self._now, task=wait.key, variables=variables)
                    self._queue.append((instance.id, fact))
                    self._settle()
                    return ""
        return f"no user task {element} is open; waiting: {', '.join(self.waiting()) or 'nothing'}"

    def publish(self, name: str, key: str, variables: Variables, lifetime: Span | None) -> None:
        """Publish a message; it is kept for its lifetime, and lost without one when nobody waits."""
        self._published += 1
        message = Message(
            id=str(self._published),
            name=name,
            key=key,
            variables=variables,
            expires=None if lifetime is None else lifetime.after(self._now),
        )
        for found in self._office.publish(message, self._now):
            self._queue.append((found.instance, found.fact(self._now)))
        self._settle()

    def broadcast(self, name: str, variables: Variables) -> None:
        """Give a signal to every instance, and start what it starts."""
        self._signal(name, variables)
        self._settle()

    def advance(self, duration: Span) -> None:
        """Move the clock; timers fire at their own due times, those that are set on the way too."""
        until = duration.after(self._now)
        while True:
            due = min((timer[0] for timer in self._timers if timer[0] <= until), default=None)
            if due is None:
                break
            self._now = max(self._now, due)
            self._settle()
        self._now = until

    def give_verdict(self, element: str, verdict: Verdict) -> str:
        """Answer the oldest request of a policy gateway; return why that is not possible."""
        if element in self._held_back:
            self._held_back.remove(element)
        for instance in self._instances.values():
            for wait in instance.waiting:
                if wait.kind == "verdict" and wait.element == element:
                    fact = VerdictGiven(at=self._now, request=wait.key, verdict=verdict)
                    self._queue.append((instance.id, fact))
                    self._settle()
                    return ""
        return f"gateway {element} does not wait for a verdict"

    # ---- what is to be seen

    def waiting(self) -> list[str]:
        """Return the elements that wait: jobs, user tasks, catch events, event and policy gateways."""
        found = []
        for instance in self._instances.values():
            elements = self._definitions.process(instance.process).elements
            owners: list[str] = []
            for wait in instance.waiting:
                owner = elements.get(wait.owner)
                if wait.kind in ("job", "user_task", "verdict"):
                    found.append(wait.element)
                elif owner is not None and wait.kind in ("timer", "message", "signal", "condition"):
                    if isinstance(owner.node, EventBasedGateway) and wait.owner not in owners:
                        owners.append(wait.owner)
                    elif wait.owner == wait.element and isinstance(
                        owner.node, CatchEvent | ReceiveTask
                    ):
                        found.append(wait.element)
            found.extend(owners)
        return found

    def played(self) -> Played:
        """Return how things stand now."""
        root = self._instances[ROOT_INSTANCE]
        jobs: dict[str, int] = {}
        for task in self._tasks:
            jobs[task.type] = jobs.get(task.type, 0) + 1
        live = [item for item in self._instances.values() if item.state == "active"]
        incidents = [
            self._reasons[instance.id, wait.key]
            for instance in live
            for wait in instance.waiting
            if wait.kind == "incident"
        ]
        return Played(
            end=self._end,
            variables=root.variables,
            path=tuple(self._path),
            path_by_item=tuple(self._path_by_item),
            jobs=jobs,
            open=tuple(element for instance in live for element in instance.active),
            incidents=tuple(incidents),
        )

    # ---- one turn after the other

    def _settle(self) -> None:
        """Take every queued fact, then fire what is due, until nothing goes on by itself."""
        while True:
            while self._queue:
                self._take(*self._queue.popleft())
            due = [timer for timer in self._timers if timer[0] <= self._now]
            if not due:
                return
            timer = min(due, key=lambda item: item[0])
            self._timers.remove(timer)
            self._queue.append((timer[1], TimerFired(at=self._now, timer=timer[2])))

    def _take(self, instance_id: InstanceId, fact: Fact) -> None:
        if isinstance(fact, InstanceStarted):
            if fact.parent and not self._is_wanted(instance_id, InstanceId(fact.parent)):
                return
            step = start(self._definitions, RunId("test"), instance_id, fact)
        else:
            instance = self._instances.get(instance_id)
            if instance is None:
                return
            step = advance(self._definitions, instance, fact)
            if step.ignored:
                return
        self._instances[instance_id] = step.instance
        if self._watch is not None:
            self._watch(step)
        if isinstance(fact, ChildEnded) and fact.state == "completed" and fact.child in self._items:
            self._path_by_item.append(self._items[fact.child])
        for event in step.events:
            self._follow(step.instance, event)

    def _is_wanted(self, child: InstanceId, parent: InstanceId) -> bool:
        """Return whether the parent has not given up the child before it began."""
        waits = self._instances[parent].waiting
        return any(wait.kind == "child" and wait.key == child for wait in waits)

    def _follow(self, instance: Instance, event: Event) -> None:
        """Let the world answer an event."""
        match event:
            case ElementCompleted():
                self._completed(instance, event)
            case JobCreated(job=job):
                self._job_created(instance.id, job)
            case JobCancelled(job=key):
                for task in self._tasks:
                    if (task.instance, task.key) == (instance.id, key):
                        task.state = "cancelled"
            case TimerScheduled(timer=key, due=due):
                self._timers.append((due, instance.id, key))
            case MessageSubscribed():
                found = self._office.subscribe(instance.id, instance.process, event, self._now)
                if found is not None:
                    self._queue.append((instance.id, found.fact(self._now)))
            case MessageUnsubscribed(subscription=key):
                self._office.unsubscribe(instance.id, key)
            case VerdictRequested():
                self._judge_now(instance.id, event)
            case SignalThrown(name=name, variables=variables):
                self._signal(name, variables)
            case IncidentRaised(incident=key, code=code, message=text):
                self._reasons[instance.id, key] = f"{code}: {text}"
            case _:
                self._follow_family(instance.id, event)

    def _signal(self, name: str, variables: Variables) -> None:
        signal = SignalBroadcast(at=self._now, name=name, variables=variables)
        self._queue.extend((instance, signal) for instance in self._instances)
        for opening in self._office.signalled(name, variables):
            self._queue.append((opening.instance, opening.fact(self._now)))

    def _completed(self, instance: Instance, event: ElementCompleted) -> None:
        element = self._definitions.process(instance.process).elements[event.element]
        if element.loop is None or event.body:
            self._path.append(event.element)
        if element.loop is None or not event.body:
            self._path_by_item.append(event.element)

    def _follow_family(self, instance: InstanceId, event: Event) -> None:
        """Start, end and cancel child instances, and take word to the parent."""
        parent = self._parents.get(instance)
        if isinstance(event, InstanceEnded):
            for opening in self._office.forget(instance, self._now):
                self._queue.append((opening.instance, opening.fact(self._now)))
        match event:
            case ChildRequested(child=child, process=process, variables=variables):
                self._parents[child] = instance
                if child.endswith("]"):
                    self._items[child] = event.element
                fact: Fact = InstanceStarted(
                    at=self._now, process=process, variables=variables, parent=instance
                )
                self._queue.append((child, fact))
            case ChildCancelled(child=child):
                reason = f"cancelled by {instance}"
                self._queue.append((child, InstanceCancelled(at=self._now, reason=reason)))
            case EscalationThrown(code=code, variables=variables) if parent is not None:
                fact = ChildEscalated(at=self._now, child=instance, code=code, variables=variables)
                self._queue.append((parent, fact))
            case InstanceEnded(state=state, variables=variables) if parent is not None:
                fact = ChildEnded(
                    at=self._now,
                    child=instance,
                    state=state,
                    variables=variables,
                    code=event.code,
                    message=event.message,
                )
                self._queue.append((parent, fact))
            case InstanceEnded(end_event=end_event):
                self._end = end_event if instance == ROOT_INSTANCE else self._end
            case _:
                pass

    # ---- jobs

    def _job_created(self, instance: InstanceId, job: Job) -> None:
        local = f"{job.element}#{job.visit}.{job.attempt}"
        element_instance = f"{job.element}#{job.visit}."
        task = next(
            (
                task
                for task in reversed(self._tasks)
                if job.attempt > 1
                and task.instance == instance
                and task.key.startswith(element_instance)
            ),
            None,
        )
        if task is None:
            task = _Task(instance=instance, type=job.type, key=local)
            self._tasks.append(task)
        task.key, task.state = local, "open"
        if task.failing:
            self._fail(task)
            return
        answers = self._answers.get(job.type)
        answer = answers.popleft() if answers else None
        if answer is not None:
            self._give(task, answer)

    def _give(self, task: _Task, answer: Answer) -> None:
        task.state = "answered"
        match answer:
            case Throw(code=code, variables=thrown_with):
                thrown = BpmnErrorThrown(
                    at=self._now, job=task.key, code=code, variables=thrown_with
                )
                self._queue.append((task.instance, thrown))
            case Fail(attempts=attempts):
                task.failing = attempts
                self._fail(task)
            case None:
                task.state = "open"
            case _:
                done = JobCompleted(at=self._now, job=task.key, variables=answer)
                self._queue.append((task.instance, done))

    def _fail(self, task: _Task) -> None:
        if task.failing <= 0:
            task.state = "open"
            return
        task.failing -= 1
        task.state = "answered"
        failure = Failure(message="the scenario lets this attempt fail", class_="scenario")
        self._queue.append((task.instance, JobFailed(at=self._now, job=task.key, failure=failure)))

    def _find(self, job_type: str, nth: int | None, state: str) -> _Task | None:
        tasks = [task for task in self._tasks if task.type == job_type]
        if nth is not None:
            tasks = tasks[nth - 1 : nth]
        return next((task for task in tasks if task.state == state), None)

    def _no_job(self, job_type: str, nth: int | None, state: str) -> str:
        which = f"job {nth} of type" if nth is not None else "job of type"
        states = [task.state for task in self._tasks if task.type == job_type]
        return f"no {which} {job_type} is {state}; they are: {', '.join(states) or 'none created'}"

    # ---- verdicts

    def _judge_now(self, instance: InstanceId, request: VerdictRequested) -> None:
        if request.element in self._held_back:
            return
        if self._judge is None:
            verdict = Verdict(ruling=Ruling.ERROR, engine="none")
        else:
            verdict = self._judge(request.package, request.input, self._now)
        self._queue.append(
            (instance, VerdictGiven(at=self._now, request=request.request, verdict=verdict))
        )
