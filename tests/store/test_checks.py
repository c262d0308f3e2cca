"""Rows beside the sealed lines: every bit of them follows from the lines, or is named."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.model import InstanceEnded, InstanceStarted
from engine.ledger import EntryType, note, turn
from engine.store import (
    EffectDone,
    EffectIntended,
    EffectVoided,
    InstanceClosed,
    InstanceOpened,
    Store,
)

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
BODY = {
    "ref": "refs/heads/engine/shop/r1",
    "old": "a" * 40,
    "commit": "b" * 40,
    "tree": "c" * 40,
    "sources": ["d" * 40],
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A run with an instance that ended, a merge that was voided, and one that was carried out."""
    path = tmp_path / "engine.db"
    with Store.open(path) as store:
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
        started = InstanceStarted(at=AT, process="p", variables={}, start_event="s")
        ended = InstanceEnded(state="completed", variables={})
        store.append(
            "r1",
            [turn("0", started, [ended])],
            [
                InstanceOpened(instance="0", process="p"),
                InstanceClosed(instance="0", state="completed"),
            ],
        )
        intent = EffectIntended(key="j", kind="merge", body=BODY)
        for end, change in (
            (EntryType.MERGE_VOIDED, EffectVoided(key="j", reason="stale")),
            (EntryType.MERGE_COMPLETED, EffectDone(key="j", body=BODY)),
        ):
            authorised = note(EntryType.MERGE_AUTHORIZED, AT, {"job": "j", **BODY})
            store.append("r1", [authorised], [intent])
            reason = {"reason": "stale"} if end is EntryType.MERGE_VOIDED else {}
            store.append("r1", [note(end, AT, {"job": "j", **reason, **BODY})], [change])
    return path


def found(path: Path) -> list[str]:
    with Store.open(path, read_only=True) as store:
        return [message for _, message in store.disagreements("r1")]


def test_what_the_engine_wrote_agrees(database: Path) -> None:
    assert found(database) == []


@pytest.mark.parametrize(
    ("flip", "message"),
    [
        ("UPDATE entry SET type = 'gate.finished' WHERE seq = 2", "the columns of the entry"),
        ("UPDATE entry SET instance = '1' WHERE seq = 2", "the columns of the entry"),
        ("UPDATE entry SET once = NULL WHERE seq = 1", "the columns of the entry"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE seq = 2", "the columns of the entry"),
        ("UPDATE instance SET state = 'active'", "instance '0' is in the database otherwise"),
        ("UPDATE instance SET process = 'q'", "instance '0' is in the database otherwise"),
        ("DELETE FROM instance", "instance '0' is in the database otherwise"),
        ("UPDATE effect SET state = 'intent' WHERE id = 2", "the merge or rollback 'j'"),
        ("UPDATE effect SET body = replace(body, 'bbb', 'ccc')", "the merge or rollback 'j'"),
    ],
)
def test_what_somebody_else_wrote_is_named(database: Path, flip: str, message: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute("DROP TRIGGER entry_is_not_updated")
    connection.execute(flip)
    connection.commit()
    connection.close()
    assert [text[: len(message)] for text in found(database)] == [message]
