"""Files of three dialects: what is read, and what is refused with which rule."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from engine.bpmn import BpmnDefinitionError, read
from engine.bpmn.digest import document_digest
from engine.bpmn.model import (
    BusinessRuleTask,
    CallActivity,
    Document,
    ExclusiveGateway,
    ServiceTask,
    UserTask,
)
from engine.shipped import folder

HEAD = (
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL"'
    ' xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" targetNamespace="t">'
)
JOB = '<bpmn:extensionElements><zeebe:taskDefinition type="a.b" /></bpmn:extensionElements>'


def diagram(body: str, roots: str = "", executable: str = "true") -> bytes:
    return (
        f'{HEAD}{roots}<bpmn:process id="p" isExecutable="{executable}">{body}</bpmn:process></bpmn:definitions>'
    ).encode()


def chain(middle: str, id_: str = "m", more: str = "") -> bytes:
    """Return a process start → middle → end."""
    return diagram(
        f'<bpmn:startEvent id="s" />{middle}<bpmn:endEvent id="e" />'
        f'<bpmn:sequenceFlow id="f1" sourceRef="s" targetRef="{id_}" />'
        f'<bpmn:sequenceFlow id="f2" sourceRef="{id_}" targetRef="e" />{more}'
    )


def refused(xml: bytes) -> set[str]:
    with pytest.raises(BpmnDefinitionError) as caught:
        read(xml, "x.bpmn")
    assert all(finding.message and finding.line >= 1 for finding in caught.value.findings)
    return {finding.rule for finding in caught.value.findings}


@pytest.mark.parametrize(
    ("xml", "rule"),
    [
        pytest.param(b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "doctype", id="a document type"),
        pytest.param(b"<x/>", "not-bpmn", id="other XML"),
        pytest.param(b"<x", "xml-invalid", id="broken XML"),
        pytest.param(b" " * (3 * 1024 * 1024), "too-large", id="three megabytes"),
        pytest.param(diagram("", executable="false"), "not-executable", id="not executable"),
        pytest.param(diagram('<bpmn:endEvent id="e" />'), "start-event", id="no start event"),
        pytest.param(chain('<bpmn:scriptTask id="m" scriptFormat="python"><bpmn:script>x</bpmn:script></bpmn:scriptTask>'), "unsupported-element", id="a script task"),
        pytest.param(chain('<bpmn:complexGateway id="m" />'), "unsupported-element", id="a complex gateway"),
        pytest.param(chain('<bpmn:transaction id="m" />'), "unsupported-element", id="a transaction"),
        pytest.param(chain('<bpmn:intermediateThrowEvent id="m"><bpmn:linkEventDefinition name="x" /></bpmn:intermediateThrowEvent>'), "link-event", id="a link event"),
        pytest.param(chain('<bpmn:intermediateThrowEvent id="m"><bpmn:compensateEventDefinition /></bpmn:intermediateThrowEvent>'), "compensate-event", id="compensation"),
        pytest.param(chain('<bpmn:serviceTask id="m" />'), "task-without-type", id="a task without type"),
        pytest.param(chain('<bpmn:callActivity id="m" />'), "call-without-process", id="a call without process"),
        pytest.param(chain(f'<bpmn:serviceTask id="m">{JOB}<bpmn:multiInstanceLoopCharacteristics /></bpmn:serviceTask>'), "loop-without-collection", id="a loop without collection"),
        pytest.param(chain('<bpmn:intermediateCatchEvent id="m"><bpmn:timerEventDefinition /></bpmn:intermediateCatchEvent>'), "timer-without-value", id="a timer without value"),
        pytest.param(chain('<bpmn:task id="m" />', more='<bpmn:sequenceFlow id="f3" sourceRef="m" targetRef="e" />'), "implicit-split", id="two flows out of a task"),
        pytest.param(chain('<bpmn:task id="m" />', more='<bpmn:sequenceFlow id="f3" sourceRef="m" targetRef="nowhere" />'), "dangling-reference", id="a flow to nowhere"),
        pytest.param(chain('<bpmn:task id="s2" /><bpmn:task id="m" /><bpmn:task id="s2" />'), "duplicate-id", id="one id twice"),
        pytest.param(chain('<bpmn:exclusiveGateway id="m"><bpmn:extensionElements><zeebe:properties><zeebe:property name="policy" value="x" /></zeebe:properties></bpmn:extensionElements></bpmn:exclusiveGateway>'), "policy-without-default", id="a policy without default flow"),
        pytest.param(chain('<bpmn:exclusiveGateway id="m" />', more='<bpmn:sequenceFlow id="f3" sourceRef="m" targetRef="e" />'), "flow-without-condition", id="a gateway whose flows have no condition"),
        pytest.param(chain('<bpmn:serviceTask id="m" camunda:class="org.x.Y" />'), "foreign-code", id="a Java class"),
        pytest.param(chain(f'<bpmn:serviceTask id="m">{JOB.replace("type=", "typ=")}</bpmn:serviceTask>'), "unknown-extension", id="an attribute nobody reads"),
    ],
)  # fmt: skip
def test_refused(xml: bytes, rule: str) -> None:
    assert rule in refused(xml)


def test_a_condition_on_a_flow_that_leaves_a_task_is_refused() -> None:
    xml = chain('<bpmn:task id="m" />').replace(
        b'<bpmn:sequenceFlow id="f2" sourceRef="m" targetRef="e" />',
        b'<bpmn:sequenceFlow id="f2" sourceRef="m" targetRef="e"><bpmn:conditionExpression>=x</bpmn:conditionExpression></bpmn:sequenceFlow>',
    )
    assert refused(xml) == {"condition-without-gateway"}


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    xml = chain(
        '<bpmn:scriptTask id="m" />\n<bpmn:complexGateway id="g" />\n<bpmn:serviceTask id="t" />'
    )
    with pytest.raises(BpmnDefinitionError) as caught:
        read(xml, "x.bpmn")
    findings = caught.value.findings
    assert len(findings) >= 3
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)


def shipped(name: str) -> Document:
    path = folder("process") / f"{name}.bpmn"
    return read(path.read_bytes(), path.name)


def test_the_shipped_wave_is_read_as_it_was_drawn() -> None:
    nodes = shipped("deliver_wave").processes[0].scope.nodes
    gate, merge, tier = nodes["May_merge"], nodes["Merge"], nodes["Decide_gate_tier"]
    assert isinstance(gate, ExclusiveGateway)
    assert gate.policy is not None
    assert (gate.policy.package, gate.default) == ("merge", "Flow_11_May_merge_Blocked_by_gates")
    assert isinstance(merge, ServiceTask)
    assert merge.job.type.text == "repository.merge"
    assert isinstance(tier, BusinessRuleTask)
    assert tier.decision.decision_id.text == "gate_tier"
    assert isinstance(nodes["Deliver_tasks"], CallActivity)
    assert isinstance(nodes["Resolve_conflict"], UserTask)


@pytest.mark.parametrize("name", ["orchestration", "deliver_wave", "deliver_task"])
def test_a_digest_is_that_of_the_meaning(name: str) -> None:
    path = folder("process") / f"{name}.bpmn"
    text = path.read_text("utf-8")
    moved = re.sub(r'x="(\d+)"', r'x="7\1"', text).replace("\n", "\n\n")
    moved = re.sub(r'(</?|")bpmn:', r"\1b:", moved).replace("xmlns:bpmn=", "xmlns:b=")
    same = read(moved.encode(), path.name)
    assert document_digest(same) == document_digest(shipped(name))
    changed = read(text.replace('type="', 'type="my.').encode(), path.name)
    assert document_digest(changed) != document_digest(shipped(name))


def test_a_camunda_7_external_task_is_a_job() -> None:
    xml = chain('<bpmn:serviceTask id="m" camunda:type="external" camunda:topic="a.b" />')
    node = read(xml, "x.bpmn").processes[0].scope.nodes["m"]
    assert isinstance(node, ServiceTask)
    assert node.job.type.text == "a.b"


@pytest.mark.parametrize("depth", [101, 5000])
def test_deep_nesting_is_refused_quickly(depth: int) -> None:
    began = time.process_time()
    xml = diagram('<bpmn:subProcess id="s">' * depth + "</bpmn:subProcess>" * depth)
    assert refused(xml) & {"too-deep", "xml-invalid"}
    assert time.process_time() - began < 1


def test_the_shipped_diagrams_have_a_picture_of_every_element() -> None:
    for name in ("orchestration", "deliver_wave", "deliver_task"):
        text = Path(folder("process") / f"{name}.bpmn").read_text("utf-8")
        scope = shipped(name).processes[0].scope
        drawn = set(re.findall(r'bpmnElement="([^"]+)"', text))
        assert {*scope.nodes, *scope.flows} <= drawn
