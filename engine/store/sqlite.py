"""SQLite files.

Rules
- WAL, synchronous=FULL: what was committed survives power loss.
- One writing connection in a process, and one process at a time inside a write transaction, checkpoints
  included: a file lock is held from BEGIN to COMMIT. SQLite up to 3.51.2 can damage a WAL when one connection
  resets it while another commits (sqlite.org/wal.html#walresetbug); Python 3.11 often brings an older one.
- Readers open the file read-only.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal
from urllib.parse import quote

from engine.errors import EngineError, IntegrityError, StoreError
from engine.store.sql import Rows

BUSY_TIMEOUT_S: Final = 10.0
_IDLE_READERS: Final = 5
_PAGE_BYTES: Final = 8192
_CACHE_KIB: Final = 2048
#: (beginning of sqlite3's error name, sentence, what to do); the first that fits
_SENTENCES: Final = (
    ("SQLITE_FULL", "the disk is full", "Free some space and start again; nothing is lost."),
    ("SQLITE_BUSY", "another process keeps the database locked", "Wait for it or stop it."),
    ("SQLITE_LOCKED", "another process keeps the database locked", "Wait for it or stop it."),
    ("SQLITE_IOERR", "the disk fails", "Check the disk, then start again."),
    ("SQLITE_CORRUPT", "the database is damaged", "Keep the file and restore a copy."),
    ("SQLITE_NOTADB", "the file is not a database of the engine", "Check `[store] url`."),
    ("SQLITE_READONLY", "the database may not be written", "Check the permissions of the folder."),
    ("SQLITE_CANTOPEN", "the database cannot be opened", "Check the path and its permissions."),
)


class SqliteConnection:
    """A connection without transactions of its own accord; statements commit by themselves unless `begin` was called."""

    backend: Final[Literal["sqlite", "postgresql"]] = "sqlite"

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver
        driver.row_factory = _Row

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:  # Any: column values
        with closing(self._driver.execute(statement, values)) as cursor:
            return Rows(cursor.fetchall(), cursor.rowcount)

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        with closing(self._driver.executemany(statement, rows)) as cursor:
            return cursor.rowcount

    def stream(self, statement: str, values: Sequence[Any] = ()) -> Generator[Any, None, None]:
        with closing(self._driver.execute(statement, values)) as cursor:
            yield from cursor

    def begin(self) -> None:
        """Begin as a writer at once: a later upgrade from reading could fail half-way."""
        self._driver.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._driver.execute("COMMIT")

    def rollback(self) -> None:
        if self._driver.in_transaction:  # a full disk may have ended it already
            self._driver.execute("ROLLBACK")

    def give_up(self) -> None:
        self._driver.close()


class SqliteFile:
    """The connections to one file."""

    def __init__(self, path: Path, *, create: bool, read_only: bool) -> None:
        """Raises StoreError when the file is not there and may not be made."""
        self.path: Final = path.absolute()
        self.name: Final = f"sqlite+pysqlite:///{self.path}"
        self._lock = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._gate: _Gate | None = None
        if not (create and not read_only) and not self.path.exists():
            raise StoreError(
                "there is no database yet", where=str(self.path), hint="Run: engine init"
            )
        with self.translated():
            self._gate = None if read_only else _Gate(self.path)

    def close_readers(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        self.close_readers()
        if self._gate is not None:
            self._gate.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        with nullcontext() if self._gate is None else self._gate.turn():
            yield

    @contextmanager
    def writer(self) -> Iterator[SqliteConnection]:
        with self.turn():  # the first connection may have to recover a WAL
            driver = self._connect("rwc")
        try:
            driver.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            mode = driver.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(
                    where=self.name,
                    expected="a disk with shared memory",
                    got=f"journal mode {mode}",
                )
            driver.execute("PRAGMA synchronous=FULL")
            yield SqliteConnection(driver)
        finally:
            with self.turn():  # closing checkpoints
                driver.close()

    @contextmanager
    def reader(self) -> Iterator[SqliteConnection]:
        with self._lock:
            driver = self._idle.pop() if self._idle else None
        if driver is None:
            driver = self._connect("ro")
            driver.execute("PRAGMA query_only=ON")
        try:
            yield SqliteConnection(driver)
        except BaseException:
            driver.close()
            raise
        with self._lock:
            if len(self._idle) < _IDLE_READERS:
                self._idle.append(driver)
                return
        driver.close()

    @contextmanager
    def snapshot(self) -> Iterator[SqliteConnection]:
        with self.reader() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the driver raises into a sentence about this database."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise IntegrityError(
                "the database refuses what would contradict it", where=self.name, got=str(error)
            ) from error
        except sqlite3.Error as error:
            raise _sentence(error, self.name) from error
        except UnicodeDecodeError as error:  # the driver reads names and messages out of the file
            raise StoreError(
                "the database is damaged", where=self.name, hint="Keep the file and restore a copy."
            ) from error
        except OSError as error:
            raise StoreError(
                f"the database cannot be used: {error.strerror}", where=self.name
            ) from error

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in (
                "trusted_schema=OFF",
                "cell_size_check=ON",
                f"cache_size=-{_CACHE_KIB}",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection


class _Row(sqlite3.Row):
    """A row whose columns are attributes."""

    def __getattr__(self, name: str) -> Any:  # Any: column values
        try:
            return self[name]
        except IndexError as error:
            raise AttributeError(name) from error


class _Gate:
    """The right to write, handed from process to process: a lock on `<database>.lock`."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        self._path = database.with_name(f"{database.name}.lock")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def turn(self) -> Iterator[None]:
        self._enter()
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._descriptor)

    def _enter(self) -> None:
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        "another process keeps the database locked",
                        where=str(self._path),
                        hint="A stopped engine may hold it: continue or end that process.",
                    ) from error
                time.sleep(0.002)


def _sentence(error: sqlite3.Error, name: str) -> EngineError:
    kind = getattr(error, "sqlite_errorname", "") or ""
    for beginning, sentence, hint in _SENTENCES:
        if kind.startswith(beginning):
            return StoreError(sentence, where=name, got=kind, hint=hint)
    told = str(error).strip().splitlines()
    return StoreError(
        "the database cannot be used", where=name, got=told[0] if told else "no answer"
    )
