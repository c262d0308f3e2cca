"""Proofs as JSON: `engine.ledger-proof/v1`, checked by `engine.audit.proofs`.

{"schema": "engine.ledger-proof/v1", "kind": "inclusion", "run": …, "seq": 7, "line": "{…}", "size": 40,
 "hashes": ["…"], "checkpoint": "the signed note over 40 entries"}
{… "kind": "consistency", "from": 40, "size": 136, "hashes": ["…"], "checkpoint": "the note over 136 entries"}
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from engine.errors import UsageError
from engine.ledger.merkle import consistency_proof, inclusion_proof, leaf_hash

SCHEMA = "engine.ledger-proof/v1"


def inclusion(run: str, lines: Sequence[bytes], notes: Sequence[str], seq: int) -> bytes:
    """Return the proof that entry `seq` is in the ledger, under the first of `notes` that covers it.

    Raises UsageError when there is no such entry, or none of the signed `notes` covers it yet.
    """
    if not 1 <= seq <= len(lines):
        raise UsageError(where=f"entry {seq}", expected=f"a number from 1 to {len(lines)}")
    covering = sorted((_size(note), note) for note in notes if _size(note) >= seq)
    if not covering:
        hint = "The end of the run, each merge and every thousandth entry are followed by one."
        raise UsageError("no signed checkpoint covers it yet", where=f"entry {seq}", hint=hint)
    size, note = covering[0]
    hashes = inclusion_proof(seq - 1, [leaf_hash(line) for line in lines[:size]])
    told = {"seq": seq, "line": lines[seq - 1].decode()}
    return _written("inclusion", run, size, hashes, note, told)


def consistency(run: str, lines: Sequence[bytes], notes: Sequence[str], old: str) -> bytes:
    """Return the proof that the newest of `notes` only appended to the checkpoint `old`.

    Raises UsageError when `old` is no checkpoint, or covers more than is signed.
    """
    size, note = max((_size(note), note) for note in notes) if notes else (0, "")
    begin = _size(old)
    if not 0 < begin <= size:
        raise UsageError(
            "this checkpoint cannot be continued",
            expected=f"one over 1 to {size} entries",
            got=f"one over {begin}" if begin else "none",
        )
    hashes = consistency_proof(begin, [leaf_hash(line) for line in lines[:size]])
    return _written("consistency", run, size, hashes, note, {"from": begin})


def _written(
    kind: str, run: str, size: int, hashes: Sequence[bytes], note: str, told: dict[str, object]
) -> bytes:
    return orjson.dumps(
        {
            "schema": SCHEMA,
            "kind": kind,
            "run": run,
            **told,
            "size": size,
            "hashes": [item.hex() for item in hashes],
            "checkpoint": note,
        }
    )


def _size(note: str) -> int:
    """Return how many entries a checkpoint covers, 0 when it is none."""
    parts = note.split("\n")
    return int(parts[1]) if len(parts) > 2 and parts[1].isdecimal() else 0
