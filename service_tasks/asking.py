"""`http.request`, `decision.evaluate`, `policy.check`: questions whose answers the diagram goes on with."""

from __future__ import annotations

from collections.abc import Mapping

from engine.handlers import Activation, BpmnError, Handlers, Header, Json, Variables

handlers = Handlers()


@handlers.job(
    "http.request",
    title="Send an HTTP request",
    headers=(
        Header(
            name="url",
            help="Where to; its origin must be on the list in engine.toml.",
            required=True,
        ),
        Header(
            name="method",
            help="GET asks; the others may change something.",
            choices=("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"),
        ),
        Header(name="timeout_seconds", help="Until the whole answer is there; 30 without."),
    ),
    needs=("request_headers", "body"),
    gives=("response",),
)
async def request(activation: Activation) -> Variables:
    """Sends a request and answers with {status, headers, body}; JSON comes back as values.

    A status outside 200–299 throws HTTP_ERROR with `response`; 429 and 500–599, like no answer at all, are a failed
    attempt, which is repeated while there are retries. `body`: text as it is, any other value as JSON.
    """
    headers = activation.job.variables.get("request_headers") or {}
    if not isinstance(headers, Mapping) or not all(isinstance(v, str) for v in headers.values()):
        raise activation.wrong("request_headers", "a context of texts", headers)
    response = await activation.world.send_request(
        activation.job,
        {
            "method": activation.text("method", "GET"),
            "url": activation.text("url"),
            "headers": headers,
            "body": activation.job.variables.get("body"),
            "timeout_s": activation.whole("timeout_seconds", 30),
        },
    )
    status = response["status"]
    if not isinstance(status, int) or not 200 <= status <= 299:
        raise BpmnError("HTTP_ERROR", f"the answer has status {status}", {"response": response})
    return {"response": response}


@handlers.job(
    "decision.evaluate",
    title="Evaluate a decision",
    headers=(
        Header(name="decision", help="Id of the decision.", required=True, refers="decision"),
    ),
    needs=("inputs",),
    gives=("evaluation",),
)
async def decide(activation: Activation) -> Variables:
    """Asks a decision whose name may come from a variable; answers with its `value` and how it came about.

    `inputs`, a context, is what it is asked with; without, it sees the variables of the task.
    """
    evaluation = await activation.world.evaluate_decision(
        activation.job, activation.text("decision"), _given(activation, "inputs")
    )
    return {"evaluation": evaluation}


@handlers.job(
    "policy.check",
    title="Check a policy",
    headers=(
        Header(name="policy", help="Rego package that judges.", required=True, refers="policy"),
    ),
    needs=("input",),
    gives=("verdict", "reasons"),
)
async def check(activation: Activation) -> Variables:
    """Asks a policy whose name may come from a variable; answers with `verdict` and `reasons`, as a gateway would.

    It opens nothing by itself: let a gateway ask `verdict = "pass"`, with the closed way as its default. `input`, a
    context, is what is judged; without, it sees the variables of the task.
    """
    return await activation.world.check_policy(
        activation.job, activation.text("policy"), _given(activation, "input")
    )


def _given(activation: Activation, name: str) -> Mapping[str, Json]:
    value = activation.job.variables.get(name)
    if value is None:
        return activation.job.variables
    if not isinstance(value, Mapping):
        raise activation.wrong(name, "a context", value)
    return value
