"""A run as it stood after any of its entries: instances, tokens, tasks, variables, open jobs. Time travel, read only.

Everything is derived: instances by replaying the facts up to that entry, tasks from what the entries up to then say.
What was in memory or in the database at the time is not asked, so a copied ledger tells the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.core.model import InstanceEnded, InstanceId, Json, Variables
from engine.core.process import Instance
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType, read_turn
from engine.ledger.entries import time_text
from engine.runtime.forms import contexts, ended_tasks, texts
from engine.runtime.pending import Open, waiting_in
from engine.runtime.proof import Book, ReplayedRun


@dataclass(frozen=True, kw_only=True)
class PastState:
    """How a run stood when entry `entry` had been committed."""

    entry: int
    at: str  #: time of that entry, RFC 3339
    replayed: ReplayedRun
    opened: Mapping[str, Open]  #: {instance: what it waited for}, ended instances too
    tasks: Mapping[str, Mapping[str, Json]]  #: {task: {state, attempts}}

    def to_json(self) -> dict[str, Json]:
        """Return the members of the contract engine.replay-state/v1 that tell the state."""
        return {
            "entry": self.entry,
            "at": self.at,
            "instances": [
                self._instance(id, instance) for id, instance in self.replayed.final.items()
            ],
            "tasks": [{"id": task, **told} for task, told in self.tasks.items()],
            "jobs": list(self._jobs()),
            "waiting": [
                {"instance": w.instance, "element": w.element, "key": w.key, "kind": w.kind}
                for w in waiting_in(self._live())
            ],
        }

    def _instance(self, id: InstanceId, instance: Instance) -> dict[str, Json]:
        opened = self.opened[id]
        return {
            "id": id,
            "process": instance.process,
            "parent": opened.parent,
            "task": opened.task,
            "state": instance.state,
            "facts": instance.count,
            "tokens": list(instance.active) if instance.state == "active" else [],
            "variables": dict(instance.variables),
        }

    def _jobs(self) -> Iterator[dict[str, Json]]:
        for id, opened in self._live().items():
            for job in opened.jobs.values():
                yield {
                    "instance": id,
                    "key": job.local_key,
                    "element": job.element,
                    "type": job.type,
                    "attempt": job.attempt,
                    "retries": job.retries,
                    "task": opened.task,
                }

    def _live(self) -> dict[str, Open]:
        final = self.replayed.final
        return {
            id: opened
            for id, opened in self.opened.items()
            if final[InstanceId(id)].state == "active"
        }


def state_at(book: Book, until: int) -> PastState:
    """Return how the run stood after entry `until`.

    Raises UsageError when there is no such entry, IntegrityError when the events up to it do not follow.
    """
    replayed = book.replay(until)
    entries = [entry for entry in book.entries() if entry.seq <= until]
    return PastState(
        entry=until,
        at=time_text(entries[-1].at),
        replayed=replayed,
        opened=_opened(entries, replayed.final),
        tasks=tasks_then(entries),
    )


def _opened(entries: Iterable[Entry], instances: Mapping[InstanceId, Instance]) -> dict[str, Open]:
    found: dict[str, Open] = {}
    for entry in entries:
        if entry.type is EntryType.INSTANCE_TURN:
            turn = read_turn(entry)
            process = instances[InstanceId(entry.instance)].process
            parent = entry.instance.rpartition(".")[0]
            opened = found.setdefault(entry.instance, Open(process=process, parent=parent))
            opened.apply(turn.fact, turn.events)
    return found


# --- tasks ---------------------------------------------------------------------------------------------


def tasks_then(entries: Iterable[Entry]) -> dict[str, dict[str, Json]]:
    """Return {task: {state, attempts}} as these entries tell it, in the order in which tasks became known.

    The same words as `engine status`: pending, running, verified, merged, failed, quarantined, blocked.
    """
    fold = _Tasks()
    for entry in entries:
        fold.take(entry)
    return fold.tasks


class _Tasks:
    """What the entries, taken in order, say about tasks."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Json]] = {}
        self._merged: dict[str, tuple[str, ...]] = {}  # {merge commit: tasks}

    def take(self, entry: Entry) -> None:
        body = entry.body or {}
        match entry.type:
            case EntryType.INSTANCE_TURN:
                self._turn(entry)
            case EntryType.WORKSPACE_CREATED:
                self._set(entry.task, "running", body.get("attempt"))
            case EntryType.MERGE_COMPLETED:
                self._merged[str(body.get("commit"))] = texts(body.get("tasks"))
                for task in texts(body.get("tasks")):
                    self._set(task, "merged")
            case EntryType.ROLLBACK_COMPLETED:
                for task in self._merged.get(str(body.get("old")), ()):
                    self._set(task, "failed")
            case _:
                pass

    def _turn(self, entry: Entry) -> None:
        turn = read_turn(entry)
        for task in _planned(getattr(turn.fact, "variables", {})):
            self.tasks.setdefault(task, {"state": "pending", "attempts": 0})
        for event in turn.events:
            if isinstance(event, InstanceEnded):
                for task, state, told in ended_tasks(event.variables):
                    self._set(task, state, told.get("attempts"))

    def _set(self, task: str, state: str, attempts: object = None) -> None:
        known = self.tasks.setdefault(task, {"state": state, "attempts": 0})
        known["state"] = state
        if isinstance(attempts, int):
            known["attempts"] = attempts


def _planned(variables: Variables) -> list[str]:
    """Return the tasks of a plan, when that is what a job has answered."""
    return [
        str(task["id"])
        for wave in contexts(variables.get("waves"))
        for task in contexts(wave.get("tasks"))
        if "id" in task
    ]
