"""Connections: one that writes, many that only read; transactions; database errors as sentences.

Rules for SQLite
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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool, QueuePool

from engine.errors import EngineError, IntegrityError, StoreError
from engine.store import migrations

BUSY_TIMEOUT_S: Final = 10.0
_PAGE_BYTES: Final = 8192
_CACHE_KIB: Final = 2048
#: (beginning of sqlite3's error name, sentence, what to do); the first that fits
_SQLITE_SENTENCES: Final = (
    ("SQLITE_FULL", "the disk is full", "Free some space and start again; nothing is lost."),
    ("SQLITE_BUSY", "another process keeps the database locked", "Wait for it or stop it."),
    ("SQLITE_LOCKED", "another process keeps the database locked", "Wait for it or stop it."),
    ("SQLITE_IOERR", "the disk fails", "Check the disk, then start again."),
    ("SQLITE_CORRUPT", "the database is damaged", "Keep the file and restore a copy."),
    ("SQLITE_NOTADB", "the file is not a database of the engine", "Check `[store] url`."),
    ("SQLITE_READONLY", "the database may not be written", "Check the permissions of the folder."),
    ("SQLITE_CANTOPEN", "the database cannot be opened", "Check the path and its permissions."),
)


class Database:
    """The connections to one database. Close it."""

    def __init__(self, url: str | Path, *, create: bool, read_only: bool) -> None:
        self._url = _parsed(url)
        self.name: Final = self._url.render_as_string(hide_password=True)
        self.path: Final = _file_of(self._url)
        self._mutex = RLock()
        self._resources = ExitStack()
        self._broken = ""
        self._writer: Connection | None = None
        if self.path is not None and not (create and not read_only) and not self.path.exists():
            raise StoreError(
                "there is no database yet", where=str(self.path), hint="Run: engine init"
            )
        with self._resources as pending, self._translated():
            self._gate = None if self.path is None or read_only else _Gate(self.path)
            if self._gate is not None:
                pending.callback(self._gate.close)
            if not read_only:
                self._open_writer(pending)
            self._readers = self._open_readers(pending)
            self._resources = pending.pop_all()

    def close(self) -> None:
        """Close every connection; the last one out of a SQLite file folds its WAL into it."""
        with self._mutex:
            self._resources.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One write transaction: committed and on disk when the block ends, undone when it raises."""
        with self._mutex:
            if self._writer is None or self._broken:
                raise StoreError(self._broken or "the store was opened to read", where=self.name)
            with ExitStack() as turn:
                if self._gate is not None:
                    turn.enter_context(self._gate.turn())
                turn.enter_context(self._translated())
                transaction = self._writer.begin()
                try:
                    yield self._writer
                except BaseException:
                    transaction.rollback()
                    raise
                self._commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads; each statement sees one committed state."""
        with self._translated(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that only reads; all statements see the same committed state."""
        with self.reading() as connection:
            if self.path is None:
                yield connection.execution_options(isolation_level="REPEATABLE READ")
                return
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def _commit(self) -> None:
        """Commit, or let nothing follow: after a failed fsync nobody knows what is on disk."""
        assert self._writer is not None  # only called by `writing`
        try:
            self._writer.commit()
        except BaseException:
            self._broken = "an earlier commit failed and its outcome is unknown; start again"
            self._writer.invalidate()
            raise

    def _open_writer(self, resources: ExitStack) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(self._url, creator=self._connect_to_write, poolclass=NullPool)
            event.listen(engine, "begin", _begin)
        else:
            engine = create_engine(self._url, poolclass=NullPool)
        resources.callback(engine.dispose)
        with ExitStack() as turn:
            if self._gate is not None:  # the first connection may have to recover a WAL
                turn.enter_context(self._gate.turn())
            self._writer = engine.connect()
            with self._writer.begin():
                migrations.migrate(self._writer, self.name)
        resources.callback(self._close_writer)

    def _close_writer(self) -> None:
        if self._writer is None:
            return
        with ExitStack() as turn:
            if self._gate is not None:  # closing checkpoints
                turn.enter_context(self._gate.turn())
            self._writer.close()

    def _open_readers(self, resources: ExitStack) -> Engine:
        if self.path is not None:
            engine = create_engine(self._url, creator=self._connect_to_read, poolclass=QueuePool)
        else:
            engine = create_engine(self._url).execution_options(postgresql_readonly=True)
        resources.callback(engine.dispose)
        if self._writer is None:
            with engine.connect() as connection:
                migrations.refuse_unready(connection, self.name)
                migrations.refuse_newer(migrations.read_version(connection), self.name)
        return engine

    def _connect_to_write(self) -> sqlite3.Connection:
        connection = self._connect("rwc")
        connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                where=self.name, expected="a disk with shared memory", got=f"journal mode {mode}"
            )
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _connect_to_read(self) -> sqlite3.Connection:
        connection = self._connect("ro")
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", f"cache_size=-{_CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the driver raises into a sentence about this database."""
        try:
            yield
        except exc.IntegrityError as error:
            raise IntegrityError(
                "the database refuses what would contradict it",
                where=self.name,
                got=str(error.orig),
            ) from error
        except exc.DBAPIError as error:
            raise _sentence(error.orig, self.name) from error
        except sqlite3.Error as error:
            raise _sentence(error, self.name) from error
        except UnicodeDecodeError as error:  # the driver reads names and messages out of the file
            raise StoreError(
                "the database is damaged", where=self.name, hint="Keep the file and restore a copy."
            ) from error
        except exc.SQLAlchemyError as error:
            raise StoreError(
                "the database cannot be used", where=self.name, got=str(error)
            ) from error
        except OSError as error:
            raise StoreError(
                f"the database cannot be used: {error.strerror}", where=self.name
            ) from error


def _begin(connection: Connection) -> None:
    """Begin the transaction as a writer at once: a later upgrade from reading could fail half-way."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("BEGIN IMMEDIATE")


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


def _parsed(url: str | Path) -> URL:
    if isinstance(url, Path) or "://" not in url:
        return URL.create("sqlite+pysqlite", database=str(Path(url).absolute()))
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise StoreError(where=url, expected="a database URL") from error
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(where=url, expected="sqlite or postgresql", got=parsed.get_backend_name())
    return parsed


def _file_of(url: URL) -> Path | None:
    """Return the file of a SQLite URL, None for a server."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise StoreError(where=str(url), expected="a file", got="a database in memory")
    return Path(url.database).absolute()


def _sentence(error: BaseException | None, name: str) -> EngineError:
    if isinstance(error, EngineError):
        return error
    kind = getattr(error, "sqlite_errorname", "") or ""
    for beginning, sentence, hint in _SQLITE_SENTENCES:
        if kind.startswith(beginning):
            return StoreError(sentence, where=name, got=kind, hint=hint)
    told = str(error).strip().splitlines()
    return StoreError(
        "the database cannot be used", where=name, got=told[0] if told else "no answer"
    )
