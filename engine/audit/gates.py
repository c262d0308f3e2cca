"""The verdicts that guard a merge, derived anew from what they were made from.

`manifest` from the captured files of each source, `budget` from the recorded costs, `validator` from the recorded gates
and verifications, `policy` from the policy's own answer about that candidate. `conflict` is git's to say (L4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.audit.course import Subject, read_subject
from engine.audit.findings import Finding, Record

MERGE_PACKAGE: Final = "merge"
_REQUIRED_STAGE: Final = "pre_merge"


@dataclass
class Gates:
    """Follows the entries of a run and says of each verdict whether it is the one that follows."""

    findings: list[Finding]
    derived: int = 0
    _settings: Record = field(default_factory=dict)
    _captured: dict[str, Record] = field(default_factory=dict)
    _verified: set[str] = field(default_factory=set)
    _gates: dict[str, dict[str, Record]] = field(default_factory=dict)  #: commit → name → result
    #: recorded policy verdicts whose question is not answered yet: (seq, verdict), oldest first
    _unanswered: dict[Subject, list[tuple[int, str]]] = field(default_factory=dict)
    _cost: int = 0

    def take(self, record: Record) -> None:
        """Take one of the engine's own records in, in order."""
        body = record["body"]
        match record["type"]:
            case "run.created" | "run.resumed":
                self._settings = _mapping(body.get("settings")) or self._settings
            case "workspace.captured":
                self._captured[str(body["commit"])] = body
            case "usage.recorded":
                self._cost += body["cost_micros"]
            case "gate.finished":
                self._take_gate(body)
            case "verdict.recorded":
                self._take_verdict(record["seq"], body)

    def ruled(self, package: str, input_: object, ruling: str) -> None:
        """Take in what a policy ruled on `input_`. The verdict is written before the answer, in one transaction."""
        subject = read_subject(input_.get("candidate")) if isinstance(input_, Mapping) else None
        waiting = self._unanswered.get(subject, []) if subject and package == MERGE_PACKAGE else []
        if waiting:
            seq, verdict = waiting.pop(0)
            self._compare(seq, "policy", verdict, ruling, ())

    def end(self) -> None:
        """Report verdicts that claim a policy's word which no policy gave."""
        for waiting in self._unanswered.values():
            for seq, verdict in waiting:
                self._compare(seq, "policy", verdict, "undefined", ["no policy was asked"])

    def _take_gate(self, body: Record) -> None:
        commit = str(body.get("commit"))
        if body.get("stage") == "verification" and body.get("result") == "ok":
            self._verified.add(commit)
        elif body.get("stage") == _REQUIRED_STAGE:
            self._gates.setdefault(commit, {})[str(body.get("name"))] = body

    def _take_verdict(self, seq: int, body: Record) -> None:
        subject, kind, verdict = read_subject(body.get("subject")), body["kind"], body["verdict"]
        if subject is None or kind in ("conflict", "rollback"):
            return
        self.derived += 1
        if kind == "policy":
            self._unanswered.setdefault(subject, []).append((seq, str(verdict)))
        else:
            why = list(self._against(str(kind), subject))
            self._compare(seq, str(kind), str(verdict), "fail" if why else "pass", why)

    def _compare(self, seq: int, kind: str, verdict: str, follows: str, why: Sequence[str]) -> None:
        if verdict != follows:
            because = f": {'; '.join(why[:3])}" if why else ""
            message = f"{kind} is recorded as {verdict}, but {follows} follows{because}"
            self.findings.append(Finding(seq, "L3", message))

    def _against(self, kind: str, subject: Subject) -> Iterable[str]:
        match kind:
            case "manifest":
                return self._against_manifest(subject)
            case "budget":
                return self._against_budget()
            case _:
                return self._against_validation(subject)

    def _against_manifest(self, subject: Subject) -> Iterable[str]:
        for source in subject.sources:
            taken = self._captured.get(source)
            if taken is None:
                yield f"no snapshot is recorded for {source}"
            elif taken.get("refused"):
                yield f"{source} holds refused files"
            elif taken.get("undeclared") and taken.get("enforcement") == "block":
                yield f"{source} holds undeclared files"

    def _against_budget(self) -> Iterable[str]:
        budgets = _mapping(self._settings.get("budgets"))
        limit = budgets.get("cost_micros_per_run")
        if budgets.get("mode") == "block" and type(limit) is int and self._cost > limit:
            yield f"the run has cost {self._cost} of {limit} micro-units"

    def _against_validation(self, subject: Subject) -> Iterable[str]:
        results = self._gates.get(subject.commit, {})
        for name, result in results.items():
            if result.get("result") == "failed" and result.get("required"):
                yield f"gate {name} failed"
        for gate in self._settings.get("gates") or ():
            if gate.get("stage") == _REQUIRED_STAGE and gate.get("name") not in results:
                yield f"gate {gate.get('name')} was not run"
        for source in subject.sources:
            if source not in self._verified:
                yield f"no passed verification is recorded for {source}"


def _mapping(value: object) -> Mapping[str, Any]:  # Any: parsed JSON
    return value if isinstance(value, Mapping) else {}
