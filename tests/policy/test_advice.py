"""What `engine policy check` tells authors about policies that load."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.policy.authoring import lint
from engine.policy.embedded import Embedded
from tests.acceptance.conftest import Project
from tests.opa import opa_binary

GOOD = "default allow := false\nallow if count(deny) == 0\ndeny contains {} if input.bad\n"


def found(text: str, package: str = "p") -> list[tuple[int, str, str]]:
    """Return (line, severity, rule) of every finding; line 1 is the package's."""
    return [
        (finding.line, finding.severity, finding.rule)
        for finding in lint({"p.rego": f"package {package}\n{text}"})
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(GOOD, [], id="a policy as it should be"),
        pytest.param("f(x) := x\n", [(2, "warning", "unused-rule")], id="a library"),
        pytest.param(
            "allow if input.a\ndeny := []\n", [(2, "error", "missing-default")], id="no default"
        ),
        pytest.param("allow := true\ndeny := []\n", [], id="constants are always defined"),
        pytest.param(
            "default allow := false\ndeny := [1] if input.a\n",
            [(3, "error", "missing-default")],
            id="a deny under conditions",
        ),
        pytest.param(
            "default allow := false\ndefault deny := []\ndeny := [1] if input.a\n",
            [],
            id="a deny under conditions with a default",
        ),
        pytest.param(
            "default allow := false\n",
            [(2, "error", "missing-decision-key")],
            id="allow without deny",
        ),
        pytest.param(
            "deny contains 1 if input.a\n",
            [(2, "warning", "missing-decision-key")],
            id="deny without allow",
        ),
        pytest.param(
            "default allow := true\ndeny := []\n",
            [(2, "error", "open-default")],
            id="open by default",
        ),
        pytest.param(
            f"{GOOD}known if input.k\nknown if input.l\n",
            [(5, "warning", "unused-rule")],
            id="an unused rule is told once",
        ),
        pytest.param(f"{GOOD}deny contains 1 if not known\nknown if input.k\n", [], id="used"),
        pytest.param(
            f"{GOOD}deny contains 1 if not a.b\na.b if input.k\n", [], id="used with dots"
        ),
        pytest.param(
            f"{GOOD}deny contains 1 if not data.p.k.x\nk.x if input.k\n", [], id="used in full"
        ),
        pytest.param(
            f"{GOOD}deny contains n if {{ some n; data.p[n] }}\nk if input.k\n",
            [],
            id="all of the package is looked at",
        ),
        pytest.param(f"{GOOD}test_a if allow\n", [], id="a test is used"),
    ],
)
def test_advice(text: str, told: list[object]) -> None:
    assert found(text) == told


def test_file_and_package_have_one_name() -> None:
    assert found(GOOD, "q") == [(1, "error", "wrong-package")]
    assert found(GOOD, "company.p") == []


def test_a_decision_may_be_written_in_two_files() -> None:
    told = lint({
        "a/p.rego": "package p\ndefault allow := false\nallow if ok\n",
        "b/p.rego": "package p\ndeny contains {} if input.bad\nok if count(deny) == 0\n",
    })  # fmt: skip
    assert told == []


NEGATIONS = {
    "not input.x": False,
    "not input.x == 5": False,
    "not input.x = 5": False,
    "not input.x.y == input.z": False,
    'not input["x"] == 5': False,
    "not h": False,
    "not f(input)": False,
    "not f(v)": False,
    "not v in {1, 2}": False,
    "not count([1 | input.x]) > 0": False,
    'not object.get(input, "a", 2) == 1': False,
    "not data.p.h == 1": False,
    "not f(input.x)": True,
    "not is_string(input.x[0])": True,
    "not input.x > 5": True,
    "not input.x != 5": True,
    "not input.x < input.y": True,
    "not count(input.x) > 0": True,
    "not 1 in input.x": True,
    "not input.x in {1}": True,
    "not input.x + 1 == 2": True,
    "not {input.x} == {1}": True,
    "not [input.x][0] == 1": True,
    "not input.x[input.y]": True,
    'not object.get(input.x, "a", 1) == 1': True,
    "not f(data.p.h)": True,
}


def negation(expression: str) -> str:
    return (
        "package p\nf(x) if x == 3\nh := 3 if input.hh\n"
        f"deny contains 1 if {{\n\tv := 7\n\t{expression}\n}}\n"
    )


@pytest.mark.parametrize(("expression", "is_told"), NEGATIONS.items())
def test_a_negation_that_denies_nothing_on_opa_is_found(expression: str, is_told: bool) -> None:
    rules = [one.rule for one in lint({"p.rego": negation(expression)})]
    assert ("negated-call" in rules) is is_told


@pytest.mark.opa
@pytest.mark.usefixtures("opa_url")
def test_the_engines_disagree_about_exactly_the_negations_that_are_found(tmp_path: Path) -> None:
    binary = opa_binary()
    assert binary is not None  # the fixture has seen it
    for number, expression in enumerate(NEGATIONS):
        text = negation(expression).replace("package p", f"package n{number}")
        (tmp_path / f"n{number}.rego").write_text(text.replace("data.p.", f"data.n{number}."))
    done = subprocess.run(
        [binary, "eval", "-d", tmp_path, "-I", "data", "--format=json"],
        input="{}",
        capture_output=True,
        text=True,
        check=True,
    )
    there = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    told = {}
    for number, expression in enumerate(NEGATIONS):
        here = Embedded({"p.rego": negation(expression)}, {}).session().document("p", "{}")
        told[expression] = here["deny"] != there[f"n{number}"]["deny"]
    assert told == NEGATIONS


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('deny contains 1 if graphql.is_valid("", "")', "unknown-function"),
        ('deny contains 1 if $"{1}" == "1"', "unreadable"),
    ],
)
def test_what_only_the_embedded_engine_lacks_is_a_warning_for_opa(line: str, rule: str) -> None:
    modules = {"p.rego": f"package p\n{GOOD}{line}\n"}
    assert [(one.severity, one.rule) for one in lint(modules)] == [("error", rule)]
    assert [(one.severity, one.rule) for one in lint(modules, for_opa=True)] == [("warning", rule)]
    impure = {"p.rego": f"package p\n{GOOD}deny contains 1 if time.now_ns() > 0\n"}
    assert [one.severity for one in lint(impure, for_opa=True)] == ["error"]


def test_warnings_are_shown_and_do_not_fail(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(f"package p\n{GOOD}known if input.k\n", "utf-8")
    checked = Project(tmp_path).engine("policy", "check", ".")
    assert (checked.code, checked.out) == (
        0,
        "p.rego:5:1: warning: nothing refers to known. Take it away, or use it. [unused-rule]\n",
    )
