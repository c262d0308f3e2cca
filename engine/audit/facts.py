"""Recorded facts and events as values of the core, read without the writer's own reader.

`{"kind": "job_completed", "job": "A#1.1"}` is `JobCompleted(job="A#1.1")`: the kind is the class in snake case, members
are its fields, `class` is `class_`, a field that is left out has its default. `{"$number": "0.5"}` is an exact number,
`{"$blob": digest}` stands for the value whose canonical bytes are that blob, and `$$name` is a member `$name`.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from typing import Any, Final

from engine.audit.findings import Record
from engine.core import model
from engine.core.model import Event, Fact, Json
from engine.core.replay import Record as Turn

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_RESERVED: Final = re.compile(r"\$+(?:number|blob)")
Read = Callable[[Any], Any]  # Any: JSON on one side, a field's value on the other


@dataclass(frozen=True, kw_only=True)
class Unreadable(Exception):
    """A recorded value has no meaning to this version of the core."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def read_turn(record: Record, blob: Callable[[str], bytes | None]) -> Turn:
    """Return the turn of an `instance.turn` entry. Raises Unreadable."""
    at = _time(record["at"])
    fact = _build(_classes(Fact), value_of(record["fact"], blob), {"at": at})
    events = tuple(
        _build(_classes(Event), value_of(event, blob), {}) for event in record.get("events", ())
    )
    return Turn(seq=record["seq"], instance=record["instance"], fact=fact, events=events)


def value_of(written: Any, blob: Callable[[str], bytes | None]) -> Any:  # Any: parsed JSON
    """Return the value that is written as `written`. Raises Unreadable for a tag without a meaning."""
    if isinstance(written, list):
        return [value_of(item, blob) for item in written]
    if not isinstance(written, dict):
        return written
    if len(written) == 1:
        ((name, inner),) = written.items()
        if name == "$number":
            return _number(inner)
        if name == "$blob":
            return _large(str(inner), blob)
    return {
        name[1:] if _RESERVED.fullmatch(name) else name: value_of(inner, blob)
        for name, inner in written.items()
    }


def _number(text: object) -> Json:
    try:
        return Decimal(str(text))
    except ArithmeticError as error:
        raise Unreadable(reason=f"{text!r} is no number") from error


def _large(digest: str, blob: Callable[[str], bytes | None]) -> Any:  # Any: parsed JSON
    content = blob(digest)
    if content is None:
        raise Unreadable(reason=f"the large value {digest} is missing or altered")
    return value_of(json.loads(content), blob)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@cache
def _classes(base: type) -> Mapping[str, type]:
    """Return {kind: class} of the facts or events of the core."""
    known = [
        item for item in vars(model).values() if isinstance(item, type) and issubclass(item, base)
    ]
    return {_CAPITAL.sub("_", item.__name__).lower(): item for item in known if item is not base}


def _build(
    classes: Mapping[str, type], record: Mapping[str, Any], given: Mapping[str, Any]
) -> Any:  # Any: a fact or event, as the caller knows
    kind = str(record.get("kind"))
    if kind not in classes:
        raise Unreadable(reason=f"this version of the core knows no {kind!r}")
    members = {name: value for name, value in record.items() if name != "kind"}
    return _made(classes[kind], members, given)


def _made(record_type: type, members: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    # Any: as in _build
    readers = _readers(record_type)
    values = dict(given)
    try:
        for written, value in members.items():
            name = "class_" if written == "class" else written
            values[name] = readers[name](value)
        return record_type(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(reason=f"{record_type.__name__} cannot be read: {error}") from error


@cache
def _readers(record_type: type) -> Mapping[str, Read]:
    hints = typing.get_type_hints(record_type)
    recorded = [item.name for item in fields(record_type) if item.compare]
    return {name: _reader(hints[name]) for name in recorded}


def _reader(hint: Any) -> Read:  # Any: a type hint
    if hint is datetime:
        return _time
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_made, hint, given={})
    if typing.get_origin(hint) is tuple:
        read = _reader(typing.get_args(hint)[0])
        return lambda items: tuple(map(read, items))
    return _as_it_is


def _as_it_is(value: Any) -> Any:  # Any: JSON
    return value
