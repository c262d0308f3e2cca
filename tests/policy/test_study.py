"""What authors are told: which rules their tests reach, and what closes a gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.policy.study import FileCoverage, RuleCoverage, coverage, explain
from engine.shipped import folder
from tests.acceptance.conftest import Project

POLICY = """package p
default allow := false
allow if count(deny) == 0
deny contains {"code": "A", "msg": "a is there", "path": ""} if {
	input.a
}
deny contains {"code": "B", "msg": "b is there", "path": ""} if {
	input.b
}
"""
TESTS = 'package p_test\nimport data.p\ntest_a if p.deny with input as {"a": true}\n'


def test_coverage_names_the_rule_that_no_test_reaches() -> None:
    assert coverage({"p.rego": POLICY, "p_test.rego": TESTS}) == (
        FileCoverage(
            file="p.rego",
            covered=(2, 3, 4, 5, 8),
            missed=(7,),
            rules=(
                RuleCoverage(name="allow", first=3, last=3, reached=True),
                RuleCoverage(name="deny", first=4, last=6, reached=True),
                RuleCoverage(name="deny", first=7, last=9, reached=False),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("given", "codes", "lines"),
    [
        ({}, [], []),
        ({"a": True}, ["A"], [4]),
        ({"a": True, "b": True}, ["A", "B"], [4, 7]),
    ],
)
def test_an_explanation_names_what_stands_in_the_way(
    given: dict[str, bool], codes: list[str], lines: list[int]
) -> None:
    told = explain({"p.rego": POLICY}, "p", given)

    assert told.allowed is (not codes)
    assert [denial["code"] for denial in told.denials] == codes
    assert [rule.first for _, rule in told.rules] == lines


def test_the_commands_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(POLICY, "utf-8")
    (tmp_path / "p_test.rego").write_text(TESTS, "utf-8")
    here = Project(tmp_path)

    asked = here.engine("policy", "explain", "-p", "p", "-i", '{"a": true}', "--policies", ".")
    measured = here.engine("policy", "coverage", ".", "--json")

    assert (asked.code, asked.out.splitlines()) == (
        1,
        [
            "p stays closed",
            "  p.rego:4: deny held",
            "  A: a is there",
            "It opens when this denial goes.",
        ],
    )
    assert measured.code == 1
    assert [rule["reached"] for rule in json.loads(measured.out)["files"][0]["rules"]] == [
        True,
        True,
        False,
    ]


def test_the_shipped_merge_policy_is_reached_by_its_tests() -> None:
    place = folder("policies")
    modules = {file.name: file.read_text("utf-8") for file in place.glob("*.rego")}

    merge = next(file for file in coverage(modules) if file.file == "merge.rego")

    assert [rule.first for rule in merge.rules if not rule.reached] == []
