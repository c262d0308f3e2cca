"""Changing the signing key of an engine home, so that who trusts either key can trust the other.

A rotation is a note of three lines, signed by both keys, kept in `keys/rotations/` and recorded as `key.rotated` in every
run that goes on under the new key:

    poundlock/key-rotation/v1
    <old public key, base64>
    <new public key, base64>
    2026-11-20T23:20:42.123456Z

    — poundlock/<old> base64(key id ‖ signature)
    — poundlock/<new> base64(key id ‖ signature)

The old seed is destroyed. Order of the steps: new key beside the old, note on disk, new key in the old one's place. A
kill in between leaves the old key in use and a note about a key that never signs: harmless.
"""

from __future__ import annotations

import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.errors import LedgerError, StoreError
from engine.ledger.checkpoints import (
    KEY_FILE,
    SigningKey,
    ensure_key,
    is_signed,
    key_line,
    read_key_line,
    signed_text,
)
from engine.ledger.entries import Draft, EntryType, time_text
from engine.ledger.records import note
from engine.ledger.writing import replace_file, sync_folder

ROTATIONS: Final = KEY_FILE.parent / "rotations"
_KIND: Final = "poundlock/key-rotation/v1"


def rotate_key(home: Path, at: datetime) -> Path:
    """Give the engine home a new signing key and return the file of the rotation note.

    No engine may be at work in `home`. Raises StoreError when the key or the folder cannot be used.
    """
    old = ensure_key(home)
    staging = home / KEY_FILE.parent / "next"
    try:
        shutil.rmtree(staging, ignore_errors=True)
        new = ensure_key(staging)
        folder = home / ROTATIONS
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{len(rotations(home)) + 1:06}"
        replace_file(path, rotation_note(old, new, at))
        (staging / KEY_FILE).replace(home / KEY_FILE)
        sync_folder((home / KEY_FILE).parent)
        shutil.rmtree(staging)
    except OSError as error:
        raise StoreError(
            f"the signing key cannot be changed: {error.strerror}",
            where=str(error.filename or home),
        ) from error
    return path


def rotations(home: Path) -> list[str]:
    """Return the rotation notes of an engine home, oldest first."""
    return [path.read_text("utf-8") for path in sorted((home / ROTATIONS).glob("[0-9]*"))]


def rotation_note(old: SigningKey, new: SigningKey, at: datetime) -> str:
    """Return the note on a change from `old` to `new`, signed by both."""
    keys = (b64encode(key.public).decode() for key in (old, new))
    text = "\n".join([_KIND, *keys, time_text(at), ""])
    return f"{text}\n{_signature_line(old, text)}{_signature_line(new, text)}"


def read_rotation(told: str) -> tuple[bytes, bytes]:
    """Return the (old, new) public keys of a rotation note, once both are seen to have signed it. Raises LedgerError."""
    try:
        kind, *encoded = told.split("\n")[:3]
        old, new = (b64decode(key, validate=True) for key in encoded)
    except ValueError as error:
        raise LedgerError("this is no note on a change of the key", got=repr(told[:120])) from error
    if kind != _KIND:
        raise LedgerError(where="the first line", expected=_KIND, got=repr(kind[:120]))
    for public in (old, new):
        text, signature = signed_text(told, _home_name(public), public)
        if not is_signed(text.encode(), signature, public):
            raise LedgerError("a signature of the change is wrong", where=_home_name(public))
    return old, new


def rotation_drafts(
    run: str, recorded: str, current: SigningKey, notes: Sequence[str], at: datetime
) -> list[Draft]:
    """Return the `key.rotated` entries that lead from the key line `recorded` in the ledger to `current`.

    When no note leads there (the key was lost and made anew) one entry says so with an empty statement.
    """
    _, old = read_key_line(recorded)
    steps = list(_path(old, current.public, notes))
    if old != current.public and not steps:
        steps = [(old, current.public, "")]
    return [
        note(
            EntryType.KEY_ROTATED,
            at,
            {"key": _line(run, new), "previous": _line(run, before), "statement": statement},
        )
        for before, new, statement in steps
    ]


def _path(old: bytes, current: bytes, notes: Sequence[str]) -> Iterator[tuple[bytes, bytes, str]]:
    """Yield (old, new, note) steps from one key to the other, or nothing when the notes do not lead there."""
    known: dict[bytes, tuple[bytes, str]] = {}
    for told in notes:
        _, first, second, *_ = told.split("\n")
        known[b64decode(second)] = (b64decode(first), told)
    steps: list[tuple[bytes, bytes, str]] = []
    at = current
    while at != old and at in known and len(steps) < len(known):
        before, text = known[at]
        steps.append((before, at, text))
        at = before
    if at == old:
        yield from reversed(steps)


def _line(run: str, public: bytes) -> str:
    return key_line(f"{_home_name(public)}/{run}", public)


def _home_name(public: bytes) -> str:
    return f"poundlock/{sha256(public).hexdigest()[:16]}"


def _signature_line(key: SigningKey, text: str) -> str:
    name = _home_name(key.public)
    identity = bytes.fromhex(key_line(name, key.public).split("+")[1])
    return f"— {name} {b64encode(identity + key.sign(text.encode())).decode()}\n"
