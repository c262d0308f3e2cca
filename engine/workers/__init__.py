"""Workers: programs that carry out a code task in a workspace.

A worker gets the task as JSON in a file, the prompt on its standard input, and may answer with JSON lines.
Its exit code counts; its words change no state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.core.model import Json
from engine.programs import ProcessIdentity, Program, ProgramOutcome, Redactor, reap, run_program

__all__ = [
    "SHELL",
    "Assignment",
    "FailureClass",
    "Launcher",
    "Usage",
    "WorkerEvent",
    "WorkerOutcome",
    "WorkerSpec",
    "reap",
    "run_worker",
]

FailureClass = Literal[
    "", "timeout", "silence", "crash", "exit", "not_started", "flooded", "context", "cancelled"
]
Launcher = Callable[[Program], Awaitable[ProgramOutcome]]


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """A worker as configured. `{prompt}`, `{task_file}` and `{workspace}` in `command` are filled in;
    an argument that is exactly `{args}` becomes the task's `args`."""

    name: str
    command: tuple[str, ...]
    env_allow: tuple[str, ...] = ()


SHELL = WorkerSpec(name="shell", command=("{args}",))


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a worker says it used. Cached input is counted apart, because it costs about a tenth."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_micros: int = 0  #: millionths of the worker's currency

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, kw_only=True)
class WorkerEvent:
    """One JSON line of a worker, e.g. `{"type": "progress", "text": "…"}`, redacted; `usage` is the sum so far."""

    type: str
    body: Mapping[str, Json]
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One attempt of one task by one worker."""

    spec: WorkerSpec
    task: Mapping[str, Json]  #: contract task.v1
    workspace: Path
    key: str  #: the job's key; marks every process
    log: Path  #: written redacted; its folder is made
    scratch: Path  #: private home, TMPDIR and task file live here; made and removed by run_worker
    timeout_s: float
    silence_s: float | None = None
    prompt: str = ""
    feature: str = ""
    branch: str = ""
    worker_id: int = 0
    attempt: int = 1
    traceparent: str = ""
    secrets: Mapping[str, str] = field(
        default_factory=dict
    )  #: kind → value, besides those of env_allow
    environment: Mapping[str, str] | None = (
        None  #: what env_allow picks from; None: the engine's own
    )
    lock_fd: int | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerOutcome:
    """How an attempt ended. `failure_class` is "" for success, else the word the retry table sees."""

    failure_class: FailureClass
    exit_code: int | None
    reason: str  #: one plain sentence
    usage: Usage
    events: tuple[WorkerEvent, ...]  #: the last ones, `event_count` in all
    event_count: int
    log: Path
    log_bytes: int
    last_lines: tuple[str, ...]  #: end of the output, for people
    seconds: float
    launcher: str  #: what really started it (WORK-15)
    pid: int | None

    @property
    def succeeded(self) -> bool:
        return self.failure_class == ""


async def run_worker(
    assignment: Assignment,
    *,
    on_event: Callable[[WorkerEvent], None] | None = None,
    on_start: Callable[[ProcessIdentity], None] | None = None,
    stop: object = None,
    launch: Launcher = run_program,
) -> WorkerOutcome:
    """Carry out `assignment` and return how it ended; every process of it is gone by then."""
    raise NotImplementedError
