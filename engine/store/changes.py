"""Changes of state that commit together with the entries that report them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from types import MappingProxyType

from engine.core.model import Json, Variables
from engine.frozen import dataclass

_EMPTY: Variables = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class InstanceOpened:
    """A process instance began. `parent` is "" for the root."""

    instance: str
    process: str
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class InstanceClosed:
    """An instance ended; `state` is completed, failed or cancelled."""

    instance: str
    state: str


@dataclass(frozen=True, kw_only=True)
class EffectIntended:
    """Something is about to be done outside. `body` holds all that recovery needs to look whether it was."""

    key: str  #: idempotency key; at most one intended or done effect of a run may carry it
    kind: str
    body: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, kw_only=True)
class EffectDone:
    key: str
    body: Mapping[str, Json] = field(
        default_factory=lambda: _EMPTY
    )  #: the result, merged over the intent's body


@dataclass(frozen=True, kw_only=True)
class EffectVoided:
    """The effect was not and will not be carried out; its key may be intended again."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TaskChanged:
    """What `engine status` shows of a task of the task graph: one row per task, members of `body` replaced."""

    task: str
    state: str
    body: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, kw_only=True)
class RunStatusChanged:
    """`status` is running, waiting, stopped, completed, failed or blocked; the last three end the run."""

    status: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class CommandTaken:
    """A command of another process was carried out (or refused: the entry says); it is not offered again."""

    command: int


Change = (
    InstanceOpened
    | InstanceClosed
    | EffectIntended
    | EffectDone
    | EffectVoided
    | TaskChanged
    | RunStatusChanged
    | CommandTaken
)
