"""Flow nodes and sequence flows of one scope, from XML to the typed model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any, Final

from engine.bpmn.dialect import DRAWN, EVENTS, GATEWAYS, NODES, REFUSED, check_node
from engine.bpmn.extensions import Extensions
from engine.bpmn.model import (
    BoundaryEvent,
    BusinessRuleTask,
    CallActivity,
    CatchEvent,
    Conditional,
    EndEvent,
    Error,
    Escalation,
    EventBasedGateway,
    ExclusiveGateway,
    Expression,
    InclusiveGateway,
    Loop,
    Message,
    Node,
    ParallelGateway,
    PassTask,
    Policy,
    ReceiveTask,
    Scope,
    SequenceFlow,
    ServiceTask,
    Signal,
    StartEvent,
    SubProcess,
    Template,
    Terminate,
    ThrowEvent,
    Timer,
    Trigger,
    UserTask,
)
from engine.bpmn.texts import Texts, owner_of
from engine.bpmn.xml import Element, children, label, line, name_of, split, text_of
from engine.frozen import dataclass

__all__ = ["Nodes", "Roots"]

#: children of a scope that are no flow nodes
NO_NODES: Final = DRAWN | {
    "extensionElements",
    "incoming",
    "multiInstanceLoopCharacteristics",
    "outgoing",
    "sequenceFlow",
}

Read = Callable[[Element, Texts], Extensions]
Common = dict[str, Any]  # Any: keyword arguments of FlowNode's constructor


@dataclass(frozen=True, kw_only=True)
class Roots:
    """What the processes of a file share, by id."""

    messages: Mapping[str, Element] = field(default_factory=dict)
    signals: Mapping[str, Element] = field(default_factory=dict)
    errors: Mapping[str, Element] = field(default_factory=dict)
    escalations: Mapping[str, Element] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Ends:
    """Flow ids by the node they lead to and come from, in document order."""

    incoming: Mapping[str, list[str]]
    outgoing: Mapping[str, list[str]]

    @classmethod
    def of(cls, flows: Iterable[SequenceFlow]) -> _Ends:
        incoming: dict[str, list[str]] = {}
        outgoing: dict[str, list[str]] = {}
        for flow in flows:
            incoming.setdefault(flow.target, []).append(flow.id)
            outgoing.setdefault(flow.source, []).append(flow.id)
        return cls(incoming=incoming, outgoing=outgoing)


class Nodes:
    """Reads scopes of one file."""

    def __init__(self, texts: Texts, roots: Roots, read: Read) -> None:
        self._texts = texts
        self._roots = roots
        self._read = read

    @staticmethod
    def knows(element: Element) -> bool:
        """Return whether the element is a flow node that can run."""
        return split(element)[1] in NODES

    def scope(self, element: Element) -> Scope:
        """Return nodes and flows inside a process or sub-process; what is wrong becomes findings."""
        flows = {
            flow.id: flow
            for child in children(element, "sequenceFlow")
            if (flow := self._flow(child)) is not None
        }
        ends = _Ends.of(flows.values())
        nodes: dict[str, Node] = {}
        for child in children(element):
            name = split(child)[1]
            if name in NO_NODES:
                continue
            if name not in NODES:
                self._refuse_kind(child, name)
            elif not child.get("id"):
                self._refuse(child, "missing-id", "has no id", "Give it one.")
            elif (node := self._node(child, name, ends)) is not None:
                nodes[node.id] = node
        return Scope(nodes=nodes, flows=flows)

    # ---- flows

    def _flow(self, element: Element) -> SequenceFlow | None:
        id_, source, target = (element.get(key) or "" for key in ("id", "sourceRef", "targetRef"))
        if not (id_ and source and target):
            self._refuse(
                element, "dangling-reference", "needs an id and two ends", "Draw the flow again."
            )
            return None
        condition = next(iter(children(element, "conditionExpression")), None)
        return SequenceFlow(
            id=id_,
            name=name_of(element),
            source=source,
            target=target,
            condition=None if condition is None else self._condition(condition),
            position=self._texts.position(element),
        )

    def _condition(self, element: Element) -> Expression | None:
        language = element.get("language") or ""
        if language and "feel" not in language.lower():
            self._refuse(
                owner_of(element),
                "script-condition",
                f"its condition is written in {language}",
                'Write it as FEEL with a leading "=".',
            )
            return None
        return self._texts.expression(element, text_of(element), "the condition")

    def _ordered(self, element: Element, ends: _Ends) -> Common:
        """Return incoming and outgoing flow ids, in the order of the element's own list when it has one."""
        id_ = element.get("id") or ""
        said = {
            kind: [text_of(c) for c in children(element, kind)] for kind in ("incoming", "outgoing")
        }
        return {
            "incoming": _sorted_as(ends.incoming.get(id_, []), said["incoming"]),
            "outgoing": _sorted_as(ends.outgoing.get(id_, []), said["outgoing"]),
        }

    # ---- nodes

    def _node(self, element: Element, name: str, ends: _Ends) -> Node | None:
        check_node(element, self._texts)
        extensions = self._read(element, self._texts)
        documentation = next(iter(children(element, "documentation")), None)
        common: Common = {
            "id": element.get("id"),
            "name": name_of(element),
            "position": self._texts.position(element),
            "documentation": text_of(documentation),
            "properties": extensions.properties,
            **self._ordered(element, ends),
        }
        if name in GATEWAYS:
            return self._gateway(element, name, common, extensions)
        if name in EVENTS:
            return self._event(element, name, common, extensions)
        return self._activity(element, name, common, extensions)

    def _gateway(self, element: Element, name: str, common: Common, extensions: Extensions) -> Node:
        match name:
            case "exclusiveGateway":
                return ExclusiveGateway(
                    **common,
                    default=element.get("default"),
                    policy=self._policy(element, extensions),
                )
            case "inclusiveGateway":
                return InclusiveGateway(**common, default=element.get("default"))
            case "parallelGateway":
                return ParallelGateway(**common)
            case _:
                return EventBasedGateway(**common)

    def _policy(self, element: Element, extensions: Extensions) -> Policy | None:
        package = extensions.properties.get("policy", "").strip()
        text = extensions.properties.get("policyInput", "").strip()
        if not package:
            if text:
                self._refuse(
                    element,
                    "policy-without-package",
                    'has the property "policyInput" but no "policy"',
                    "Name the Rego package.",
                )
            return None
        return Policy(
            package=package,
            input=self._texts.expression(element, text, "the policy input") if text else None,
            position=self._texts.position(element),
        )

    def _activity(
        self, element: Element, name: str, common: Common, extensions: Extensions
    ) -> Node | None:
        common |= {
            "inputs": extensions.inputs,
            "outputs": extensions.outputs,
            "loop": self._loop(element, extensions),
        }
        match name:
            case "task" | "manualTask":
                return PassTask(**common)
            case "serviceTask" | "sendTask":
                return self._service(element, common, extensions)
            case "businessRuleTask":
                if extensions.decision is not None and extensions.job is not None:
                    self._refuse(
                        element,
                        "two-meanings",
                        "names a decision and a task type",
                        "Keep one of the two.",
                    )
                if extensions.decision is not None:
                    return BusinessRuleTask(**common, decision=extensions.decision)
                return self._service(element, common, extensions)
            case "userTask":
                return UserTask(
                    **common,
                    assignee=extensions.assignee,
                    candidate_groups=extensions.candidate_groups,
                    candidate_users=extensions.candidate_users,
                    due_date=extensions.due_date,
                    follow_up_date=extensions.follow_up_date,
                    form=extensions.form,
                )
            case "receiveTask":
                message = self._message(element, element, extensions)
                return None if message is None else ReceiveTask(**common, message=message)
            case "callActivity":
                return self._call(element, common, extensions)
            case _:
                return SubProcess(
                    **common,
                    scope=self.scope(element),
                    triggered_by_event=element.get("triggeredByEvent") == "true",
                )

    def _service(self, element: Element, common: Common, extensions: Extensions) -> Node | None:
        if extensions.job is None and self._texts.collector.said("foreign-code", element.get("id")):
            return None
        if extensions.job is None:
            self._refuse(
                element,
                "task-without-type",
                "says nothing about what is to be done",
                "Choose a task type (a template, or a task definition type).",
            )
            return None
        return ServiceTask(**common, job=extensions.job)

    def _call(self, element: Element, common: Common, extensions: Extensions) -> Node | None:
        if extensions.called is None:
            self._refuse(
                element,
                "call-without-process",
                "does not name the process it calls",
                "Name it in the properties panel.",
            )
            return None
        return CallActivity(**common, called=extensions.called)

    def _loop(self, element: Element, extensions: Extensions) -> Loop | None:
        for child in children(element, "standardLoopCharacteristics"):
            self._refuse_kind(child, "standardLoopCharacteristics")
        found = next(iter(children(element, "multiInstanceLoopCharacteristics")), None)
        if found is None:
            return None
        inner = self._read(found, self._texts)
        plain = self._collection(found)
        if plain is not None and inner.input_collection is not None:
            self._refuse(
                element, "two-meanings", "names an input collection twice", "Keep one of the two."
            )
        collection = inner.input_collection or plain
        if collection is None:
            self._refuse(
                element,
                "loop-without-collection",
                "is multi-instance but names no input collection",
                "Give the list to go through.",
            )
            return None
        done = next(iter(children(found, "completionCondition")), None)
        collected = _id_of(found, "outputDataItem")
        output = inner.output_element
        if output is None and collected:
            output = self._texts.variable(found, f"={collected}", "the output item")
        return Loop(
            sequential=found.get("isSequential") == "true",
            input_collection=collection,
            input_element=inner.input_element or _id_of(found, "inputDataItem"),
            output_collection=inner.output_collection or _text_in(found, "loopDataOutputRef"),
            output_element=output,
            completion_condition=None
            if done is None
            else self._texts.expression(done, text_of(done), "the completion condition"),
        )

    def _collection(self, loop: Element) -> Expression | None:
        """Return the list that plain BPMN names: a variable, or the numbers from 1 to the cardinality."""
        name = _text_in(loop, "loopDataInputRef")
        if name:
            return self._texts.expression(loop, f"={name}", "the loop data input")
        cardinality = next(iter(children(loop, "loopCardinality")), None)
        if cardinality is None:
            return None
        text = text_of(cardinality)
        text = f"={text}" if text.isdecimal() else text
        count = self._texts.expression(cardinality, text, "the loop cardinality")
        if count is None:
            return None
        numbers = f"if ({count.text}) < 1 then [] else for i in 1..({count.text}) return i"
        return self._texts.expression(cardinality, f"={numbers}", "the loop cardinality")

    # ---- events

    def _event(
        self, element: Element, name: str, common: Common, extensions: Extensions
    ) -> Node | None:
        definitions = [c for c in children(element) if split(c)[1].endswith("EventDefinition")]
        if len(definitions) > 1:
            self._refuse(
                element,
                "several-triggers",
                "has more than one event definition",
                "Draw one event for each.",
            )
            return None
        trigger = self._trigger(element, definitions[0], extensions) if definitions else None
        if definitions and trigger is None:
            return None
        inputs, outputs = extensions.inputs, extensions.outputs
        match name:
            case "startEvent":
                interrupting = element.get("isInterrupting") != "false"
                return StartEvent(
                    **common, trigger=trigger, interrupting=interrupting, outputs=outputs
                )
            case "endEvent":
                return EndEvent(
                    **common, trigger=trigger, job=extensions.job, inputs=inputs, outputs=outputs
                )
            case "intermediateThrowEvent":
                return ThrowEvent(
                    **common, trigger=trigger, job=extensions.job, inputs=inputs, outputs=outputs
                )
            case _ if trigger is None:
                self._refuse(
                    element,
                    "event-without-trigger",
                    "does not say what it waits for",
                    "Choose a kind.",
                )
                return None
            case "boundaryEvent":
                return BoundaryEvent(
                    **common,
                    trigger=trigger,
                    attached_to=element.get("attachedToRef") or "",
                    interrupting=element.get("cancelActivity") != "false",
                    outputs=outputs,
                )
            case _:
                return CatchEvent(**common, trigger=trigger, outputs=outputs)

    def _trigger(
        self, owner: Element, definition: Element, extensions: Extensions
    ) -> Trigger | None:
        kind = split(definition)[1].removesuffix("EventDefinition")
        match kind:
            case "timer":
                return self._timer(owner, definition)
            case "message":
                return self._message(owner, definition, extensions)
            case "signal":
                name = self._root_text(owner, definition, "signalRef", self._roots.signals, "name")
                return None if name is None else Signal(name=name)
            case "error":
                return self._coded(owner, definition, "error")
            case "escalation":
                return self._coded(owner, definition, "escalation")
            case "conditional":
                condition = next(iter(children(definition, "condition")), None)
                found = self._texts.expression(definition, text_of(condition), "the condition")
                return None if found is None else Conditional(condition=found)
            case "terminate":
                return Terminate()
            case "link" | "compensate" | "cancel":
                rule = {"link": "link-event", "compensate": "compensate-event"}.get(
                    kind, "cancel-event"
                )
                self._refuse(
                    owner,
                    rule,
                    f"{kind} events are not executed",
                    REFUSED[f"{kind}EventDefinition"],
                )
                return None
            case _:
                self._refuse_kind(definition, f"{kind}EventDefinition")
                return None

    def _timer(self, owner: Element, definition: Element) -> Timer | None:
        for tag, kind in (
            ("timeDate", "date"),
            ("timeDuration", "duration"),
            ("timeCycle", "cycle"),
        ):
            for child in children(definition, tag):
                value = self._texts.template(child, text_of(child), f"the {kind}")
                if value is None or not value.text:
                    break
                return Timer(kind=kind, value=value)  # type: ignore[arg-type]  # one of the three literals above
        self._refuse(
            owner, "timer-without-value", "does not say when", "Give a date, a duration or a cycle."
        )
        return None

    def _message(
        self, owner: Element, definition: Element, extensions: Extensions
    ) -> Message | None:
        root = self._roots.messages.get(_local(definition.get("messageRef")))
        name = self._root_text(owner, definition, "messageRef", self._roots.messages, "name")
        if name is None or root is None:
            return None
        key = self._read(root, self._texts).correlation_key or extensions.correlation_key
        return Message(name=name, correlation_key=key)

    def _coded(self, owner: Element, definition: Element, kind: str) -> Trigger | None:
        """Return an error or escalation; without a reference it catches every code."""
        reference = _local(definition.get(f"{kind}Ref"))
        roots = self._roots.errors if kind == "error" else self._roots.escalations
        code: str | None = None
        name = ""
        if reference:
            root = roots.get(reference)
            if root is None:
                self._dangling(owner, kind, reference)
                return None
            code = (root.get(f"{kind}Code") or "").strip() or None
            name = name_of(root)
        expression = None
        if code is not None and code.startswith(("=", "${")):
            expression = self._texts.expression(owner, code, f"the {kind} code")
            if expression is None:
                return None
        thrown = Error if kind == "error" else Escalation
        return thrown(code=code, name=name, expression=expression)

    def _root_text(
        self,
        owner: Element,
        definition: Element,
        attribute: str,
        roots: Mapping[str, Element],
        key: str,
    ) -> Template | None:
        reference = _local(definition.get(attribute))
        root = roots.get(reference)
        if root is None:
            self._dangling(owner, attribute.removesuffix("Ref"), reference)
            return None
        value = root.get(key) or ""
        if not value:
            self._refuse(owner, "missing-name", f"its {attribute[:-3]} has no name", "Name it.")
            return None
        return self._texts.template(root, value, "the name")

    # ---- findings

    def _dangling(self, owner: Element, kind: str, reference: str) -> None:
        said = f'its {kind} "{reference}" is not in the file' if reference else f"names no {kind}"
        self._refuse(
            owner, "dangling-reference", said, f"Choose the {kind} in the properties panel."
        )

    def _refuse_kind(self, element: Element, name: str) -> None:
        known = name in REFUSED
        self._refuse(
            element,
            "unsupported-element" if known else "unknown-element",
            f"found bpmn:{name}, which this engine does not execute",
            REFUSED.get(name, "Remove it."),
        )

    def _refuse(self, element: Element, rule: str, message: str, hint: str) -> None:
        named = element if name_of(element) else owner_of(element)
        self._texts.collector.add(
            rule,
            line(element),
            f"{label(named)}: {message}",
            hint,
            element=named.get("id") or "",
        )


def _local(reference: str | None) -> str:
    return (reference or "").rpartition(":")[2]


def _text_in(element: Element, child: str) -> str:
    return text_of(next(iter(children(element, child)), None))


def _id_of(element: Element, child: str) -> str:
    """Return the variable that a data item of a loop names: SpiffWorkflow files use its id."""
    found = next(iter(children(element, child)), None)
    return "" if found is None else (found.get("id") or "")


def _sorted_as(real: list[str], said: list[str]) -> tuple[str, ...]:
    """Return `real` in the order of `said`; what is not said comes last, in its own order."""
    order = {id_: position for position, id_ in enumerate(said)}
    return tuple(sorted(real, key=lambda id_: order.get(id_, len(order))))
