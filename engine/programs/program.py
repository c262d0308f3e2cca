"""What to run, under which limits, and what came of it: values only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from engine.frozen import dataclass
from engine.programs.redaction import Redactor

State = Literal["exited", "signalled", "timed_out", "silent", "cancelled", "not_started", "flooded"]
StreamName = Literal["stdout", "stderr"]
OnOutput = Callable[[StreamName, bytes], None]

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that the kernel keeps for each process of the program; None leaves the inherited one."""

    memory_mb: int | None = None  #: address space, MiB
    cpu_s: int | None = None  #: processor time, seconds
    open_files: int | None = None
    core_dumps: bool = True
    new_privileges: bool = True  #: False: set-uid programs gain nothing (Linux)


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    started: (
        int  #: start time in clock ticks since boot (`/proc/PID/stat` field 22); 0 when unknown
    )
    boot: str  #: boot id of the machine; "" when unknown
    key: str  #: the job it works for, as in its environment variable ENGINE_JOB
    program: str = ""  #: file that was started, found on the PATH


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to run: a list of arguments, or a command line for /bin/sh.

    `env` is the whole environment (see `clean_environment`). `key` names the job; it marks every process of the
    program, so that none is lost. `on_output` and `on_start` are called on the event loop and must not block.
    """

    argv: tuple[str, ...] | str
    cwd: Path
    env: Mapping[str, str]
    key: str
    timeout_s: float
    redact: Redactor = field(default_factory=Redactor)
    stdin: bytes | None = None  #: None: nothing to read
    silence_s: float | None = None  #: longest time without output; None: no limit
    output_limit_bytes: int = MEBIBYTE  #: kept per stream, half from the start, half from the end
    flood_bytes: int = 64 * MEBIBYTE  #: printed on both streams together, then it is killed
    grace_s: float = 2.0  #: between SIGTERM and SIGKILL
    limits: Limits = field(default_factory=Limits)
    lock_fd: int | None = None  #: inherited, so that a file lock lives as long as the program
    on_output: OnOutput | None = None  #: redacted text as it comes: whole lines, as a rule many
    on_start: Callable[[ProcessIdentity], None] | None = None
    stop: asyncio.Event | None = None  #: set it to end the program with an outcome ("cancelled")


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What was printed on one stream, redacted; `text` leaves out the middle when `truncated`."""

    text: str = ""
    size_bytes: int = 0  #: printed in all, before redaction
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class ProgramOutcome:
    """How a program ended. Only `succeeded` is a success; a missing exit code never is."""

    state: State
    exit_code: int | None = None  #: None unless it exited by itself
    signal: str = ""  #: name of the signal that ended it, e.g. "SIGSEGV"
    reason: str = ""  #: one plain sentence
    stdout: Stream = Stream()
    stderr: Stream = Stream()
    seconds: float = 0.0
    pid: int | None = None
    strays: int = 0  #: processes it left behind, which were killed

    @property
    def succeeded(self) -> bool:
        return self.state == "exited" and self.exit_code == 0
