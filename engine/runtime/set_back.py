"""Tasks that a person sets back after their run has ended, and what the next run of the feature then leaves aside.

A run that has ended stays as it is. `set_back` leaves a command with it: who, why, which tasks. The run that comes
next reads the commands of the run before it, and records them. Then it carries out the tasks that were set back and those
that were never begun; what else has failed is left aside, with all that depends on it. Without a command nothing is.
Merged tasks stay merged in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Final

from engine.core.model import Json, Variables
from engine.errors import UsageError
from engine.frozen import dataclass
from engine.runtime.forms import contexts, texts
from engine.store import Change, Command, Run, Store, TaskChanged, TaskRow

COMMAND: Final = "retry"
PUT_ASIDE: Final = ("failed", "quarantined", "blocked")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one person asked for after a run. `worker` "" leaves the tool of the task as it is."""

    tasks: tuple[str, ...]
    by: str
    reason: str = ""
    reset: bool = False  #: failures are counted from zero again
    worker: str = ""

    def body(self) -> dict[str, Json]:
        return {
            "tasks": list(self.tasks),
            "by": self.by,
            "reason": self.reason,
            "reset": self.reset,
            "worker": self.worker,
        }


@dataclass(frozen=True, kw_only=True)
class Aside:
    """What a run makes of the requests: tasks it leaves aside, tools it changes, failures it goes on counting."""

    requests: tuple[Request, ...] = ()
    after: str = ""  #: id of the run before
    left: Mapping[str, TaskRow] = field(default_factory=dict)  #: as the run before had them
    waiting: Mapping[str, str] = field(default_factory=dict)  #: {task: the one left aside it needs}
    tools: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, Json] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        return {*self.left, *self.waiting}

    def commands(self) -> list[dict[str, Json]]:
        """Return the bodies of `command.received`: who asked for what, after which run."""
        return [
            {"kind": COMMAND, "answer": "taken", "body": {**request.body(), "after": self.after}}
            for request in self.requests
        ]

    def changes(self) -> list[Change]:
        """Return the states of what is left aside: as it was, or `na` when it needs such a task."""
        told = f"left aside as in run {self.after}"
        left: list[Change] = [
            TaskChanged(
                task=name,
                state=row.state,
                body={
                    "attempts": 0,
                    "reason": _left_reason(told, row),
                    "definition": row.body.get("definition"),
                    **({"failures": row.body["failures"]} if row.body.get("failures") else {}),
                },
            )
            for name, row in self.left.items()
        ]
        return left + [
            TaskChanged(
                task=name,
                state="na",
                body={"attempts": 0, "reason": f"needs {needed}, which was left aside"},
            )
            for name, needed in self.waiting.items()
        ]

    def applied(self, graph: Variables) -> Variables:
        """Return the graph with the tools that people chose."""
        tasks = [
            {**task, "tool": self.tools[task["id"]]} if task["id"] in self.tools else task
            for task in contexts(graph["tasks"])
        ]
        return {**graph, "tasks": tasks}


def set_back(
    store: Store,
    run: Run,
    wanted: Sequence[str],
    request: Request,
    graph: Variables,
    at: datetime,
) -> tuple[Request, int]:
    """Leave `request` with `run`, about the tasks `wanted`, or all that it has put aside without any.

    Return it with its tasks, and its number. Raises UsageError when it cannot be done, and says why.
    """
    newest = [row.id for row in store.runs() if row.feature == run.feature][-1]
    if newest != run.id:
        raise UsageError(
            f"run {run.id} is not the newest of feature {run.feature}",
            hint=f"The newest is {newest}; `engine status` shows what it has put aside.",
        )
    rows = {row.task: row for row in store.tasks(run.id)}
    tasks = tuple(wanted) or tuple(name for name, row in rows.items() if row.state in PUT_ASIDE)
    if not tasks:
        raise UsageError(
            f"run {run.id} has put no task aside", hint="There is nothing to set back."
        )
    for name in tasks:
        _refuse_unless_aside(run, name, rows)
    _refuse_needing(tasks, graph, rows, store.commands(run.id))
    chosen = Request(
        tasks=tasks,
        by=request.by,
        reason=request.reason,
        reset=request.reset,
        worker=request.worker,
    )
    return chosen, store.send_command(run.id, COMMAND, chosen.body(), at)


def left_aside(
    store: Store, feature: str, run: str, tasks: Sequence[Variables], written: Mapping[str, str]
) -> Aside:
    """Return what `run` makes of what people asked for after the run before it.

    `tasks`: what is not merged, of the task graph; `written`: {task: digest of its definition}. A task that is
    written anew since is a new task.
    """
    before = _run_before(store, feature, run)
    if before is None:
        return Aside()
    requests = tuple(_request(c.body) for c in store.commands(before) if c.kind == COMMAND)
    if not requests:
        return Aside()
    rows = {row.task: row for row in store.tasks(before)}
    asked = {name: request for request in requests for name in request.tasks}
    left = {
        str(task["id"]): row
        for task in tasks
        if (row := rows.get(str(task["id"]))) is not None
        and row.task not in asked
        and row.state in PUT_ASIDE
        and row.body.get("definition") == written.get(row.task)
    }
    return Aside(
        requests=requests,
        after=before,
        left=left,
        waiting=_needing(tasks, left),
        tools={name: request.worker for name, request in asked.items() if request.worker},
        failures={
            name: rows[name].body["failures"]
            for name, request in asked.items()
            if not request.reset and name in rows and rows[name].body.get("failures")
        },
    )


def _refuse_unless_aside(run: Run, name: str, rows: Mapping[str, TaskRow]) -> None:
    row = rows.get(name)
    if row is None:
        raise UsageError(f"run {run.id} has no task {name}", got=", ".join(sorted(rows)[:20]))
    if row.state == "merged" or str(row.body.get("reason")).startswith("merged by run "):
        raise UsageError(
            f"task {name} is merged, and stays so",
            hint="To carry out everything again: `engine run --new`.",
        )
    if row.state not in PUT_ASIDE:
        raise UsageError(
            f"run {run.id} has not put task {name} aside",
            expected="a task that is failed, quarantined or blocked",
            got=row.state,
            hint=f"The next `engine run --feature {run.feature}` does it anyway.",
        )


def _refuse_needing(
    tasks: Sequence[str],
    graph: Variables,
    rows: Mapping[str, TaskRow],
    commands: Sequence[Command],
) -> None:
    """Refuse to set back what needs a task that stays aside: it would be left aside with it."""
    asked = {
        *tasks,
        *(name for c in commands if c.kind == COMMAND for name in _request(c.body).tasks),
    }
    left = {name for name, row in rows.items() if row.state in PUT_ASIDE} - asked
    needing = _needing(contexts(graph["tasks"]), left)
    for name in tasks:
        if name in needing:
            raise UsageError(
                f"task {name} needs {needing[name]}, which was put aside, too",
                hint=f"Set both back: engine retry {needing[name]} {name}",
            )


def _left_reason(told: str, row: TaskRow) -> str:
    """Return why a task is left aside; a reason that says so already stays as it is."""
    reason = str(row.body.get("reason") or "")
    return reason if reason.startswith("left aside as in run ") else f"{told}: {reason}"


def _run_before(store: Store, feature: str, run: str) -> str | None:
    ids = [row.id for row in store.runs() if row.feature == feature]
    place = ids.index(run) if run in ids else len(ids)  # one that is not begun is the next
    return ids[place - 1] if place else None


def _request(body: Mapping[str, Any]) -> Request:  # Any: JSON of our own command
    return Request(
        tasks=texts(body["tasks"]),
        by=str(body["by"]),
        reason=str(body["reason"]),
        reset=bool(body["reset"]),
        worker=str(body["worker"]),
    )


def _needing(tasks: Sequence[Variables], left: Collection[str]) -> dict[str, str]:
    """Return {task: the task it waits for} of what depends on tasks left aside, however far."""
    found: dict[str, str] = {}
    grows = True
    while grows:
        grows = False
        for task in contexts(tasks):
            name = str(task["id"])
            if name in found or name in left:
                continue
            missing = [d for d in texts(task.get("dependencies")) if d in left or d in found]
            if missing:
                found[name] = missing[0]
                grows = True
    return found
