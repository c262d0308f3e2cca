"""`worker.run` and `command.run`: programs that do work."""

from __future__ import annotations

from engine.handlers import Activation, BpmnError, Handlers, Header, Variables

handlers = Handlers()


@handlers.job(
    "worker.run",
    title="Run a code worker",
    needs=("task", "selection"),
    gives=("work",),
    delivers=True,
)
async def run(activation: Activation) -> Variables:
    """Starts the selected worker in the task's workspace and waits for its end.

    A worker that did not end with exit code 0 throws WORKER_FAILED with `failure_class`, `failure_kind` and `failure_message`.
    With the answer of the circuit breaker in `breaker`, it throws TOOL_FAILED_MEANWHILE instead of starting anything when the tool
    has failed `holds_below` times in a row by the time a worker is free.
    """
    work = await activation.delivery.run_worker(
        activation.job, activation.mapping("task"), activation.mapping("selection")
    )
    if work["failure_class"]:
        raise BpmnError(
            "WORKER_FAILED",
            str(work["message"]),
            {
                "work": work,
                "failure_class": work["failure_class"],
                "failure_kind": work["failure_kind"],
                "failure_message": work["message"],
            },
        )
    return {"work": work}


@handlers.job(
    "command.run",
    title="Run a command",
    headers=(
        Header(name="command", help="Run by /bin/sh in the project's folder.", required=True),
        Header(name="timeout_seconds", help="Stop it after this long; 600 without."),
    ),
    gives=("command",),
)
async def command(activation: Activation) -> Variables:
    """Runs a command and answers with its exit code and the end of its output."""
    return await activation.world.run_command(
        activation.job, activation.text("command"), activation.whole("timeout_seconds", 600)
    )
