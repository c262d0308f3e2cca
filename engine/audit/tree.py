"""L1, the chain and the tree: each entry names the one before, each signed checkpoint commits to a prefix of the ledger.

A leaf is SHA-256(0x00 ‖ line), a node SHA-256(0x01 ‖ left ‖ right) (RFC 6962, section 2.1). A checkpoint is a C2SP
signed note, its signature ed25519 (RFC 8032). All notes are held against one tree, so they are consistent with each
other exactly when each of them is the root of its prefix.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from engine.audit.findings import Finding, Record
from engine.errors import EngineError

TAG: Final = b"poundlock/ledger-entry/v1\n"
EMPTY_ROOT: Final = sha256(b"").digest()


@dataclass
class Tree:
    """A growing Merkle tree and the roots at the sizes somebody asked for."""

    wanted: frozenset[int] = frozenset()
    size: int = 0
    peaks: list[bytes] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})

    def add(self, line: bytes) -> None:
        """Append the entry of `line`."""
        node, full = sha256(b"\x00" + line).digest(), self.size
        while full & 1:
            node = sha256(b"\x01" + self.peaks.pop() + node).digest()
            full >>= 1
        self.peaks.append(node)
        self.size += 1
        if self.size in self.wanted:
            self.roots[self.size] = self.root()

    def root(self) -> bytes:
        """Return the 32-byte root of the tree as it is now."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = sha256(b"\x01" + peak + node).digest()
        return node


@dataclass(frozen=True)
class Note:
    """What a checkpoint says: `size` entries have this `root`; `is_signed` when a trusted key has signed it."""

    size: int
    root: bytes
    is_signed: bool


@dataclass(frozen=True)
class Keys:
    """The keys an auditor trusts, as C2SP key lines. Without any, signatures are not checked and nothing is witnessed.

    Raises EngineError for a line that is no ed25519 key line.
    """

    trusted: dict[str, frozenset[bytes]]  #: name of the log → public keys

    @classmethod
    def of(cls, lines: Iterable[str]) -> Keys:
        """Return the keys of `lines`; empty ones are left out."""
        trusted: dict[str, frozenset[bytes]] = {}
        for line in lines:
            if line.strip():
                name, public = read_key_line(line)
                trusted[name] = trusted.get(name, frozenset()) | {public}
        return cls(trusted)

    def names(self) -> str:
        """Return whose keys these are, for a sentence."""
        return " or ".join(sorted(self.trusted))

    def have_signed(self, text: str, signatures: str) -> bool:
        """Tell whether one of the keys has signed `text` under the name on its first line."""
        name = text.partition("\n")[0]
        publics = self.trusted.get(name, frozenset())
        return any(_is_signed(text, signatures, name, public) for public in publics)


def link_findings(record: Record, seq: int, prev: str, run: str) -> list[Finding]:
    """Return what does not join `record` to the entries before it."""
    found = []
    if record["seq"] != seq:
        found.append(Finding(seq, "L1", f"expected seq {seq}, but got {record['seq']}"))
    if record["prev"] != prev:
        found.append(Finding(seq, "L1", "prev is not the hash of the entry before"))
    if record["run"] != run:
        found.append(Finding(seq, "L1", f"expected run {run}, but got {record['run']}"))
    return found


def read_note(note: str, keys: Keys, findings: list[Finding], seq: int = 0) -> Note | None:
    """Return what a signed note says, or report why it says nothing."""
    text, _, signatures = note.rpartition("\n\n")
    parts = text.split("\n")
    try:
        size, root = int(parts[1]), b64decode(parts[2], validate=True)
        if str(size) != parts[1] or size < 0 or len(root) != 32:
            raise ValueError(parts[1])
    except (ValueError, IndexError):
        findings.append(Finding(seq, "L1", "a checkpoint is malformed"))
        return None
    if not keys.trusted:
        return Note(size, root, is_signed=False)
    if not keys.have_signed(f"{text}\n", signatures):
        message = f"the checkpoint over {size} entries is not signed by the key of {keys.names()}"
        findings.append(Finding(seq, "L1", message))
        return None
    return Note(size, root, is_signed=True)


def check_recorded(
    record: Record, seq: int, tree: Tree, keys: Keys, findings: list[Finding]
) -> Note | None:
    """Check a checkpoint that the ledger records: it must cover exactly the entries before it."""
    body = record["body"]
    note = read_note(str(body.get("note", "")), keys, findings, seq)
    if note is None:
        return None
    says = (body.get("size"), body.get("root"))
    if (note.size, note.root) != (tree.size, tree.root()) or says != (note.size, note.root.hex()):
        message = f"the checkpoint is not the root of the {tree.size} entries before it"
        findings.append(Finding(seq, "L1", message))
        return None
    return note if note.is_signed else None


def is_committed(note: Note, tree: Tree, findings: list[Finding]) -> bool:
    """Tell whether an outside note that a trusted key has signed commits to a prefix of the ledger."""
    if note.size > tree.size:
        message = f"a checkpoint covers {note.size} entries, but there are {tree.size}: the end is missing"
        findings.append(Finding(0, "L1", message))
        return False
    if tree.roots.get(note.size) != note.root:
        message = f"the first {note.size} entries are not those that a checkpoint has witnessed"
        findings.append(Finding(0, "L1", message))
        return False
    return note.is_signed


def read_key_line(line: str) -> tuple[str, bytes]:
    """Return (name, 32-byte public key) of a C2SP key line. Raises EngineError when it is none."""
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    expected = sha256(name.encode() + b"\n" + key).hexdigest()[:8]
    if len(key) != 33 or key[0] != 1 or identity != expected:
        raise EngineError(where=line[:120], expected="a C2SP ed25519 key line name+id+base64")
    return name, key[1:]


def _is_signed(text: str, signatures: str, name: str, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    identity = sha256(f"{name}\n\x01".encode() + public).digest()[:4]
    for line in signatures.splitlines():
        try:
            blob = b64decode(line.removeprefix(f"— {name} "), validate=True)
        except ValueError:
            continue
        if line.startswith(f"— {name} ") and blob[:4] == identity:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text.encode())
            except InvalidSignature:
                return False
            return True
    return False
