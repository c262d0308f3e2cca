"""The steps of one commit: entries sealed behind the head, when they must be witnessed, and the run row that moves with them.

Invariants
- The end of the chain moves only from where this engine left it, and only in the epoch that it holds.
- A checkpoint is due with an authorised merge or rollback, at the end of a run, and every CHECKPOINT_EVERY entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Final

from engine.errors import IntegrityError
from engine.frozen import dataclass
from engine.ledger import Draft, EntryType, Head, Sealed, read_entry, seal
from engine.ledger.entries import after, entry_hash
from engine.ledger.merkle import Frontier
from engine.store.apply import TaskBodies
from engine.store.blobs import Blobs
from engine.store.rows import Fenced
from engine.store.sql import Connection

CHECKPOINT_EVERY: Final = 1000

_WITNESSED: Final = frozenset(
    {EntryType.MERGE_AUTHORIZED, EntryType.ROLLBACK_AUTHORIZED, EntryType.RUN_FINISHED}
)
_ADVANCE: Final = (
    "UPDATE run SET epoch = ?, entries = ?, head = ?, peaks = ?, signed = ?"
    " WHERE number = ? AND epoch = ? AND entries = ?"
)
_INSERT: Final = (
    "INSERT INTO entry (run, seq, hash, type, instance, task, once, line)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, kw_only=True)
class Live:
    """A run that this store writes: the end of its chain and tree as last committed."""

    number: int
    head: Head
    frontier: Frontier
    signed: int  #: size of the tree at the last checkpoint
    tasks: TaskBodies = field(default_factory=dict)


def sealed_behind(live: Live, drafts: Sequence[Draft], blobs: Blobs) -> tuple[list[Sealed], Live]:
    """Return `drafts` sealed behind the head, and where the run stands then; large values go to `blobs`."""
    head, sealed = live.head, []
    for draft in drafts:
        entry = seal(head, draft, blobs.put)
        head = after(head, entry)
        sealed.append(entry)
    frontier = live.frontier.grown(entry.line for entry in sealed)
    return sealed, replace(live, head=head, frontier=frontier)


def when_to_sign(sealed: Sequence[Sealed], live: Live) -> datetime | None:
    """Return the time for a checkpoint over `sealed`, or None when it need not be witnessed yet."""
    if not sealed:
        return None
    is_due = live.frontier.size - live.signed >= CHECKPOINT_EVERY
    if is_due or any(entry.draft.type in _WITNESSED for entry in sealed):
        return sealed[-1].draft.at
    return None


def advance(connection: Connection, live: Live, old: Head) -> None:
    """Move the end of the chain, if it is still where this engine left it and no other has taken over."""
    moved = connection.execute(
        _ADVANCE,
        (
            live.head.epoch,
            live.head.seq,
            live.head.hash,
            live.frontier.to_bytes(),
            live.signed,
            live.number,
            old.epoch,
            old.seq,
        ),
    )
    if moved.changed != 1:
        raise fenced(old.run, old.epoch, old.seq)


def fenced(run: str, epoch: int, entries: int) -> Fenced:
    """Return the error of an engine that expected to write behind `entries` in `epoch`, and came too late."""
    return Fenced(
        "another engine has taken this run over",
        where=f"run {run}",
        expected=f"epoch {epoch} with {entries} entries",
        got="a later state",
        hint="This engine stops; nothing of this step was recorded.",
    )


def refuse_unknown_runs(connection: Connection, feature: str, known: int | None) -> None:
    """Raise Fenced when another engine has started a run of `feature` since the caller counted them."""
    if known is None:
        return
    rows = connection.execute("SELECT id FROM run WHERE feature = ?", (feature,))
    if len(rows) != known:
        raise Fenced(
            "another engine has started a run of this feature meanwhile",
            where=f"feature {feature}",
            expected=f"{known} runs",
            got=f"{len(rows)}",
            hint="This engine stops and has started nothing; look at the other with: engine status",
        )


def insert_entries(connection: Connection, number: int, sealed: Sequence[Sealed]) -> None:
    """Insert the entries: the hottest statement of the engine."""
    if not sealed:
        return
    connection.execute_many(
        _INSERT,
        [
            (
                number,
                entry.seq,
                entry.hash,
                entry.draft.type.value,
                entry.draft.instance or None,
                entry.draft.task or None,
                entry.draft.once or None,
                entry.line,
            )
            for entry in sealed
        ],
    )


def refuse_wrong_end(connection: Connection, number: int, head: Head) -> None:
    """Raise IntegrityError unless the last entry is the one the run row names."""
    rows = connection.execute(
        "SELECT seq, line FROM entry WHERE run = ? ORDER BY seq DESC LIMIT 1", (number,)
    )
    seq, line = (rows[0].seq, bytes(rows[0].line)) if rows else (0, b"")
    if seq != head.seq or (rows and entry_hash(read_entry(line).prev, line) != head.hash):
        raise IntegrityError(
            "the ledger does not end where the run says",
            where=f"run {head.run}",
            expected=f"{head.seq} entries ending in {head.hash.hex()[:16]}",
            got=f"entry {seq}",
            hint="Keep the database as it is and run: engine ledger verify",
        )


def frontier_of(row: Any) -> Frontier:  # Any: a row of RUN
    """Return the Merkle tree of a run as its row has it. Raises IntegrityError when it is damaged."""
    try:
        return Frontier.from_bytes(row.entries, bytes(row.peaks))
    except ValueError as error:
        raise IntegrityError(
            "the Merkle tree of the run is damaged", where=f"run {row.id}"
        ) from error
