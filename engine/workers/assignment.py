"""What a worker is, what it is asked to do, and what came of it: values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from engine.core.model import Json
from engine.frozen import dataclass
from engine.programs import Program, ProgramOutcome

FailureClass = Literal[
    "", "timeout", "silence", "crash", "exit", "not_started", "flooded", "context", "cancelled"
]
Launcher = Callable[[Program], Awaitable[ProgramOutcome]]


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """A worker as configured.

    `{prompt}`, `{task_file}` and `{workspace}` in `command` are filled in; an argument that is exactly `{args}`
    becomes the task's `args`. `env_allow` names variables it may see (`NAME` or `PREFIX*`).
    """

    name: str
    command: tuple[str, ...]
    env_allow: tuple[str, ...] = ()
    context_tokens: int | None = (
        None  #: size of its context, where its messages tell what they hold
    )


SHELL = WorkerSpec(name="shell", command=("{args}",))


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a worker says it used. Cached input is counted apart, because it costs about a tenth."""

    input_tokens: int = 0  #: read afresh
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_micros: int = 0  #: millionths of the worker's currency

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost_micros=self.cost_micros + other.cost_micros,
        )


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
    scratch: Path  #: private HOME, TMPDIR and task file, outside the workspace; made and removed by run_worker
    timeout_s: float
    silence_s: float | None = None
    context_threshold: Decimal | None = None  #: it is ended when this share of its context is used
    prompt: str = ""
    feature: str = ""
    branch: str = ""
    worker_id: int = 0
    attempt: int = 1
    traceparent: str = ""
    extra_env: Mapping[str, str] = field(
        default_factory=dict
    )  #: set by the engine, not picked by env_allow
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
    last_lines: tuple[str, ...]  #: end of the output, without control characters
    seconds: float
    launcher: str  #: what really started it (WORK-15)
    pid: int | None
    strays: int = 0  #: processes it left behind, which were killed

    @property
    def succeeded(self) -> bool:
        return self.failure_class == ""
