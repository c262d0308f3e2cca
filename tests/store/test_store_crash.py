"""kill -9 at any moment: what was acknowledged is there, the chain holds, the export is mended."""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

from engine.audit import verify, verify_folder
from engine.core.model import JobCompleted
from engine.ledger import EntryType, note, turn, verify_chain
from engine.ledger.checkpoints import ensure_key
from engine.ledger.export import Exporter
from engine.store import EffectDone, EffectIntended, Store

AT = datetime(2026, 11, 20, tzinfo=UTC)
KILLS = 30


def test_thirty_kills_lose_nothing_and_double_nothing(tmp_path):
    seed = random.SystemRandom().randrange(10**9)
    rng = random.Random(seed)
    acknowledged: set[tuple[int, int]] = set()
    with Store.open(tmp_path / "engine.db") as store:
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
    for kill in range(KILLS):
        acknowledged |= killed_writer(tmp_path, kill, after_s=rng.uniform(0.01, 0.12))
        check(tmp_path, acknowledged, f"seed {seed}, kill {kill}")
    assert len(acknowledged) > KILLS, f"seed {seed}: the writers hardly wrote"


def killed_writer(home: Path, kill: int, after_s: float) -> set[tuple[int, int]]:
    """Fork a writer, kill it, and return the (job number, seq) pairs that it acknowledged."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            write_for_ever(home, kill, write)
        finally:
            os._exit(1)
    os.close(write)
    ready, _, _ = select.select([read], [], [], 10)
    assert ready, "the writer did not start"
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        content = pipe.read()
    return set(struct.iter_unpack("<QQ", content[: len(content) // 16 * 16]))


def write_for_ever(home: Path, kill: int, acknowledge: int) -> None:
    store = Store.open(home / "engine.db")
    store.take_over("r1", at=AT)
    exporter = Exporter(home / "ledger", lambda n: store.lines("r1", after=n), segment_entries=50)
    for number in range(kill * 100_000, kill * 100_000 + 100_000):
        facts = [
            JobCompleted(at=AT, job=f"A#{number}.{n}", variables={"v": "x" * 500}) for n in (1, 2)
        ]
        drafts = [turn("0", fact, []) for fact in facts]
        if number % 5 == 0:
            drafts.append(note(EntryType.RUN_STOPPED, AT, {"status": "stopped"}))
        effect = f"e{number}"
        sealed = store.append("r1", drafts, [EffectIntended(key=effect, kind="x")])
        os.write(acknowledge, struct.pack("<QQ", number, sealed[0].seq))
        store.append("r1", [], [EffectDone(key=effect)])
        if number % 3 == 0:
            store.checkpoint("r1", AT)
        exporter.catch_up()


def check(home: Path, acknowledged: set[tuple[int, int]], context: str) -> None:
    key = ensure_key(home).key_line("r1")
    with Store.open(home / "engine.db", read_only=True) as reader:  # `engine ledger show`, say
        assert verify_chain(reader.lines("r1")) == reader.head("r1"), context
    with Store.open(home / "engine.db") as store:
        store.check()
        head = verify_chain(store.lines("r1"))
        assert head == store.head("r1"), context
        report = verify(store.lines("r1"), store.checkpoints("r1"), key)
        assert report.ok, (context, report.findings)
        outcomes: dict[str, int] = {}
        for entry in store.entries("r1", types=[EntryType.INSTANCE_TURN]):
            job = str(entry.fact["job"])
            assert job not in outcomes, (context, job)
            outcomes[job] = entry.seq
        for number, seq in acknowledged:
            assert outcomes.get(f"A#{number}.1") == seq, (context, number)
            assert outcomes.get(f"A#{number}.2") == seq + 1, (context, number)
        lines = list(store.lines("r1"))
        exporter = Exporter(home / "ledger", lambda n: lines[n:], segment_entries=50)
        assert exporter.seq == len(lines)
    exported = b"".join(path.read_bytes() for path in sorted((home / "ledger").glob("*.jsonl")))
    assert exported == b"\n".join(lines) + b"\n", context
    assert verify_folder(home / "ledger", key=key).ok, context
