"""What stands beside the sealed lines must follow from them: columns of entries, instances, effects.

The lines are chained and signed; the columns they are found by, and the tables of what is open, are not. A bit that
flipped there would hide an entry from who asks for its type, or an intent from recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from engine.core.model import Json
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType, read_entry
from engine.ledger.entries import entry_hash
from engine.ledger.records import once_of
from engine.store.apply import read_body
from engine.store.sql import Connection

_ENTRIES: Final = (
    "SELECT seq, hash, type, instance, task, once, line FROM entry WHERE run = ? ORDER BY seq"
)
_INSTANCES: Final = "SELECT instance, process, parent, state FROM instance WHERE run = ?"
_EFFECTS: Final = "SELECT key, state, body FROM effect WHERE run = ? ORDER BY id"
_ENDS: Final = {
    EntryType.MERGE_AUTHORIZED: "intent",
    EntryType.ROLLBACK_AUTHORIZED: "intent",
    EntryType.MERGE_COMPLETED: "done",
    EntryType.ROLLBACK_COMPLETED: "done",
    EntryType.MERGE_VOIDED: "void",
    EntryType.ROLLBACK_VOIDED: "void",
}


@dataclass(frozen=True, kw_only=True)
class _Derived:
    """What the lines say of the tables: {instance: (process, parent, state)}, {key: [(state, body), …]}."""

    instances: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    effects: dict[str, list[tuple[str, Mapping[str, Json]]]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        if entry.type is EntryType.INSTANCE_TURN and entry.fact is not None:
            self._take_turn(entry, entry.fact)
        elif entry.type in _ENDS and entry.body is not None:
            state = _ENDS[entry.type]
            known = self.effects.setdefault(str(entry.body.get("job")), [])
            if state != "intent" and known:
                known.pop()
            body = {name: value for name, value in entry.body.items() if name != "job"}
            known.append((state, body))

    def _take_turn(self, entry: Entry, fact: Mapping[str, Any]) -> None:  # Any: JSON of a fact
        if fact.get("kind") == "instance_started":
            begun = (str(fact.get("process")), str(fact.get("parent") or ""), "active")
            self.instances[entry.instance] = begun
        for event in entry.events:
            if event.get("kind") == "instance_ended" and entry.instance in self.instances:
                process, parent, _ = self.instances[entry.instance]
                self.instances[entry.instance] = (process, parent, str(event.get("state")))


def disagreements(
    connection: Connection, run: int, blob: Callable[[str], bytes]
) -> Iterator[tuple[int, str]]:
    """Yield (seq or 0, sentence) where the rows of a run do not say what its lines say.

    `run` is its number in the database. Raises LedgerError for a line that breaks the contract.
    """
    derived = _Derived()
    for row in connection.stream(_ENTRIES, (run,)):
        line = bytes(row.line)
        entry = read_entry(line, blob)
        derived.take(entry)
        said = (row.seq, bytes(row.hash), row.type, row.instance, row.task, row.once)
        meant = (
            entry.seq,
            entry_hash(entry.prev, line),
            entry.type.value,
            entry.instance or None,
            entry.task or None,
            once_of(entry) or None,
        )
        if said != meant:
            yield entry.seq, "the columns of the entry are not what was sealed"
    yield from _instances(connection, run, derived)
    yield from _effects(connection, run, derived)


def _instances(connection: Connection, run: int, derived: _Derived) -> Iterator[tuple[int, str]]:
    rows = connection.execute(_INSTANCES, (run,))
    found = {row.instance: (row.process, row.parent, row.state) for row in rows}
    for name in sorted({*found, *derived.instances}):
        if found.get(name) != derived.instances.get(name):
            yield 0, f"instance {name!r} is in the database otherwise than in the ledger"


def _effects(connection: Connection, run: int, derived: _Derived) -> Iterator[tuple[int, str]]:
    rows = connection.execute(_EFFECTS, (run,))
    found: dict[str, list[tuple[str, Mapping[str, Json]]]] = {}
    for row in rows:
        found.setdefault(row.key, []).append((row.state, read_body(row.body)))
    for key in sorted({*found, *derived.effects}):
        if found.get(key) != derived.effects.get(key):
            yield (
                0,
                f"the merge or rollback {key!r} is in the database otherwise than in the ledger",
            )
