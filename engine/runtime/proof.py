"""Proof on the store: the ledger is whole, and its events follow from its facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.core.definitions import Definitions
from engine.core.model import InstanceId, RunId
from engine.core.replay import Divergence, Record, replay
from engine.errors import IntegrityError
from engine.ledger import Entry, EntryType, read_turn, verify_chain
from engine.store import Store


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
    if created is None or created.body is None:
        raise IntegrityError("the run has no first entry", where=f"run {run}")
    listed = created.body["files"]
    assert isinstance(listed, dict)  # written by us
    definitions = Definitions.load({path: store.get_blob(str(d)) for path, d in listed.items()})
    if definitions.digest != store.run(run).bundle:
        raise IntegrityError(
            "the recorded definitions are not those the run was begun with",
            where=f"run {run}",
            expected=store.run(run).bundle,
            got=definitions.digest,
        )
    return definitions


def replay_run(store: Store, run: str, *, until: int | None = None) -> ReplayedRun:
    """Fold the recorded facts again and compare every event. Raises IntegrityError at the first that differs."""
    definitions = recorded_definitions(store, run)
    outcome = replay(definitions, RunId(run), _records(store, run, until))
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


def _records(store: Store, run: str, until: int | None) -> Iterator[Record]:
    for entry in store.entries(run, types=(EntryType.INSTANCE_TURN,)):
        if until is not None and entry.seq > until:
            return
        yield _record(entry)


def _record(entry: Entry) -> Record:
    turn = read_turn(entry)
    return Record(
        seq=entry.seq, instance=InstanceId(entry.instance), fact=turn.fact, events=turn.events
    )
