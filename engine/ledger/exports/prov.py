"""W3C PROV as PROV-JSON (W3C member submission of 24 April 2013): who made which commit from what, judged by what.

entities    commits, verdicts, answers of decision tables, the bundle of definitions
activities  the run, attempts of tasks, gates, policy and table decisions, merges
agents      the engine, workers, people
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson

from engine.core.model import (
    DecisionEvaluated,
    UserTaskCompleted,
    VerdictGiven,
    VerdictRequested,
)
from engine.ledger.canonical import encode
from engine.ledger.entries import Entry, EntryType, time_text
from engine.ledger.records import read_turn

Body = Mapping[str, Any]  # Any: JSON of our own entries
_PREFIX = {"pl": "urn:poundlock:prov:", "git": "urn:git:commit:"}
_ENGINE = "pl:engine"


def write_prov(entries: Iterable[Entry], run: str, to: IO[bytes]) -> int:
    """Write the document of a run and return the number of its records."""
    fold = _Fold(run)
    for entry in entries:
        fold.take(entry)
    to.write(orjson.dumps(fold.document, option=orjson.OPT_INDENT_2))
    return sum(len(records) for kind, records in fold.document.items() if kind != "prefix")


class _Fold:
    """Builds the document. Entities and activities are named by the entries that told of them."""

    def __init__(self, run: str) -> None:
        self.document: dict[str, dict[str, Any]] = {"prefix": dict(_PREFIX)}
        self._run = f"pl:run-{run}"
        self._attempts: dict[str, str] = {}  # {task: activity under way}
        self._requests: dict[tuple[str, str], tuple[int, str]] = {}
        self._related: set[tuple[object, ...]] = set()

    def take(self, entry: Entry) -> None:
        body: Body = entry.body or {}
        at = time_text(entry.at)
        match entry.type:
            case EntryType.RUN_CREATED:
                self._begin(body, at)
            case EntryType.RUN_FINISHED:
                self._put("activity", self._run, {"prov:endTime": at, "pl:status": body["status"]})
            case EntryType.WORKER_STARTED:
                self._attempt(entry, body, at)
            case EntryType.WORKER_FINISHED:
                attempt = self._attempts.get(entry.task)
                if attempt and body.get("failure_class") != "not_started":  # that one never began
                    told = {
                        "prov:endTime": at,
                        "pl:failure": str(body.get("failure_class") or "none"),
                    }
                    self._put("activity", attempt, told)
            case EntryType.WORKSPACE_CAPTURED:
                self._captured(entry, body, at)
            case EntryType.GATE_FINISHED:
                self._gate(entry, body, at)
            case EntryType.VERDICT_RECORDED:
                self._verdict(entry, body, at)
            case EntryType.MERGE_COMPLETED | EntryType.ROLLBACK_COMPLETED:
                self._merged(entry, body, at)
            case EntryType.INSTANCE_TURN:
                self._turn(entry, at)
            case _:
                pass

    # ---- what entries tell

    def _begin(self, body: Body, at: str) -> None:
        bundle = f"pl:bundle-{body.get('bundle')}"
        self._put("agent", _ENGINE, {"prov:type": "prov:SoftwareAgent"})
        self._put("entity", bundle, {"prov:type": "prov:Plan"})
        told = {
            "prov:startTime": at,
            "prov:type": "run",
            "pl:feature": str(body.get("feature", "")),
        }
        self._put("activity", self._run, told)
        self._relate("wasAssociatedWith", activity=self._run, agent=_ENGINE, plan=bundle)
        base = body.get("base")
        if isinstance(base, Mapping) and base.get("head"):
            self._relate("used", activity=self._run, entity=self._commit(str(base["head"])))

    def _attempt(self, entry: Entry, body: Body, at: str) -> None:
        attempt, worker = f"pl:attempt-{entry.seq}", f"pl:worker-{body.get('worker')}"
        self._attempts[entry.task] = attempt
        told = {"prov:startTime": at, "prov:type": "attempt", "pl:task": entry.task}
        self._put("activity", attempt, told | {"pl:number": body.get("attempt", 0)})
        self._put("agent", worker, {"prov:type": "prov:SoftwareAgent"})
        self._relate("wasAssociatedWith", activity=attempt, agent=worker)
        self._relate("wasInformedBy", informed=attempt, informant=self._run)

    def _captured(self, entry: Entry, body: Body, at: str) -> None:
        commit = self._commit(str(body["commit"]), {"pl:task": entry.task})
        attempt = self._attempts.get(entry.task, self._run)
        self._relate("wasGeneratedBy", entity=commit, activity=attempt, time=at)
        if body.get("base"):
            base = self._commit(str(body["base"]))
            self._relate("used", activity=attempt, entity=base)
            self._relate("wasDerivedFrom", generatedEntity=commit, usedEntity=base)

    def _gate(self, entry: Entry, body: Body, at: str) -> None:
        gate = f"pl:gate-{entry.seq}"
        told = {
            "prov:endTime": at,
            "prov:type": f"gate {body['name']}",
            "pl:result": body["result"],
        }
        self._put("activity", gate, told)
        self._relate("wasAssociatedWith", activity=gate, agent=_ENGINE)
        if body.get("commit"):
            self._relate("used", activity=gate, entity=self._commit(str(body["commit"])))

    def _verdict(self, entry: Entry, body: Body, at: str) -> None:
        verdict = f"pl:verdict-{entry.seq}"
        self._put(
            "entity",
            verdict,
            {"prov:type": f"verdict {body['kind']}", "prov:value": body["verdict"]},
        )
        self._relate("wasGeneratedBy", entity=verdict, activity=self._run, time=at)
        subject = self._commit(str(body["subject"]["commit"]))
        self._relate("wasDerivedFrom", generatedEntity=verdict, usedEntity=subject)

    def _merged(self, entry: Entry, body: Body, at: str) -> None:
        merge, commit = f"pl:merge-{entry.seq}", self._commit(str(body["commit"]))
        kind = "merge" if entry.type is EntryType.MERGE_COMPLETED else "rollback"
        self._put(
            "activity", merge, {"prov:endTime": at, "prov:type": kind, "pl:ref": str(body["ref"])}
        )
        self._relate("wasAssociatedWith", activity=merge, agent=_ENGINE)
        self._relate("wasInformedBy", informed=merge, informant=self._run)
        self._relate("wasGeneratedBy", entity=commit, activity=merge, time=at)
        for source in (body["old"], *body["sources"]):
            used = self._commit(str(source))
            self._relate("used", activity=merge, entity=used)
            self._relate("wasDerivedFrom", generatedEntity=commit, usedEntity=used)
        for seq in body.get("evidence") or ():
            self._relate("used", activity=merge, entity=f"pl:verdict-{seq}")

    def _turn(self, entry: Entry, at: str) -> None:
        turn = read_turn(entry)
        if isinstance(turn.fact, UserTaskCompleted) and turn.fact.by:
            done, person = f"pl:answer-{entry.seq}", f"pl:person-{_name(turn.fact.by)}"
            self._put(
                "activity", done, {"prov:endTime": at, "prov:type": f"user task {turn.fact.task}"}
            )
            self._put("agent", person, {"prov:type": "prov:Person"})
            self._relate("wasAssociatedWith", activity=done, agent=person)
        if isinstance(turn.fact, VerdictGiven):
            self._policy(entry, turn.fact, at)
        for number, event in enumerate(turn.events):
            if isinstance(event, VerdictRequested):
                self._requests[entry.instance, event.request] = (entry.seq, event.package)
            elif isinstance(event, DecisionEvaluated):
                self._decision(entry, number, event, at)

    def _policy(self, entry: Entry, fact: VerdictGiven, at: str) -> None:
        seq, package = self._requests.get((entry.instance, fact.request), (entry.seq, ""))
        asked, answer = f"pl:policy-{seq}", f"pl:ruling-{entry.seq}"
        self._put("activity", asked, {"prov:endTime": at, "prov:type": f"policy {package}"})
        told = {"prov:value": fact.verdict.ruling.value}
        codes = " ".join(reason.code for reason in fact.verdict.reasons)
        self._put("entity", answer, told | ({"pl:reasons": codes} if codes else {}))
        self._relate("wasGeneratedBy", entity=answer, activity=asked, time=at)
        self._relate("wasInformedBy", informed=asked, informant=self._run)

    def _decision(self, entry: Entry, number: int, event: DecisionEvaluated, at: str) -> None:
        asked, answer = f"pl:decision-{entry.seq}-{number}", f"pl:outcome-{entry.seq}-{number}"
        table = f"pl:table-{event.definition}"
        self._put(
            "activity", asked, {"prov:endTime": at, "prov:type": f"decision {event.decision}"}
        )
        self._put("entity", table, {"prov:type": "prov:Plan"})
        self._put("entity", answer, {"prov:value": encode(event.value).decode()[:500]})
        self._relate("wasAssociatedWith", activity=asked, agent=_ENGINE, plan=table)
        self._relate("wasGeneratedBy", entity=answer, activity=asked, time=at)
        self._relate("wasInformedBy", informed=asked, informant=self._run)

    # ---- records

    def _commit(self, oid: str, more: Mapping[str, Any] | None = None) -> str:
        self._put("entity", f"git:{oid}", {"prov:type": "commit", **(more or {})})
        return f"git:{oid}"

    def _put(self, kind: str, id: str, attributes: Mapping[str, Any]) -> None:
        self.document.setdefault(kind, {}).setdefault(id, {}).update(attributes)

    def _relate(self, kind: str, **ends: str) -> None:
        key = (kind, *sorted(ends.items()))
        if key not in self._related:
            self._related.add(key)
            known = self.document.setdefault(kind, {})
            record = {f"prov:{name}": value for name, value in ends.items()}
            known[f"_:{kind}{len(known) + 1}"] = record


def _name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)
