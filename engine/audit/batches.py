"""One batch of consecutive lines, read on its own: L0, the links within it, and what the later levels need of it.

A line says itself which hash it continues, so a batch can be checked before the batches ahead of it are: what is left
to the one who puts batches together is one comparison at each border. Long ledgers are read by several processes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final

from engine.audit.findings import Finding, Record
from engine.audit.lines import Parser, large_values, parser, shape_problem

TAG: Final = b"poundlock/ledger-entry/v1\n"
BATCH_LINES: Final = 1024
WORTH_PROCESSES: Final = 30_000  #: entries from which a second process pays for its start
#: facts that are given once, and the member that names what they answer
ANSWERS: Final = {
    "job_completed": "job",
    "job_failed": "job",
    "bpmn_error_thrown": "job",
    "verdict_given": "request",
    "user_task_completed": "task",
    "child_ended": "child",
}
#: (seq, epoch, type, what the course asks about: of a turn the name of what it answers, of the rest the entry)
Step = tuple[int, int, str, Any]  # Any: parsed JSON


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What was read. The first line says of itself `seq`, `prev` (hex) and `run`; 0 and "" when it says nothing."""

    first: int
    seq: int
    prev: str
    run: str
    last: bytes  #: hash of the last line
    next_seq: int  #: what the line after the last should say of itself
    leaves: tuple[bytes, ...]
    steps: tuple[Step, ...]
    large: tuple[tuple[int, str], ...]  #: (seq, digest) of the blobs that the lines name
    findings: tuple[Finding, ...]


def read_batches(
    lines: Iterable[bytes], parse: Parser | None = None, processes: int = 1
) -> Iterator[Batch]:
    """Yield the batches of a ledger in order. With `processes` above 1 that many others do the reading."""
    batches = _numbered(iter(lines))
    if processes < 2:
        read = parse or parser()
        yield from (read_batch(first, batch, read) for first, batch in batches)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        under_way: deque[Future[Batch]] = deque()
        for first, batch in batches:
            under_way.append(pool.submit(read_batch, first, batch))
            if len(under_way) > 4 * processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def useful_processes(entries: int) -> int:
    """Return how many processes to read `entries` with on this machine: 1 unless the ledger is long."""
    return min(4, os.cpu_count() or 1) if entries >= WORTH_PROCESSES else 1


def read_batch(first: int, lines: Sequence[bytes], parse: Parser | None = None) -> Batch:
    """Read `lines`, of which the first should have the number `first`."""
    reader = _Reader(first)
    read = parse or parser()
    for seq, line in enumerate(lines, first):
        reader.take(seq, line, read(line))
    return Batch(
        first=first,
        seq=reader.first_seq,
        prev=reader.first_prev,
        run=reader.run,
        last=reader.digest,
        next_seq=reader.expected,
        leaves=tuple([sha256(b"\x00" + line).digest() for line in lines]),
        steps=tuple(reader.steps),
        large=tuple(reader.large),
        findings=tuple(reader.findings),
    )


class _Reader:
    """Follows the lines of one batch."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.first_seq, self.first_prev = 0, ""
        self.run = ""
        self.digest = bytes(32)
        self.prev = ""
        self.expected = first
        self.steps: list[Step] = []
        self.large: list[tuple[int, str]] = []
        self.findings: list[Finding] = []

    def take(self, seq: int, line: bytes, record: Record | None) -> None:
        """Check one line and note what later levels ask about."""
        if record is None or (problem := shape_problem(record, self.prev)):
            if record is None:
                problem = f"the line is not canonical JSON: {line[:60]!r}"
            self.findings.append(Finding(seq, "L0", problem))
        else:
            before = record["prev"]
            if before != self.prev or record["seq"] != self.expected or record["run"] != self.run:
                self._join(seq, record, before)
            kind = record["type"]
            told = _answered(record) if kind == "instance.turn" else record
            self.steps.append((seq, record["epoch"], kind, told))
        if b'"$blob"' in line:
            self.large += [(seq, digest) for digest in large_values(line)]
        self.digest = sha256(TAG + self.digest + line).digest()
        self.prev = self.digest.hex()
        self.expected += 1

    def _join(self, seq: int, record: Record, before: str) -> None:
        """Say what does not join the line to the one before, and go on from what it says itself."""
        if seq == self.first:
            self.first_seq = self.expected = record["seq"]
            self.first_prev, self.run = before, record["run"]
        elif before != self.prev:
            self._find(seq, "prev is not the hash of the entry before")
        if record["seq"] != self.expected:
            self._find(seq, f"expected seq {self.expected}, but got {record['seq']}")
            self.expected = record["seq"]
        if record["run"] != self.run:
            self._find(seq, f"expected run {self.run}, but got {record['run']}")
        self.digest = bytes.fromhex(before)

    def _find(self, seq: int, message: str) -> None:
        self.findings.append(Finding(seq, "L1", message))


def _answered(record: Record) -> str:
    """Return the name of what the fact of a turn answers and nothing may answer again, or ""."""
    fact = record["fact"]
    what = ANSWERS.get(fact["kind"])
    return f"{what} {record['instance']}/{fact.get(what)}" if what else ""


def _numbered(lines: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    first = 1
    while batch := list(islice(lines, BATCH_LINES)):
        yield first, batch
        first += len(batch)
