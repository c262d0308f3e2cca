"""The auditor's verifier: what must hold of a ledger, checked with no code of the engine that wrote it.

It shares with the writer only the format (contracts/ledger-entry.v1.json) and RFC 8785, 6962, 8032, so that a
bug of the writer cannot hide itself. One pass over the lines checks three levels; each has a module:

- **L0 bytes** (`lines`): every line is canonical JSON with the members an entry has; no number is a float; large
  values are what their digests say.
- **L1 chain and tree** (`tree`): seq, prev and hash of every entry; every checkpoint is signed by a trusted key,
  commits to exactly the entries it counts, and so continues the one before; nothing is missing behind the newest.
- **L2 course** (`course`): a run does nothing that what it did before does not allow.

Findings are collected, never raised: an auditor wants all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from engine.audit.course import Course
from engine.audit.findings import Finding, Record
from engine.audit.lines import Parser, ReadBlob, blob_findings, parser, shape_problem
from engine.audit.tree import (
    TAG,
    Keys,
    Note,
    Tree,
    check_recorded,
    is_committed,
    link_findings,
    read_note,
)

BYTES_CHAIN_COURSE: Final = ("L0", "L1", "L2")


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

    @property
    def ok(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings


def verify(
    lines: Iterable[bytes],
    notes: Sequence[str] = (),
    key: str | Sequence[str] = "",
    blob: ReadBlob | None = None,
    *,
    parse: Parser | None = None,
) -> Report:
    """Check levels L0 to L2 of the ledger of one run and return everything found.

    `lines` are the entries without line feeds, in order. `notes` are signed checkpoints from anywhere: the
    export, a merge commit, a witness; those that the ledger itself records are checked as well. `key` is the
    C2SP key line of the run, or several. Without a key the signatures are not checked, and no note counts as a
    witness. With `blob` (digest → content or None) every large value that an entry refers to is checked too.
    """
    keys = Keys.of([key] if isinstance(key, str) else key)
    verification = Verification(keys=keys, notes=notes, blob=blob, parse=parse or parser())
    verification.read(lines)
    return verification.report()


@dataclass
class Verification:
    """One pass over a ledger; what later levels need of it stays in `course` and `tree`."""

    keys: Keys
    notes: Sequence[str] = ()
    blob: ReadBlob | None = None
    parse: Parser = field(default_factory=parser)
    sizes: frozenset[int] = frozenset()  #: further sizes at which the root is asked for
    findings: list[Finding] = field(default_factory=list)
    run: str = ""
    seq: int = 0
    head: bytes = bytes(32)

    def __post_init__(self) -> None:
        read = [read_note(note, self.keys, self.findings) for note in self.notes]
        self._outside = [note for note in read if note is not None]
        self._inside: list[Note] = []
        self.tree = Tree(self.sizes | {note.size for note in self._outside})
        self.course = Course(self.findings)

    def read(self, lines: Iterable[bytes]) -> None:
        """Take the lines in."""
        parse, tree, findings, blob = self.parse, self.tree, self.findings, self.blob
        digest, seq, prev = self.head, self.seq, self.head.hex()
        for line in lines:
            seq += 1
            record = parse(line)
            if record is None:
                message = f"the line is not canonical JSON: {line[:60]!r}"
                findings.append(Finding(seq, "L0", message))
            elif problem := shape_problem(record, prev):
                findings.append(Finding(seq, "L0", problem))
            else:
                self._take(seq, record, prev)
            if blob is not None and b'"$blob"' in line:
                findings += blob_findings(seq, line, blob)
            digest = sha256(TAG + digest + line).digest()
            prev = digest.hex()
            tree.add(line)
        self.head, self.seq = digest, seq

    def _take(self, seq: int, record: Record, prev: str) -> None:
        self.run = self.run or record["run"]
        if record["prev"] != prev or record["seq"] != seq or record["run"] != self.run:
            self.findings += link_findings(record, seq, prev, self.run)
        if record["type"] == "checkpoint.signed":
            note = check_recorded(record, seq, self.tree, self.keys, self.findings)
            self._inside += [note] if note else []
        self.course.follow(seq, record)

    def report(self) -> Report:
        """Return what was found so far."""
        findings = list(self.findings)
        good = [note for note in self._outside if is_committed(note, self.tree, findings)]
        good += self._inside
        return Report(
            run=self.run,
            entries=self.seq,
            head=self.head.hex(),
            root=self.tree.root().hex(),
            checkpoints=len({(note.size, note.root) for note in good}),
            witnessed=max((note.size for note in good), default=0),
            findings=tuple(sorted(set(findings))),
        )
