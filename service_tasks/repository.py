"""`repository.build_candidate`, `repository.merge`, `repository.roll_back`: git, through the engine's vault."""

from __future__ import annotations

from engine.handlers import Activation, Handlers, Variables

handlers = Handlers()


@handlers.job(
    "repository.build_candidate",
    title="Build the merge candidate",
    needs=("sources", "wave"),
    gives=("candidate",),
    delivers=True,
)
async def build_candidate(activation: Activation) -> Variables:
    """Makes the merge commit of all verified tasks that gates will judge; no branch moves."""
    return {
        "candidate": await activation.delivery.build_candidate(
            activation.job, activation.items("sources"), activation.mapping("wave")
        )
    }


@handlers.job(
    "repository.merge",
    title="Merge",
    needs=("candidate", "wave"),
    gives=("merge",),
    delivers=True,
)
async def merge(activation: Activation) -> Variables:
    """Moves the integration branch to the candidate, if five recorded verdicts say pass for exactly this commit."""
    return {
        "merge": await activation.delivery.merge(
            activation.job, activation.mapping("candidate"), activation.mapping("wave")
        )
    }


@handlers.job(
    "repository.roll_back",
    title="Roll back",
    needs=("merge",),
    gives=("roll_back",),
    delivers=True,
)
async def roll_back(activation: Activation) -> Variables:
    """Adds a commit that restores the tree from before the merge; history only grows."""
    reason = activation.text("reason", "the doctor failed after the merge")
    return {
        "roll_back": await activation.delivery.roll_back(
            activation.job, activation.mapping("merge"), reason
        )
    }
