"""docs/reference/bpmn-lint.md is the test table of lint: every rule, with diagrams and the lines they get."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from engine.bpmn.lint import FILE_RULES, RULES
from engine.cli import definition_files
from tests.bpmn.examples import Example, examples, found, sections
from tests.core.drawing import draw

ROOT = Path(__file__).parents[2]
#: where findings about diagrams are made
SOURCES = [
    *sorted((ROOT / "engine/bpmn").glob("*.py")),
    ROOT / "engine/core/definitions.py",
    ROOT / "engine/core/compiled.py",
    ROOT / "engine/runtime/jobs.py",
]
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+|doctype")
#: rules whose diagrams are too large for a page, or which lint cannot see; each has a test of its own
WITHOUT_EXAMPLE = {
    "too-large",
    "too-deep",
    "duplicate-decision",
    "needs-a-feature",
    "invalid-policy",
}
FOREIGN = re.compile(r"spiff(?!workflow:)|python|lxml|traceback|exception", re.IGNORECASE)

BAD = [example for example in examples() if example.kind == "bad"]
GOOD = [example for example in examples() if example.kind == "good"]


def names(some: list[Example]) -> list[str]:
    return [f"{example.rule}-{number}" for number, example in enumerate(some)]


@pytest.mark.parametrize("example", BAD, ids=names(BAD))
def test_a_bad_diagram_gets_these_findings(example: Example) -> None:
    findings = found(example.source, example.rule)
    assert tuple(map(str, findings)) == example.finds
    assert example.rule in {finding.rule for finding in findings}


@pytest.mark.parametrize("example", GOOD, ids=names(GOOD))
def test_a_good_diagram_gets_none(example: Example) -> None:
    assert [str(finding) for finding in found(example.source, example.rule)] == []


@pytest.mark.parametrize("example", BAD, ids=names(BAD))
def test_a_designer_can_act_on_every_finding(example: Example) -> None:
    for finding in found(example.source, example.rule):
        assert finding.element in finding.message
        assert finding.line >= 1
        assert finding.hint.endswith((".", "…")), finding
        assert FOREIGN.search(f"{finding.message} {finding.hint}") is None, finding


def test_there_are_many_broken_diagrams() -> None:
    assert len(BAD) >= 80
    assert len({line for example in BAD for line in example.finds}) >= 80


def raised() -> set[str]:
    """Return the names of all rules that the code can raise."""
    found = {rule.name for rule in (*RULES, *FILE_RULES)}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if NAME.fullmatch(node.value) else set()
    return found - {"background-color", "border-color"}  # attributes of a picture


def test_every_rule_has_a_section_and_every_section_a_rule() -> None:
    assert set(sections()) == raised()


def test_every_rule_has_bad_and_good_diagrams() -> None:
    assert raised() - {example.rule for example in BAD} == WITHOUT_EXAMPLE
    assert raised() - {example.rule for example in GOOD} == WITHOUT_EXAMPLE


def test_a_section_says_how_severe_its_rule_is() -> None:
    severities = {rule.name: rule.severity for rule in (*RULES, *FILE_RULES)}
    for name, text in sections().items():
        words = ("error", "warning", "info")
        said = [word for word in words if re.search(rf"\*{word}\b", text, re.IGNORECASE)]
        assert severities.get(name, "error") in said, name


def test_the_shipped_processes_are_clean() -> None:
    files = definition_files.diagrams([ROOT / "process"])
    assert len(files) == 3
    assert list(map(str, definition_files.findings(files))) == []


def test_the_diagrams_that_people_draw_can_run() -> None:
    """Their job types are made up, and some leave flows without a name; nothing else is wrong with them."""
    findings = definition_files.findings(definition_files.diagrams([ROOT / "tests/process/people"]))
    errors = {finding.rule for finding in findings if finding.severity == "error"}
    assert errors == {"unknown-job-type"}


def test_a_broken_file_beside_is_told_with_the_diagram(tmp_path: Path) -> None:
    (tmp_path / "p.bpmn").write_bytes(
        draw("start S\nrule A  decision=size; result=way\nend E\nS -> A -> E")
    )
    (tmp_path / "size.dmn").write_text("<definitions")
    (tmp_path / "other.bpmn").write_text("<definitions")
    found = definition_files.findings([tmp_path / "p.bpmn"])
    rules = [(Path(finding.file).name, finding.rule) for finding in found]
    assert rules == [
        ("p.bpmn", "no-bpmndi"),
        ("p.bpmn", "unknown-decision"),
        ("size.dmn", "invalid-table"),
    ]
