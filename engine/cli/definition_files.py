"""Diagrams on disk with what they refer to, for `engine process lint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core import definitions
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.bpmn.model import Finding

ENDINGS = (".bpmn", ".dmn", ".rego")


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


def findings(files: Sequence[Path]) -> list[Finding]:
    """Return what is wrong with the diagrams, seen together with the definitions around them.

    What lies in a folder belongs together; a folder called `process` belongs to the bundle it lies in.
    """
    wanted = {str(file) for file in files}
    found: dict[Finding, None] = {}
    for root in dict.fromkeys(_root(file) for file in files):
        contents = {str(path): path.read_bytes() for path in _around(root)}
        contents.update({str(file): file.read_bytes() for file in files if _root(file) == root})
        told = definitions.check(contents)
        found.update(dict.fromkeys(item for item in told if item.file in wanted))
    return sorted(found)


def _root(file: Path) -> Path:
    folder = file.parent
    return folder.parent if folder.resolve().name == "process" else folder


def _around(root: Path) -> list[Path]:
    """Return the definition files of a bundle; in any other folder, those that lie in it."""
    folders = [root / name for name in ("process", "decisions", "policies")]
    is_bundle = folders[0].is_dir()
    found = [path for folder in folders for path in folder.rglob("*")] if is_bundle else []
    found = found or list(root.glob("*"))
    return sorted(
        path
        for path in found
        if path.suffix in ENDINGS and path.is_file() and not path.stem.endswith("_test")
    )
