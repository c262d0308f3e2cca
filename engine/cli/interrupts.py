"""Ctrl-C: the first stops workers, records it and ends; the second ends at once."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.cli import show

if TYPE_CHECKING:
    from engine.runtime.conductor import Conductor


@dataclass
class _Seen:
    count: int = 0


_SEEN: Final = _Seen()


def count() -> int:
    """Return how often this process was asked to stop by SIGINT or SIGTERM."""
    return _SEEN.count


def install(conductor: Conductor, run: str) -> None:
    """Stop `conductor` on SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        _SEEN.count += 1
        if _SEEN.count > 1:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        show.note(f"stopping run {run}; `engine resume {run}` goes on with it")
        conductor.stop(force=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
