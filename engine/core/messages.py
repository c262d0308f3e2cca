"""Messages between what is published and what waits for it, as Camunda 8 correlates them. Pure.

Invariants
- A message goes to a subscription of its name and its correlation key; keys are compared as text, so 7, 7.0 and
  "7" are one key.
- It goes to each process at most once, to the subscription that was opened first.
- It is kept until it expires; without a time to live it is lost when nobody waits. Of several that are kept, the
  one that was published first goes first.
- A correlation is a proposal: it becomes a `MessageCorrelated` fact of its instance, and only that is recorded.

Whoever carries instances tells this office four things: a `MessageSubscribed` event (`subscribe`), a
`MessageUnsubscribed` event (`unsubscribe`), the end of an instance (`forget`), a message from outside (`publish`).
After a restart the first three are told again from the recorded turns, the last from the record of what was
published, and `taken` says which processes had it: `MessageCorrelated.message` names it.

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

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from engine.core.model import InstanceId, Json, MessageCorrelated, MessageSubscribed, Variables
from engine.feel.values import number_text

__all__ = ["Correlation", "Message", "PostOffice", "key_text"]


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

    def __init__(self) -> None:
        self._waiting: dict[tuple[InstanceId, str], _Subscription] = {}
        self._kept: dict[str, Message] = {}
        self._taken: dict[str, set[str]] = {}  # {message: processes that had it}

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

    def forget(self, instance: InstanceId) -> None:
        """Drop every subscription of an instance that has ended."""
        for waiting in [key for key in self._waiting if key[0] == instance]:
            del self._waiting[waiting]

    def publish(self, message: Message, now: datetime) -> list[Correlation]:
        """Return who gets the message now, one for each process; keep it for the others while it lives."""
        had = self._taken.setdefault(message.id, set())
        found = []
        for (instance, subscription), waiting in list(self._waiting.items()):
            fits = (waiting.name, waiting.key) == (message.name, message.key)
            if fits and waiting.process not in had:
                had.add(waiting.process)
                del self._waiting[instance, subscription]
                found.append(
                    Correlation(instance=instance, subscription=subscription, message=message)
                )
        if message.is_kept(now):
            self._kept[message.id] = message
        else:
            del self._taken[message.id]
        return found

    def taken(self, message: str, process: str) -> None:
        """Note that a process had a message before, when what happened is told again."""
        if message in self._taken:
            self._taken[message].add(process)

    def _unexpired(self, now: datetime) -> list[Message]:
        for message in [kept for kept in self._kept.values() if not kept.is_kept(now)]:
            del self._kept[message.id], self._taken[message.id]
        return list(self._kept.values())
