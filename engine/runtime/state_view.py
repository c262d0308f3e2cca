"""`state/FEATURE.json`: how the newest run of a feature stands, in the shape of older systems (contract state.v1).

A view for people and tools that know that shape, folded from the run's entries and its report; nothing reads it back.
What has no meaning here (a worker's port, container and health check) is null.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from engine.core.model import Json
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType
from engine.runtime.report import state_of_all
from engine.store import Run

NEWEST: Final = 1000  #: happenings in `execution_log`; execution-log.jsonl holds all of them
_ALONE: Final = frozenset({EntryType.RUN_RESUMED, EntryType.RUN_STOPPED, EntryType.RUN_FINISHED})


@dataclass(frozen=True, kw_only=True)
class _Merge:
    """A merge that stands: from commit `old` to `commit`."""

    old: str
    commit: str
    tasks: frozenset[str]
    at: datetime


class StateView:
    """Takes the entries of one run in order, then tells how it stands."""

    def __init__(self) -> None:
        self._at_work: dict[int, str] = {}  #: task by number of the worker
        self._slots: set[int] = set()
        self._begun: dict[str, datetime] = {}
        self._merges: list[_Merge] = []
        self._log: deque[Mapping[str, Json]] = deque(maxlen=NEWEST)

    def take(self, entry: Entry, told: Mapping[str, Json]) -> None:
        """Take in the next entry; `told` is its line of the execution log."""
        body: Any = entry.body or {}  # Any: JSON of our own entries
        self._log.append(told)
        if entry.type in _ALONE:
            self._at_work.clear()  # workers end with their engine
        elif entry.type is EntryType.WORKSPACE_CREATED:
            self._begun.setdefault(entry.task, entry.at)
        elif entry.type is EntryType.WORKER_STARTED:
            self._slots.add(body["slot"])
            self._at_work[body["slot"]] = entry.task
        elif entry.type is EntryType.WORKER_FINISHED:
            held = [slot for slot, task in self._at_work.items() if task == entry.task]
            for slot in held:
                del self._at_work[slot]
        elif entry.type is EntryType.MERGE_COMPLETED:
            tasks = frozenset(body.get("tasks") or ())
            self._merges.append(
                _Merge(old=body["old"], commit=body["commit"], tasks=tasks, at=entry.at)
            )
        elif entry.type is EntryType.ROLLBACK_COMPLETED:
            self._undo(body["sources"][0])

    def to_json(self, run: Run, report: Mapping[str, Json]) -> dict[str, Json]:
        """Return the state of `run` (contract state.v1), whose report (run-report.v1) is `report`."""
        levels = self._levels(report["tasks"])
        return {
            "schema": "engine.state/v1",
            "feature": run.feature,
            "run": run.id,
            "status": run.status,
            "started_at": run.created_at.isoformat(),
            "changed_at": run.changed_at.isoformat(),
            "current_level": _current(levels),
            "workers": {
                str(slot): self._worker(slot, run.status == "running")
                for slot in sorted(self._slots)
            },
            "levels": {str(number): level for number, level in levels.items()},
            "execution_log": list(self._log),
        }

    def _undo(self, commit: str) -> None:
        """Forget the merges that a roll-back to the tree of `commit` has undone."""
        while self._merges and self._merges.pop().old != commit:
            pass

    def _worker(self, slot: int, is_running: bool) -> dict[str, Json]:
        task = self._at_work.get(slot)
        return {
            "status": "running" if task else "idle" if is_running else "stopped",
            "current_task": task,
            "port": None,
            "container_id": None,
            "health_check_at": None,
        }

    def _levels(self, tasks: Any) -> dict[int, dict[str, Json]]:  # Any: JSON of a report
        """Return {level: its state}, lowest first; tasks that the plan left out have no level."""
        states: dict[int, dict[str, str]] = {}
        for task in tasks:
            if "level" in task:
                states.setdefault(task["level"], {})[task["id"]] = task["state"]
        return {number: self._level(states[number]) for number in sorted(states)}

    def _level(self, states: Mapping[str, str]) -> dict[str, Json]:
        status = state_of_all(list(states.values()))
        begun = [self._begun[task] for task in states if task in self._begun]
        merges = [merge for merge in self._merges if not merge.tasks.isdisjoint(states)]
        is_over = status == "merged" and bool(merges)
        return {
            "status": status,
            "started_at": min(begun).isoformat() if begun else None,
            "completed_at": merges[-1].at.isoformat() if is_over else None,
            "merge_commit": merges[-1].commit if merges else None,
            "tasks": dict(states),
        }


def _current(levels: Mapping[int, Mapping[str, Json]]) -> int | None:
    """Return the lowest level that is not merged, the highest when all are, None when there is none."""
    open_ = [number for number, level in levels.items() if level["status"] != "merged"]
    return next(iter(open_), max(levels, default=None))
