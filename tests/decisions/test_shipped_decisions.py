"""The tables of `decisions/`: they pass their own tests and the lint, and any modeller can open them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from engine.decisions import DecisionModel, analyse
from engine.decisions.cases import play, read_cases
from engine.decisions.model import DecisionTable, HitPolicy

FOLDER = Path(__file__).parents[2] / "decisions"
FILES = sorted(FOLDER.glob("*.dmn"))
DMN = "{https://www.omg.org/spec/DMN/20191111/MODEL/}"
DMNDI = "{https://www.omg.org/spec/DMN/20191111/DMNDI/}"

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def tables(file: Path) -> list[DecisionTable]:
    logics = [d.logic for d in DecisionModel.load(file).definitions.decisions]
    return [logic for logic in logics if isinstance(logic, DecisionTable)]


def test_all_tables_are_there() -> None:
    assert {file.stem for file in FILES} >= {
        "retry_policy",
        "gate_tier",
        "release_gates",
        "rollback_trigger",
        "plugin_selection",
        "worker_count",
        "merge_conflict",
        "schedule_mode",
    }


@each_file
@pytest.mark.parametrize("dialect", ["dmn", "camunda"])
def test_its_cases_pass_in_both_dialects(file: Path, dialect: Any) -> None:
    model = DecisionModel.load(file, dialect=dialect)
    cases = file.with_suffix(".test.yaml")
    results = play(model, read_cases(cases.read_bytes(), cases.name))
    assert [(r.case.name, r.problems) for r in results if not r.passed] == []


@each_file
def test_every_row_is_reached_by_a_case(file: Path) -> None:
    model = DecisionModel.load(file)
    suite = read_cases(file.with_suffix(".test.yaml").read_bytes(), file.name)
    reached = {
        rule.id
        for case in suite.cases
        for wanted in case.expectations
        for record in model.explain(wanted.decision, case.inputs).decisions
        for rule in record.rules
    }
    assert {rule.id for table in tables(file) for rule in table.rules} == reached


@each_file
@pytest.mark.parametrize("dialect", ["dmn", "camunda"])
def test_the_lint_finds_nothing(file: Path, dialect: Any) -> None:
    assert [str(f) for f in analyse(DecisionModel.load(file, dialect=dialect))] == []


@each_file
def test_the_id_of_the_file_is_that_of_its_main_decision(file: Path) -> None:
    assert DecisionModel.load(file).decision_ids[0] == file.stem


@each_file
def test_every_row_says_why_and_the_last_one_catches_the_rest(file: Path) -> None:
    for table in tables(file):
        assert all(rule.annotations for rule in table.rules)
        assert table.hit_policy is HitPolicy.FIRST
        assert {cell.text for cell in table.rules[-1].inputs} == {"-"}


@each_file
def test_every_element_has_a_place_in_the_diagram(file: Path) -> None:
    root = etree.parse(file).getroot()
    drawn = {e.get("dmnElementRef") for e in root.iter(f"{DMNDI}DMNShape", f"{DMNDI}DMNEdge")}
    kinds = (f"{DMN}decision", f"{DMN}inputData", f"{DMN}informationRequirement")
    assert {e.get("id") for e in root.iter(*kinds)} == drawn


def test_retries_wait_from_five_seconds_to_two_minutes() -> None:
    model = DecisionModel.load(FOLDER / "retry_policy.dmn")
    waits = [
        model.evaluate(
            "retry_policy",
            {"failure_class": "timeout", "failure_count": n, "max_attempts": 99, "tags": []},
        )["delay_seconds"]
        for n in range(1, 8)
    ]
    assert waits == [5, 10, 20, 40, 80, 120, 120]
