"""An engine that stands still (a paused machine) while a second one takes its run over, and then goes on.

With its lock in place the second engine must be refused. When somebody removed the lock, the second one takes over and
the first must do nothing more: its next commit is fenced, its next move of a branch finds another commit there.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from engine.store import Run
from tests.crash import nursery
from tests.crash.judge import Tally, check_spoken, finish, is_over, runs
from tests.crash.nursery import STUCK_S, Started
from tests.crash.project import BARRED, RUN, SOUND, Nest

FENCED = "another engine has taken this run over"
PATIENCE_S = 12.0  #: longer than a writer waits for the database


def take_overs(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Stop an engine (or it and all it started), start a second, let the first go on; finish."""
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        shape = BARRED if chance.random() < 0.25 else SOUND
        delay_s, to_all = chance.uniform(0.05, 1.0) * nest.run_s, chance.random() < 0.5
        without_lock, early = chance.random() < 0.8, chance.random() < 0.5
        what = (
            f"round {number} ({shape.name}): stopped {'with all' if to_all else 'alone'} after {delay_s:.3f} s, "
            f"{'lock removed' if without_lock else 'lock in place'}"
        )
        with nest.project(shape) as root:
            first = nursery.start(root, *RUN, log="first")
            if not first.wait(delay_s):
                first.signal(signal.SIGSTOP, to_all=to_all)
                if not is_over(root):
                    _second(root, tally, first, what, to_all, without_lock, early)
                    tally.counts["take-overs" if without_lock else "refusals"] += 1
                first.signal(signal.SIGCONT, to_all=to_all)
                first.wait(STUCK_S)
            finish(root, shape, tally, what)
        tally.counts["rounds"] += 1


def _second(
    root: Path,
    tally: Tally,
    first: Started,
    what: str,
    to_all: bool,
    without_lock: bool,
    early: bool,
) -> None:
    """Start a second engine beside the stopped first; continue the first when it has ended, or (early) at once."""
    if without_lock:
        for lock in (root / ".engine" / "locks").glob("*.lock"):
            lock.unlink()
    second = nursery.start(root, *RUN, log="second")
    has_ended = False if early and without_lock else second.wait(PATIENCE_S)
    first.signal(signal.SIGCONT, to_all=to_all)
    if not has_ended and not second.wait(STUCK_S):
        tally.bad("stuck", f"{what}: the second engine: {second.said()}")
        second.kill(to_all=True)
    if not first.wait(STUCK_S):
        tally.bad("stuck", f"{what}: the first engine: {first.said()}")
        first.kill(to_all=True)
    for engine in (first, second):
        check_spoken(engine, tally, what)
    if FENCED in first.said():
        tally.counts["fenced"] += 1
    found = runs(root)
    epochs = [run.epoch for run in found]
    if not without_lock and (set(epochs) - {1} or not _one_after_the_other(found)):
        tally.bad("wrong", f"{what}: two engines at work, epochs {epochs}: {second.said()}")


def _one_after_the_other(found: Sequence[Run]) -> bool:
    """Tell whether each run began after the one before had ended: who comes late to a run that failed begins the next."""
    return all(
        earlier.is_finished and later.created_at >= earlier.changed_at
        for earlier, later in pairwise(found)
    )
