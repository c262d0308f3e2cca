"""What the embedded engine refuses at load, and that the reference implementation refuses the same."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import regorus

from engine.core.model import Ruling
from engine.errors import DefinitionError
from engine.policy import PolicySet
from engine.policy.authoring import lint
from engine.policy.backends import is_impure
from engine.policy.built_ins import ADDED, KNOWN, REFUSED
from tests.opa import opa_binary

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = "package p\nimport rego.v1\n"

GOOD = [
    'allow if { some n in ["a"]; not input[n] }',
    "allow if not count([x | some x in input]) > 0",
    "f(x) if not input.b[x]\nallow if f(1)",
    "allow if not is_string(input.x)",
    "default f(_) := 1\nallow if f(2)",
    "a.b(x) := x\nallow if a.b(1)",
    "deny contains 1 if { every z in [1] { not input.a[z] } }",
    "traced(x) := x\nallow if traced(1)",
    "allow if not a.b\na.b if input.x",
]
UNSAFE = [
    ('q := {"a"}\nallow if not q[n]', 4, 16, "n"),
    ("k if not input.q[_]", 3, 18, "_"),
    ('allow if not input.q[{"a": _}]', 3, 28, "_"),
    ("allow if { not input.x == y }", 3, 27, "y"),
    ("allow if not input.a[_].b", 3, 22, "_"),
]
UNKNOWN = [
    ("allow if data.q.nof(1)", 3, 10, "data.q.nof"),
    ("allow if foo.bar(1)", 3, 10, "foo.bar"),
]


@pytest.mark.parametrize("text", GOOD)
def test_good_policies_have_no_findings(text: str) -> None:
    found = {finding.rule for finding in lint({"p.rego": HEAD + text + "\n"})}
    assert found <= {"missing-default", "missing-decision-key", "negated-call", "unused-rule"}


@pytest.mark.parametrize(("text", "line", "column", "name"), UNSAFE)
def test_a_variable_only_under_not_is_refused(text: str, line: int, column: int, name: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        PolicySet.load({"p.rego": HEAD + text + "\n"})
    assert f"p.rego:{line}:{column}: error: the variable {name} occurs only under" in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("text", "line", "column", "name"),
    [*UNKNOWN, ('allow if io.jwt.decode("a.b.c")', 3, 10, "io.jwt.decode")],
)
def test_a_function_that_the_engine_lacks_is_refused(
    text: str, line: int, column: int, name: str
) -> None:
    with pytest.raises(DefinitionError) as raised:
        PolicySet.load({"p.rego": HEAD + text + "\n"})
    assert f"p.rego:{line}:{column}: error: there is no function {name}" in str(raised.value)


@pytest.mark.opa
@pytest.mark.usefixtures("opa_url")
def test_the_reference_implementation_refuses_the_same(tmp_path: Path) -> None:
    binary = opa_binary()
    assert binary is not None  # the fixture has seen it
    refused = [text for text, *_ in (*UNSAFE, *UNKNOWN)]
    told = {}
    for number, text in enumerate([*GOOD, *refused]):
        file = tmp_path / f"{number}.rego"
        file.write_text(HEAD + text + "\n", "utf-8")
        told[text] = subprocess.run([binary, "check", file], capture_output=True).returncode == 0
    assert told == {**dict.fromkeys(GOOD, True), **dict.fromkeys(refused, False)}


@pytest.mark.parametrize(
    "call",
    [
        "time.now_ns() > 0",
        'time["now_ns"]() > 0',
        r'time["now\u005fns"]() > 0',
        'rand["intn"]("x", 5) >= 0',
        "every x in [1] { http.send({}).status == x }",
        "count([1 | time.now_ns() > 0]) > 0",
        'net.cidr_contains("10.0.0.0/8", "10.0.0.1")',
    ],
)
def test_no_spelling_of_an_impure_call_gets_through(call: str) -> None:
    with pytest.raises(DefinitionError, match="answers that replay cannot repeat"):
        PolicySet.load({"p.rego": f"{HEAD}allow if {call}\n"})


def test_what_is_refused_in_the_tree_is_an_error_in_the_engine_too() -> None:
    assert all(map(is_impure, REFUSED))


def test_a_feature_that_the_engine_cannot_read_is_one_finding_at_its_place() -> None:
    (finding,) = lint({"p.rego": HEAD + 'default allow := false\nallow if $"{1}" == "1"\n'})
    assert (finding.file, finding.line, finding.rule) == ("p.rego", 4, "unreadable")
    assert finding.message == "the policy cannot be read: invalid character"


def test_a_finding_names_the_file_it_is_in() -> None:
    found = lint({
        "a.rego": "package a\ndefault allow := false\ndeny := []\n",
        "b.rego": "package b\ndefault allow := false\ndeny := []\nallow if time.now_ns() > 0\n",
    })  # fmt: skip
    assert [(finding.file, finding.line, finding.rule) for finding in found] == [
        ("b.rego", 4, "impure-builtin")
    ]


def test_a_rule_of_another_file_of_the_package_is_known() -> None:
    PolicySet.load({
        "a/p.rego": "package p\nallow if not known\n", "b/p.rego": "package p\nknown if input.a\n"
    })  # fmt: skip


def test_hashes_are_those_of_the_standard() -> None:
    text, key = "Grüße", "k"
    expected = {
        **{
            f'crypto.{name}("{text}")': hashlib.new(name, text.encode()).hexdigest()
            for name in ("md5", "sha1", "sha256")
        },
        **{
            f'crypto.hmac.{name}("{text}", "{key}")': hmac.new(
                key.encode(), text.encode(), name
            ).hexdigest()
            for name in ("md5", "sha1", "sha256", "sha512")
        },
    }
    rules = "\n".join(f'allow_{n} if {call} == "{value}"' for n, (call, value) in
                      enumerate(expected.items()))  # fmt: skip
    conditions = "; ".join(f"allow_{n}" for n in range(len(expected)))
    text = f"{HEAD}{rules}\nallow if {{ {conditions}; crypto.hmac.equal(`a`, `a`) }}\ndeny := []\n"
    assert PolicySet.load({"p.rego": text}).decide("p", {}, NOW).ruling is Ruling.PASS


def test_time_is_the_fact_s_whatever_the_input_calls_now() -> None:
    text = f'{HEAD}allow if startswith(input.now, "2026-01-01")\ndeny := []\n'
    policies = PolicySet.load({"p.rego": text})
    assert policies.decide("p", {"now": "2099-01-01T00:00:00Z"}, NOW).ruling is Ruling.PASS


def test_the_engine_has_every_built_in_that_it_is_known_to_have() -> None:
    assert [name for name in sorted(KNOWN) if "could not find function" in complaint(name)] == []
    assert not KNOWN & {*ADDED, *REFUSED}


def complaint(name: str) -> str:
    try:
        regorus.Engine().eval_query_as_json(f"{name}()")
    except RuntimeError as error:
        return str(error)
    return ""
