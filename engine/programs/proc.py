"""What the operating system knows of processes."""

from __future__ import annotations

from collections.abc import Iterable

from engine.programs.program import ProcessIdentity


def identify(pid: int, key: str) -> ProcessIdentity:
    """Return the identity of the live process `pid`."""
    raise NotImplementedError


def reap(orphans: Iterable[ProcessIdentity], *, run: str = "") -> tuple[ProcessIdentity, ...]:
    """Kill what a dead engine left behind and return what was killed.

    `orphans` are recorded identities: each is killed with its whole session if number, start time and boot still
    agree. `run` also kills every process whose ENGINE_JOB begins with "{run}/" and whose engine is dead.
    """
    raise NotImplementedError
