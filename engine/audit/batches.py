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
from typing import Final

from engine.audit.findings import Finding, Record
from engine.audit.lines import Parser, large_values, parser, shape_problem
from engine.audit.tree import Levels, levels_of

TAG: Final = b"poundlock/ledger-entry/v1\n"
BATCH_LINES: Final = 1024  #: a power of two, so that a batch is a whole subtree
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
#: (seq, epoch, type, entry) of each of the engine's own records, and of the first turn of each stretch of turns
Step = tuple[int, int, str, Record]
Answered = tuple[str, str, str]  #: (job, request, task or child; instance; its name)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What was read. The first line says of itself `seq`, `prev` (hex) and `run`; 0 and "" when it says nothing."""

    first: int
    count: int
    seq: int
    prev: str
    run: str
    last: bytes  #: hash of the last line
    next_seq: int  #: what the line after the last should say of itself
    levels: Levels  #: of the Merkle tree over the batch
    steps: Sequence[Step]
    answers: Sequence[
        tuple[Answered, int]
    ]  #: (what a fact answers and nothing may answer again, seq)
    large: Sequence[tuple[int, str]]  #: (seq, digest) of the blobs that the lines name
    findings: Sequence[Finding]


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
    reader.read(lines, parse or parser())
    return Batch(
        first=first,
        count=len(lines),
        seq=reader.first_seq,
        prev=reader.first_prev,
        run=reader.run,
        last=reader.digest,
        next_seq=reader.expected,
        levels=levels_of(lines),
        steps=reader.steps,
        answers=reader.answers,
        large=reader.large,
        findings=reader.findings,
    )


class _Reader:
    """Follows the lines of one batch."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.first_seq, self.first_prev = 0, ""
        self.run = ""
        self.digest = bytes(32)
        self.expected = first
        self.epoch = 0  #: of the stretch of turns that goes on; 0 when none does
        self.steps: list[Step] = []
        self.answers: list[tuple[Answered, int]] = []
        self.large: list[tuple[int, str]] = []
        self.findings: list[Finding] = []

    def read(self, lines: Sequence[bytes], parse: Parser) -> None:
        """Check the lines and note what later levels ask about. The hot loop of an audit."""
        digest, prev, run, expected = self.digest, "", "", self.first
        for seq, line in enumerate(lines, self.first):
            record = parse(line)
            if record is None:
                self._find(seq, f"the line is not canonical JSON: {line[:60]!r}", "L0")
            elif problem := shape_problem(record, prev):
                self._find(seq, problem, "L0")
            else:
                if record["prev"] != prev or record["seq"] != expected or record["run"] != run:
                    self._join(seq, record, prev, expected)
                    digest, run = bytes.fromhex(record["prev"]), self.run
                    expected = record["seq"]
                if record["type"] != "instance.turn":
                    self.epoch = 0
                    self.steps.append((seq, record["epoch"], record["type"], record))
                else:
                    self._take_turn(seq, record)
            if b"$" in line and b'"$blob"' in line:  # one byte is found ten times as quickly
                self.large += [(seq, named) for named in large_values(line)]
            digest = sha256(TAG + digest + line).digest()
            prev = digest.hex()
            expected += 1
        self.digest, self.expected = digest, expected

    def _take_turn(self, seq: int, record: Record) -> None:
        if record["epoch"] != self.epoch:
            self.epoch = record["epoch"]
            self.steps.append((seq, record["epoch"], "instance.turn", {}))
        fact = record["fact"]
        what = ANSWERS.get(fact["kind"])
        if what is not None:
            self.answers.append(((what, record["instance"], str(fact.get(what))), seq))

    def _join(self, seq: int, record: Record, prev: str, expected: int) -> None:
        """Say what does not join the line to the one before. What it says of itself is what the next must join."""
        if seq == self.first:
            self.first_seq = record["seq"]
            self.first_prev, self.run = record["prev"], record["run"]
            return
        if record["prev"] != prev:
            self._find(seq, "prev is not the hash of the entry before")
        if record["seq"] != expected:
            self._find(seq, f"expected seq {expected}, but got {record['seq']}")
        if not self.run:  # nothing before it in this batch could be read
            self.run = record["run"]
        if record["run"] != self.run:
            self._find(seq, f"expected run {self.run}, but got {record['run']}")

    def _find(self, seq: int, message: str, level: str = "L1") -> None:
        self.findings.append(Finding(seq, level, message))


def _numbered(lines: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    first = 1
    while batch := list(islice(lines, BATCH_LINES)):
        yield first, batch
        first += len(batch)
