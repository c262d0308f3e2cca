"""L1, the chain and the tree: each entry names the one before, each signed checkpoint commits to a prefix of the ledger.

A leaf is SHA-256(0x00 ‖ line), a node SHA-256(0x01 ‖ left ‖ right) (RFC 6962, section 2.1). A checkpoint is a C2SP
tlog-checkpoint note. All notes are held against one tree, so they are consistent with each other exactly when each of
them is the root of its prefix; who has two notes and no ledger asks for a consistency proof instead (`proofs`).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from engine.audit.findings import Finding, Record
from engine.audit.keys import (
    Keys,
    Rotation,
    SignedText,
    home_name,
    key_id,
    key_line,
    read_key_line,
)
from engine.errors import UsageError

EMPTY_ROOT: Final = sha256(b"").digest()


#: nodes of the whole subtrees over some lines: leaves first, then one list for each height
Levels = Sequence[Sequence[bytes]]


def levels_of(lines: Sequence[bytes]) -> Levels:
    """Return the nodes of the tree over `lines` that later lines cannot change."""
    level = [sha256(b"\x00" + line).digest() for line in lines]
    levels = [level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        levels.append(level)
    return levels


@dataclass
class Tree:
    """A growing Merkle tree. It grows by batches of lines, of which only the last need not be a whole subtree."""

    base: int = 0  #: lines before the newest batch
    peaks: list[tuple[int, bytes]] = field(
        default_factory=list
    )  #: (height, node) over those, highest first
    levels: Levels = ()  #: of the newest batch

    @property
    def size(self) -> int:
        """The number of lines."""
        return self.base + (len(self.levels[0]) if self.levels else 0)

    def grow(self, levels: Levels) -> None:
        """Append the lines of a batch. Every batch but the last has the same power of two of lines."""
        for height, node in _peaks(self.levels, self.size - self.base):
            self._push(height, node)
        self.base, self.levels = self.size, levels

    def root(self, size: int | None = None) -> bytes:
        """Return the 32-byte root over the first `size` lines, which end in the newest batch; over all without."""
        within = (self.size if size is None else size) - self.base
        nodes = [node for _, node in (*self.peaks, *_peaks(self.levels, within))]
        if not nodes:
            return EMPTY_ROOT
        node = nodes[-1]
        for peak in nodes[-2::-1]:
            node = sha256(b"\x01" + peak + node).digest()
        return node

    def _push(self, height: int, node: bytes) -> None:
        while self.peaks and self.peaks[-1][0] == height:
            node = sha256(b"\x01" + self.peaks.pop()[1] + node).digest()
            height += 1
        self.peaks.append((height, node))


def _peaks(levels: Levels, count: int) -> list[tuple[int, bytes]]:
    """Return (height, node) of the whole subtrees over the first `count` lines of a batch, highest first."""
    found, at = [], 0
    for height in range(len(levels) - 1, -1, -1):
        if count >> height & 1:
            found.append((height, levels[height][at >> height]))
            at += 1 << height
    return found


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a checkpoint says: the log `name` had `size` entries with this `root`; recorded in entry `seq`, 0: kept outside."""

    seq: int
    name: str
    size: int
    root: bytes
    signed: SignedText


def read_note(note: str, findings: list[Finding], seq: int = 0) -> Note | None:
    """Return what a signed note says, or report that it says nothing."""
    signed = SignedText.of(note)
    parts = signed.text.split("\n")
    try:
        name, size, root = parts[0], int(parts[1]), b64decode(parts[2], validate=True)
        if str(size) != parts[1] or size < 0 or len(root) != 32:
            raise ValueError(parts[1])
    except (ValueError, IndexError):
        findings.append(Finding(seq, "L1", "a checkpoint is malformed"))
        return None
    return Note(seq=seq, name=name, size=size, root=root, signed=signed)


def read_recorded(body: Record, seq: int, tree: Tree, findings: list[Finding]) -> Note | None:
    """Return the checkpoint that line `seq` records when it covers exactly the lines before it."""
    note = read_note(str(body.get("note", "")), findings, seq)
    if note is None:
        return None
    says = (body.get("size"), body.get("root"))
    covered = (seq - 1, tree.root(seq - 1))
    if (note.size, note.root) != covered or says != (note.size, note.root.hex()):
        message = f"the checkpoint is not the root of the {seq - 1} entries before it"
        findings.append(Finding(seq, "L1", message))
        return None
    if not _is_of_its_key(note, body):
        findings.append(Finding(seq, "L1", "the checkpoint is not signed by the key it names"))
        return None
    return note


def _is_of_its_key(note: Note, body: Record) -> bool:
    """Tell whether a recorded note is, to the byte, what the key named beside it signs: nothing in it is free."""
    line = str(body.get("key"))
    try:
        name, public = read_key_line(line)
    except UsageError:
        return False
    if len(note.signed.signatures) != 1 or name != note.name:
        return False
    text = f"{name}\n{note.size}\n{b64encode(note.root).decode()}\n"
    signed = b64encode(key_id(name, public) + note.signed.signatures[0].signature).decode()
    exact = (f"{text}\n— {name} {signed}\n", key_line(name, public))
    return (body.get("note"), line) == exact and note.signed.is_signed_by(name, public)


def is_committed(note: Note, size: int, root: bytes | None, findings: list[Finding]) -> bool:
    """Tell whether an outside note commits to a prefix of a ledger of `size` entries; `root` is that of the prefix."""
    if note.size > size:
        message = (
            f"a checkpoint covers {note.size} entries, but there are {size}: the end is missing"
        )
        findings.append(Finding(0, "L1", message))
        return False
    if root != note.root:
        message = f"the first {note.size} entries are not those that a checkpoint has witnessed"
        findings.append(Finding(0, "L1", message))
        return False
    return True


def witnesses(
    notes: Sequence[Note],
    rotations: Sequence[Rotation],
    keys: Keys,
    run: str,
    findings: list[Finding],
) -> list[Note]:
    """Return those of `notes` that a key of the run has signed which was in use then; report the others.

    Without keys none is a witness and none is reported. A rotation needs the word of the key it retires.
    """
    if not keys:
        return []
    trusted = keys.with_rotations(rotations)
    recorded = sorted((change for change in rotations if change.seq), key=lambda change: change.seq)
    for change in recorded:
        if not (change.is_signed_by_old and change.is_signed_by_new and change.new in trusted):
            message = "the signing key was changed without the word of the key before it"
            findings.append(Finding(change.seq, "L1", message))
    good = []
    for note in notes:
        if _is_signed(note, _in_use(note.seq, recorded, trusted), run):
            good.append(note)
        else:
            message = (
                f"the checkpoint over {note.size} entries is not signed by the key of {keys.names}"
            )
            findings.append(Finding(note.seq, "L1", message))
    return good


def _in_use(seq: int, recorded: Sequence[Rotation], trusted: frozenset[bytes]) -> frozenset[bytes]:
    """Return the trusted keys that may have signed entry `seq`; 0 is a note from any time."""
    if not seq or not recorded:
        return trusted
    before = [change.new for change in recorded if change.seq < seq]
    return trusted & {before[-1] if before else recorded[0].old}


def _is_signed(note: Note, publics: frozenset[bytes], run: str) -> bool:
    return any(
        note.name == f"{home_name(public)}/{run}" and note.signed.is_signed_by(note.name, public)
        for public in publics
    )
