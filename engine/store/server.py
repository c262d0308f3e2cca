"""A PostgreSQL server, through SQLAlchemy: its connections, pool and errors. Nothing else of the engine imports it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

from sqlalchemy import Connection as Held
from sqlalchemy import create_engine, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from engine.errors import EngineError, IntegrityError, StoreError
from engine.store.sql import Rows

_FETCH_ROWS: Final = 500


class ServerConnection:
    """A connection of SQLAlchemy's, spoken to in the driver's own words."""

    backend: Final[Literal["sqlite", "postgresql"]] = "postgresql"

    def __init__(self, held: Held) -> None:
        self._held = held

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:  # Any: column values
        result = self._held.exec_driver_sql(_spelled(statement), tuple(values) or None)
        return Rows(result.all() if result.returns_rows else [], result.rowcount)

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        given = [tuple(row) for row in rows]
        return self._held.exec_driver_sql(_spelled(statement), given).rowcount

    def stream(self, statement: str, values: Sequence[Any] = ()) -> Generator[Any, None, None]:
        streaming = self._held.execution_options(yield_per=_FETCH_ROWS)
        with streaming.exec_driver_sql(_spelled(statement), tuple(values) or None) as found:
            yield from found

    def begin(self) -> None:
        self._held.begin()

    def commit(self) -> None:
        self._held.commit()

    def rollback(self) -> None:
        self._held.rollback()

    def give_up(self) -> None:
        self._held.invalidate()


class Server:
    """The connections to one database on a server."""

    path: Final = None

    def __init__(self, url: URL) -> None:
        self.name: Final = url.render_as_string(hide_password=True)
        with self.translated():
            self._writers = create_engine(url, poolclass=NullPool)
            self._readers = create_engine(url).execution_options(postgresql_readonly=True)

    def close_readers(self) -> None:
        self._readers.dispose()

    def close(self) -> None:
        self.close_readers()
        self._writers.dispose()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The server keeps writers apart."""
        yield

    @contextmanager
    def writer(self) -> Iterator[ServerConnection]:
        with self._writers.connect() as held:
            yield ServerConnection(held)

    @contextmanager
    def reader(self) -> Iterator[ServerConnection]:
        with self._readers.connect() as held:
            yield ServerConnection(held)

    @contextmanager
    def snapshot(self) -> Iterator[ServerConnection]:
        with self._readers.connect() as held:
            yield ServerConnection(held.execution_options(isolation_level="REPEATABLE READ"))

    @contextmanager
    def translated(self) -> Iterator[None]:
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
        except (exc.SQLAlchemyError, OSError) as error:
            raise StoreError(
                "the database cannot be used", where=self.name, got=str(error)
            ) from error


def parsed(url: str) -> URL:
    """Return a database URL. Raises StoreError unless it names SQLite or PostgreSQL."""
    try:
        found = make_url(url)
    except exc.ArgumentError as error:
        raise StoreError(where=url, expected="a database URL") from error
    if found.drivername in ("postgresql", "postgres"):
        return found.set(drivername="postgresql+psycopg")
    if found.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(where=url, expected="sqlite or postgresql", got=found.get_backend_name())
    return found


def _spelled(statement: str) -> str:
    return statement.replace("?", "%s")


def _sentence(error: BaseException | None, name: str) -> EngineError:
    if isinstance(error, EngineError):
        return error
    told = str(error).strip().splitlines()
    return StoreError(
        "the database cannot be used", where=name, got=told[0] if told else "no answer"
    )
