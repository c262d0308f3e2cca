"""The one way in for tasks of the older line format: a JSON-lines file becomes the task graph of a feature.

The plugin `task-parser` reads the lines; the graph is then checked as any other. Whatever is wrong is told with the
line that it stands on and the place inside it, all of it at once; nothing is written before all is right.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contracts import Contracts
from engine.core.model import Variables
from engine.errors import ContractError, EnvironmentFailure, UsageError
from engine.plugins import PluginResult, Plugins, call
from engine.settings import HOME_NAME
from service_tasks.planning import TaskGraphError, build_plan

PARSER = "task-parser"
_LIMIT_BYTES = 32 * 1024 * 1024
_BROKEN = re.compile(r"/tasks/(\d+)(/\S*)?: (?:breaks contract \S+: )?(.+)", re.DOTALL)
_TASK = re.compile(r"/tasks/(\d+)(/.*)?$")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A task graph made of lines. `left_out`: (line, keys that a task has no place for); `unverified`: tasks without a check."""

    graph: Variables
    left_out: tuple[tuple[int, tuple[str, ...]], ...]
    unverified: tuple[str, ...]


class LinesRefused(ContractError):
    """Lines that cannot become a task graph; `findings` are (line, JSON pointer, sentence), line 0 for the whole."""

    def __init__(self, file: Path, findings: Sequence[tuple[int, str, str]]) -> None:
        self.findings = tuple(findings)
        told = [f"line {line} {pointer or '/'}: {text}" for line, pointer, text in findings[:20]]
        more = [f"and {len(findings) - 20} more"] if len(findings) > 20 else []
        super().__init__(
            "; ".join([*told, *more]),
            contract="task-graph.v1",
            where=str(file),
            hint="Mend the lines and import again; nothing was written.",
        )


def read_lines(
    file: Path,
    feature: str,
    *,
    plugins: Plugins,
    contracts: Contracts,
    scratch: Path,
    verify: str | None = None,
) -> Imported:
    """Return the task graph that the lines of `file` make.

    `verify` is the check of tasks that name none. Raises UsageError when the file cannot be read, LinesRefused with every
    finding.
    """
    text = _text_of(file)

    def parse(part: str) -> PluginResult:
        return asyncio.run(_parse(part, plugins, contracts, scratch))

    answer = parse(text)
    output: Any = answer.output  # Any: checked against the plugin's contract
    if not isinstance(output, Mapping):
        raise LinesRefused(file, [_outside(text, answer, parse)])
    refused = [(r["line"], r.get("pointer", ""), r["reason"]) for r in output["refused"]]
    if refused:
        raise LinesRefused(file, refused)
    tasks: list[Any] = [_checked(task, verify) for task in output["tasks"]]
    if not tasks:
        raise LinesRefused(file, [(1, "", "expected a task on each line, but no line holds one")])
    graph: dict[str, Any] = {"feature": feature, "version": "1.0", "tasks": tasks}
    wrong = [*_findings(graph, _task_lines(text), contracts)]
    if wrong:
        raise LinesRefused(file, wrong)
    return Imported(
        graph=graph,
        left_out=tuple((one["line"], tuple(one["keys"])) for one in output["left_out"]),
        unverified=tuple(task["id"] for task in tasks if "verification" not in task),
    )


def write_graph(root: Path, feature: str, graph: Variables, *, force: bool) -> Path:
    """Write the task graph of `feature` and return its file. Raises UsageError when there is one, unless `force`."""
    place = root / HOME_NAME / "specs" / feature / "task-graph.json"
    if place.exists() and not force:
        raise UsageError(
            f"feature {feature} has a task graph already",
            where=str(place),
            hint="Take another name, or --force to write it anew.",
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(
            json.dumps(graph, indent=2, ensure_ascii=False, default=int) + "\n", "utf-8"
        )
    except OSError as error:
        raise EnvironmentFailure(
            "the task graph cannot be written", where=str(place), got=error.strerror or ""
        ) from error
    return place


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _LIMIT_BYTES:
            raise UsageError("the file is too large", where=str(file), expected="at most 32 MiB")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("the file is not UTF-8", where=str(file), got=str(error)) from error
    except OSError as error:
        raise UsageError(
            "the file cannot be read", where=str(file), got=error.strerror or str(error)
        ) from error


async def _parse(text: str, plugins: Plugins, contracts: Contracts, scratch: Path) -> PluginResult:
    plugin = plugins.plugins.get(PARSER)
    if plugin is None:
        raise UsageError(f"plugin {PARSER} is not usable", hint="See `engine plugin list`.")
    given = {"text": text.replace("\r\n", "\n")}
    return await call(plugin, "parse", given, contracts=contracts, key="import", scratch=scratch)


def _outside(
    text: str, answer: PluginResult, parse: Callable[[str], PluginResult]
) -> tuple[int, str, str]:
    """Return where a task breaks its contract. The line is told only when it breaks it alone as well."""
    match = _BROKEN.search(answer.reason)
    lines = text.replace("\r\n", "\n").split("\n")
    for number in _task_lines(text)[int(match[1]) :][:1] if match else ():
        alone = parse(lines[number - 1])
        if match and alone.reason_code == answer.reason_code:
            return number, match[2] or "", match[3]
    return 0, "", f"the lines cannot be read: {answer.reason}"


def _checked(task: Mapping[str, Any], verify: str | None) -> dict[str, Any]:  # Any: JSON
    if verify is None or "verification" in task:
        return dict(task)
    return {**task, "verification": {"command": verify}}


def _task_lines(text: str) -> list[int]:
    """Return the line that each task stands on; the parser takes every line but blanks and comments."""
    return [
        number
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _findings(
    graph: Variables, lines: Sequence[int], contracts: Contracts
) -> Iterator[tuple[int, str, str]]:
    """Yield (line, pointer, sentence) of what the contract, or else the plan, refuses."""
    violations = [
        (found.where, found.message or found.sentence())
        for found in contracts.violations("task-graph.v1", graph)
    ]
    if not violations:
        try:
            build_plan(graph, "waves")
        except TaskGraphError as error:
            violations = [(finding.pointer, finding.message) for finding in error.findings]
    for pointer, message in violations:
        match = _TASK.match(pointer)
        if match is None:
            yield 0, pointer, message
        else:
            yield lines[int(match[1])], match[2] or "", message
