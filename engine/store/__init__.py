"""The store: one database is the truth; a state change and its ledger entry commit in one transaction."""

from engine.store.changes import (
    Change,
    CommandTaken,
    EffectDone,
    EffectIntended,
    EffectVoided,
    InstanceClosed,
    InstanceOpened,
    RunStatusChanged,
    TaskChanged,
)
from engine.store.database import (
    Command,
    Effect,
    EngineLock,
    Fenced,
    InstanceRow,
    Run,
    Store,
    TaskRow,
)

__all__ = [
    "Change",
    "Command",
    "CommandTaken",
    "Effect",
    "EffectDone",
    "EffectIntended",
    "EffectVoided",
    "EngineLock",
    "Fenced",
    "InstanceClosed",
    "InstanceOpened",
    "InstanceRow",
    "Run",
    "RunStatusChanged",
    "Store",
    "TaskChanged",
    "TaskRow",
]
