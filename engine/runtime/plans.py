"""The plan of a feature before a run carries it out: its waves, what is left for later, what is merged already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.contracts import Contracts
from engine.core.model import Variables
from engine.runtime.earlier import merged_before
from engine.runtime.specs import level_of, read_task_graph, without_tasks, written_tasks
from engine.settings import Project
from engine.store import Store
from engine.workspaces import Repository

READY: Final = 16  #: workspaces that are made before the process asks for them


def planned(
    project: Project,
    contracts: Contracts,
    feature: str,
    *,
    mode: str | None = None,
    level: str | None = None,
) -> tuple[Variables, dict[str, Any]]:  # Any: JSON of the plan
    """Return the task graph of `feature` and {file, mode, task_count, widest, waves, level, later}.

    `level`, number or name: `later` is {task: level} of what stands above it, and in no wave. Raises UsageError,
    ContractError.
    """
    from service_tasks.planning import beyond, build_plan, with_levels

    graph, path = read_task_graph(project.root, feature, contracts)
    mode = mode or project.settings.run.mode or "waves"
    plan = build_plan(graph, mode)
    levelled = with_levels(graph)
    limit = None if level is None else level_of(levelled, level)
    later = beyond(levelled, limit)
    if later:
        plan = build_plan(without_tasks(levelled, later), mode)
    return graph, {
        "file": str(path),
        "mode": plan.mode,
        "task_count": plan.task_count,
        "widest": plan.widest,
        "waves": list(plan.waves),
        "level": limit,
        "later": later,
    }


def merged_already(
    project: Project, store: Store, feature: str, graph: Variables
) -> dict[str, dict[str, str]]:
    """Return {task: {run, commit}} of what a run would leave out; the vault and the store are read only."""
    if not (project.home / "vault.git").is_dir():
        return {}
    with Repository.open(project.home, project.root, None) as repository:
        unfinished = store.unfinished_run(feature)
        head = repository.start_of(
            feature, unfinished.id if unfinished else None, project.settings.run.base_branch
        )
        found = merged_before(
            store,
            feature,
            written_tasks(graph),
            holds=lambda commit: repository.holds(commit, head),
        )
    return {task: {"run": run, "commit": commit} for task, (run, commit) in found.items()}


def first_tasks(plan: Mapping[str, Any]) -> list[str]:  # Any: as above
    """Return the tasks that most likely begin, as many as are worth being made ready before they are asked for."""
    waves = plan["waves"]
    return [str(task["id"]) for task in waves[0]["tasks"]][:READY] if waves else []
