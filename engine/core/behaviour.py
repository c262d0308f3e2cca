"""What each kind of flow node does when a token arrives.

`enter` is the door: it names the element instance, then lets the node's behaviour run. A behaviour completes the
element, leaves something open (`Execution.waits`), or raises Trouble, which becomes an incident; when the incident
is resolved the behaviour runs again from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from engine.bpmn.model import (
    BoundaryEvent,
    BusinessRuleTask,
    CallActivity,
    CatchEvent,
    EndEvent,
    EventBasedGateway,
    ExclusiveGateway,
    InclusiveGateway,
    Node,
    ParallelGateway,
    PassTask,
    ReceiveTask,
    ServiceTask,
    StartEvent,
    SubProcess,
    Terminate,
    ThrowEvent,
    UserTask,
)
from engine.core import activities, catching
from engine.core.compiled import (
    CodeOf,
    DecisionCode,
    Flow,
    GatewayCode,
    JobCode,
    SignalCode,
    UserTaskCode,
)
from engine.core.execution import NOTHING, Execution, Wait
from engine.core.expressions import Text, Trouble, View
from engine.core.model import (
    DecisionEvaluated,
    EscalationThrown,
    Job,
    JobCreated,
    Json,
    Key,
    SignalThrown,
    UserTaskCreated,
    Variables,
    Verdict,
    VerdictRequested,
)
from engine.errors import DefinitionError

if TYPE_CHECKING:
    from engine.core.process import Token

DEFAULT_RETRIES = 3


def enter(x: Execution, token: Token) -> None:
    """A token has arrived at its element: begin the element instance."""
    x.activate(token)
    x.attempt(token, partial(begin, x, token))


def begin(x: Execution, token: Token) -> None:
    """Do what the element does. Raises Trouble when it cannot; may be called again then."""
    if token.is_body:
        activities.begin_items(x, token)
    else:
        _BEHAVIOUR[type(token.element.node)](x, token)


def left_empty(x: Execution, scope: Token) -> None:
    """The last token of a scope is gone: the sub-process, or the instance, is complete."""
    if not scope.is_open or not scope.is_empty or scope.items is not None:
        return
    if scope is x.root:
        x.end("completed", variables=x.root.variables or NOTHING)
    else:
        activities.complete(x, scope)


# --- activities ---------------------------------------------------------------------------------------


def _pass(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    activities.complete(x, token)


def _service(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    create_job(x, token, 1)


def create_job(x: Execution, token: Token, attempt: int, retries: int | None = None) -> None:
    """Leave a job; `retries` (attempts left) are the definition's when None. Raises Trouble(MAPPING)."""
    code = token.element.code
    assert isinstance(code, JobCode)
    view = x.view(token)
    local = f"{token.element.id}#{token.visit}.{attempt}"
    job = Job(
        key=Key(f"{x.run}/{x.id}/{local}"),
        type=code.type.text(view),
        element=token.element.id,
        visit=token.visit,
        attempt=attempt,
        retries=_retries(code.retries, view) if retries is None else retries,
        headers=code.headers,
        inputs=token.variables or NOTHING,
        variables=view.variables,
    )
    x.open(Wait("job", local, token, token.element, job))
    x.emit(JobCreated(job=job))


def _retries(source: Text | None, view: View) -> int:
    if source is None:
        return DEFAULT_RETRIES
    value = source.value(view)
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text.isdecimal():
        text = int(text)
    is_whole = isinstance(text, int | Decimal) and not isinstance(text, bool) and text == int(text)
    if not is_whole or int(text) < 1:  # type: ignore[arg-type]  # a number, see is_whole
        raise Trouble("MAPPING", f"expected retries of at least 1, but got {value!r}")
    return int(text)  # type: ignore[arg-type]  # as above


def _decide(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    code = token.element.code
    assert isinstance(code, DecisionCode)
    view = x.view(token)
    wanted = code.decision.text(view)
    decision = x.definitions.decisions.get(wanted)
    if decision is None:
        raise Trouble("DECISION", f"the bundle has no decision {wanted!r}")
    try:
        record, wrong = decision.explain(view.variables)
    except DefinitionError as error:
        raise Trouble("DECISION", f"decision {wanted} cannot be evaluated: {error}") from error
    x.emit(
        DecisionEvaluated(
            element=token.element.id,
            visit=token.visit,
            decision=wanted,
            definition=decision.digest,
            record=record,
            value=record["value"],
        )
    )
    if wrong:
        raise Trouble("DECISION", f"decision {wanted} contradicts itself: {wrong}")
    value = record["value"]
    activities.complete(
        x, token, {code.result_variable: value} if code.result_variable else NOTHING
    )


def _user_task(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    code = token.element.code
    assert isinstance(code, UserTaskCode)
    view = x.view(token)
    created = UserTaskCreated(
        task=f"{token.element.id}#{token.visit}",
        name=code.name or token.element.id,
        assignee=_shown(code.assignee, view),
        candidate_groups=_shown(code.candidate_groups, view),
        candidate_users=_shown(code.candidate_users, view),
        due=_shown(code.due, view),
        follow_up=_shown(code.follow_up, view),
        form=code.form,
        variables=view.variables,
    )
    x.open(Wait("user_task", created.task, token, token.element))
    x.emit(created)


def _shown(source: Text | None, view: View) -> str:
    """Return an assignment as text: null is nobody, a list is joined by commas."""
    value = None if source is None else source.value(view)
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)


def _receive(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    if token.fired is not None:
        activities.complete(x, token, token.fired.variables)
    else:
        catching.subscribe_events(x, token, [token.element])


def _call(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    activities.call(x, token)


def _sub_process(x: Execution, token: Token) -> None:
    activities.prepare(x, token)
    inner = token.element.inner
    assert inner is not None
    token.inner = inner
    catching.subscribe_event_subprocesses(x, token)
    start = inner.start
    if token.fired is not None:  # an event sub-process begins at the event that triggered it
        start = next(
            element
            for element in inner.elements.values()
            if isinstance(element.node, StartEvent) and element.node.trigger is not None
        )
    assert start is not None
    x.tokens.offer(start, token, fired=token.fired)


# --- events -------------------------------------------------------------------------------------------


def _start(x: Execution, token: Token) -> None:
    _caught(x, token)


def _catch(x: Execution, token: Token) -> None:
    if token.fired is not None:
        _caught(x, token)
    else:
        catching.subscribe_events(x, token, [token.element])


def _caught(x: Execution, token: Token) -> None:
    activities.apply_result(x, token, token.fired.variables if token.fired else NOTHING)
    x.complete(token)


def _throw(x: Execution, token: Token) -> None:
    element = token.element
    if element.inputs:
        x.set_local(token, element.inputs.evaluate(x.view(token), merge=False))
    own = token.variables or NOTHING
    match element.code:
        case JobCode():
            create_job(x, token, 1)
        case SignalCode(name=name):
            x.emit(SignalThrown(name=name.text(x.view(token)), variables=own))
            _thrown(x, token)
        case CodeOf(kind="error") as thrown:
            _throw_error(x, token, _code(x, token, thrown), own)
        case CodeOf() as thrown:
            _throw_escalation(x, token, _code(x, token, thrown), own)
        case _:
            _thrown(x, token)


def _code(x: Execution, token: Token, thrown: CodeOf) -> str:
    return thrown.code or "" if thrown.expression is None else thrown.expression.text(x.view(token))


def _thrown(x: Execution, token: Token) -> None:
    """Complete a throw or end event."""
    activities.apply_result(x, token, NOTHING)
    _leave_end(x, token)
    x.go_on(token)


def _throw_error(x: Execution, token: Token, code: str, variables: Variables) -> None:
    if x.is_root and not catching.is_caught(token, "error", code):
        catching.throw_error(
            x, token, code, "", variables
        )  # raises the incident: nothing has happened
    _leave_end(x, token)
    catching.throw_error(x, token, code, "", variables)


def _throw_escalation(x: Execution, token: Token, code: str, variables: Variables) -> None:
    _leave_end(x, token)
    if not catching.throw_escalation(x, token, code, variables):
        escalate(x, code, variables)
    x.go_on(token)


def escalate(x: Execution, code: str, variables: Variables) -> None:
    """Hand an escalation that nobody caught here to the parent instance; in the root it has no effect."""
    x.emit(EscalationThrown(code=code, variables=variables))


def _end(x: Execution, token: Token) -> None:
    node = token.element.node
    if not (isinstance(node, EndEvent) and isinstance(node.trigger, Terminate)):
        _throw(x, token)
        return
    x.terminate_inside(token.outer, but=token)
    _leave_end(x, token)
    x.go_on(token)


def _leave_end(x: Execution, token: Token) -> None:
    x.leave(token)
    note_end(x, token)


def note_end(x: Execution, token: Token) -> None:
    """Remember the end event that completed last in the process or one of its event sub-processes."""
    if not isinstance(token.element.node, EndEvent):
        return
    scope = token.outer
    of_event = isinstance(scope.element.node, SubProcess) and scope.element.node.triggered_by_event
    if scope is x.root or (of_event and scope.scope is x.root):
        x.end_event = token.element.id


# --- gateways -----------------------------------------------------------------------------------------


def _exclusive(x: Execution, token: Token) -> None:
    code = token.element.code
    assert isinstance(code, GatewayCode)
    if code.package and not token.is_prepared:
        _ask_policy(x, token, code)
    else:
        x.complete(token, (_first_true(x, token, code),), chosen=True)


def _first_true(x: Execution, token: Token, code: GatewayCode) -> Flow:
    """Return the first flow in document order whose condition holds, else the default.

    Raises Trouble: a condition that is null or no boolean is not the default flow's case; NO_FLOW without one.
    """
    view = x.view(token)
    for flow in code.choices:
        if _holds(flow, view):
            return flow
    if code.default is None:
        raise Trouble("NO_FLOW", "no condition holds, and there is no default flow")
    return code.default


def _holds(flow: Flow, view: View) -> bool:
    if flow.condition is None:
        return True
    try:
        return flow.condition.truth(view)
    except Trouble as trouble:
        raise Trouble(trouble.code, f"flow {flow.id}: {trouble.message}") from trouble


def _ask_policy(x: Execution, token: Token, code: GatewayCode) -> None:
    view = x.view(token)
    given: Json = view.variables
    if code.policy_input is not None:
        given = code.policy_input.value(view)
    request = f"{token.element.id}#{token.visit}"
    x.open(Wait("verdict", request, token, token.element))
    x.emit(
        VerdictRequested(
            request=request, element=token.element.id, package=code.package, input=given
        )
    )


def take_verdict(x: Execution, token: Token, verdict: Verdict) -> None:
    """Go on behind a policy gateway; `verdict` and `reasons` stay as variables."""
    answer = verdict.variables()
    x.propagate(token.outer, answer)
    x.set_local(token, answer)  # the conditions see this answer whatever a parallel branch writes
    token.is_prepared = True
    x.attempt(token, partial(begin, x, token))


def _inclusive(x: Execution, token: Token) -> None:
    code = token.element.code
    assert isinstance(code, GatewayCode)
    view = x.view(token)
    flows = tuple(flow for flow in code.choices if _holds(flow, view))
    if not flows and code.default is None:
        raise Trouble("NO_FLOW", "no condition holds, and there is no default flow")
    x.complete(token, flows or (code.default,), chosen=True)  # type: ignore[arg-type]  # not None, see above


def _parallel(x: Execution, token: Token) -> None:
    x.complete(token, token.element.outgoing, chosen=True)


def _event_gateway(x: Execution, token: Token) -> None:
    targets = [token.outer.inner_scope.elements[flow.target] for flow in token.element.outgoing]
    catching.subscribe_events(x, token, targets)


_BEHAVIOUR: Mapping[type[Node], Callable[[Execution, Token], None]] = {
    PassTask: _pass,
    ServiceTask: _service,
    BusinessRuleTask: _decide,
    UserTask: _user_task,
    ReceiveTask: _receive,
    CallActivity: _call,
    SubProcess: _sub_process,
    StartEvent: _start,
    BoundaryEvent: _start,
    CatchEvent: _catch,
    ThrowEvent: _throw,
    EndEvent: _end,
    ExclusiveGateway: _exclusive,
    InclusiveGateway: _inclusive,
    ParallelGateway: _parallel,
    EventBasedGateway: _event_gateway,
}
