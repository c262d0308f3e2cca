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
    assert notes.out.startswith(
        "::error file=p.rego,line=2,title=open-default::column 1: allow is open"
    )


def test_results_as_junit(tmp_path: Path) -> None:
    (tmp_path / "p_test.rego").write_text(TESTS, "utf-8")

    done = Project(tmp_path).engine("policy", "test", ".", "--format", "junit")

    suite = ElementTree.fromstring(done.out)
    assert done.code == 1
    assert suite.attrib == {"name": "policies", "tests": "2", "failures": "1"}
    assert {case.get("name"): len(case) for case in suite} == {"test_good": 0, "test_bad": 1}
