"""Proofs for who holds a checkpoint and no ledger: this entry was in it; that later ledger only appended to it.

RFC 9162 sections 2.1.3.2 (inclusion) and 2.1.4.2 (consistency); `engine ledger prove` writes such proofs as one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from engine.audit.findings import Finding
from engine.audit.keys import Keys
from engine.audit.tree import Note, read_note, witnesses
from engine.errors import UsageError

SCHEMA = "engine.ledger-proof/v1"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A proof about the log of `run`. Inclusion: `line` is entry `seq`. Consistency: from `old_size` entries on."""

    kind: str  #: inclusion or consistency
    run: str
    size: int  #: entries that `note` covers
    hashes: tuple[bytes, ...]
    note: str  #: signed checkpoint over `size` entries
    seq: int = 0
    line: bytes = b""
    old_size: int = 0


def read_proof(text: str) -> Proof:
    """Return the proof that `engine ledger prove` has written. Raises UsageError when it is none."""
    try:
        written: Any = json.loads(text)  # Any: parsed JSON, questioned below
        if written["schema"] != SCHEMA or written["kind"] not in ("inclusion", "consistency"):
            raise ValueError("another schema or kind")
        return Proof(
            kind=written["kind"],
            run=str(written["run"]),
            size=int(written["size"]),
            hashes=tuple(bytes.fromhex(item) for item in written["hashes"]),
            note=str(written["checkpoint"]),
            seq=int(written.get("seq", 0)),
            line=str(written.get("line", "")).encode(),
            old_size=int(written.get("from", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError("this is no proof", expected=SCHEMA, got=str(error)) from error


def check_proof(proof: Proof, notes: Sequence[str], keys: Sequence[str]) -> tuple[Finding, ...]:
    """Return what is wrong with a proof, given the checkpoints that the auditor holds; nothing when it holds.

    An inclusion proof is held against an own checkpoint of its size when there is one, else against the one it
    brings, which then needs `keys`. A consistency proof needs an own checkpoint of the older size.
    """
    findings: list[Finding] = []
    held = [note for note in (read_note(text, findings) for text in notes) if note]
    brought = read_note(proof.note, findings)
    trusted = Keys(keys)
    good = witnesses([*held, *([brought] if brought else [])], (), trusted, proof.run, findings)
    if findings:
        return tuple(findings)
    own = held if not trusted else [note for note in held if note in good]
    if proof.kind == "inclusion":
        problem = _inclusion_problem(proof, _of_size(own, proof.size) or _of_size(good, proof.size))
    else:
        problem = _consistency_problem(proof, _of_size(own, proof.old_size), brought)
    return (Finding(proof.seq, "L1", problem),) if problem else ()


def is_included(leaf: bytes, index: int, size: int, hashes: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `hashes` lead from the leaf at `index` (from 0) to the root of a tree of `size`."""
    if not 0 <= index < size:
        return False
    node, position, last = leaf, index, size - 1
    for sibling in hashes:
        if last == 0:
            return False
        if position % 2 == 1 or position == last:
            node = _node(sibling, node)
            while position % 2 == 0 and position != 0:
                position, last = position // 2, last // 2
        else:
            node = _node(node, sibling)
        position, last = position // 2, last // 2
    return last == 0 and node == root


def is_extended(
    old_size: int, old_root: bytes, size: int, root: bytes, hashes: Sequence[bytes]
) -> bool:
    """Tell whether the tree of `size` only appended to the one of `old_size`."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not hashes and old_root == root
    path = list(hashes)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old_size - 1, size - 1
    while position % 2 == 1:
        position, last = position // 2, last // 2
    old, new = path[0], path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position % 2 == 1 or position == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while position % 2 == 0 and position != 0:
                position, last = position // 2, last // 2
        else:
            new = _node(new, sibling)
        position, last = position // 2, last // 2
    return last == 0 and old == old_root and new == root


def _inclusion_problem(proof: Proof, note: Note | None) -> str:
    if note is None:
        return f"no trusted checkpoint over {proof.size} entries: give one, or the key of the run"
    leaf = sha256(b"\x00" + proof.line).digest()
    if not is_included(leaf, proof.seq - 1, proof.size, proof.hashes, note.root):
        return f"the line is not entry {proof.seq} of the {proof.size} that the checkpoint covers"
    try:
        says = json.loads(proof.line)
        named = (says["seq"], says["run"])
    except (KeyError, TypeError, ValueError):
        named = (0, "")
    return (
        "" if named == (proof.seq, proof.run) else "the line says another number or run of itself"
    )


def _consistency_problem(proof: Proof, old: Note | None, new: Note | None) -> str:
    if old is None:
        return f"no trusted checkpoint over {proof.old_size} entries: give the one you hold"
    if new is None or new.size != proof.size:
        return f"the proof brings no checkpoint over {proof.size} entries"
    if not is_extended(old.size, old.root, new.size, new.root, proof.hashes):
        return f"the ledger of {new.size} entries does not begin with the {old.size} that you hold"
    return ""


def _of_size(notes: Sequence[Note], size: int) -> Note | None:
    return next((note for note in notes if note.size == size), None)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
