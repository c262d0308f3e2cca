"""Options that many commands share."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import COLLECT_AFTER

if TYPE_CHECKING:
    from engine.runtime.conductor import Conductor
    from engine.runtime.engine import Engine

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
ProjectFolder = Annotated[
    Path,
    typer.Option("--project", "-C", help="Folder of the project; the current one without."),
]
RunOption = Annotated[
    str | None, typer.Option("--run", "-r", help="Run id, or the start of one; the newest without.")
]
HERE = Path()


def begin(conductor: Conductor, run: str) -> None:
    """Take interrupts for `run`, which begins now; what was made to start it is never garbage, and not looked at again."""
    from engine.cli import interrupts

    interrupts.install(conductor, run)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def open_engine(project: Path, **flags: object) -> Engine:
    """Return the engine of the project around `project`; `flags` are settings given on the command line."""
    from engine.errors import UsageError
    from engine.runtime.engine import Engine

    if not project.is_dir():
        raise UsageError("the project folder is not there", where=str(project))
    return Engine.open(
        project.resolve(), flags={key.replace("__", "."): value for key, value in flags.items()}
    )
