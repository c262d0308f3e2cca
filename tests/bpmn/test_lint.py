"""Each rule of lint with diagrams that it finds fault with, and diagrams that it must leave alone."""

from __future__ import annotations

import pytest

from engine.bpmn import read
from engine.bpmn.lint import RULES, Outputs, Surroundings, lint
from engine.bpmn.model import Finding
from engine.core.definitions import Definitions
from engine.runtime.jobs import load_handlers
from engine.runtime.linting import lint_findings
from engine.shipped import definition_files
from tests.core.drawing import draw

KNOWN = Surroundings(
    gives={"a.b": (), "people.ask": ("answer",)},
    decisions={"route": Outputs(texts={"": frozenset({"mail", "phone"})})},
)


def found(drawing: str) -> list[Finding]:
    """Return what is found about the meaning; tests/bpmn/test_lint_reference.py has the drawing."""
    findings = lint(read(draw(drawing), "p.bpmn").processes, KNOWN)
    return [finding for finding in findings if finding.severity != "info"]


def about(drawing: str) -> set[tuple[str, str]]:
    """Return (rule, element) of everything that is found."""
    return {(finding.rule, finding.element) for finding in found(drawing)}


BAD = [
    pytest.param("start S\nend E\ntask Lost\nend Lost_end\nS -> E\nLost -> Lost_end", "unreachable", "Lost", id="an island"),
    pytest.param("start S\ntask A\nend E\nxor Again\nS -> A -> E\nAgain -> Again", "unreachable", "Again", id="a gateway that only leads to itself"),
    pytest.param("start S\ntask A\ntask B\nS -> A -> B -> A", "no-way-out", "A", id="a circle"),
    pytest.param("start S\nsub Inside\n  start T\n  task A\n  task B\n  T -> A -> B -> A\nend E\nS -> Inside -> E", "no-way-out", "A", id="a circle in a sub-process"),
    pytest.param("start S\nservice A  type=a.b\nxor Ok\nend E\nS -> A -> Ok\nOk -> E : done\nOk -> A default", "loop-without-bound", "A", id="try again, for ever"),
    pytest.param("start S\nxor G\nend A\nend B\nS -> G\nG -> A : x > 3\nG -> B : x < 3", "gateway-without-default", "G", id="three is forgotten"),
    pytest.param("start S\nor G\nend A\nend B\nS -> G\nG -> A : x\nG -> B : y", "gateway-without-default", "G", id="an inclusive one"),
    pytest.param("start S\nxor X\ntask A\ntask B\nand J\nend E\nS -> X\nX -> A : x\nX -> B default\nA -> J\nB -> J\nJ -> E", "join-waits-for-ever", "J", id="exclusive split, parallel join"),
    pytest.param("start S\nand F\ntask A\nxor X\ntask B\nend Off\nand J\nend E\nS -> F -> A -> J\nF -> X\nX -> B : x\nX -> Off default\nB -> J -> E", "join-waits-for-ever", "J", id="one branch may end before the join"),
    pytest.param("start S\ntask A\nand J\ntask B\nend E\nxor X\nS -> J -> A -> X\nX -> E : x\nX -> B default\nB -> J", "join-waits-for-ever", "J", id="a loop drawn back to a parallel gateway"),
    pytest.param("start S\nand F\ntask A\ntask B\nxor J\ntask C\nend E\nS -> F -> A -> J\nF -> B -> J -> C -> E", "runs-twice", "J", id="parallel split, exclusive join"),
    pytest.param("start S\nuser A\nboundary Remind  on=A; duration=PT1H; parallel\ntask Pay\nend E\nS -> A -> Pay -> E\nRemind -> Pay", "runs-twice", "Pay", id="a reminder that leads into the main path"),
    pytest.param("start S\nservice A  type=a.b; out turns = turns + 1\nxor X\nend E\nS -> A -> X\nX -> E : turns > 3\nX -> A default", "read-before-written", "A", id="a counter that nobody set to zero"),
    pytest.param("start S\ntask A  out copy = total\ntask B  out total = 3\nend E\nS -> A -> B -> E", "read-before-written", "A", id="the wrong order"),
    pytest.param("start S\nxor X\ntask A  out ok = true\nend E\nend F\nS -> X\nX -> A : ok\nX -> F default\nA -> E", "read-before-written", "X_to_A", id="a condition before its variable"),
    pytest.param("start S\nand F\ntask A  out sum = 1\ntask B  out sum = 2\nand J\nend E\nS -> F -> A -> J\nF -> B -> J -> E", "parallel-writes", "B", id="two branches, one name"),
    pytest.param("start S\nservice M  type=repository.merge\nend E\nS -> M -> E", "merge-without-policy", "M", id="no gate at all"),
    pytest.param("start S\nxor X\nxor G  policy=merge\nservice M  type=repository.merge\nend E\nend No\nS -> X\nX -> G : strict\nX -> M default\nG -> M : verdict = \"pass\"\nG -> No default\nM -> E", "merge-without-policy", "M", id="a way around the gate"),
    pytest.param("start S\nxor G  policy=merge\nservice M  type=repository.merge\nend E\nS -> G\ntask Log\nG -> M : verdict = \"pass\"\nG -> Log default\nLog -> M -> E", "merge-without-policy", "M", id="the closed flow leads to the merge"),
    pytest.param("start S\nxor G  policy=merge\nend A\nend B\nS -> G\nG -> A : verdict != \"fail\"\nG -> B default", "gate-opens-without-pass", "G_to_A", id="not fail is not pass"),
    pytest.param("start S\nxor G  policy=merge\nend A\nend B\nS -> G\nG -> A : true\nG -> B default", "gate-opens-without-pass", "G_to_A", id="open whatever it says"),
    pytest.param("start S\nxor G\nend A\nend B\nS -> G\nG -> A : verdict = \"pass\"\nG -> B default", "verdict-without-policy", "G_to_A", id="the policy was forgotten"),
    pytest.param("start S\ntask A\nboundary T  on=A; duration=PT1H\nend E\nend F\nS -> A -> E\nT -> F", "timer-never-fires", "T", id="a timer at a task without work"),
    pytest.param("start S\nuser A\nboundary T1  on=A; duration=PT1H\nboundary T2  on=A; duration=P2D\nend E\nend F\nend G\nS -> A -> E\nT1 -> F\nT2 -> G", "timer-never-fires", "T2", id="behind an interrupting one"),
    pytest.param("start S\nrace R\ncatch T1  duration=PT1H\ncatch T2  duration=PT2H\nend E\nend F\nS -> R -> T1 -> E\nR -> T2 -> F", "timer-never-fires", "T2", id="behind an earlier one at a race"),
    pytest.param("start S\nuser A\nboundary T  on=A; cycle=R0/PT1H; parallel\nend E\nend F\nS -> A -> E\nT -> F", "timer-never-fires", "T", id="a cycle of no turns"),
    pytest.param("start S\nmanual A\nboundary M  on=A; message=stop; key=order\nend E\nend F\nS -> A -> E\nM -> F", "event-never-happens", "M", id="a message to a task without work"),
    pytest.param("start S\nrule D  decision=route; result=way\nxor G\nend A\nend B\nS -> D -> G\nG -> A : way = \"mail\"\nG -> B : way = \"fax\"", "value-without-flow", "G", id="nobody phones"),
    pytest.param("start S\nrule D  decision=route; result=way\nxor G\nend A\nend B\nS -> D -> G\nG -> A : way = \"Mail\"\nG -> B default", "flow-without-value", "G_to_A", id="a typing error"),
]  # fmt: skip


@pytest.mark.parametrize(("drawing", "rule", "element"), BAD)
def test_found(drawing: str, rule: str, element: str) -> None:
    assert (rule, element) in about(drawing)


GOOD = [
    pytest.param("start S\ntask A\nend E\nS -> A -> E", id="one task"),
    pytest.param("start S\nservice A  type=a.b\nboundary X  on=A; error=bad\nend E\nend F\nS -> A -> E\nX -> F", id="reached by a boundary event"),
    pytest.param("start S\nuser A\nend E\nesub Stop\n  start T  message=stop; key=order\n  end Stopped\n  T -> Stopped\nS -> A -> E", id="reached by an event sub-process"),
    pytest.param("start S\nsub Watch\n  start T\n  catch Wait  duration=PT1M\n  service Look  type=a.b\n  T -> Wait -> Look -> Wait\nboundary Late  on=Watch; duration=PT1H\nend E\nS -> Watch -> E\nLate -> E", id="a circle that a timer ends"),
    pytest.param("start S\ntask Begin  out turns = 0\nservice A  type=a.b; out turns = turns + 1\nxor X\nend E\nS -> Begin -> A -> X\nX -> E : turns > 3\nX -> A default", id="a loop that counts"),
    pytest.param("start S\nuser A\nxor X\nend E\nS -> A -> X\nX -> E : done\nX -> A default", id="a loop that waits for a person"),
    pytest.param("start S\nxor G\nend A\nend B\nS -> G\nG -> A : x > 3\nG -> B : x <= 3", id="opposites need no default"),
    pytest.param("start S\nxor G\nend A\nend B\nS -> G\nG -> A : ready\nG -> B : not(ready)", id="a condition and not that"),
    pytest.param("start S\nand F\ntask A\ntask B\nand J\nend E\nS -> F -> A -> J\nF -> B -> J -> E", id="fork and join"),
    pytest.param("start S\nor F\ntask A\ntask B\nor J\nend E\nS -> F\nF -> A : x\nF -> B default\nA -> J\nB -> J\nJ -> E", id="inclusive fork and join"),
    pytest.param("start S\nand F\nxor X\ntask A\ntask B\ntask C\nxor Y\nand J\nend E\nS -> F -> X\nX -> A : x\nX -> B default\nA -> Y\nB -> Y -> J\nF -> C -> J -> E", id="a choice inside a branch"),
    pytest.param("start S\nuser A\nboundary Remind  on=A; duration=PT1H; parallel\nservice Mail  type=a.b\nend E\nend F\nS -> A -> E\nRemind -> Mail -> F", id="a reminder with an end of its own"),
    pytest.param("start S\ntask A  out total = if total = null then 1 else total + 1\nend E\nS -> A -> E", id="null is asked for"),
    pytest.param("start S\nuser A\ntask B  out copy = total\ntask C  out total = 1\nend E\nS -> A -> B -> C -> E", id="a person may have answered it"),
    pytest.param("start S\ntask A  out copy = given\nend E\nS -> A -> E", id="a variable of the start"),
    pytest.param("start S\nand F\ntask A  out a = 1\ntask B  out b = 2\nand J\nend E\nS -> F -> A -> J\nF -> B -> J -> E", id="each branch its own name"),
    pytest.param("start S\nxor G  policy=merge\nservice M  type=repository.merge\nend E\nend No\nS -> G\nG -> M : verdict = \"pass\"\nG -> No default\nM -> E", id="a merge behind its gate"),
    pytest.param("start S\nxor G  policy=merge\nend A\nend B\nend C\nS -> G\nG -> A : verdict = \"pass\"\nG -> B : verdict = \"fail\"\nG -> C default", id="a flow for fail"),
    pytest.param("start S\nuser A\nboundary T1  on=A; duration=PT1H; parallel\nboundary T2  on=A; duration=P2D\nend E\nend F\nend G\nS -> A -> E\nT1 -> F\nT2 -> G", id="a reminder, then a limit"),
    pytest.param("start S\nrule D  decision=route; result=way\nxor G\nend A\nend B\nS -> D -> G\nG -> A : way = \"mail\"\nG -> B : way in (\"phone\", \"fax\")", id="a flow for every value"),
    pytest.param("start S\nrule D  decision=route; result=way\nxor G\nend A\nend B\nS -> D -> G\nG -> A : way = \"mail\"\nG -> B default", id="a default for the rest"),
]  # fmt: skip


@pytest.mark.parametrize("drawing", GOOD)
def test_left_alone(drawing: str) -> None:
    assert [str(finding) for finding in found(drawing)] == []


def test_every_rule_about_the_meaning_has_bad_diagrams() -> None:
    shown = {str(case.values[1]) for case in BAD}
    assert {rule.name for rule in RULES if rule.severity != "info"} == shown


@pytest.mark.parametrize(("drawing", "rule", "element"), BAD)
def test_a_finding_names_the_element_and_what_to_do(drawing: str, rule: str, element: str) -> None:
    for finding in found(drawing):
        assert finding.element in finding.message
        assert finding.line > 1
        assert finding.hint.endswith((".", "…"))


def test_a_join_that_never_goes_on_is_an_error_and_one_that_may_wait_a_warning() -> None:
    certain = found("start S\nxor X\ntask A\ntask B\nand J\nend E\nS -> X\nX -> A : x\nX -> B default\nA -> J\nB -> J\nJ -> E")  # fmt: skip
    perhaps = found("start S\nand F\ntask A\nxor X\nend Off\nand J\nend E\nS -> F -> A -> J\nF -> X\nX -> J : x\nX -> Off default\nJ -> E")  # fmt: skip
    assert [f.severity for f in certain if f.rule == "join-waits-for-ever"] == ["error"]
    assert [f.severity for f in perhaps if f.rule == "join-waits-for-ever"] == ["warning"]


def test_the_sentence_of_a_join() -> None:
    (finding,) = found("start S\nxor X\ntask A\ntask B\nand J\nend E\nS -> X\nX -> A : x\nX -> B default\nA -> J\nB -> J\nJ -> E")  # fmt: skip
    assert str(finding) == (
        'p.bpmn:20: error: "J" (J): waits for ever: a token from "A" (A), "B" (B) can never come together with the '
        "others. Join with the kind of gateway that split: parallel with parallel, exclusive with exclusive. "
        "[join-waits-for-ever]"
    )


def test_many_parallel_branches_are_judged_in_time() -> None:
    branches = range(40)
    drawing = "\n".join(
        [
            "start S\nand F\nand J\nend E\nS -> F\nJ -> E",
            *(f"task A{n}\nxor X{n}\ntask B{n}\nxor Y{n}" for n in branches),
            *(f"F -> A{n} -> X{n}\nX{n} -> B{n} : x\nX{n} -> Y{n} default\nB{n} -> Y{n} -> J" for n in branches),
        ]
    )  # fmt: skip
    assert about(drawing) == set()


def test_the_shipped_diagrams_and_tables_go_together() -> None:
    definitions = Definitions.load(definition_files())
    assert [str(f) for f in lint_findings(definitions, load_handlers())] == []


def test_a_typing_error_about_a_shipped_table_is_found() -> None:
    files = definition_files()
    wave = files["process/deliver_wave.bpmn"].decode()
    assert '=rollback.action = "keep"' in wave
    files["process/deliver_wave.bpmn"] = wave.replace(
        '=rollback.action = "keep"', '=rollback.action = "kept"'
    ).encode()
    told = list(lint_findings(Definitions.load(files), load_handlers()))
    assert [finding.rule for finding in told] == ["flow-without-value"]
    assert '"keep", "manual", "rollback"' in told[0].hint
