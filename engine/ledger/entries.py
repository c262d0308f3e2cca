"""Entries: what may stand in the ledger, how an entry is sealed to its predecessor, how a chain is checked.

Invariants
- One entry is one line of canonical JSON (engine.ledger.canonical), without the line feed.
- `seq` starts at 1 and never skips; `prev` is the hash of the entry before, 64 zeros for the first.
- hash = SHA-256(TAG ‖ hash of the entry before, 32 bytes ‖ line). The tag keeps these hashes apart from any
  other use of SHA-256 over JSON; the line holds `prev`, so one line commits to the whole past.
- `epoch` never goes down: it grows each time an engine takes the run over.
- The kinds of entry are a closed list; what is not listed can be neither written nor read.
The same rules as a contract: contracts/ledger-entry.v1.json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import orjson

from engine.core.model import Json
from engine.errors import LedgerError
from engine.frozen import dataclass
from engine.ledger import canonical, shape

TAG: Final = b"poundlock/ledger-entry/v1\n"
NO_HASH: Final = bytes(32)
VERSION: Final = 1


class EntryType(StrEnum):
    """What an entry reports. `instance.turn` is a fact with its events; the others are the engine's own records."""

    RUN_CREATED = "run.created"
    RUN_RESUMED = "run.resumed"
    RUN_STOPPED = "run.stopped"
    RUN_FINISHED = "run.finished"
    DEFINITIONS_LOADED = "definitions.loaded"
    INSTANCE_TURN = "instance.turn"
    COMMAND_RECEIVED = "command.received"  #: a person stopped, retried, approved, sent a message
    WORKSPACE_CREATED = "workspace.created"
    MANIFEST_RESCOPED = "manifest.rescoped"  #: a task may write files that it had not declared
    WORKSPACE_CAPTURED = "workspace.captured"  #: its files became a commit in the vault
    WORKSPACE_REMOVED = "workspace.removed"
    WORKER_STARTED = "worker.started"
    WORKER_FINISHED = "worker.finished"
    PLUGIN_CALLED = "plugin.called"
    USAGE_RECORDED = "usage.recorded"
    GATE_FINISHED = "gate.finished"
    VERDICT_RECORDED = "verdict.recorded"  #: one of the five that a merge needs
    WAIVER_GRANTED = "waiver.granted"
    MERGE_AUTHORIZED = "merge.authorized"
    MERGE_COMPLETED = "merge.completed"
    MERGE_VOIDED = "merge.voided"
    MERGE_REFUSED = "merge.refused"
    ROLLBACK_AUTHORIZED = "rollback.authorized"
    ROLLBACK_COMPLETED = "rollback.completed"
    ROLLBACK_VOIDED = "rollback.voided"
    PUBLISH_COMPLETED = "publish.completed"
    PUBLISH_REFUSED = "publish.refused"
    CHECKPOINT_SIGNED = "checkpoint.signed"
    KEY_ROTATED = "key.rotated"
    RECOVERY_ACTION = "recovery.action"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An entry before it is sealed. Build turns with `engine.ledger.turn`, the rest with `engine.ledger.note`."""

    type: EntryType
    at: datetime  #: aware; written in UTC with microseconds
    instance: str = ""
    task: str = ""
    fact: Mapping[str, Json] | None = None
    events: Sequence[Mapping[str, Json]] | None = None
    body: Mapping[str, Json] | None = None
    once: str = ""  #: a name that no second entry of the run may carry: a job's outcome, a merge


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a run's chain: `seq` entries so far, `hash` of the last one (32 bytes), `epoch` of the writer."""

    run: str
    epoch: int
    seq: int = 0
    hash: bytes = NO_HASH


@dataclass(frozen=True, slots=True)
class Sealed:
    """A draft with its place in the chain. `line` is what is stored, hashed and exported."""

    seq: int
    hash: bytes
    line: bytes
    draft: Draft


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A sealed entry, read back."""

    seq: int
    prev: bytes
    run: str
    type: EntryType
    at: datetime
    epoch: int
    instance: str = ""
    task: str = ""
    fact: Mapping[str, Json] | None = None
    events: tuple[Mapping[str, Json], ...] = ()
    body: Mapping[str, Json] | None = None


def seal(head: Head, draft: Draft, put: Callable[[bytes], str] | None = None) -> Sealed:
    """Return `draft` sealed behind `head`. With `put` (bytes → digest) its large values go to blobs.

    Raises LedgerError when the draft has no canonical form or breaks the contract.
    """
    seq = head.seq + 1
    where = f"entry {seq} ({draft.type})"
    try:
        record = _record(head, seq, draft)
        line = canonical.encode(record)
        if put is not None and len(line) > canonical.LARGE_VALUE_BYTES:
            line = canonical.encode_tagged(_spilled(record, put))
    except LedgerError as error:
        raise LedgerError(
            error.message,
            where=f"{where} at {error.where}" if error.where else where,
            expected=error.expected,
            got=error.got,
            hint=error.hint,
        ) from error
    is_turn = draft.type is EntryType.INSTANCE_TURN
    wrong = shape.turn_problem(record) if is_turn else shape.problem(orjson.loads(line))
    if wrong:
        raise LedgerError(wrong, where=where)
    return Sealed(seq, sha256(TAG + head.hash + line).digest(), line, draft)


def entry_hash(previous: bytes, line: bytes) -> bytes:
    """Return the 32-byte hash of an entry; `previous` is its predecessor's hash, NO_HASH for the first."""
    return sha256(TAG + previous + line).digest()


def after(head: Head, sealed: Sealed) -> Head:
    """Return the head once `sealed` is part of the chain."""
    return Head(head.run, head.epoch, sealed.seq, sealed.hash)


def read_entry(line: bytes, blob: Callable[[str], bytes] | None = None) -> Entry:
    """Return the entry of a line; with `blob` (digest → bytes) its large values are filled in.

    Raises LedgerError when the line breaks the contract.
    """
    plain = _parsed(line)
    where = f"entry {plain.get('seq')}"
    wrong = shape.problem(plain)
    if wrong:
        raise LedgerError(wrong, where=where)
    try:
        return _entry(canonical.untagged(line, plain, blob))
    except ValueError as error:
        raise LedgerError(str(error), where=where) from error


def verify_chain(lines: Iterable[bytes], head: Head | None = None) -> Head:
    """Check consecutive lines of one run and return the head after the last.

    `head` is where the first line continues; None: it is the first entry of a run. Checked of each line:
    canonical bytes, contract, seq, prev, run, epoch. Raises LedgerError at the first line that fails.
    """
    end = head or Head("", 0)
    run, epoch, seq, digest = end.run, end.epoch, end.seq, end.hash
    for line in lines:
        record = _parsed(line)
        prev = digest.hex()
        seq += 1
        if not _is_next(record, run, epoch, seq, prev) or shape.content_problem(record):
            _refuse_unless_next(record, run, epoch, seq, prev)
            run, epoch = record["run"], record["epoch"]
        if not canonical.is_canonical(line, record):
            raise LedgerError(
                where=f"entry {seq}", expected="canonical bytes", got="another spelling"
            )
        digest = sha256(TAG + digest + line).digest()
    return Head(run, epoch, seq, digest)


def time_text(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, e.g. `2026-11-20T23:20:42.123456Z`."""
    if at.tzinfo is not UTC:
        if at.tzinfo is None:
            raise LedgerError(expected="an aware time", got=at.isoformat())
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def _record(head: Head, seq: int, draft: Draft) -> dict[str, Json]:
    record: dict[str, Json] = {
        "v": VERSION,
        "seq": seq,
        "prev": head.hash.hex(),
        "run": head.run,
        "type": draft.type.value,
        "at": time_text(draft.at),
        "epoch": head.epoch,
    }
    if draft.instance:
        record["instance"] = draft.instance
    if draft.task:
        record["task"] = draft.task
    if draft.fact is not None:
        record["fact"] = draft.fact
    if draft.events:
        record["events"] = draft.events
    if draft.body is not None:
        record["body"] = draft.body
    return record


def _spilled(record: Mapping[str, Json], put: Callable[[bytes], str]) -> Json:
    """Move large members of the fact, of each event and of the body to blobs; what the contract names stays."""
    kept = shape.BODIES.get(str(record["type"]), {}).keys() | {"kind", "job"}
    return {name: _spilled_members(value, put, kept) for name, value in record.items()}


def _spilled_members(value: Json, put: Callable[[bytes], str], kept: Set[str]) -> Json:
    if isinstance(value, Mapping):
        limits = {
            name: sys.maxsize if name in kept else canonical.LARGE_VALUE_BYTES for name in value
        }
        return {name: canonical.spill(item, put, limits[name]) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spilled_members(item, put, kept) for item in value]
    return value


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise LedgerError("the line is not JSON", got=str(error)) from error
    if type(record) is not dict:
        raise LedgerError(expected="an object on each line", got=type(record).__name__)
    return record


def _is_next(record: Mapping[str, Any], run: str, epoch: int, seq: int, prev: str) -> bool:
    """Tell at once that the head of `record` is right: what nearly every entry is."""
    get = record.get
    return (
        get("prev") == prev
        and get("run") == run
        and get("seq") == seq
        and get("epoch") == epoch
        and get("v") == VERSION
        and type(record["seq"]) is type(record["epoch"]) is type(record["v"]) is int
        and shape.is_time(get("at"))
    )


def _refuse_unless_next(
    record: Mapping[str, Any], run: str, epoch: int, seq: int, prev: str
) -> None:
    wrong = shape.problem(record)
    if not wrong and record["seq"] != seq:
        wrong = f"expected seq {seq}, but got {record['seq']}"
    if not wrong and record["prev"] != prev:
        wrong = f"expected prev {prev}, but got {record['prev']}: the entries before are not those that were sealed"
    if not wrong and record["epoch"] < epoch:
        wrong = f"expected an epoch from {epoch}, but got {record['epoch']}"
    if not wrong and run and record["run"] != run:
        wrong = f"expected run {run}, but got {record['run']}"
    if wrong:
        raise LedgerError(wrong, where=f"entry {seq}")


def _entry(record: Mapping[str, Any]) -> Entry:
    return Entry(
        seq=record["seq"],
        prev=bytes.fromhex(record["prev"]),
        run=record["run"],
        type=EntryType(record["type"]),
        at=datetime.fromisoformat(record["at"]).astimezone(UTC),
        epoch=record["epoch"],
        instance=record.get("instance", ""),
        task=record.get("task", ""),
        fact=record.get("fact"),
        events=tuple(record.get("events", ())),
        body=record.get("body"),
    )
