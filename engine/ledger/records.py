"""Facts and events of the core as the JSON of an entry, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.core.model import Event, Fact, Json
from engine.ledger.entries import Draft, Entry, EntryType


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One fact of an instance with the events it caused, as recorded in entry `seq`."""

    seq: int
    fact: Fact
    events: tuple[Event, ...]


def turn(instance: str, fact: Fact, events: Sequence[Event], *, task: str = "") -> Draft:
    """Return the draft that records `fact` and what it caused. Its time is the fact's."""
    raise NotImplementedError


def note(
    type: EntryType, at: datetime, body: Mapping[str, Json], *, instance: str = "", task: str = ""
) -> Draft:
    """Return the draft of one of the engine's own records."""
    return Draft(type=type, at=at, instance=instance, task=task, body=body)


def read_turn(entry: Entry) -> Turn:
    """Return the turn of an `instance.turn` entry that was read with its blobs.

    Raises LedgerError for another type of entry, an unknown kind of fact or event, a missing member.
    """
    raise NotImplementedError


def fact_to_json(fact: Fact) -> dict[str, Json]:
    """Return `{"kind": "job_completed", …}`; empty members and the time are left out (the entry has the time)."""
    raise NotImplementedError


def event_to_json(event: Event) -> dict[str, Json]:
    """Return `{"kind": "job_created", …}`; empty members are left out."""
    raise NotImplementedError
