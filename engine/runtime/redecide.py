"""What recorded facts would have decided under other definitions: the first step to back-tests.

Every decision table that ran and every policy that was asked is asked again, in another bundle, with the input it had.
The facts themselves stay as recorded: no diagram is carried out again, so what a changed answer would have led to is
not guessed. What the other bundle needs and the record does not hold is *not replayable*, counted, and says why.

The input of a decision is everything its element could see. It is not copied into the ledger: replaying the facts under
the recorded definitions shows it again, and proves on the way that it is the one the record was made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import field, replace
from pathlib import Path

from engine.core.definitions import Decision, Definitions
from engine.core.model import (
    DecisionEvaluated,
    InstanceStarted,
    Json,
    Ruling,
    Variables,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.replay import Record, same
from engine.errors import DefinitionError, UsageError
from engine.frozen import dataclass
from engine.policy import PolicySet
from engine.runtime.pending import task_of
from engine.runtime.proof import Book
from engine.shipped import definition_files


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question of the run: which entry, instance, task (or ""), element, and what was asked."""

    seq: int
    instance: str
    task: str
    element: str
    kind: str  #: decision or policy
    name: str  #: id of the decision, package of the policy


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A question that the other bundle answers otherwise."""

    asked: Asked
    recorded: Json
    now: Json

    @property
    def effect(self) -> str:
        """Return opens or closes when a gateway's answer turns, else changes."""
        if self.asked.kind == "policy":
            was, now = (_ruling(answer) == Ruling.PASS for answer in (self.recorded, self.now))
            return "changes" if was == now else "opens" if now else "closes"
        return "changes"


@dataclass(frozen=True, kw_only=True)
class NotReplayable:
    """A question that the record cannot answer for the other bundle, and why."""

    asked: Asked
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The questions of a run, asked again."""

    recorded_bundle: str
    bundle: str
    decided: int  #: questions that were answered again, those that differ among them
    differences: tuple[Difference, ...]
    not_replayable: tuple[NotReplayable, ...]


def redecide_under(book: Book, folder: Path) -> Comparison:
    """Return what the bundle in `folder` answers; see `redecide`. Its policies are evaluated in this process.

    Raises UsageError when there is no bundle, DefinitionError when it does not load.
    """
    files = definition_files(folder) if folder.is_dir() else {}
    if not files:
        raise UsageError(
            where=str(folder),
            expected="a bundle: a folder with process/, decisions/ or policies/",
            got="a folder without definitions" if folder.is_dir() else "nothing there",
            hint="Make one to edit with `engine bundle copy DIR`.",
        )
    other = Definitions.load(files)
    with closing(PolicySet.load(other.policies)) as policies:
        return redecide(book, other, policies)


def redecide(book: Book, other: Definitions, policies: PolicySet) -> Comparison:
    """Return what `other` and its `policies` answer to every recorded question of the run.

    Raises IntegrityError when the recorded events do not follow from the recorded facts: then there is nothing to compare.
    """
    seen: list[Variables] = []
    watched = {
        id: _Watched(**vars(decision), seen=seen)
        for id, decision in book.definitions.decisions.items()
    }
    fold = _Fold(book.definitions, other, policies, seen)
    run = replace(book, definitions=replace(book.definitions, decisions=watched))
    run.replay(on_step=fold.take)
    return Comparison(
        recorded_bundle=book.definitions.digest,
        bundle=other.digest,
        decided=fold.decided,
        differences=tuple(fold.differences),
        not_replayable=tuple(fold.not_replayable),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Watched(Decision):
    """A decision that keeps the input of each of its answers."""

    seen: list[Variables] = field(default_factory=list)

    def explain(self, inputs: Variables) -> tuple[Mapping[str, Json], str]:
        answer = super().explain(inputs)
        self.seen.append(inputs)
        return answer


class _Fold:
    """Asks again while the facts are folded. `seen`: the inputs of the decisions of the step just made."""

    def __init__(
        self,
        recorded: Definitions,
        other: Definitions,
        policies: PolicySet,
        seen: list[Variables],
    ) -> None:
        self.decided = 0
        self.differences: list[Difference] = []
        self.not_replayable: list[NotReplayable] = []
        self._recorded = recorded
        self._other = other
        self._policies = policies
        self._seen = seen
        self._tasks: dict[str, str] = {}
        self._requests: dict[tuple[str, str], VerdictRequested] = {}

    def take(self, record: Record) -> None:
        if isinstance(record.fact, InstanceStarted):
            self._tasks[record.instance] = task_of(record.fact.variables)
        if isinstance(record.fact, VerdictGiven):
            self._verdict(record, record.fact)
        inputs = iter(self._seen)
        for event in record.events:
            if isinstance(event, DecisionEvaluated):
                self._decision(record, event, next(inputs))
            elif isinstance(event, VerdictRequested):
                self._requests[record.instance, event.request] = event
        self._seen.clear()

    def _decision(self, record: Record, event: DecisionEvaluated, given: Variables) -> None:
        asked = self._asked(record, event.element, "decision", event.decision)
        other = self._other.decisions.get(event.decision)
        if other is None:
            self._leave(asked, f"the other bundle has no decision {event.decision}")
            return
        known = {*given, *_inputs(self._recorded.decisions[event.decision])}
        missing = sorted(_inputs(other) - known)
        if missing:
            self._leave(asked, f"it needs {', '.join(missing)}, which the element could not see")
            return
        try:
            told, wrong = other.explain(given)
            now = f"contradicts itself: {wrong}" if wrong else told["value"]
        except DefinitionError as error:
            now = f"cannot be evaluated: {error}"
        self._note(asked, event.value, now)

    def _verdict(self, record: Record, fact: VerdictGiven) -> None:
        request = self._requests.pop((record.instance, fact.request), None)
        if request is None:
            return  # replay refuses such a record; nothing was asked
        asked = self._asked(record, request.element, "policy", request.package)
        if request.package not in self._policies.packages:
            self._leave(asked, f"the other bundle has no policy {request.package}")
            return
        now = self._policies.decide(request.package, request.input, fact.at)
        self._note(asked, _verdict_json(fact.verdict), _verdict_json(now))

    def _asked(self, record: Record, element: str, kind: str, name: str) -> Asked:
        return Asked(
            seq=record.seq,
            instance=record.instance,
            task=self._tasks.get(record.instance, ""),
            element=element,
            kind=kind,
            name=name,
        )

    def _note(self, asked: Asked, recorded: Json, now: Json) -> None:
        self.decided += 1
        if not same(recorded, now):
            self.differences.append(Difference(asked=asked, recorded=recorded, now=now))

    def _leave(self, asked: Asked, reason: str) -> None:
        self.not_replayable.append(NotReplayable(asked=asked, reason=reason))


def _inputs(decision: Decision) -> set[str]:
    return set(decision.model.decision(decision.id).inputs)


def _verdict_json(verdict: Verdict) -> dict[str, Json]:
    """Return what a verdict decides, without what was observed while it was made."""
    reasons = sorted((reason.code, reason.message, reason.path) for reason in verdict.reasons)
    return {
        "ruling": verdict.ruling.value,
        "reasons": [
            {"code": code, "message": message, "path": path} for code, message, path in reasons
        ],
    }


def _ruling(answer: Json) -> Json:
    return answer.get("ruling") if isinstance(answer, Mapping) else None
