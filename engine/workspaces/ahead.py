"""Workspaces made before they are asked for: the first while the engine still reads its definitions, those of a later wave
on the candidate before it while its gates run. Nothing rests on the guess.

A workspace that was made and not asked for is removed in the end. After a kill it is what any other workspace is that
no worker has touched: it is taken as it is for the same attempt of the same run, and made anew for any other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from engine.errors import EngineError
from engine.frozen import dataclass
from engine.workspaces.model import Workspace


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a workspace is for, and the commit whose files it has."""

    feature: str
    run: str
    task: str
    attempt: int
    base: str
    begun: str | None = None


class Ahead:
    """Makes workspaces in threads of its own, and gives each away once."""

    def __init__(
        self, make: Callable[[Wanted], Workspace], remove: Callable[[Wanted], object]
    ) -> None:
        """`make` and `remove` may run at the same time for different tasks."""
        self._make = make
        self._remove = remove
        self._lock = Lock()
        self._made: dict[Wanted, Future[Workspace]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def start(self, wanted: Sequence[Wanted]) -> None:
        """Begin to make workspaces, in this order, as many at a time as there are processors; none of a task that has one here."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="ahead")
            taken = set(map(_folder, self._made))
            for one in (one for one in wanted if _folder(one) not in taken):
                self._made[one] = self._threads.submit(self._make, one)

    def take(self, wanted: Wanted) -> Workspace | None:
        """Return the workspace that was made for `wanted`, waiting for it; None when none was, or it did not succeed.

        One of the same task that is for something else is waited for, so that nobody is at work on that folder.
        """
        with self._lock:
            same = [one for one in self._made if _folder(one) == _folder(wanted)]
            futures = {one: self._made.pop(one) for one in same}
        found = None
        for one, future in futures.items():
            if one == wanted or not future.cancel():
                with contextlib.suppress(EngineError, OSError):  # told to who makes it again
                    made = future.result()
                    found = made if one == wanted else found
        return found

    def close(self, *, remove: bool = True) -> None:
        """Remove what nobody asked for, or leave it to the next engine of the run."""
        if self._threads is None:
            return
        with self._lock:
            left, self._made = self._made, {}
        for wanted, future in left.items():
            if not future.cancel():
                with contextlib.suppress(
                    EngineError, OSError
                ):  # it holds no work; cleanup finds it
                    future.result()
                    if remove:
                        self._remove(wanted)
        self._threads.shutdown(wait=True)


def _folder(wanted: Wanted) -> tuple[str, str]:
    return wanted.feature, wanted.task
