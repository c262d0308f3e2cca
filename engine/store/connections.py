"""The connections of a store: one that writes, many that only read; transactions; which database a URL means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock

from engine.errors import StoreError
from engine.store import migrations
from engine.store.sql import Connection, Driver, WritingConnection
from engine.store.sqlite import SqliteFile


class Database:
    """The connections to one database. Close it."""

    def __init__(self, url: str | Path, *, create: bool, read_only: bool) -> None:
        self._driver = _driver(url, create=create, read_only=read_only)
        self.name = self._driver.name
        self.path = self._driver.path
        self._mutex = RLock()
        self._resources = ExitStack()
        self._broken = ""
        self._writer: WritingConnection | None = None
        with self._resources as pending, self._driver.translated():
            pending.callback(self._driver.close)
            if read_only:
                self._look()
            else:
                self._writer = self._open_writer(pending)
                pending.callback(
                    self._driver.close_readers
                )  # first: the writer is the last one out
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
            with self._driver.turn(), self._driver.translated():
                self._writer.begin()
                try:
                    yield self._writer
                except BaseException:
                    self._writer.rollback()
                    raise
                self._commit(self._writer)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads; each statement sees one committed state."""
        with self._driver.translated(), self._driver.reader() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that only reads; all statements see the same committed state."""
        with self._driver.translated(), self._driver.snapshot() as connection:
            yield connection

    def _commit(self, writer: WritingConnection) -> None:
        """Commit, or let nothing follow: after a failed fsync nobody knows what is on disk."""
        try:
            writer.commit()
        except BaseException:
            self._broken = "an earlier commit failed and its outcome is unknown; start again"
            writer.give_up()
            raise

    def _open_writer(self, resources: ExitStack) -> WritingConnection:
        writer = resources.enter_context(self._driver.writer())
        with self._driver.turn():
            writer.begin()
            try:
                migrations.migrate(writer, self.name)
            except BaseException:
                writer.rollback()
                raise
            writer.commit()
        return writer

    def _look(self) -> None:
        with self._driver.reader() as connection:
            migrations.refuse_unready(connection, self.name)
            migrations.refuse_newer(migrations.read_version(connection), self.name)


def _driver(url: str | Path, *, create: bool, read_only: bool) -> Driver:
    """Return what speaks to the database at `url`. SQLAlchemy (0.2 s to import) is for URLs, not for files."""
    if isinstance(url, Path) or "://" not in url:
        return SqliteFile(Path(url), create=create, read_only=read_only)
    from engine.store import server

    found = server.parsed(url)
    if found.get_backend_name() == "postgresql":
        return server.Server(found)
    if not found.database or found.database == ":memory:":
        raise StoreError(where=str(found), expected="a file", got="a database in memory")
    return SqliteFile(Path(found.database), create=create, read_only=read_only)
