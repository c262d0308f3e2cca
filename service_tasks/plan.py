"""`plan.build_waves`: the task graph of the feature becomes waves."""

from __future__ import annotations

from typing import Any

from engine.handlers import Activation, Handlers, Variables
from service_tasks.planning import build_plan

handlers = Handlers()


@handlers.job(
    "plan.build_waves",
    title="Build the plan",
    needs=("mode", "requested_anew", "requested_level"),
    gives=("plan", "waves", "limits", "worker_names", "waivers"),
    delivers=True,
)
async def build_waves(activation: Activation) -> Variables:
    """Reads the feature's task graph, checks it against its contract and orders it into waves.

    What an earlier run of the feature has merged, and is on the branch still, is left out, unless `requested_anew`. So is,
    when people set back some of the tasks that the run before had put aside, the rest of them and what depends on it.
    With `requested_level`, what stands above it is left for later. `plan` counts: `merged_before`, `left_aside` (left
    out, and not merged), `left_for_later` (those of them that the level leaves out), `changed_before` (files that the
    branch changes already). `plan.tags` are those of all tasks of the graph, `plan.head` is where the branch stands.
    """
    given = activation.job.variables
    level = given.get("requested_level")
    graph = await activation.delivery.read_task_graph(
        anew=given.get("requested_anew") is True, level=level if isinstance(level, int) else None
    )
    plan = build_plan(graph, activation.text("mode", "waves"))
    await activation.delivery.announce_plan(plan.waves)
    tools = sorted({task["tool"] for wave in plan.waves for task in wave["tasks"]})
    machine = await activation.delivery.machine()
    workers: Any = machine["worker_names"]  # Any: JSON, a list of names
    return {
        "plan": {
            "feature": plan.feature,
            "mode": plan.mode,
            "approved": graph.get("approved"),
            "task_count": plan.task_count,
            "head": graph.get("head"),
            "merged_before": graph.get("merged_before", 0),
            "left_aside": graph.get("left_aside", 0),
            "left_for_later": graph.get("left_for_later", 0),
            "changed_before": graph.get("changed_before"),
            "tags": graph.get("tags"),
            "widest": plan.widest,
            "tools": tools,
            "plugins": await activation.delivery.needed_plugins(tools, workers),
        },
        "waves": list(plan.waves),
        **machine,
    }
