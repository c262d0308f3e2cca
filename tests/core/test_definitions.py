"""A bundle is loaded whole or refused with everything that is wrong."""

from __future__ import annotations

import hashlib

import pytest

from engine.core.definitions import BundleError, Definitions, bundle_digest, check
from engine.core.model import IncidentRaised
from engine.errors import DefinitionError
from engine.shipped import folder
from tests.core.drawing import draw, draw_all
from tests.core.world import begin, bundle

PLAIN = "start Start\nend End\nStart -> End"


def findings(files: dict[str, bytes]) -> list[tuple[str, str, str]]:
    with pytest.raises(BundleError) as raised:
        Definitions.load(files)
    return [(finding.file, finding.rule, finding.element) for finding in raised.value.findings]


def test_the_digest_covers_paths_and_contents() -> None:
    files = {"b.txt": b"2", "a.txt": b"1"}
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    expected = hashlib.sha256(f"a.txt\0{one}\nb.txt\0{two}\n".encode()).hexdigest()
    assert Definitions.load(files).digest == bundle_digest(files) == expected
    assert bundle_digest({"a.txt": b"1", "c.txt": b"2"}) != expected
    assert bundle_digest({"a.txt": b"1", "b.txt": b"3"}) != expected


def test_what_a_bundle_holds() -> None:
    files = {
        "one.bpmn": draw_all({"p": PLAIN, "q": PLAIN.replace("Start", "S").replace("End", "E")}),
        "may.rego": b"package team.may\n",
        "notes.md": b"text",
    }
    definitions = Definitions.load(files)
    assert sorted(definitions.processes) == ["p", "q"]
    assert definitions.policies == {"may.rego": "package team.may\n"}
    assert definitions.files == files


def test_every_unknown_name_is_found_at_once() -> None:
    text = """
start Start
call Call  process=nowhere
rule Decide  decision=undecided; result=r
xor May  policy=team.nobody
end End
end Shut
Start -> Call -> Decide -> May
May -> End : verdict = "pass"
May -> Shut default
"""
    assert sorted(findings({"p.bpmn": draw(text)})) == [
        ("p.bpmn", "unknown-decision", "Decide"),
        ("p.bpmn", "unknown-policy", "May"),
        ("p.bpmn", "unknown-process", "Call"),
    ]


def test_a_process_test_may_give_verdicts_of_policies_that_are_not_there() -> None:
    text = 'start S\nxor May  policy=team.nobody\nend A\nend B\nS -> May\nMay -> A : verdict = "pass"\nMay -> B default'
    assert "p" in Definitions.load({"p.bpmn": draw(text)}, needs_policies=False).processes


def test_processes_may_not_call_each_other_in_a_circle() -> None:
    call = "start {0}S\ncall {0}C  process={1}\nend {0}E\n{0}S -> {0}C -> {0}E"
    texts = {"p": call.format("p", "q"), "q": call.format("q", "r"), "r": call.format("r", "q")}
    with pytest.raises(BundleError) as raised:
        Definitions.load({"a.bpmn": draw_all(texts)})
    assert [(item.element, item.message) for item in raised.value.findings] == [
        ("qC", '"qC" (qC) begins a circle of calls: q → r → q'),
    ]


def test_check_returns_what_load_would_refuse() -> None:
    assert check({"p.bpmn": draw(PLAIN)}) == ()
    assert [item.rule for item in check({"p.bpmn": draw(PLAIN), "q.bpmn": draw(PLAIN)})] == [
        "duplicate-process"
    ]


def test_two_processes_of_one_id() -> None:
    found = findings({"a.bpmn": draw(PLAIN), "b.bpmn": draw(PLAIN)})
    assert found == [("b.bpmn", "duplicate-process", "p")]


@pytest.mark.parametrize(
    ("text", "element"),
    [
        pytest.param("start S\nservice W  type=w; in x = 1 +\nend E\nS -> W -> E", "W", id="mapping"),
        pytest.param("start S\nxor G\nend A\nend B\nS -> G\nG -> A : n >\nG -> B default", "G_to_A", id="condition"),
        pytest.param("start S\nservice W  type=w; each=items(\nend E\nS -> W -> E", "W", id="collection"),
        pytest.param("start S\ncatch C  duration=soon\nend E\nS -> C -> E", "C", id="timer"),
        pytest.param("start S\nxor G\nend A\nend B\nS -> G\nG -> A\nG -> B", "G", id="flow without a condition"),
        pytest.param("start S\nxor G  policy=a.b\nend A\nend B\nS -> G\nG -> A : x\nG -> B : y", "G", id="policy without a closed way"),
        pytest.param("start S\ntask T\nend A\nS -> T\nT -> A : x", "T_to_A", id="condition behind a task"),
        pytest.param("start S\nrace G\ntask T\nend A\nS -> G -> T -> A", "G", id="event gateway before a task"),
        pytest.param("start S\nstart S2\nend A\nS -> A\nS2 -> A", "p", id="two starts"),
        pytest.param("task T\nend A\nT -> A", "p", id="no start"),
        pytest.param("start S\nsub Sub\n  task T\n  end E\n  T -> E\nend A\nS -> Sub -> A", "Sub", id="no start inside"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_with_its_place(text: str, element: str) -> None:
    found = findings({"p.bpmn": draw(text), "a.rego": b"package a.b\n"})
    assert element in {item[2] for item in found}
    assert {item[0] for item in found} == {"p.bpmn"}


def test_two_decisions_of_one_id() -> None:
    table = (folder("decisions") / "gate_tier.dmn").read_bytes()
    found = findings({"a.dmn": table, "b.dmn": table})
    assert {item[:2] for item in found} == {("b.dmn", "duplicate-decision")}
    assert "gate_tier" in {item[2] for item in found}


def test_a_policy_that_is_no_text() -> None:
    assert findings({"p.rego": b"\xff\xfe"}) == [("p.rego", "invalid-policy", "p.rego")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.bpmn", b"<not xml"),
        ("p.bpmn", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'),
        ("p.dmn", b"<x/>"),
        ("p.rego", b"\xff\xfe"),
    ],
)
def test_files_that_are_something_else(name: str, content: bytes) -> None:
    assert {item[0] for item in findings({name: content})} == {name}


def test_a_process_that_only_an_event_starts_cannot_be_called() -> None:
    drawn = {
        "p": "start S\ncall C  process=q\nend E\nS -> C -> E",
        "q": "start s  signal=x\nend e\ns -> e",
    }
    with pytest.raises(DefinitionError, match=r'calls process "q", which has no plain start event'):
        bundle(drawn)
    by_name = {**drawn, "p": drawn["p"].replace("process=q", "process==name")}
    step = begin(bundle(by_name), {"name": "q"})
    raised = step.events[-1]
    assert isinstance(raised, IncidentRaised)
    assert (raised.code, raised.message) == (
        "CALLED_PROCESS",
        "\"C\" (C): process 'q' has no plain start event",
    )
