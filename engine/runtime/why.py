"""Why a task is where it is, from the ledger alone: path, table rows with the values that met their cells, policy rules and
reasons, gate output, verdicts; and the nearest change of facts that would have merged it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from engine.core.definitions import Definitions
from engine.core.model import (
    BpmnErrorThrown,
    DecisionEvaluated,
    ElementCompleted,
    Event,
    IncidentRaised,
    JobFailed,
    Json,
    Ruling,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.errors import DefinitionError, UsageError
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType, read_turn
from engine.policy import PolicySet
from engine.policy.study import explain as study
from engine.runtime.nearest import NEVER_BEGUN, Nearest, nearest_change
from engine.runtime.pending import look, resting_in
from engine.runtime.proof import Book, Verified, recorded_definitions
from engine.runtime.report import ended_state
from engine.runtime.rows import matched_rows
from engine.runtime.verifying import CRITERION
from engine.store import Store, TaskRow

_OVER = {"failed", "quarantined", "blocked"}

_BODIES = {
    EntryType.GATE_FINISHED,
    EntryType.VERDICT_RECORDED,
    EntryType.MERGE_REFUSED,
    EntryType.MERGE_VOIDED,
    EntryType.MERGE_COMPLETED,
    EntryType.ROLLBACK_COMPLETED,
    EntryType.WORKER_STARTED,
    EntryType.WORKER_FINISHED,
    EntryType.WORKSPACE_CAPTURED,
    EntryType.MANIFEST_RESCOPED,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that decided about the task: ledger number, kind, sentence, details."""

    seq: int
    kind: str  #: person, path, decision, policy, worker, work, check, verdict, merge, failure, incident, wait
    text: str
    details: tuple[str, ...] = ()
    evidence: Mapping[str, Json] = field(
        default_factory=dict
    )  #: the same for programs, where there is more to say


#: why nothing nearer is known where a policy needs what the embedded engine lacks
ONLY_ON_OPA = "the recorded policies can be asked on an OPA server only"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that decided about a task, in order. `nearest` is None for a task that is merged or still under way."""

    task: str
    state: str
    reason: str
    steps: tuple[Step, ...]
    nearest: Nearest | None = None


def explain_task(store: Store, run: str, task: str) -> Explanation:
    """Return why `task` of `run` is in its state. Raises UsageError when the run has no such task."""
    row = next((row for row in store.tasks(run) if row.task == task), None)
    if row is None:
        known = ", ".join(row.task for row in store.tasks(run)[:20])
        raise UsageError(f"run {run} has no task {task}", got=known or "no tasks yet")
    entries = list(store.entries(run))
    told_by = [_person_step(entry) for entry in entries if _is_set_back(entry, task)]
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
    steps: list[Step] = told_by
    teller = _Teller(recorded_definitions(store, run))
    for entry in entries:
        if entry.type is EntryType.INSTANCE_TURN:
            if entry.task == task or entry.instance in waves:
                steps.extend(teller.turn(entry))
            elif (
                "." not in entry.instance
            ):  # the run's own gateways: what they close is closed for every task
                steps.extend(filter(_is_closed_gateway, teller.turn(entry)))
        elif entry.type is EntryType.WORKER_STARTED and "program" not in _body(entry):
            continue  # older ledgers do not say what was started
        elif entry.type in _BODIES and _concerns(entry, task, commits | subjects):
            steps.append(_body_step(entry))
    is_over = store.run(run).is_finished
    steps += [] if is_over else _waits(store, run, task, entries[-1].seq)
    nearest = None
    if row.state in _OVER or (row.state != "merged" and is_over):
        nearest = _nearest(store, run, teller.definitions, row)
    return Explanation(
        task=task,
        state=ended_state(row.state) if is_over else row.state,
        reason=str(row.body.get("reason") or ""),
        steps=tuple(steps),
        nearest=nearest,
    )


def _waits(store: Store, run: str, task: str, seq: int) -> list[Step]:
    """Return for which timer the task waits now, with what a table said before it."""
    return [
        Step(
            seq=seq,
            kind="wait",
            text=rest.text,
            evidence={
                "element": rest.element,
                "until": rest.until.isoformat(),
                "decision": rest.decision,
                "reason": rest.reason,
            },
        )
        for rest in resting_in(look(store, run))
        if rest.task == task
    ]


def _nearest(store: Store, run: str, definitions: Definitions, task: TaskRow) -> Nearest:
    row = store.run(run)
    book = Book(
        run=run,
        verified=Verified(entries=row.entries, head=row.head.hex()),
        definitions=definitions,
        entries=lambda: store.entries(run),
    )
    try:
        policies = PolicySet.load(definitions.policies)
    except DefinitionError:
        return Nearest(outcome="none", reason=ONLY_ON_OPA)
    with closing(policies):
        found = nearest_change(book, policies, task.task)
    missing = ", ".join(f"{row.task} ({row.state})" for row in _not_merged_before(store, run, task))
    if found.reason == NEVER_BEGUN and missing:
        return replace(found, reason=f"{NEVER_BEGUN}; before it, not merged: {missing}")
    return found


def _not_merged_before(store: Store, run: str, task: TaskRow) -> list[TaskRow]:
    """Return the tasks of earlier waves that are not merged."""
    wave = task.body.get("wave")
    return [
        row
        for row in store.tasks(run)
        if row.state != "merged"
        and isinstance(number := row.body.get("wave"), int)
        and isinstance(wave, int)
        and number < wave
    ]


class _Teller:
    """Tells turns as steps, under the definitions of their run."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._requests: dict[tuple[str, str], VerdictRequested] = {}

    def turn(self, entry: Entry) -> Iterator[Step]:
        turn = read_turn(entry)
        match turn.fact:
            case VerdictGiven(request=request, verdict=verdict):
                yield self._verdict(entry, turn.fact.at, request, verdict)
            case BpmnErrorThrown(job=job, code=code, message=message):
                told = f"{_element(job)}: {code}: {message}"
                yield Step(seq=entry.seq, kind="failure", text=told)
            case JobFailed(job=job, failure=failure):
                told = f"{_element(job)}: {failure.message}"
                yield Step(seq=entry.seq, kind="failure", text=told)
            case _:
                pass
        path = [event.element for event in turn.events if isinstance(event, ElementCompleted)]
        if path:
            yield Step(
                seq=entry.seq, kind="path", text=" → ".join(path), evidence={"elements": path}
            )
        for event in turn.events:
            yield from self._event(entry, event)

    def _event(self, entry: Entry, event: Event) -> Iterator[Step]:
        match event:
            case DecisionEvaluated():
                rows = matched_rows(event, self.definitions)
                yield Step(
                    seq=entry.seq,
                    kind="decision",
                    text=f"{event.decision} answered {_flat(event.value)}",
                    details=tuple(line for row in rows for line in row.lines()),
                    evidence={
                        "element": event.element,
                        "decision": event.decision,
                        "value": event.value,
                        "rows": [row.to_json() for row in rows],
                    },
                )
            case VerdictRequested(package=package, element=element):
                self._requests[entry.instance, event.request] = event
                yield Step(seq=entry.seq, kind="policy", text=f"{element} asks policy {package}")
            case IncidentRaised(code=code, message=message):
                yield Step(seq=entry.seq, kind="incident", text=f"{code}: {message}")
            case _:
                pass

    def _verdict(self, entry: Entry, at: datetime, request: str, verdict: Verdict) -> Step:
        asked = self._requests.get((entry.instance, request))
        rules = self._rules(asked, at) if asked and verdict.ruling is Ruling.FAIL else []
        reasons = [f"{reason.code}: {reason.message}" for reason in verdict.reasons]
        reasons += [f"waived by {one.waiver}: {one.code} {one.path}" for one in verdict.waived]
        return Step(
            seq=entry.seq,
            kind="policy",
            text=f"gateway {_element(request)}: {verdict.ruling}",
            details=(*reasons, *(f"rule {rule}" for rule in rules)),
            evidence={
                "element": _element(request),
                "package": asked.package if asked else "",
                "ruling": verdict.ruling.value,
                "reasons": [
                    {"code": r.code, "message": r.message, "path": r.path} for r in verdict.reasons
                ],
                "waived": [
                    {"code": w.code, "path": w.path, "waiver": w.waiver} for w in verdict.waived
                ],
                "rules": list(rules),
            },
        )

    def _rules(self, asked: VerdictRequested, at: datetime) -> list[str]:
        """Return file:line of the rules that deny the recorded input, asked again under the recorded policies."""
        try:
            told = study(self.definitions.policies, asked.package, asked.input, at)
        except DefinitionError:
            return []  # another engine judged, which knows what the embedded one does not
        places = (place for denial in told.denials for place in denial.by)
        return sorted({f"{place.file}:{place.line}" for place in places})


def _is_closed_gateway(step: Step) -> bool:
    return step.kind == "policy" and step.evidence.get("ruling", "pass") != "pass"


def _body_step(entry: Entry) -> Step:
    body = _body(entry)
    match entry.type:
        case EntryType.GATE_FINISHED:
            output = str(body.get("output") or "").strip().splitlines()[-12:]
            reason = f": {body['reason']}" if body.get("reason") else ""
            if "coverage" in body:
                reason = f" ({body['coverage']} % of the lines){reason}"
            if body["stage"] == CRITERION:
                reason = f" ({body['text']}){reason}"
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
        case EntryType.WORKER_STARTED:
            return _started_step(entry.seq, body)
        case EntryType.WORKER_FINISHED:
            ended = body["failure_class"] or "ended well"
            ended = "paused" if body.get("paused") else ended
            return Step(
                seq=entry.seq, kind="worker", text=f"{body['worker']}: {ended}: {body['reason']}"
            )
        case EntryType.MANIFEST_RESCOPED:
            return Step(
                seq=entry.seq,
                kind="work",
                text=f"may also write {', '.join(body['paths'])}: {body['reason']}",
                evidence={"paths": body["paths"], "reason": body["reason"]},
            )
        case EntryType.WORKSPACE_CAPTURED:
            changed = [change["path"] for change in body["changed"]]
            details = [f"undeclared: {path}" for path in body["undeclared"]]
            details += [f"refused: {item['path']}: {item['message']}" for item in body["refused"]]
            begun = f"unfinished ({body['unfinished']}): " if body.get("unfinished") else ""
            return Step(
                seq=entry.seq,
                kind="work",
                text=f"{begun}commit {body['commit'][:12]} changes {', '.join(changed[:10]) or 'nothing'}",
                details=tuple(details),
            )
        case _:
            reasons = body.get("reasons") or ([body["reason"]] if body.get("reason") else [])
            commit = f" {str(body['commit'])[:12]}" if body.get("commit") else ""
            return Step(
                seq=entry.seq, kind="merge", text=f"{entry.type}{commit}", details=tuple(reasons)
            )


def _is_set_back(entry: Entry, task: str) -> bool:
    body = _body(entry)
    is_retry = entry.type is EntryType.COMMAND_RECEIVED and body.get("kind") == "retry"
    return is_retry and task in body["body"]["tasks"]


def _person_step(entry: Entry) -> Step:
    """Return who set the task back after the run before, and why."""
    asked = _body(entry)["body"]
    how = "; failures are counted from zero" if asked["reset"] else ""
    by = f"; done by {asked['worker']}" if asked["worker"] else ""
    why = f": {asked['reason']}" if asked["reason"] else ""
    return Step(
        seq=entry.seq,
        kind="person",
        text=f"{asked['by']} set it back after run {asked['after']}{why}{how}{by}",
        evidence=dict(asked),
    )


def _started_step(seq: int, body: Mapping[str, Any]) -> Step:
    """Return what was really started, as the launcher said it."""
    digest = f" ({body['digest'][:19]})" if body["digest"] else ""
    return Step(
        seq=seq,
        kind="worker",
        text=f"{body['worker']}: attempt {body['attempt']} started as {body['launcher']} {body['program']}{digest}, "
        f"process {body['pid']}, network {body['network']}",
        evidence={name: value for name, value in body.items() if name != "job"},
    )


def _concerns(entry: Entry, task: str, commits: set[str]) -> bool:
    body = _body(entry)
    subject = body.get("subject")
    named = subject["commit"] if isinstance(subject, Mapping) else body.get("commit")
    return entry.task == task or named in commits or task in (body.get("tasks") or ())


def _element(job: str) -> str:
    return job.partition("#")[0]


def _parent(instance: str) -> str:
    return instance.rpartition(".")[0]


def _body(entry: Entry) -> Mapping[str, Any]:
    return entry.body or {}


def _plain(value: object) -> str:
    """Return a value as FEEL has it, texts without quotes."""
    words = {True: "true", False: "false", None: "null"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_plain(item)}" for key, item in value.items())
    return _plain(value)
