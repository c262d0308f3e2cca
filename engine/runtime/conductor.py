"""The loop of one run: facts in, turns committed, effects out.

Invariants
- Only this loop advances instances. A turn is one fact with the events it caused, and one ledger entry.
- Nothing is launched before the turn that asks for it is on disk. Facts answered meanwhile wait for the next turn.
- A child instance ends, and its parent learns of it, in one transaction.
- After a kill, open instances are rebuilt from their recorded facts; their events must come out as recorded.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from engine.core.compiled import first_event
from engine.core.definitions import Definitions
from engine.core.model import (
    ROOT_INSTANCE,
    BpmnErrorThrown,
    ChildCancelled,
    ChildEnded,
    ChildEscalated,
    ChildRequested,
    EscalationThrown,
    Event,
    Fact,
    Failure,
    IncidentResolved,
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
from engine.errors import BpmnError, ContractError, DefinitionError, IntegrityError
from engine.frozen import dataclass
from engine.handlers import Activation, DeliveryWorld, Handlers, World
from engine.ledger import Draft, turn
from engine.runtime.instances import Instances
from engine.runtime.mail import Asked, Mail
from engine.runtime.pending import Waiting, local_key, root_end, waiting_in
from engine.runtime.recorder import Recorder
from engine.store import Change, CommandTaken, InstanceClosed, InstanceOpened

COMMAND_POLL_S = 0.25
PATIENCE = timedelta(seconds=150)  #: longer than the longest pause between two attempts
#: why a job was cancelled, as the CancelledError in its handler says
BY_TIMER = "a timer of the process came first"
BY_PROCESS = "the process went on without it"
BY_ENGINE = "the engine was stopped"


class Clock:
    """Wall time in UTC that never goes back, so that entries of one engine are in order."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        self._last = max(self._last, datetime.now(UTC))
        return self._last


class Judge(Protocol):
    """Answers policy gateways. A plain callable keeps the policy back ends out of this module."""

    async def __call__(self, package: str, input_: object, now: datetime) -> Verdict: ...


class Witness(Protocol):
    """What the world records beside the process's own turns, in the same transaction."""

    def verdict_drafts(
        self, package: str, input_: object, verdict: Verdict, at: datetime
    ) -> list[Draft]: ...
    def ended_changes(self, process: str, variables: Variables) -> list[Change]: ...


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the loop ended. `state` is completed, failed, cancelled, waiting or stopped."""

    state: str
    variables: Variables = field(default_factory=dict)
    code: str = ""
    message: str = ""
    waiting: tuple[Waiting, ...] = ()
    keeps_work: bool = True  #: stopped: unfinished work becomes a commit


class Conductor:
    """Carries the instances of one run until the root ends, everything waits for people, or it is told to stop."""

    def __init__(
        self,
        *,
        run: str,
        definitions: Definitions,
        recorder: Recorder,
        handlers: Handlers,
        world: World,
        delivery: DeliveryWorld | None = None,
        witness: Witness,
        judge: Judge,
        clock: Clock,
        window: int = 64,
        watch: Callable[[str, Fact, Sequence[Event]], None] | None = None,
    ) -> None:
        self._run = run
        self._definitions = definitions
        self._recorder = recorder
        self._handlers = handlers
        self._world = world
        self._delivery = delivery
        self._witness = witness
        self._judge = judge
        self._clock = clock
        self._watch = watch
        self._instances = Instances(run, definitions, window=window)
        self._due: list[tuple[datetime, str, str]] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._inbox: asyncio.Queue[tuple[str, Fact]] = asyncio.Queue()
        self._mail = Mail(recorder.store, run, definitions.doors)
        self._root_end: Ended | None = None
        self._ended: Ended | None = None
        self._stopping = False
        self._keeps_work = True
        self._looked_at = 0.0

    # ---- public

    async def start(self, process: str, variables: Variables) -> None:
        """Begin the root instance."""
        self._inbox.put_nowait(
            (
                ROOT_INSTANCE,
                InstanceStarted(
                    at=self._clock.now(),
                    process=process,
                    variables=variables,
                    start_event=first_event(self._definitions.process(process)),
                ),
            )
        )

    def rebuild(self) -> None:
        """Rebuild every open instance from its recorded facts. Raises IntegrityError when events come out otherwise."""
        store = self._recorder.store
        self._instances.rebuild(store)
        opened = self._instances.opened
        if ROOT_INSTANCE not in opened:
            ended = root_end(store, self._run)
            self._root_end = _end_of(ended) if ended else None
        if not opened:
            self._ended = self._root_end
        for item in self._mail.recall(opened, self._clock.now()):
            self._inbox.put_nowait(item)
        self._due = sorted(self._instances.timers())

    def has_begun(self) -> bool:
        """Return whether there is, after `rebuild`, an instance to go on with or an end that was reached."""
        return bool(self._instances.opened) or self._ended is not None

    async def resume(self) -> None:
        """After `rebuild`: ask again for everything that is open."""
        turns: list[tuple[str, Fact]] = []
        for instance in self._instances.parents_of_waiting():
            turns.extend(self._instances.children_to_start(instance, self._clock.now()))
        for instance, opened in self._instances.opened.items():
            for request in opened.verdicts.values():
                turns.append((instance, await self._verdict(request)))
        for instance, opened in self._instances.opened.items():
            for job in opened.jobs.values():
                self._dispatch(instance, job)
        for item in turns:
            self._inbox.put_nowait(item)

    async def serve(self) -> Ended:
        """Carry on until an end is reached; cancels what still runs before it returns."""
        try:
            while self._ended is None:
                batch, asked = await self._next_batch()
                if batch or asked.drafts:
                    await self._take(batch, asked)
                elif self._ended is None and self._is_idle():
                    self._ended = self._idle_end()
            return self._ended
        finally:
            await self._cancel_running()

    def stop(self, *, force: bool = False, keeps_work: bool = True) -> None:
        """Start nothing more; end when what runs has ended, or at once with `force`.

        `keeps_work`: what workspaces hold that no commit has becomes one.
        """
        self._stopping = True
        self._keeps_work = keeps_work
        if force:
            self._ended = Ended(state="stopped", keeps_work=keeps_work)
        self._inbox.put_nowait(("", SignalBroadcast(at=self._clock.now(), name="")))

    def publish(self, message: Mapping[str, Json]) -> None:
        """Publish {id, name, key, variables, ttl_s} inside the run; a message of an id that was published is not again."""
        self._mail.post(message)
        self._inbox.put_nowait(("", SignalBroadcast(at=self._clock.now(), name="")))

    def waiting(self) -> tuple[Waiting, ...]:
        """Return what only a person can go on with."""
        return self._instances.waiting()

    # ---- one round

    async def _next_batch(self) -> tuple[list[tuple[str, Fact]], Asked]:
        """Wait for facts, a due timer or the next look at commands; return all facts that are there, and what people
        and other processes asked for."""
        asked = Asked()
        batch = self._due_timers()
        if not batch and self._inbox.empty():
            if self._is_idle() and not self._commands_wait():
                return [], asked
            timeout = self._poll_s()
            try:
                batch.append(await asyncio.wait_for(self._inbox.get(), timeout))
            except TimeoutError:
                batch.extend(self._due_timers())
        while not self._inbox.empty():
            batch.append(self._inbox.get_nowait())
        self._mail.deliver_posted(asked, self._clock.now())
        if self._commands_wait():
            self._take_commands(asked)
        return [item for item in [*batch, *asked.facts] if item[0]], asked

    async def _take(self, batch: Sequence[tuple[str, Fact]], asked: Asked) -> None:
        """Advance every fact and what follows from it, commit all turns and what asked for them together, then act."""
        queue = deque(batch)
        drafts: list[Draft] = list(asked.drafts)
        changes: list[Change] = list(asked.changes)
        effects: list[tuple[str, Fact, Event]] = []
        while queue:
            instance, fact = queue.popleft()
            events = self._instances.advance(instance, fact)
            if events is None:
                continue
            opened = self._instances.opened[instance]
            drafts.append(turn(instance, fact, events, task=opened.task))
            if isinstance(fact, InstanceStarted):
                changes.append(
                    InstanceOpened(instance=instance, process=fact.process, parent=fact.parent)
                )
            if self._watch is not None:
                self._watch(opened.label, fact, events)
            for event in events:
                await self._follow(instance, event, queue, drafts, changes)
                effects.append((instance, fact, event))
        if self._root_end is not None and all(
            opened.parent for opened in self._instances.opened.values()
        ):
            self._ended = self._root_end
        if drafts or changes:
            await self._recorder.commit(drafts, changes)
        for instance, fact, event in effects:
            self._act(instance, fact, event)

    async def _follow(
        self,
        instance: str,
        event: Event,
        queue: deque[tuple[str, Fact]],
        drafts: list[Draft],
        changes: list[Change],
    ) -> None:
        """Queue the facts that an event answers inside this turn."""
        match event:
            case VerdictRequested():
                fact = await self._verdict(event)
                queue.append((instance, fact))
                drafts.extend(
                    self._witness.verdict_drafts(event.package, event.input, fact.verdict, fact.at)
                )
            case ChildRequested():
                self._instances.await_child(instance, event)
                queue.extend(self._instances.children_to_start(instance, self._clock.now()))
            case ChildCancelled(child=child):
                if child in self._instances:
                    reason = f"cancelled by {instance}"
                    queue.append((child, InstanceCancelled(at=self._clock.now(), reason=reason)))
            case EscalationThrown(code=code, variables=variables):
                parent = self._instances.opened[instance].parent
                if parent:
                    queue.append(
                        (
                            parent,
                            ChildEscalated(
                                at=self._clock.now(),
                                child=InstanceId(instance),
                                code=code,
                                variables=variables,
                            ),
                        )
                    )
            case SignalThrown(name=name, variables=variables):
                queue.extend(self._broadcast(name, variables))
            case MessageSubscribed():
                now = self._clock.now()
                process = self._instances.opened[instance].process
                found = self._mail.office.subscribe(InstanceId(instance), process, event, now)
                if found is not None:
                    queue.append((instance, found.fact(now)))
            case MessageUnsubscribed(subscription=key):
                self._mail.office.unsubscribe(InstanceId(instance), key)
            case InstanceEnded():
                now = self._clock.now()
                for opening in self._mail.office.forget(InstanceId(instance), now):
                    queue.append((opening.instance, opening.fact(now)))
                self._end_instance(instance, event, queue, changes)
            case _:
                pass

    def _end_instance(
        self,
        instance: str,
        event: InstanceEnded,
        queue: deque[tuple[str, Fact]],
        changes: list[Change],
    ) -> None:
        opened = self._instances.end(instance)
        changes.append(InstanceClosed(instance=instance, state=event.state))
        changes.extend(self._witness.ended_changes(opened.process, event.variables))
        if not opened.parent:
            if instance == ROOT_INSTANCE:
                self._root_end = _end_of(event)
            return
        if opened.parent in self._instances.opened:
            queue.append(
                (
                    opened.parent,
                    ChildEnded(
                        at=self._clock.now(),
                        child=InstanceId(instance),
                        state=event.state,
                        variables=event.variables,
                        code=event.code,
                        message=event.message,
                    ),
                )
            )
            queue.extend(self._instances.children_to_start(opened.parent, self._clock.now()))

    async def _verdict(self, request: VerdictRequested) -> VerdictGiven:
        now = self._clock.now()
        verdict = await self._judge(request.package, request.input, now)
        return VerdictGiven(
            at=now, request=request.request, verdict=verdict
        )  # as the policy saw it

    # ---- effects, after the commit

    def _act(self, instance: str, fact: Fact, event: Event) -> None:
        match event:
            case JobCreated(job=job):
                opened = self._instances.opened.get(instance)
                if opened is not None and local_key(job) in opened.jobs:
                    self._dispatch(instance, job)
            case JobCancelled(job=key):
                running = self._running.get(f"{instance}/{key}")
                if running is not None:
                    running.cancel(BY_TIMER if isinstance(fact, TimerFired) else BY_PROCESS)
            case TimerScheduled(timer=key, due=due):
                heapq.heappush(self._due, (due, instance, key))
            case _:
                pass

    def _dispatch(self, instance: str, job: Job) -> None:
        if self._stopping or self._ended is not None:
            return  # stays open in the ledger; the next engine starts it
        key = f"{instance}/{local_key(job)}"
        task = asyncio.create_task(self._carry_out(instance, job), name=key)
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _carry_out(self, instance: str, job: Job) -> None:
        """Run the handler of one job and hand its outcome in as a fact."""
        fact: Fact
        key = local_key(job)
        spec = self._handlers.find(job.type)
        try:
            if spec is None:
                raise DefinitionError(
                    f"no handler is installed for job type {job.type}", where=job.element
                )
            variables = await spec.handler(
                Activation(job=job, world=self._world, delivered=self._delivery)
            )
            fact = JobCompleted(at=self._clock.now(), job=key, variables=variables)
        except BpmnError as error:
            fact = BpmnErrorThrown(
                at=self._clock.now(),
                job=key,
                code=error.code,
                message=error.message,
                variables=error.variables,  # type: ignore[arg-type]  # handlers give JSON; the ledger refuses the rest
            )
        except Exception as error:  # a handler may fail in any way; it must never end the loop
            fact = JobFailed(at=self._clock.now(), job=key, failure=_failure(error))
        self._inbox.put_nowait((instance, fact))

    def _due_timers(self) -> list[tuple[str, Fact]]:
        now = self._clock.now()
        found: list[tuple[str, Fact]] = []
        while self._due and self._due[0][0] <= now:
            _, instance, key = heapq.heappop(self._due)
            opened = self._instances.opened.get(instance)
            if opened is not None and key in opened.timers:
                found.append((instance, TimerFired(at=now, timer=key)))
        return found

    # ---- people and other processes

    def _commands_wait(self) -> bool:
        """Look for commands, at most every COMMAND_POLL_S."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < COMMAND_POLL_S:
            return False
        self._looked_at = now
        return bool(self._recorder.store.commands(self._run))

    def _take_commands(self, asked: Asked) -> None:
        """Turn commands of other processes (`engine stop`, `complete`, `message`) into facts; each is recorded."""
        for command in self._recorder.store.commands(self._run):
            now = self._clock.now()
            body = command.body
            asked.changes.append(CommandTaken(command=command.id))
            if command.kind == "message":
                self._mail.deliver({**body, "id": f"command-{command.id}"}, asked, now)
                continue
            answered = "taken"
            if command.kind == "stop":
                self.stop(
                    force=bool(body.get("force")), keeps_work=body.get("checkpoint") is not False
                )
            elif command.kind in {"approve", "resolve"}:
                fact = self._personal_fact(command.kind, body, now)
                answered = "taken" if fact else "nothing waits under that name"
                asked.facts.extend([fact] if fact else [])
            elif command.kind == "signal":
                given = body.get("variables")
                variables: Variables = given if isinstance(given, Mapping) else {}
                asked.facts.extend(self._broadcast(str(body.get("name", "")), variables))
            else:
                answered = "unknown command"
            asked.record(command.kind, body, answered, now)

    def _broadcast(self, name: str, variables: Variables) -> list[tuple[str, Fact]]:
        """Give a signal to every instance; it has no effect where nobody waits for it. Start what it starts."""
        now = self._clock.now()
        signal = SignalBroadcast(at=now, name=name, variables=variables)
        begun = self._mail.office.signalled(name, variables)
        return [
            *((instance, signal) for instance in self._instances),
            *((opening.instance, opening.fact(now)) for opening in begun),
        ]

    def _personal_fact(
        self, kind: str, body: Mapping[str, object], now: datetime
    ) -> tuple[str, Fact] | None:
        element = str(body.get("element", ""))
        by = str(body.get("by", ""))
        given = body.get("variables")
        variables: Variables = given if isinstance(given, Mapping) else {}
        wanted = "approval" if kind == "approve" else "incident"
        item = next((w for w in self.waiting() if w.kind == wanted and w.is_named(element)), None)
        if item is None:
            return None
        if wanted == "approval":
            return item.instance, UserTaskCompleted(
                at=now, task=item.key, variables=variables, by=by
            )
        return item.instance, IncidentResolved(
            at=now, incident=item.key, variables=variables, by=by
        )

    # ---- ends

    def _is_idle(self) -> bool:
        """Nothing runs, nothing is in the inbox, and no timer is worth waiting for.

        A timer keeps the engine up, unless a person is waited for and it is due only after PATIENCE: then the run
        ends as waiting, and the next engine fires what is due by then.
        """
        if self._running or not self._inbox.empty():
            return False
        due = [due for opened in self._instances.opened.values() for due in opened.timers.values()]
        if self._stopping or not due:
            return True
        return bool(waiting_in(self._instances.opened)) and min(due) > self._clock.now() + PATIENCE

    def _idle_end(self) -> Ended:
        if self._stopping:
            return Ended(state="stopped", keeps_work=self._keeps_work)
        waiting = self.waiting()
        if waiting:
            return Ended(state="waiting", waiting=waiting)
        raise IntegrityError(
            "the run has nothing to do and has not ended",
            where=f"run {self._run}",
            hint="This is a bug of the engine: please report it with `engine ledger export`.",
        )

    def _poll_s(self) -> float:
        if not self._due:
            return COMMAND_POLL_S
        ahead: timedelta = self._due[0][0] - self._clock.now()
        return min(COMMAND_POLL_S, max(0.0, ahead.total_seconds()))

    async def _cancel_running(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel(BY_ENGINE)
        if running:
            await asyncio.gather(*running, return_exceptions=True)


def _end_of(event: InstanceEnded) -> Ended:
    return Ended(
        state=event.state, variables=event.variables, code=event.code, message=event.message
    )


def _failure(error: Exception) -> Failure:
    text = str(error) or type(error).__name__
    kind = "contract" if isinstance(error, ContractError | DefinitionError) else "exception"
    return Failure(message=text[:2000], class_=kind)
