"""SIGKILL: at every durable step, again in the recovery, at the n-th system call, at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.crash import nursery
from tests.crash.judge import Tally, finish, is_over
from tests.crash.nursery import STUCK_S, Started
from tests.crash.project import BARRED, RUN, SHAPES, SOUND, Nest, Shape
from tests.crash.steps import Step

BURST = ("pwrite64", "write", "mkdir", "mkdirat", "rmdir", "unlinkat")
SYNCS = ("fsync", "fdatasync")
RENAMES = ("rename", "renameat", "renameat2", "link", "linkat")
UNLINKS = ("unlink", "unlinkat")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A crash point: the `nth` time (from 1) that a run comes to a step of this name."""

    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.name} #{self.nth}"


@dataclass(kw_only=True)
class Killer:
    """Kills at a point, or at the `nth` durable step. `victim`: all, engine, or caller (the process that takes the step)."""

    root: Path
    point: Point | None = None
    nth: int = 0
    calls: tuple[str, ...] = ()  #: count only these; all when empty
    victim: str = "all"
    engine: Started | None = None
    hit: Step | None = None
    seen: int = 0
    names: Counter[str] = field(default_factory=Counter)

    def rule(self, step: Step) -> int | None:
        if self.hit is None and self._is_it(step):
            self.hit = step
            self._kill(step)
        return None

    def _is_it(self, step: Step) -> bool:
        if not is_durable(step, self.root) or (self.calls and step.call not in self.calls):
            return False
        self.seen += 1
        if self.point is None:
            return self.seen == self.nth
        name = step.name(self.root)
        self.names[name] += 1
        return name == self.point.name and self.names[name] == self.point.nth

    def _kill(self, step: Step) -> None:
        assert self.engine is not None  # set before the watching begins
        if self.victim == "caller":
            with contextlib.suppress(ProcessLookupError):
                os.kill(step.pid, signal.SIGKILL)
        else:
            self.engine.signal(signal.SIGKILL, to_all=self.victim == "all")


def is_durable(step: Step, root: Path) -> bool:
    """Tell whether a step of the engine or its git changes the project on disk, or starts git there."""
    if step.call == "execve":
        return step.paths[-1].endswith("/git") and os.path.exists(step.paths[-1])
    if not any(path.startswith(f"{root}/") for path in step.paths):
        return False
    return step.program == "engine" or step.program.startswith("git")


def crash_points(nest: Nest, shape: Shape) -> list[Point]:
    """Run the feature once undisturbed and return its crash points, by name.

    Of a burst of like steps (the pages of one commit) the first and last.
    """
    names: list[str] = []
    with nest.project(shape) as root:

        def note(step: Step) -> None:
            if is_durable(step, root):
                names.append(step.name(root))

        nursery.start(root, *RUN, watched=True).watch(note)
    times: Counter[str] = Counter()
    points = []
    for before, name, after in zip(["", *names], names, [*names[1:], ""], strict=False):
        times[name] += 1
        is_inside = before == name == after and name.split(" ")[-2] in BURST
        if not is_inside:
            points.append(Point(name=name, nth=times[name]))
    return sorted(points, key=str)


# --- campaigns ---------------------------------------------------------------------------------------


def points(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Kill at each crash point; finish."""
    _at_points(nest, tally, rounds, again=False)


def recovery(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Kill at each crash point, kill again in the recovery; finish."""
    _at_points(nest, tally, rounds, again=True)


def _at_points(nest: Nest, tally: Tally, rounds: Iterator[int], *, again: bool) -> None:
    chance = random.Random(f"{tally.seed}/{tally.campaign}")
    found = _all_points(nest)
    tally.counts["points"] = len(found)
    found = chance.sample(found, len(found))  # so that a part of them is a fair sample
    for number in rounds:
        if number > len(found):
            break
        shape, point = found[number - 1]
        what = f"round {number} ({shape.name}) at {point}"
        with nest.project(shape) as root:
            if not _kill_once(root, tally, Killer(root=root, point=point), what):
                tally.counts["missed"] += 1
            if again:
                second = random.Random(f"{tally.seed}/{number}")
                nth = second.randint(1, second.choice((40, 150, 800)))
                killer = Killer(root=root, nth=nth)
                if _kill_once(root, tally, killer, f"{what}, then step {nth}"):
                    what += f", then {killer.hit and killer.hit.name(root)}"
                    tally.counts["second kills"] += 1
            finish(root, shape, tally, what)
        tally.counts["rounds"] += 1


@cache
def _all_points(nest: Nest) -> list[tuple[Shape, Point]]:
    """Return the points of the sound feature, and those that only the barred one has."""
    found = [(SOUND, point) for point in crash_points(nest, SOUND)]
    known = {point.name for _, point in found}
    return found + [(BARRED, p) for p in crash_points(nest, BARRED) if p.name not in known]


def system_calls(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Kill at the n-th fsync, rename or unlink, up to three times a feature; finish."""
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        shape = chance.choice(SHAPES)
        what = f"round {number} ({shape.name})"
        with nest.project(shape) as root:
            for _ in range(chance.randint(1, 3)):
                killer = Killer(
                    root=root,
                    nth=chance.randint(1, 120),
                    calls=chance.choice((SYNCS, RENAMES, UNLINKS)),
                    victim=chance.choice(("all", "engine", "caller")),
                )
                what += f", {killer.victim} at {killer.calls[0]} {killer.nth}"
                if not _kill_once(root, tally, killer, what):
                    break
                tally.counts[f"kills of {killer.victim}"] += 1
            finish(root, shape, tally, what)
        tally.counts["rounds"] += 1


def random_moments(nest: Nest, tally: Tally, rounds: Iterator[int]) -> None:
    """Kill at random moments, up to eight times a feature; finish. A round is one kill."""
    for number in rounds:
        chance = random.Random(f"{tally.seed}/{tally.campaign}/{number}")
        shape = BARRED if chance.random() < 0.25 else SOUND
        what = f"round {number} ({shape.name})"
        with nest.project(shape) as root:
            for kill in range(chance.randint(1, 8)):
                if is_over(root) or (kill and next(rounds, None) is None):
                    break
                engine = nursery.start(root, *RUN)
                delay_s, to_all = chance.uniform(0.0, 1.1) * nest.run_s, chance.random() < 0.5
                if engine.wait(delay_s):
                    break
                engine.kill(to_all=to_all)
                what += f", {'all' if to_all else 'engine'} after {delay_s:.3f} s"
                tally.counts["kills"] += 1
                tally.counts["kills of all" if to_all else "kills of engine"] += 1
            finish(root, shape, tally, what)
        tally.counts["rounds"] += 1


def _kill_once(root: Path, tally: Tally, killer: Killer, what: str) -> bool:
    """Run the feature under `killer`; return whether it struck. A run that has ended is left alone."""
    if is_over(root):
        return False
    killer.engine = nursery.start(root, *RUN, watched=True)
    if not killer.engine.watch(killer.rule, STUCK_S):
        tally.bad("stuck", f"{what}: while being watched: {killer.engine.said()}")
        killer.engine.kill(to_all=True)
    if killer.hit is not None:
        tally.counts["kills"] += 1
    return killer.hit is not None
