"""Proof on the store: the ledger is whole, and its events follow from its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import takewhile
from pathlib import Path

from engine.core.definitions import Definitions
from engine.core.model import Event, InstanceId, Json, RunId
from engine.core.process import Instance
from engine.core.replay import Divergence, Record, first_difference, replay
from engine.errors import IntegrityError, UsageError
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType, event_to_json, read_entry, read_turn, verify_chain
from engine.ledger.canonical import encode
from engine.ledger.export import segments
from engine.store import Blobs, Store


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A chain that holds: number of entries and hash of the last (hex)."""

    entries: int
    head: str


@dataclass(frozen=True, kw_only=True)
class ReplayedRun:
    """A run whose every event follows from its recorded facts under its recorded definitions."""

    turns: int
    instances: int
    bundle: str
    final: Mapping[InstanceId, Instance] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Book:
    """The ledger of one run with its chain verified, read from the store or from a copy of its files."""

    run: str
    verified: Verified
    definitions: Definitions  #: those the run was carried out with
    entries: Callable[[], Iterator[Entry]]  #: all of them, in order, large values filled in

    def turns(self, until: int | None = None) -> Iterator[Entry]:
        """Yield the turns of process instances, up to entry `until`."""
        reached = self.entries()
        if until is not None:
            reached = takewhile(lambda entry: entry.seq <= until, reached)
        return (entry for entry in reached if entry.type is EntryType.INSTANCE_TURN)

    def replay(
        self, until: int | None = None, on_step: Callable[[Record], None] | None = None
    ) -> ReplayedRun:
        """Fold the recorded facts again and compare every event; `on_step` hears of each turn once it has been folded.

        Raises IntegrityError at the first event that differs, UsageError when there is no entry `until`.
        """
        if until is not None and not 1 <= until <= self.verified.entries:
            raise UsageError(
                where="--until",
                expected=f"an entry from 1 to {self.verified.entries}",
                got=str(until),
            )
        records = map(record_of, self.turns(until))
        told = _telling(records, on_step) if on_step else records
        return _replayed(self.definitions, self.run, told)


def book_of(store: Store, run: str) -> Book:
    """Return the ledger of `run` with its whole chain checked. Raises IntegrityError."""
    return Book(
        run=run,
        verified=verify_run(store, run),
        definitions=recorded_definitions(store, run),
        entries=lambda: store.entries(run),
    )


def book_in(folder: Path) -> Book:
    """Return a copied ledger, read without a database.

    `folder` holds the segments of a run, as `.engine/ledger/RUN` does; the blobs are in its folder `blobs`, or in that
    of the engine home it lies in. Raises UsageError when there is no ledger, IntegrityError or LedgerError.
    """
    lines = [line for file in segments(folder) for line in file.read_bytes().splitlines()]
    if not lines:
        raise UsageError(
            "there is no ledger", where=str(folder), expected="files 000000000001.jsonl …"
        )
    head = verify_chain(lines)
    blobs = Blobs(folder if (folder / "blobs").is_dir() else folder.parent.parent)
    first = read_entry(lines[0], blobs.get)
    return Book(
        run=first.run,
        verified=Verified(entries=head.seq, head=head.hash.hex()),
        definitions=_definitions(first, blobs.get, str((first.body or {}).get("bundle"))),
        entries=lambda: (read_entry(line, blobs.get) for line in lines),
    )


def verify_run(store: Store, run: str) -> Verified:
    """Check the whole chain of a run against the head that the store claims. Raises IntegrityError."""
    row = store.run(run)
    head = verify_chain(store.lines(run))
    if (head.seq, head.hash) != (row.entries, row.head):
        raise IntegrityError(
            "the ledger does not end where the store says",
            where=f"run {run}",
            expected=f"{row.entries} entries ending in {row.head.hex()[:16]}",
            got=f"{head.seq} ending in {head.hash.hex()[:16]}",
            hint="Keep the files as they are and compare with a checkpoint from outside.",
        )
    return Verified(entries=head.seq, head=head.hash.hex())


def recorded_definitions(store: Store, run: str) -> Definitions:
    """Return the definitions that `run` was carried out with, from their blobs. Raises IntegrityError."""
    created = next(store.entries(run, types=(EntryType.RUN_CREATED,)), None)
    return _definitions(created, store.get_blob, store.run(run).bundle)


def replay_run(store: Store, run: str) -> ReplayedRun:
    """Fold the recorded facts of a run again. Raises IntegrityError at the first event that differs."""
    definitions = recorded_definitions(store, run)
    turns = store.entries(run, types=(EntryType.INSTANCE_TURN,))
    return _replayed(definitions, run, map(record_of, turns))


def record_of(entry: Entry) -> Record:
    """Return a recorded turn as the core replays it."""
    turn = read_turn(entry)
    return Record(
        seq=entry.seq, instance=InstanceId(entry.instance), fact=turn.fact, events=turn.events
    )


def _telling(records: Iterable[Record], tell: Callable[[Record], None]) -> Iterator[Record]:
    """Yield the records; whoever takes the next one has folded the one before."""
    for record in records:
        yield record
        tell(record)


def _definitions(created: Entry | None, blob: Callable[[str], bytes], bundle: str) -> Definitions:
    """Return the definitions that the first entry of a run lists, when they are the bundle it names."""
    if created is None or created.body is None or created.type is not EntryType.RUN_CREATED:
        raise IntegrityError("the run has no first entry", where="entry 1")
    listed = created.body["files"]
    assert isinstance(listed, dict)  # written by us
    definitions = Definitions.load({path: blob(str(d)) for path, d in listed.items()})
    if definitions.digest != bundle:
        raise IntegrityError(
            "the recorded definitions are not those the run was begun with",
            where="entry 1",
            expected=bundle,
            got=definitions.digest,
        )
    return definitions


def _replayed(definitions: Definitions, run: str, records: Iterable[Record]) -> ReplayedRun:
    outcome = replay(definitions, RunId(run), records)
    if isinstance(outcome, Divergence):
        raise _diverging(outcome)
    return ReplayedRun(
        turns=outcome.records,
        instances=len(outcome.instances),
        bundle=definitions.digest,
        final=outcome.instances,
    )


def _diverging(found: Divergence) -> IntegrityError:
    """Return the error that names the entry and the first member that differs."""
    pointer, expected, got = first_difference(_json(found.expected), _json(found.got))
    return IntegrityError(
        f"an event of instance {found.instance} does not follow from the facts",
        where=f"entry {found.seq}, /events/{found.position}{pointer}",
        expected=_shown(expected),
        got=_shown(got),
        hint="The ledger was altered, or this version of the engine decides otherwise.",
    )


def _json(event: Event | None) -> Json:
    return None if event is None else event_to_json(event)


def _shown(value: Json) -> str:
    return "nothing there" if value is None else encode(value).decode()[:300]
