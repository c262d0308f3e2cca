"""A database that was replaced by an older one is refused before anything is written; what betrays it stays."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.core.model import ElementCompleted, Event, Fact, JobCreated
from engine.errors import IntegrityError
from engine.runtime.engine import Engine
from engine.store import Fenced
from engine.workspaces import Base, Repository
from tests.acceptance.conftest import one_after_the_other


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after its first merge, and `older.db`: its database from just before that."""
    root = tmp_path_factory.mktemp("older") / "shop"
    one_after_the_other(root)
    conductors: list[Any] = []

    def watch(label: str, fact: Fact, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, JobCreated) and event.job.element == "Merge":
                _copy(root / ".engine" / "engine.db", root / "older.db")
            if isinstance(event, ElementCompleted) and event.element == "Merge":
                conductors[0].stop(force=True)

    result = Engine.open(root).run_feature(
        "shop", watch=watch, on_start=lambda conductor, run: conductors.append(conductor)
    )
    assert result.status == "stopped"
    return root


def _copy(database: Path, target: Path) -> None:
    if not target.exists():
        with sqlite3.connect(database) as source, sqlite3.connect(target) as copy:
            source.backup(copy)
        source.close()
        copy.close()


@pytest.fixture
def restored(stopped: Path, tmp_path: Path) -> Path:
    """The project with the older database in place of the newer one."""
    root = tmp_path / "shop"
    shutil.copytree(stopped, root, symlinks=True)
    home = root / ".engine"
    for name in ("engine.db-wal", "engine.db-shm"):
        (home / name).unlink(missing_ok=True)
    (root / "older.db").replace(home / "engine.db")
    return root


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(root: Path) -> IntegrityError:
    """Return why the run does not go on, once it is seen that nothing was changed."""
    kept = [
        path
        for folder in ("ledger", "vault.git/refs", "keys")
        for path in (root / ".engine" / folder).rglob("*")
        if path.is_file()
    ]
    before = {path: _digest(path) for path in [*kept, root / ".engine" / "engine.db"]}
    with pytest.raises(IntegrityError) as caught:
        Engine.open(root).run_feature("shop")
    assert {path: _digest(path) for path in before} == before
    return caught.value


def test_lines_that_were_exported_betray_it(restored: Path):
    error = refused(restored)
    assert error.message == "the export is longer than the database"
    assert error.exit_code == 5


def test_a_signed_checkpoint_betrays_it_when_the_lines_are_gone(restored: Path):
    for path in (restored / ".engine" / "ledger").glob("*/*.jsonl"):
        path.unlink()
    assert refused(restored).message == "the database does not hold what was signed"


def test_the_branch_betrays_it_when_the_whole_export_is_gone(restored: Path):
    shutil.rmtree(restored / ".engine" / "ledger")
    error = refused(restored)
    assert error.message.startswith(
        "the branch stands at a commit that the ledger has not authorised"
    )
    assert error.where.startswith("refs/heads/engine/shop/")


def test_the_newer_database_goes_on(stopped: Path, tmp_path: Path):
    root = tmp_path / "shop"
    shutil.copytree(stopped, root, symlinks=True)
    assert Engine.open(root).run_feature("shop").status == "completed"


def test_a_run_that_another_engine_moved_on_meanwhile_is_not_taken_over(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "shop"
    shutil.copytree(stopped, root, symlinks=True)
    prepare = Repository.prepare

    def beside_another_engine(self: Repository, feature: str, run: str, base: str | None) -> Base:
        prepared = prepare(self, feature, run, base)
        with Engine.open(root).store() as store:  # what was prepared is old from here on
            store.take_over(run, at=datetime.now(UTC))
        return prepared

    monkeypatch.setattr(Repository, "prepare", beside_another_engine)
    with pytest.raises(Fenced, match="another engine has taken this run over"):
        Engine.open(root).run_feature("shop")
