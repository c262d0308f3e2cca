"""Messages between what is published and what waits for it, as Camunda 8 correlates them. Pure.

Invariants
- A message goes to a subscription of its name and its correlation key; keys are compared as text, so 7, 7.0 and
  "7" are one key.
- It goes to each process at most once, to the subscription that was opened first.
- It is kept until it expires; without a time to live it is lost when nobody waits. Of several that are kept, the
  one that was published first goes first.
- A process with a start event of the message's name is started by it, once for each message, after those that wait;
  with a key only while no instance lives that was started with that key: then the message waits as others do.
- A correlation is a proposal: it becomes a `MessageCorrelated` fact of its instance, and only that is recorded.

Whoever carries instances tells this office: a `MessageSubscribed` event (`subscribe`), a `MessageUnsubscribed` event
(`unsubscribe`), the end of an instance (`forget`), a message (`publish`), a signal (`signalled`). After a restart it is
told what was begun (`began`), which messages are kept and who had them (`keep`), and then again who waits.

>>> from datetime import UTC
>>> at = datetime(2026, 1, 1, tzinfo=UTC)
>>> office = PostOffice()
>>> paid = MessageSubscribed(subscription="Pay#1", name="paid", correlation_key="7")
>>> office.subscribe(InstanceId("0"), "order", paid, at)
>>> [found] = office.publish(Message(id="m1", name="paid", key=key_text(Decimal("7.0"))), at)
>>> found.instance, found.subscription
('0', 'Pay#1')
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from decimal import Decimal

from engine.core.model import (
    InstanceId,
    InstanceStarted,
    Json,
    MessageCorrelated,
    MessageSubscribed,
    Variables,
)
from engine.feel.values import number_text
from engine.frozen import dataclass

__all__ = ["Correlation", "Door", "Doors", "Message", "Opening", "PostOffice", "key_text"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One published message. `expires` None is lost when nobody waits; `key` is text, see `key_text`."""

    id: str
    name: str
    key: str = ""
    variables: Variables = field(default_factory=dict)
    expires: datetime | None = None

    def is_kept(self, now: datetime) -> bool:
        return self.expires is not None and self.expires > now


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A message on its way to the instance that waits for it."""

    instance: InstanceId
    subscription: str
    message: Message

    def fact(self, at: datetime) -> MessageCorrelated:
        """Return what happens to the instance."""
        return MessageCorrelated(
            at=at,
            subscription=self.subscription,
            name=self.message.name,
            variables=self.message.variables,
            message=self.message.id,
        )


@dataclass(frozen=True, kw_only=True)
class Door:
    """A process and the start event by which a message or a signal enters it."""

    process: str
    event: str


@dataclass(frozen=True, kw_only=True)
class Doors:
    """What can be started: doors by the name of the message, or of the signal."""

    messages: Mapping[str, Sequence[Door]] = field(default_factory=dict)
    signals: Mapping[str, Sequence[Door]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.messages or self.signals)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """An instance on its way into being: without parent, named by a number after the root's 0."""

    instance: InstanceId
    door: Door
    variables: Variables
    message: str = ""
    key: str = ""

    def fact(self, at: datetime) -> InstanceStarted:
        """Return the first fact of the instance."""
        return InstanceStarted(
            at=at,
            process=self.door.process,
            variables=self.variables,
            start_event=self.door.event,
            message=self.message,
            key=self.key,
        )


def key_text(key: Json) -> str:
    """Return a correlation key as text: 7, 7.0 and "7" are the same; null is no key."""
    if key is None:
        return ""
    if isinstance(key, int | Decimal) and not isinstance(key, bool):
        return number_text(key)
    return str(key)


@dataclass(frozen=True, kw_only=True)
class _Subscription:
    process: str
    name: str
    key: str


class PostOffice:
    """What is kept and who waits, for the instances of one run."""

    def __init__(self, doors: Doors | None = None) -> None:
        self._doors = doors or Doors()
        self._waiting: dict[tuple[InstanceId, str], _Subscription] = {}
        self._kept: dict[str, Message] = {}
        self._taken: dict[str, set[str]] = {}  # {message: processes that had it}
        self._begun = 0  # instances without a parent, beside the root
        self._at_work: dict[tuple[str, str], InstanceId] = {}  # {(process, key): instance}

    def subscribe(
        self, instance: InstanceId, process: str, event: MessageSubscribed, now: datetime
    ) -> Correlation | None:
        """Wait for a message; return the kept one that it gets at once, if any."""
        wanted = (event.name, event.correlation_key)
        for message in self._unexpired(now):
            if (message.name, message.key) == wanted and process not in self._taken[message.id]:
                self._taken[message.id].add(process)
                return Correlation(
                    instance=instance, subscription=event.subscription, message=message
                )
        self._waiting[instance, event.subscription] = _Subscription(
            process=process, name=event.name, key=event.correlation_key
        )
        return None

    def unsubscribe(self, instance: InstanceId, subscription: str) -> None:
        """Wait no longer: what waited was interrupted, or has its message."""
        self._waiting.pop((instance, subscription), None)

    def forget(self, instance: InstanceId, now: datetime) -> list[Opening]:
        """Drop what an instance that has ended waited for; return what a kept message starts in its place."""
        for waiting in [key for key in self._waiting if key[0] == instance]:
            del self._waiting[waiting]
        for place in [place for place, other in self._at_work.items() if other == instance]:
            del self._at_work[place]
        if not self._doors.messages:
            return []
        return [found for message in self._unexpired(now) for found in self._enter(message)]

    def publish(self, message: Message, now: datetime) -> list[Correlation | Opening]:
        """Return who gets the message now, one for each process; keep it for the others while it lives."""
        self._taken.setdefault(message.id, set())
        found: list[Correlation | Opening] = [*self._hand_out(message), *self._enter(message)]
        if message.is_kept(now):
            self._kept[message.id] = message
        else:
            del self._taken[message.id]
        return found

    def signalled(self, name: str, variables: Variables) -> list[Opening]:
        """Return what a signal starts."""
        doors = self._doors.signals.get(name, ())
        return [Opening(instance=self._next(), door=door, variables=variables) for door in doors]

    def began(self, instance: InstanceId, fact: InstanceStarted, *, is_open: bool) -> None:
        """Know again, after a restart, an instance without a parent."""
        self._begun = max(self._begun, int(instance))
        if fact.key and is_open:
            self._at_work[fact.process, fact.key] = instance

    def keep(self, message: Message, had: Iterable[str]) -> None:
        """Know again, after a restart, a message that lives, and which processes had it."""
        self._kept[message.id] = message
        self._taken[message.id] = set(had)

    def _hand_out(self, message: Message) -> Iterator[Correlation]:
        had = self._taken[message.id]
        for (instance, subscription), waiting in list(self._waiting.items()):
            fits = (waiting.name, waiting.key) == (message.name, message.key)
            if fits and waiting.process not in had:
                had.add(waiting.process)
                del self._waiting[instance, subscription]
                yield Correlation(instance=instance, subscription=subscription, message=message)

    def _enter(self, message: Message) -> Iterator[Opening]:
        had = self._taken[message.id]
        for door in self._doors.messages.get(message.name, ()):
            place = (door.process, message.key)
            if door.process in had or place in self._at_work:
                continue
            had.add(door.process)
            opening = Opening(
                instance=self._next(),
                door=door,
                variables=message.variables,
                message=message.id,
                key=message.key,
            )
            if message.key:
                self._at_work[place] = opening.instance
            yield opening

    def _next(self) -> InstanceId:
        self._begun += 1
        return InstanceId(str(self._begun))

    def _unexpired(self, now: datetime) -> list[Message]:
        for message in [kept for kept in self._kept.values() if not kept.is_kept(now)]:
            del self._kept[message.id], self._taken[message.id]
        return list(self._kept.values())
