"""Proof on the store: the ledger is whole, and its events follow from its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.core.definitions import Definitions
from engine.core.model import InstanceId, RunId
from engine.core.replay import Divergence, Record, replay
from engine.errors import IntegrityError, UsageError
from engine.ledger import Entry, EntryType, read_entry, read_turn, verify_chain
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


def replay_run(store: Store, run: str, *, until: int | None = None) -> ReplayedRun:
    """Fold the recorded facts again and compare every event. Raises IntegrityError at the first that differs."""
    definitions = recorded_definitions(store, run)
    turns = store.entries(run, types=(EntryType.INSTANCE_TURN,))
    return _replayed(definitions, run, _records(turns, until))


def replay_copy(folder: Path, *, until: int | None = None) -> tuple[Verified, ReplayedRun]:
    """Like `verify_run` and `replay_run`, for a copied ledger and no database.

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
    entries = [read_entry(line, blobs.get) for line in lines]
    body = entries[0].body or {}
    definitions = _definitions(entries[0], blobs.get, str(body.get("bundle")))
    turns = (entry for entry in entries if entry.type is EntryType.INSTANCE_TURN)
    done = _replayed(definitions, entries[0].run, _records(turns, until))
    return Verified(entries=head.seq, head=head.hash.hex()), done


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


def _replayed(definitions: Definitions, run: str, records: Iterator[Record]) -> ReplayedRun:
    outcome = replay(definitions, RunId(run), records)
    if isinstance(outcome, Divergence):
        raise IntegrityError(
            f"event {outcome.position} of instance {outcome.instance} does not follow from the facts",
            where=f"entry {outcome.seq}",
            expected=repr(outcome.expected)[:300],
            got=repr(outcome.got)[:300],
            hint="The ledger was altered, or this version of the engine decides otherwise.",
        )
    return ReplayedRun(
        turns=outcome.records, instances=len(outcome.instances), bundle=definitions.digest
    )


def _records(turns: Iterable[Entry], until: int | None) -> Iterator[Record]:
    for entry in turns:
        if until is not None and entry.seq > until:
            return
        yield _record(entry)


def _record(entry: Entry) -> Record:
    turn = read_turn(entry)
    return Record(
        seq=entry.seq, instance=InstanceId(entry.instance), fact=turn.fact, events=turn.events
    )
