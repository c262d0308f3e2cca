"""Commands that prove and explain: replay, why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(replay)
    app.command()(why)


def replay(
    run_id: Annotated[str | None, typer.Argument(help="Run id; the newest without.")] = None,
    project: ProjectFolder = HERE,
    until: Annotated[int | None, typer.Option(min=1, help="Stop after this entry.")] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="A copied ledger, with no database: its folder.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Fold the recorded facts again; exit 5 names the first event that does not follow."""
    from engine.errors import UsageError
    from engine.runtime.proof import replay_copy, replay_run, verify_run

    if ledger is not None:
        verified, done = replay_copy(ledger, until=until)
        run = ledger.resolve().name
    else:
        engine = open_engine(project)
        with engine.store() as store:
            run = engine.find_run(store, run_id).id
            verified = verify_run(store, run)
            done = replay_run(store, run, until=until)
    if until is not None and until > verified.entries:
        raise UsageError(
            "--until", expected=f"an entry from 1 to {verified.entries}", got=str(until)
        )
    if as_json:
        show.as_json(
            "replay",
            {
                "run": run,
                "entries": verified.entries,
                "head": verified.head,
                "turns": done.turns,
                "instances": done.instances,
                "bundle": done.bundle,
            },
        )
    else:
        part = f"up to entry {until} of {verified.entries}, " if until else ""
        show.line(
            f"run {run}: {part}{done.turns} turns of {done.instances} instances replayed under bundle "
            f"{done.bundle[:12]}; every event follows from the recorded facts"
        )
    return 0


def why(
    task: Annotated[str, typer.Argument(help="Task id.")],
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    as_json: AsJson = False,
) -> int:
    """Say why a task was merged or not: path, table rows, policy reasons, check output."""
    from engine.runtime.why import explain_task

    engine = open_engine(project)
    with engine.store() as store:
        row = engine.find_run(store, run_id)
        found = explain_task(store, row.id, task)
    if as_json:
        show.as_json(
            "why",
            {
                "run": row.id,
                "task": found.task,
                "state": found.state,
                "reason": found.reason,
                "steps": [
                    {
                        "seq": step.seq,
                        "kind": step.kind,
                        "text": step.text,
                        "details": list(step.details),
                    }
                    for step in found.steps
                ],
            },
        )
        return 0
    because = f": {show.plain(found.reason)}" if found.reason else ""
    show.line(f"task {show.plain(task)} of run {row.id} is {show.coloured(found.state)}{because}")
    for step in found.steps:
        show.line(f"{step.seq:>6}  {step.kind:<9} {show.plain(step.text)}")
        for detail in step.details:
            show.line(f"{'':17} {show.plain(detail)}")
    return 0
