"""A database that was restored from an old copy starts nothing: what it would do again is merged already."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import IntegrityError
from engine.ledger import EntryType, note
from engine.ledger.export import Exporter
from engine.runtime.older import refuse_forgotten_runs
from engine.store import RunStatusChanged, Store

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def store_with_run(home: Path, run: str) -> None:
    """Make a run, end it with a signed checkpoint, and export it."""
    with Store.open(home / "engine.db") as store:
        store.create_run(run, feature="shop", bundle="0" * 64, at=AT)
        ended = note(EntryType.RUN_FINISHED, AT, {"status": "completed"})
        store.append(run, [ended], [RunStatusChanged(status="completed", at=AT)])
        Exporter(home / "ledger" / run, lambda after: store.lines(run, after=after))


def test_a_database_as_old_as_its_export_is_taken(tmp_path: Path) -> None:
    store_with_run(tmp_path, "r1")
    with Store.open(tmp_path / "engine.db") as store:
        refuse_forgotten_runs(store)


def test_a_database_without_an_exported_run_is_refused(tmp_path: Path) -> None:
    store_with_run(tmp_path, "r1")
    (tmp_path / "engine.db").unlink()
    with Store.open(tmp_path / "engine.db") as store, pytest.raises(IntegrityError) as refused:
        refuse_forgotten_runs(store)
    assert refused.value.sentence() == (
        f"{tmp_path}/ledger/r1: the database is older than the ledger that was exported from it: expected the 2 entries "
        "of run r1 that a checkpoint was signed over, but got a database without that run. Put the newer database back; "
        "or move that folder away to start without it."
    )


def test_a_database_with_fewer_entries_than_were_signed_is_refused(tmp_path: Path) -> None:
    store_with_run(tmp_path, "r1")
    signed = tmp_path / "ledger" / "r1" / "checkpoint"
    lines = signed.read_text("utf-8").split("\n")
    signed.write_text("\n".join([lines[0], "7", *lines[2:]]), "utf-8")
    with (
        Store.open(tmp_path / "engine.db") as store,
        pytest.raises(IntegrityError, match=r"expected the 7 entries of run r1 .* but got 3"),
    ):
        refuse_forgotten_runs(store)


def test_lines_alone_tell_of_a_run_that_the_database_does_not_know(tmp_path: Path) -> None:
    """A run that was killed in its first second has merged, perhaps, but no checkpoint is exported yet."""
    store_with_run(tmp_path, "r1")
    (tmp_path / "ledger" / "r1" / "checkpoint").unlink()
    (tmp_path / "engine.db").unlink()
    with (
        Store.open(tmp_path / "engine.db") as store,
        pytest.raises(IntegrityError, match="expected run r1, of which lines were exported, but"),
    ):
        refuse_forgotten_runs(store)
