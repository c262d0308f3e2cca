"""What the store asks of a database, whichever it is: statements as text, with `?` for each value; rows with names.

All statements of the store are written so that SQLite and PostgreSQL read them alike.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Literal, Protocol

# Any in this module: the values of columns, and rows that have them as attributes


class Rows(list[Any]):
    """The rows that a statement gave; `changed` is how many it touched."""

    def __init__(self, rows: Sequence[Any], changed: int) -> None:
        super().__init__(rows)
        self.changed: Final = changed

    def first(self) -> Any:
        """Return the first row, or None."""
        return self[0] if self else None

    def scalar(self) -> Any:
        """Return the first value of the first row, or None."""
        return self[0][0] if self else None


class Connection(Protocol):
    """One connection; what it runs is part of a transaction where one was begun."""

    @property
    def backend(self) -> Literal["sqlite", "postgresql"]: ...
    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows: ...
    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement once for each of `rows`; return how many rows of the table it changed."""

    def stream(self, statement: str, values: Sequence[Any] = ()) -> Generator[Any, None, None]:
        """Yield the rows of a long answer as they are read."""


class WritingConnection(Connection, Protocol):
    """The one connection that writes."""

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def give_up(self) -> None:
        """Let nothing more be written through it."""


class Driver(Protocol):
    """One kind of database. Its errors leave `translated` as sentences."""

    @property
    def name(self) -> str:
        """The URL, without a password."""

    @property
    def path(self) -> Path | None:
        """The file; None for a server."""

    def turn(self) -> AbstractContextManager[None]:
        """Hold the right to write, among all processes, as long as the block lasts."""

    def translated(self) -> AbstractContextManager[None]: ...
    def writer(self) -> AbstractContextManager[WritingConnection]: ...
    def reader(self) -> AbstractContextManager[Connection]:
        """A connection that only reads; each statement sees one committed state."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection that only reads; all statements see the same committed state."""

    def close_readers(self) -> None:
        """Close the connections that are kept to read with."""

    def close(self) -> None: ...
