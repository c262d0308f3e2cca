"""`engine replay`: the run folded again, as it stood at an entry, or asked again under other definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.runtime.proof import Book
    from engine.runtime.redecide import Asked, Comparison

DIFFERS = 1  #: as for tests that fail: the question was answered, and the answer is not "the same"
SHOWN = 100  #: characters of a variable that people see


def replay(
    run_id: Annotated[str | None, typer.Argument(help="Run id; the newest without.")] = None,
    project: ProjectFolder = HERE,
    until: Annotated[
        int | None, typer.Option(min=1, help="Show how the run stood after this entry.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Ask every recorded question again under the bundle in this folder."),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="A copied ledger, with no database: its folder.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Fold the recorded facts again; exit 5 names the first event that does not follow.

    With --against: exit 1 when something would be decided otherwise, 0 when nothing would.
    """
    if until is not None and against is not None:
        raise UsageError(where="--until and --against", expected="one of them", got="both")
    with _book(project, run_id, ledger) as book:
        if until is not None:
            return _state(book, until, as_json=as_json)
        if against is not None:
            return _against(book, against, as_json=as_json)
        return _whole(book, as_json=as_json)


@contextmanager
def _book(project: Path, run_id: str | None, ledger: Path | None) -> Iterator[Book]:
    from engine.runtime.proof import book_in, book_of

    if ledger is not None:
        yield book_in(ledger)
        return
    engine = open_engine(project)
    with engine.store() as store:
        yield book_of(store, engine.find_run(store, run_id).id)


def _whole(book: Book, *, as_json: bool) -> int:
    done = book.replay()
    if as_json:
        body = {
            "run": book.run,
            "entries": book.verified.entries,
            "head": book.verified.head,
            "turns": done.turns,
            "instances": done.instances,
            "bundle": done.bundle,
        }
        show.as_json("replay", body)
    else:
        show.line(
            f"run {book.run}: {done.turns} turns of {done.instances} instances replayed under bundle "
            f"{done.bundle[:12]}; every event follows from the recorded facts"
        )
    return 0


# --- the state at an entry -----------------------------------------------------------------------------


def _state(book: Book, until: int, *, as_json: bool) -> int:
    from engine.runtime.past import state_at

    state = state_at(book, until)
    told: dict[str, Any] = state.to_json()  # Any: JSON members
    if as_json:
        known = {"run": book.run, "entries": book.verified.entries, "head": book.verified.head}
        show.as_json("replay-state", {**known, "bundle": state.replayed.bundle, **told})
        return 0
    show.line(
        f"run {book.run} after entry {until} of {book.verified.entries}, {told['at']}: "
        f"{state.replayed.turns} turns of {state.replayed.instances} instances replayed, "
        "every event follows from the recorded facts"
    )
    _tell_instances(told["instances"])
    if told["tasks"]:
        rows = [
            (show.plain(t["id"]), show.coloured(t["state"]), str(t["attempts"]))
            for t in told["tasks"]
        ]
        show.table(("task", "state", "attempts"), rows)
    if told["jobs"]:
        rows = [
            (show.plain(j["type"]), show.plain(j["key"]), show.plain(j["task"] or j["instance"]))
            for j in told["jobs"]
        ]
        show.table(("open job", "key", "of"), rows)
    for waiting in told["waiting"]:
        show.line(f"waits for a person: {waiting['kind']} {show.plain(waiting['key'])}")
    return 0


def _tell_instances(instances: list[Mapping[str, Any]]) -> None:  # Any: JSON members
    for instance in instances:
        at = f" at {', '.join(instance['tokens'])}" if instance["tokens"] else ""
        about = f" ({instance['task']})" if instance["task"] else ""
        show.line(
            f"{show.plain(instance['id'])}  {show.plain(instance['process'] + about)}  "
            f"{show.coloured(instance['state'])}{show.plain(at)}"
        )
        if instance["state"] == "active":
            for name, value in instance["variables"].items():
                show.line(f"    {show.plain(name)} = {show.plain(_short(value))}")


# --- other definitions ---------------------------------------------------------------------------------


def _against(book: Book, folder: Path, *, as_json: bool) -> int:
    from engine.runtime.redecide import redecide_under

    found = redecide_under(book, folder)
    if as_json:
        show.as_json("replay-against", {"run": book.run, **_comparison(found)})
    else:
        _tell_comparison(book.run, found)
    return DIFFERS if found.differences else 0


def _comparison(found: Comparison) -> dict[str, Any]:  # Any: JSON members
    return {
        "recorded_bundle": found.recorded_bundle,
        "bundle": found.bundle,
        "decided": found.decided,
        "same": found.decided - len(found.differences),
        "differences": [
            {**vars(d.asked), "effect": d.effect, "recorded": d.recorded, "now": d.now}
            for d in found.differences
        ],
        "not_replayable": [
            {**vars(item.asked), "reason": item.reason} for item in found.not_replayable
        ],
    }


def _tell_comparison(run: str, found: Comparison) -> None:
    for difference in found.differences:
        colour = {"opens": "green", "closes": "red"}.get(difference.effect, "yellow")
        show.line(f"{_place(difference.asked)}  [{colour}]{difference.effect}[/]")
        show.line(f"        recorded  {show.plain(_answer(difference.recorded))}")
        show.line(f"        now       {show.plain(_answer(difference.now))}")
    for item in found.not_replayable:
        show.line(f"{_place(item.asked)}  not replayable: {show.plain(item.reason)}")
    show.line(
        f"run {run} asked again under bundle {found.bundle[:12]} instead of {found.recorded_bundle[:12]}: "
        f"{found.decided} questions decided, {len(found.differences)} otherwise than recorded, "
        f"{len(found.not_replayable)} not replayable"
    )


def _place(asked: Asked) -> str:
    who = asked.task or asked.instance
    return f"{asked.seq:>6}  {show.plain(who)}  {show.plain(asked.element)}  {asked.kind} {show.plain(asked.name)}"


def _answer(value: Any) -> str:  # Any: JSON
    if isinstance(value, Mapping) and "ruling" in value:
        reasons = "; ".join(f"{r['code']}: {r['message']}" for r in value["reasons"])
        return f"{value['ruling']}{': ' if reasons else ''}{reasons}"
    return _short(value, 400)


def _short(value: Any, limit: int = SHOWN) -> str:  # Any: JSON
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
