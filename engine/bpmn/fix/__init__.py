"""What can be mended in a diagram without changing what it means: `fix` returns the file with the repairs. Pure.

Invariants
- Every character that no repair is about stays where it is; a second `fix` changes nothing.
- A file that could be read has the same normalised definition afterwards, or the repair is not made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.bpmn.digest import document_digest
from engine.bpmn.errors import BpmnDefinitionError
from engine.bpmn.fix import defaults, drawing, ids, references, zeebe
from engine.bpmn.fix.tags import Source
from engine.bpmn.reader import read
from engine.bpmn.xml import parse
from engine.frozen import dataclass

__all__ = ["Fix", "fix"]

Repair = Callable[[Source], list[str]]
REPAIRS: Final[tuple[Repair, ...]] = (
    ids.missing_ids,
    references.flow_references,
    defaults.only_flow_without_condition,
    zeebe.one_dialect,
    drawing.missing_picture,
)


@dataclass(frozen=True, kw_only=True)
class Fix:
    """One repair, as a sentence about an element."""

    file: str
    said: str

    def __str__(self) -> str:
        return f"{self.file}: fixed: {self.said}."


def fix(content: bytes, file: str) -> tuple[bytes, list[Fix]]:
    """Return the repaired file and what was repaired; the same bytes when there is nothing to do.

    Raises BpmnDefinitionError when `content` is no BPMN.
    """
    done: list[Fix] = []
    for repair in REPAIRS:
        if repair is zeebe.one_dialect and not _can_be_read(content, file):
            continue  # what is not understood would be lost
        source = _source(content, file)
        if source is None:
            break
        said = repair(source)
        repaired = source.edited().encode(_encoding(content, file))
        if said and _means_the_same(content, repaired, file):
            content = repaired
            done += [Fix(file=file, said=sentence) for sentence in said]
    return content, done


def _source(content: bytes, file: str) -> Source | None:
    """Return the text and the tree of a file; None when its encoding would not survive."""
    root = parse(content, file)
    encoding = _encoding(content, file)
    try:
        text = content.decode(encoding)
        survives = text.encode(encoding) == content
    except (UnicodeError, LookupError):
        return None
    return Source(text=text, encoding=encoding, root=root) if survives else None


def _encoding(content: bytes, file: str) -> str:
    return parse(content, file).getroottree().docinfo.encoding or "utf-8"


def _can_be_read(content: bytes, file: str) -> bool:
    try:
        read(content, file)
    except BpmnDefinitionError:
        return False
    return True


def _means_the_same(before: bytes, after: bytes, file: str) -> bool:
    """Whether a file that could be read still says the same; one that could not may become readable."""
    try:
        was = read(before, file)
    except BpmnDefinitionError:
        parse(after, file)
        return True
    try:
        return document_digest(read(after, file)) == document_digest(was)
    except BpmnDefinitionError:
        return False
