"""`checks.verify`, `checks.run_gates`, `checks.run_doctor`: evidence before and after a merge."""

from __future__ import annotations

from engine.handlers import Activation, BpmnError, Handlers, Header, Variables

handlers = Handlers()


@handlers.job(
    "checks.verify",
    title="Verify the work",
    needs=("task",),
    gives=("verification",),
    delivers=True,
)
async def verify(activation: Activation) -> Variables:
    """Takes the worker's files as one commit, checks what it changed, and runs the task's own check on them.

    Anything but a passed check throws VERIFICATION_FAILED with `failure_class`, `failure_kind` and `failure_message`.
    """
    found = await activation.delivery.verify(activation.job, activation.mapping("task"))
    if found["result"] != "ok":
        raise BpmnError(
            "VERIFICATION_FAILED",
            str(found["message"]),
            {
                "verification": found,
                "failure_class": found["failure_class"],
                "failure_kind": found["failure_kind"],
                "failure_message": found["message"],
            },
        )
    return {"verification": found}


@handlers.job(
    "checks.run_gates",
    title="Run gates",
    headers=(
        Header(
            name="stage",
            help="Which gates of the configuration: before the merge, or at the end of the run.",
            required=True,
            choices=("pre_merge", "final"),
        ),
    ),
    needs=("commit",),
    gives=("gates",),
    delivers=True,
)
async def run_gates(activation: Activation) -> Variables:
    """Runs the configured gates on exactly the given commit, in a fresh workspace."""
    stage = activation.text("stage")
    gates = await activation.delivery.run_gates(
        activation.job, activation.text("commit"), stage, activation.whole("max_level", 5)
    )
    return {"gates": gates}


@handlers.job(
    "checks.run_doctor",
    title="Run the doctor",
    needs=("commit",),
    gives=("doctor",),
    delivers=True,
)
async def run_doctor(activation: Activation) -> Variables:
    """Runs the doctor command on the merged commit."""
    return {
        "doctor": await activation.delivery.run_doctor(activation.job, activation.text("commit"))
    }
