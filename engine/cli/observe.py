"""Commands that look at a run while it goes on and afterwards: status, logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine

if TYPE_CHECKING:
    from engine.runtime.engine import Engine
    from engine.runtime.logs import LogFile, Sieve
    from engine.store import Store

LOOK_EVERY_S = 0.5
AsJsonLines = Annotated[
    bool, typer.Option("--jsonl", help="Print one JSON object a line, as things happen.")
]


class Gravity(StrEnum):
    """How grave a line of a log is."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (status, logs):
        app.command()(command)


def status(
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow it until it ends or waits.")
    ] = False,
    level: Annotated[
        int | None, typer.Option("--level", "-l", min=1, max=5, help="Only tasks of this level.")
    ] = None,
    as_json: AsJson = False,
    as_jsonl: AsJsonLines = False,
) -> int:
    """Show the newest run, or the one named: its tasks and waves, who works on what, and what happened last."""
    from engine.runtime.activity import Activity

    engine = open_engine(project)
    with engine.store() as store:
        row = engine.find_run(store, run_id)
        activity = Activity(store, row.id)

        def look() -> dict[str, Any]:  # Any: JSON
            activity.look()
            return {"report": _report(store, row.id, level), **activity.to_json()}

        if watching:
            seen = _watch(engine, store, row.id, look, as_json=as_json, as_jsonl=as_jsonl)
        else:
            seen = look()
        if as_json or (as_jsonl and not watching):
            show.as_json("status", seen)
        elif not as_jsonl:
            _tell(engine, store, row.id, seen)
    return 0


def logs(
    name: Annotated[
        str | None, typer.Argument(help="Task, worker or number of a worker; everything without.")
    ] = None,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    tail: Annotated[int, typer.Option(min=0, help="Last lines of each log; 0 for all.")] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on printing while an engine carries the run on.")
    ] = False,
    level: Annotated[
        Gravity | None, typer.Option("--level", help="Only lines that are at least so grave.")
    ] = None,
    as_jsonl: AsJsonLines = False,
) -> int:
    """Print what workers wrote, of a task or of a worker."""
    from engine.errors import UsageError
    from engine.runtime.logs import log_files

    engine = open_engine(project)
    with engine.store() as store:
        row = engine.find_run(store, run_id)
        folder = engine.project.home / "logs" / row.id

        def found() -> list[LogFile]:
            return log_files(store, row.id, folder, name)

        files = found()
        if not files and not (follow and _goes_on(engine, store, row.id)):
            raise UsageError(
                f"there are no logs of {name or 'this run'}",
                where=f"run {row.id}",
                hint="See `engine status`.",
            )
        printer = _Printer(level=level, as_jsonl=as_jsonl, tail=tail)
        printer.print(files)
        while follow and _goes_on(engine, store, row.id):
            time.sleep(LOOK_EVERY_S)
            printer.print(found())
    return 0


def _goes_on(engine: Engine, store: Store, run: str) -> bool:
    row = store.run(run)
    return row.status == "running" and engine.is_carried(row)


# ---- status


def _report(store: Store, run: str, level: int | None) -> Mapping[str, Any]:
    """Return the report of a run; of a feature's run only the tasks and waves of `level`, when one is asked for."""
    from engine.errors import UsageError
    from engine.runtime.report import report_of

    body: dict[str, Any] = report_of(store, run)  # Any: JSON
    if level is None:
        return body
    levels = {task.get("level") for task in body.get("tasks", ())} - {None}
    if level not in levels:
        known = ", ".join(map(str, sorted(levels))) or "none"
        raise UsageError(
            f"the run has no task on level {level}", where=f"run {run}", expected=f"one of: {known}"
        )
    tasks = [task for task in body["tasks"] if task.get("level") == level]
    ids = {task["id"] for task in tasks}
    waves = [wave for wave in body["waves"] if ids & set(wave["tasks"])]
    return {**body, "tasks": tasks, "waves": waves}


def _watch(
    engine: Engine,
    store: Store,
    run: str,
    look: Callable[[], dict[str, Any]],  # Any: JSON
    *,
    as_json: bool,
    as_jsonl: bool,
) -> dict[str, Any]:
    """Follow the run while an engine carries it on; return how it was seen last."""
    live = None
    if show.is_live() and not as_json and not as_jsonl:
        from rich.live import Live

        live = Live(refresh_per_second=4, transient=True)
        live.start()
    told = ""
    try:
        while True:
            goes_on = _goes_on(
                engine, store, run
            )  # asked first, so that the last look sees the end
            seen = look()
            told = _show(seen, told, live, as_json=as_json, as_jsonl=as_jsonl)
            if not goes_on:
                return seen
            time.sleep(LOOK_EVERY_S)
    finally:
        if live is not None:
            live.stop()


def _show(seen: Any, told: str, live: Any, *, as_json: bool, as_jsonl: bool) -> str:
    # Any: JSON; rich's Live or None
    """Show how the run is now, unless `told` said the same; return what was told."""
    if as_json:
        return ""
    if live is not None:
        from engine.cli.progress import panel

        live.update(panel(seen))
        return ""
    text = _counts(seen["report"])
    if as_jsonl:
        text = str((text, seen["workers"], seen["recent"][-1:], seen["resting"]))
        if text != told:
            show.as_json("status", seen)
            sys.stdout.flush()
    elif text != told:
        show.line(f"{datetime.now(UTC):%H:%M:%S} {text}")
    return text


def _tell(engine: Engine, store: Store, run: str, seen: Any) -> None:  # Any: JSON
    """Print the run for people; while it is under way, also who works on what and what happened last."""
    show.run(seen["report"])
    row = store.run(run)
    if row.status == "stopped":
        show.line(f"paused: workspaces are kept; go on with: engine resume {run}")
    for one in seen["resting"]:
        show.line(f"{show.plain(one['task'] or one['instance'])} {show.plain(one['text'])}")
    if row.status != "running":
        return
    for one in seen["workers"]:
        since = datetime.fromisoformat(one["since"])
        show.line(
            f"worker {one['slot']} ({show.plain(one['worker'])}) is at {show.plain(one['task'])} "
            f"since {since:%H:%M:%S}, attempt {one['attempt']}"
        )
    for happened in seen["recent"][-5:]:
        show.line(
            f"[dim]{datetime.fromisoformat(happened['at']):%H:%M:%S}[/] {show.plain(happened['text'])}"
        )
    if not engine.is_carried(row):
        show.line(f"no engine is at work on it; go on with: engine resume {run}")


def _counts(body: Mapping[str, Any]) -> str:  # Any: JSON
    if "tasks" not in body:
        return str(body["status"])
    counts: dict[str, int] = {}
    for task in body["tasks"]:
        counts[task["state"]] = counts.get(task["state"], 0) + 1
    told = ", ".join(f"{counts[state]} {state}" for state in show.STATES if state in counts)
    return told or str(body["status"])


# ---- logs


class _Printer:
    """Prints what is new in some logs: at first the last lines of each, then whatever is appended."""

    def __init__(self, *, level: Gravity | None, as_jsonl: bool, tail: int) -> None:
        self._level = level.value if level else None
        self._sieves: dict[Path, Sieve] = {}
        self._as_jsonl = as_jsonl
        self._tail = tail
        self._read: dict[Path, int] = {}
        self._is_first = True
        self._last: Path | None = None

    def print(self, files: list[LogFile]) -> None:
        from engine.runtime.logs import Sieve

        alone = len(files) == 1 and self._is_first
        for file in files:
            sieve = self._sieves.setdefault(file.path, Sieve(self._level))
            lines = [line for line in self._new_lines(file.path) if sieve.takes(line)]
            if self._is_first and self._tail:
                lines = lines[-self._tail :]
            if lines and not alone and file.path != self._last and not self._as_jsonl:
                show.line(f"== {show.plain(file.path.name)}")
            if lines:
                self._last = file.path
            for line in lines:
                self._line(file, line)
        self._is_first = False
        sys.stdout.flush()

    def _new_lines(self, path: Path) -> Iterator[str]:
        """Yield whole lines behind what was read; at first also the last one, which may lack its end."""
        with path.open("rb") as stream:
            stream.seek(self._read.get(path, 0))
            content = stream.read()
        end = len(content) if self._is_first else content.rfind(b"\n") + 1
        self._read[path] = self._read.get(path, 0) + end
        yield from content[:end].decode("utf-8", "replace").splitlines()

    def _line(self, file: LogFile, line: str) -> None:
        if self._as_jsonl:
            show.as_json(
                "log-line",
                {"task": file.task, "attempt": file.attempt, "worker": file.worker, "line": line},
            )
        else:
            show.line(show.plain(line))
