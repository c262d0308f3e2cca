"""Commands that prove and explain: replay, why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine
from engine.cli.replaying import replay

if TYPE_CHECKING:
    from engine.runtime.changes import Change
    from engine.runtime.nearest import Nearest


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
    """Say why a task was merged or not: path, table rows, policy rules, check output, and what would have merged it."""
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
                        "evidence": dict(step.evidence),
                    }
                    for step in found.steps
                ],
                "nearest": None if found.nearest is None else _nearest_json(found.nearest),
            },
        )
        return 0
    because = f": {show.plain(found.reason)}" if found.reason else ""
    show.line(f"task {show.plain(task)} of run {row.id} is {show.coloured(found.state)}{because}")
    for step in found.steps:
        show.line(f"{step.seq:>6}  {step.kind:<9} {show.plain(step.text)}")
        for detail in step.details:
            show.line(f"{'':17} {show.plain(detail)}")
    if found.nearest is not None:
        _tell_nearest(found.nearest)
    return 0


def _nearest_json(nearest: Nearest) -> dict[str, Any]:  # Any: JSON members
    return {
        "outcome": nearest.outcome,
        "changes": [_change(change) for change in nearest.changes],
        "others": [[_change(change) for change in changes] for changes in nearest.others],
        "reason": nearest.reason,
        "courses": nearest.tried,
    }


def _change(change: Change) -> dict[str, Any]:  # Any: JSON members
    return {
        "kind": change.kind,
        "seq": change.seq,
        "element": change.element,
        "text": change.text,
        "pointer": change.pointer,
        "recorded": change.recorded,
        "wanted": change.wanted,
    }


def _tell_nearest(nearest: Nearest) -> None:
    if nearest.outcome == "none":
        show.line(f"nearest change that would merge: none found: {show.plain(nearest.reason)}")
        return
    show.line(
        "nearest change that would merge:"
        if nearest.outcome == "merged"
        else "nearest change, as far as the record reaches:"
    )
    for change in nearest.changes:
        at = f"{change.seq:>6}  " if change.seq else " " * 8
        was = f" (recorded: {_short(change.recorded)})" if change.recorded else ""
        show.line(f"{at}{change.kind:<9} {show.plain(change.text + was)}")
    if nearest.reason:
        show.line(f"{'':17} {show.plain(nearest.reason)}")
    for changes in nearest.others:
        show.line(f"{'':8}or: {show.plain('; and '.join(change.text for change in changes))}")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:99]}…"
