"""The auditor's verifier: what must hold of a ledger, checked with no code of the engine that wrote it.

It shares with the writer only the format (contracts/ledger-entry.v1.json) and RFC 8785, 6962, 8032, so that a
bug of the writer cannot hide itself. One pass over the lines checks three levels; each has a module:

- **L0 bytes** (`lines`): every line is canonical JSON with the members an entry has; no number is a float; large
  values are what their digests say.
- **L1 chain and tree** (`tree`, `keys`): seq, prev and hash of every entry; every checkpoint is signed by a trusted
  key, commits to exactly the entries it counts, and so continues the one before; nothing is missing behind the newest.
- **L2 course** (`course`): a run does nothing that what it did before does not allow.

L3 (`rederive`: decisions derived anew) and L4 (`git`) build on it; `audit` runs all that it is given the means for.
Findings are collected, never raised: an auditor wants all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from engine.audit.batches import Batch, read_batches
from engine.audit.course import Course
from engine.audit.findings import Finding, Record
from engine.audit.keys import Keys, Rotation, read_rotation
from engine.audit.lines import Parser, large_values
from engine.audit.tree import (
    EMPTY_ROOT,
    Levels,
    Note,
    Tree,
    is_committed,
    read_note,
    read_recorded,
    witnesses,
)

BYTES_CHAIN_COURSE: Final = ("L0", "L1", "L2")

ReadBlob = Callable[[str], bytes | None]  #: digest "sha256:…" → content, None when it is missing


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was checked and what was found. `checkpoints` counts notes with a good signature and root."""

    run: str
    entries: int
    head: str  #: hash of the last entry, hex
    root: str  #: Merkle root over all lines, hex
    checkpoints: int
    witnessed: (
        int  #: entries that the newest good checkpoint covers; later ones are as safe as the disk
    )
    findings: tuple[Finding, ...]
    levels: tuple[str, ...] = BYTES_CHAIN_COURSE  #: those that were looked at
    left_out: tuple[str, ...] = ()  #: a sentence for each level that was not, and why
    counts: tuple[tuple[str, int], ...] = ()  #: what the further levels looked at: (what, how many)
    seconds: tuple[tuple[str, float], ...] = field(
        default=(), compare=False
    )  #: (levels, time taken)

    @property
    def ok(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON: what was found, how much was looked at, and how long each level took."""
        return {
            "run": self.run,
            "ok": self.ok,
            "entries": self.entries,
            "head": self.head,
            "root": self.root,
            "checkpoints": self.checkpoints,
            "witnessed": self.witnessed,
            "levels": list(self.levels),
            "left_out": list(self.left_out),
            "counts": dict(self.counts),
            "seconds": {what: round(spent, 6) for what, spent in self.seconds},
            "findings": [finding.to_json() for finding in self.findings],
        }


def verify(
    lines: Iterable[bytes],
    notes: Sequence[str] = (),
    key: str | Sequence[str] = "",
    blob: ReadBlob | None = None,
    *,
    parse: Parser | None = None,
    processes: int = 1,
) -> Report:
    """Check levels L0 to L2 of the ledger of one run and return everything found.

    `lines` are the entries without line feeds, in order. `notes` are signed checkpoints from anywhere: the
    export, a merge commit, a witness; those that the ledger itself records are checked as well. `key` is the
    C2SP key line of the run, or several. Without a key the signatures are not checked, and no note counts as a
    witness. With `blob` (digest → content or None) every large value that an entry refers to is checked too.
    `processes` above 1 share the reading of the lines.
    """
    keys = Keys([key] if isinstance(key, str) else key)
    verification = Verification(keys=keys, notes=notes, blob=blob)
    verification.read(read_batches(lines, parse, processes))
    return verification.report()


@dataclass
class Verification:
    """One pass over a ledger; what later levels need of it stays in `course` and `tree`."""

    keys: Keys
    notes: Sequence[str] = ()
    rotations: Sequence[str] = ()  #: notes on changes of the key, told from outside
    blob: ReadBlob | None = None
    keeps_levels: bool = False  #: for roots of any size, asked for later
    findings: list[Finding] = field(default_factory=list)
    run: str = ""
    entries: int = 0
    head: bytes = bytes(32)

    def __post_init__(self) -> None:
        read = [read_note(note, self.findings) for note in self.notes]
        told = [read_rotation(note) for note in self.rotations]
        self._outside = [note for note in read if note is not None]
        self._inside: list[Note] = []
        self._rotations: list[Rotation] = [change for change in told if change is not None]
        self._next_seq = 1
        self._seen: dict[str, bool] = {}  #: digest → whether its content is what it says
        self._wanted = sorted({note.size for note in self._outside}, reverse=True)
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self._levels: list[Levels] = []
        self.tree = Tree()
        self.course = Course(self.findings)

    def read(self, batches: Iterable[Batch]) -> None:
        """Take the batches in, in order."""
        for batch in batches:
            self._join(batch)
            self.findings += batch.findings
            self.tree.grow(batch.levels)
            while self._wanted and self._wanted[-1] <= self.tree.size:
                size = self._wanted.pop()
                self._roots.setdefault(size, self.tree.root(size))
            for step in batch.steps:
                self._follow(*step)
            self.course.answer(batch.answers)
            for seq, digest in batch.large:
                self._check_blob(seq, digest)
            if self.keeps_levels:
                self._levels.append(batch.levels)
            self.entries += batch.count
            self.head, self._next_seq = batch.last, batch.next_seq
        self.course.end()

    def roots_at(self, sizes: frozenset[int]) -> dict[int, bytes]:
        """Return the roots over the first so many entries; those beyond the end are left out. Needs `keeps_levels`."""
        tree, found = Tree(), {}
        for levels in self._levels:
            tree.grow(levels)
            found.update({n: tree.root(n) for n in sizes if tree.base < n <= tree.size})
        return found

    def _join(self, batch: Batch) -> None:
        """Check that a batch continues the one before."""
        self.run = self.run or batch.run
        if not batch.prev:
            return  # its first line says nothing, which is a finding already
        if batch.prev != self.head.hex():
            self._find(batch.first, "prev is not the hash of the entry before")
        if batch.seq != self._next_seq:
            self._find(batch.first, f"expected seq {self._next_seq}, but got {batch.seq}")
        if batch.run != self.run:
            self._find(batch.first, f"expected run {self.run}, but got {batch.run}")

    def _follow(self, seq: int, epoch: int, kind: str, told: Record) -> None:
        if kind == "checkpoint.signed":
            note = read_recorded(told["body"], seq, self.tree, self.findings)
            self._inside += [note] if note else []
        elif kind == "key.rotated":
            change = read_rotation(str(told["body"].get("statement", "")), seq)
            if change is None:
                self._find(seq, "the signing key was changed without the word of the key before it")
            else:
                self._rotations.append(change)
        elif kind == "run.created" and isinstance(told["body"].get("files"), dict):
            for digest in told["body"]["files"].values():
                self._check_blob(seq, str(digest))
        self.course.follow(seq, epoch, kind, told)

    def _check_blob(self, seq: int, digest: str) -> None:
        """Check a large value and those it refers to in turn."""
        if self.blob is None or digest in self._seen:
            if not self._seen.get(digest, True):
                self._find(seq, f"the content {digest} is missing or altered", "L0")
            return
        content = self.blob(digest)
        good = content is not None and f"sha256:{sha256(content).hexdigest()}" == digest
        self._seen[digest] = good
        if not good:
            self._find(seq, f"the content {digest} is missing or altered", "L0")
        for inner in large_values(content or b""):
            self._check_blob(seq, inner)

    def _find(self, seq: int, message: str, level: str = "L1") -> None:
        self.findings.append(Finding(seq, level, message))

    def report(self) -> Report:
        """Return what was found so far."""
        findings = list(self.findings)
        notes = [*self._inside, *self._outside]
        signed = witnesses(notes, self._rotations, self.keys, self.run, findings)
        outside = [note for note in (signed if self.keys else notes) if not note.seq]
        astray = {
            id(note)
            for note in outside
            if not is_committed(note, self.entries, self._roots.get(note.size), findings)
        }
        good = [note for note in signed if id(note) not in astray]
        return Report(
            run=self.run,
            entries=self.entries,
            head=self.head.hex(),
            root=self.tree.root().hex(),
            checkpoints=len({(note.size, note.root) for note in good}),
            witnessed=max((note.size for note in good), default=0),
            findings=tuple(sorted(set(findings))),
        )
