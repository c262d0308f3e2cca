"""Carry out one assignment: fill in the command, run it, and read how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from engine.core.model import Json
from engine.programs import (
    ProcessIdentity,
    Program,
    ProgramOutcome,
    Redactor,
    allowed_names,
    clean_environment,
    run_program,
)
from engine.workers.assignment import (
    Assignment,
    FailureClass,
    Launcher,
    WorkerEvent,
    WorkerOutcome,
)
from engine.workers.context import ContextGauge
from engine.workers.events import Transcript

CONTEXT_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later
_PLACEHOLDER = re.compile(r"\{(prompt|task_file|workspace)\}")
_FAILURES: Mapping[str, FailureClass] = {
    "signalled": "crash",
    "timed_out": "timeout",
    "silent": "silence",
    "flooded": "flooded",
    "not_started": "not_started",
    "cancelled": "cancelled",
}


async def run_worker(
    assignment: Assignment,
    *,
    on_event: Callable[[WorkerEvent], None] | None = None,
    on_start: Callable[[ProcessIdentity], None] | None = None,
    stop: asyncio.Event | None = None,
    launch: Launcher = run_program,
) -> WorkerOutcome:
    """Carry out `assignment` and return how it ended; every process of it is gone by then.

    `on_event` gets every event as it comes. `on_start` gets the identity to record, so that `reap` can end the
    worker should we be killed. Setting `stop` ends it with failure class "cancelled"; a full context does with "context".
    """
    stop = stop or asyncio.Event()
    assignment.log.parent.mkdir(parents=True, exist_ok=True)
    task_file = _make_scratch(assignment)
    try:
        with open(
            os.open(assignment.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", 0
        ) as log:
            transcript = Transcript(log, on_event, _gauge(assignment, stop))
            outcome = await launch(_program(assignment, task_file, transcript, on_start, stop))
            transcript.finish()
    finally:
        await asyncio.to_thread(shutil.rmtree, assignment.scratch, ignore_errors=True)
    return _outcome(assignment, outcome, transcript)


def fill_in(assignment: Assignment, task_file: Path) -> tuple[str, ...]:
    """Return the worker's command with its placeholders filled in, each once: a prompt may hold braces."""
    values = {
        "prompt": assignment.prompt,
        "task_file": str(task_file),
        "workspace": str(assignment.workspace),
    }
    argv: list[str] = []
    for argument in assignment.spec.command:
        if argument == "{args}":
            argv += map(str, _list(assignment.task.get("args")))
        else:
            argv.append(_PLACEHOLDER.sub(lambda found: values[found[1]], argument))
    return tuple(argv)


def _gauge(assignment: Assignment, stop: asyncio.Event) -> ContextGauge:
    return ContextGauge(assignment.context_threshold, stop.set, assignment.spec.context_tokens)


def _make_scratch(assignment: Assignment) -> Path:
    for name in ("home", "tmp"):
        (assignment.scratch / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    task_file = assignment.scratch / "task.json"
    task_file.unlink(missing_ok=True)  # left by an attempt that was killed
    text = json.dumps(assignment.task, ensure_ascii=False, indent=2, default=_plain) + "\n"
    task_file.write_text(text, "utf-8")
    task_file.chmod(0o400)
    return task_file


def _program(
    assignment: Assignment,
    task_file: Path,
    transcript: Transcript,
    on_start: Callable[[ProcessIdentity], None] | None,
    stop: asyncio.Event | None,
) -> Program:
    source = os.environ if assignment.environment is None else assignment.environment
    allow = assignment.spec.env_allow
    return Program(
        argv=fill_in(assignment, task_file),
        cwd=assignment.workspace,
        env=clean_environment(
            allow,
            {**_environment(assignment, task_file), **assignment.extra_env},
            home=assignment.scratch / "home",
            temporary=assignment.scratch / "tmp",
            source=source,
        ),
        key=assignment.key,
        timeout_s=assignment.timeout_s,
        silence_s=assignment.silence_s,
        redact=Redactor.of_environment(source, allowed_names(allow, source), assignment.secrets),
        stdin=assignment.prompt.encode("utf-8", "surrogateescape"),
        output_limit_bytes=4096,  # the log has the rest
        lock_fd=assignment.lock_fd,
        on_output=transcript.take,
        on_start=on_start,
        stop=stop,
    )


def _environment(assignment: Assignment, task_file: Path) -> dict[str, str]:
    names = {
        "WORKER_ID": str(assignment.worker_id),
        "FEATURE": assignment.feature,
        "BRANCH": assignment.branch,
        "TASK": str(assignment.task.get("id", "")),
        "TASK_FILE": str(task_file),
        "TASK_LIST_ID": assignment.key.partition("/")[0],
        "ATTEMPT": str(assignment.attempt),
    }
    return names | ({"TRACEPARENT": assignment.traceparent} if assignment.traceparent else {})


def _outcome(
    assignment: Assignment, outcome: ProgramOutcome, transcript: Transcript
) -> WorkerOutcome:
    failure_class, reason = _judge(assignment, outcome, transcript)
    return WorkerOutcome(
        failure_class=failure_class,
        exit_code=outcome.exit_code,
        reason=reason,
        usage=transcript.usage,
        events=transcript.events,
        event_count=transcript.event_count,
        log=assignment.log,
        log_bytes=transcript.log_bytes,
        last_lines=transcript.last_lines(),
        seconds=outcome.seconds,
        launcher="subprocess",
        pid=outcome.pid,
        strays=outcome.strays,
    )


def _judge(
    assignment: Assignment, outcome: ProgramOutcome, transcript: Transcript
) -> tuple[FailureClass, str]:
    """Return (failure class, sentence) from the facts alone: state, exit code, and the agreed pause."""
    who = f"worker {assignment.spec.name}"
    if outcome.state == "not_started":
        if not fill_in(assignment, Path()):
            return "not_started", f"{who} has nothing to run: expected args, but the task has none"
        return "not_started", f"{who}: {outcome.reason}"
    gauge = transcript.context
    if gauge.is_full and (outcome.state == "cancelled" or outcome.exit_code == 0):
        used, limit = (f"{share * 100:.0f} %" for share in (gauge.used, gauge.threshold or 0))
        return "context", f"{who} paused: {used} of its context is used, the limit is {limit}"
    if outcome.state != "exited":
        return _FAILURES[outcome.state], f"{who} {outcome.reason}"
    if outcome.exit_code == CONTEXT_EXIT_CODE or (
        transcript.context_exhausted and outcome.exit_code == 0
    ):
        return "context", f"{who} paused because its context is full"
    return ("" if outcome.exit_code == 0 else "exit"), f"{who} {outcome.reason}"


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def _plain(value: object) -> object:
    """Return what `json` cannot write by itself: a Decimal as a number, a mapping or sequence as its like."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
