"""Folders filled in advance, while workers work, so that a checkout need only write what differs.

Invariants
1. A spare is used once. It becomes what a fresh checkout of the wanted commit would be, or it is thrown away: git writes
   anew every file that is not as it left it (its index knows), and a folder with anything else in it is not used. Until a
   folder was given to a worker or a check, nobody can have touched one, and of the same commit it is taken as it is.
2. A spare holds nothing that is not in the vault. What is left of them is deleted in the end, and after a kill by the
   next engine of the run.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from engine.errors import EngineError
from engine.frozen import dataclass
from engine.git import Git, Place, check_oid

MOST = 16  #: spares at a time


@dataclass(frozen=True, kw_only=True)
class Spare:
    """A folder with the files of some commit, and the index that git made of them."""

    folder: Path
    index: Path
    commit: str


class Spares:
    """The spares of one engine, below `folder`; made one at a time."""

    def __init__(self, git: Git, vault: Path, folder: Path) -> None:
        self._git = git
        self._vault = vault
        self._folder = folder
        self._lock = Lock()
        self._are_untouched = True
        self._ready: deque[Spare] = deque()
        self._ordered = 0  # ready, or being made
        self._names: list[str] = []
        self._waiting: list[Future[None]] = []
        self._thread: ThreadPoolExecutor | None = None

    def order(self, commit: str, run: str, count: int) -> None:
        """Have up to `count` more spares of `commit` made; their names begin with `run`."""
        with self._lock:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="spares")
            for _ in range(min(count, MOST - self._ordered)):
                self._ordered += 1
                self._names.append(f"{run}.{len(self._names) + 1}")
                order = self._thread.submit(self._make, check_oid(commit), self._names[-1])
                self._waiting.append(order)

    def rest(self) -> None:
        """Begin no more of those that were ordered: git is wanted for something else now."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._ordered -= sum(order.cancel() for order in waiting)

    def distrust(self) -> None:
        """Look at each spare from now on before it is used: somebody else has a folder of the engine home."""
        self._are_untouched = False

    def fill(self, folder: Path, index: Path, commit: str) -> bool:
        """Make `folder`, which is empty, a checkout of `commit` with its `index`; tell whether a spare was fit."""
        with self._lock:
            if not self._ready:
                return False
            spare = self._ready.popleft()
            self._ordered -= 1
        try:
            spare.folder.rename(folder)
            spare.index.replace(index)
            if self._are_untouched and spare.commit == commit:
                return True
            place = Place(git_dir=self._vault, work_tree=folder, index=index)
            self._git.run("read-tree", "--reset", "-u", check_oid(commit), at=place)
            return not self._has_more(place, folder, index)
        except (EngineError, OSError):
            return False  # the caller makes it anew, and tells what is wrong if that fails too

    def close(self, delete: Callable[[Path], None]) -> None:
        """Make no more; `delete` what is left."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        for name in self._names:
            delete(self._folder / name)
            (self._folder / f"{name}.index").unlink(missing_ok=True)

    def _make(self, commit: str, name: str) -> None:
        spare = Spare(
            folder=self._folder / name, index=self._folder / f"{name}.index", commit=commit
        )
        with contextlib.suppress(EngineError, OSError):  # no spare, then
            spare.folder.mkdir(parents=True)
            place = Place(git_dir=self._vault, work_tree=spare.folder, index=spare.index)
            self._git.run("read-tree", "--reset", "-u", commit, at=place)
            with self._lock:
                self._ready.append(spare)
            return
        with self._lock:
            self._ordered -= 1

    def _has_more(self, place: Place, folder: Path, index: Path) -> bool:
        """Whether there is anything that git did not write: a file, a link, a repository."""
        if os.path.lexists(folder / ".git"):
            return True
        if _count_files(folder) == _count_entries(index):  # git has just made sure of each
            return False
        return bool(self._git.run("ls-files", "-z", "--others", at=place).out)


def _count_files(folder: Path) -> int:
    return sum(len(names) + _links(parent, below) for parent, below, names in os.walk(folder))


def _links(parent: str, names: list[str]) -> int:
    """Count those links to folders that os.walk takes for folders."""
    return sum(os.path.islink(os.path.join(parent, name)) for name in names)


def _count_entries(index: Path) -> int:
    """Return the number of entries that an index says it has (gitformat-index(5)), -1 when it is none."""
    with index.open("rb") as file:
        head = file.read(12)
    signature, _, count = struct.unpack(">4sLL", head) if len(head) == 12 else (b"", 0, 0)
    return count if signature == b"DIRC" else -1
