"""The trash of an engine home: what is to go is moved there in one step, and deleted when no more files are wanted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

#: Folders that wait. While files are wanted none is deleted that need not be: for minutes after many were deleted, ext4
#: looks at each of them before it makes a new one (`recently_deleted` in fs/ext4/ialloc.c of Linux).
LATER = 16


class Trash:
    """Takes folders below an engine home; safe to share between threads. What a kill leaves there is deleted at a later start."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._waiting: deque[Path] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trash")
        self._begun: list[Future[None]] = []

    def take(self, folder: Path) -> None:
        """Move `folder` here in one step; it is deleted later.

        A link between the engine home and the folder was planted: it is removed, and what it leads to is left alone.
        """
        for parent in reversed(folder.relative_to(self._home).parents[:-1]):
            if (self._home / parent).is_symlink():
                (self._home / parent).unlink()
        if not os.path.lexists(folder):
            return
        trash = self._home / "trash"
        trash.mkdir(exist_ok=True)
        grave = Path(tempfile.mkdtemp(dir=trash))
        folder.rename(grave / "it")
        self._waiting.append(grave)
        self.begin(keeping=LATER if _is_roomy(trash) else 0)

    def begin(self, *, keeping: int = 0) -> None:
        """Begin to delete what waits, but for the last `keeping` folders."""
        going = []
        while len(self._waiting) > keeping:
            with contextlib.suppress(IndexError):  # another thread was faster
                going.append(self._waiting.popleft())
        if going:
            self._begun.append(self._thread.submit(_remove, going))

    def empty(self) -> None:
        """Delete what waits and wait for it. Raises OSError for what cannot be deleted."""
        self.begin()
        begun, self._begun = self._begun, []
        for one in begun:
            one.result()

    def close(self) -> None:
        """Wait for what was begun; what cannot be deleted is left."""
        self._thread.shutdown(wait=True)


def _remove(folders: Sequence[Path]) -> None:
    """Delete folders by rm(1), which holds no other thread up (thousands of files took 80 ms of Python); what it leaves, here."""
    with contextlib.suppress(OSError):
        subprocess.run(
            ["rm", "-rf", "--", *map(str, folders)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
            check=False,
        )
    for folder in filter(os.path.lexists, folders):
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Delete a folder or a link; never follows links. Folders that forbid it are opened first."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(folder)
    except PermissionError:
        _permit(folder)
        shutil.rmtree(folder)


def _permit(folder: Path) -> None:
    folder.chmod(0o700)
    for parent, names, _ in os.walk(folder):  # a folder is opened before os.walk looks into it
        for name in names:
            if not os.path.islink(os.path.join(parent, name)):
                os.chmod(os.path.join(parent, name), 0o700)


def _is_roomy(folder: Path) -> bool:
    """Whether a tenth of the disk is free."""
    usage = shutil.disk_usage(folder)
    return usage.free > usage.total // 10
