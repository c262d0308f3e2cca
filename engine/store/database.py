"""The store: one database per engine home is the truth (API; implementation follows)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.core.model import Json
from engine.errors import StoreError
from engine.ledger import Draft, Entry, EntryType, Head, Sealed, Turn
from engine.store.changes import Change


class Fenced(StoreError):
    """Another engine has taken the run over; this one must stop at once and write nothing more."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a bundle for a feature."""

    id: str
    feature: str
    bundle: str
    status: str
    epoch: int
    entries: int
    head: bytes
    created_at: datetime
    changed_at: datetime

    @property
    def is_finished(self) -> bool:
        return self.status in ("completed", "failed", "blocked")


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    instance: str
    process: str
    parent: str
    state: str  #: active, completed, failed, cancelled


@dataclass(frozen=True, kw_only=True)
class Effect:
    key: str
    kind: str
    state: str  #: intent, done, void
    body: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    task: str
    state: str
    body: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class Command:
    """What another process asks the engine of a run to do: stop, retry, approve, message…"""

    id: int
    kind: str
    body: Mapping[str, Json]
    sent_at: datetime


class Store:
    """See `Store.open`. Safe to use from several threads; commits are serialised."""

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        home: Path | None = None,
        create: bool = True,
        read_only: bool = False,
    ) -> Store:
        """`url`: a SQLite file (Path or plain path) or a SQLAlchemy URL. `home`: where blobs/ and keys/ live;
        default: the folder of the SQLite file."""
        raise NotImplementedError

    def close(self) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # writing
    def create_run(
        self,
        run: str,
        *,
        feature: str,
        bundle: str,
        at: datetime,
        body: Mapping[str, Json] | None = None,
    ) -> int:
        """Create the run with its `run.created` entry (feature, bundle and `body`); return epoch 1."""
        raise NotImplementedError

    def take_over(self, run: str, *, at: datetime, body: Mapping[str, Json] | None = None) -> int:
        """epoch + 1 and `run.resumed` in one transaction; every commit of an older epoch is Fenced from now on."""
        raise NotImplementedError

    def append(
        self,
        run: str,
        drafts: Sequence[Draft],
        changes: Sequence[Change] = (),
        *,
        checkpoint: bool = False,
    ) -> list[Sealed]:
        """ONE transaction, FULL sync: seal `drafts` on the head, apply `changes`; with `checkpoint` a signed
        checkpoint over all of it is the last entry of the same transaction (also by itself every 1,000 entries)."""
        raise NotImplementedError

    def put_blob(self, content: bytes) -> str:
        """Return "sha256:<hex>" once the bytes are on disk (fsync)."""
        raise NotImplementedError

    def send_command(self, run: str, kind: str, body: Mapping[str, Json], at: datetime) -> int:
        """For another process (engine stop, approve, retry): leave a command for the engine of `run`."""
        raise NotImplementedError

    # reading
    def runs(self) -> list[Run]:
        raise NotImplementedError

    def run(self, run: str) -> Run:
        raise NotImplementedError

    def unfinished_run(self, feature: str) -> Run | None:
        raise NotImplementedError

    def head(self, run: str) -> Head:
        raise NotImplementedError

    def root(self, run: str) -> tuple[int, bytes]:
        """(number of entries, Merkle root) as committed: the trailer of a merge commit."""
        raise NotImplementedError

    def entries(
        self, run: str, *, after: int = 0, types: Sequence[EntryType] = (), instance: str = ""
    ) -> Iterator[Entry]:
        raise NotImplementedError

    def lines(self, run: str, *, after: int = 0) -> Iterator[bytes]:
        raise NotImplementedError

    def facts(self, run: str, instance: str) -> list[Turn]:
        raise NotImplementedError

    def open_instances(self, run: str) -> list[InstanceRow]:
        raise NotImplementedError

    def effects(self, run: str, *, state: str = "intent") -> list[Effect]:
        raise NotImplementedError

    def tasks(self, run: str) -> list[TaskRow]:
        raise NotImplementedError

    def commands(self, run: str) -> list[Command]:
        """Commands not yet taken, oldest first."""
        raise NotImplementedError

    def checkpoints(self, run: str) -> list[str]:
        """Signed notes, oldest first."""
        raise NotImplementedError

    def get_blob(self, digest: str) -> bytes:
        raise NotImplementedError


class EngineLock:
    """flock on `.engine/locks/<run>.lock`; `fd` is for `pass_fds` of git children, so it outlives a dead engine
    as long as a child of it lives."""

    fd: int

    @classmethod
    def acquire(cls, home: Path, run: str) -> EngineLock:
        """Raises StoreError naming pid and host of the engine that holds it."""
        raise NotImplementedError

    def release(self) -> None: ...
