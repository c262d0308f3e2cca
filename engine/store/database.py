"""The store: one database per engine home is the truth.

Invariants
- State changes and the entries that report them commit in one transaction, on disk before `append` returns.
- Every commit checks the run's epoch and the end of its chain in the same statement that moves them: an engine
  that was taken over is Fenced, two writers can never both append.
- A checkpoint is signed in the transaction of whatever must not go unwitnessed: an authorised merge or
  rollback, the end of a run, and every CHECKPOINT_EVERY entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Final, Self

from engine.core.model import Json
from engine.errors import IntegrityError, StoreError
from engine.ledger import (
    Draft,
    Entry,
    EntryType,
    Head,
    Sealed,
    Turn,
    canonical,
    note,
    read_entry,
    read_turn,
)
from engine.ledger.checkpoints import SigningKey, ensure_key, sign_checkpoint
from engine.ledger.entries import NO_HASH, time_text
from engine.ledger.merkle import Frontier
from engine.ledger.rotation import rotation_drafts, rotations
from engine.store.apply import apply, read_body
from engine.store.blobs import Blobs
from engine.store.changes import Change
from engine.store.checks import disagreements
from engine.store.commits import (
    Live,
    advance,
    fenced,
    frontier_of,
    insert_entries,
    refuse_unknown_runs,
    refuse_wrong_end,
    sealed_behind,
    when_to_sign,
)
from engine.store.connections import Database
from engine.store.rows import FINISHED, Command, Effect, InstanceRow, Run, TaskRow
from engine.store.sql import Connection

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAMING_A_KEY: Final = (EntryType.CHECKPOINT_SIGNED.value, EntryType.KEY_ROTATED.value)
_RUN: Final = (
    "SELECT number, id, feature, bundle, status, epoch, entries, head, peaks, signed, created_at,"
    " changed_at FROM run"
)
_UNFINISHED_RUN: Final = (
    f"{_RUN} WHERE feature = ? AND status NOT IN ({', '.join('?' * len(FINISHED))})"
    " ORDER BY number DESC LIMIT 1"
)
_CREATE_RUN: Final = (
    "INSERT INTO run (id, feature, bundle, status, epoch, entries, signed, head, peaks, created_at,"
    " changed_at) VALUES (?, ?, ?, 'running', 1, 0, 0, ?, ?, ?, ?)"
)
_NEWEST_KEY: Final = (
    f"SELECT line FROM entry WHERE run = ? AND type IN ({', '.join('?' * len(_NAMING_A_KEY))})"
    " ORDER BY seq DESC LIMIT 1"
)
_OPEN_INSTANCES: Final = (
    "SELECT instance, process, parent, state FROM instance"
    " WHERE run = ? AND state = 'active' ORDER BY instance"
)
_EFFECTS: Final = (
    "SELECT key, kind, state, body FROM effect WHERE run = ? AND state = ? ORDER BY id"
)
_TASKS: Final = "SELECT task, state, body FROM task WHERE run = ? ORDER BY task"
_COMMANDS: Final = (
    "SELECT id, kind, body, sent_at FROM command WHERE run = ? AND taken IS NULL ORDER BY id"
)
_SEND_COMMAND: Final = (
    "INSERT INTO command (run, kind, body, sent_at) VALUES (?, ?, ?, ?) RETURNING id"
)


class Store:
    """The runs of one engine home. Safe to use from several threads; commits follow one another."""

    def __init__(self, database: Database, home: Path) -> None:
        self.home: Final = home
        self._database = database
        self._blobs = Blobs(home)
        self._live: dict[str, Live] = {}
        self._mutex = RLock()
        self._key_lock = Lock()
        self._key: SigningKey | None = None

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        home: Path | None = None,
        create: bool = True,
        read_only: bool = False,
    ) -> Store:
        """Return the store at `url`: a SQLite file (Path or plain path) or a database URL.

        `home` is where blobs/ and keys/ live; by default the folder of the SQLite file. A missing database is
        made only with `create`; an older one is brought up to date unless `read_only`.
        Raises StoreError when it is locked, full, damaged, missing or of a newer engine.
        """
        database = Database(url, create=create, read_only=read_only)
        folder = home or (database.path.parent if database.path else None)
        if folder is None:
            database.close()
            raise StoreError(
                where=database.name, expected="the engine home, where blobs and keys live"
            )
        return cls(database, folder)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- writing -----------------------------------------------------------------------------------

    def create_run(
        self,
        run: str,
        *,
        feature: str,
        bundle: str,
        at: datetime,
        body: Mapping[str, Json] | None = None,
        known_runs: int | None = None,
    ) -> int:
        """Create the run with its `run.created` entry (feature, bundle and `body`) and return its epoch, 1.

        `run` is 1 to 128 letters, digits, `.`, `_`, `-`. Raises IntegrityError when there is one of that name, and Fenced
        when `feature` has other runs than the `known_runs` that the caller saw when it decided to start one.
        """
        if not _RUN_ID.fullmatch(run):
            raise StoreError(
                where=repr(run), expected="a run id of letters, digits, '.', '_' and '-'"
            )
        created = note(
            EntryType.RUN_CREATED, at, {**(body or {}), "feature": feature, "bundle": bundle}
        )
        time = time_text(at)
        with self._mutex:
            with self._database.writing() as connection:
                refuse_unknown_runs(connection, feature, known_runs)
                connection.execute(_CREATE_RUN, (run, feature, bundle, NO_HASH, b"", time, time))
                number = _run_row(connection, run).number
                fresh = Live(number=number, head=Head(run, 1), frontier=Frontier(), signed=0)
                _, live = self._write(connection, fresh, fresh.head, [created], (), None)
            self._live[run] = live
        return 1

    def take_over(
        self,
        run: str,
        *,
        at: datetime,
        body: Mapping[str, Json] | None = None,
        seen: Run | None = None,
    ) -> int:
        """Take the run over from any earlier engine and return the new epoch.

        Epoch + 1 and the `run.resumed` entry are one transaction; every commit of an older epoch is Fenced from
        then on. Raises IntegrityError when the end of the chain is not what was sealed, and Fenced when the run is no
        longer as the caller has `seen` it: another engine is at work, and what was read with it (heads of branches) is old.
        """
        with self._mutex:
            with self._database.writing() as connection:
                row = _run_row(connection, run)
                if seen is not None and (seen.epoch, seen.entries) != (row.epoch, row.entries):
                    raise fenced(run, seen.epoch, seen.entries)
                old = Head(run, row.epoch, row.entries, row.head)
                refuse_wrong_end(connection, row.number, old)
                taken = Live(
                    number=row.number,
                    head=replace(old, epoch=old.epoch + 1),
                    frontier=frontier_of(row),
                    signed=row.signed,
                    tasks={task.task: task.body for task in _tasks(connection, row.number)},
                )
                resumed = note(EntryType.RUN_RESUMED, at, body or {})
                drafts = [resumed, *self._rotated(connection, row.number, run, at)]
                _, live = self._write(connection, taken, old, drafts, (), None)
            self._live[run] = live
        return live.head.epoch

    def append(
        self,
        run: str,
        drafts: Sequence[Draft],
        changes: Sequence[Change] = (),
        *,
        checkpoint: bool = False,
    ) -> list[Sealed]:
        """Seal `drafts` behind the head, carry out `changes`, commit both at once, and return what was sealed.

        With `checkpoint`, and by itself where the invariants ask for it, a signed checkpoint is one more entry
        at the end. The run must have been created or taken over through this store.
        Raises Fenced when another engine has taken over, LedgerError for a draft that breaks the contract,
        IntegrityError for a change or a second outcome that contradicts the state. Then nothing was written.
        """
        with self._mutex:
            live = self._live.get(run)
            if live is None:
                raise StoreError(where=f"run {run}", expected="take_over before the first append")
            if not drafts and not changes:
                return []
            tasks = dict(live.tasks)
            signed_at = drafts[-1].at if checkpoint and drafts else None
            with self._database.writing() as connection:
                sealed, moved = self._write(
                    connection, replace(live, tasks=tasks), live.head, drafts, changes, signed_at
                )
            self._live[run] = moved
            return sealed

    def checkpoint(self, run: str, at: datetime) -> str:
        """Sign the run as it stands now, record that, and return the note."""
        with self._mutex:
            live = self._live.get(run)
            if live is None:
                raise StoreError(where=f"run {run}", expected="take_over before a checkpoint")
            with self._database.writing() as connection:
                sealed, moved = self._write(connection, live, live.head, [], (), at)
            self._live[run] = moved
            return str((sealed[-1].draft.body or {})["note"])

    def signing_key(self) -> SigningKey:
        """Return the key that checkpoints are signed with, made on first use. Raises StoreError.

        To ask for it in time spares the first checkpoint loading the library that signs.
        """
        with self._key_lock:
            if self._key is None:
                self._key = ensure_key(self.home)
            return self._key

    def put_blob(self, content: bytes) -> str:
        """Return "sha256:<hex>" once `content` is on disk under it."""
        return self._blobs.put(content)

    def put_blobs(self, contents: Iterable[bytes]) -> None:
        """Return once all `contents` are on disk under their digests."""
        self._blobs.put_all(contents)

    def send_command(self, run: str, kind: str, body: Mapping[str, Json], at: datetime) -> int:
        """Leave a command for the engine of `run` (for another process: stop, approve, retry) and return its id."""
        with self._database.writing() as connection:
            number = _run_row(connection, run).number
            row = (number, kind, canonical.encode(body).decode(), time_text(at))
            return int(connection.execute(_SEND_COMMAND, row).scalar())

    # --- reading -----------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """Return all runs, oldest first."""
        with self._database.reading() as connection:
            return [_run(row) for row in connection.execute(f"{_RUN} ORDER BY number")]

    def run(self, run: str) -> Run:
        """Return one run. Raises StoreError when there is none of that name."""
        with self._database.reading() as connection:
            return _run(_run_row(connection, run))

    def unfinished_run(self, feature: str) -> Run | None:
        """Return the newest run of `feature` that has not ended for good, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_UNFINISHED_RUN, (feature, *FINISHED)).first()
            return None if row is None else _run(row)

    def head(self, run: str) -> Head:
        """Return the end of the run's chain as committed."""
        found = self.run(run)
        return Head(run, found.epoch, found.entries, found.head)

    def root(self, run: str) -> tuple[int, bytes]:
        """Return (entries, Merkle root) as committed: what a merge commit carries as its trailer."""
        with self._database.reading() as connection:
            frontier = frontier_of(_run_row(connection, run))
            return frontier.size, frontier.root()

    def entries(
        self,
        run: str,
        *,
        after: int = 0,
        types: Sequence[EntryType] = (),
        instance: str = "",
    ) -> Iterator[Entry]:
        """Yield the entries behind seq `after`, in order, with their large values; only `types`, of `instance`."""
        for line in self._lines(run, after, types, instance):
            yield read_entry(line, self._blobs.get)

    def lines(
        self, run: str, *, after: int = 0, types: Sequence[EntryType] = ()
    ) -> Iterator[bytes]:
        """Yield the lines behind seq `after`, in order, as they were sealed; only `types` when given."""
        return self._lines(run, after, types, "")

    def facts(self, run: str, instance: str) -> list[Turn]:
        """Return the turns of an instance in order: replaying their facts rebuilds it."""
        turns = self.entries(run, types=(EntryType.INSTANCE_TURN,), instance=instance)
        return [read_turn(entry) for entry in turns]

    def open_instances(self, run: str) -> list[InstanceRow]:
        """Return the instances that have not ended, in the order of their names."""
        with self._database.reading() as connection:
            number = _run_row(connection, run).number
            rows = connection.execute(_OPEN_INSTANCES, (number,))
            return [
                InstanceRow(
                    instance=row.instance, process=row.process, parent=row.parent, state=row.state
                )
                for row in rows
            ]

    def effects(self, run: str, *, state: str = "intent") -> list[Effect]:
        """Return the effects in `state` (intent, done, void), oldest first."""
        with self._database.reading() as connection:
            number = _run_row(connection, run).number
            rows = connection.execute(_EFFECTS, (number, state))
            return [
                Effect(key=row.key, kind=row.kind, state=row.state, body=read_body(row.body))
                for row in rows
            ]

    def tasks(self, run: str) -> list[TaskRow]:
        """Return what is known of the run's tasks, in the order of their names."""
        with self._database.reading() as connection:
            return _tasks(connection, _run_row(connection, run).number)

    def commands(self, run: str) -> list[Command]:
        """Return the commands that were not taken yet, oldest first."""
        with self._database.reading() as connection:
            number = _run_row(connection, run).number
            rows = connection.execute(_COMMANDS, (number,))
            return [
                Command(
                    id=row.id, kind=row.kind, body=read_body(row.body), sent_at=_time(row.sent_at)
                )
                for row in rows
            ]

    def checkpoints(self, run: str) -> list[str]:
        """Return the signed notes of the run, oldest first."""
        signed = self.entries(run, types=(EntryType.CHECKPOINT_SIGNED,))
        return [str((entry.body or {})["note"]) for entry in signed]

    def get_blob(self, digest: str) -> bytes:
        """Return the content of a blob. Raises IntegrityError when it is missing or altered."""
        return self._blobs.get(digest)

    def check(self) -> None:
        """Look through the whole database file for damage (reads all of it). Raises IntegrityError."""
        if self._database.path is None:
            return  # a server checks its own pages
        with self._database.reading() as connection:
            found = connection.execute("PRAGMA integrity_check(1)").scalar()
        if found != "ok":
            raise IntegrityError(
                "the database is damaged", where=self._database.name, got=str(found)
            )

    def disagreements(self, run: str) -> Iterator[tuple[int, str]]:
        """Yield (seq or 0, sentence) where tables and columns do not say what the run's sealed lines say."""
        with self._database.snapshot() as connection:
            number = _run_row(connection, run).number
            yield from disagreements(connection, number, self._blobs.get)

    # --- steps of a commit -------------------------------------------------------------------------

    def _write(
        self,
        connection: Connection,
        live: Live,
        old: Head,
        drafts: Sequence[Draft],
        changes: Sequence[Change],
        signed_at: datetime | None,
    ) -> tuple[list[Sealed], Live]:
        """Write everything of one commit; return the sealed entries and where the run then stands."""
        sealed, moved = sealed_behind(live, drafts, self._blobs)
        at = signed_at or when_to_sign(sealed, moved)
        if at is not None:
            signed, moved = sealed_behind(moved, [self._signed(moved, at)], self._blobs)
            sealed, moved = sealed + signed, replace(moved, signed=moved.frontier.size - 1)
        advance(connection, moved, old)
        insert_entries(connection, moved.number, sealed)
        apply(connection, moved.number, moved.head.seq, changes, moved.tasks)
        return sealed, moved

    def _signed(self, live: Live, at: datetime) -> Draft:
        key = self.signing_key()
        size, root, run = live.frontier.size, live.frontier.root(), live.head.run
        body: dict[str, Json] = {
            "size": size,
            "root": root.hex(),
            "note": sign_checkpoint(key, run, size, root),
            "key": key.key_line(run),
        }
        return note(EntryType.CHECKPOINT_SIGNED, at, body)

    def _rotated(self, connection: Connection, number: int, run: str, at: datetime) -> list[Draft]:
        """Return the entries that say how the key of the run's newest checkpoint became the one in use now."""
        line = connection.execute(_NEWEST_KEY, (number, *_NAMING_A_KEY)).scalar()
        if line is None:
            return []
        self._key = None  # it may have been changed since it was read
        key = self.signing_key()
        recorded = str((read_entry(bytes(line)).body or {})["key"])
        return rotation_drafts(run, recorded, key, rotations(self.home), at)

    def _lines(
        self, run: str, after: int, types: Sequence[EntryType], instance: str
    ) -> Iterator[bytes]:
        of_types = f" AND type IN ({', '.join('?' * len(types))})" if types else ""
        of_instance = " AND instance = ?" if instance else ""
        wanted = (*(item.value for item in types), *((instance,) if instance else ()))
        with self._database.reading() as connection:
            number = _run_row(connection, run).number
            lines = connection.stream(
                f"SELECT line FROM entry WHERE run = ? AND seq > ?{of_types}{of_instance} ORDER BY seq",
                (number, after, *wanted),
            )
            with closing(lines):
                for (line,) in lines:
                    yield bytes(line)


# --- rows to values ----------------------------------------------------------------------------------


def _run_row(connection: Connection, run: str) -> Any:  # Any: a row of RUN
    row = connection.execute(f"{_RUN} WHERE id = ?", (run,)).first()
    if row is None:
        raise StoreError(f"there is no run {run}", hint="`engine status` lists what there is.")
    return row


def _run(row: Any) -> Run:  # Any: a row of RUN
    return Run(
        id=row.id,
        feature=row.feature,
        bundle=row.bundle,
        status=row.status,
        epoch=row.epoch,
        entries=row.entries,
        head=bytes(row.head),
        created_at=_time(row.created_at),
        changed_at=_time(row.changed_at),
    )


def _tasks(connection: Connection, number: int) -> list[TaskRow]:
    rows = connection.execute(_TASKS, (number,))
    return [TaskRow(task=row.task, state=row.state, body=read_body(row.body)) for row in rows]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
