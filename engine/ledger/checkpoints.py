"""Signed checkpoints: the root of a run's tree in a C2SP `tlog-checkpoint` note, signed with ed25519.

A note is three lines (origin, number of entries, root in base64), a blank line and a signature line:

    poundlock/1f0c…/shop-20261120
    1042
    WX0Yp…=

    — poundlock/1f0c…/shop-20261120 base64(key id ‖ signature)

Origin and key name are one and the same, so every run has its own key id although an engine home has one
key (github.com/C2SP/C2SP: signed-note, tlog-checkpoint). Who trusts the chain needs only the key line.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import LedgerError, StoreError
from engine.frozen import dataclass

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE: Final = Path("keys", "ledger.key")
_ALGORITHM: Final = b"\x01"  #: ed25519, in key ids and key lines
_NUMBER: Final = re.compile(r"0|[1-9][0-9]*")
_KEY_HEADER: Final = "poundlock-ed25519-v1 "


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a verified note says: `origin` had `size` entries with this Merkle `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes


class SigningKey:
    """The ed25519 key of an engine home. `key_line(origin)` is public; the seed never leaves the object."""

    def __init__(self, seed: bytes) -> None:
        # cryptography costs 20 ms to import: only who signs or verifies pays
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: Final = self._private.public_key().public_bytes_raw()

    def origin(self, run: str) -> str:
        """Return the name of the log of `run`: unique, as the key is part of it."""
        return f"poundlock/{sha256(self.public).hexdigest()[:16]}/{run}"

    def key_line(self, run: str) -> str:
        """Return the public key for `run` in C2SP form, `name+key id+base64(0x01 ‖ key)`: what a verifier needs."""
        return key_line(self.origin(run), self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return self._private.sign(message)


def is_signed(message: bytes, signature: bytes, public: bytes) -> bool:
    """Return whether the ed25519 key `public` (32 bytes) made `signature` over `message`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def ensure_key(home: Path) -> SigningKey:
    """Return the key of the engine home, made on first use (`keys/ledger.key`, mode 0600 in a folder 0700).

    Raises StoreError when it cannot be read or written, or others may read it.
    """
    return open_key(home / KEY_FILE, make=True)


def open_key(path: Path, *, make: bool = False) -> SigningKey:
    """Return the key in the file `path`; `make` writes a new one (mode 0600, its folder 0700) when there is none.

    Raises StoreError when it cannot be read or written, or others may read it.
    """
    try:
        if make:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                _write_key(path, os.urandom(32))
        return _read_key(path)
    except OSError as error:
        raise StoreError(
            f"the signing key cannot be used: {error.strerror}", where=str(path)
        ) from error


def sign_checkpoint(key: SigningKey, run: str, size: int, root: bytes) -> str:
    """Return the signed note for the tree of `run` with `size` entries and this `root`."""
    origin = key.origin(run)
    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n"
    signature = _key_id(origin, key.public) + key.sign(text.encode())
    return f"{text}\n— {origin} {b64encode(signature).decode()}\n"


def verify_checkpoint(note: str, line: str) -> Checkpoint:
    """Return what `note` says once the key of `line` (C2SP key line) is seen to have signed it.

    Raises LedgerError when the note is malformed, was signed by another key, or the signature is wrong.
    """
    name, public = read_key_line(line)
    text, signature = signed_text(note, name, public)
    if not is_signed(text.encode(), signature, public):
        raise LedgerError("the signature of the checkpoint is wrong", where=name)
    return _read_text(text, name)


def key_line(name: str, public: bytes) -> str:
    """Return the C2SP key line of an ed25519 public key (32 bytes) under `name`."""
    return f"{name}+{_key_id(name, public).hex()}+{b64encode(_ALGORITHM + public).decode()}"


def read_key_line(line: str) -> tuple[str, bytes]:
    """Return (name, 32-byte public key). Raises LedgerError when `line` is no C2SP ed25519 key line."""
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != 33 or key[:1] != _ALGORITHM or _key_id(name, key[1:]).hex() != identity:
        raise LedgerError(expected="a key line name+id+base64", got=repr(line[:120]))
    return name, key[1:]


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ALGORITHM + public).digest()[:4]


def signed_text(note: str, name: str, public: bytes) -> tuple[str, bytes]:
    """Return (signed text, signature of the key), looking over signatures of other keys (witnesses)."""
    text, _, signatures = note.rpartition("\n\n")
    prefix = f"— {name} "
    for line in signatures.splitlines():
        try:
            blob = (
                b64decode(line.removeprefix(prefix), validate=True)
                if line.startswith(prefix)
                else b""
            )
        except ValueError:
            continue
        if len(blob) == 68 and blob[:4] == _key_id(name, public):
            return text + "\n", blob[4:]
    raise LedgerError("the note has no signature of this key", where=name)


def _read_text(text: str, name: str) -> Checkpoint:
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], lines[1], b64decode(lines[2], validate=True)
    except (IndexError, ValueError) as error:
        raise LedgerError("the checkpoint is malformed", where=name) from error
    if origin != name or len(root) != 32 or not _NUMBER.fullmatch(size):
        raise LedgerError("the checkpoint is malformed", where=name, got=repr(text[:120]))
    return Checkpoint(origin=origin, size=int(size), root=root)


def _write_key(path: Path, seed: bytes) -> None:
    """Write the key under another name first: a half-written one is never seen; of two writers one wins."""
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{_KEY_HEADER}{b64encode(seed).decode()}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_key(path: Path) -> SigningKey:
    if path.stat().st_mode & 0o077:
        raise StoreError(
            where=str(path),
            expected="a key that only its owner may read",
            got=f"mode {path.stat().st_mode & 0o777:o}",
            hint=f"Run: chmod 600 {path}",
        )
    text = path.read_text(encoding="ascii", errors="replace").strip()
    try:
        seed = b64decode(text.removeprefix(_KEY_HEADER), validate=True)
    except ValueError:
        seed = b""
    if not text.startswith(_KEY_HEADER) or len(seed) != 32:
        raise StoreError(
            "the signing key is damaged", where=str(path), hint="Restore it from a copy."
        )
    return SigningKey(seed)
