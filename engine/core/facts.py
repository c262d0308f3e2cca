"""What each fact does to an execution. A fact that names nothing open has no effect."""

from __future__ import annotations

from functools import partial

from engine.core import activities, behaviour, catching
from engine.core.execution import NOTHING, Execution, Wait
from engine.core.expressions import Trouble
from engine.core.model import (
    BpmnErrorThrown,
    ChildEnded,
    ChildEscalated,
    Fact,
    IncidentResolved,
    InstanceCancelled,
    Job,
    JobCompleted,
    JobFailed,
    MessageCorrelated,
    SignalBroadcast,
    TimerFired,
    UserTaskCompleted,
    Variables,
    VariablesSet,
    VerdictGiven,
)


def take(x: Execution, fact: Fact) -> bool:
    """Apply `fact`; return False when it is late, doubled or names nothing, and so changes nothing."""
    match fact:
        case JobCompleted(job=key, variables=variables):
            return _answer(x, x.take("job", key), variables)
        case UserTaskCompleted(task=key, variables=variables):
            return _answer(x, x.take("user_task", key), variables)
        case JobFailed():
            return _job_failed(x, fact)
        case BpmnErrorThrown():
            return _error_thrown(x, fact)
        case TimerFired(timer=key):
            return _trigger(x, x.take("timer", key), NOTHING)
        case MessageCorrelated(subscription=key, variables=variables):
            return _trigger(x, x.take("message", key), variables)
        case SignalBroadcast(name=name, variables=variables):
            return catching.broadcast(x, name, variables)
        case VerdictGiven(request=key, verdict=verdict):
            wait = x.take("verdict", key)
            if wait is not None:
                behaviour.take_verdict(x, wait.token, verdict)
            return wait is not None
        case ChildEnded(child=child):
            wait = x.take("child", child)
            if wait is not None:
                activities.child_ended(x, wait, fact)
            return wait is not None
        case ChildEscalated():
            return _child_escalated(x, fact)
        case IncidentResolved():
            return _incident_resolved(x, fact)
        case VariablesSet(variables=variables):
            x.set_local(x.root, variables)
            return True
        case InstanceCancelled(reason=reason):
            x.end("cancelled", message=reason)
            return True
        case _:
            return False


def _answer(x: Execution, wait: Wait | None, variables: Variables) -> bool:
    """Complete the element whose job or user task was answered."""
    if wait is None:
        return False
    token = wait.token
    activities.complete(x, token, variables)
    if token.is_closed:
        behaviour.note_end(x, token)
    return True


def _trigger(x: Execution, wait: Wait | None, variables: Variables) -> bool:
    if wait is not None:
        x.attempt(wait.token, partial(_fire, x, wait, variables))
    return wait is not None


def _fire(x: Execution, wait: Wait, variables: Variables) -> None:
    catching.trigger(x, wait, variables)


def _job_failed(x: Execution, fact: JobFailed) -> bool:
    """Try again while retries are left; then a person is needed."""
    wait = x.take("job", fact.job)
    if wait is None:
        return False
    job, token = wait.detail, wait.token
    assert isinstance(job, Job)
    if job.retries > 1:
        again = partial(behaviour.create_job, x, token, job.attempt + 1, job.retries - 1)
        x.attempt(token, again)
        return True
    message = f"no retries are left; the last attempt failed ({fact.failure.class_}): {fact.failure.message}"
    retry = partial(behaviour.create_job, x, token, job.attempt + 1)
    x.raise_incident(token, Trouble("JOB_FAILED", message), retry)
    return True


def _error_thrown(x: Execution, fact: BpmnErrorThrown) -> bool:
    wait = x.take("job", fact.job)
    if wait is None:
        return False
    try:
        catching.throw_error(x, wait.token, fact.code, fact.message, fact.variables)
    except Trouble as trouble:
        retry = partial(behaviour.create_job, x, wait.token, wait.detail.attempt + 1)
        x.raise_incident(wait.token, trouble, retry)
    return True


def _child_escalated(x: Execution, fact: ChildEscalated) -> bool:
    """Let an escalation of a child that still runs be caught here, or further out."""
    wait = x.waits.get("child", {}).get(fact.child)
    if wait is None:
        return False
    if not catching.throw_escalation(x, wait.token, fact.code, fact.variables):
        behaviour.escalate(x, fact.code, fact.variables)
    return True


def _incident_resolved(x: Execution, fact: IncidentResolved) -> bool:
    wait = x.take("incident", fact.incident)
    if wait is None:
        return False
    x.propagate(wait.token, fact.variables)
    x.attempt(wait.token, wait.detail, key=wait.key)
    return True
