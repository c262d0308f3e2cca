"""How things look: one JSON object, plain lines, or a panel when a person watches a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

#: order and words of task states in summaries
STATES = (
    "merged",
    "verified",
    "running",
    "pending",
    "waiting",
    "blocked",
    "quarantined",
    "failed",
    "na",
)
_COLOURS = {
    "merged": "green",
    "verified": "cyan",
    "running": "yellow",
    "pending": "dim",
    "completed": "green",
    "partial": "cyan",
    "ok": "green",
    "pass": "green",
    "na": "dim",
}


def as_json(schema: str, body: Mapping[str, Any]) -> None:
    """Print exactly one JSON object on standard output."""
    import orjson

    text = orjson.dumps({"schema": f"engine.{schema}/v1", **body}, default=_number)
    sys.stdout.write(text.decode() + "\n")


def _number(value: object) -> object:
    """Return a Decimal as a number, anything else that JSON does not know as text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def is_live() -> bool:
    """Return whether a person watches: a terminal that can redraw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and "CI" not in os.environ


def line(text: str) -> None:
    """Print one line for people on standard output, in colour only on a terminal."""
    _console().print(text, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print one line for people on standard error."""
    _console(error=True).print(text, highlight=False, soft_wrap=True)


def coloured(word: str) -> str:
    """Return the word in the colour of its kind, as rich markup."""
    return f"[{_COLOURS.get(word, 'red')}]{word}[/]"


def plain(text: object) -> str:
    """Return text from outside made safe: no markup, no control characters."""
    from rich.markup import escape

    from engine.programs import printable

    return escape(printable(str(text)))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for people. Cells are rich markup."""
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for header in headers:
        drawn.add_column(header, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    _console().print(drawn)


def run(body: Mapping[str, Any]) -> None:
    """Print the report of a run for people: of a feature, or of a process alone."""
    if "feature" in body:
        report(body)
        return
    line(
        f"run {body['run']} · process {plain(body['process'])} · {coloured(body['status'])} "
        f"· {body['seconds']} s · ledger {body['ledger']['entries']} entries"
    )
    if body["code"] or body["message"]:
        line(f"[red]{plain(body['code'] or 'failed')}[/] {plain(body['message'])}")
    for name, value in body["variables"].items():
        line(f"  {plain(name)} = {plain(_json(value))}")


def _json(value: object) -> str:
    import orjson

    text = orjson.dumps(value, default=_number).decode()
    return text if len(text) <= 200 else text[:200] + " …"


def report(body: Mapping[str, Any]) -> None:
    """Print a run report for people."""
    line(
        f"run {body['run']} · feature {plain(body['feature'])} · {coloured(body['status'])} "
        f"· {body['seconds']} s"
    )
    table(
        ("task", "state", "attempts", "commit", "reason"),
        [
            (
                plain(task["id"]),
                coloured(task["state"]),
                str(task["attempts"]),
                short(task["commit"]),
                plain(task["reason"]),
            )
            for task in body["tasks"]
        ],
    )
    table(
        ("wave", "tasks", "state", "merge"),
        [
            (
                str(wave["n"]),
                plain(" ".join(wave["tasks"][:8]) + (" …" if len(wave["tasks"]) > 8 else "")),
                coloured(wave["state"]),
                short(wave["merge_commit"]),
            )
            for wave in body["waves"]
        ],
    )
    for task in body["tasks"]:
        for one in task.get("criteria", ()):
            reason = f": {plain(one['reason'])}" if one["reason"] else ""
            line(
                f"{coloured(one['result'])} {plain(task['id'])} {plain(one['id'])} "
                f"({plain(one['text'])}){reason}"
            )
    closed = [gate for gate in body["gates"] if gate["verdict"] not in {"ok", "pass", "na"}]
    for gate in closed:
        wave = f" of wave {gate['wave']}" if gate["wave"] else ""
        line(f"{coloured('closed')} {plain(gate['name'])}{wave}: {plain(gate['reason'])}")
    seen: set[tuple[str, ...]] = set()
    for waived in body["waivers"]:
        place = (waived["waiver"], waived["code"], waived["path"])
        if place in seen:
            continue  # another gateway asked about the same
        seen.add(place)
        line(
            f"[yellow]waived[/] {waived['code']} {plain(waived['path'])}: {plain(waived['reason'])} "
            f"({waived['waiver']}, asked by {plain(waived['requested_by'])}, approved by {plain(waived['by'])}, "
            f"until {plain(waived['expires'])})"
        )
    for notice in body["notices"]:
        line(f"[red]note[/] {plain(notice)}")
    is_moved = body["head"] != body["base"]["commit"]
    line(
        (
            f"branch {plain(body['integration_branch'])} at {short(body['head'])} "
            if is_moved
            else f"nothing is merged on branch {plain(body['integration_branch'])} "
        )
        + f"· ledger {body['ledger']['entries']} entries, head {short(body['ledger']['head'])}"
    )


def short(value: object) -> str:
    """Return the first twelve characters of an id, or a dash."""
    return str(value)[:12] if value else "–"


def _console(*, error: bool = False) -> Any:  # Any: rich is imported when something is printed
    from rich.console import Console

    return Console(stderr=error, soft_wrap=True)
