"""Findings and results as other tools read them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from tests.acceptance.conftest import Project

OPEN = "package p\ndefault allow := true\ndeny := []\n"
TESTS = "package p_test\ntest_good if true\ntest_bad if false\n"


def test_a_finding_in_each_format(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(OPEN, "utf-8")
    here = Project(tmp_path)

    log = here.engine("policy", "check", ".", "--format", "sarif")
    notes = here.engine("policy", "check", ".", "--format", "github")

    assert (log.code, notes.code) == (3, 3)
    (result,) = json.loads(log.out)["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("open-default", "error")
    assert result["message"]["text"].startswith("allow is open by default")
    (place,) = result["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 1}
    assert notes.out.startswith(
        "::error file=p.rego,line=2,col=1,title=open-default::allow is open"
    )


def test_results_as_junit(tmp_path: Path) -> None:
    (tmp_path / "p_test.rego").write_text(TESTS, "utf-8")

    done = Project(tmp_path).engine("policy", "test", ".", "--format", "junit")

    suite = ElementTree.fromstring(done.out)
    assert done.code == 1
    assert suite.attrib == {"name": "policies", "tests": "2", "failures": "1"}
    assert {case.get("name"): [f.get("message") for f in case] for case in suite} == {
        "test_good": [],
        "test_bad": ["stopped at line 3: false"],
    }


def test_findings_as_junit(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(OPEN, "utf-8")
    (tmp_path / "q.rego").write_text(
        OPEN.replace("package p", "package q").replace("true", "false"), "utf-8"
    )

    done = Project(tmp_path).engine("policy", "check", ".", "--format", "junit")

    suite = ElementTree.fromstring(done.out)
    assert suite.attrib == {"name": "policies", "tests": "2", "failures": "1"}
    assert {case.get("name"): [f.get("type") for f in case] for case in suite} == {
        "p.rego": ["open-default"],
        "q.rego": [],
    }


def test_failed_tests_in_each_format(tmp_path: Path) -> None:
    (tmp_path / "p_test.rego").write_text(TESTS, "utf-8")
    here = Project(tmp_path)

    told = here.engine("policy", "test", ".")
    notes = here.engine("policy", "test", ".", "--format", "github")
    log = here.engine("policy", "test", ".", "--format", "sarif")

    assert told.out.splitlines() == [
        "failed p_test.rego:3: p_test.test_bad: stopped at line 3: false",
        "1 passed, 1 failed",
    ]
    assert notes.out == (
        "::error file=p_test.rego,line=3,title=test-failed::"
        "p_test.test_bad failed: stopped at line 3: false.\n"
    )
    (run,) = json.loads(log.out)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["test-failed"]
    assert run["tool"]["driver"]["name"] == "engine policy test"
