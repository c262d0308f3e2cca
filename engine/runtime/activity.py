"""What goes on in a run at this moment, folded from its ledger: who works on what, and what happened last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from engine.core.model import Json
from engine.ledger import Entry, EntryType
from engine.runtime.pending import Rest, look, resting_in
from engine.store import Store

RECENT = 8
_ENDED: Final = frozenset({EntryType.RUN_STOPPED, EntryType.RUN_FINISHED})
_TYPES: Final = (
    EntryType.RUN_CREATED,
    EntryType.RUN_RESUMED,
    EntryType.RUN_STOPPED,
    EntryType.RUN_FINISHED,
    EntryType.COMMAND_RECEIVED,
    EntryType.WORKER_STARTED,
    EntryType.WORKER_FINISHED,
    EntryType.MANIFEST_RESCOPED,
    EntryType.WORKSPACE_CAPTURED,
    EntryType.GATE_FINISHED,
    EntryType.MERGE_COMPLETED,
    EntryType.MERGE_REFUSED,
    EntryType.MERGE_VOIDED,
    EntryType.ROLLBACK_COMPLETED,
    EntryType.PUBLISH_REFUSED,
)


@dataclass(frozen=True, kw_only=True)
class AtWork:
    """A worker that has started and not ended."""

    slot: int
    worker: str
    task: str
    attempt: int
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened, as one line for people."""

    at: datetime
    text: str


class Activity:
    """Follows the ledger of one run; each `look` reads what is new."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._seq = 0
        self._workers: dict[str, AtWork] = {}
        self._recent: deque[Happening] = deque(maxlen=RECENT)
        self._resting: tuple[Rest, ...] = ()

    def look(self) -> None:
        """Take in what was recorded since the last look."""
        for entry in self._store.entries(self._run, after=self._seq, types=_TYPES):
            self._take(entry)
            self._seq = entry.seq
        self._resting = resting_in(look(self._store, self._run))

    @property
    def resting(self) -> tuple[Rest, ...]:
        """What waits for a timer alone: a pause between two attempts, a tool that is left alone."""
        return self._resting

    @property
    def workers(self) -> tuple[AtWork, ...]:
        """Those that are at work, by their number."""
        return tuple(sorted(self._workers.values(), key=lambda one: (one.slot, one.task)))

    @property
    def recent(self) -> tuple[Happening, ...]:
        """The last things that happened, the newest last."""
        return tuple(self._recent)

    def to_json(self) -> dict[str, Json]:
        """Return {workers: [{slot, worker, task, attempt, since}], recent: [{at, text}],
        resting: [{instance, task, element, until, decision, reason, text}]}."""
        return {
            "workers": [
                {
                    "slot": one.slot,
                    "worker": one.worker,
                    "task": one.task,
                    "attempt": one.attempt,
                    "since": one.since.isoformat(),
                }
                for one in self.workers
            ],
            "recent": [{"at": one.at.isoformat(), "text": one.text} for one in self.recent],
            "resting": [
                {
                    "instance": one.instance,
                    "task": one.task,
                    "element": one.element,
                    "until": one.until.isoformat(),
                    "decision": one.decision,
                    "reason": one.reason,
                    "text": one.text,
                }
                for one in self.resting
            ],
        }

    def _take(self, entry: Entry) -> None:
        body: Any = entry.body or {}  # Any: JSON of our own entries
        if entry.type in _ENDED or entry.type is EntryType.RUN_RESUMED:
            self._workers.clear()  # a dead engine's workers have died with it
        elif entry.type is EntryType.WORKER_STARTED:
            self._workers[entry.task] = AtWork(
                slot=body["slot"],
                worker=body["worker"],
                task=entry.task,
                attempt=body["attempt"],
                since=entry.at,
            )
        elif entry.type is not EntryType.COMMAND_RECEIVED and entry.task:
            self._workers.pop(entry.task, None)
        text = _told(entry, body)
        if text:
            self._recent.append(Happening(at=entry.at, text=text))


def activity_of(store: Store, run: str) -> Activity:
    """Return what goes on in `run` now."""
    found = Activity(store, run)
    found.look()
    return found


def _told(entry: Entry, body: Mapping[str, Any]) -> str:  # Any: JSON of our own entries
    match entry.type:
        case EntryType.RUN_CREATED:
            return "the run begins"
        case EntryType.RUN_RESUMED:
            return "an engine takes the run over"
        case EntryType.RUN_STOPPED | EntryType.RUN_FINISHED:
            return f"the run is {body['status']}"
        case EntryType.COMMAND_RECEIVED:
            return f"a person asks: {body.get('kind', 'command')}"
        case EntryType.WORKER_STARTED:
            again = f", attempt {body['attempt']}" if body["attempt"] > 1 else ""
            return f"{entry.task}: {body['worker']} starts{again}"
        case EntryType.MANIFEST_RESCOPED:
            return f"{entry.task}: may also write {_listed(body['paths'])}: {body['reason']}"
        case EntryType.WORKER_FINISHED if body["failure_class"]:
            return f"{entry.task}: {body['worker']} failed: {body['reason']}"
        case EntryType.WORKER_FINISHED:
            return f"{entry.task}: {body['worker']} ended well"
        case EntryType.GATE_FINISHED:
            subject = f"{entry.task}: " if entry.task else ""
            reason = f": {body['reason']}" if body.get("reason") else ""
            return f"{subject}{body['name']} {body['result']}{reason}"
        case EntryType.MERGE_COMPLETED:
            return f"merged {_listed(body.get('tasks'))} as {str(body['commit'])[:12]}"
        case EntryType.MERGE_REFUSED | EntryType.MERGE_VOIDED:
            reasons = body.get("reasons") or [body.get("reason", "")]
            return f"not merged: {'; '.join(map(str, reasons))}"
        case EntryType.ROLLBACK_COMPLETED:
            return "rolled back"
        case EntryType.PUBLISH_REFUSED:
            return f"branch {body['branch']} was not moved: {body['reason']}"
        case _:
            return ""


def _listed(names: Iterable[object] | None) -> str:
    return ", ".join(map(str, names or ())) or "nothing"
