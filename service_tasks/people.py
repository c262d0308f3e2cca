"""`people.notify` and `report.write`: what people read."""

from __future__ import annotations

from engine.handlers import Activation, Handlers, Header, Variables

handlers = Handlers()


@handlers.job(
    "people.notify",
    title="Notify people",
    headers=(
        Header(name="subject", help="One line.", required=True),
        Header(name="text", help="What happened and what to do."),
    ),
    gives=("notified",),
)
async def notify(activation: Activation) -> Variables:
    """Leaves a notice for people: in the ledger, the report and `engine status`."""
    return await activation.world.notify(
        activation.job, activation.text("subject"), activation.text("text", "")
    )


@handlers.job(
    "report.write",
    title="Write the report",
    headers=(
        Header(
            name="outcome",
            help="How the run ended, as the diagram sees it.",
            required=True,
            choices=("completed", "partial", "incomplete", "blocked"),
        ),
    ),
    gives=("report",),
)
async def write_report(activation: Activation) -> Variables:
    """Writes report.json and report.md of the run."""
    return {
        "report": await activation.world.write_report(activation.job, activation.text("outcome"))
    }
