"""Carrying out changes of state inside the transaction of the entries that report them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any, assert_never

from sqlalchemy import BindParameter, Connection, Executable, bindparam, insert, select, update

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
from engine.store.tables import COMMAND, EFFECT, INSTANCE, RUN, TASK

_Row = dict[str, Any]  # Any: column values
_Parameter = BindParameter[Any]  # Any: bound to values of several types
TaskBodies = dict[
    str, Mapping[str, Json]
]  #: the bodies of a run's tasks, kept between transactions


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
        done = connection.execute(_statement(kind, connection.dialect.name), rows)
        if kind not in (InstanceOpened, EffectIntended, TaskChanged) and done.rowcount != len(rows):
            raise IntegrityError(
                f"{kind.__name__} does not fit the state of the run",
                expected=f"{len(rows)} rows to change",
                got=str(done.rowcount),
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
    open_effect = select(EFFECT.c.body).where(
        EFFECT.c.run == run, EFFECT.c.key == bindparam("k"), EFFECT.c.state == "intent"
    )
    for row in rows:
        body = connection.execute(open_effect, {"k": row["k"]}).scalar()
        if body is None:
            raise IntegrityError(
                where=f"effect {row['k']}",
                expected="an open intent",
                got="none: done, void or unknown",
            )
        yield read_body(body)


@cache
def _statement(kind: type, dialect: str) -> Executable:
    run: _Parameter = bindparam("r")
    key: _Parameter = bindparam("k")
    state: _Parameter = bindparam("s")
    if kind is InstanceOpened:
        values = {"process": bindparam("process"), "parent": bindparam("parent"), "state": "active"}
        return insert(INSTANCE).values(run=run, instance=key, **values)
    if kind is InstanceClosed:
        active = (INSTANCE.c.run == run, INSTANCE.c.instance == key, INSTANCE.c.state == "active")
        return update(INSTANCE).where(*active).values(state=state)
    if kind is EffectIntended:
        values = {"kind": bindparam("kind"), "body": bindparam("body"), "state": "intent"}
        return insert(EFFECT).values(run=run, key=key, **values)
    if kind in (EffectDone, EffectVoided):
        intent = (EFFECT.c.run == run, EFFECT.c.key == key, EFFECT.c.state == "intent")
        ended = "done" if kind is EffectDone else "void"
        return update(EFFECT).where(*intent).values(state=ended, body=bindparam("body"))
    if kind is TaskChanged:
        return _upsert_task(dialect)
    if kind is RunStatusChanged:
        return (
            update(RUN).where(RUN.c.number == run).values(status=state, changed_at=bindparam("at"))
        )
    open_command = (COMMAND.c.id == key, COMMAND.c.run == run, COMMAND.c.taken.is_(None))
    return update(COMMAND).where(*open_command).values(taken=bindparam("taken"))


def _upsert_task(dialect: str) -> Executable:
    row: Any = _insert_of(dialect)(TASK).values(  # Any: two classes of one shape
        run=bindparam("r"), task=bindparam("k"), state=bindparam("s"), body=bindparam("b")
    )
    statement: Executable = row.on_conflict_do_update(
        index_elements=["run", "task"],
        set_={"state": row.excluded.state, "body": row.excluded.body},
    )
    return statement


def _insert_of(dialect: str) -> Callable[..., Any]:  # Any: two classes of one shape
    """Return the dialect's own insert. Importing both would cost every command the time of one it never uses."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert


def _text(body: Mapping[str, Json]) -> str:
    return canonical.encode(body).decode()


def read_body(text: str) -> Mapping[str, Json]:
    """Return the body of a row as it was given."""
    body = canonical.decode(text.encode())
    assert isinstance(body, dict)  # only objects are written
    return body
