"""L2, the course of a run: what it may do next, given what it did. Nothing outside the entries is asked.

One creation, at the start; epochs never go down; each job, question and child has one outcome; an authorisation rests
on a literal `pass` of every required check on the same commit, and on money that was left; a signed checkpoint covers
it before the branch moves; a branch moves only as authorised, no merge happens twice, each builds on the one before;
nothing follows the end of a run but a new epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from engine.audit.findings import Finding, Record

REQUIRED_PASSES: Final = {
    "merge": ("budget", "validator", "manifest", "policy", "conflict"),
    "rollback": ("rollback",),
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What verdicts, authorisations and merges are about: object ids of git."""

    old: str
    tree: str
    commit: str
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Move:
    """A recorded move of an integration branch, authorised or completed."""

    seq: int
    kind: str  #: merge or rollback
    job: str
    ref: str
    subject: Subject


@dataclass
class Course:
    """Follows the entries of a run in order and collects what they may not do."""

    findings: list[Finding]
    epoch: int = 0
    ended: int = 0  #: seq of run.finished, until a new epoch
    signed: int = 0  #: entries that the newest recorded checkpoint covers
    owed: int = 0  #: seq of the newest entry that a checkpoint must cover
    created: Record = field(default_factory=dict)  #: the body of run.created
    settings: Record = field(default_factory=dict)  #: as the engine that works now was started with
    spent_micros: int = 0
    answers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    passes: dict[Subject, dict[str, tuple[int, str]]] = field(default_factory=dict)
    authorized: dict[str, Move] = field(default_factory=dict)  #: by job, until completed or voided
    moves: list[Move] = field(default_factory=list)  #: completed
    published: list[tuple[int, str, str]] = field(default_factory=list)  #: seq, branch, commit
    _owed_at: str = ""
    _moved: dict[str, int] = field(default_factory=dict)
    _commits: dict[str, int] = field(default_factory=dict)
    _heads: dict[str, str] = field(default_factory=dict)

    def follow(self, seq: int, epoch: int, kind: str, record: Record) -> None:
        """Take one of the engine's own records in, or the first of a stretch of turns, and report what it may not do."""
        if epoch != self.epoch or self.ended:
            self._check_epoch(seq, epoch, kind)
        if (kind == "run.created") != (seq == 1):
            self._find(seq, "a run is created by its first entry and by no other")
        if kind != "instance.turn":
            self._take_record(seq, kind, record)

    def answer(self, answers: Iterable[tuple[tuple[str, str, str], int]]) -> None:
        """Take in what facts have answered, as (what, instance, name), and report what is answered again."""
        known = self.answers
        for answered, seq in answers:
            if (first := known.setdefault(answered, seq)) != seq:
                what, instance, name = answered
                self._find(
                    seq, f"{what} {instance}/{name} has an outcome already, in entry {first}"
                )

    def end(self) -> None:
        """Report what may not be left open where the ledger ends."""
        if self.owed > self.signed:
            kind = "the end of the run" if self.owed == self.ended else "an authorisation"
            self._find(self.owed, f"no checkpoint was signed over {kind}: what followed is missing")

    def _check_epoch(self, seq: int, epoch: int, kind: str) -> None:
        if epoch < self.epoch:
            self._find(seq, f"the epoch goes down from {self.epoch} to {epoch}")
        if epoch > self.epoch:
            if self.epoch and kind != "run.resumed":
                self._find(seq, "a new epoch begins without run.resumed")
            self.epoch, self.ended = epoch, 0
        if self.ended and (kind, seq) != ("checkpoint.signed", self.ended + 1):
            self._find(seq, f"the run ended with entry {self.ended}, yet goes on")

    def _take_record(self, seq: int, kind: str, record: Record) -> None:
        body = record["body"]
        family, _, step = kind.partition(".")
        if kind == "verdict.recorded":
            self._take_verdict(seq, body)
        elif family in REQUIRED_PASSES:
            if step == "authorized":
                self.owed, self._owed_at = seq, record["at"]
            self._take_move(seq, family, step, body)
        elif kind == "checkpoint.signed":
            self.signed = seq - 1
            if self.owed == seq - 1 and record["at"] != self._owed_at:
                self._find(seq, "the checkpoint has another time than what it was signed for")
        elif kind == "usage.recorded":
            self._take_usage(seq, body)
        elif kind == "run.finished":
            self.ended, self.owed, self._owed_at = seq, seq, record["at"]
        elif kind == "run.created":
            self._take_creation(body)
        elif kind == "run.resumed" and isinstance(body.get("settings"), dict):
            self.settings = body["settings"]
        elif kind == "publish.completed":
            self.published.append((seq, str(body.get("branch")), str(body.get("commit"))))

    def _take_creation(self, body: Record) -> None:
        self.created = self.created or body
        if isinstance(body.get("settings"), dict):
            self.settings = body["settings"]
        base, ref = body.get("base"), body.get("ref")
        if isinstance(base, dict) and isinstance(ref, str):
            self._heads.setdefault(ref, str(base.get("head") or base.get("commit")))

    def _take_verdict(self, seq: int, body: Record) -> None:
        subject = read_subject(body.get("subject"))
        kind, verdict = str(body.get("kind")), str(body.get("verdict"))
        if subject is not None:
            self.passes.setdefault(subject, {})[kind] = (seq, verdict)
        if kind == "budget" and verdict == "pass" and self._is_overspent():
            self._find(seq, f"budget is pass, yet {self._overspent()}")

    def _take_usage(self, seq: int, body: Record) -> None:
        cost = body.get("cost_micros")
        if type(cost) is not int or cost < 0:
            self._find(seq, f"expected a cost from 0, but got {cost!r}")
        else:
            self.spent_micros += cost

    # --- moves of a branch

    def _take_move(self, seq: int, family: str, step: str, body: Record) -> None:
        job = str(body.get("job"))
        if step == "authorized":
            self._authorize(seq, family, job, body)
        elif step == "completed":
            self._complete(seq, family, job, body)
        elif step == "voided":
            self.authorized.pop(job, None)

    def _authorize(self, seq: int, family: str, job: str, body: Record) -> None:
        subject = read_subject(body)
        said = self.passes.get(subject, {}) if subject else {}
        for check in REQUIRED_PASSES[family]:
            verdict = said.get(check, (0, "not recorded"))[1]
            if verdict != "pass":
                self._find(seq, f"authorised although {check} is {verdict} for these commits")
        if "evidence" in body and sorted(said.get(check, (0,))[0] for check in said) != sorted(
            _numbers(body["evidence"])
        ):
            self._find(seq, f"the evidence {body['evidence']} is not the verdicts on these commits")
        if family == "merge" and self._is_overspent():
            self._find(seq, f"authorised although {self._overspent()}")
        if subject is not None:
            self.authorized[job] = Move(
                seq=seq, kind=family, job=job, ref=str(body.get("ref")), subject=subject
            )

    def _complete(self, seq: int, family: str, job: str, body: Record) -> None:
        subject, ref = read_subject(body), str(body.get("ref"))
        allowed = self.authorized.get(job)
        if job in self._moved:
            self._find(seq, f"{job} was completed already, in entry {self._moved[job]}")
        elif allowed is None or (allowed.ref, allowed.subject) != (ref, subject):
            self._find(seq, f"{job} was completed without an authorisation of the same commits")
        elif self.signed < allowed.seq:
            self._find(seq, f"no checkpoint was signed over the authorisation, entry {allowed.seq}")
        self._moved.setdefault(job, seq)
        self.authorized.pop(job, None)
        commit, old = str(body.get("commit")), body.get("old")
        if self._commits.setdefault(commit, seq) != seq:
            self._find(seq, f"commit {commit} was merged already, in entry {self._commits[commit]}")
        if self._heads.get(ref, old) != old:
            self._find(seq, f"{ref} stood at {self._heads[ref]}, yet the merge builds on {old}")
        self._heads[ref] = commit
        if subject is not None:
            self.moves.append(Move(seq=seq, kind=family, job=job, ref=ref, subject=subject))

    # --- budget

    def _limit_micros(self) -> int | None:
        budgets = self.settings.get("budgets")
        if not isinstance(budgets, dict) or budgets.get("mode") != "block":
            return None
        limit = budgets.get("cost_micros_per_run")
        return limit if type(limit) is int else None

    def _is_overspent(self) -> bool:
        limit = self._limit_micros()
        return limit is not None and self.spent_micros > limit

    def _overspent(self) -> str:
        return f"{self.spent_micros} micro-units of {self._limit_micros()} were spent by then"

    def _find(self, seq: int, message: str) -> None:
        self.findings.append(Finding(seq, "L2", message))


def read_subject(value: Any) -> Subject | None:  # Any: parsed JSON
    """Return the subject that `value` names, or None when a part is missing or no text."""
    if not isinstance(value, dict) or not isinstance(value.get("sources"), list):
        return None
    old, tree, commit, sources = (value.get(name) for name in ("old", "tree", "commit", "sources"))
    if not all(isinstance(part, str) for part in (old, tree, commit, *value["sources"])):
        return None
    return Subject(old=str(old), tree=str(tree), commit=str(commit), sources=tuple(sources or ()))


def _numbers(value: Any) -> list[int]:  # Any: parsed JSON
    return [item for item in value if type(item) is int] if isinstance(value, list) else []
