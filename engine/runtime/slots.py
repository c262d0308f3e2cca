"""Numbered places for workers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


class Slots:
    """At most so many workers at a time; each gets the lowest free number, from 1."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._freed = asyncio.Condition()

    def take(self, limit: int) -> _Slot:
        return _Slot(self, max(1, limit))

    async def enter(self, limit: int) -> int:
        async with self._freed:
            await self._freed.wait_for(lambda: len(self._taken) < limit)
            number = next(n for n in range(1, limit + 1) if n not in self._taken)
            self._taken.add(number)
            return number

    async def leave(self, number: int) -> None:
        async with self._freed:
            self._taken.discard(number)
            self._freed.notify_all()


@dataclass
class _Slot:
    slots: Slots
    limit: int
    number: int = field(default=0)

    async def __aenter__(self) -> int:
        self.number = await self.slots.enter(self.limit)
        return self.number

    async def __aexit__(self, *error: object) -> None:
        await asyncio.shield(self.slots.leave(self.number))
