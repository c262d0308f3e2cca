"""Every element of BPMN 2.0: what is executed, what is refused and why, what is only drawn.

The reader reads nothing else and skips nothing else; docs/reference/bpmn.md is made from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from engine.bpmn.texts import Texts, owner_id, owner_of
from engine.bpmn.xml import Element, children, label, line, split

__all__ = [
    "COLLABORATION", "DRAWN", "DRAWN_ROOTS", "EVENTS", "EXECUTED", "GATEWAYS", "NODES", "PLACES", "REFUSED",
    "ROOTS", "TASKS", "check_node",
]  # fmt: skip

Place = Literal[
    "start event", "event sub-process start event", "catch event", "boundary event", "throw event",
    "end event",
]  # fmt: skip

EVENTS: Final = frozenset(
    {"startEvent", "endEvent", "intermediateCatchEvent", "intermediateThrowEvent", "boundaryEvent"}
)
TASKS: Final = frozenset(
    {
        "task", "manualTask", "serviceTask", "sendTask", "businessRuleTask", "userTask", "receiveTask",
        "callActivity", "subProcess",
    }
)  # fmt: skip
GATEWAYS: Final = frozenset(
    {"exclusiveGateway", "inclusiveGateway", "parallelGateway", "eventBasedGateway"}
)
NODES: Final = EVENTS | TASKS | GATEWAYS  #: flow nodes that run
ROOTS: Final = frozenset({"process", "collaboration", "message", "signal", "error", "escalation"})

#: Everything that makes a difference for what runs.
EXECUTED: Final = NODES | ROOTS | {
    "completionCondition", "condition", "conditionExpression", "conditionalEventDefinition", "definitions",
    "errorEventDefinition", "escalationEventDefinition", "expression", "extensionElements", "formalExpression",
    "incoming", "inputDataItem", "loopCardinality", "loopDataInputRef", "loopDataOutputRef",
    "messageEventDefinition", "multiInstanceLoopCharacteristics", "outgoing", "outputDataItem", "participant",
    "sequenceFlow", "signalEventDefinition", "terminateEventDefinition", "timeCycle", "timeDate", "timeDuration",
    "timerEventDefinition",
}  # fmt: skip

#: Which event can stand where (BPMN 2.0.2, table 10.93, without what is refused).
PLACES: Final[Mapping[Place, frozenset[str]]] = {
    "start event": frozenset({"none", "message", "timer", "signal"}),
    "event sub-process start event": frozenset(
        {"message", "timer", "signal", "conditional", "error", "escalation"}
    ),
    "catch event": frozenset({"message", "timer", "signal", "conditional"}),
    "boundary event": frozenset(
        {"message", "timer", "signal", "conditional", "error", "escalation"}
    ),
    "throw event": frozenset({"none", "message", "signal", "escalation"}),
    "end event": frozenset({"none", "message", "signal", "error", "escalation", "terminate"}),
}

#: Elements that say something we do not do, with what to do instead. Never skipped.
REFUSED: Final[Mapping[str, str]] = {
    "adHocSubProcess": "Draw the order, or use an inclusive gateway.",
    "assignment": "Use an input or output mapping; a data association is only a line.",
    "callChoreography": "Choreographies are not executed.",
    "callConversation": "Conversations are not executed.",
    "cancelEventDefinition": "Draw the undoing as tasks after an error.",
    "choreography": "Choreographies are not executed.",
    "choreographyTask": "Choreographies are not executed.",
    "compensateEventDefinition": "Draw the undoing as tasks after an error.",
    "complexBehaviorDefinition": "Use a completion condition.",
    "complexGateway": "Use an inclusive gateway with conditions.",
    "conversation": "Conversations are not executed.",
    "conversationLink": "Conversations are not executed.",
    "correlationKey": "Give the message a correlation key (zeebe:subscription).",
    "correlationSubscription": "Give the message a correlation key (zeebe:subscription).",
    "eventDefinitionRef": "Put the event definition into the event.",
    "globalBusinessRuleTask": "Draw a process, and call it.",
    "globalChoreographyTask": "Choreographies are not executed.",
    "globalConversation": "Conversations are not executed.",
    "globalManualTask": "Draw a process, and call it.",
    "globalScriptTask": "Draw a process, and call it.",
    "globalTask": "Draw a process, and call it.",
    "globalUserTask": "Draw a process, and call it.",
    "humanPerformer": "Use the assignment of a user task (zeebe:assignmentDefinition).",
    "implicitThrowEvent": "Use a completion condition.",
    "import": "Put the other file beside this one.",
    "ioBinding": "Use input and output mappings.",
    "linkEventDefinition": "Draw the path with sequence flows.",
    "performer": "Use the assignment of a user task (zeebe:assignmentDefinition).",
    "potentialOwner": "Use the assignment of a user task (zeebe:assignmentDefinition).",
    "rendering": "Use a form (zeebe:formDefinition).",
    "resourceAssignmentExpression": "Use the assignment of a user task.",
    "resourceParameterBinding": "Use the assignment of a user task.",
    "resourceRole": "Use the assignment of a user task.",
    "script": "Use a service task, or FEEL in a mapping; scripts are never run.",
    "scriptTask": "Use a service task, or FEEL in a mapping; scripts are never run.",
    "standardLoopCharacteristics": "Draw the loop with a gateway, or use multi-instance.",
    "subChoreography": "Choreographies are not executed.",
    "subConversation": "Conversations are not executed.",
    "transaction": "Use a sub-process with error boundary events.",
    "transformation": "Use an input or output mapping; a data association is only a line.",
}

#: Elements inside a process that only a reader of the picture looks at: what runs is the same without them.
DRAWN: Final = frozenset(
    {
        "association", "auditing", "category", "categoryValue", "dataInput", "dataInputAssociation", "dataObject",
        "dataObjectReference", "dataOutput", "dataOutputAssociation", "dataState", "dataStoreReference",
        "documentation", "group", "inputSet", "ioSpecification", "lane", "laneSet", "monitoring", "outputSet",
        "property", "text", "textAnnotation",
    }
)  # fmt: skip
#: The same beside the processes.
DRAWN_ROOTS: Final = frozenset(
    {
        "category", "correlationProperty", "dataStore", "documentation", "endPoint", "extension",
        "extensionElements", "interface", "itemDefinition", "partnerEntity", "partnerRole", "relationship",
        "resource",
    }
)  # fmt: skip
#: What a collaboration may hold beside its pools.
COLLABORATION: Final = DRAWN | {"conversationAssociation", "extensionElements", "messageFlow",
                                "messageFlowAssociation", "participant", "participantAssociation"}  # fmt: skip

#: Children of a flow node that its reader reads.
READ: Final = frozenset({"extensionElements", "incoming", "outgoing", "sequenceFlow"})
_LOOP: Final = "multiInstanceLoopCharacteristics"
_LOOP_PARTS: Final = frozenset(
    {
        "completionCondition", "documentation", "extensionElements", "inputDataItem", "loopCardinality",
        "loopDataInputRef", "loopDataOutputRef", "outputDataItem",
    }
)  # fmt: skip
#: Attributes that would change what runs: the value that says nothing, and what to do.
_ATTRIBUTES: Final[Mapping[str, tuple[str, str]]] = {
    "isForCompensation": ("false", "Draw the undoing as tasks after an error."),
    "startQuantity": ("1", "Draw a parallel gateway before it."),
    "completionQuantity": ("1", "Draw a parallel gateway after it."),
    "instantiate": ("false", "Draw a message start event."),
    "eventGatewayType": ("Exclusive", "Draw a parallel gateway and catch events after it."),
    "parallelMultiple": ("false", "Draw one event for each."),
    "behavior": ("All", "Throw from inside the activity."),
    "oneBehaviorEventRef": ("", "Throw from inside the activity."),
    "noneBehaviorEventRef": ("", "Throw from inside the activity."),
}
_SCOPE: Final = "subProcess"


def check_node(element: Element, texts: Texts) -> None:
    """Report what a flow node says in plain BPMN and nobody would read."""
    _check_attributes(element, texts)
    for child in children(element):
        name = split(child)[1]
        if name == _LOOP:
            _check_loop(child, texts)
        elif name in {"dataInputAssociation", "dataOutputAssociation"}:
            _check_association(child, texts)
        elif not _is_known(name, of_scope=split(element)[1] == _SCOPE):
            _refuse_child(child, name, texts)


def _is_known(name: str, *, of_scope: bool) -> bool:
    """A sub-process holds flow nodes, which are checked as such; events hold event definitions."""
    if name in READ | DRAWN or name.endswith("EventDefinition"):
        return True
    # reported by the reader of loops and of scopes
    return name == "standardLoopCharacteristics" or of_scope


def _check_loop(loop: Element, texts: Texts) -> None:
    _check_attributes(loop, texts)
    for child in children(loop):
        name = split(child)[1]
        if name not in _LOOP_PARTS:
            _refuse_child(child, name, texts)


def _check_association(association: Element, texts: Texts) -> None:
    for child in children(association):
        name = split(child)[1]
        if name in REFUSED:
            _refuse_child(child, name, texts)


def _check_attributes(element: Element, texts: Texts) -> None:
    for name, (nothing, hint) in _ATTRIBUTES.items():
        value = (element.get(name) or nothing).strip()
        if value != nothing:
            message = f'found {name}="{value}", which this engine does not execute'
            _refuse(element, texts, "unsupported-attribute", message, hint)


def _refuse_child(child: Element, name: str, texts: Texts) -> None:
    rule = "unsupported-element" if name in REFUSED else "unknown-element"
    message = f"found bpmn:{name}, which this engine does not execute"
    _refuse(child, texts, rule, message, REFUSED.get(name, "Remove it."))


def _refuse(element: Element, texts: Texts, rule: str, message: str, hint: str) -> None:
    owner = owner_of(element)
    texts.collector.add(
        rule, line(element), f"{label(owner)}: {message}", hint, element=owner_id(element)
    )
