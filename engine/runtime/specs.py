"""Where a feature's task graph is, and reading it: the door at which its JSON is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from engine.contracts import Contracts
from engine.core.model import Variables
from engine.errors import ContractError, UsageError
from engine.ledger.canonical import encode

SPECS_FOLDER: Final = ".engine/specs"
OLDER_FOLDER: Final = ".gsd/specs"  #: read, never written
_FOLDERS = (SPECS_FOLDER, OLDER_FOLDER)
LEVELS = ("foundation", "core", "integration", "testing", "quality")  #: of tasks, from 1 up
_LIMIT_BYTES = 32 * 1024 * 1024


def find_task_graph(root: Path, feature: str) -> Path:
    """Return the task graph file of `feature`. Raises UsageError naming where it was looked for."""
    places = [root / folder / feature / "task-graph.json" for folder in _FOLDERS]
    for place in places:
        if place.is_file():
            return place
    known = sorted(
        path.parent.name
        for folder in _FOLDERS
        for path in (root / folder).glob("*/task-graph.json")
    )
    raise UsageError(
        f"feature {feature} has no task graph",
        expected=str(places[0].relative_to(root)),
        got=f"features {', '.join(known)}" if known else "no feature at all",
        hint="Write the task graph there (docs/reference/task-graph.md), or begin with: engine init --feature NAME",
    )


def read_task_graph(root: Path, feature: str, contracts: Contracts) -> tuple[Variables, Path]:
    """Return (task graph, its file), checked against contract task-graph.v1.

    Raises UsageError when there is none, ContractError naming file and JSON pointer when it is wrong.
    """
    path = find_task_graph(root, feature)
    if path.stat().st_size > _LIMIT_BYTES:
        raise ContractError(
            "the task graph is too large", where=str(path), expected="at most 32 MiB"
        )
    try:
        graph: Any = json.loads(
            path.read_text("utf-8"), parse_float=Decimal, object_pairs_hook=_unique
        )
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(
            "the task graph is not JSON", where=str(path), got=str(error), hint="Mend the file."
        ) from error
    violations = contracts.violations("task-graph.v1", graph)
    if violations:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise ContractError(
            f"breaks contract task-graph.v1 at {first.where or '/'}: {first.message}{more}".rstrip(
                ": "
            ),
            contract="task-graph.v1",
            where=str(path),
            expected=first.expected,
            got=first.got,
            hint=first.hint,
        )
    if graph["feature"] != feature:
        raise ContractError(
            "the task graph is of another feature",
            contract="task-graph.v1",
            where=f"{path} /feature",
            expected=feature,
            got=str(graph["feature"]),
        )
    return graph, path


def definition_of(task: Variables) -> str:
    """Return the digest of a task as the task graph has it."""
    return f"sha256:{hashlib.sha256(encode(task)).hexdigest()}"


def written_tasks(graph: Variables) -> dict[str, str]:
    """Return {task: digest of it} as the task graph has them."""
    listed: Any = graph["tasks"]  # Any: JSON checked against the contract
    return {str(task["id"]): definition_of(task) for task in listed}


def level_of(graph: Variables, wanted: str) -> int:
    """Return the level that `wanted` means: its number, its usual name, or its name in `graph`. Raises UsageError."""
    named: Any = graph.get("levels") or {}  # Any: JSON checked against the contract
    names = {name: number for number, name in enumerate(LEVELS, 1)}
    names |= {str(number): number for number in names.values()}
    names |= {str(one["name"]).casefold(): int(key) for key, one in named.items() if "name" in one}
    found = names.get(wanted.strip().casefold())
    if found is None:
        own = sorted({str(one["name"]) for one in named.values() if "name" in one} - {*LEVELS})
        raise UsageError(
            "--level",
            expected=f"a number from 1 to 5, or {', '.join([*LEVELS, *own])}",
            got=wanted or "nothing",
        )
    listed: Any = graph["tasks"]  # Any: as above
    lowest = min(task["level"] for task in listed)
    if found < lowest:
        raise UsageError(
            "--level",
            expected=f"{lowest} or more, for the task graph has no task on a lower level",
            got=wanted,
        )
    return found


def without_tasks(graph: Variables, left_out: Collection[str]) -> Variables:
    """Return a task graph without some tasks; no task depends on them then."""
    listed: Any = graph["tasks"]  # Any: checked against the contract
    kept = [dict(task) for task in listed if task["id"] not in left_out]
    for task in kept:
        if "dependencies" in task:
            task["dependencies"] = [name for name in task["dependencies"] if name not in left_out]
    return {**graph, "tasks": kept}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found
