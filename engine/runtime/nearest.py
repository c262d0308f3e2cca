"""The nearest change of facts that would merge: a search over recorded facts, never a guess.

The task's own instance and those it was called from are folded again on the pure core, with one recorded fact otherwise,
then two, then three. Gateways ask the recorded policies anew about what they would then see, tables are evaluated anew,
and the safety kernel is asked about the very candidate that was recorded. A course that needs an answer nobody recorded
(another candidate, a check that never ran) ends there; it is reported as how far the record reaches, not as a merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime
from functools import reduce

from engine.core.model import (
    DecisionEvaluated,
    Fact,
    InstanceId,
    Job,
    Json,
    Reason,
    Ruling,
    RunId,
    Variables,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.replay import Record, same
from engine.core.safety import MERGE_KINDS, Refusal, Subject, VerdictEvidence, authorize
from engine.core.what_if import Course, Judged, Place, Recorded, play
from engine.errors import LedgerError
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType
from engine.ledger.canonical import encode
from engine.policy import PolicySet
from engine.runtime.changes import (
    CellEdited,
    Change,
    DenialGone,
    FactEdited,
    InputEdited,
    VerdictPasses,
    proposals,
)
from engine.runtime.forms import subject_from, texts
from engine.runtime.proof import Book, record_of

MOST_CHANGES = 3
MOST_COURSES = 300
MOST_QUESTIONS = 400  #: to policies, about inputs that are edited to find out what helps
MERGE_PACKAGE = "merge"
NEVER_BEGUN = "the task was never begun"


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The smallest change that was found, or why none was.

    `outcome` is merged: with `changes` the recorded decisions come out as merged; verified: they bring the task as far as
    verified, and what follows is not recorded; or none. `others` are further sets of the same size.
    """

    outcome: str
    changes: tuple[Change, ...] = ()
    others: tuple[tuple[Change, ...], ...] = ()
    reason: str = ""
    tried: int = 0  #: courses that were played


def nearest_change(book: Book, policies: PolicySet, task: str) -> Nearest:
    """Return the nearest change of recorded facts with which `task` would have merged.

    `policies` are those of the run's own bundle. Raises IntegrityError and LedgerError when the ledger does not fold.
    """
    entries = list(book.entries())
    own = [e.instance for e in entries if e.type is EntryType.INSTANCE_TURN and e.task == task]
    if not own:
        return Nearest(outcome="none", reason=NEVER_BEGUN)
    chain = _ancestry(own[-1])
    turns = (e for e in entries if e.type is EntryType.INSTANCE_TURN and e.instance in chain)
    search = _Search(book, policies, map(record_of, turns), _Kernel.of(entries, task), own[-1])
    return search.run()


def _ancestry(instance: str) -> set[str]:
    """Return the instance and those it was called from, without the root unless nothing else called it."""
    found = {instance}
    while "." in instance:
        instance = instance.rpartition(".")[0]
        if "." in instance or len(found) == 1:
            found.add(instance)
    return found


# --- the safety kernel in a course ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Kernel:
    """What the ledger holds for the safety kernel, and about the task's commits."""

    ref: str
    evidence: tuple[VerdictEvidence, ...]
    commits: frozenset[str]  #: the task's work, every attempt
    merged: frozenset[str]  #: merge commits that the branch was moved to

    @classmethod
    def of(cls, entries: Iterable[Entry], task: str) -> _Kernel:
        ref, evidence, commits, merged = "", [], set(), set()
        for entry in entries:
            body = entry.body or {}
            match entry.type:
                case EntryType.RUN_CREATED:
                    ref = str(body.get("ref") or "")
                case EntryType.VERDICT_RECORDED:
                    subject = subject_from(body["subject"])
                    if subject is not None:
                        evidence.append(_evidence(entry.seq, body, subject))
                case EntryType.WORKSPACE_CAPTURED if entry.task == task:
                    commits.add(str(body["commit"]))
                case EntryType.MERGE_COMPLETED:
                    merged.add(str(body["commit"]))
                case _:
                    pass
        return cls(
            ref=ref,
            evidence=tuple(evidence),
            commits=frozenset(commits),
            merged=frozenset(merged),
        )

    def refused(self, subject: Subject, course: Course, passing: set[str]) -> tuple[str, ...]:
        """Return the kinds of verdict that keep the kernel closed in this course; nothing when it opens."""
        last = max((item.seq for item in self.evidence), default=0)
        now = _rulings(course, subject)
        now.update(dict.fromkeys(passing, "pass"))
        changed = [
            VerdictEvidence(kind=kind, verdict=verdict, subject=subject, seq=last + 1)
            for kind, verdict in now.items()
        ]
        answer = authorize(subject, ref=self.ref, evidence=(*self.evidence, *changed))
        if not isinstance(answer, Refusal):
            return ()
        return tuple(
            kind for kind in MERGE_KINDS if any(r.startswith(f"{kind}:") for r in answer.reasons)
        ) or ("evidence",)

    def change(self, kind: str, subject: Subject) -> Change | None:
        """Return "this verdict passes" for a recorded verdict that the diagram does not make."""
        found = [e for e in self.evidence if e.subject == subject and e.kind == kind]
        if kind not in {"budget", "manifest"} or not found:
            return None
        return Change(
            kind="verdict",
            seq=found[-1].seq,
            element="",
            text=f"the {kind} verdict about the candidate is pass",
            recorded="; ".join(found[-1].reasons) or found[-1].verdict,
            wanted="pass",
            effect=VerdictPasses(kind=kind),
        )


def _evidence(seq: int, body: Mapping[str, Json], subject: Subject) -> VerdictEvidence:
    return VerdictEvidence(
        kind=str(body["kind"]),
        verdict=str(body["verdict"]),
        subject=subject,
        seq=seq,
        reasons=texts(body.get("reasons")),
    )


def _rulings(course: Course, subject: Subject) -> dict[str, str]:
    """Return the verdicts that this course makes itself: of its gates, and of the policy about the merge."""
    found: dict[str, str] = {}
    for taken in course.taken:
        gates = getattr(taken.fact, "variables", {}).get("gates")
        if isinstance(gates, Mapping) and gates.get("commit") == subject.commit:
            found["validator"] = "pass" if gates.get("result") == "ok" else "fail"
    for judged in course.judged:
        if judged.request.package == MERGE_PACKAGE:
            found["policy"] = judged.verdict.ruling.value
    return found


# --- the search -----------------------------------------------------------------------------------------

_Set = tuple[Change, ...]


@dataclass(kw_only=True)
class _Outcome:
    course: Course
    refusals: list[Change] = field(default_factory=list)
    is_authorized: bool = False


class _Search:
    """Breadth first over sets of changes, so that the first found is a smallest one."""

    def __init__(
        self,
        book: Book,
        policies: PolicySet,
        records: Iterable[Record],
        kernel: _Kernel,
        own: str,
    ) -> None:
        self._definitions = book.definitions
        self._recorded = Recorded.of(RunId(book.run), records)
        self._policies = policies
        self._kernel = kernel
        self._own = InstanceId(own)
        self._seqs: dict[tuple[InstanceId, str], int] = {}
        self._given: dict[tuple[InstanceId, str], tuple[VerdictRequested, Verdict]] = {}
        self._asked: dict[bytes, Verdict] = {}
        self._questions = 0
        self.tried = 0
        self._index()

    def run(self) -> Nearest:
        """Return the nearest change, trying one change, then two, then three."""
        level: Iterable[_Set] = [()]
        verified: list[_Set] = []
        stuck = ""
        for size in range(MOST_CHANGES + 1):
            merging: list[_Set] = []
            failed: list[tuple[_Set, _Outcome]] = []
            for changes in level:
                if self.tried >= MOST_COURSES:
                    break
                outcome = self._played(changes)
                if self._merges(outcome):
                    merging.append(changes)
                    continue
                if self._is_verified(outcome.course):
                    verified.append(changes)
                stuck = stuck or _stuck(outcome.course)
                failed.append((changes, outcome))
            if merging:
                return self._found("merged", merging)
            if verified and verified[0]:  # from here on the record has nothing to say
                return self._found("verified", verified)
            level = self._larger(failed, size + 1)
        is_cut = self._questions > MOST_QUESTIONS or self.tried >= MOST_COURSES
        reason = _CUT if is_cut and not stuck else stuck or _NONE
        return Nearest(outcome="none", reason=reason, tried=self.tried)

    def _larger(self, failed: Iterable[tuple[_Set, _Outcome]], size: int) -> Iterator[_Set]:
        """Yield each set of `size` changes, made of one that failed and a change that its course proposes."""
        seen: set[frozenset[tuple[str, int, str, str]]] = set()
        for changes, outcome in failed:
            for change in self._proposed(outcome):
                keys = frozenset(item.key for item in (*changes, change))
                if len(keys) == size and keys not in seen:
                    seen.add(keys)
                    yield (*changes, change)

    def _found(self, outcome: str, sets: list[_Set]) -> Nearest:
        plain = [changes for changes in sets if not any(c.kind == "cell" for c in changes)]
        first, *others = plain or sets  # a cell says less than the fact that fills it
        if not first:
            reason = (
                "every recorded decision allows the merge; what stopped it lies outside of them"
            )
            return Nearest(outcome="none", reason=reason, tried=self.tried)
        reason = _BEYOND if outcome == "verified" else ""
        return Nearest(
            outcome=outcome,
            changes=first,
            others=tuple(others[:5]),
            reason=reason,
            tried=self.tried,
        )

    def _played(self, changes: _Set) -> _Outcome:
        self.tried += 1
        effects = [change.effect for change in changes]
        passing = {e.kind for e in effects if isinstance(e, VerdictPasses)}
        outcome = _Outcome(course=Course())

        def stop_at(instance: InstanceId, job: Job, course: Course) -> bool:
            candidate = job.inputs.get("candidate") if job.type == "repository.merge" else None
            subject = subject_from(candidate) if isinstance(candidate, Mapping) else None
            if subject is None or not self._kernel.commits & set(subject.sources):
                return False
            refused = self._kernel.refused(subject, course, passing)
            found = (self._kernel.change(kind, subject) for kind in refused)
            outcome.refusals = [change for change in found if change is not None]
            outcome.is_authorized = not refused
            return outcome.is_authorized and subject.commit not in self._kernel.merged

        facts: dict[int, list[FactEdited]] = {}
        inputs: dict[Place, Variables] = {}
        for effect in effects:
            if isinstance(effect, FactEdited):
                facts.setdefault(effect.seq, []).append(effect)
            elif isinstance(effect, CellEdited):
                inputs[effect.place] = {**inputs.get(effect.place, {}), **effect.values}
        outcome.course = play(
            self._definitions,
            self._recorded,
            judge=lambda id, request, at: self._judge(id, request, at, changes),
            facts={seq: _all(edits) for seq, edits in facts.items()},
            inputs=inputs,
            stop_at=stop_at,
        )
        return outcome

    def _merges(self, outcome: _Outcome) -> bool:
        course = outcome.course
        if course.is_stopped:
            return True
        back = any(job.type == "repository.roll_back" for _, job in course.jobs)
        return outcome.is_authorized and not back and course.unrecorded is None

    def _is_verified(self, course: Course) -> bool:
        ended = course.ended.get(self._own)
        result = ended.variables.get("result") if ended else None
        return isinstance(result, Mapping) and result.get("state") == "verified"

    def _proposed(self, outcome: _Outcome) -> Iterable[Change]:
        yield from outcome.refusals
        yield from proposals(outcome.course, self._definitions, self._seqs, self._denials)

    # ---- verdicts

    def _judge(
        self, instance: InstanceId, request: VerdictRequested, at: datetime, changes: _Set
    ) -> Verdict:
        place = (instance, request.request)
        effects = [change.effect for change in changes]
        edits = [
            effect.edit
            for effect in effects
            if isinstance(effect, InputEdited) and (effect.instance, effect.request) == place
        ]
        seen = reduce(lambda value, edit: edit(value), edits, request.input)
        known = self._given.get(place)
        if known and known[0].package == request.package and same(known[0].input, seen):
            verdict = known[1]
        else:
            verdict = self._decide(request.package, seen, at)
        gone = {
            (effect.code, effect.message)
            for effect in effects
            if isinstance(effect, DenialGone) and (effect.instance, effect.request) == place
        }
        return _without(verdict, gone) if gone else verdict

    def _decide(self, package: str, seen: Json, at: datetime) -> Verdict:
        try:
            key = encode([package, seen])
        except LedgerError:
            return self._policies.decide(package, seen, at)
        if key not in self._asked:
            self._asked[key] = self._policies.decide(package, seen, at)
        return self._asked[key]

    def _denials(self, judged: Judged, seen: Json) -> set[tuple[str, str]]:
        """Return (code, message) of each denial of the policy when it sees `seen`; when too much was asked, one of ours."""
        self._questions += 1
        if self._questions > MOST_QUESTIONS:
            return {("", "not asked any more")}
        verdict = self._decide(judged.request.package, seen, judged.at)
        if verdict.ruling not in (Ruling.PASS, Ruling.FAIL):
            return {("", "the policy has no answer")}
        return {(reason.code, reason.message) for reason in verdict.reasons}

    def _index(self) -> None:
        """Note which entry asked each policy and evaluated each table, and what the policies said."""
        requests: dict[tuple[InstanceId, str], VerdictRequested] = {}
        for record in self._recorded.records:
            if isinstance(record.fact, VerdictGiven):
                place = (record.instance, record.fact.request)
                if place in requests:
                    self._given[place] = (requests[place], record.fact.verdict)
            for event in record.events:
                if isinstance(event, VerdictRequested):
                    requests[record.instance, event.request] = event
                    self._seqs[record.instance, event.request] = record.seq
                elif isinstance(event, DecisionEvaluated):
                    self._seqs[record.instance, f"{event.element}#{event.visit}"] = record.seq


_NONE = "no change of up to three recorded facts makes the recorded decisions come out as merged"
_CUT = (
    f"none was found within {MOST_COURSES} courses and {MOST_QUESTIONS} questions to policies; "
    "there may be one"
)
_BEYOND = "then the task is verified; what the gates say about a candidate with it is not recorded"


def _all(edits: list[FactEdited]) -> Callable[[Fact], Fact]:
    def edit(fact: Fact) -> Fact:
        return reduce(lambda value, one: one.edit(value), edits, fact)

    return edit


def _stuck(course: Course) -> str:
    job = course.unrecorded
    if job is None:
        return ""
    return f"what job {job.type} at {job.element} would have answered is not recorded"


def _without(verdict: Verdict, gone: set[tuple[str, str]]) -> Verdict:
    reasons: tuple[Reason, ...] = tuple(
        reason for reason in verdict.reasons if (reason.code, reason.message) not in gone
    )
    return replace(verdict, reasons=reasons, ruling=verdict.ruling if reasons else Ruling.PASS)
