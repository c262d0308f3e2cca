"""`engine retry`: what stands in an incident is tried again; what a run has put aside is set back for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import people, show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine

if TYPE_CHECKING:
    from engine.runtime.engine import Engine
    from engine.runtime.pending import Waiting
    from engine.runtime.set_back import Request
    from engine.store import Run, Store


def retry(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Ids of tasks, or of elements.")
    ] = None,
    all_blocked: Annotated[
        bool, typer.Option("--all-blocked", help="All that stand in an incident or were put aside.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Count failures from zero again.")] = False,
    worker: Annotated[
        str | None, typer.Option("--worker", help="Configured worker that does it instead.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "",
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    as_json: AsJson = False,
) -> int:
    """Try tasks again: at once what stands in an incident; with the next run what one that has ended has put aside.

    Merged tasks stay merged. The next run leaves aside what was not set back, and what depends on it.
    """
    names = tuple(dict.fromkeys(tasks or ()))
    _refuse_unless_one(names, all_blocked)
    engine = open_engine(project)
    with engine.store() as store:
        found = _incidents(engine, store, run_id, names)
        if found:
            _refuse_changes(reset, worker)
            return _try_again(store, found, as_json=as_json)
        row = engine.find_run(store, run_id)
        return _set_back(
            engine, store, row, names, _request(reset, worker, reason), as_json=as_json
        )


def _request(reset: bool, worker: str | None, reason: str) -> Request:
    from engine.runtime.set_back import Request

    return Request(
        tasks=(), by=people.person(), reason=reason.strip(), reset=reset, worker=worker or ""
    )


def _refuse_unless_one(names: Sequence[str], all_blocked: bool) -> None:
    from engine.errors import UsageError

    if bool(names) == all_blocked:
        raise UsageError(
            "which tasks are to be tried again",
            expected="ids of tasks, or --all-blocked",
            got="both" if all_blocked else "neither",
            hint="`engine status` shows what was put aside, `engine incidents` what waits.",
        )


def _incidents(
    engine: Engine, store: Store, run_id: str | None, names: Sequence[str]
) -> list[tuple[str, Waiting]]:
    """Return (run, incident) of those named, or of all; [] when none stands in one. Raises UsageError for some only."""
    from engine.errors import UsageError
    from engine.runtime.pending import look, waiting_in

    rows = [engine.find_run(store, run_id)] if run_id else store.runs()
    every = [
        (row.id, item)
        for row in rows
        if not row.is_finished
        for item in waiting_in(look(store, row.id))
        if item.kind == "incident"
    ]
    found = [(run, item) for run, item in every if not names or any(map(item.is_named, names))]
    missing = [name for name in names if not any(item.is_named(name) for _, item in found)]
    if found and missing:
        raise UsageError(f"{', '.join(missing)} is in no incident", hint="See `engine incidents`.")
    if len(found) > len(names) > 0:
        listed = ", ".join(f"{item.instance}/{item.key} of {run}" for run, item in found)
        raise UsageError(
            f"{', '.join(names)} is more than one incident", expected=f"one of {listed}"
        )
    return found


def _refuse_changes(reset: bool, worker: str | None) -> None:
    from engine.errors import UsageError

    if reset or worker:
        raise UsageError(
            "--reset" if reset else "--worker",
            expected="tasks of a run that has ended",
            got="an incident of one that goes on",
            hint="`engine resolve` sets its variables.",
        )


def _try_again(store: Store, found: Sequence[tuple[str, Waiting]], *, as_json: bool) -> int:
    """Leave an answer for each incident: a live engine takes it at once, else the next."""
    for run, item in found:
        body: dict[str, Any] = {  # Any: JSON
            "element": f"{item.instance}/{item.key}",
            "variables": {},
            "by": people.person(),
        }
        number = store.send_command(run, "resolve", body, datetime.now(UTC))
        told = f"run {run}: will try again {item.text}. If no engine runs, go on with: engine resume {run}"
        if not as_json:
            show.line(show.plain(told))
    if as_json:
        show.as_json("command", {"run": run, "kind": "resolve", "command": number})
    return 0


def _set_back(
    engine: Engine,
    store: Store,
    row: Run,
    names: Sequence[str],
    request: Request,
    *,
    as_json: bool,
) -> int:
    from engine.errors import UsageError
    from engine.runtime.set_back import set_back

    if not row.is_finished:
        raise UsageError(
            f"run {row.id} has not ended ({row.status}), and nothing of it stands in an incident",
            hint="What it puts aside can be set back when it has ended.",
        )
    known = sorted({"shell", *engine.settings.workers})
    if request.worker and request.worker not in known:
        raise UsageError("--worker", expected=f"one of {', '.join(known)}", got=request.worker)
    if row.process is not None:
        raise UsageError(f"run {row.id} is of a process alone", hint="It has no tasks to set back.")
    chosen, number = set_back(
        store, row, names, request, engine.task_graph(row.feature), datetime.now(UTC)
    )
    if as_json:
        body = {"run": row.id, "kind": "retry", "command": number, **chosen.body()}
        show.as_json("command", body)
        return 0
    count = "failures are counted from zero" if chosen.reset else "failures go on being counted"
    by = f", by {chosen.worker}" if chosen.worker else ""
    show.line(show.plain(f"set back {', '.join(chosen.tasks)} of run {row.id}{by}; {count}"))
    show.line(show.plain(f"done again by: engine run --feature {row.feature}"))
    return 0
