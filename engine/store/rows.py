"""What the store hands out: frozen values, one class per table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from engine.core.model import Json
from engine.errors import StoreError
from engine.frozen import dataclass

FINISHED: Final = ("completed", "partial", "failed", "blocked")
PROCESS_PREFIX: Final = (
    "process:"  #: what runs without a feature are filed under, before the process id
)


class Fenced(StoreError):
    """Another engine has taken the run over; this one must stop at once and write nothing more."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a bundle for a feature, or of a process alone; `feature` is then "process:ID"."""

    id: str
    feature: str
    bundle: str  #: digest of the definitions, hex
    status: str  #: running, waiting, stopped, completed, failed, blocked
    epoch: int  #: grows with each engine that takes the run over, from 1
    entries: int
    head: bytes  #: hash of the last entry, 32 bytes
    created_at: datetime
    changed_at: datetime

    @property
    def is_finished(self) -> bool:
        """Tell whether the run ended for good; every other run can be taken up again."""
        return self.status in FINISHED

    @property
    def process(self) -> str | None:
        """Return the id of the process that runs alone; None for a run that delivers a feature."""
        alone = self.feature.startswith(PROCESS_PREFIX)
        return self.feature.removeprefix(PROCESS_PREFIX) if alone else None


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """A process instance. `parent` is "" for the root; `state` active, completed, failed or cancelled."""

    instance: str
    process: str
    parent: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Something done, or to be done, outside. `state` is intent, done or void."""

    key: str
    kind: str
    state: str
    body: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """What `engine status` shows of a task."""

    task: str
    state: str
    body: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class Command:
    """What another process asks the engine of a run to do: stop, retry, approve, message…"""

    id: int
    kind: str
    body: Mapping[str, Json]
    sent_at: datetime
