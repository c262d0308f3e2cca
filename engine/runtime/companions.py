"""Files in the layout of older systems: views of the ledger, written anew after each call and never read back.

In `specs/FEATURE/`: `.meta.json` (how the newest run stands), `worker-assignments.json` (who carried out what) and
`execution-log.jsonl` (what happened, one object a line, each with the number of the entry that it comes from); then
`state/FEATURE.json` (engine/runtime/state_view.py). They lie under `.engine/`, also when the task graph is read from
`.gsd/specs`: that folder may belong to an older tool that writes files of the same names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from engine.core.model import Json
from engine.ledger import Entry, EntryType
from engine.runtime.state_view import StateView
from engine.store import Store

_EVENTS: Final = {
    EntryType.RUN_CREATED: "run_started",
    EntryType.RUN_RESUMED: "run_resumed",
    EntryType.WORKSPACE_CREATED: "task_claim",
    EntryType.WORKER_STARTED: "worker_start",
    EntryType.WORKER_FINISHED: "worker_exit",
    EntryType.WORKSPACE_CAPTURED: "commit",
    EntryType.GATE_FINISHED: "gate_run",
    EntryType.MERGE_COMPLETED: "merge",
    EntryType.ROLLBACK_COMPLETED: "rollback",
    EntryType.RUN_STOPPED: "run_finished",
    EntryType.RUN_FINISHED: "run_finished",
}
_TOLD: Final = (
    *("feature", "worker", "slot", "attempt", "exit_code", "failure_class", "name", "stage"),
    *("result", "reason", "commit", "tasks", "wave", "status"),
)


def write_companions(home: Path, store: Store, run: str, report: Mapping[str, Json]) -> None:
    """Write the four files of `run`, a feature's, into the engine home. What cannot be written is left as it is.

    `report` is the run's (contract run-report.v1).
    """
    row = store.run(run)
    folder = home / "specs" / row.feature
    state = StateView()
    meta: dict[str, Json] = {
        "feature": row.feature,
        "run": run,
        "status": row.status,
        "created_at": row.created_at.isoformat(),
        "changed_at": row.changed_at.isoformat(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / ".meta.json", [_line(meta, indent=2)])
        assigned: dict[str, Json] = {
            "feature": row.feature,
            "run": run,
            "workers": assignments(store, run),
        }
        _write(folder / "worker-assignments.json", [_line(assigned, indent=2)])
        log = execution_log(store, run, beside=state.take)
        _write(folder / "execution-log.jsonl", map(_line, log))
        place = home / "state" / f"{row.feature}.json"
        place.parent.mkdir(exist_ok=True)
        _write(place, [_line(state.to_json(row, report), indent=2)])
    except OSError:
        return  # views only: the run stands whatever becomes of them


def assignments(store: Store, run: str) -> list[dict[str, Json]]:
    """Return [{slot, tasks: [{task, level, wave, worker, attempt}]}]: each task with the worker that had it last."""
    rows = {row.task: row.body for row in store.tasks(run)}
    last = {
        entry.task: entry.body or {}
        for entry in store.entries(run, types=(EntryType.WORKER_STARTED,))
    }
    found: dict[int, list[dict[str, Json]]] = {}
    for task, body in last.items():
        told: dict[str, Json] = {
            "task": task,
            "level": rows.get(task, {}).get("level"),
            "wave": rows.get(task, {}).get("wave"),
            "worker": body["worker"],
            "attempt": body["attempt"],
        }
        slot: Any = body["slot"]  # Any: a whole number of our own entry
        found.setdefault(slot, []).append(told)
    return [{"slot": slot, "tasks": found[slot]} for slot in sorted(found)]


def execution_log(
    store: Store, run: str, beside: Callable[[Entry, Mapping[str, Json]], None] | None = None
) -> Iterator[dict[str, Json]]:
    """Yield what happened in `run`, in order: {ts, event, seq, task, …}; `beside` is told each with its entry."""
    for entry in store.entries(run, types=tuple(_EVENTS)):
        told = _happening(entry)
        if beside is not None:
            beside(entry, told)
        yield told


def _happening(entry: Entry) -> dict[str, Json]:
    body: Mapping[str, Any] = entry.body or {}  # Any: JSON of our own entries
    told: dict[str, Json] = {
        "ts": entry.at.isoformat(),
        "event": _EVENTS[entry.type],
        "seq": entry.seq,
    }
    if entry.task:
        told["task"] = entry.task
    told |= {name: body[name] for name in _TOLD if body.get(name) not in (None, "")}
    if entry.type is EntryType.WORKSPACE_CAPTURED:
        told["files"] = [change["path"] for change in body["changed"]]
    return told


def _line(value: Mapping[str, Json], indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_number) + "\n"


def _number(value: object) -> object:
    return int(str(value)) if str(value).lstrip("-").isdigit() else float(str(value))


def _write(place: Path, lines: Iterable[str]) -> None:
    """Replace a file whole."""
    beside = place.with_name(f"{place.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    os.replace(beside, place)
