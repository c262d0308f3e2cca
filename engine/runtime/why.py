"""Why a task is where it is: path, table rows, policy reasons, gate output, from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.model import (
    BpmnErrorThrown,
    DecisionEvaluated,
    ElementCompleted,
    IncidentRaised,
    JobFailed,
    VerdictGiven,
    VerdictRequested,
)
from engine.errors import UsageError
from engine.ledger import Entry, EntryType, read_turn
from engine.store import Store

_BODIES = {
    EntryType.GATE_FINISHED,
    EntryType.VERDICT_RECORDED,
    EntryType.MERGE_REFUSED,
    EntryType.MERGE_VOIDED,
    EntryType.MERGE_COMPLETED,
    EntryType.ROLLBACK_COMPLETED,
    EntryType.WORKER_FINISHED,
    EntryType.WORKSPACE_CAPTURED,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that decided about the task: ledger number, kind, sentence, details."""

    seq: int
    kind: str  #: path, decision, policy, worker, work, check, verdict, merge, failure, incident
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that decided about a task, in order; `wave` is the instance that would have merged it."""

    task: str
    state: str
    reason: str
    steps: tuple[Step, ...]


def explain_task(store: Store, run: str, task: str) -> Explanation:
    """Return why `task` of `run` is in its state. Raises UsageError when the run has no such task."""
    row = next((row for row in store.tasks(run) if row.task == task), None)
    if row is None:
        known = ", ".join(row.task for row in store.tasks(run)[:20])
        raise UsageError(f"run {run} has no task {task}", got=known or "no tasks yet")
    entries = list(store.entries(run))
    waves = {
        _parent(entry.instance)
        for entry in entries
        if entry.task == task and entry.type is EntryType.INSTANCE_TURN
    }
    commits = {
        str(_body(entry)["commit"])
        for entry in entries
        if entry.task == task and entry.type is EntryType.WORKSPACE_CAPTURED
    }
    subjects = {
        str(_body(entry)["subject"]["commit"])
        for entry in entries
        if entry.type is EntryType.VERDICT_RECORDED
        and commits & set(_body(entry)["subject"]["sources"])
    }
    steps: list[Step] = []
    for entry in entries:
        if entry.type is EntryType.INSTANCE_TURN:
            if entry.task == task or entry.instance in waves:
                steps.extend(_turn_steps(entry))
        elif entry.type in _BODIES and _concerns(entry, task, commits | subjects):
            steps.append(_body_step(entry))
    reason = str(row.body.get("reason") or "")
    return Explanation(task=task, state=row.state, reason=reason, steps=tuple(steps))


def _turn_steps(entry: Entry) -> Iterator[Step]:
    turn = read_turn(entry)
    match turn.fact:
        case VerdictGiven(request=request, verdict=verdict):
            yield Step(
                seq=entry.seq,
                kind="policy",
                text=f"gateway {request.partition('#')[0]}: {verdict.ruling}",
                details=tuple(f"{reason.code}: {reason.message}" for reason in verdict.reasons),
            )
        case BpmnErrorThrown(job=job, code=code, message=message):
            yield Step(seq=entry.seq, kind="failure", text=f"{_element(job)}: {code}: {message}")
        case JobFailed(job=job, failure=failure):
            yield Step(seq=entry.seq, kind="failure", text=f"{_element(job)}: {failure.message}")
        case _:
            pass
    path = [event.element for event in turn.events if isinstance(event, ElementCompleted)]
    if path:
        yield Step(seq=entry.seq, kind="path", text=" → ".join(path))
    for event in turn.events:
        match event:
            case DecisionEvaluated():
                yield Step(
                    seq=entry.seq,
                    kind="decision",
                    text=f"{event.decision} answered {_flat(event.value)}",
                    details=tuple(_rules(event.record)),
                )
            case VerdictRequested(package=package, element=element):
                yield Step(seq=entry.seq, kind="policy", text=f"{element} asks policy {package}")
            case IncidentRaised(code=code, message=message):
                yield Step(seq=entry.seq, kind="incident", text=f"{code}: {message}")
            case _:
                pass


def _body_step(entry: Entry) -> Step:
    body = _body(entry)
    match entry.type:
        case EntryType.GATE_FINISHED:
            output = str(body.get("output") or "").strip().splitlines()[-12:]
            reason = f": {body['reason']}" if body.get("reason") else ""
            return Step(
                seq=entry.seq,
                kind="check",
                text=f"{body['stage']} {body['name']}: {body['result']}{reason}",
                details=tuple(output) if body["result"] == "failed" else (),
            )
        case EntryType.VERDICT_RECORDED:
            return Step(
                seq=entry.seq,
                kind="verdict",
                text=f"{body['kind']}: {body['verdict']} for commit {body['subject']['commit'][:12]}",
                details=tuple(body["reasons"]),
            )
        case EntryType.WORKER_FINISHED:
            ended = body["failure_class"] or "ended well"
            return Step(
                seq=entry.seq, kind="worker", text=f"{body['worker']}: {ended}: {body['reason']}"
            )
        case EntryType.WORKSPACE_CAPTURED:
            changed = [change["path"] for change in body["changed"]]
            details = [f"undeclared: {path}" for path in body["undeclared"]]
            details += [f"refused: {item['path']}: {item['message']}" for item in body["refused"]]
            return Step(
                seq=entry.seq,
                kind="work",
                text=f"commit {body['commit'][:12]} changes {', '.join(changed[:10]) or 'nothing'}",
                details=tuple(details),
            )
        case _:
            reasons = body.get("reasons") or ([body["reason"]] if body.get("reason") else [])
            commit = f" {str(body['commit'])[:12]}" if body.get("commit") else ""
            return Step(
                seq=entry.seq, kind="merge", text=f"{entry.type}{commit}", details=tuple(reasons)
            )


def _concerns(entry: Entry, task: str, commits: set[str]) -> bool:
    body = _body(entry)
    subject = body.get("subject")
    named = subject["commit"] if isinstance(subject, Mapping) else body.get("commit")
    return entry.task == task or named in commits or task in (body.get("tasks") or ())


def _rules(record: Any) -> Iterator[str]:
    """Yield a line for each matched rule of a decision record, with its annotation."""
    decisions = record.get("decisions", ()) if isinstance(record, Mapping) else ()
    for decision in decisions:
        for rule in decision.get("rules", ()) or decision.get("matched_rules", ()):
            notes = rule.get("annotations") or ()
            said = notes.values() if isinstance(notes, Mapping) else notes
            why = "; ".join(str(note) for note in said if note)
            yield f"{decision.get('name') or decision.get('id')}, row {rule.get('row')}: {why}".rstrip(
                ": "
            )


def _element(job: str) -> str:
    return job.partition("#")[0]


def _parent(instance: str) -> str:
    return instance.rpartition(".")[0]


def _body(entry: Entry) -> Mapping[str, Any]:
    return entry.body or {}


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {item}" for key, item in value.items())
    return str(value)
