"""Events that are caught: what is subscribed when, what a trigger does, and who catches an error or escalation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from engine.bpmn.model import BoundaryEvent, StartEvent
from engine.core import timing
from engine.core.compiled import (
    CodeOf,
    ConditionCode,
    Element,
    Flow,
    MessageCode,
    SignalCode,
    TimerCode,
)
from engine.core.execution import NOTHING, Execution, Fired, Wait, Waits
from engine.core.expressions import Compiled, Trouble, View
from engine.core.model import MessageSubscribed, TimerScheduled, Variables

if TYPE_CHECKING:
    from engine.core.process import Token

# --- subscriptions ------------------------------------------------------------------------------------


def subscribe_boundaries(x: Execution, host: Token) -> None:
    """Wait for the boundary events of the activity at `host`. Raises Trouble before anything is open."""
    if host.element.boundaries:
        _subscribe(x, host, [(event, None) for event in host.element.boundaries])


def subscribe_event_subprocesses(x: Execution, scope: Token) -> None:
    """Wait for the start events of the event sub-processes of a scope. Raises Trouble before anything is open."""
    if scope.inner is not None and scope.inner.event_subprocesses:
        _subscribe(x, scope, [(start, sub) for sub, start in scope.inner.event_subprocesses])


def subscribe_events(x: Execution, token: Token, events: Iterable[Element]) -> None:
    """Wait at `token` for the first of `events`. Raises Trouble before anything is open."""
    _subscribe(x, token, [(event, None) for event in events])


def _subscribe(x: Execution, owner: Token, events: list[tuple[Element, Element | None]]) -> None:
    view = x.view(owner)
    ready = [
        (event, within, _evaluated(event, view))
        for event, within in events
        if not isinstance(event.code, CodeOf)  # found by search when it is thrown
    ]
    for event, within, (kind, detail) in ready:
        _open(x, owner, event, within, kind, detail)


def _evaluated(event: Element, view: View) -> tuple[Waits, Any]:
    """Return the kind of wait and what it waits for."""
    match event.code:
        case TimerCode(kind=kind, value=value):
            due = value.raw(view) if isinstance(value, Compiled) else value.value(view)
            return "timer", timing.schedule(kind, due, view.moment.now)
        case MessageCode(name=name, key=key):
            return "message", (name.text(view), "" if key is None else key.text(view))
        case SignalCode(name=name):
            return "signal", name.text(view)
        case ConditionCode(condition=condition):
            return "condition", condition
        case _:
            raise Trouble("MAPPING", f"{event.id} waits for nothing")


def _open(
    x: Execution, owner: Token, event: Element, within: Element | None, kind: Waits, detail: Any
) -> Wait:  # Any: as in Wait
    visit = x.next_visit(event) if event is not owner.element else owner.visit
    key = f"{event.id}#{visit}"
    wait = Wait(kind, key, owner, event, detail, visit, within)
    x.open(wait)
    if kind == "timer":
        x.emit(TimerScheduled(timer=key, due=detail.due))
    elif kind == "message":
        x.emit(MessageSubscribed(subscription=key, name=detail[0], correlation_key=detail[1]))
    elif kind == "condition":
        x.is_dirty = True
    return wait


def _wait_again(x: Execution, wait: Wait) -> Wait | None:
    """Wait for the next firing of a non-interrupting event, under a new number."""
    detail = wait.detail
    if wait.kind == "timer":
        detail = detail.following()
        if detail is None:
            return None
    return _open(x, wait.token, wait.element, wait.within, wait.kind, detail)


# --- triggers -----------------------------------------------------------------------------------------


def trigger(x: Execution, wait: Wait, variables: Variables) -> Wait | None:
    """Make happen what `wait`, no longer open, has waited for. Return the wait that replaces it, if any."""
    event, owner = wait.element, wait.token
    again = None
    fired = Fired(variables, wait.visit)
    if isinstance(event.node, BoundaryEvent):
        scope = owner.outer
        if event.interrupting:
            x.terminate(owner)
        else:
            again = _wait_again(x, wait)
        x.tokens.offer(event, scope, fired=fired)
    elif isinstance(event.node, StartEvent):
        assert wait.within is not None
        if event.interrupting:
            interrupt_scope(x, owner)
        else:
            again = _wait_again(x, wait)
        x.tokens.offer(wait.within, owner, fired=fired)
    elif event is owner.element:
        owner.fired = fired
        x.tokens.again(owner)
    else:
        _leave_event_gateway(x, owner, event, fired)
    return again


def _leave_event_gateway(x: Execution, gateway: Token, event: Element, fired: Fired) -> None:
    flow = next(flow for flow in gateway.element.outgoing if flow.target == event.id)
    x.leave(gateway, (flow,), chosen=True)
    x.tokens.offer(event, gateway.outer, flow=flow.id, fired=fired)
    no_flow: tuple[Flow, ...] = ()
    x.go_on(gateway, no_flow)


def interrupt_scope(x: Execution, scope: Token) -> None:
    """Stop everything in `scope`: an interrupting event sub-process takes over."""
    x.terminate_inside(scope)
    for wait in list((scope.waits or {}).values()):
        if wait.within is not None:
            x.close(wait)
    scope.is_interrupted = True


def broadcast(x: Execution, name: str, variables: Variables) -> bool:
    """Give a signal to all who wait for it at this moment; return whether anybody did."""
    waiting = [wait for wait in x.waits.get("signal", {}).values() if wait.detail == name]
    for wait in waiting:
        if x.take("signal", wait.key) is wait:
            trigger(x, wait, variables)
    return bool(waiting)


def check_conditions(x: Execution) -> None:
    """Trigger the conditional events whose condition has become true; one that is null is not true."""
    for wait in list(x.waits.get("condition", {}).values()):
        if x.waits["condition"].get(wait.key) is not wait:
            continue  # closed by an earlier one
        is_true = wait.detail.raw(x.view(wait.token)) is True
        if is_true and not wait.was_true and x.take("condition", wait.key):
            again = trigger(x, wait, NOTHING)
            if again is not None:
                again.was_true = True  # fires again only after it was false
        elif not is_true:
            wait.was_true = False


# --- errors and escalations ---------------------------------------------------------------------------


def throw_error(x: Execution, token: Token, code: str, message: str, variables: Variables) -> None:
    """Give the error to the nearest catcher outwards; without one a child instance fails.

    Raises Trouble(UNHANDLED_ERROR) when nobody catches it in the root instance.
    """
    caught = next(_catchers(token, "error", code), None)
    if caught is not None:
        _give(x, *caught, variables)
    elif x.is_root:
        said = f": {message}" if message else ""
        raise Trouble("UNHANDLED_ERROR", f"nobody catches the BPMN error {code}{said}")
    else:
        x.end("failed", variables=variables, code=code, message=message)


def is_caught(token: Token, kind: str, code: str) -> bool:
    """Return whether an error or escalation thrown at `token` has a catcher in this instance."""
    return next(_catchers(token, kind, code), None) is not None


def throw_escalation(x: Execution, token: Token, code: str, variables: Variables) -> bool:
    """Give the escalation to the nearest catcher outwards; return whether there was one."""
    caught = next(_catchers(token, "escalation", code), None)
    if caught is not None:
        _give(x, *caught, variables)
    return caught is not None


def _give(
    x: Execution, level: Token, event: Element, within: Element | None, variables: Variables
) -> None:
    """Let `event` catch at `level`: its host activity, or the scope of event sub-process `within`."""
    if within is not None:
        if event.interrupting:
            interrupt_scope(x, level)
        x.tokens.offer(within, level, fired=Fired(variables))
        return
    scope = level.outer
    if event.interrupting:
        x.terminate(level)
    x.tokens.offer(event, scope, fired=Fired(variables))


def _catchers(
    token: Token, kind: str, code: str
) -> Iterator[tuple[Token, Element, Element | None]]:
    """Yield (level, event, event sub-process) that catch, nearest first; a named code before a catch-all."""
    level = token
    while True:
        if level.index is None:  # the items of a multi-instance activity share its boundary events
            for event in _matching(level.element.boundaries, kind, code):
                yield level, event, None
        scope = level.scope
        if scope is None:
            return
        if scope.inner is not None and not scope.is_interrupted:
            starts = {start: sub for sub, start in scope.inner.event_subprocesses}
            for event in _matching(starts, kind, code):
                yield scope, event, starts[event]
        level = scope


def _matching(events: Iterable[Element], kind: str, code: str) -> list[Element]:
    found = [
        event
        for event in events
        if isinstance(event.code, CodeOf)
        and event.code.kind == kind
        and event.code.code in (None, code)
    ]
    return sorted(found, key=lambda event: event.code.code is None)  # type: ignore[union-attr]  # CodeOf, see above
