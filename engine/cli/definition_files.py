"""Diagrams on disk with what they refer to, for `engine process lint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.definitions import inspect
from engine.errors import UsageError
from engine.shipped import bundle_of, definitions_around

if TYPE_CHECKING:
    from engine.bpmn.model import Finding


def diagrams(paths: Sequence[Path]) -> list[Path]:
    """Return the .bpmn files that `paths` mean. Raises UsageError when a path is not there or holds none."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError("there is no such file or folder", where=str(path))
        files = sorted(path.rglob("*.bpmn")) if path.is_dir() else [path]
        if not files:
            raise UsageError("there are no diagrams", where=str(path), expected="files *.bpmn")
        found.update(dict.fromkeys(files))
    return list(found)


def content_of(file: Path) -> bytes:
    """Return the bytes of a diagram. Raises UsageError when it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            "the diagram cannot be read", where=str(file), got=error.strerror or ""
        ) from error


def findings(files: Sequence[Path]) -> list[Finding]:
    """Return what is wrong with the diagrams, seen together with the definitions around them.

    What lies in a folder belongs together; a folder called `process` belongs to the bundle it lies in.
    """
    from engine.runtime.jobs import job_findings, load_handlers
    from engine.runtime.linting import file_findings, lint_findings

    handlers = load_handlers()
    wanted = {str(file) for file in files}
    found: dict[Finding, None] = {}
    for root in dict.fromkeys(bundle_of(file) for file in files):
        own = [file for file in files if bundle_of(file) == root]
        paths = {path.resolve(): path for path in (*definitions_around(own[0]), *own)}
        contents = {str(path): path.read_bytes() for path in paths.values()}
        told, loaded = inspect(contents)
        jobs = job_findings(loaded, handlers, delivers=True)
        drawn = lint_findings(loaded, handlers)
        said = (*told, *jobs, *drawn, *file_findings(contents))
        beside = {name for name in contents if not name.endswith(".bpmn")}
        found.update(dict.fromkeys(item for item in said if item.file in wanted | beside))
    return sorted(found)
