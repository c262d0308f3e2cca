"""What a run prints while it goes on: one line for each thing a person wants to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.cli import show
from engine.core.model import (
    Event,
    Fact,
    IncidentRaised,
    InstanceEnded,
    JobCreated,
    UserTaskCreated,
)

_TOLD = {
    "worker.run": "works",
    "checks.verify": "is verified",
    "repository.build_candidate": "builds the merge candidate",
    "checks.run_gates": "runs gates",
    "repository.merge": "merges",
    "checks.run_doctor": "asks the doctor",
    "repository.roll_back": "rolls back",
    "task.quarantine": "is put aside",
}


def tell(label: str, fact: Fact, events: Sequence[Event]) -> None:
    """Tell on standard error what one turn did, if it is worth a line; `label` is its task or wave."""
    for event in events:
        text = _text(event)
        if text:
            show.note(f"{fact.at:%H:%M:%S} {show.plain(label):<12} {text}")


def panel(body: Mapping[str, Any]) -> Any:  # Any: a rich renderable
    """Return the panel of `engine status --watch`: progress bar, waves, tasks that run."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    tasks = body["tasks"]
    merged = sum(task["state"] == "merged" for task in tasks)
    rows = [
        Text.from_markup(
            f"wave {wave['n']:>3}  {show.coloured(wave['state'])}  {show.plain(' '.join(wave['tasks'][:10]))}"
        )
        for wave in body["waves"]
    ]
    running = [task for task in tasks if task["state"] == "running"]
    rows += [
        Text.from_markup(f"  {show.plain(task['id'])}: attempt {task['attempts']}")
        for task in running[:20]
    ]
    return Panel(
        Group(ProgressBar(total=max(1, len(tasks)), completed=merged), *rows),
        title=f"{body['feature']} · {body['status']} · {merged}/{len(tasks)} merged",
    )


def _text(event: Event) -> str:
    match event:
        case JobCreated(job=job) if job.type in _TOLD:
            again = f" (attempt {job.visit})" if job.visit > 1 else ""
            return f"{_TOLD[job.type]}{again}"
        case UserTaskCreated(name=name):
            return f"[yellow]waits for a person:[/] {show.plain(name)}"
        case IncidentRaised(code=code, message=message):
            return f"[red]incident {code}:[/] {show.plain(message)}"
        case InstanceEnded(variables=variables):
            result = variables.get("result")
            if isinstance(result, Mapping) and "state" in result:
                reason = f": {show.plain(result['reason'])}" if result.get("reason") else ""
                return f"{show.coloured(str(result['state']))}{reason}"
            return ""
        case _:
            return ""
