"""Activities from entry to completion: mappings, boundary events, multi-instance, child instances.

Variables follow Camunda 8. Inputs go to the activity's own scope. What a job, person, message or child brings:
with output mappings only their targets leave the activity; without, every variable goes to the nearest scope that
has it, else to the root. The items of a multi-instance activity read and write their own scope first.

A multi-instance activity is one token, its body. Its items are tokens inside the body, except for a call activity:
there the body alone asks for all children and counts their ends, whatever their number.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.core import catching
from engine.core.compiled import CallCode, LoopCode
from engine.core.execution import NOTHING, Execution, Wait
from engine.core.expressions import Trouble, View
from engine.core.model import ChildEnded, ChildRequested, InstanceId, Json, Variables

if TYPE_CHECKING:
    from engine.core.process import Token


class Items:
    """The state of a multi-instance body."""

    __slots__ = ("completed", "items", "outputs", "started")

    def __init__(self, items: list[Json]) -> None:
        self.items = items
        self.outputs: list[Json] = [None] * len(items)
        self.started = 0
        self.completed = 0


def prepare(x: Execution, token: Token) -> None:
    """Make the activity's scope from its input mappings and wait for its boundary events. Once per token."""
    if token.is_prepared:
        return
    element = token.element
    if element.inputs:
        x.set_local(token, element.inputs.evaluate(x.view(token), merge=False))
    if token.index is None:
        catching.subscribe_boundaries(x, token)
    token.is_prepared = True


def complete(x: Execution, token: Token, result: Variables = NOTHING) -> None:
    """Complete the activity with what its work brought; an incident when a mapping fails."""
    x.attempt(token, partial(_complete, x, token, result))


def apply_result(x: Execution, token: Token, result: Variables) -> None:
    """Let variables out of the token's scope, as the module says. Raises Trouble(MAPPING)."""
    outputs = token.element.outputs
    if outputs:
        x.set_local(token, result)
        targets = outputs.evaluate(x.view(token), merge=True)
        x.propagate(token if token.index is not None else token.outer, targets)
    elif result:
        x.propagate(token, result)


def _complete(x: Execution, token: Token, result: Variables) -> None:
    apply_result(x, token, result)
    if token.index is None:
        x.complete(token)
        return
    body = token.outer
    _collect(body, token.index, x.view(token))
    is_enough = _is_enough(body, x.view(token))
    x.complete(token, ())
    _next_item(x, body, is_enough)


# --- multi-instance -----------------------------------------------------------------------------------


def begin_items(x: Execution, body: Token) -> None:
    """Start the items of a multi-instance activity: all, or the first when it is sequential."""
    loop = _loop(body)
    if body.items is None:
        items = loop.input_collection.value(x.view(body))
        if not isinstance(items, list):
            raise Trouble(
                "MAPPING",
                f"expected a list from ={loop.input_collection.source}, but got {items!r}",
            )
        catching.subscribe_boundaries(x, body)
        body.items = Items(items)
    if not body.items.items:
        _complete_body(x, body)
    elif loop.sequential:
        _start_item(x, body)
    else:
        for _ in body.items.items:
            _start_item(x, body)


def _start_item(x: Execution, body: Token) -> None:
    items = _items(body)
    index = items.started
    items.started += 1
    if isinstance(body.element.code, CallCode):
        x.attempt(body, partial(_call_item, x, body, index), key=_item_key(body, index))
    else:
        variables = _item_variables(_loop(body), items, index)
        x.tokens.offer(body.element, body, index=index, variables=variables)


def _item_variables(loop: LoopCode, items: Items, index: int) -> dict[str, Json]:
    variables: dict[str, Json] = {"loopCounter": index + 1}
    if loop.output_variable:
        variables[loop.output_variable] = None  # so that the item's own result stays in the item
    if loop.input_element:
        variables[loop.input_element] = items.items[index]
    return variables


def _item_key(body: Token, index: int) -> str:
    return f"{body.element.id}#{body.visit}[{index}]"


def _collect(body: Token, index: int, view: View) -> None:
    loop = _loop(body)
    if loop.output_element is not None:
        _items(body).outputs[index] = loop.output_element.value(view)


def _is_enough(body: Token, view: View) -> bool:
    """Return whether the completion condition holds once the current item counts as completed."""
    condition, items = _loop(body).completion_condition, _items(body)
    if condition is None:
        return False
    completed = items.completed + 1
    numbers: dict[str, Json] = {
        "numberOfInstances": len(items.items),
        "numberOfActiveInstances": items.started - completed,
        "numberOfCompletedInstances": completed,
        "numberOfTerminatedInstances": 0,
    }
    if _loop(body).output_collection:
        numbers[_loop(body).output_collection] = list(items.outputs)
    return condition.truth(view.with_more(numbers))


def _next_item(x: Execution, body: Token, is_enough: bool) -> None:
    items = _items(body)
    items.completed += 1
    if is_enough or items.completed == len(items.items):
        _complete_body(x, body)
    elif _loop(body).sequential:
        _start_item(x, body)


def _complete_body(x: Execution, body: Token) -> None:
    """Cancel the items that still run and let the outputs out, in the order of the items."""
    x.terminate_inside(body)
    name = _loop(body).output_collection
    if name:
        x.propagate(body.outer, {name: _items(body).outputs})
    x.complete(body)


def _loop(body: Token) -> LoopCode:
    assert body.element.loop is not None
    return body.element.loop


def _items(body: Token) -> Items:
    assert body.items is not None
    return body.items


# --- child instances ----------------------------------------------------------------------------------


def call(x: Execution, token: Token) -> None:
    """Ask for the child instance of a call activity."""
    own = token.variables or NOTHING
    _request(x, token, None, x.view(token), own, own)


def _call_item(x: Execution, body: Token, index: int) -> None:
    own = _item_variables(_loop(body), _items(body), index)
    seen = x.view(body).with_more(own)
    if body.element.inputs:
        mapped = body.element.inputs.evaluate(seen, merge=False)
        own.update(mapped)
        _request(x, body, index, seen.with_more(mapped), own, mapped)
    else:
        _request(x, body, index, seen, own, own)


def _request(
    x: Execution,
    token: Token,
    index: int | None,
    seen: View,
    own: Variables,
    mapped: Variables,
) -> None:
    """Request a child that gets all that is `seen`, or only what is `mapped`; `own` is its item's scope."""
    code = token.element.code
    assert isinstance(code, CallCode)
    process = code.process.text(seen)
    if process not in x.definitions.processes:
        raise Trouble("CALLED_PROCESS", f"the bundle has no process {process!r}")
    if x.definitions.processes[process].scope.start is None:
        raise Trouble("CALLED_PROCESS", f"process {process!r} has no plain start event")
    child = _child_id(x, token, index)
    x.open(Wait("child", child, token, token.element, (index, own)))
    x.emit(
        ChildRequested(
            child=child,
            process=process,
            element=token.element.id,
            variables=seen.variables if code.propagate_all_parent else mapped,
        )
    )


def _child_id(x: Execution, token: Token, index: int | None) -> InstanceId:
    """Return the child's id: `{instance}.{element}#{visit}`, with `[index]` for an item.

    A child that is asked for again after an incident gets a visit of its own, so that no id is used twice.
    """
    retried = token.retried.get(index or 0) if token.retried else None
    name = f"{x.id}.{token.element.id}#{retried or token.visit}"
    return InstanceId(name if index is None else f"{name}[{index}]")


def child_ended(x: Execution, wait: Wait, fact: ChildEnded) -> None:
    """Take a child's end: its variables, its BPMN error, or an incident when somebody cancelled it."""
    token = wait.token
    index, own = wait.detail
    key = "" if index is None else _item_key(token, index)
    retry = partial(_call_again, x, token, index)
    if fact.state == "completed" and index is None:
        is_let_out = bool(token.element.outputs) or _propagates_all(token)
        complete(x, token, fact.variables if is_let_out else NOTHING)
    elif fact.state == "completed":
        x.attempt(token, partial(_complete_item, x, token, index, own, fact.variables), key=key)
    elif fact.state == "failed":
        try:
            catching.throw_error(x, token, fact.code, fact.message, fact.variables)
        except Trouble as trouble:
            x.raise_incident(token, trouble, retry, key=key)
    else:
        said = f": {fact.message}" if fact.message else ""
        cancelled = Trouble("CHILD_CANCELLED", f"child instance {fact.child} was cancelled{said}")
        x.raise_incident(token, cancelled, retry, key=key)


def _propagates_all(token: Token) -> bool:
    code = token.element.code
    return isinstance(code, CallCode) and code.propagate_all_child


def _complete_item(
    x: Execution, body: Token, index: int, own: Variables, result: Variables
) -> None:
    """Complete one item of a fan-out. Its scope exists only here: what it was given and what came back."""
    outputs = body.element.outputs
    seen = x.view(body).with_more({**own, **result})
    targets: Variables = NOTHING
    if outputs:
        targets = outputs.evaluate(seen, merge=True)
    elif _propagates_all(body):
        targets = result
    seen = seen.with_more(targets)
    _collect(body, index, seen)
    is_enough = _is_enough(body, seen)
    x.propagate(body, {name: value for name, value in targets.items() if name not in own})
    _next_item(x, body, is_enough)


def _call_again(x: Execution, token: Token, index: int | None) -> None:
    if token.retried is None:
        token.retried = {}
    token.retried[index or 0] = x.next_visit(token.element)
    if index is None:
        call(x, token)
    else:
        _call_item(x, token, index)
