"""Replay: fold recorded facts again and compare what they cause with what was recorded. Pure.

Nothing outside is asked again: job results, verdicts, times and people's answers are facts. Conditions, mappings,
decision tables and routing are derived anew, under the recorded definitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields, is_dataclass
from itertools import zip_longest

from engine.core.definitions import Definitions
from engine.core.model import (
    ChildEnded,
    ChildRequested,
    Event,
    Fact,
    InstanceEnded,
    InstanceId,
    InstanceStarted,
    Json,
    RunId,
)
from engine.core.process import Instance, Step, advance, start
from engine.errors import LedgerError
from engine.frozen import dataclass


@dataclass(frozen=True, kw_only=True)
class Record:
    """One recorded step: the fact given to `instance` and the events it caused; `seq` is its ledger number."""

    seq: int
    instance: InstanceId
    fact: Fact
    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Every recorded event follows from the recorded facts. `instances` are the final values, by id."""

    instances: Mapping[InstanceId, Instance] = field(default_factory=dict)
    records: int = 0


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first record whose events do not follow: `position` counts its events from 0; None means none is there."""

    seq: int
    instance: InstanceId
    position: int
    expected: Event | None  #: recorded
    got: Event | None  #: derived now


def replay(
    definitions: Definitions, run: RunId, records: Iterable[Record]
) -> Replayed | Divergence:
    """Fold `records` in order and compare events exactly: same kinds, same order, same values.

    Raises LedgerError for a fact of an instance that was never started, that was started twice, that starts otherwise
    than its parent asked, or that ended otherwise than its parent was told.
    """
    instances: dict[InstanceId, Instance] = {}
    family = _Family()
    count = 0
    for record in records:
        family.check(record)
        step = _step(definitions, run, instances, record)
        found = _divergence(record, step)
        if found is not None:
            return found
        instances[record.instance] = step.instance
        family.note(record.instance, step.events)
        count += 1
    return Replayed(instances=instances, records=count)


def same(a: object, b: object) -> bool:
    """Return whether two recorded values are equal: a tuple is a list, 1 is 1.0, but 1 is not true."""
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return (
            isinstance(b, list | tuple)
            and len(a) == len(b)
            and all(map(same, a, b))  # of equal length, see above
        )
    if is_dataclass(a) and not isinstance(a, type):
        return type(a) is type(b) and all(
            same(getattr(a, item.name), getattr(b, item.name)) for item in fields(a) if item.compare
        )
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def first_difference(expected: Json, got: Json) -> tuple[str, Json, Json]:
    """Return where two JSON values first differ, in the order of their keys: (JSON pointer, expected, got).

    The pointer is "" for the values themselves. A member that only one side has is None on the other.

    >>> first_difference({"flows": ["yes"], "visit": 1}, {"flows": ["no"], "visit": 1})
    ('/flows/0', 'yes', 'no')
    """
    for key, one, other in _members(expected, got):
        if not same(one, other):
            pointer, here, there = first_difference(one, other)
            return f"/{key.replace('~', '~0').replace('/', '~1')}{pointer}", here, there
    return "", expected, got


def _members(a: Json, b: Json) -> list[tuple[str, Json, Json]]:
    """Return (key, member of `a`, member of `b`) of two objects or two arrays; nothing for anything else."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [(key, a.get(key), b.get(key)) for key in sorted({*a, *b})]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return [(str(place), *pair) for place, pair in enumerate(zip_longest(a, b))]
    return []


def _step(
    definitions: Definitions,
    run: RunId,
    instances: Mapping[InstanceId, Instance],
    record: Record,
) -> Step:
    known = instances.get(record.instance)
    if isinstance(record.fact, InstanceStarted):
        if known is not None:
            raise LedgerError(
                f"instance {record.instance} starts twice", where=f"entry {record.seq}"
            )
        return start(definitions, run, record.instance, record.fact)
    if known is None:
        raise LedgerError(f"instance {record.instance} never started", where=f"entry {record.seq}")
    return advance(definitions, known, record.fact)


class _Family:
    """What parents asked of their children and how children ended: the two sides must say the same."""

    def __init__(self) -> None:
        self._asked: dict[InstanceId, ChildRequested] = {}
        self._ended: dict[InstanceId, InstanceEnded] = {}

    def note(self, instance: InstanceId, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ChildRequested):
                self._asked[event.child] = event
            elif isinstance(event, InstanceEnded):
                self._ended[instance] = event

    def check(self, record: Record) -> None:
        """Raise LedgerError when a child's first fact, or a parent's fact about its child, is not what happened."""
        fact = record.fact
        if isinstance(fact, InstanceStarted) and fact.parent:
            asked = self._asked.pop(record.instance, None)
            told = (fact.process, fact.variables)
            self._compare(record, told, asked and (asked.process, asked.variables))
        elif isinstance(fact, ChildEnded):
            ended = self._ended.pop(fact.child, None)
            was = ended and (ended.state, ended.variables, ended.code, ended.message)
            self._compare(record, (fact.state, fact.variables, fact.code, fact.message), was)

    def _compare(self, record: Record, told: tuple[object, ...], was: object) -> None:
        if not same(told, was):
            kind = "start as its parent asked"
            if isinstance(record.fact, ChildEnded):
                kind = f"hear how {record.fact.child} ended"
            raise LedgerError(
                f"instance {record.instance} does not {kind}",
                where=f"entry {record.seq}",
                expected=repr(was)[:300],
                got=repr(told)[:300],
            )


def _divergence(record: Record, step: Step) -> Divergence | None:
    for position in range(max(len(record.events), len(step.events))):
        expected = record.events[position] if position < len(record.events) else None
        got = step.events[position] if position < len(step.events) else None
        if not same(expected, got):
            return Divergence(
                seq=record.seq,
                instance=record.instance,
                position=position,
                expected=expected,
                got=got,
            )
    return None
