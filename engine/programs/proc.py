"""What the operating system knows of processes: identities, sessions, markers; and the end of orphans.

Linux tells all of it in /proc. Elsewhere only process groups are known, and what left its group is not found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from engine.frozen import dataclass
from engine.programs.program import ProcessIdentity

JOB_MARK = "ENGINE_JOB"  #: in the environment of every process of a program: the job's key
OWNER_MARK = "ENGINE_OWNER"  #: beside it: "{pid}.{start time}" of the engine
PROGRAM_MARK = "ENGINE_PROGRAM"  #: beside it: counts the programs of that engine
_MARKS = {mark.encode(): mark for mark in (JOB_MARK, OWNER_MARK, PROGRAM_MARK)}
_PROC = Path("/proc")
_KILL_ROUNDS = 50


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat, as far as we need it."""

    pid: int
    state: str  #: "Z" is a zombie
    parent: int
    group: int
    session: int
    started: int


def identify(pid: int, key: str) -> ProcessIdentity:
    """Return the identity of process `pid`, which works for job `key`."""
    process = read_process(pid)
    return ProcessIdentity(
        pid=pid, started=process.started if process else 0, boot=boot_id(), key=key
    )


def reap(orphans: Iterable[ProcessIdentity], *, run: str = "") -> tuple[ProcessIdentity, ...]:
    """Kill what a dead engine left behind; return one identity for each process killed.

    `orphans` are recorded identities. Each is killed with its whole session when its boot still lasts and its
    number still belongs to it (equal start time; or, if it has ended, to nobody). `run` also kills every process
    whose ENGINE_JOB begins with "{run}/", unless the engine that started it is alive and another one than ours.
    """
    recorded = [orphan for orphan in orphans if orphan.boot == boot_id()]
    killed: dict[int, ProcessIdentity] = {}
    for _ in range(_KILL_ROUNDS):
        found = [p for p in _orphans_now(recorded, run) if p.pid not in killed or is_alive(p.pid)]
        for identity in found:
            _signal(identity.pid)
            killed[identity.pid] = identity
        if not found:
            break
        time.sleep(0.01)  # the kernel needs a moment to take them away
    return tuple(killed.values())


def _orphans_now(recorded: list[ProcessIdentity], run: str) -> Iterator[ProcessIdentity]:
    keys = {orphan.key for orphan in recorded if orphan.key}
    leaders = {orphan.pid: orphan for orphan in recorded if _may_lead(orphan)}
    for process in processes():
        if process.state == "Z" or process.pid == os.getpid():
            continue
        marks = read_marks(process.pid)
        key = marks.get(JOB_MARK, "")
        marked = (key in keys or (run and key.startswith(f"{run}/"))) and _is_ownerless(marks)
        leader = leaders.get(process.session)
        if marked or (leader and process.started >= leader.started):
            yield ProcessIdentity(
                pid=process.pid,
                started=process.started,
                boot=boot_id(),
                key=key or (leader.key if leader else ""),
            )


def _may_lead(orphan: ProcessIdentity) -> bool:
    """Return whether the session numbered `orphan.pid` is still the orphan's (a session keeps its number taken)."""
    now = read_process(orphan.pid)
    return orphan.started > 0 and (now is None or now.started == orphan.started)


def _is_ownerless(marks: dict[str, str]) -> bool:
    owner = marks.get(OWNER_MARK, "")
    pid, _, started = owner.partition(".")
    if not pid.isdecimal() or owner == owner_token():
        return True
    process = read_process(int(pid))
    return process is None or process.state == "Z" or str(process.started) != started


def processes() -> Iterator[Process]:
    """Return every process that can be seen."""
    for pid in process_numbers():
        if process := read_process(pid):
            yield process


def process_numbers() -> set[int]:
    """Return the numbers of all processes; empty where there is no /proc."""
    try:
        return {int(name) for name in os.listdir(_PROC) if name.isdecimal()}
    except OSError:
        return set()


def read_process(pid: int) -> Process | None:
    """Return process `pid`, or None when it is gone or cannot be seen."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the name before it may hold anything
    return Process(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
    )


def read_marks(pid: int) -> dict[str, str]:
    """Return our marks in the environment of process `pid`; empty for a zombie or another user's process."""
    try:
        text = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    if JOB_MARK.encode() not in text:
        return {}
    pairs = (entry.partition(b"=") for entry in text.split(b"\0"))
    return {
        _MARKS[name]: value.decode("utf-8", "replace") for name, _, value in pairs if name in _MARKS
    }


def is_alive(pid: int) -> bool:
    """Return whether process `pid` runs (a zombie does not)."""
    process = read_process(pid)
    return process is not None and process.state != "Z"


@cache
def boot_id() -> str:
    """Return what names this boot of the machine, or "" when nothing does."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def owner_token() -> str:
    """Return what names this engine process in the marks of its programs."""
    own = read_process(os.getpid())
    return f"{os.getpid()}.{own.started if own else 0}"


def _signal(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
