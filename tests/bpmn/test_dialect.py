"""Every element of BPMN 2.0 is executed, refused with a sentence, or only drawn; nothing is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bpmn import BpmnDefinitionError, dialect, read
from engine.bpmn.digest import document_digest
from engine.bpmn.model import Finding, Loop, ServiceTask
from tests.bpmn.test_reading import JOB, chain, diagram

ELEMENTS = Path(__file__).with_name("bpmn20_elements.txt").read_text("utf-8").split()
DRAWN = (dialect.DRAWN | dialect.DRAWN_ROOTS | dialect.COLLABORATION) - dialect.EXECUTED
#: nothing of their own: parts of what is drawn beside the processes
PARTS = {
    "correlationPropertyBinding", "correlationPropertyRetrievalExpression", "operation", "participantMultiplicity",
    "resourceParameter",
}  # fmt: skip


def findings(xml: bytes) -> tuple[Finding, ...]:
    with pytest.raises(BpmnDefinitionError) as caught:
        read(xml, "x.bpmn")
    return caught.value.findings


def refusals(xml: bytes) -> list[tuple[str, str]]:
    return [(finding.rule, finding.message) for finding in findings(xml)]


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_of_the_standard_has_one_answer(name: str) -> None:
    answers = [name in dialect.EXECUTED, name in dialect.REFUSED, name in DRAWN | PARTS]
    assert answers.count(True) == 1


IN_A_NODE = {"eventDefinitionRef", "ioBinding", "performer", "potentialOwner", "humanPerformer", "rendering",
             "resourceRole", "standardLoopCharacteristics", "script"}  # fmt: skip
IN_A_ROLE = {"resourceAssignmentExpression", "resourceParameterBinding"}
IN_AN_ASSOCIATION = {"assignment", "transformation"}
IN_A_LOOP = {"complexBehaviorDefinition", "implicitThrowEvent"}
IN_A_COLLABORATION = {"callConversation", "conversation", "conversationLink", "correlationKey", "subConversation"}  # fmt: skip
IN_A_PROCESS = {
    "adHocSubProcess", "callChoreography", "choreographyTask", "complexGateway", "correlationSubscription",
    "scriptTask", "subChoreography", "transaction",
}  # fmt: skip


def task_with(inside: str) -> bytes:
    return chain(f'<bpmn:serviceTask id="m">{JOB}{inside}</bpmn:serviceTask>')


def with_refused(name: str) -> bytes:
    """Return a process that is whole but for one element."""
    it = f"<bpmn:{name} />"
    if name in IN_A_NODE:
        return task_with(it)
    if name in IN_A_ROLE:
        return task_with(f"<bpmn:resourceRole>{it}</bpmn:resourceRole>")
    if name in IN_AN_ASSOCIATION:
        return task_with(f"<bpmn:dataInputAssociation>{it}</bpmn:dataInputAssociation>")
    if name in IN_A_LOOP:
        loop = '<bpmn:extensionElements><zeebe:loopCharacteristics inputCollection="=xs" /></bpmn:extensionElements>'
        return task_with(
            f"<bpmn:multiInstanceLoopCharacteristics>{loop}{it}</bpmn:multiInstanceLoopCharacteristics>"
        )
    if name in IN_A_COLLABORATION:
        roots = f"<bpmn:collaboration>{it}</bpmn:collaboration>"
        return diagram('<bpmn:startEvent id="s" />', roots=roots)
    if name in IN_A_PROCESS:
        return chain(f'<bpmn:{name} id="m" />')
    if name.endswith("EventDefinition"):
        return chain(f'<bpmn:intermediateThrowEvent id="m">{it}</bpmn:intermediateThrowEvent>')
    return diagram('<bpmn:startEvent id="s" />', roots=it)


@pytest.mark.parametrize("name", sorted(dialect.REFUSED))
def test_what_is_not_executed_is_refused_with_a_way_to_say_it(name: str) -> None:
    (found,) = findings(with_refused(name))
    if name.endswith("EventDefinition"):
        assert found.rule == f"{name.removesuffix('EventDefinition')}-event"
    else:
        assert found.rule == "unsupported-element"
        inner = name in IN_A_ROLE  # what holds it is refused already
        assert inner or found.hint == dialect.REFUSED[name]


IN_THE_ROOT = dialect.DRAWN_ROOTS - {"extensionElements"}
IN_THE_COLLABORATION = dialect.COLLABORATION - dialect.EXECUTED - dialect.DRAWN


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_what_is_only_drawn_changes_nothing_that_runs(name: str) -> None:
    it = f'<bpmn:{name} id="x" name="X"><bpmn:text>x</bpmn:text></bpmn:{name}>'
    plain = chain(f'<bpmn:serviceTask id="m">{JOB}</bpmn:serviceTask>')
    if name in IN_THE_COLLABORATION:
        drawn = plain.replace(
            b"<bpmn:process", f"<bpmn:collaboration>{it}</bpmn:collaboration><bpmn:process".encode()
        )
    elif name in IN_THE_ROOT and name not in dialect.DRAWN:
        drawn = plain.replace(b"<bpmn:process", f"{it}<bpmn:process".encode())
    else:
        drawn = plain.replace(b"</bpmn:process>", f"{it}</bpmn:process>".encode())
        assert digest(task_with(it)) == digest(plain)
    assert digest(drawn) == digest(plain)


def digest(content: bytes) -> str:
    return document_digest(read(content, "x.bpmn"))


TIMER = "<bpmn:timerEventDefinition><bpmn:timeDuration>PT1H</bpmn:timeDuration></bpmn:timerEventDefinition>"
DEFINITIONS = {
    "message": '<bpmn:messageEventDefinition messageRef="M" />',
    "timer": TIMER,
    "signal": '<bpmn:signalEventDefinition signalRef="S" />',
    "conditional": "<bpmn:conditionalEventDefinition><bpmn:condition>=x</bpmn:condition></bpmn:conditionalEventDefinition>",
    "error": '<bpmn:errorEventDefinition errorRef="E" />',
    "escalation": '<bpmn:escalationEventDefinition escalationRef="X" />',
    "terminate": "<bpmn:terminateEventDefinition />",
    "none": "",
}
EVENT_ROOTS = (
    '<bpmn:message id="M" name="m"><bpmn:extensionElements><zeebe:subscription correlationKey="=k" />'
    '</bpmn:extensionElements></bpmn:message><bpmn:signal id="S" name="s" />'
    '<bpmn:error id="E" errorCode="E1" /><bpmn:escalation id="X" escalationCode="X1" />'
)
PLACES = [(place, kind) for place in dialect.PLACES for kind in DEFINITIONS]


def event_at(place: str, kind: str) -> bytes:
    inside = DEFINITIONS[kind]
    job = JOB if kind == "message" and place in ("throw event", "end event") else ""
    end = '<bpmn:endEvent id="e" />'
    match place:
        case "start event":
            body = f'<bpmn:startEvent id="m">{inside}</bpmn:startEvent>{end}<bpmn:sequenceFlow id="f" sourceRef="m" targetRef="e" />'
        case "event sub-process start event":
            body = (
                f'<bpmn:startEvent id="s" />{end}<bpmn:sequenceFlow id="f" sourceRef="s" targetRef="e" />'
                f'<bpmn:subProcess id="u" triggeredByEvent="true"><bpmn:startEvent id="m">{inside}</bpmn:startEvent></bpmn:subProcess>'
            )
        case "boundary event":
            body = (
                f'<bpmn:startEvent id="s" /><bpmn:task id="t" />{end}<bpmn:sequenceFlow id="f" sourceRef="s" targetRef="t" />'
                f'<bpmn:boundaryEvent id="m" attachedToRef="t">{inside}</bpmn:boundaryEvent>'
                '<bpmn:sequenceFlow id="g" sourceRef="m" targetRef="e" />'
            )
        case "end event":
            body = f'<bpmn:startEvent id="s" /><bpmn:endEvent id="m">{job}{inside}</bpmn:endEvent><bpmn:sequenceFlow id="f" sourceRef="s" targetRef="m" />'
        case _:
            tag = "intermediateCatchEvent" if place == "catch event" else "intermediateThrowEvent"
            return chain(f'<bpmn:{tag} id="m">{job}{inside}</bpmn:{tag}>').replace(
                b"<bpmn:process", EVENT_ROOTS.encode() + b"<bpmn:process"
            )
    return diagram(body, roots=EVENT_ROOTS)


@pytest.mark.parametrize(("place", "kind"), PLACES)
def test_an_event_stands_where_it_can_mean_something(place: str, kind: str) -> None:
    xml = event_at(place, kind)
    possible = dict(dialect.PLACES)  # by name, as the table of the page has them
    if kind in possible[place]:  # type: ignore[index]  # a place, as in PLACES
        assert read(xml, "x.bpmn").processes
    else:
        assert {finding.rule for finding in findings(xml)} & {
            "event-place",
            "event-without-trigger",
            "start-event",
        }


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ('isForCompensation="true"', 'found isForCompensation="true"'),
        ('startQuantity="2"', 'found startQuantity="2"'),
        ('completionQuantity="3"', 'found completionQuantity="3"'),
    ],
)
def test_attributes_that_would_change_what_runs_are_refused(attributes: str, said: str) -> None:
    xml = chain(f'<bpmn:serviceTask id="m" {attributes}>{JOB}</bpmn:serviceTask>')
    message = f"service task m: {said}, which this engine does not execute"
    assert refusals(xml) == [("unsupported-attribute", message)]


@pytest.mark.parametrize(
    ("xml", "rule"),
    [
        pytest.param(event_at("end event", "message").replace(JOB.encode(), b""), "task-without-type", id="a message nobody sends"),
        pytest.param(event_at("end event", "error").replace(b' errorRef="E"', b""), "missing-code", id="an error without a code"),
        pytest.param(event_at("throw event", "escalation").replace(b' escalationCode="X1"', b""), "missing-code", id="an escalation without a code"),
        pytest.param(event_at("boundary event", "error").replace(b'"E1"', b'"=code"'), "code-is-feel", id="a computed code that is caught"),
        pytest.param(event_at("catch event", "timer").replace(b"timeDuration", b"timeCycle").replace(b"PT1H", b"R/PT1H"), "timer-cycle", id="a cycle on the way"),
        pytest.param(event_at("event sub-process start event", "message").replace(b"zeebe:subscription", b"zeebe:properties"), "no-correlation-key", id="a message without key"),
        pytest.param(event_at("event sub-process start event", "error").replace(b'<bpmn:startEvent id="m"', b'<bpmn:startEvent id="m" isInterrupting="false"'), "event-sub-process", id="an error that does not interrupt"),
        pytest.param(task_with('<bpmn:multiInstanceLoopCharacteristics behavior="One"><bpmn:loopCardinality>3</bpmn:loopCardinality></bpmn:multiInstanceLoopCharacteristics>'), "unsupported-attribute", id="a loop that throws"),
        pytest.param(chain('<bpmn:businessRuleTask id="m"><bpmn:extensionElements><zeebe:taskDefinition type="x" /><zeebe:calledDecision decisionId="d" resultVariable="r" /></bpmn:extensionElements></bpmn:businessRuleTask>'), "two-meanings", id="a decision and a job"),
    ],
)  # fmt: skip
def test_events_and_loops_that_cannot_be_meant_are_refused(xml: bytes, rule: str) -> None:
    assert rule in {finding.rule for finding in findings(xml)}


def test_a_refused_element_is_said_once_and_not_its_flows_too() -> None:
    assert [rule for rule, _ in refusals(chain('<bpmn:scriptTask id="m" />'))] == [
        "unsupported-element"
    ]


def test_a_condition_that_is_no_feel_is_said_once() -> None:
    condition = "<bpmn:conditionExpression>=a &lt;</bpmn:conditionExpression></bpmn:sequenceFlow>"
    flow = '<bpmn:sequenceFlow id="f3" sourceRef="m" targetRef="e"'
    gateway = '<bpmn:exclusiveGateway id="m" default="f2" />'
    xml = chain(gateway, more=f"{flow}>{condition}")
    assert [rule for rule, _ in refusals(xml)] == ["feel-error"]


@pytest.mark.parametrize(
    ("inside", "collection", "element", "into"),
    [
        ("<bpmn:loopCardinality>3</bpmn:loopCardinality>", "if (3) < 1 then [] else for i in 1..(3) return i", "", ""),
        ("<bpmn:loopCardinality>=n</bpmn:loopCardinality>", "if (n) < 1 then [] else for i in 1..(n) return i", "", ""),
        ('<bpmn:loopDataInputRef>xs</bpmn:loopDataInputRef><bpmn:loopDataOutputRef>ys</bpmn:loopDataOutputRef><bpmn:inputDataItem id="x" /><bpmn:outputDataItem id="y" />', "xs", "x", "ys"),
    ],
)  # fmt: skip
def test_loops_of_plain_bpmn(inside: str, collection: str, element: str, into: str) -> None:
    xml = task_with(
        f'<bpmn:multiInstanceLoopCharacteristics isSequential="true">{inside}</bpmn:multiInstanceLoopCharacteristics>'
    )
    node = read(xml, "x.bpmn").processes[0].scope.nodes["m"]
    assert isinstance(node, ServiceTask)
    assert isinstance(node.loop, Loop)
    assert (node.loop.sequential, node.loop.input_collection.text) == (True, collection)
    assert (node.loop.input_element, node.loop.output_collection) == (element, into)


def test_a_camunda_7_loop_names_its_collection() -> None:
    xml = chain(
        '<bpmn:serviceTask id="m" camunda:type="external" camunda:topic="a"><bpmn:multiInstanceLoopCharacteristics'
        ' camunda:collection="items" camunda:elementVariable="item" /></bpmn:serviceTask>'
    )
    node = read(xml, "x.bpmn").processes[0].scope.nodes["m"]
    assert isinstance(node, ServiceTask)
    assert node.loop is not None
    assert (node.loop.input_collection.text, node.loop.input_element) == ("items", "item")
