"""What `engine process lint --fix` mends, that it means the same, and that everything else stays where it was."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from engine.bpmn import read
from engine.bpmn.digest import document_digest
from engine.bpmn.fix import fix
from engine.bpmn.fix.tags import Source
from engine.cli import main
from tests.bpmn.examples import examples, written
from tests.core.drawing import draw

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "process").glob("*.bpmn")),
    *sorted((ROOT / "tests/core/diagrams").glob("*.bpmn")),
]
BROKEN = [
    xml
    for example in examples()
    for name, xml in written(example.source).items()
    if example.kind == "bad"
    and name.endswith(".bpmn")
    and example.rule not in {"xml-invalid", "not-bpmn", "doctype"}
]
HEAD = (
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" id="D" '
    'targetNamespace="t">'
)
PICTURE = (
    '<bpmndi:BPMNDiagram xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" id="Drawn" />'
)


def diagram(*lines: str) -> bytes:
    """Return a file in which only `lines`, the inside of a process, are of interest: it has a picture."""
    body = "\n".join(f"    {line}" for line in lines)
    return f'{HEAD}\n  <bpmn:process id="p" isExecutable="true">\n{body}\n  </bpmn:process>\n  {PICTURE}\n</bpmn:definitions>\n'.encode()


def lines_of(content: bytes) -> list[str]:
    body = content.decode().split('isExecutable="true">\n')[1].split("\n  </bpmn:process>")[0]
    return [line.removeprefix("    ") for line in body.splitlines()]


REPAIRS = [
    pytest.param(
        ['<bpmn:startEvent name="Go"/>'],
        ['<bpmn:startEvent name="Go" id="StartEvent_1"/>'],
        ['start event "Go" has the id StartEvent_1'],
        id="an id",
    ),
    pytest.param(
        ['<bpmn:task id="Task_1" />', "<bpmn:task   name='>' />"],
        ['<bpmn:task id="Task_1" />', "<bpmn:task   name='>' id=\"Task_2\" />"],
        ['task ">" has the id Task_2'],
        id="an id that is free",
    ),
    pytest.param(
        [
            '<bpmn:startEvent id="S"><!-- <bpmn:task/> --><bpmn:documentation>a &lt; b</bpmn:documentation></bpmn:startEvent>',
            '<bpmn:endEvent id="E"/>',
            '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="E"/>',
        ],
        [
            '<bpmn:startEvent id="S"><!-- <bpmn:task/> --><bpmn:documentation>a &lt; b</bpmn:documentation>',
            "  <bpmn:outgoing>f</bpmn:outgoing></bpmn:startEvent>",
            '<bpmn:endEvent id="E">',
            "  <bpmn:incoming>f</bpmn:incoming>",
            "</bpmn:endEvent>",
            '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="E"/>',
        ],
        ["start event S lists outgoing f", "end event E lists incoming f"],
        id="references to flows",
    ),
    pytest.param(
        [
            '<bpmn:startEvent id="S">',
            "  <bpmn:outgoing>gone</bpmn:outgoing>",
            "  <bpmn:outgoing>f</bpmn:outgoing>",
            "</bpmn:startEvent>",
            '<bpmn:endEvent id="E"><bpmn:incoming>f</bpmn:incoming></bpmn:endEvent>',
            '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="E"/>',
        ],
        [
            '<bpmn:startEvent id="S">',
            "  <bpmn:outgoing>f</bpmn:outgoing>",
            "</bpmn:startEvent>",
            '<bpmn:endEvent id="E"><bpmn:incoming>f</bpmn:incoming></bpmn:endEvent>',
            '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="E"/>',
        ],
        ['start event S no longer lists outgoing "gone"'],
        id="a reference to a flow that is gone",
    ),
    pytest.param(
        [
            '<bpmn:exclusiveGateway id="G"><bpmn:outgoing>a</bpmn:outgoing><bpmn:outgoing>b</bpmn:outgoing></bpmn:exclusiveGateway>',
            '<bpmn:sequenceFlow id="a" sourceRef="G" targetRef="X"><bpmn:conditionExpression>=n &gt; 3</bpmn:conditionExpression></bpmn:sequenceFlow>',
            '<bpmn:sequenceFlow id="b" sourceRef="G" targetRef="Y"/>',
        ],
        [
            '<bpmn:exclusiveGateway id="G" default="b"><bpmn:outgoing>a</bpmn:outgoing><bpmn:outgoing>b</bpmn:outgoing></bpmn:exclusiveGateway>',
            '<bpmn:sequenceFlow id="a" sourceRef="G" targetRef="X"><bpmn:conditionExpression>=n &gt; 3</bpmn:conditionExpression></bpmn:sequenceFlow>',
            '<bpmn:sequenceFlow id="b" sourceRef="G" targetRef="Y"/>',
        ],
        ["exclusive gateway G has the default flow b"],
        id="the only flow without a condition",
    ),
    pytest.param(
        [
            '<bpmn:startEvent id="S"><bpmn:outgoing>f</bpmn:outgoing></bpmn:startEvent>',
            '<bpmn:serviceTask id="A" name="Say" camunda:type="external" camunda:topic="message.publish" camunda:asyncBefore="true">',
            "  <bpmn:incoming>f</bpmn:incoming>",
            "</bpmn:serviceTask>",
            '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="A"/>',
        ],
        [
            '<bpmn:startEvent id="S"><bpmn:outgoing>f</bpmn:outgoing></bpmn:startEvent>',
            '<bpmn:serviceTask id="A" name="Say" camunda:asyncBefore="true">',
            "  <bpmn:extensionElements>",
            '    <zeebe:taskDefinition type="message.publish" />',
            "  </bpmn:extensionElements>",
            "  <bpmn:incoming>f</bpmn:incoming>",
            "</bpmn:serviceTask>",
            '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="A"/>',
        ],
        ['service task "Say" (A) says its extensions in the Camunda 8 dialect'],
        id="an external task of Camunda 7",
    ),
]


@pytest.mark.parametrize(("before", "after", "said"), REPAIRS)
def test_repairs(before: list[str], after: list[str], said: list[str]) -> None:
    content, done = fix(diagram(*before), "p.bpmn")
    assert lines_of(content) == after
    assert [repair.said for repair in done] == said


LEFT_ALONE = [
    pytest.param(['<bpmn:exclusiveGateway id="G"><bpmn:outgoing>a</bpmn:outgoing><bpmn:outgoing>b</bpmn:outgoing></bpmn:exclusiveGateway>', '<bpmn:sequenceFlow id="a" sourceRef="G" targetRef="X"/>', '<bpmn:sequenceFlow id="b" sourceRef="G" targetRef="Y"/>'], id="two flows without a condition"),
    pytest.param(['<bpmn:serviceTask id="A" camunda:class="org.x.Y" camunda:topic="a.b"/>'], id="Java code is not understood, so nothing is taken away"),
    pytest.param(['<bpmn:exclusiveGateway id="G" default="gone"/>'], id="a default flow that is gone"),
    pytest.param(["<bpmn:task id='A' \t name = 'x'  ></bpmn:task  >", "", "<!-- a comment with id='' & <tags> -->"], id="how it is written"),
]  # fmt: skip


@pytest.mark.parametrize("lines", LEFT_ALONE)
def test_left_alone(lines: list[str]) -> None:
    assert fix(diagram(*lines), "p.bpmn") == (diagram(*lines), [])


@pytest.mark.parametrize("name", ["spiff_request", "spiff_loop", "camunda7_order"])
def test_other_dialects_are_said_in_one(name: str) -> None:
    content = (ROOT / f"tests/core/diagrams/{name}.bpmn").read_bytes()
    repaired, done = fix(content, "p.bpmn")
    assert document_digest(read(repaired, "p.bpmn")) == document_digest(read(content, "p.bpmn"))
    assert not re.search(
        rb"serviceTaskOperator|camunda:(topic|type|inputOutput|collection)|\$\{", repaired
    )
    assert any("FEEL" in item.said for item in done)


def test_a_namespace_may_be_declared_where_it_is_used() -> None:
    task = '<bpmn:serviceTask id="A" xmlns:c7="http://camunda.org/schema/1.0/bpmn" c7:topic="a.b"/>'
    flows = [
        '<bpmn:startEvent id="S"/>',
        task,
        '<bpmn:sequenceFlow id="f" sourceRef="S" targetRef="A"/>',
    ]
    repaired, _ = fix(diagram(*flows), "p.bpmn")
    assert b"c7:topic" not in repaired
    assert b'<zeebe:taskDefinition type="a.b" />' in repaired
    assert fix(repaired, "p.bpmn") == (repaired, [])


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_diagram_means_the_same_and_a_second_time_changes_nothing(file: Path) -> None:
    content = file.read_bytes()
    repaired, _ = fix(content, "p.bpmn")
    assert document_digest(read(repaired, "p.bpmn")) == document_digest(read(content, "p.bpmn"))
    assert fix(repaired, "p.bpmn") == (repaired, [])


def test_a_repair_that_would_change_the_meaning_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def careless(source: Source) -> list[str]:
        for condition in source.root.iter("{*}conditionExpression"):
            source.say(condition, "=true")
        return ["every condition is true"]

    monkeypatch.setattr("engine.bpmn.fix.REPAIRS", (careless,))
    content = FILES[1].read_bytes()
    assert fix(content, "p.bpmn") == (content, [])


def test_the_shipped_diagrams_need_no_repair() -> None:
    for file in FILES[:3]:
        assert fix(file.read_bytes(), file.name) == (file.read_bytes(), [])


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_broken_diagrams_are_mended_once(content: bytes) -> None:
    repaired, _ = fix(content, "p.bpmn")
    assert fix(repaired, "p.bpmn") == (repaired, [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "utf-16"])
def test_the_encoding_of_a_file_stays(encoding: str) -> None:
    name = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{name}"?>\r\n' + diagram(
        '<bpmn:task name="Größe"/>'
    ).decode().replace("\n", "\r\n")
    repaired, done = fix(text.encode(encoding), "p.bpmn")
    assert repaired.decode(encoding) == text.replace('name="Größe"/>', 'name="Größe" id="Task_1"/>')
    assert len(done) == 1


# --- a law: whatever was lost comes back, and nothing else moves ----------------------------------------------

WHOLE = draw(
    "start S\nuser A  in x = 1\nxor G\nsub Inner\n  start T\n  task B\n  end U\n  T -> B -> U\nend E\n"
    "S -> A -> G\nG -> Inner : x > 1\nG -> E default\nInner -> E"
).replace(b"</bpmn:definitions>", f"  {PICTURE}\n</bpmn:definitions>".encode())
REFERENCES = re.findall(rb"\n *<bpmn:(?:incoming|outgoing)>.*", WHOLE)


@settings(max_examples=30, deadline=None)
@given(
    lost=st.sets(st.sampled_from(range(len(REFERENCES)))),
    comment=st.sampled_from(["", "<!-- x > y < z -->", "<!--\n<bpmn:task/>\n-->", "<?app do?>"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    quote=st.sampled_from(['"', "'"]),
)
def test_lost_references_come_back_and_the_rest_stays(
    lost: set[int], comment: str, newline: str, quote: str
) -> None:
    kept = [text for number, text in enumerate(REFERENCES) if number not in lost]
    numbers = iter(range(len(REFERENCES)))
    torn = re.sub(
        rb"\n *<bpmn:(?:incoming|outgoing)>.*",
        lambda m: b"" if next(numbers) in lost else m.group(),
        WHOLE,
    )
    text = (
        torn.decode()
        .replace("<bpmn:userTask", f"{comment}<bpmn:userTask")
        .replace('id="A"', f"id={quote}A{quote}")
        .replace("\n", newline)
    )
    repaired, _ = fix(text.encode(), "p.bpmn")
    assert document_digest(read(repaired, "p")) == document_digest(read(text.encode(), "p"))
    assert fix(repaired, "p.bpmn") == (repaired, [])
    pattern = rb"\r?\n *<bpmn:(?:incoming|outgoing)>[^<]*</bpmn:(?:incoming|outgoing)>"
    assert re.sub(pattern, b"", repaired) == re.sub(pattern, b"", text.encode())
    assert len(re.findall(pattern, repaired)) == len(REFERENCES) == len(kept) + len(lost)


# --- the command ----------------------------------------------------------------------------------------


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["process", "lint", *arguments])
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out, told.err


@pytest.fixture
def torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = Path("p.bpmn")
    file.write_bytes(draw("start S\nxor G\nend A\nend B\nS -> G\nG -> A : x > 3\nG -> B"))
    file.chmod(0o640)
    return file


def test_the_command_mends_and_tells_what_is_left(
    torn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(str(torn), "--fix", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        'p.bpmn: fixed: exclusive gateway "G" (G) has the default flow G_to_B.',
        "p.bpmn: fixed: p has a picture.",
        "p.bpmn:19: info: flow G_to_A: has a condition but no name. Name it: the answer it stands for. [label-required]",
        "1 file checked: 1 to know",
    ]
    assert stat.S_IMODE(torn.stat().st_mode) == 0o640
    assert sorted(path.name for path in Path().iterdir()) == ["p.bpmn"]
    before = torn.read_bytes()
    assert run(str(torn), "--fix", capsys=capsys)[1].splitlines()[-1] == "1 file checked: 1 to know"
    assert torn.read_bytes() == before


def test_a_dry_run_shows_the_difference_and_writes_nothing(
    torn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = torn.read_bytes()
    code, out, _ = run(str(torn), "--fix", "--dry-run", capsys=capsys)
    assert code == 3
    assert out.startswith("--- a/p.bpmn\n+++ b/p.bpmn\n@@")
    assert '+    <bpmn:exclusiveGateway id="G" name="G" default="G_to_B">' in out.splitlines()
    assert torn.read_bytes() == before


def test_for_machines(torn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(str(torn), "--fix", "--json", capsys=capsys)[1])
    assert told["fixed"] == [
        'exclusive gateway "G" (G) has the default flow G_to_B',
        "p has a picture",
    ]
    assert (told["errors"], told["warnings"]) == (0, 0)


def test_a_dry_run_alone_is_refused(torn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(torn), "--dry-run", capsys=capsys)[::2] == (
        2,
        "engine: --dry-run shows what --fix would do: expected --fix --dry-run\n",
    )


def test_a_file_that_is_no_diagram_is_left_alone(
    torn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn.write_bytes(b"<x/>")
    assert run(str(torn), "--fix", capsys=capsys)[0] == 3
    assert torn.read_bytes() == b"<x/>"


def test_a_file_is_written_as_a_whole_or_not_at_all(
    torn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = torn.read_bytes()
    monkeypatch.setattr("os.replace", full)
    code, _, err = run(str(torn), "--fix", capsys=capsys)
    assert (code, err) == (
        6,
        "engine: p.bpmn: the repaired diagram cannot be written: got No space left on device\n",
    )
    assert torn.read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["p.bpmn"]


def test_a_link_stays_a_link(
    torn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link" / "q.bpmn"
    link.parent.mkdir()
    link.symlink_to(torn.resolve())
    assert run(str(link), "--fix", capsys=capsys)[0] == 0
    assert link.is_symlink()
    assert etree.fromstring(torn.read_bytes()).tag.endswith("definitions")
