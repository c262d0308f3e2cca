"""The campaigns by name, in the order in which they are played. Each takes (nest, tally, rounds)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.crash.campaigns import damage, disks, kills, takeover
from tests.crash.judge import Tally
from tests.crash.project import Nest

#: rounds: an iterator over the numbers of the rounds to play; a campaign ends early when it has no more to try
Play = Callable[[Nest, Tally, Iterator[int]], None]


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """`full` rounds are played by `python -m tests.crash` (0: as many as there are), `short` ones by the suite (0: none)."""

    play: Play
    what: str
    full: int
    short: int
    needs_root: bool = False


CAMPAIGNS: dict[str, Campaign] = {
    "points": Campaign(
        play=kills.points,
        what="SIGKILL of all at each durable step of a run, found by running it",
        full=0,
        short=1,
    ),
    "recovery": Campaign(
        play=kills.recovery,
        what="the same, and SIGKILL again at a durable step of the recovery",
        full=0,
        short=1,
    ),
    "random": Campaign(
        play=kills.random_moments,
        what="SIGKILL at random moments, of the engine alone or of all",
        full=2000,
        short=2,
    ),
    "syscalls": Campaign(
        play=kills.system_calls,
        what="SIGKILL at the n-th fsync, rename or unlink: of the caller, the engine alone, or all",
        full=500,
        short=2,
    ),
    "takeovers": Campaign(
        play=takeover.take_overs,
        what="SIGSTOP, a second engine, SIGCONT: with the lock in place, or removed by somebody",
        full=450,  # in fewer than half of them the second engine comes in time to take over
        short=1,
    ),
    "disk": Campaign(
        play=disks.full_disk,
        what="a full disk at every 4 KiB of a run (a small tmpfs)",
        full=0,
        short=1,
        needs_root=True,
    ),
    "nospace": Campaign(
        play=disks.no_space,
        what="ENOSPC at the n-th write, link or rename of engine and git, once and lasting",
        full=0,
        short=0,
    ),
    "eio": Campaign(
        play=disks.io_errors,
        what="EIO at the n-th write or sync of engine and git, once and lasting",
        full=0,
        short=1,
    ),
    "locks": Campaign(
        play=disks.locks,
        what="locks that a killed git could have left, planted",
        full=100,
        short=0,
    ),
    "flips": Campaign(
        play=damage.flips,
        what="one bit of database, write-ahead log, export or blob flipped: noticed or harmless",
        full=1000,
        short=2,
    ),
    "restored": Campaign(
        play=damage.restored,
        what="an older copy of the database or the engine home put back",
        full=100,
        short=1,
    ),
    "objects": Campaign(
        play=damage.objects,
        what="an object, pack or ref of the vault deleted",
        full=100,
        short=0,
    ),
    "clock": Campaign(
        play=damage.clock,
        what="kills and resumes under a clock that jumps by hours and days, both ways",
        full=50,
        short=0,
    ),
}
