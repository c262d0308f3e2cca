"""Messages of a run: posted inside or by commands, handed to who waits, kept while they live, known again after a kill.

Invariants
- A message and what it does to instances are written in one transaction; a message of an id is published once.
- After a kill the kept messages and who had them are read back from the ledger, so that nobody gets one twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.core.messages import Doors, Message, PostOffice, key_text
from engine.core.model import Fact, InstanceId, InstanceStarted, Json, MessageCorrelated
from engine.ledger import Draft, EntryType, note, read_turn
from engine.runtime.pending import Open
from engine.store import Change, Store


@dataclass
class Asked:
    """What people and other processes asked for in one round: facts, and the record of their asking."""

    facts: list[tuple[str, Fact]] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def record(self, kind: str, body: Mapping[str, Json], answer: str, at: datetime) -> None:
        record: dict[str, Json] = {"kind": kind, "body": body, "answer": answer}
        self.drafts.append(note(EntryType.COMMAND_RECEIVED, at, record))


class Mail:
    """The messages of one run. `office` knows who waits; the conductor tells it what its instances subscribe to."""

    def __init__(self, store: Store, run: str, doors: Doors) -> None:
        self.office = PostOffice(doors)
        self._can_start = bool(doors)
        self._store = store
        self._run = run
        self._posted: list[Mapping[str, Json]] = []
        self._published: set[str] = set()

    def post(self, message: Mapping[str, Json]) -> None:
        """Take {id, name, key, variables, ttl_s} to be delivered in the next round."""
        self._posted.append(message)

    def deliver_posted(self, asked: Asked, now: datetime) -> None:
        """Deliver what was posted since the last round."""
        posted, self._posted = self._posted, []
        for message in posted:
            self.deliver(message, asked, now)

    def deliver(self, body: Mapping[str, Json], asked: Asked, now: datetime) -> None:
        """Hand a message to those that wait for it, and keep it while it lives."""
        message = _message(body, now)
        if message.id in self._published:
            return
        self._published.add(message.id)
        found = self.office.publish(message, now)
        asked.facts += [(item.instance, item.fact(now)) for item in found]
        kept = "kept" if message.is_kept(now) else "nobody waits for it"
        answered = f"taken by {len(found)}" if found else kept
        asked.record("message", body, answered, now)

    def recall(self, waiting: Mapping[str, Open], now: datetime) -> list[tuple[str, Fact]]:
        """After a kill: know again which messages are kept and who waits; return what reaches an instance at once."""
        kept = self._kept(now)
        had = self._told_again(waiting) if kept or self._can_start else {}
        for message in kept:
            self.office.keep(message, had.get(message.id, ()))
        found = [
            (instance, self.office.subscribe(InstanceId(instance), opened.process, event, now))
            for instance, opened in waiting.items()
            for event in opened.messages.values()
        ]
        return [(instance, item.fact(now)) for instance, item in found if item is not None]

    def _kept(self, now: datetime) -> list[Message]:
        """Return the recorded messages that still live; all recorded ones count as published."""
        kept = []
        for entry in self._store.entries(self._run, types=(EntryType.COMMAND_RECEIVED,)):
            command = entry.body or {}
            body = command.get("body")
            if command.get("kind") == "message" and isinstance(body, Mapping):
                message = _message(body, entry.at)
                self._published.add(message.id)
                kept += [message] if message.is_kept(now) else []
        return kept

    def _told_again(self, waiting: Mapping[str, Open]) -> dict[str, set[str]]:
        """Tell the office what was begun; return {message: processes that had it}, of all instances that ever were."""
        processes: dict[str, str] = {}
        had: dict[str, set[str]] = {}
        for entry in self._store.entries(self._run, types=(EntryType.INSTANCE_TURN,)):
            fact = read_turn(entry).fact
            if isinstance(fact, InstanceStarted):
                processes[entry.instance] = fact.process
                had.setdefault(fact.message, set()).add(fact.process)
                if not fact.parent:
                    is_open = entry.instance in waiting
                    self.office.began(InstanceId(entry.instance), fact, is_open=is_open)
            elif isinstance(fact, MessageCorrelated):
                had.setdefault(fact.message, set()).add(processes[entry.instance])
        return had


def _message(body: Mapping[str, Json], published: datetime) -> Message:
    ttl_s, variables = body.get("ttl_s"), body.get("variables")
    lives = isinstance(ttl_s, int) and ttl_s > 0
    return Message(
        id=str(body.get("id")),
        name=str(body.get("name")),
        key=key_text(body.get("key")),
        variables=variables if isinstance(variables, Mapping) else {},
        expires=published + timedelta(seconds=int(str(ttl_s))) if lives else None,
    )
