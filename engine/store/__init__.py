"""The store: one database is the truth; a state change and its ledger entry commit in one transaction."""

from engine.store.blobs import Blobs
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
from engine.store.database import Store
from engine.store.lock import EngineLock
from engine.store.rows import PROCESS_PREFIX, Command, Effect, Fenced, InstanceRow, Run, TaskRow

__all__ = [
    "PROCESS_PREFIX",
    "Blobs",
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
