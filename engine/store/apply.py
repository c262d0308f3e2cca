"""Carrying out changes of state inside the transaction of the entries that report them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, assert_never

from engine.core.model import Json
from engine.errors import IntegrityError
from engine.ledger import canonical
from engine.ledger.entries import time_text
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
from engine.store.sql import Connection

_Row = dict[str, Any]  # Any: column values
TaskBodies = dict[
    str, Mapping[str, Json]
]  #: the bodies of a run's tasks, kept between transactions

_OPEN_EFFECT: Final = "SELECT body FROM effect WHERE run = ? AND key = ? AND state = 'intent'"
_END_EFFECT: Final = (
    "UPDATE effect SET state = '{}', body = ? WHERE run = ? AND key = ? AND state = 'intent'"
)
#: for each kind of change its statement, and the names of its values in order
_STATEMENTS: Final[Mapping[type, tuple[str, tuple[str, ...]]]] = {
    InstanceOpened: (
        "INSERT INTO instance (run, instance, process, parent, state) VALUES (?, ?, ?, ?, 'active')",
        ("r", "k", "process", "parent"),
    ),
    InstanceClosed: (
        "UPDATE instance SET state = ? WHERE run = ? AND instance = ? AND state = 'active'",
        ("s", "r", "k"),
    ),
    EffectIntended: (
        "INSERT INTO effect (run, key, kind, state, body) VALUES (?, ?, ?, 'intent', ?)",
        ("r", "k", "kind", "body"),
    ),
    EffectDone: (_END_EFFECT.format("done"), ("body", "r", "k")),
    EffectVoided: (_END_EFFECT.format("void"), ("body", "r", "k")),
    TaskChanged: (
        "INSERT INTO task (run, task, state, body) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (run, task) DO UPDATE SET state = excluded.state, body = excluded.body",
        ("r", "k", "s", "b"),
    ),
    RunStatusChanged: (
        "UPDATE run SET status = ?, changed_at = ? WHERE number = ?",
        ("s", "at", "r"),
    ),
    CommandTaken: (
        "UPDATE command SET taken = ? WHERE id = ? AND run = ? AND taken IS NULL",
        ("taken", "k", "r"),
    ),
}


def apply(
    connection: Connection, run: int, seq: int, changes: Sequence[Change], tasks: TaskBodies
) -> None:
    """Carry out `changes` in order; those of one kind that stand together are one statement.

    Raises IntegrityError when a change does not fit the state: an effect done twice, an instance closed twice.
    """
    for kind, group in groupby(changes, type):
        rows = [_row(change, seq, tasks) | {"r": run} for change in group]
        before = list(_current_bodies(connection, run, kind, rows))
        for row, body in zip(rows, before, strict=False):
            row["body"] = _text({**body, **row["body"]})
        statement, names = _STATEMENTS[kind]
        changed = connection.execute_many(
            statement, [tuple(row[name] for name in names) for row in rows]
        )
        if kind not in (InstanceOpened, EffectIntended, TaskChanged) and changed != len(rows):
            raise IntegrityError(
                f"{kind.__name__} does not fit the state of the run",
                expected=f"{len(rows)} rows to change",
                got=str(changed),
                where=", ".join(str(row.get("k", "")) for row in rows)[:200],
            )


def _row(change: Change, seq: int, tasks: TaskBodies) -> _Row:
    match change:
        case InstanceOpened(instance=instance, process=process, parent=parent):
            return {"k": instance, "process": process, "parent": parent}
        case InstanceClosed(instance=instance, state=state):
            return {"k": instance, "s": state}
        case EffectIntended(key=key, kind=kind, body=body):
            return {"k": key, "kind": kind, "body": _text(body)}
        case EffectDone(key=key, body=body):
            return {"k": key, "body": body}
        case EffectVoided(key=key, reason=reason):
            return {"k": key, "body": {"reason": reason}}
        case TaskChanged(task=task, state=state, body=body):
            tasks[task] = {**tasks.get(task, {}), **body}
            return {"k": task, "s": state, "b": _text(tasks[task])}
        case RunStatusChanged(status=status, at=at):
            return {"s": status, "at": time_text(at)}
        case CommandTaken(command=command):
            return {"k": command, "taken": seq}
    assert_never(change)


def _current_bodies(
    connection: Connection, run: int, kind: type, rows: Sequence[_Row]
) -> Iterator[Mapping[str, Json]]:
    """Yield the bodies of the open effects that `rows` end."""
    if kind not in (EffectDone, EffectVoided):
        return
    for row in rows:
        body = connection.execute(_OPEN_EFFECT, (run, row["k"])).scalar()
        if body is None:
            raise IntegrityError(
                where=f"effect {row['k']}",
                expected="an open intent",
                got="none: done, void or unknown",
            )
        yield read_body(body)


def _text(body: Mapping[str, Json]) -> str:
    return canonical.encode(body).decode()


def read_body(text: str) -> Mapping[str, Json]:
    """Return the body of a row as it was given."""
    body = canonical.decode(text.encode())
    assert isinstance(body, dict)  # only objects are written
    return body
