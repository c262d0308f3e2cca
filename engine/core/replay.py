"""Replay: fold recorded facts again and compare what they cause with what was recorded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.core.definitions import Definitions
from engine.core.model import Event, Fact, InstanceId, RunId
from engine.core.process import Instance


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
    """The first record whose events do not follow: `position` in its events; None means none is there."""

    seq: int
    instance: InstanceId
    position: int
    expected: Event | None  #: recorded
    got: Event | None  #: derived now


def replay(definitions: Definitions, run: RunId, records: Iterable[Record]) -> Replayed | Divergence:
    """Fold `records` in order and compare events exactly."""
    raise NotImplementedError
