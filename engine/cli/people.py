"""Commands of people: what waits for them, their answers, incidents, and the instances behind."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine

if TYPE_CHECKING:
    from engine.runtime.pending import Open, Waiting

Answers = Annotated[
    list[str] | None, typer.Option("--var", help="Answer as name=JSON; repeat for more.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (
        tasks,
        complete,
        approve,
        incidents,
        resolve,
        message,
        signal,
        instances,
        stop,
    ):
        app.command()(command)


def tasks(project: ProjectFolder = HERE, run_id: RunOption = None, as_json: AsJson = False) -> int:
    """List the user tasks that wait for a person, of every unfinished run or the one named."""
    return _list_waiting(project, run_id, "approval", as_json=as_json)


def incidents(
    project: ProjectFolder = HERE, run_id: RunOption = None, as_json: AsJson = False
) -> int:
    """List the incidents that wait for a decision, of every unfinished run or the one named."""
    return _list_waiting(project, run_id, "incident", as_json=as_json)


def complete(
    task: Annotated[str, typer.Argument(help="Key of the user task, as `engine tasks` shows it.")],
    variable: Answers = None,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    as_json: AsJson = False,
) -> int:
    """Complete a user task with answers: who and when go into the ledger."""
    return _answer(project, run_id, "approve", task, variable, as_json)


def approve(
    run_id: Annotated[str, typer.Argument(help="Run id, or the start of one.")],
    element: Annotated[str, typer.Argument(help="Element id of the waiting user task.")],
    variable: Answers = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Complete a user task of a run: who and when go into the ledger."""
    return _answer(project, run_id, "approve", element, variable, as_json)


def resolve(
    incident: Annotated[str, typer.Argument(help="Key, element or task of the incident.")],
    variable: Answers = None,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    as_json: AsJson = False,
) -> int:
    """Try again what stands in an incident, with variables corrected."""
    return _answer(project, run_id, "resolve", incident, variable, as_json)


def message(
    name: Annotated[str, typer.Argument(help="Name of the message, as its catch event has it.")],
    key: Annotated[str, typer.Option("--key", help="Correlation key, as text.")] = "",
    variable: Annotated[
        list[str] | None, typer.Option("--var", help="Variable as name=JSON; repeat for more.")
    ] = None,
    ttl: Annotated[
        int, typer.Option(min=0, help="Keep it so many seconds for those that do not wait yet.")
    ] = 0,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    as_json: AsJson = False,
) -> int:
    """Publish a message to the instances of a run; without a time to live it is lost when nobody waits."""
    body: dict[str, Any] = {"name": name, "key": key, "ttl_s": ttl, "by": person()}  # Any: JSON
    body["variables"] = variables(variable or ())
    _send_to(project, run_id, "message", body, f"published {name}", as_json=as_json)
    return 0


def signal(
    name: Annotated[str, typer.Argument(help="Name of the signal, as its catch event has it.")],
    variable: Annotated[
        list[str] | None, typer.Option("--var", help="Variable as name=JSON; repeat for more.")
    ] = None,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    as_json: AsJson = False,
) -> int:
    """Broadcast a signal to the instances of a run that wait for it at that moment."""
    body: dict[str, Any] = {"name": name, "by": person()}  # Any: JSON
    body["variables"] = variables(variable or ())
    _send_to(project, run_id, "signal", body, f"signal {name}", as_json=as_json)
    return 0


def stop(
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do not wait for running workers: end them.")
    ] = False,
    checkpoint: Annotated[
        bool,
        typer.Option(help="Keep unfinished work as a commit; its folder stays in any case."),
    ] = True,
    as_json: AsJson = False,
) -> int:
    """Ask the engine of a run to stop: what runs finishes first; --force ends it. The run can go on later."""
    from engine.errors import UsageError

    engine = open_engine(project)
    with engine.store() as store:
        row = engine.find_run(store, run_id)
        if row.is_finished:
            raise UsageError(f"run {row.id} has ended ({row.status})", hint="Nothing is running.")
        if engine.settings.store.url is None and not engine.is_carried(
            row
        ):  # it would stop the next one
            raise UsageError(
                f"no engine is at work on run {row.id}",
                hint=f"Nothing is to be stopped; go on with: engine resume {row.id}",
            )
        body: dict[str, Any] = {
            "force": force,
            "checkpoint": checkpoint,
            "by": person(),
        }  # Any: JSON
        number = store.send_command(row.id, "stop", body, datetime.now(UTC))
    how = "ending what runs" if force else "stopping when what runs has finished"
    kept = "; unfinished work is kept" if checkpoint else ""
    told = f"run {row.id}: {how}{kept}. Go on with: engine resume {row.id}"
    _tell_sent(row.id, "stop", number, told, as_json=as_json)
    return 0


def instances(
    project: ProjectFolder = HERE, run_id: RunOption = None, as_json: AsJson = False
) -> int:
    """List the open process instances of a run with what they wait for."""
    from engine.runtime.pending import look

    engine = open_engine(project)
    with engine.store() as store:
        row = engine.find_run(store, run_id)
        found = look(store, row.id)
    if as_json:
        listed = [
            {"instance": name, "process": opened.process, "parent": opened.parent, **_waits(opened)}
            for name, opened in found.items()
        ]
        show.as_json("instances", {"run": row.id, "status": row.status, "instances": listed})
        return 0
    show.line(f"run {row.id} · {show.coloured(row.status)} · {len(found)} open instances")
    if found:
        show.table(
            ("instance", "process", "waits for"),
            [
                (show.plain(name), show.plain(opened.process), show.plain(_told(opened)))
                for name, opened in found.items()
            ],
        )
    return 0


def variables(given: Sequence[str]) -> dict[str, Any]:
    """Return {name: value} of texts `name=JSON`; what is no JSON is text. Raises UsageError."""
    from engine.errors import UsageError

    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise UsageError("--var", expected="name=JSON", got=text)
        try:
            found[name] = json.loads(value, parse_float=Decimal)
        except ValueError:
            found[name] = value
    return found


# ---- private steps


def _list_waiting(project: Path, run_id: str | None, kind: str, *, as_json: bool) -> int:
    from engine.runtime.pending import look, waiting_in

    engine = open_engine(project)
    with engine.store() as store:
        rows = (
            [engine.find_run(store, run_id)]
            if run_id
            else [row for row in store.runs() if not row.is_finished]
        )
        found = [
            (row.id, item)
            for row in rows
            for item in waiting_in(look(store, row.id))
            if item.kind == kind
        ]
    found.sort(key=lambda pair: _urgency(pair[1], datetime.now(UTC)))
    if as_json:
        noun = "tasks" if kind == "approval" else "incidents"
        show.as_json(noun, {noun: [{"run": run, **_record(item)} for run, item in found]})
        return 0
    if not found:
        show.line("nothing waits for a person" if kind == "approval" else "there are no incidents")
        return 0
    for run, item in found:
        who = f" for {item.assignee or item.groups or 'anyone'}" if kind == "approval" else ""
        show.line(show.plain(f"{item.instance}/{item.key} of run {run}{who}{_dates(item)}"))
        show.line(f"    {show.plain(item.text)}")
    verb = "complete KEY --var name=value" if kind == "approval" else "resolve KEY"
    show.line(f"Answer with: engine {verb}")
    return 0


def _urgency(item: Waiting, now: datetime) -> tuple[bool, datetime]:
    """Return what the list is sorted by: what is to be begun later comes last; then what is due first."""
    return (_moment(item.follow_up, now) > now, _moment(item.due, datetime.max.replace(tzinfo=UTC)))


def _moment(text: str, otherwise: datetime) -> datetime:
    """Return a date of a diagram as a moment; a text that is no date means what `otherwise` says."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _dates(item: Waiting) -> str:
    due = f", due {item.due}" if item.due else ""
    return f"{due}, to be begun {item.follow_up}" if item.follow_up else due


def _answer(
    project: Path,
    run_id: str | None,
    kind: str,
    name: str,
    given: Sequence[str] | None,
    as_json: bool,
) -> int:
    """Leave an answer for the engine of a run: a live one takes it at once, else the next."""
    answers = variables(given or ())
    engine = open_engine(project)
    with engine.store() as store:
        run, item = _find(
            engine, store, run_id, "approval" if kind == "approve" else "incident", name
        )
        body: dict[str, Any] = {  # Any: JSON
            "element": f"{item.instance}/{item.key}",
            "variables": answers,
            "by": person(),
        }
        number = store.send_command(run, kind, body, datetime.now(UTC))
    done = "completed" if kind == "approve" else "will try again"
    _tell_sent(
        run,
        kind,
        number,
        f"run {run}: {done} {item.text}. If no engine runs, go on with: engine resume {run}",
        as_json=as_json,
    )
    return 0


def _find(engine: Any, store: Any, run_id: str | None, kind: str, name: str) -> tuple[str, Waiting]:
    # Any: Engine and Store are imported when a command needs them
    """Return the one thing that `name` means. Raises UsageError when it means nothing, or more than one."""
    from engine.errors import UsageError
    from engine.runtime.pending import look, waiting_in

    rows = (
        [engine.find_run(store, run_id)]
        if run_id
        else [row for row in store.runs() if not row.is_finished]
    )
    every = [
        (row.id, item)
        for row in rows
        for item in waiting_in(look(store, row.id))
        if item.kind == kind
    ]
    found = [(run, item) for run, item in every if item.is_named(name)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{item.instance}/{item.key} of {run}" for run, item in found or every)
    noun = "user task" if kind == "approval" else "incident"
    raise UsageError(
        f"{name} is no waiting {noun}" if not found else f"{name} is more than one {noun}",
        expected=f"one of {listed}" if listed else "",
        hint="" if listed else f"No {noun} waits; see `engine status`.",
    )


def _send_to(
    project: Path,
    run_id: str | None,
    kind: str,
    body: dict[str, Any],  # Any: JSON
    done: str,
    *,
    as_json: bool,
) -> None:
    """Leave a command for the engine of a run that has not ended, and say that it was left."""
    from engine.errors import UsageError

    engine = open_engine(project)
    with engine.store() as store:
        row = engine.find_run(store, run_id)
        if row.is_finished:
            raise UsageError(f"run {row.id} has ended ({row.status})", hint="See `engine status`.")
        number = store.send_command(row.id, kind, body, datetime.now(UTC))
    told = f"run {row.id}: {done}. If no engine runs, go on with: engine resume {row.id}"
    _tell_sent(row.id, kind, number, told, as_json=as_json)


def _tell_sent(run: str, kind: str, number: int, text: str, *, as_json: bool) -> None:
    if as_json:
        show.as_json("command", {"run": run, "kind": kind, "command": number})
    else:
        show.line(show.plain(text))


def _record(item: Waiting) -> Mapping[str, Any]:
    shown: dict[str, Any] = {
        "instance": item.instance,
        "element": item.element,
        "key": f"{item.instance}/{item.key}",
        "text": item.text,
        "task": item.task,
    }
    if item.kind == "approval":
        shown |= {
            "assignee": item.assignee,
            "groups": item.groups,
            "due": item.due,
            "follow_up": item.follow_up,
            "form": item.form,
            "variables": dict(item.variables),
        }
    return shown


def _waits(opened: Open) -> dict[str, list[str]]:
    return {
        "jobs": sorted(opened.jobs),
        "timers": [f"{key} at {due.isoformat()}" for key, due in sorted(opened.timers.items())],
        "user_tasks": sorted(opened.tasks),
        "incidents": sorted(opened.incidents),
        "messages": [f"{e.name} for key {e.correlation_key}" for e in opened.messages.values()],
        "children": sorted(opened.children),
    }


def _told(opened: Open) -> str:
    names = {
        "jobs": "job",
        "timers": "timer",
        "user_tasks": "person",
        "incidents": "incident",
        "messages": "message",
    }
    waits = _waits(opened)
    told = [f"{word} {key}" for kind, word in names.items() for key in waits[kind][:4]]
    if waits["children"]:
        told.append(f"{len(waits['children'])} child instances")
    return ", ".join(told)


def person() -> str:
    """Return who asks, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
