"""The tables as SQLAlchemy Core sees them. Their definition is in engine.store.migrations."""

from __future__ import annotations

from typing import Final

from sqlalchemy import LargeBinary, column, table

RUN: Final = table(
    "run",
    *map(column, ("number", "id", "feature", "bundle", "status", "epoch", "entries", "signed")),
    column("head", LargeBinary),
    column("peaks", LargeBinary),
    *map(column, ("created_at", "changed_at")),
)
ENTRY: Final = table(
    "entry",
    *map(column, ("run", "seq", "type", "instance", "task", "once")),
    column("hash", LargeBinary),
    column("line", LargeBinary),
)
INSTANCE: Final = table("instance", *map(column, ("run", "instance", "process", "parent", "state")))
EFFECT: Final = table("effect", *map(column, ("id", "run", "key", "kind", "state", "body")))
TASK: Final = table("task", *map(column, ("run", "task", "state", "body")))
COMMAND: Final = table("command", *map(column, ("id", "run", "kind", "body", "sent_at", "taken")))
