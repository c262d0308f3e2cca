"""`workspace.acquire`, `task.validate`, `task.quarantine`: one task before and after its worker."""

from __future__ import annotations

from collections.abc import Mapping

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
        "task",
    ),
    delivers=True,
)
async def acquire(activation: Activation) -> Variables:
    """Gives the task a fresh worktree on the head of the integration branch; unsaved work in an old one is kept.
    A task whose files were widened in this run is answered as it is now."""
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
    "task.rescope",
    title="Widen the files of the task",
    needs=("task", "verification"),
    gives=("rescoped",),
    delivers=True,
)
async def rescope(activation: Activation) -> Variables:
    """Lets the task also write what its last attempt wrote undeclared: recorded in the ledger, for this run and this task. The next
    `workspace.acquire` answers with the wider task. The task graph is not edited."""
    found = activation.mapping("verification").get("rescope")
    if not isinstance(found, Mapping):
        raise activation.wrong(
            "verification", "one with rescope, of an attempt with undeclared writes", found
        )
    reason = activation.text("reason", "widened by the rescope table")
    return await activation.delivery.rescope(
        activation.job, activation.mapping("task"), found, reason
    )


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
