"""`engine process diff`: two versions of diagrams, compared by what they mean."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import show
from engine.cli.common import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bpmn.diff import Change
    from engine.bpmn.model import Process

_TITLES = {
    "gate": "before a merge",
    "behaviour": "what runs",
    "wording": "only for readers",
}


def diff(
    before: Annotated[Path, typer.Argument(help="Diagram, or folder with diagrams: as it was.")],
    after: Annotated[Path, typer.Argument(help="Diagram, or folder with diagrams: as it is.")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 when the meaning is another.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say in words what changed between two versions of diagrams, and what it means for a run."""
    from engine.bpmn.diff import differences

    changes = differences(_processes(before), _processes(after))
    same = all(change.weight == "wording" for change in changes)
    if as_json:
        body = {"same_meaning": same, "changes": [asdict(change) for change in changes]}
        show.as_json("process-diff", body)
    else:
        _tell(changes, same=same)
    return 1 if exit_code and not same else 0


def _processes(path: Path) -> list[Process]:
    from engine import bpmn
    from engine.cli.definition_files import content_of, diagrams

    contents = {str(file): content_of(file) for file in diagrams([path])}
    found = [bpmn.read(content, name) for name, content in contents.items() if content]
    return [process for document in found for process in document.processes]


def _tell(changes: Sequence[Change], *, same: bool) -> None:
    for process, of_process in groupby(changes, key=lambda change: change.process):
        show.line(show.plain(f"process {process}"))
        for weight, told in groupby(of_process, key=lambda change: change.weight):
            show.line(show.plain(f"  {_TITLES[weight]}"))
            for change in told:
                show.line(show.plain(f"    - {change}"))
    if same:
        show.line("same meaning" if not changes else "same meaning: a run does the same")
