"""What a run prints while it goes on: one line for each thing a person wants to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.cli import show
from engine.core.model import (
    DecisionEvaluated,
    Event,
    Fact,
    IncidentRaised,
    InstanceEnded,
    JobCreated,
    TimerScheduled,
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
    text = _rest(events)
    if text:
        show.note(f"{fact.at:%H:%M:%S} {show.plain(label):<12} {text}")


def panel(seen: Mapping[str, Any]) -> Any:  # Any: JSON; a rich renderable
    """Return the panel of `engine status --watch`: progress, levels, waves, workers, what happened last."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    body = seen["report"]
    if "tasks" not in body:  # a process alone
        return Panel(
            Group(*map(Text.from_markup, _recent(seen))),
            title=f"{show.plain(body['process'])} · {body['status']}",
        )
    tasks = body["tasks"]
    merged = sum(task["state"] == "merged" for task in tasks)
    rows = [
        *_levels(tasks),
        *_waves(body["waves"]),
        *_workers(seen),
        *_resting(seen),
        *_recent(seen),
    ]
    return Panel(
        Group(
            ProgressBar(total=max(1, len(tasks)), completed=merged),
            *map(Text.from_markup, rows),
        ),
        title=f"{show.plain(body['feature'])} · {body['status']} · {merged}/{len(tasks)} merged",
    )


_LISTED = 12  #: waves, and workers, that are shown at most


def _levels(tasks: Sequence[Mapping[str, Any]]) -> list[str]:  # Any: JSON
    of_level: dict[int, list[str]] = {}
    for task in tasks:
        if task.get("level") is not None:
            of_level.setdefault(task["level"], []).append(task["state"])
    return [
        f"level {level}  {sum(state == 'merged' for state in states)}/{len(states)} merged"
        for level, states in sorted(of_level.items())
    ]


def _waves(waves: Sequence[Mapping[str, Any]]) -> list[str]:  # Any: JSON
    """Return the first waves that are not merged yet, with their tasks."""
    left = [wave for wave in waves if wave["state"] != "merged"]
    return [
        f"wave {wave['n']:>3}  {show.coloured(wave['state'])}  {show.plain(' '.join(wave['tasks'][:10]))}"
        for wave in left[:_LISTED]
    ]


def _workers(seen: Mapping[str, Any]) -> list[str]:  # Any: JSON
    now = datetime.now(UTC)
    return [
        f"worker {one['slot']:>2}  {show.plain(one['worker'])} at {show.plain(one['task'])}, "
        f"attempt {one['attempt']}, {(now - datetime.fromisoformat(one['since'])).seconds} s"
        for one in seen["workers"][:_LISTED]
    ]


def _resting(seen: Mapping[str, Any]) -> list[str]:  # Any: JSON
    return [
        f"{show.plain(one['task'] or one['instance'])} {show.plain(one['text'])}"
        for one in seen["resting"][:_LISTED]
    ]


def _recent(seen: Mapping[str, Any]) -> list[str]:  # Any: JSON
    return [
        f"[dim]{datetime.fromisoformat(one['at']):%H:%M:%S}[/] {show.plain(one['text'])}"
        for one in seen["recent"]
    ]


def _rest(events: Sequence[Event]) -> str:
    """Return until when a turn that left nothing but a timer waits, and why, as a table said in it; "" for others."""
    timers = [event.due for event in events if isinstance(event, TimerScheduled)]
    said = [event.value for event in events if isinstance(event, DecisionEvaluated)]
    if not timers or not said or any(isinstance(event, JobCreated) for event in events):
        return ""
    reason = said[-1].get("reason") if isinstance(said[-1], Mapping) else ""
    return f"waits until {min(timers):%H:%M:%S}: {show.plain(str(reason))}"


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
