"""Call one operation of a plugin in one isolated process, and record whatever comes of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from engine.contracts import Contracts
from engine.core.model import Json
from engine.errors import EngineError
from engine.frozen import dataclass
from engine.plugins.specs import Operation, Plugin, checksum, stamp
from engine.programs import (
    Limits,
    Program,
    ProgramOutcome,
    Redactor,
    clean_environment,
    run_program,
)

PROTOCOL = "plugin.v1"
_ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
_STDERR_SHOWN = 4000  # characters
_OPEN_FILES = 1024

_STATE_CODES = {
    "timed_out": "TIMEOUT",
    "flooded": "OUTPUT_TOO_LARGE",
    "signalled": "CRASHED",
    "cancelled": "STOPPED",
}


@dataclass(frozen=True, kw_only=True)
class PluginResult:
    """The recorded result of one call: ok, failed or na; a failed or na one has a reason code and a reason."""

    plugin: str
    version: str
    checksum: str  #: "sha256:…" over the plugin's files
    operation: str
    result: Literal["ok", "failed", "na"]
    output: Json = None
    reason_code: str = ""
    reason: str = ""
    stderr: str = ""  #: redacted, bounded
    exit_code: int | None = None
    seconds: float = 0.0


async def call(
    plugin: Plugin,
    operation: str,
    input: Json,
    *,
    contracts: Contracts,
    key: str,
    scratch: Path,
    workspace: Path | None = None,
    what_if: bool = False,
    timeout_s: float | None = None,
    redact: Redactor | None = None,
    stop: asyncio.Event | None = None,
) -> PluginResult:
    """Return the result of one call in one isolated process. Raises nothing for what the plugin does.

    `scratch` becomes its private HOME and TMPDIR; it is made and removed here. `timeout_s` can only shorten the
    plugin's own time limit.
    """
    started = time.monotonic()
    blank = PluginResult(
        plugin=plugin.id,
        version=plugin.version,
        checksum=plugin.checksum,
        operation=operation,
        result="failed",
    )
    refused = _refusal(blank, plugin, input, what_if)
    if refused is not None:
        return refused
    request = {
        "protocol": PROTOCOL,
        "operation": operation,
        "input": input,
        "key": key,
        "what_if": what_if,
        "workspace": None if workspace is None else str(workspace),
    }
    limit_s = min(plugin.timeout_s, timeout_s or plugin.timeout_s)
    (scratch / "tmp").mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        outcome = await run_program(
            Program(
                argv=_command(plugin),
                cwd=workspace or scratch,
                env=clean_environment(home=scratch, temporary=scratch / "tmp"),
                key=key,
                timeout_s=limit_s,
                redact=redact or Redactor(),
                stdin=_encode(request),
                output_limit_bytes=2 * _ANSWER_LIMIT_BYTES,
                flood_bytes=_ANSWER_LIMIT_BYTES,
                limits=_limits(plugin, limit_s),
                stop=stop,
            )
        )
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
    return replace(
        _judge(blank, plugin.operations[operation], outcome, contracts),
        stderr=outcome.stderr.text[-_STDERR_SHOWN:],
        exit_code=outcome.exit_code,
        seconds=time.monotonic() - started,
    )


def absent_tool(plugin: Plugin) -> str:
    """Return the first program that `plugin` requires and that is not installed, or ""."""
    path = clean_environment(home=Path("/"))["PATH"]
    return next((name for name in plugin.requires if not shutil.which(name, path=path)), "")


def _refusal(
    blank: PluginResult, plugin: Plugin, input: Json, what_if: bool
) -> PluginResult | None:
    """Return the result when the plugin is not even started, or None."""
    operation = plugin.operations.get(blank.operation)
    if operation is None:
        known = ", ".join(plugin.operations)
        return _failed(
            blank, "UNKNOWN_OPERATION", f"expected one of {known}, but got {blank.operation}."
        )
    if what_if and not operation.what_if:
        return _failed(
            blank, "WHAT_IF_UNSUPPORTED", f"{blank.operation} cannot say what it would do."
        )
    try:
        operation.input.check(input)
        if stamp(plugin.folder) != plugin.stamp and checksum(plugin.folder) != plugin.checksum:
            return _failed(blank, "PLUGIN_CHANGED", "its files changed since it was found.")
    except EngineError as error:
        return _failed(blank, "INPUT_CONTRACT", error.sentence())
    except OSError as error:
        return _failed(blank, "PLUGIN_CHANGED", f"its files cannot be read: {error}.")
    if absent := absent_tool(plugin):
        reason = f"{plugin.id} needs {absent}, which is not installed."
        return replace(blank, result="na", reason_code="TOOL_ABSENT", reason=reason)
    return None


def _failed(blank: PluginResult, code: str, reason: str) -> PluginResult:
    return replace(blank, reason_code=code, reason=reason)


def _command(plugin: Plugin) -> tuple[str, ...]:
    return tuple(
        argument.replace("{python}", sys.executable).replace("{plugin}", str(plugin.folder))
        for argument in plugin.entry
    )


def _limits(plugin: Plugin, limit_s: float) -> Limits:
    return Limits(
        memory_mb=plugin.memory_mb,
        cpu_s=int(limit_s * (os.cpu_count() or 1)) + 1,
        open_files=_OPEN_FILES,
        core_dumps=False,
        new_privileges=False,
    )


def _encode(request: Json) -> bytes:
    return json.dumps(request, ensure_ascii=True, default=_plain).encode() + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _judge(
    blank: PluginResult, operation: Operation, outcome: ProgramOutcome, contracts: Contracts
) -> PluginResult:
    """Return the result from how the process ended and what it printed: nothing is taken on trust."""
    if outcome.state == "not_started":
        return _failed(blank, "NOT_STARTED", outcome.reason)
    if not outcome.succeeded:
        code = _STATE_CODES.get(outcome.state, "EXIT_CODE")
        last = next(reversed(outcome.stderr.text.strip().splitlines()), "")
        reason = f"the plugin {outcome.reason}" + (f": {last[:500]}" if last else ".")
        return _failed(blank, code, reason)
    try:
        answer = _decode(outcome.stdout.text)
    except (ValueError, RecursionError, ArithmeticError) as error:
        return _failed(blank, "NOT_JSON", _not_json(error))
    try:
        contracts.check("plugin-answer.v1", answer)
        if answer["result"] == "ok":
            operation.output.check(answer["output"])
            return replace(blank, result="ok", output=answer["output"])
    except EngineError as error:
        return _failed(blank, "OUTPUT_CONTRACT", error.sentence())
    return replace(
        blank,
        result="na" if answer["result"] == "na" else "failed",
        output=answer.get("output"),
        reason_code=str(answer["reason_code"]),
        reason=str(answer["reason"]),
    )


def _not_json(error: Exception) -> str:
    return f"expected exactly one JSON object on standard output, but {error}."


def _decode(text: str) -> dict[str, Any]:  # Any: JSON that its contract has yet to check
    """Return the one JSON object in `text`. Raises ValueError when it holds anything else."""
    if not text.strip():
        raise ValueError("nothing was printed")
    text.encode("utf-8")  # no half characters: the ledger could not hold them
    answer = json.loads(
        text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_distinct
    )
    if not isinstance(answer, dict):
        raise ValueError(f"got {type(answer).__name__}")
    json.dumps(answer, ensure_ascii=False, default=str).encode("utf-8")
    return answer


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return found
