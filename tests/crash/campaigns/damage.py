"""What time and hardware do to files at rest: flipped bytes, an older copy put back, objects gone, a clock that jumps.

Each must be noticed (an exit code and a sentence) or be harmless (every answer is what it would have been).
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.crash import nursery
from tests.crash.judge import Tally, check_spoken, finish, judge, report_of
from tests.crash.project import RUN, SOUND, Nest, Shape

Content = dict[str, list[tuple[object, ...]]]  #: rows by table
LOOKS = (("ledger", "verify"), ("replay",), ("status", "--json"), RUN)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said: exit code and standard output."""

    code: int | None
    output: str


# --- flipped bytes -----------------------------------------------------------------------------------


def flips(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Flip one byte of database, export, blob or vault of a finished or half-way run; look, and go on."""
    with nest.project(SOUND) as done, nest.project(SOUND) as half:
        nursery.call(done, *RUN)
        engine = nursery.start(half, *RUN)
        engine.wait(nest.run_s * 0.7)
        engine.kill(to_all=True)
        for number in rounds:
            chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
            _flip(nest, tally, number, chance, done, half)


def _flip(
    nest: Nest, tally: Tally, number: int, chance: random.Random, done: Path, half: Path
) -> None:
    is_done = chance.random() < 0.6
    with nest.copy(done if is_done else half) as root:
        before = content(root)
        what = _flip_one(root, chance)
        name = f"round {number} ({'finished' if is_done else 'half-way'}): {what}"
        noticed = _is_noticed(root, tally, name, to_the_end=number % 5 == 0)
        tally.counts["rounds"] += 1
        if noticed:
            tally.counts["noticed"] += 1
        elif is_done and (other := _difference(before, content(root))):
            tally.bad("wrong", f"{name}: nobody noticed that the database says {other}")
        else:
            tally.counts["harmless"] += 1
            judge(root, SOUND, tally, name)


def _flip_one(root: Path, chance: random.Random) -> str:
    home = root / ".engine"
    kinds = [
        [home / "engine.db"],
        [home / "engine.db-wal"],
        [*home.glob("ledger/*/*.jsonl"), *home.glob("ledger/*/checkpoint*")],
        [*home.glob("blobs/sha256/*/*")],
    ]
    weights = [10, 4, 3, 3]
    while True:
        files = [p for p in chance.choices(kinds, weights)[0] if p.is_file() and p.stat().st_size]
        if files:
            break
    path = chance.choice(sorted(files))
    data = bytearray(path.read_bytes())
    at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
    data[at] ^= bit
    path.chmod(0o600)
    path.write_bytes(data)
    return f"bit {bit:#04x} of byte {at} of {path.relative_to(root)}"


def _is_noticed(root: Path, tally: Tally, name: str, *, to_the_end: bool) -> bool:
    """Ask what there is to ask until one answer is a notice (an exit code that says so). Each must be a sentence."""
    noticed = False
    for words in LOOKS:
        answer = nursery.call(root, *words)
        if answer.code is None or answer.code < 0:
            tally.bad("stuck", f"{name}: {' '.join(words)}: {answer.said()}")
        check_spoken(answer, tally, f"{name}: {' '.join(words)}")
        noticed = noticed or answer.code in (5, 6)
        if noticed and not to_the_end:
            break
    return noticed


def content(root: Path) -> Content:
    """Return every row of the database, or only {"error": …} when it cannot be read."""
    path = root / ".engine" / "engine.db"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            tables = [
                name
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
                )
            ]
            return {
                name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
                for name in tables
            }
    except sqlite3.Error as error:
        return {"error": [(str(error),)]}


def _difference(before: Content, after: Content) -> str:
    found = {
        table: [row for row in rows if row not in before.get(table, [])]
        for table, rows in after.items()
        if rows != before.get(table)
    }
    return f"{found}"[:1200] if found else ""


# --- an older copy -----------------------------------------------------------------------------------


def restored(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Keep a copy of the database (or of the whole engine home) half-way, let the run go on, put the copy back, go on.

    Refused with a sentence, or the run ends as if nothing had been: never a second merge, never a shorter ledger unseen.
    """
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        with nest.project(SOUND) as root:
            _stop_at(root, chance.uniform(0.2, 0.9) * nest.run_s)
            whole = chance.random() < 0.4
            copied = _copy(root, root.parent / "copy", whole)
            later = chance.random()
            if later < 0.5:
                nursery.call(root, *RUN)
            else:
                _stop_at(root, chance.uniform(0.2, 0.9) * nest.run_s)
            was = len(content(root).get("entry", []))
            _put_back(root, copied, whole)
            now = len(content(root).get("entry", []))
            name = f"round {number}: {'home' if whole else 'database'} put back, {now} of {was} entries"
            _after_restore(root, tally, name, is_older=now < was, is_fresh=whole and now == 0)
        tally.counts["rounds"] += 1


def _after_restore(root: Path, tally: Tally, name: str, *, is_older: bool, is_fresh: bool) -> None:
    engine = nursery.call(root, *RUN)
    check_spoken(engine, tally, name)
    if engine.code is None or engine.code < 0:
        tally.bad("stuck", f"{name}: {engine.said()}")
    elif engine.code in (5, 6):
        tally.counts["refused"] += 1
    elif (
        is_fresh
    ):  # a home from before the run: as a colleague's clone, which goes on from the branch
        tally.counts["home without the run"] += 1
    else:
        tally.counts["older, went on" if is_older else "same, went on"] += 1
        judge(root, SOUND, tally, name, engine)


def _stop_at(root: Path, delay_s: float) -> None:
    engine = nursery.start(root, *RUN)
    if not engine.wait(delay_s):
        engine.kill(to_all=True)
    nursery.orphans()


def _copy(root: Path, target: Path, whole: bool) -> Path:
    target.mkdir()
    home = root / ".engine"
    if whole:
        shutil.copytree(home, target / ".engine", symlinks=True)
        return target
    for path in home.glob("engine.db*"):
        shutil.copy2(path, target / path.name)
    return target


def _put_back(root: Path, copied: Path, whole: bool) -> None:
    home = root / ".engine"
    if whole:
        shutil.rmtree(home)
        shutil.copytree(copied / ".engine", home, symlinks=True)
        return
    for path in home.glob("engine.db*"):
        path.unlink()
    for path in copied.iterdir():
        shutil.copy2(path, home / path.name)


# --- missing objects ---------------------------------------------------------------------------------


def objects(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Delete one object, pack or ref of the vault half-way; go on. Refused or waiting with a sentence, or done."""
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        with nest.project(SOUND) as root:
            _stop_at(root, chance.uniform(0.3, 1.0) * nest.run_s)
            vault = root / ".engine" / "vault.git"
            files = sorted(
                path
                for folder in ("objects", "refs")
                for path in (vault / folder).rglob("*")
                if path.is_file()
            )
            if files:
                gone = chance.choice(files)
                gone.chmod(0o600)
                gone.unlink()
                _after_loss(root, tally, f"round {number}: {gone.relative_to(vault)} gone", SOUND)
                tally.counts["files gone"] += 1
        tally.counts["rounds"] += 1


def _after_loss(root: Path, tally: Tally, name: str, shape: Shape) -> None:
    engine = nursery.call(root, *RUN)
    check_spoken(engine, tally, name)
    if engine.code is None or engine.code < 0:
        tally.bad("stuck", f"{name}: {engine.said()}")
    elif engine.code != 0:
        tally.counts[f"exit {engine.code}"] += 1
    elif nursery.call(root, "ledger", "verify").code != 0:
        tally.counts["noticed by verify"] += 1
    elif (report_of(root) or {}).get("notices"):
        tally.counts["noticed in the report"] += 1
    else:
        tally.counts["harmless"] += 1
        judge(root, shape, tally, name, engine)


# --- the clock ---------------------------------------------------------------------------------------


def clock(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Kill and resume under a clock that jumped by hours or days, both ways (libfaketime); then run the feature anew."""
    library = faketime()
    if library is None:
        tally.counts["left out: needs libfaketime"] = 1
        return
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        with nest.project(SOUND) as root:
            hours = [chance.choice((-400, -48, -1, 0, 1, 48, 9000)) for _ in range(3)]
            name = f"round {number}: the clock is off by {hours} hours"
            for jump in hours:
                engine = nursery.execute(root, *RUN, variables=_jump(library, jump))
                if engine.wait(chance.uniform(0.2, 1.6) * nest.run_s + 0.7):
                    break
                engine.kill(to_all=True)
                tally.counts["jumps"] += 1
            finish(root, SOUND, tally, name)
        tally.counts["rounds"] += 1


def faketime() -> Path | None:
    """Return the library that fakes the clock, or None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def _jump(library: Path, hours: int) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{hours:+d}h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
