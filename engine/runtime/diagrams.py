"""A diagram that is to run by itself: what it needs, and which of its processes."""

from __future__ import annotations

from pathlib import Path

from engine.core.definitions import Definitions
from engine.core.reach import reach
from engine.errors import UsageError
from engine.shipped import bundle_of, definitions_around


def definitions_of(file: Path) -> Definitions:
    """Return what the diagram `file` needs to run. Raises UsageError when it is not there, DefinitionError."""
    if not file.is_file():
        raise UsageError("there is no such diagram", where=str(file))
    file = file.resolve()
    around = {str(path): path for path in definitions_around(file)}
    around[str(file)] = file
    files = {name: path.read_bytes() for name, path in around.items()}
    needed = reach(str(file), files)
    root = bundle_of(file)
    return Definitions.load(
        {Path(name).relative_to(root).as_posix(): content for name, content in needed.items()}
    )


def chosen_process(definitions: Definitions, file: Path, wanted: str | None) -> str:
    """Return the id of the process of `file` that is `wanted`, by id or name of its pool; without, of the only one.

    Raises UsageError naming those there are.
    """
    inside = sorted(
        process.id
        for process in definitions.processes.values()
        if Path(process.file).name == file.name and process.model.executable
    )
    if wanted is None and len(inside) == 1:
        return inside[0]
    named = definitions.pools.get(wanted or "", wanted)
    if named is not None and named in inside:
        return named
    raise UsageError(
        "which process is to be run" if wanted is None else f"process {wanted} is not there",
        where=str(file),
        expected=f"one of {', '.join(inside)}" if inside else "an executable process",
        hint="Name it with --process ID." if inside else "Tick Executable in the modeller.",
    )
