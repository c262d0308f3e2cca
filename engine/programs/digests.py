"""Digests of the programs that were really started, each file read once."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

_LIMIT_BYTES: Final = 32 * 1024 * 1024  #: larger programs are not read: that would be felt
_CHUNK: Final = 1024 * 1024
_NEVER_WAIT: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block


class ProgramDigests:
    """Digests of program files. A file that was replaced since is read again."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int, int], str] = {}  # device, inode, size, time

    def of(self, program: Path) -> str:
        """Return `sha256:…` of the file, or "" when it is no plain file, cannot be read or is over 32 MiB."""
        try:
            fd = os.open(program, _NEVER_WAIT)
        except OSError:
            return ""
        try:
            return self._of(fd)
        finally:
            os.close(fd)

    def _of(self, fd: int) -> str:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LIMIT_BYTES:
            return ""
        place = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if place not in self._known:
            self._known[place] = f"sha256:{_digest(fd)}"
        return self._known[place]


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    for _ in range(_LIMIT_BYTES // _CHUNK):  # it may be growing
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            break
        digest.update(chunk)
    return digest.hexdigest()
