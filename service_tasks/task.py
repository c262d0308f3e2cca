"""`workspace.acquire`, `task.validate`, `task.quarantine`: one task before and after its worker."""

from __future__ import annotations

from engine.handlers import Activation, Handlers, Variables

handlers = Handlers()


@handlers.job(
    "workspace.acquire",
    title="Acquire a workspace",
    needs=("task",),
    gives=(
        "workspace",
        "attempt",
        "spent",
        "launchers",
        "waivers",
        "jitter",
        "failure_count",
        "kind_counts",
    ),
    delivers=True,
)
async def acquire(activation: Activation) -> Variables:
    """Gives the task a fresh worktree on the head of the integration branch; unsaved work in an old one is kept."""
    return await activation.delivery.acquire_workspace(activation.job, activation.mapping("task"))


@handlers.job(
    "task.validate",
    title="Validate the task",
    needs=("task",),
    gives=("valid", "tool_results"),
)
async def validate(activation: Activation) -> Variables:
    """Checks the task against its contract once more, just before it is carried out, and tells how its tool has fared
    in this run: `tool_results` {failures since its last success, seconds_since_last, last_reason}."""
    task = activation.mapping("task")
    given = {key: value for key, value in task.items() if value is not None}
    activation.world.check_contract("task.v1", given)
    return {
        "valid": True,
        "tool_results": activation.world.tool_results(str(task.get("tool") or "shell")),
    }


@handlers.job(
    "task.quarantine",
    title="Quarantine the task",
    needs=("task",),
    gives=("quarantine",),
    delivers=True,
)
async def quarantine(activation: Activation) -> Variables:
    """Puts the task aside for a person; its work stays on a kept branch."""
    reason = activation.text("reason", "put aside by the retry table")
    return await activation.delivery.quarantine(activation.job, activation.mapping("task"), reason)
