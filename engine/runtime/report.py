"""What a run did, folded from its ledger: the contract run-report.v1, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from engine.core.model import Json
from engine.ledger import Entry, EntryType
from engine.runtime.pending import look, root_end, waiting_in
from engine.runtime.verifying import CRITERION
from engine.store import Store

_TYPES = (
    EntryType.RUN_CREATED,
    EntryType.RUN_FINISHED,
    EntryType.RUN_STOPPED,
    EntryType.RUN_RESUMED,
    EntryType.WORKER_STARTED,
    EntryType.GATE_FINISHED,
    EntryType.VERDICT_RECORDED,
    EntryType.WAIVER_GRANTED,
    EntryType.MERGE_COMPLETED,
    EntryType.MERGE_REFUSED,
    EntryType.MERGE_VOIDED,
    EntryType.ROLLBACK_COMPLETED,
    EntryType.PUBLISH_COMPLETED,
    EntryType.PUBLISH_REFUSED,
)
_LAUNCHED = ("attempt", "worker", "launcher", "network", "program", "digest", "pid")
_OPEN_STATES = {"pending", "running"}


def report_of(store: Store, run: str) -> dict[str, Json]:
    """Return the report of a run as its ledger tells it now: run-report.v1 of a feature, else process-run.v1."""
    is_alone = store.run(run).process is not None
    return build_process_report(store, run) if is_alone else build_report(store, run)


def write_report(place: Path, report: Mapping[str, Any]) -> None:
    """Write report.json, and for a feature report.md, into the folder `place`."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "report.json").write_bytes(
        orjson.dumps(report, option=orjson.OPT_INDENT_2, default=plain)
    )
    if "feature" in report:
        (place / "report.md").write_text(markdown(report), "utf-8")


def build_process_report(store: Store, run: str) -> dict[str, Json]:
    """Return how a run of a process alone stands (contract process-run.v1)."""
    row = store.run(run)
    ended = root_end(store, run)
    return {
        "schema": "engine.process-run/v1",
        "run": run,
        "process": row.process or "",
        "status": row.status,
        "variables": dict(ended.variables) if ended else {},
        "code": ended.code if ended else "",
        "message": ended.message if ended else "",
        "waiting": [
            {
                "instance": item.instance,
                "element": item.element,
                "key": item.key,
                "kind": item.kind,
                "text": item.text,
            }
            for item in waiting_in(look(store, run))
        ],
        "ledger": {"entries": row.entries, "head": row.head.hex()},
        "bundle": f"sha256:{row.bundle}",
        "seconds": max(0, round((row.changed_at - row.created_at).total_seconds())),
    }


def plain(value: object) -> object:
    """Return a Decimal as the number that JSON writers know. Raises TypeError for anything else."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def build_report(store: Store, run: str) -> dict[str, Json]:
    """Return the report of `run` (contract run-report.v1) as its ledger tells it now."""
    row = store.run(run)
    entries = list(store.entries(run, types=_TYPES))
    created: Any = entries[0].body  # Any: JSON of our own entry run.created
    fold = _Fold()
    for entry in entries:
        fold.take(entry)
    tasks = store.tasks(run)
    waves: dict[int, list[str]] = {}
    for task in tasks:
        number = task.body.get("wave")
        if isinstance(number, int):
            waves.setdefault(number, []).append(task.task)
    states = {task.task: task.state for task in tasks}
    over = row.is_finished
    shown = ended_state if over else _paused_state if row.status != "running" else str
    return {
        "schema": "engine.run-report/v1",
        "run": run,
        "feature": row.feature,
        "status": row.status,
        "integration_branch": created["integration_branch"],
        "base": {"branch": created["base"]["branch"], "commit": created["base"]["commit"]},
        "head": fold.head or created["base"]["head"],
        "tasks": [
            {
                "id": task.task,
                "state": shown(task.state),
                "attempts": _whole(task.body.get("attempts")),
                "commit": task.body.get("commit"),
                "reason": str(task.body.get("reason") or ""),
                **_level(task.body),
                **fold.launched(task.task),
                **fold.criteria_of(task.task),
            }
            for task in tasks
        ],
        "waves": [
            {
                "n": number,
                "tasks": members,
                "state": state_of_all([states[member] for member in members]),
                "merge_commit": fold.merges.get(number),
            }
            for number, members in sorted(waves.items())
        ],
        "gates": fold.gates,
        "waivers": fold.waivers,
        "notices": [*fold.notices, *fold.paused, *map(_told, fold.unpublished.values())],
        "unpublished": list(fold.unpublished.values()),
        "ledger": {"entries": row.entries, "head": row.head.hex()},
        "bundle": f"sha256:{row.bundle}",
        "seconds": max(0, round((row.changed_at - row.created_at).total_seconds())),
    }


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown for people."""
    lines = [
        f"# Run {report['run']}: {report['feature']} {report['status']}",
        "",
        f"- branch `{report['integration_branch']}` at `{_short(report['head'])}`, "
        f"from `{report['base']['branch'] or 'a detached HEAD'}` at `{_short(report['base']['commit'])}`",
        f"- ledger: {report['ledger']['entries']} entries, head `{_short(report['ledger']['head'])}`",
        f"- definitions: `{report['bundle']}`",
        "",
        "| task | state | attempts | commit | reason |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {task['id']} | {task['state']} | {task['attempts']} | {_short(task['commit'])} "
        f"| {_cell(task['reason'])} |"
        for task in report["tasks"]
    ]
    criteria = [(task["id"], one) for task in report["tasks"] for one in task.get("criteria", ())]
    if criteria:
        lines += ["", "| task | criterion | text | result | reason |", "|---|---|---|---|---|"]
    lines += [
        f"| {task} | {one['id']} | {_cell(one['text'])} | {one['result']} | {_cell(one['reason'])} |"
        for task, one in criteria
    ]
    lines += ["", "| wave | tasks | state | merge |", "|---|---|---|---|"]
    lines += [
        f"| {wave['n']} | {', '.join(wave['tasks'])} | {wave['state']} | {_short(wave['merge_commit'])} |"
        for wave in report["waves"]
    ]
    lines += ["", "| check | wave | verdict | reason |", "|---|---|---|---|"]
    lines += [
        f"| {gate['name']} | {gate['wave'] or ''} | {gate['verdict']} | {_cell(gate['reason'])} |"
        for gate in report["gates"]
    ]
    if report["waivers"]:
        lines += [
            "",
            "| waived | where | why | asked by | approved by | until |",
            "|---|---|---|---|---|---|",
        ]
    lines += [
        f"| {waived['code']} ({waived['package']}) | {_cell(waived['path'])} | {_cell(waived['reason'])} "
        f"| {waived['requested_by']} | {waived['by']} | {waived['expires']} |"
        for waived in report["waivers"]
    ]
    lines += [f"- {notice}" for notice in report["notices"]]
    return "\n".join(lines) + "\n"


class _Fold:
    """Gates, merges and notices, from entries in order."""

    def __init__(self) -> None:
        self.head: str | None = None
        self.merges: dict[int, Json] = {}
        self.gates: list[Json] = []
        self.waivers: list[Json] = []
        self.notices: list[Json] = []
        self.unpublished: dict[
            str, dict[str, Json]
        ] = {}  #: branches of the user's repository that could not be moved, by name
        self._criteria: dict[
            str, tuple[str, list[Json]]
        ] = {}  #: of each task: the commit that was judged last, and what was found
        self._wave = 1
        self._launchers: dict[str, Json] = {}
        self.paused: list[Json] = []

    def launched(self, task: str) -> dict[str, Json]:
        """Return {launcher} with what was really started last for `task`, {} when nothing was."""
        found = self._launchers.get(task)
        return {"launcher": found} if found else {}

    def criteria_of(self, task: str) -> dict[str, Json]:
        """Return what was found about the acceptance criteria of a task, of its last commit; nothing when it has none."""
        known = self._criteria.get(task)
        return {"criteria": known[1]} if known else {}

    def _criterion(self, task: str, body: Mapping[str, Any]) -> None:  # Any: JSON of our own entry
        commit, found = self._criteria.get(task, ("", []))
        if commit != body["commit"]:
            found = []
        told: dict[str, Json] = {"id": body["name"], "text": body["text"]}
        told |= {"result": body["result"], "reason": body["reason"]}
        kept = [one for one in found if isinstance(one, Mapping) and one["id"] != body["name"]]
        self._criteria[task] = (body["commit"], [*kept, told])

    def take(self, entry: Entry) -> None:
        body: Any = entry.body  # Any: JSON of our own entries
        match entry.type:
            case EntryType.WORKER_STARTED if "program" in body:  # older ledgers do not say it
                self._launchers[entry.task] = {name: body[name] for name in _LAUNCHED}
            case EntryType.GATE_FINISHED if body["stage"] in {"pre_merge", "final"}:
                self._gate(body["name"], body["stage"], body["result"], body["reason"])
            case EntryType.GATE_FINISHED if body["stage"] == CRITERION:
                self._criterion(entry.task, body)
            case EntryType.GATE_FINISHED if body["stage"] == "doctor":
                self._gate("doctor", "doctor", body["result"], body["reason"], back=1)
            case EntryType.VERDICT_RECORDED if body["kind"] == "policy":
                self._gate("policy merge", "pre_merge", body["verdict"], "; ".join(body["reasons"]))
            case EntryType.WAIVER_GRANTED if "waiver" in body:
                self._waiver(body)
            case EntryType.MERGE_COMPLETED:
                self.head = body["commit"]
                if isinstance(body["wave"], int):
                    self.merges[body["wave"]] = body["commit"]
                    self._wave = body["wave"] + 1
            case EntryType.ROLLBACK_COMPLETED:
                self.head = body["commit"]
                self.notices.append(f"rolled back to the tree of {body['sources'][0][:12]}")
            case EntryType.MERGE_REFUSED:
                self.notices.append("merge refused: " + "; ".join(body["reasons"]))
            case EntryType.MERGE_VOIDED:
                self.notices.append(f"merge voided: {body['reason']}")
            case EntryType.RUN_STOPPED:
                self._paused(body)
            case EntryType.RUN_RESUMED:
                self.paused = []
            case EntryType.RUN_FINISHED:
                self.notices.extend(body.get("reasons", ()))
            case EntryType.PUBLISH_REFUSED:
                self.unpublished[body["branch"]] = {
                    "branch": body["branch"],
                    "reason": body["reason"],
                }
            case EntryType.PUBLISH_COMPLETED:
                self.unpublished.pop(body["branch"], None)
            case _:
                pass

    def _paused(self, body: Mapping[str, Any]) -> None:  # Any: JSON of our own entry
        """Take what a stopped run has kept of its unfinished work."""
        look = "git --git-dir .engine/vault.git show"
        self.paused = [
            f"unfinished work of {task} is kept: {look} {commit[:12]}"
            for task, commit in body.get("kept", {}).items()
        ]
        self.paused += [
            f"unfinished work of {task} is only in its workspace: {reason}"
            for task, reason in body.get("not_kept", {}).items()
        ]

    def _waiver(self, body: Mapping[str, Any]) -> None:  # Any: JSON of our own entry
        """Take a waiver once for each place that it opened, however many gateways asked."""
        names = ("waiver", "package", "code", "path", "reason", "requested_by", "by", "expires")
        told: dict[str, Json] = {name: body[name] for name in names}
        if told not in self.waivers:
            self.waivers.append(told)

    def _gate(self, name: str, stage: str, verdict: str, reason: str, back: int = 0) -> None:
        wave = None if stage == "final" else max(1, self._wave - back)
        self.gates.append({"name": name, "wave": wave, "verdict": verdict, "reason": reason})


def ended_state(state: str) -> str:
    """A task that the run never came to is `na`; one that was under way when it ended is `blocked`."""
    return {"pending": "na", "running": "blocked"}.get(state, state)


def _paused_state(state: str) -> str:
    """Nothing runs while a run is stopped or waits for people."""
    return "waiting" if state == "running" else state


def state_of_all(states: list[str]) -> str:
    """Return how the tasks of a wave, or of a level, stand together: their one state, running, partial or failed."""
    kinds = set(states)
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds & _OPEN_STATES:
        return "running"
    return "partial" if "merged" in kinds else "failed"


def _told(refused: Mapping[str, Json]) -> str:
    return f"branch {refused['branch']} was not moved: {refused['reason']}"


def _level(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return the task's level; nothing for a task that the plan left out, or of a run before levels were kept."""
    return {"level": body["level"]} if isinstance(body.get("level"), int) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _short(value: object) -> str:
    return str(value)[:12] if value else "–"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:200]
