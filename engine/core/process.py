"""One fact, one step: `start` and `advance` carry a process instance forward. Pure.

The only module that imports SpiffWorkflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.core.definitions import Definitions
from engine.core.model import Event, Fact, InstanceId, InstanceStarted, RunId, Variables

State = Literal["active", "completed", "failed", "cancelled"]
Waits = Literal[
    "job", "user_task", "timer", "message", "signal", "condition", "verdict", "child", "incident"
]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One open thing of an instance: what it waits for, the local key a fact must name, and its element."""

    kind: Waits
    key: str
    element: str


class Instance:
    """A process instance after a number of facts; a value: equal run, id, definitions and facts are equal."""

    run: RunId
    id: InstanceId
    process: str
    definitions: str  #: digest of the bundle
    state: State
    count: int  #: facts taken so far

    def facts(self) -> Iterator[Fact]:
        """Yield the facts taken so far, oldest first."""
        raise NotImplementedError

    @property
    def variables(self) -> Variables:
        """Variables of the root scope."""
        raise NotImplementedError

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """What is open, in the order in which it was opened."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one fact did. `ignored`: it was late or doubled; nothing happened and `instance` is unchanged."""

    instance: Instance
    events: tuple[Event, ...]
    ignored: bool = False


def start(
    definitions: Definitions, run: RunId, instance_id: InstanceId, fact: InstanceStarted
) -> Step:
    """Return the first step of a new instance of process `fact.process`.

    Raises DefinitionError when the bundle has no such process.
    """
    raise NotImplementedError


def advance(definitions: Definitions, instance: Instance, fact: Fact) -> Step:
    """Return what `fact` does to `instance`. Pure: equal arguments give equal steps; `instance` stays valid.

    A fact that names nothing open (late, doubled, cancelled) gives a step with `ignored`, not an error.
    Raises IntegrityError when the instance would stall, or `instance` was made from other definitions.
    """
    raise NotImplementedError
