"""Nodes that are new, gone or say something else. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.bpmn.checks import scopes
from engine.bpmn.diff.aspects import aspects, kind_of
from engine.bpmn.diff.change import Change, Weight
from engine.bpmn.model import (
    BoundaryEvent,
    ExclusiveGateway,
    Node,
    PassTask,
    Process,
    UserTask,
)

__all__ = ["WORDS", "element_changes", "nodes_of"]

#: path of a field → (what it is called, what a change of it means, its weight); the longest path that fits is taken
WORDS: Final[Mapping[str, tuple[str, str, Weight]]] = {
    "assignee": ("the person it is for", "Other people are asked.", "behaviour"),
    "attached_to": ("the activity it is attached to", "It happens at another activity.", "behaviour"),
    "called": ("what it calls", "", "behaviour"),
    "called.process_id": ("the process it calls", "Another process does this part.", "behaviour"),
    "called.propagate_all_child": ("takes back all results", "What follows sees other variables.", "behaviour"),
    "called.propagate_all_parent": ("hands over all variables", "The called process sees other variables.",
                                    "behaviour"),
    "candidate_groups": ("the groups it is for", "Other people are asked.", "behaviour"),
    "candidate_users": ("the people it is for", "Other people are asked.", "behaviour"),
    "decision": ("its decision", "Another table decides.", "behaviour"),
    "decision.decision_id": ("its decision", "Another table decides.", "behaviour"),
    "decision.result_variable": ("the variable of its result", "What follows finds the result elsewhere.", "behaviour"),
    "due_date": ("when it is due", "", "behaviour"),
    "executable": ("is executable", "", "behaviour"),
    "follow_up_date": ("when people should begin", "", "behaviour"),
    "form": ("its form", "People see another form.", "behaviour"),
    "inputs": ("input", "Its work sees another value.", "behaviour"),
    "inputs#order": ("the order of its inputs", "A later input may read an earlier one.", "behaviour"),
    "interrupting": ("interrupts", "", "behaviour"),
    "job": ("its work", "", "behaviour"),
    "job.headers": ("header", "The job is told something else.", "behaviour"),
    "job.retries": ("the number of attempts", "It is tried that often before a person is asked.", "behaviour"),
    "job.type": ("its job type", "Other work is done here.", "behaviour"),
    "loop": ("its loop", "How often it is done is other.", "behaviour"),
    "loop.completion_condition": ("when its loop is done early", "", "behaviour"),
    "loop.input_collection": ("the list it goes through", "", "behaviour"),
    "loop.input_element": ("the name of an item", "", "behaviour"),
    "loop.output_collection": ("where the results of its loop go", "", "behaviour"),
    "loop.output_element": ("what each turn of its loop gives", "", "behaviour"),
    "loop.sequential": ("its loop goes one by one", "", "behaviour"),
    "message": ("its message", "It waits for another message.", "behaviour"),
    "message.correlation_key": ("its correlation key", "It waits for the message of another case.", "behaviour"),
    "name": ("its name", "", "wording"),
    "outputs": ("output", "What follows sees another value.", "behaviour"),
    "outputs#order": ("the order of its outputs", "A later output may read an earlier one.", "behaviour"),
    "policy": ("its policy", "Another policy decides.", "gate"),
    "policy.input": ("what its policy sees", "The policy judges other facts.", "gate"),
    "policy.package": ("its policy", "Another policy decides.", "gate"),
    "properties": ("property", "", "behaviour"),
    "trigger": ("what it waits for or throws", "It happens for another reason.", "behaviour"),
    "trigger.activity": ("what it compensates", "", "behaviour"),
    "trigger.code": ("its code", "Other errors or escalations are meant.", "behaviour"),
    "trigger.condition": ("its condition", "It happens in other cases.", "behaviour"),
    "trigger.correlation_key": ("its correlation key", "It waits for the message of another case.", "behaviour"),
    "trigger.expression": ("its code", "Other errors or escalations are meant.", "behaviour"),
    "trigger.kind": ("the kind of its timer", "It fires at another time.", "behaviour"),
    "trigger.name": ("the name of its event", "Another event is meant.", "behaviour"),
    "trigger.value": ("its timer", "It fires at another time.", "behaviour"),
    "triggered_by_event": ("is begun by an event", "", "behaviour"),
    "version_tag": ("its version tag", "", "wording"),
}  # fmt: skip


def nodes_of(process: Process) -> dict[str, tuple[str, Node]]:
    """Return {node id: (id of the sub-process around it, "" for none; the node)}."""
    return {
        id_: (owner.id if owner else "", node)
        for owner, scope in scopes(process)
        for id_, node in scope.nodes.items()
    }


def element_changes(old: Process, new: Process) -> Iterator[Change]:
    """Yield what is new, gone or other about the process itself and its nodes, in the order of the drawing."""
    yield from _said(new.id, "", "the process", _of(old), _of(new), is_gate=False)
    before, after = nodes_of(old), nodes_of(new)
    for id_, (_, node) in before.items():
        if id_ not in after:
            yield _gone(old, node)
    for id_, (around, node) in after.items():
        if id_ not in before:
            yield _new(new, node)
            continue
        was_around, was = before[id_]
        if type(was) is not type(node):
            yield Change(
                process=new.id,
                element=id_,
                weight="gate" if UserTask in (type(was), type(node)) else "behaviour",
                message=f"{node.label}: is a {kind_of(node)} now, it was a {kind_of(was)}",
                means="Something else happens here.",
            )
        if was_around != around:
            yield Change(
                process=new.id,
                element=id_,
                weight="behaviour",
                message=f"{node.label}: lies in {around or 'the process'} now, it lay in {was_around or 'the process'}",
                means="What interrupts the one no longer interrupts it with the other.",
            )
        is_gate = isinstance(node, ExclusiveGateway) and node.policy is not None
        yield from _said(new.id, id_, node.label, aspects(was), aspects(node), is_gate=is_gate)


def _of(process: Process) -> dict[str, str]:
    return {path: text for path, text in aspects(process).items() if path != "digest"}


def _gone(process: Process, node: Node) -> Change:
    gate = isinstance(node, ExclusiveGateway) and node.policy is not None
    means = "Its work is not done any more." if _work(node) else ""
    if isinstance(node, ExclusiveGateway) and node.policy is not None:
        means = f'The policy "{node.policy.package}" is not asked here any more.'
    elif isinstance(node, UserTask):
        means = "Nobody is asked here any more."
    elif isinstance(node, BoundaryEvent):
        means = f"Nothing of this kind is caught at {_label(process, node.attached_to)} any more."
    return Change(
        process=process.id,
        element=node.id,
        weight="gate" if gate or isinstance(node, UserTask) else _weight(node),
        message=f"{kind_of(node)} {node.label} is gone{_work(node)}{_place(process, node, 'it stood')}",
        means=means,
    )


def _new(process: Process, node: Node) -> Change:
    means = ""
    if isinstance(node, ExclusiveGateway) and node.policy is not None:
        means = f'The policy "{node.policy.package}" is asked here.'
    elif isinstance(node, UserTask):
        means = "A run waits here for a person."
    return Change(
        process=process.id,
        element=node.id,
        weight="gate" if means else _weight(node),
        message=f"{kind_of(node)} {node.label} is new{_work(node)}{_place(process, node, 'it stands')}",
        means=means,
    )


def _weight(node: Node) -> Weight:
    return "wording" if isinstance(node, PassTask) and not node.outputs else "behaviour"


def _work(node: Node) -> str:
    type_ = aspects(node).get("job.type", "")
    return f", with job type {type_}" if type_ else ""


def _place(process: Process, node: Node, stands: str) -> str:
    """Return where it stands: at or after what."""
    if isinstance(node, BoundaryEvent):
        return f"; {stands} at {_label(process, node.attached_to)}"
    ways = [flow for _, scope in scopes(process) for flow in scope.flows.values()]
    sources = [_label(process, flow.source) for flow in ways if flow.target == node.id]
    return f"; {stands} after {' and '.join(dict.fromkeys(sources))}" if sources else ""


def _label(process: Process, id_: str) -> str:
    found = nodes_of(process).get(id_)
    return found[1].label if found else id_


def _said(
    process: str, id_: str, label: str, was: dict[str, str], now: dict[str, str], *, is_gate: bool
) -> Iterator[Change]:
    for path in dict.fromkeys([*was, *now]):
        if was.get(path) == now.get(path) or _parent_is_other(path, was, now):
            continue
        if (
            path in {"properties.policy", "properties.policyInput"}
            and "policy.package" in was | now
        ):
            continue  # said of the policy itself
        words, means, weight = _words(path)
        yield Change(
            process=process,
            element=id_,
            weight="gate" if is_gate and path.startswith("policy") else weight,
            message=f"{label}: {words} {_otherwise(was.get(path), now.get(path))}",
            means=_interrupts(now.get(path)) if path == "interrupting" else means,
        )


def _parent_is_other(path: str, was: dict[str, str], now: dict[str, str]) -> bool:
    """Whether a timer became a message, or a loop came or went: what is inside of them needs no line of its own."""
    parent = path.partition(".")[0]
    return parent != path and parent in was | now and was.get(parent) != now.get(parent)


def _words(path: str) -> tuple[str, str, Weight]:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        known = WORDS.get(".".join(parts[:length]))
        if known is not None:
            words, means, weight = known
            rest = ".".join(parts[length:])
            return (f'{words} "{rest}"' if rest else words), means, weight
    return f'"{path}"', "", "behaviour"


def _otherwise(was: str | None, now: str | None) -> str:
    if {was, now} == {"yes", "no"}:
        return f"({now} now, it was {was})"
    if was is None:
        return f"is {_quoted(now)} now, it was not set"
    if now is None:
        return f"is gone, it was {_quoted(was)}"
    return f"is {_quoted(now)} now, it was {_quoted(was)}"


def _quoted(text: str | None) -> str:
    is_bare = text is not None and (
        text.startswith("=") or text in {"yes", "no"} or text.isdecimal()
    )
    return f"{text}" if is_bare else f'"{text}"'


def _interrupts(now: str | None) -> str:
    if now == "yes":
        return "What it is attached to, or lies in, is stopped when it happens."
    return "What it is attached to, or lies in, goes on beside it."
