"""`engine process lint --fix`: what can be mended without changing the meaning, mended in the files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bpmn import BpmnDefinitionError
from engine.bpmn.fix import fix
from engine.cli.definition_files import content_of
from engine.cli.files import write_whole
from engine.frozen import dataclass

if TYPE_CHECKING:
    from engine.bpmn.fix import Fix


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """One file before and after."""

    path: Path
    before: bytes
    after: bytes
    done: tuple[Fix, ...]

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff."""
        before, after = (
            part.decode("utf-8", "replace").splitlines() for part in (self.before, self.after)
        )
        is_relative = not self.path.is_absolute()
        names = (f"a/{self.path}", f"b/{self.path}") if is_relative else (str(self.path),) * 2
        yield from difflib.unified_diff(before, after, *names, lineterm="")


def repair(files: Sequence[Path], *, dry_run: bool) -> list[Repaired]:
    """Return what was mended in `files`, and unless it is a dry run write it; what is no BPMN is left alone."""
    found = []
    for path in files:
        before = content_of(path)
        try:
            after, done = fix(before, str(path))
        except BpmnDefinitionError:
            continue
        if after == before:
            continue
        if not dry_run:
            write_whole(path, after, "the repaired diagram")
        found.append(Repaired(path=path, before=before, after=after, done=tuple(done)))
    return found
