"""`message.publish`: a message to whoever waits for it inside the run."""

from __future__ import annotations

from engine.handlers import Activation, Handlers, Header, Variables

handlers = Handlers()


@handlers.job(
    "message.publish",
    title="Publish a message",
    headers=(
        Header(name="name", help="Name of the message, as its catch event has it.", required=True),
        Header(
            name="ttl_seconds", help="Keep it so long for those that do not wait yet; 0 without."
        ),
    ),
    needs=("correlation_key", "message_variables"),
    gives=("published",),
)
async def publish(activation: Activation) -> Variables:
    """Hands a message to the instances of this run that wait for its name and `correlation_key`.

    `message_variables`, a context, goes with it; both may be left out.
    """
    given = activation.job.variables.get("message_variables")
    if given is not None and not isinstance(given, dict):
        raise activation.wrong("message_variables", "a context", given)
    return await activation.world.publish(
        activation.job,
        activation.text("name"),
        activation.job.variables.get("correlation_key"),
        given or {},
        activation.whole("ttl_seconds", 0),
    )
