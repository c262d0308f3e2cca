"""Widening the declared files of a task within a run: the facts that are asked about it, and what was widened.

- Only what the last attempt of the task really wrote is widened, path by path; the task graph of the user is not edited.
- What a task may write besides is in the ledger (`manifest.rescoped`) before any later step can see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core.model import Json, Variables
from engine.runtime.forms import declared_files, texts
from engine.workspaces import Snapshot, is_declared

KINDS: Final = ("create", "modify", "read")


class Rescoping:
    """What tasks of one run may write beside what the graph says, {task: {create, modify}}."""

    def __init__(self) -> None:
        self._added: dict[str, Mapping[str, Json]] = {}

    def take(self, task: str, files: Mapping[str, Json]) -> None:
        """Keep in mind what an entry `manifest.rescoped` of `task` says."""
        self._added[task] = files

    def knows(self, task: str) -> bool:
        return task in self._added

    def applied(self, task: Variables) -> dict[str, Json]:
        """Return {task} as it is now, {} for one that was not widened."""
        added = self._added.get(str(task["id"]))
        return {"task": {**task, "files": _widened(task, added)}} if added else {}

    def owners(self, tasks: Sequence[str]) -> list[Json]:
        """Return [{task, files}] of what was added to each of `tasks`."""
        return [{"task": task, "files": self._added[task]} for task in tasks if task in self._added]

    def facts(
        self,
        task: Variables,
        snapshot: Snapshot,
        graph: Sequence[Variables] | None,
        kept: Sequence[str],
    ) -> dict[str, Json]:
        """Return {paths, owned, refused, widened_before, added, files}: what `rescope` is asked about an attempt.

        `graph`: all tasks of the feature; without it every path counts as owned by another. `kept`: paths that cannot be named in
        the ledger, which count as refused. `files` are the task's files as they would be.
        """
        identifier = str(task["id"])
        kinds = {change.path: change.kind for change in snapshot.changed}
        added: dict[str, Json] = {
            "create": [path for path in snapshot.undeclared if kinds.get(path) == "created"],
            "modify": [path for path in snapshot.undeclared if kinds.get(path) != "created"],
        }
        others = [one for one in graph or () if one["id"] != identifier]
        others += [{"files": files} for name, files in self._added.items() if name != identifier]
        owned = [
            path
            for path in snapshot.undeclared
            if graph is None or any(_owns(one, path) for one in others)
        ]
        return {
            "paths": list(snapshot.undeclared),
            "owned": list(owned),
            "refused": len(snapshot.refused) + len(kept),
            "widened_before": self.knows(identifier),
            "added": added,
            "files": _widened(task, added),
        }


def _owns(task: Variables, path: str) -> bool:
    return is_declared(path, declared_files(task))


def _widened(task: Variables, added: Mapping[str, Json]) -> dict[str, Json]:
    files: Any = task.get("files") or {}  # Any: JSON of the task graph
    return {
        kind: list(dict.fromkeys([*texts(files.get(kind)), *texts(added.get(kind))]))
        for kind in KINDS
    }
