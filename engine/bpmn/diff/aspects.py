"""What an element says, flat: {path of the field: text}. A field that nobody thought of is there under its own name.

>>> from engine.bpmn.model import Position, Timer, Template
>>> here = Position(file="a.bpmn", line=1)
>>> aspects(Timer(kind="duration", value=Template(text="PT1H", is_feel=False, position=here)))
{'kind': 'duration', 'value': 'PT1H'}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from engine.bpmn.model import Expression, Mapping_, Node, Position, Scope, Template

__all__ = ["aspects", "kind_of"]

_SKIPPED = {"id", "position", "documentation", "incoming", "outgoing", "default", "scope"}


def aspects(value: object) -> dict[str, str]:
    """Return what `value` says; what is absent or empty is left out."""
    return dict(_walk("", value))


def kind_of(node: Node) -> str:
    """Return the kind of a node in BPMN's words: `user task`."""
    return _words(type(node).__name__)


def _walk(path: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case None | "" | () | Position() | Scope():
            return
        case bool():
            yield path, "yes" if value else "no"
        case Expression():
            yield path, f"={value.text}"
        case Template():
            yield path, f"={value.text}" if value.is_feel else value.text
        case tuple():
            yield from _mappings(path, value)
        case Mapping():
            for key in sorted(value):
                yield from _walk(f"{path}.{key}" if path else str(key), value[key])
        case _ if is_dataclass(value) and not isinstance(value, type):
            yield from _fields(path, value)
        case _:
            yield path, str(value)


def _fields(path: str, value: object) -> Iterator[tuple[str, str]]:
    if path == "trigger":
        yield path, _words(type(value).__name__)
    elif path == "loop":
        yield path, "for each item"
    for field in fields(value):  # type: ignore[arg-type]  # a dataclass, by its caller
        if field.name in _SKIPPED:
            continue
        yield from _walk(f"{path}.{field.name}" if path else field.name, getattr(value, field.name))


def _mappings(path: str, items: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    """Yield mappings by their target; one that is written twice has both sources, in order."""
    sources: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, Mapping_):
            sources.setdefault(item.target, []).append(f"={item.source.text}")
        else:
            sources.setdefault("", []).append(str(item))
    for target, texts in sources.items():
        yield f"{path}.{target}", ", then ".join(texts)
    if len(sources) > 1:
        yield f"{path}#order", ", ".join(sources)


def _words(camel: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", camel).lower()
