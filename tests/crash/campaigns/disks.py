"""Disks that are full or fail: at every 4 KiB of a run, at every n-th write and sync; and git's locks left behind.

The disk is mended afterwards (space given, error gone), and then the run must finish as if nothing had been.
"""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash import nursery
from tests.crash.campaigns.kills import is_durable
from tests.crash.judge import Tally, check_spoken, finish
from tests.crash.nursery import STUCK_S
from tests.crash.project import RUN, SOUND, Nest
from tests.crash.steps import Step

PAGE_KIB = 4
ROOMY_KIB = 64 * 1024
WRITES = ("write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate")
MAKES = ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink")


def full_disk(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Run on a file system with room for 4, 8, 12 … KiB more than the project, until a run fits; in order, as many as it takes.

    A short form takes its few rounds evenly from all sizes.
    """
    with _file_system(nest.folder / "disk") as disk, nest.project(SOUND, at=disk):
        empty = _used_kib(disk)
    sizes = range(empty, ROOMY_KIB, PAGE_KIB)
    for number in rounds:
        size = sizes[number - 1]
        if _on_disk_of(size, nest, tally, number):
            break


def _on_disk_of(size_kib: int, nest: Nest, tally: Tally, number: int) -> bool:
    """Play one size; return whether the run did not notice that the disk is small."""
    what = f"round {number}: a disk of {size_kib} KiB"
    with _file_system(nest.folder / "disk", size_kib) as disk, nest.project(SOUND, at=disk) as root:
        variables = {"TMPDIR": str(root)} if number % 2 else {}
        engine = nursery.start(root, *RUN, log="full", variables=variables, logs=nest.folder)
        if not engine.wait():
            tally.bad("stuck", f"{what}: {engine.said()}")
            engine.kill(to_all=True)
        check_spoken(engine, tally, what)
        fits = engine.code == 0
        tally.counts["rounds"] += 1
        tally.counts["runs that fitted" if fits else "full disks"] += 1
        _mount(disk, ROOMY_KIB, remount=True)
        finish(root, SOUND, tally, what)
    return fits


@contextmanager
def _file_system(folder: Path, size_kib: int = ROOMY_KIB) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    _mount(folder, size_kib)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(folder: Path, size_kib: int, *, remount: bool = False) -> None:
    options = f"size={size_kib}k" + (",remount" if remount else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def _used_kib(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


# --- errors of the disk ------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Failing:
    """Fails the `nth` step of the kinds in `calls` with `error`; with `lasting`, every later one too."""

    root: Path
    nth: int
    calls: tuple[str, ...]
    error: int
    lasting: bool
    seen: int = 0
    failed: int = 0
    first: str = ""

    def rule(self, step: Step) -> int | None:
        if step.call not in self.calls or not is_durable(step, self.root):
            return None
        self.seen += 1
        if self.seen == self.nth or (self.lasting and self.seen > self.nth):
            self.failed += 1
            self.first = self.first or step.name(self.root)
            return self.error
        return None


def io_errors(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Fail the n-th write or sync with EIO, n = 1, 2, 3 …, once and then lastingly, until no run reaches n."""
    _every_nth(nest, tally, rounds, errno.EIO, WRITES)


def no_space(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """The same with ENOSPC, for whatever needs room; needs no mount."""
    calls = tuple(call for call in (*WRITES, *MAKES) if "sync" not in call)
    _every_nth(nest, tally, rounds, errno.ENOSPC, calls)


def _every_nth(
    nest: Nest, tally: Tally, rounds: Iterator[int], error: int, calls: tuple[str, ...]
) -> None:
    for number in rounds:
        nth, lasting = (number + 1) // 2, number % 2 == 0
        if _fail_at(nest, tally, number, error, calls, nth, lasting) is False:
            break


def _fail_at(
    nest: Nest,
    tally: Tally,
    number: int,
    error: int,
    calls: tuple[str, ...],
    nth: int,
    lasting: bool,
) -> bool:
    """Play one n; return whether the run came that far."""
    kind = f"{errno.errorcode[error]} {'from' if lasting else 'once at'} write {nth} on"
    with nest.project(SOUND) as root:
        failing = Failing(root=root, nth=nth, calls=calls, error=error, lasting=lasting)
        engine = nursery.start(root, *RUN, watched=True)
        in_time = engine.watch(failing.rule, STUCK_S)
        what = f"round {number}: {kind} ({failing.first})"
        if not in_time:
            tally.bad("stuck", f"{what}: {engine.said()}")
            engine.kill(to_all=True)
        check_spoken(engine, tally, what)
        if engine.code == 0 and failing.failed:
            tally.counts["survived at once"] += 1
        finish(root, SOUND, tally, what)
    tally.counts["rounds"] += 1
    tally.counts["errors"] += failing.failed
    return failing.failed > 0


# --- locks -------------------------------------------------------------------------------------------


def locks(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Kill the engine, plant a git lock beside a file that git of ours writes; finish."""
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        with nest.project(SOUND) as root:
            engine = nursery.start(root, *RUN)
            engine.wait(chance.uniform(0.2, 1.0) * nest.run_s)
            engine.kill(to_all=True)
            places = sorted(_lockable(root / ".engine"))
            planted = chance.sample(places, min(len(places), chance.randint(1, 3)))
            for place in planted:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            names = ", ".join(str(place.relative_to(root)) for place in planted)
            tally.counts["locks"] += len(planted)
            finish(root, SOUND, tally, f"round {number}: {names}")
        tally.counts["rounds"] += 1


def _lockable(home: Path) -> set[Path]:
    """Return where a killed git of the engine can leave a lock: beside refs, indexes, and configuration."""
    vault = home / "vault.git"
    refs = [path for path in (vault / "refs").rglob("*") if path.is_file()]
    indexes = [*(home / "records").glob("*/*/index"), *(home / "checkouts").glob("*")]
    fixed = [vault / name for name in ("config", "HEAD", "packed-refs", "shallow")]
    return {
        path.with_name(f"{path.name}.lock")
        for path in (*refs, *indexes, *fixed)
        if vault.is_dir() and not path.name.endswith(".lock")
    }
