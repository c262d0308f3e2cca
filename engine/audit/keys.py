"""Signatures: C2SP signed notes, ed25519 (RFC 8032), and how trust goes from one key of a run to the next.

A note is a text, a blank line and signature lines `— name base64(key id ‖ signature)`. A rotation is a note that names
two public keys and is signed by both: who trusts either of them then trusts the other.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from engine.errors import UsageError

ROTATION: Final = "poundlock/key-rotation/v1"
_ED25519: Final = b"\x01"  #: the algorithm, in key ids and key lines


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature line of a note: who says to have signed, with which key id, and the 64 bytes."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class SignedText:
    """A note taken apart. `text` is what was signed, its last line feed included."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def of(cls, note: str) -> SignedText:
        """Return the parts of a note; what is no signature line is left out."""
        text, _, lines = note.rpartition("\n\n")
        read = (_signature(line) for line in lines.splitlines())
        return cls(text=f"{text}\n", signatures=tuple(line for line in read if line))

    def is_signed_by(self, name: str, public: bytes) -> bool:
        """Tell whether the key `public` has signed the text under `name`."""
        wanted = key_id(name, public)
        return any(
            line.name == name
            and line.key_id == wanted
            and _is_valid(line.signature, self.text, public)
            for line in self.signatures
        )


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """A change of keys as recorded in entry `seq` (0: told from outside); the words of both keys on it."""

    seq: int
    old: bytes
    new: bytes
    is_signed_by_old: bool
    is_signed_by_new: bool


class Keys:
    """The public keys an auditor trusts. Without any, signatures are not checked and nothing is witnessed."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        """Take C2SP key lines; empty ones are left out. Raises UsageError for a line that is none."""
        read = [read_key_line(line) for line in lines if line.strip()]
        self.names: Final = " or ".join(sorted({name for name, _ in read}))
        self._given = frozenset(public for _, public in read)

    def __bool__(self) -> bool:
        return bool(self._given)

    def with_rotations(self, rotations: Sequence[Rotation]) -> frozenset[bytes]:
        """Return the given keys and those that a chain of signed rotations leads to, forward and backward."""
        trusted = set(self._given)
        for _ in rotations:
            for change in rotations:
                if change.old in trusted and change.is_signed_by_old:
                    trusted.add(change.new)
                if change.new in trusted and change.is_signed_by_new:
                    trusted.add(change.old)
        return frozenset(trusted)


def read_rotation(note: str, seq: int = 0) -> Rotation | None:
    """Return what a rotation note says, or None when it is none."""
    signed = SignedText.of(note)
    parts = signed.text.split("\n")
    try:
        kind, old, new = (
            parts[0],
            b64decode(parts[1], validate=True),
            b64decode(parts[2], validate=True),
        )
    except (IndexError, ValueError):
        return None
    if kind != ROTATION or len(old) != 32 or len(new) != 32 or old == new:
        return None
    return Rotation(
        seq=seq,
        old=old,
        new=new,
        is_signed_by_old=signed.is_signed_by(home_name(old), old),
        is_signed_by_new=signed.is_signed_by(home_name(new), new),
    )


def home_name(public: bytes) -> str:
    """Return the name of an engine home: that of its key, which every log of the home begins with."""
    return f"poundlock/{sha256(public).hexdigest()[:16]}"


def read_key_line(line: str) -> tuple[str, bytes]:
    """Return (name, 32-byte public key) of a C2SP key line. Raises UsageError when it is none."""
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != 33 or key[0] != 1 or identity != key_id(name, key[1:]).hex():
        raise UsageError(where=line[:120], expected="a C2SP ed25519 key line name+id+base64")
    return name, key[1:]


def key_line(name: str, public: bytes) -> str:
    """Return the C2SP key line of an ed25519 public key."""
    return f"{name}+{key_id(name, public).hex()}+{b64encode(_ED25519 + public).decode()}"


def key_id(name: str, public: bytes) -> bytes:
    """Return the four bytes that tell keys of one name apart (C2SP signed-note)."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _signature(line: str) -> Signature | None:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        content = b64decode(encoded, validate=True)
    except ValueError:
        return None
    if dash != "—" or not name or len(content) != 68:
        return None
    return Signature(name=name, key_id=content[:4], signature=content[4:])


def _is_valid(signature: bytes, text: str, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True
