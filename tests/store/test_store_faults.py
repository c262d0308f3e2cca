"""What can go wrong around a store: files, locks, full and failing disks, two engines. Each is a sentence."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from engine.core.model import JobCompleted
from engine.errors import IntegrityError, StoreError
from engine.ledger import turn, verify_chain
from engine.store import EngineLock, Store, sqlite
from engine.store.sqlite import SqliteConnection

AT = datetime(2026, 11, 20, tzinfo=UTC)


def job(number: int, size: int = 0):
    fact = JobCompleted(at=AT, job=f"A#{number}.1", variables={"text": "x" * size})
    return turn("0", fact, [])


@pytest.fixture
def path(tmp_path):
    with Store.open(tmp_path / "engine.db") as store:
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
    return tmp_path / "engine.db"


# --- opening -----------------------------------------------------------------------------------------


def test_a_committed_entry_survives_power_loss_by_these_settings(path):
    with Store.open(path) as store, store._database.writing() as writer:
        assert writer.execute("PRAGMA journal_mode").scalar() == "wal"
        assert writer.execute("PRAGMA synchronous").scalar() == 2
        assert writer.execute("PRAGMA trusted_schema").scalar() == 0


def test_the_last_one_out_folds_the_log_into_the_file(path):
    with Store.open(path) as store:
        store.take_over("r1", at=AT)
        assert verify_chain(store.lines("r1")) == store.head("r1")
        assert path.with_name("engine.db-wal").exists()
    assert sorted(file.name for file in path.parent.glob("engine.db*")) == [
        "engine.db",
        "engine.db.lock",
    ]


def test_readers_cannot_write(path):
    with Store.open(path) as store, pytest.raises(StoreError), store._database.reading() as reader:
        reader.execute("UPDATE run SET status = 'completed'")
    with Store.open(path, read_only=True) as store:
        assert [run.id for run in store.runs()] == ["r1"]
        with pytest.raises(StoreError, match="the store was opened to read"):
            store.take_over("r1", at=AT)


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_a_database_that_is_not_there_is_not_made_unasked(tmp_path, options):
    with pytest.raises(StoreError, match=r"there is no database yet\. Run: engine init"):
        Store.open(tmp_path / "engine.db", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_database_whose_maker_was_killed_at_once_has_no_runs_yet(tmp_path):
    (tmp_path / "engine.db").touch()
    with pytest.raises(StoreError, match=r"was begun and has no runs yet\. Start one with: engine"):
        Store.open(tmp_path / "engine.db", read_only=True)
    with Store.open(tmp_path / "engine.db") as store:
        assert store.runs() == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, read_only):
    path = tmp_path / "engine.db"
    path.write_bytes(b"not a database at all\n" * 100)
    with pytest.raises(StoreError, match="the file is not a database of the engine"):
        Store.open(path, read_only=read_only)
    assert path.read_bytes() == b"not a database at all\n" * 100


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_of_a_newer_engine_is_refused(path, read_only):
    with Store.open(path) as store, store._database.writing() as writer:
        writer.execute("UPDATE meta SET schema_version = 99")
    with pytest.raises(
        StoreError, match="expected a database schema up to 1, but got 99, of a newer"
    ):
        Store.open(path, read_only=read_only)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://localhost/x", "expected sqlite or postgresql, but got mysql"),
        ("sqlite://", "expected a file, but got a database in memory"),
        ("nonsense://", "nonsense"),
        ("://", "expected a database URL"),
    ],
)
def test_a_url_of_no_use_is_named(url, message):
    with pytest.raises(StoreError, match=message):
        Store.open(url)


def test_a_damaged_page_is_reported_not_read_over(path):
    with Store.open(path) as store:
        store.take_over("r1", at=AT)
        store.append("r1", [job(n, 1000) for n in range(200)])
    content = bytearray(path.read_bytes())
    for start in range(3 * 8192, len(content), 8192):
        content[start : start + 4000] = b"\x55" * 4000
    path.write_bytes(content)
    with Store.open(path) as store:
        with pytest.raises((StoreError, IntegrityError), match="damaged"):
            store.check()
        with pytest.raises((StoreError, IntegrityError)):
            verify_chain(store.lines("r1"))


# --- other processes ---------------------------------------------------------------------------------


def test_a_lock_of_another_process_is_waited_for_then_named(path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    with Store.open(path) as store, Store.open(path) as other:
        store.take_over("r1", at=AT)
        with (
            other._database.writing(),
            pytest.raises(
                StoreError, match=r"engine\.db\.lock: another process keeps the database"
            ),
        ):
            store.append("r1", [job(1)])
        store.append("r1", [job(1)])
        assert verify_chain(store.lines("r1")) == store.head("r1")


def test_a_foreign_writer_that_ignores_the_gate_is_named_too(path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    foreign = sqlite3.connect(path, isolation_level=None)
    with Store.open(path) as store:
        store.take_over("r1", at=AT)
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"keeps the database locked.*SQLITE_BUSY"):
            store.append("r1", [job(1)])
        foreign.execute("ROLLBACK")
        assert [entry.seq for entry in store.append("r1", [job(1)])] == [3]
    foreign.close()


# --- disks -------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder, size):
    """A file system of `size` bytes at `folder`; skips where it cannot be mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")  # a right that CI cannot install
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("spare", range(0, 40_000, 4096))
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path, spare):
    with small_disk(tmp_path, 1_000_000) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (200_000 + spare))
        with Store.open(disk / "engine.db") as store:
            store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
            acknowledged = [1]

            def fill():
                for number in range(10_000):
                    acknowledged.extend(
                        entry.seq for entry in store.append("r1", [job(number, 3000)])
                    )

            with pytest.raises(StoreError, match=r"the disk is full|the disk fails"):
                fill()
            with pytest.raises(StoreError):
                store.append("r1", [job(10_001, 3000)])
        ballast.unlink()
        with Store.open(disk / "engine.db") as store:
            store.check()
            store.take_over("r1", at=AT)
            head = verify_chain(store.lines("r1"))
            assert (head, head.seq) == (store.head("r1"), acknowledged[-1] + 1)


def test_after_a_commit_of_unknown_outcome_nothing_more_is_written(path, monkeypatch):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"

    def fail(self):
        raise error

    with Store.open(path) as store:
        store.take_over("r1", at=AT)
        with monkeypatch.context() as failing:
            failing.setattr(SqliteConnection, "commit", fail)
            with pytest.raises(StoreError, match=r"the disk fails: got SQLITE_IOERR_FSYNC"):
                store.append("r1", [job(1)])
        with pytest.raises(StoreError, match="an earlier commit failed and its outcome is unknown"):
            store.append("r1", [job(2)])
    with Store.open(path) as store:
        store.take_over("r1", at=AT)
        assert verify_chain(store.lines("r1")) == store.head("r1")


# --- one engine --------------------------------------------------------------------------------------


def test_a_second_engine_is_refused_with_process_and_host(tmp_path):
    with EngineLock.acquire(tmp_path, "feature-shop"):
        with pytest.raises(StoreError) as caught:
            EngineLock.acquire(tmp_path, "feature-shop")
        host = socket.gethostname()
        expected = f"another engine is at work here: process id {os.getpid()} on host {host}"
        assert expected in str(caught.value)
        EngineLock.acquire(tmp_path, "feature-other").release()
    EngineLock.acquire(tmp_path, "feature-shop").release()


def test_a_child_that_outlives_its_engine_keeps_the_next_one_out(tmp_path, monkeypatch):
    engine = (
        "import subprocess, sys, pathlib\n"
        "from engine.store.lock import EngineLock\n"
        "lock = EngineLock.acquire(pathlib.Path(sys.argv[1]), 'f')\n"
        "null = subprocess.DEVNULL\n"
        "files = {'pass_fds': [lock.fd], 'stdout': null, 'stderr': null}\n"
        "child = subprocess.Popen(['sleep', '60'], **files)\n"
        "print(child.pid)\n"
    )
    dead = subprocess.run(
        [sys.executable, "-c", engine, str(tmp_path)], capture_output=True, text=True, check=True
    )
    child = int(dead.stdout)
    try:
        monkeypatch.setattr("engine.store.lock._ORPHANS_END_WITHIN_S", 0.05)
        with pytest.raises(StoreError, match="has ended, but programs it started still run"):
            EngineLock.acquire(tmp_path, "f")
        monkeypatch.undo()
    finally:
        os.kill(child, 9)
    EngineLock.acquire(tmp_path, "f").release()  # waits for the child to be gone


def test_an_engine_knows_whether_it_is_alone_in_its_home(tmp_path):
    with EngineLock.acquire(tmp_path, "feature-shop") as lock:
        with lock.alone() as alone:
            assert alone
        other = EngineLock.acquire(tmp_path, "feature-till")
        with lock.alone() as alone:
            assert not alone
        other.release()
        with lock.alone() as alone:
            assert alone
        EngineLock.acquire(tmp_path, "feature-till").release()  # nothing is held afterwards


def test_a_lock_is_taken_by_name_not_by_path(tmp_path):
    lock = EngineLock.acquire(tmp_path, "../../etc/x y")
    assert lock.path == tmp_path / "locks" / ".._.._etc_x_y.lock"
    assert os.get_inheritable(lock.fd) is False
    lock.release()
    lock.release()
