"""One engine at a time: a file lock that lives as long as the engine or any of its git children."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from engine.errors import StoreError

_ORPHANS_END_WITHIN_S: Final = 5.0
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


class EngineLock:
    """The lock `locks/<name>.lock` of an engine home. Pass `fd` to git children (`pass_fds`).

    A child that outlives a killed engine then keeps the next engine out until it has ended: no two writers
    ever meet in a repository. Closing is enough to release; the file stays.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.fd: Final = descriptor
        self.path: Final = path
        self._is_held = True

    @classmethod
    def acquire(cls, home: Path, name: str) -> EngineLock:
        """Return the lock, waiting a few seconds only for children of an engine that is dead.

        Raises StoreError naming process and host of the engine that holds it.
        """
        path = _path(home, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"the lock cannot be taken: {error.strerror}", where=str(path)
            ) from error
        try:
            _wait_for(descriptor, path)
            _sign(descriptor, os.getpid())
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, path)

    @staticmethod
    def holder(home: Path, name: str) -> int | None:
        """Return the process id of the live engine of this host that wrote itself into the lock; it is not taken."""
        try:
            descriptor = os.open(_path(home, name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            pid, host = _holder(descriptor)
        finally:
            os.close(descriptor)
        return pid if host == socket.gethostname() and _is_alive(pid) else None

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Tell whether no other engine, and no child of one, is at work in this home; none can begin inside the block."""
        with ExitStack() as held:
            yield all(
                _try(path, held) for path in self.path.parent.glob("*.lock") if path != self.path
            )

    def release(self) -> None:
        """Give the lock up. Harmless when called twice."""
        if self._is_held:
            self._is_held = False
            with suppress(OSError):  # a full or vanished disk; the name inside is for people only
                _sign(self.fd, 0)
            os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _try(path: Path, held: ExitStack) -> bool:
    """Take the lock of another engine without waiting; give it up with `held`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _path(home: Path, name: str) -> Path:
    return home / "locks" / f"{_UNSAFE.sub('_', name)}.lock"


def _wait_for(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _ORPHANS_END_WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            pid, host = _holder(descriptor)
            is_here = host == socket.gethostname()
            if is_here and not _is_alive(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            raise _refusal(path, pid, host, orphaned=is_here and not _is_alive(pid)) from error


def _refusal(path: Path, pid: int, host: str, *, orphaned: bool) -> StoreError:
    if orphaned:
        return StoreError(
            f"the engine with process id {pid} has ended, but programs it started still run",
            where=str(path),
            hint=f"Find them with: fuser {path}",
        )
    return StoreError(
        f"another engine is at work here: process id {pid} on host {host}",
        where=str(path),
        hint="Wait for it, or end it with: engine stop",
    )


def _sign(descriptor: int, pid: int) -> None:
    holder = json.dumps({"pid": pid, "host": socket.gethostname()}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder, 0)


def _holder(descriptor: int) -> tuple[int, str]:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        return int(holder["pid"]), str(holder["host"])
    except (ValueError, KeyError, TypeError):
        return 0, "unknown"


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:  # another system; the answer above is the best there is
        return True
    return status.rpartition(b")")[2].split()[0] != b"Z"  # proc(5): a zombie has ended
