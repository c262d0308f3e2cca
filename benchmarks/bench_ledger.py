"""Ledger and store: CPU of an append, durable rate, audit, resume; beside plain SQLite inserts and bare fsync.

    python -m benchmarks.bench_ledger [entries] [--json]

Rates of one run are comparable with each other only: the disk and the neighbours of the machine are in them.
An entry is the turn of an instance: a job's outcome with four events, about 630 bytes. Targets: audit L0 to L2 at
80,000 entries/s, durable append in batches at 5,000 entries/s, resume of 100,000 entries in 5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.audit import verify
from engine.audit.lines import parser
from engine.audit.rederive import Derived, checked, records, rederive
from engine.core.model import ElementActivated, ElementCompleted, JobCompleted
from engine.ledger import Draft, Head, seal, turn, verify_chain
from engine.ledger.export import Exporter
from engine.runtime.older import refuse_older_database
from engine.store import InstanceOpened, Store, sqlite
from tests.audit.finished import finished_run

AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)
EVENTS = (
    ElementCompleted(element="Task_verify", visit=1),
    ElementActivated(element="Gateway_ok", visit=1),
    ElementCompleted(element="Gateway_ok", visit=1, flows=("Flow_yes",)),
    ElementActivated(element="Task_merge", visit=1),
)
BATCH = 32
OPEN = 100  #: instances that are rebuilt when the run goes on, of eight facts each
CORES = min(4, os.cpu_count() or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("entries", type=int, nargs="?", default=100_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.entries)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<58} {value:>12,.1f}")


def measure(entries: int) -> dict[str, float]:
    """Return {what: figure}; the unit is in the name."""
    drafts = [draft(number) for number in range(entries // BATCH * BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        return {
            **seal_cost(drafts[:5000]),
            **append_cost(home / "fast", drafts[:20_000]),
            **with_ratios(
                durable(home / "full", drafts)
                | plain_sqlite(home / "plain.db", drafts[: len(drafts) // 4])
                | bare_fsync(home / "fsync")
            ),
            **derived_anew(home / "run"),
        }


def with_ratios(found: dict[str, float]) -> dict[str, float]:
    """Return the figures and how they stand to what the disk and SQLite cost anyway."""
    ours = found[f"durable append in batches of {BATCH}, entries/s"]
    plain = found[f"plain SQLite, one table, batches of {BATCH}, entries/s"]
    fsync_ms = found["fdatasync of a batch's bytes, ms"]
    return found | {
        "durable append, times the wall of plain SQLite inserts": plain / ours,
        "durable append of a batch, times one fdatasync": BATCH / ours * 1000 / fsync_ms,
    }


def draft(number: int) -> Draft:
    fact = JobCompleted(
        at=AT,
        job=f"Task_verify#{number}.1",
        variables={"ok": True, "failed": 0, "commit": "a" * 40},
    )
    return turn(f"0.Call_wave#1[{number // 8}]", fact, EVENTS)


def seal_cost(drafts: Sequence[Draft]) -> dict[str, float]:
    head = Head("r1", 1)
    spent = cpu(lambda: [seal(head, item) for item in drafts])
    built = cpu(lambda: [draft(number) for number in range(len(drafts))])
    return {
        "bytes per entry": float(len(seal(head, drafts[0]).line)),
        "turn to draft, us CPU": built / len(drafts) * 1e6,
        "seal, us CPU": spent / len(drafts) * 1e6,
    }


def append_cost(home: Path, drafts: Sequence[Draft]) -> dict[str, float]:
    """Append without waiting for the disk: what is left is our CPU and SQLite's."""
    with without_fsync(), a_store(home) as store:
        spent = cpu(lambda: append(store, drafts, BATCH))
        single = cpu(lambda: append(store, [draft(10**6 + n) for n in range(1000)], 1))
    return {
        f"append in batches of {BATCH}, us CPU per entry without fsync": spent / len(drafts) * 1e6,
        "append one by one, us CPU per entry without fsync": single / 1000 * 1e6,
    }


def durable(home: Path, drafts: Sequence[Draft]) -> dict[str, float]:
    with a_store(home) as store:
        took = wall(lambda: append(store, drafts, BATCH))
        opened = [f"0.Call_wave#1[{number}]" for number in range(OPEN)]
        store.append("r1", [], [InstanceOpened(instance=name, process="p") for name in opened])
    folder = home / "ledger" / "r1"
    with Store.open(home / "engine.db") as store:
        exported = wall(lambda: Exporter(folder, lambda n: store.lines("r1", after=n)))
        lines = list(store.lines("r1"))
    resumed = wall(lambda: resume(home, folder))
    chain = cpu(lambda: verify_chain(lines))
    audited = cpu(lambda: verify(lines))
    return {
        f"durable append in batches of {BATCH}, entries/s": len(drafts) / took,
        "verify the chain, entries/s CPU": len(lines) / chain,
        "audit L0 to L2, entries/s CPU of one process": len(lines) / audited,
        **audit_by_command(folder, len(lines)),
        "export, entries/s": len(lines) / exported,
        f"resume a run of {len(lines)} entries, ms": resumed * 1000,
    }


def audit_by_command(folder: Path, entries: int) -> dict[str, float]:
    """`python -m engine.audit`, which reads long ledgers with several processes; it starts none for itself in vain.

    On a busy machine the wall says more of the neighbours than of us, so the processor time of the busiest process is
    told too: with as many free cores as processes the wall cannot be better, and is hardly worse.
    """
    command = [sys.executable, "-m", "engine.audit", str(folder), "--level", "L2", "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took = json.loads(done.stdout)["seconds"]["L0 to L2"]
    return {
        f"audit L0 to L2, entries/s wall, {CORES} processes": entries / took,
        f"audit L0 to L2, entries/s CPU of {CORES} processes, start included": CORES
        * entries
        / spent,
    }


def resume(home: Path, folder: Path) -> None:
    """All that reads the ledger before a run goes on: nothing newer elsewhere, take-over, export, open instances."""
    with Store.open(home / "engine.db") as store:
        refuse_older_database(store, "r1", folder)
        store.take_over("r1", at=AT)
        Exporter(folder, lambda n: store.lines("r1", after=n))
        for row in store.open_instances("r1"):
            assert store.facts("r1", row.instance)


def derived_anew(place: Path) -> dict[str, float]:
    """L3 of a finished run of three tasks; loading the definitions is most of it for a run that short."""
    finished = finished_run(place)
    blob = checked(finished.blobs.get)
    loading = cpu(lambda: rederive(records(finished.lines[:1], parser()), blob))
    found: list[Derived] = []
    took = cpu(lambda: found.append(rederive(records(finished.lines, parser()), blob)))
    assert found[0].findings == []
    return {
        "L3: loading the definitions, ms CPU": loading * 1000,
        "L3: turns folded, policies asked and verdicts made again, turns/s CPU": found[0].turns
        / max(took - loading, 1e-9),
    }


def plain_sqlite(path: Path, drafts: Sequence[Draft]) -> dict[str, float]:
    """The same lines inserted by the standard library into one table without any index but its key."""
    head = Head("r1", 1)
    rows = [(number, seal(head, item).line) for number, item in enumerate(drafts)]
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    database.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, line BLOB)")

    def insert() -> None:
        for start in range(0, len(rows), BATCH):
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO entry VALUES (?, ?)", rows[start : start + BATCH])
            database.execute("COMMIT")

    took = wall(insert)
    database.close()
    return {f"plain SQLite, one table, batches of {BATCH}, entries/s": len(rows) / took}


def bare_fsync(path: Path) -> dict[str, float]:
    with path.open("wb") as file:

        def write() -> None:
            for _ in range(200):
                file.write(b"x" * 600 * BATCH)
                file.flush()
                os.fdatasync(file.fileno())

        return {"fdatasync of a batch's bytes, ms": wall(write) / 200 * 1000}


@contextmanager
def a_store(home: Path) -> Iterator[Store]:
    with Store.open(home / "engine.db") as store:
        store.create_run("r1", feature="bench", bundle="0" * 64, at=AT)
        yield store


def append(store: Store, drafts: Sequence[Draft], batch: int) -> None:
    for start in range(0, len(drafts), batch):
        store.append("r1", drafts[start : start + batch])


@contextmanager
def without_fsync() -> Iterator[None]:
    connect = sqlite.SqliteFile._connect

    def hurried(self: sqlite.SqliteFile, mode: str) -> sqlite3.Connection:
        connection = connect(self, mode)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    sqlite.SqliteFile._connect = hurried  # type: ignore[method-assign]  # measured, not shipped
    try:
        yield
    finally:
        sqlite.SqliteFile._connect = connect  # type: ignore[method-assign]  # put back


def cpu(action: Callable[[], Any]) -> float:  # Any: the result is not looked at
    start = time.process_time()
    action()
    return time.process_time() - start


def wall(action: Callable[[], Any]) -> float:  # Any: the result is not looked at
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
