"""The course of a few instances under changed facts: recorded facts are folded again, some of them edited. Pure.

Invariants
- Nothing outside is guessed. A job is answered only by what was recorded for the very same job with the very same inputs;
  where the course leaves the record, it stops there and says so (`Course.unrecorded`).
- Decisions, conditions and mappings are derived anew; verdicts come from `judge`, which sees the policy input of this course.
- A child that is played here reports to its parent how it ended here; other children as they were recorded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime

from engine.core.definitions import Decision, Definitions
from engine.core.model import (
    BpmnErrorThrown,
    ChildEnded,
    ChildRequested,
    DecisionEvaluated,
    Fact,
    InstanceEnded,
    InstanceId,
    InstanceStarted,
    Job,
    JobCompleted,
    JobCreated,
    JobFailed,
    Json,
    RunId,
    Variables,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.process import Instance, Step, advance, start
from engine.core.replay import Record, same
from engine.frozen import dataclass

Judge = Callable[[InstanceId, VerdictRequested, datetime], Verdict]
Place = tuple[InstanceId, str, int]  #: instance, decision, the how manieth evaluation of it there


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A fact that this course took, edited or not."""

    seq: int
    instance: InstanceId
    fact: Fact
    job: Job | None = None  #: the job it answers


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A table that was evaluated, with all that it could see."""

    place: Place
    event: DecisionEvaluated
    inputs: Variables


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A verdict that this course asked for."""

    instance: InstanceId
    request: VerdictRequested
    at: datetime
    verdict: Verdict


@dataclass(kw_only=True)
class Course:
    """What happened. `jobs` in the order of their creation, with the instance; `unrecorded` is the first without an answer."""

    taken: list[Taken] = field(default_factory=list)
    evaluated: list[Evaluated] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    jobs: list[tuple[InstanceId, Job]] = field(default_factory=list)
    ended: dict[InstanceId, InstanceEnded] = field(default_factory=dict)
    unrecorded: Job | None = None
    is_stopped: bool = False  #: `stop_at` said so


StopAt = Callable[[InstanceId, Job, Course], bool]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What was recorded of the instances that are played, prepared once for many courses."""

    run: RunId
    records: tuple[Record, ...]
    jobs: Mapping[tuple[str, str], Job]  #: {(instance, local key): as it was created}
    instances: frozenset[InstanceId]

    @classmethod
    def of(cls, run: RunId, records: Iterable[Record]) -> Recorded:
        """Return the recorded facts of some instances, in ledger order."""
        kept = tuple(records)
        jobs: dict[tuple[str, str], Job] = {
            (record.instance, event.job.local_key): event.job
            for record in kept
            for event in record.events
            if isinstance(event, JobCreated)
        }
        ids = frozenset(record.instance for record in kept)
        return cls(run=run, records=kept, jobs=jobs, instances=ids)


def play(
    definitions: Definitions,
    recorded: Recorded,
    *,
    judge: Judge,
    facts: Mapping[int, Callable[[Fact], Fact]],
    inputs: Mapping[Place, Variables],
    stop_at: StopAt,
) -> Course:
    """Return the course of `recorded` with some facts edited.

    `facts` edits the fact of an entry, by its number; `inputs` sets variables that one evaluation of a table sees.
    `stop_at` is told of every job that is created and may end the course there.
    """
    tables = _Tables(inputs)
    watched = {
        id: _Watched(**vars(decision), tables=tables)
        for id, decision in definitions.decisions.items()
    }
    player = _Player(replace(definitions, decisions=watched), recorded, judge, tables, stop_at)
    for record in recorded.records:
        if player.course.is_stopped:
            break
        edit = facts.get(record.seq)
        player.take(record, edit(record.fact) if edit else record.fact)
    return player.finish()


class _Tables:
    """What tables see. An evaluation is named by its instance, its decision and its number there, from 1."""

    def __init__(self, changed: Mapping[Place, Variables]) -> None:
        self.instance = InstanceId("")
        self.seen: list[tuple[Place, Variables]] = []  #: of the step under way
        self._changed = changed
        self._counts: Counter[tuple[str, str]] = Counter()

    def next(self, decision: str, given: Variables) -> tuple[Place, Variables]:
        number = self._counts[self.instance, decision] + 1
        place = (self.instance, decision, number)
        return place, {**given, **self._changed.get(place, {})}

    def note(self, place: Place, given: Variables) -> None:
        self._counts[place[:2]] += 1
        self.seen.append((place, given))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Watched(Decision):
    """A decision whose inputs are kept, and changed where they are to be."""

    tables: _Tables

    def explain(self, inputs: Variables) -> tuple[Mapping[str, Json], str]:
        place, given = self.tables.next(self.id, inputs)
        answer = super().explain(given)
        self.tables.note(place, given)
        return answer


class _Player:
    """Takes the records one after the other and answers at once what the record answers at once."""

    def __init__(
        self,
        definitions: Definitions,
        recorded: Recorded,
        judge: Judge,
        tables: _Tables,
        stop_at: StopAt,
    ) -> None:
        self.course = Course()
        self._definitions = definitions
        self._recorded = recorded
        self._judge = judge
        self._tables = tables
        self._stop_at = stop_at
        self._instances: dict[InstanceId, Instance] = {}
        self._jobs: dict[tuple[str, str], Job] = {}
        self._asked_for: set[InstanceId] = set()

    def take(self, record: Record, fact: Fact) -> None:
        """Take one recorded fact, unless nothing in this course waits for it."""
        job = None
        match fact:
            case VerdictGiven():
                return  # asked anew, when the gateway is reached
            case InstanceStarted(parent=parent) if (
                parent in self._recorded.instances and record.instance not in self._asked_for
            ):
                return
            case ChildEnded(child=child) if child in self._recorded.instances:
                ended = self.course.ended.get(child)
                if ended is None:
                    return
                fact = _how_it_ended(fact, ended)
            case JobCompleted() | JobFailed() | BpmnErrorThrown():
                job = self._answered(record.instance, fact.job)
                if job is None:
                    return
            case _:
                pass
        self.course.taken.append(
            Taken(seq=record.seq, instance=record.instance, fact=fact, job=job)
        )
        self._feed(record.instance, fact)

    def finish(self) -> Course:
        """Return the course; a job that is still open has no recorded answer."""
        open_jobs = (
            self._jobs[id, wait.key]
            for id, instance in self._instances.items()
            if instance.state == "active"
            for wait in instance.waiting
            if wait.kind == "job"
        )
        if not self.course.is_stopped and self.course.unrecorded is None:
            self.course.unrecorded = next(open_jobs, None)
        return self.course

    def _answered(self, instance: InstanceId, key: str) -> Job | None:
        """Return the job that a recorded answer is for, when this course has asked the very same."""
        job = self._jobs.get((instance, key))
        if job is None or same(job.inputs, self._recorded.jobs[instance, key].inputs):
            return job
        self.course.unrecorded = self.course.unrecorded or job
        return None

    def _feed(self, id: InstanceId, fact: Fact) -> None:
        waiting = deque([fact])
        while waiting and not self.course.is_stopped:
            step = self._step(id, waiting.popleft())
            if step is None or step.ignored:
                continue
            self._instances[id] = step.instance
            seen = iter(self._tables.seen)
            for event in step.events:
                match event:
                    case DecisionEvaluated():
                        place, given = next(seen)
                        told = Evaluated(place=place, event=event, inputs=given)
                        self.course.evaluated.append(told)
                    case VerdictRequested():
                        verdict = self._judge(id, event, fact.at)
                        told_ = Judged(instance=id, request=event, at=fact.at, verdict=verdict)
                        self.course.judged.append(told_)
                        given_ = VerdictGiven(at=fact.at, request=event.request, verdict=verdict)
                        waiting.append(given_)
                    case JobCreated(job=job):
                        self._created(id, job)
                    case ChildRequested(child=child):
                        self._asked_for.add(child)
                    case InstanceEnded():
                        self.course.ended[id] = event
                    case _:
                        pass

    def _step(self, id: InstanceId, fact: Fact) -> Step | None:
        self._tables.seen.clear()
        self._tables.instance = id
        known = self._instances.get(id)
        if isinstance(fact, InstanceStarted):
            return start(self._definitions, self._recorded.run, id, fact) if not known else None
        return advance(self._definitions, known, fact) if known else None

    def _created(self, id: InstanceId, job: Job) -> None:
        self._jobs[id, job.local_key] = job
        self.course.jobs.append((id, job))
        self.course.is_stopped = self.course.is_stopped or self._stop_at(id, job, self.course)


def _how_it_ended(fact: ChildEnded, ended: InstanceEnded) -> ChildEnded:
    return replace(
        fact,
        state=ended.state,
        variables=ended.variables,
        code=ended.code,
        message=ended.message,
    )
