"""Facts and events of the core as the JSON of an entry, and back.

`JobCompleted(job="A#1.1", variables={"ok": True})` is `{"kind": "job_completed", "job": "A#1.1",
"variables": {"ok": true}}`: the kind is the class in snake case, members are the fields. An optional
field that is empty (`""`, no items, 0) is left out. A fact's time is its entry's time. Derived fields
(`compare=False`) are not written: what a job can see follows from the facts.

Law: `read_turn(read_entry(seal(head, turn(i, fact, events)).line)) == (fact, events)`, with Json
sequences coming back as lists and integral Decimals as int. To compare events with recorded ones,
compare their canonical bytes.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache, partial
from typing import Any, Final

from engine.core import model
from engine.core.model import Event, Fact, Json
from engine.errors import LedgerError
from engine.frozen import dataclass
from engine.ledger import shape
from engine.ledger.entries import Draft, Entry, EntryType, time_text

_OUTCOMES: Final = (model.JobCompleted, model.JobFailed, model.BpmnErrorThrown)
_ONCE: Final = {  #: entries that may stand in a run once for each value of these members
    EntryType.RUN_CREATED: (),
    EntryType.MERGE_COMPLETED: ("job",),
    EntryType.ROLLBACK_COMPLETED: ("job",),
}
_FACTS: Final = shape.kinds(Fact)
_EVENTS: Final = shape.kinds(Event)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One fact of an instance with the events it caused, as recorded in entry `seq`."""

    seq: int
    fact: Fact
    events: tuple[Event, ...]


def turn(instance: str, fact: Fact, events: Sequence[Event], *, task: str = "") -> Draft:
    """Return the draft that records `fact` and what it caused. Its time is the fact's."""
    return Draft(
        type=EntryType.INSTANCE_TURN,
        at=fact.at,
        instance=instance,
        task=task,
        fact=fact_to_json(fact),
        events=[event_to_json(event) for event in events],
        once=f"{instance}/{fact.job}" if isinstance(fact, _OUTCOMES) else "",
    )


def note(
    type: EntryType, at: datetime, body: Mapping[str, Json], *, instance: str = "", task: str = ""
) -> Draft:
    """Return the draft of one of the engine's own records."""
    names = _ONCE.get(type, ())
    once = " ".join([type, *(str(body.get(name)) for name in names)]) if type in _ONCE else ""
    return Draft(type=type, at=at, instance=instance, task=task, body=body, once=once)


def once_of(entry: Entry) -> str:
    """Return the name that no second entry of the run may carry, "" for none: what `turn` and `note` gave the draft."""
    if entry.fact is None:
        return note(entry.type, entry.at, entry.body or {}).once
    is_outcome = _FACTS.get(str(entry.fact.get("kind"))) in _OUTCOMES
    return f"{entry.instance}/{entry.fact.get('job')}" if is_outcome else ""


def read_turn(entry: Entry) -> Turn:
    """Return the turn of an `instance.turn` entry that was read with its blobs.

    Raises LedgerError for another type of entry, an unknown kind of fact or event, a missing member.
    """
    if entry.fact is None:
        raise LedgerError(where=f"entry {entry.seq}", expected="a turn", got=entry.type)
    try:
        return Turn(
            seq=entry.seq,
            fact=fact_from_json(entry.fact, entry.at),
            events=tuple(event_from_json(event) for event in entry.events),
        )
    except LedgerError as error:
        raise LedgerError(f"{error}", where=f"entry {entry.seq}") from error


def fact_to_json(fact: Fact) -> dict[str, Json]:
    """Return `{"kind": "job_completed", …}`, without the time: the entry has it."""
    return _to_json(fact)


def event_to_json(event: Event) -> dict[str, Json]:
    """Return `{"kind": "job_created", …}`."""
    return _to_json(event)


def fact_from_json(record: Mapping[str, Json], at: datetime) -> Fact:
    """Return the fact of `record` that happened at `at`. Raises LedgerError when it is none."""
    return typing.cast(Fact, _from_json(record, _FACTS, {"at": at}))  # cast: the classes are Fact's


def event_from_json(record: Mapping[str, Json]) -> Event:
    """Return the event of `record`. Raises LedgerError when it is none."""
    return typing.cast(Event, _from_json(record, _EVENTS, {}))  # cast: the classes are Event's


# --- how the fields of a class are written and read ---------------------------------------------------

_Convert = Callable[[Any], Any]  # Any: a field's value of one type on one side, JSON on the other


@dataclass(frozen=True, slots=True)
class _Plan:
    """`optional` fields are left out when empty; `write` and `read` convert those fields that need it."""

    kind: str
    fields: frozenset[str]
    unwritten: tuple[str, ...]
    optional: tuple[str, ...]
    write: tuple[tuple[str, _Convert], ...]
    read: Mapping[str, _Convert]


@cache
def _plan(record_type: type) -> _Plan:
    hints = typing.get_type_hints(record_type)
    members = [field for field in fields(record_type) if field.compare and field.name != "at"]
    conversions = {field.name: _conversion(hints[field.name]) for field in members}
    return _Plan(
        kind=shape.kind_of(record_type),
        fields=frozenset(field.name for field in members),
        unwritten=("at", *(field.name for field in fields(record_type) if not field.compare)),
        optional=tuple(field.name for field in members if _is_empty_by_default(field)),
        write=tuple((name, write) for name, (write, _) in conversions.items() if write),
        read={name: read for name, (_, read) in conversions.items() if read},
    )


def _is_empty_by_default(field: Field[Any]) -> bool:  # Any: fields of any type
    if field.default_factory is not MISSING:
        return not field.default_factory()
    return field.default is not MISSING and not field.default


def _conversion(hint: Any) -> tuple[_Convert | None, _Convert | None]:  # Any: a type hint
    """Return (write, read) for a field; None where JSON holds the value as it is."""
    if hint is datetime:
        return time_text, _time
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_value, hint
    if isinstance(hint, type) and is_dataclass(hint):
        return _members, partial(_build, hint)
    if typing.get_origin(hint) is tuple:
        write, read = _conversion(typing.get_args(hint)[0])
        return write and partial(_each, write, list), partial(_each, read, tuple)
    return None, None


def _each(
    convert: _Convert | None, collect: _Convert, items: Sequence[Any]
) -> Any:  # Any: as _Convert
    return collect(items if convert is None else map(convert, items))


def _enum_value(member: Enum) -> str:
    return str(member.value)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# --- writing and reading ------------------------------------------------------------------------------


def _members(value: object) -> dict[str, Any]:  # Any: Json once the conversions are done
    """Return the fields of a dataclass as a record. Copying `__dict__` is three times as fast as getattr."""
    plan = _plan(type(value))  # type: ignore[arg-type]  # mypy: a class of unknown type is not Hashable
    record = value.__dict__.copy()
    for name in plan.unwritten:
        record.pop(name, None)
    for name in plan.optional:
        if not record[name]:
            del record[name]
    for name, write in plan.write:
        if name in record:
            record[name] = write(record[name])
    if "class_" in record:
        record["class"] = record.pop("class_")
    return record


def _to_json(value: Fact | Event) -> dict[str, Json]:
    record = _members(value)
    record["kind"] = _plan(type(value)).kind  # type: ignore[arg-type]  # as in _members
    return record


def _from_json(
    record: Mapping[str, Json], kinds: Mapping[str, type], given: dict[str, Any]
) -> object:  # Any: values of fields
    kind = record.get("kind")
    record_type = kinds.get(kind) if isinstance(kind, str) else None
    if record_type is None:
        raise LedgerError(expected=f"one of {', '.join(sorted(kinds))}", got=repr(kind))
    members = {name: held for name, held in record.items() if name != "kind"}
    return _build(record_type, members, **given)


def _build(
    record_type: type, record: Mapping[str, Any], **given: Any
) -> object:  # Any: values of fields
    plan = _plan(record_type)
    values = given
    try:
        for name, held in record.items():
            field = "class_" if name == "class" else name
            if field not in plan.fields:
                raise TypeError(f"unknown member {name!r}")
            read = plan.read.get(field)
            values[field] = held if read is None else read(held)
        return record_type(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise LedgerError(f"{plan.kind} cannot be read", got=str(error)) from error
