"""The open instances of one run, in memory: advanced by facts, rebuilt from recorded ones, children started in order.

Invariants
- A rebuilt instance gives the events that were recorded, or nothing goes on.
- At most `window` children of one instance are live at a time; the others wait in the order in which they were asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from engine.core.definitions import Definitions
from engine.core.model import (
    ChildRequested,
    Event,
    Fact,
    InstanceId,
    InstanceStarted,
    RunId,
)
from engine.core.process import Instance, advance, start
from engine.errors import IntegrityError
from engine.ledger import event_to_json
from engine.runtime.pending import Open, Waiting, waiting_in
from engine.store import Store


class Instances:
    """What every open instance of `run` is, and what it waits for (`opened`, {instance: Open})."""

    def __init__(self, run: str, definitions: Definitions, *, window: int) -> None:
        self.opened: dict[str, Open] = {}
        self._run = run
        self._definitions = definitions
        self._window = window
        self._states: dict[str, Instance] = {}
        self._unstarted: dict[str, deque[ChildRequested]] = {}
        self._live_children: dict[str, int] = {}

    def __contains__(self, instance: str) -> bool:
        return instance in self._states

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def advance(self, instance: str, fact: Fact) -> tuple[Event, ...] | None:
        """Advance one instance; None when the fact has no effect: late, doubled, or a child that its parent gave up."""
        return self._advance(instance, fact) if self._is_expected(instance, fact) else None

    def rebuild(self, store: Store) -> None:
        """Rebuild every open instance from its recorded facts. Raises IntegrityError when events come out otherwise."""
        rows = store.open_instances(self._run)
        for row in rows:
            for recorded in store.facts(self._run, row.instance):
                events = self._advance(row.instance, recorded.fact) or ()
                if [event_to_json(event) for event in events] != [
                    event_to_json(event) for event in recorded.events
                ]:
                    raise IntegrityError(
                        f"instance {row.instance} does not come out as recorded",
                        where=f"entry {recorded.seq}",
                        hint="Run `engine ledger verify` and `engine replay`; nothing was changed.",
                    )
        for instance, opened in self.opened.items():
            for child, request in opened.children.items():
                if child in self._states:
                    self._live_children[instance] = self._live_children.get(instance, 0) + 1
                else:
                    self.await_child(instance, request)

    def await_child(self, parent: str, request: ChildRequested) -> None:
        """Let a requested child wait for room; `children_to_start` gives it."""
        self._unstarted.setdefault(parent, deque()).append(request)

    def children_to_start(self, parent: str, now: datetime) -> list[tuple[str, InstanceStarted]]:
        """Return the starts for which the window of `parent` has room, in order; from now on they count as live."""
        found: list[tuple[str, InstanceStarted]] = []
        waiting = self._unstarted.get(parent)
        while waiting and self._live_children.get(parent, 0) < self._window:
            request = waiting.popleft()
            if parent not in self.opened or request.child not in self.opened[parent].children:
                continue  # cancelled before it began
            self._live_children[parent] = self._live_children.get(parent, 0) + 1
            begun = InstanceStarted(
                at=now, process=request.process, variables=request.variables, parent=parent
            )
            found.append((request.child, begun))
        return found

    def parents_of_waiting(self) -> list[str]:
        """Return the instances that have children which wait for room."""
        return list(self._unstarted)

    def end(self, instance: str) -> Open:
        """Forget an instance that has ended; return what it was. Its parent has room for another child."""
        self._states.pop(instance, None)
        opened = self.opened.pop(instance)
        if opened.parent in self.opened:
            self._live_children[opened.parent] -= 1
        return opened

    def timers(self) -> Iterator[tuple[datetime, str, str]]:
        """Yield (due, instance, key) of every open timer."""
        for instance, opened in self.opened.items():
            for key, due in opened.timers.items():
                yield due, instance, key

    def waiting(self) -> tuple[Waiting, ...]:
        """Return what only a person or another system can go on with."""
        return (*waiting_in(self.opened), *self._events())

    def _events(self) -> list[Waiting]:
        """Return who waits for a signal or a condition: the ledger says so only when it has happened."""
        return [
            Waiting(
                instance=instance,
                element=wait.element,
                key=wait.key,
                kind="event",
                text=f"waits for a {wait.kind}",
                task=self.opened[instance].task,
            )
            for instance, value in self._states.items()
            for wait in value.waiting
            if wait.kind in ("signal", "condition")
        ]

    def _is_expected(self, instance: str, fact: Fact) -> bool:
        if isinstance(fact, InstanceStarted) and fact.parent:
            parent = self.opened.get(fact.parent)
            return parent is not None and instance in parent.children
        return isinstance(fact, InstanceStarted) or instance in self._states

    def _advance(self, instance: str, fact: Fact) -> tuple[Event, ...] | None:
        if isinstance(fact, InstanceStarted):
            step = start(self._definitions, RunId(self._run), InstanceId(instance), fact)
            self.opened[instance] = Open(process=fact.process, parent=fact.parent)
        else:
            step = advance(self._definitions, self._states[instance], fact)
        if step.ignored:
            return None
        self._states[instance] = step.instance
        self.opened[instance].apply(fact, step.events)
        return step.events
