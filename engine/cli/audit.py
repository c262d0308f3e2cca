"""Commands that prove and explain: replay, why."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine
from engine.cli.replaying import replay


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(replay)
    app.command()(why)


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
