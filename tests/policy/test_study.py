"""What authors are told: which rules and statements their tests reach, and what closes a gateway."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.core.model import Ruling
from engine.policy.embedded import Embedded, session_of, syntax_tree
from engine.policy.spread import Spread, spread
from engine.policy.study import FileCoverage, Place, RuleCoverage, coverage, explain
from engine.policy.tree import module_of
from tests.acceptance.conftest import Project
from tests.opa import opa_binary
from tests.policy.shipped import shipped

NOW = datetime(2026, 1, 1, tzinfo=UTC)

POLICY = """package p
default allow := false
allow if count(deny) == 0
deny contains {"code": "A", "msg": "a is there", "path": ""} if input.a
deny contains {"code": "B", "msg": "b is there", "path": "/b"} if { input.b; input.c }
deny contains {"code": "C", "msg": "d is not known", "path": "/d"} if not known
known if { input.d; is_string(input.d) }
"""
TESTS = 'package p_test\nimport data.p\ntest_a if p.deny with input as {"a": 1, "b": 1, "d": "x"}\n'


def test_coverage_tells_rules_and_statements_of_one_line_apart() -> None:
    (file,) = coverage({"p.rego": POLICY, "p_test.rego": TESTS})
    reached = [(rule.name, rule.line, rule.reached) for rule in file.rules]
    assert (file.covered, file.missed, file.percent) == ((2, 4, 7), (3, 5, 6), 50)
    assert reached == [
        ("allow", 3, False),
        ("deny", 4, True),
        ("deny", 5, False),
        ("deny", 6, False),
        ("known", 7, True),
    ]


def test_coverage_names_the_statement_that_was_never_looked_at() -> None:
    text = "package p\nx if { input.a; input.b; input.c } else := 2 if { input.d }\n"
    tests = 'package p_test\ntest_x if data.p.x with input as {"a": 1, "d": 1}\n'
    assert coverage({"p.rego": text, "p_test.rego": tests}) == (
        FileCoverage(
            file="p.rego",
            covered=(),
            missed=(2,),
            rules=(
                RuleCoverage(
                    name="x", line=2, column=1, last=2, reached=False,
                    missed=coverage_statements(text)[2:3],
                ),
                RuleCoverage(name="x else", line=2, column=36, last=2, reached=True),
            ),
        ),
    )  # fmt: skip


def coverage_statements(text: str) -> tuple[Any, ...]:
    return spread_of({"p.rego": text})["p.rego"].bodies[0].statements


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"d": "x"}, []),
        ({"d": "x", "a": 1}, [("A", [4], [])]),
        ({"d": "x", "a": 1, "b": 1, "c": 1}, [("A", [4], []), ("B", [5], [])]),
        ({"d": 7, "b": 1}, [("C", [6], ["is_string(input.d)"])]),
        ({}, [("C", [6], ["input.d"])]),
    ],
)
def test_an_explanation_names_each_denial_its_rule_and_what_was_missing(
    given: dict[str, object], told: list[object]
) -> None:
    said = explain({"p.rego": POLICY}, "p", given, NOW)

    assert said.verdict.ruling is (Ruling.FAIL if told else Ruling.PASS)
    assert [
        (one.code, [place.line for place in one.by], [place.statement for place in one.because])
        for one in said.denials
    ] == told
    assert said.stopped == ()


def test_a_denial_of_another_package_is_told_with_both_rules() -> None:
    here = (
        "package p\ndefault allow := false\nallow if count(deny) == 0\n"
        "deny contains r if some r in data.q.deny\n"
    )
    there = 'package q\ndeny contains {"code": "Q", "msg": "q"} if input.q\n'
    said = explain({"p.rego": here, "q.rego": there}, "p", {"q": 1}, NOW)
    assert [(place.file, place.line) for place in said.denials[0].by] == [
        ("p.rego", 4),
        ("q.rego", 2),
    ]


def test_an_allow_that_wants_more_than_no_denial_is_told() -> None:
    text = (
        "package p\ndefault allow := false\n"
        "allow if { count(deny) == 0; input.ok; input.n == 1 }\n"
        'deny contains {"code": "A", "msg": "a"} if input.a\n'
    )
    said = explain({"p.rego": text}, "p", {"a": 1, "ok": True, "n": 2}, NOW)
    assert said.stopped == (
        Place(file="p.rego", line=3, column=1, name="allow", statement="input.n == 1"),
    )
    assert explain({"p.rego": text}, "p", {"a": 1, "ok": True, "n": 1}, NOW).stopped == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("allow := x\ndeny := []\nx := 1\nx := 2 if input.a", "EVALUATION"),
        ("deny := []", "MALFORMED"),
        ('allow := true\ndeny := [{"code": "A", "msg": "a"}]', "CONTRADICTION"),
    ],
)
def test_what_is_no_decision_is_explained_by_its_verdict(text: str, code: str) -> None:
    said = explain({"p.rego": f"package p\n{text}\n"}, "p", {"a": 1}, NOW)
    assert [said.verdict.ruling, said.verdict.reasons[0].code] == [Ruling.ERROR, code]


def test_the_commands_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_text(POLICY, "utf-8")
    (tmp_path / "p_test.rego").write_text(TESTS, "utf-8")
    here = Project(tmp_path)

    asked = here.engine("policy", "explain", "-p", "p", "-i", '{"d": 7}', "--policies", ".")
    measured = here.engine("policy", "coverage", ".")
    as_json = json.loads(here.engine("policy", "coverage", ".", "--json").out)

    assert (asked.code, asked.out.splitlines()) == (
        1,
        [
            "p stays closed",
            "  C: d is not known (/d)",
            "    p.rego:6:1: deny held",
            "    p.rego:7:1: known stopped at: is_string(input.d)",
            "It opens when this denial goes.",
        ],
    )
    assert (measured.code, measured.out.splitlines()) == (
        1,
        [
            "p.rego: 50 % of lines",
            "  p.rego:3:1: allow never held",
            "  p.rego:5:1: deny never held",
            "  p.rego:6:1: deny never held",
        ],
    )
    assert [rule["reached"] for rule in as_json["files"][0]["rules"]] == [
        False, True, False, False, True,
    ]  # fmt: skip


def test_the_shipped_merge_policy_is_reached_by_its_tests() -> None:
    modules = shipped(tests=True)

    merge = next(file for file in coverage(modules) if file.file == "merge.rego")

    assert [(rule.line, rule.missed) for rule in merge.rules if not rule.reached] == []
    assert merge.percent == 100


# --- a statement a line means the same, on both engines -----------------------------------------------

ODD = """package p
import data.q
import rego.v1
a if not q.allow with input as {"a": {"b": 1}} with data.x as 2
b if some x, y in input.z
c := 1 if input.a else := 2 if { input.b; input.d } else := 3
f(x, y) := z if { z := x + y }
g["a"] if input.a
h if { {"a"} == {"a"} }
i if every z in input.z { z; input.a }
j if { some n; input.z[n] == 1 }
default k(_) := 2
l contains x if x := input.a
m if (input.a)
n if { # c
 input.a # d }
 input.b } # e
o if "a" in input.z with input.z as ["a"]
r if input.x == `a`
s contains "é"; t := "x"
u := {"a":
  1}
v if {
  "é" == "é"; "c" == "c"
  x := [1 |
    input.b
  ]
  x == [1]
}
deny contains {
	"code": "é"
} if { input.a; not m; not data.p.v }
w.x.y := 1 if true
z := f(1, 2)
"""
GIVEN: list[dict[str, object]] = [
    {},
    {"a": 1, "z": [1]},
    {"b": 1, "d": 2, "z": [3]},
    {"a": 1, "b": 1, "x": "a"},
]


def spread_of(modules: dict[str, str]) -> dict[str, Spread]:
    return {item["source"]["file"]: spread(module_of(item)) for item in syntax_tree(modules)}


@pytest.mark.parametrize("given", GIVEN)
def test_odd_shapes_mean_the_same_when_spread(given: dict[str, object]) -> None:
    text = ODD.replace("; t :=", "\nt :=")
    modules = {"p.rego": text, "q.rego": "package q\ndefault allow := false\nallow if input.q\n"}
    texts = {path: one.text for path, one in spread_of(modules).items()}
    answers = [
        Embedded(one, {}).session().document("p", json.dumps(given)) for one in (modules, texts)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["z"] == 3


@pytest.mark.opa
@pytest.mark.usefixtures("opa_url")
@pytest.mark.parametrize("given", GIVEN[1:3])
def test_the_reference_implementation_reaches_the_same_denials(
    given: dict[str, object], tmp_path: Path
) -> None:
    modules = {name.replace(".yml", "_values.rego"): text for name, text in shipped().items()}
    modules |= {"p.rego": POLICY}
    found = spread_of(modules)
    for path, one in found.items():
        (tmp_path / path).write_text(one.text, "utf-8")
    asked = {**given, "candidate": {"clean": True}, "d": "x" if "a" in given else 1}
    for package in ("p", "merge"):
        told = reference(tmp_path, package, asked)
        session = session_of({path: one.text for path, one in found.items()}, measured=True)
        document = session.document(package, json.dumps(asked))
        here = {file["path"]: set(file["covered"]) for file in session.covered()["files"]}
        assert document == told.document
        assert {path: held_findings(found[path], here.get(path, set())) for path in found} == {
            path: held_findings(found[path], told.lines.get(path, set())) for path in found
        }


def held_findings(one: Spread, covered: set[int]) -> list[int]:
    """Return where something was found: in the shipped policies `deny` hands on what `findings` found."""
    names = {body.name for body in one.bodies}
    name = "findings" if "findings" in names else "deny"
    return [body.line for body in one.bodies if body.name == name and body.held_at in covered]


class Reference:
    """What the reference implementation says of a folder of policies."""

    def __init__(self, document: object, lines: dict[str, set[int]]) -> None:
        self.document = document
        self.lines = lines


def reference(place: Path, package: str, given: object) -> Reference:
    binary = opa_binary()
    assert binary is not None  # the fixture has seen it
    done = subprocess.run(
        [binary, "eval", "-d", place, "-I", f"data.{package}", "--coverage", "--format=json"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    lines = {
        Path(path).name: {
            row
            for part in file.get("covered", ())
            for row in range(part["start"]["row"], part["end"]["row"] + 1)
        }
        for path, file in said["coverage"]["files"].items()
        if file.get("covered")
    }
    return Reference(said["result"][0]["expressions"][0]["value"], lines)
