"""What opens a gateway, and what never does."""

from __future__ import annotations

import gc
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.core.model import Ruling
from engine.errors import DefinitionError
from engine.policy import PolicySet, _Asker, _Lost
from engine.policy.authoring import lint, run_tests
from tests.policy.shipped import shipped

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def decide(text: str, package: str = "p", **input_: Any) -> tuple[Ruling, tuple[str, ...]]:
    verdict = PolicySet.load({"p.rego": f"package p\n{text}\n"}).decide(package, input_, NOW)
    return verdict.ruling, tuple(reason.code for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        pytest.param("default allow := true\ndeny := []", (Ruling.PASS, ()), id="pass"),
        pytest.param("x := 1", (Ruling.ERROR, ("MALFORMED",)), id="no decision in it"),
        pytest.param(
            "default allow := false\ndeny := []\nallow if input.a.b == 1",
            (Ruling.FAIL, ("NOT_ALLOWED",)),
            id="missing fact",
        ),
        pytest.param(
            'default allow := false\ndeny := []\nallow if to_number("x") == 1',
            (Ruling.ERROR, ("EVALUATION",)),
            id="built-in error",
        ),
        pytest.param(
            'default allow := false\ndeny := []\nallow if input.now == "2026-01-01T00:00:00+00:00"',
            (Ruling.PASS, ()),
            id="time comes from the fact",
        ),
    ],
)
def test_embedded(text: str, outcome: tuple[Ruling, tuple[str, ...]]) -> None:
    assert decide(text) == outcome


def test_a_package_that_does_not_exist_is_undefined() -> None:
    assert decide("default allow := true\ndeny := []", "q") == (Ruling.UNDEFINED, ("UNDEFINED",))


@pytest.mark.parametrize("package", ["", "p; true", "p.allow == true", "a-b", "p[_]"])
def test_what_is_no_package_name_is_never_evaluated(package: str) -> None:
    assert decide("default allow := true\ndeny := []", package) == (
        Ruling.ERROR,
        ("NO_PACKAGE_NAME",),
    )


def test_an_answer_after_the_deadline_is_an_error() -> None:
    text = "package p\ndefault allow := false\ndeny := []\nallow if count([1 | some i in numbers.range(1, 500); some j in numbers.range(1, 500); i == j + 5000]) == 0"
    policies = PolicySet.load({"p.rego": text}, deadline_s=0.05)
    verdict = policies.decide("p", {}, NOW)
    assert (verdict.ruling, verdict.reasons[0].code) == (Ruling.ERROR, "TIMEOUT")


class _Slow:
    """A back end that opens for package `slow` when it is let, and for no other."""

    name, packages = "slow", ("slow", "other")

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    def session(self) -> _Slow:
        return self

    def document(self, package: str, input_text: str) -> Any:
        if package == "slow":
            self.began.set()
            assert self.may_end.wait(10)
        return {"allow": package == "slow", "deny": []}

    def close(self) -> None:
        self.may_end.set()


def test_a_late_answer_is_never_taken_for_the_answer_to_another_question() -> None:
    backend = _Slow()
    asker = _Asker(backend)
    with ThreadPoolExecutor(2) as threads:
        late = threads.submit(asker.ask, "slow", "{}", 0.05)
        assert backend.began.wait(10)
        other = threads.submit(asker.ask, "other", "{}", 10.0)  # waits for its turn
        with pytest.raises(TimeoutError):
            late.result(10)
        backend.may_end.set()
        with pytest.raises(_Lost):
            other.result(10)
    assert PolicySet(backend, "", 10.0).decide("other", {}, NOW).ruling is Ruling.FAIL


def test_a_question_that_finds_its_thread_lost_is_put_to_another() -> None:
    backend = _Slow()
    policies = PolicySet(backend, "", 10.0)
    policies._thread = _Lossy(backend)
    assert policies.decide("other", {}, NOW).reasons[0].code == "NOT_ALLOWED"


class _Lossy(_Asker):
    """Is lost between being chosen and being asked."""

    def ask(self, package: str, text: str, deadline_s: float) -> Any:
        self.is_lost = True
        return super().ask(package, text, deadline_s)


def test_a_package_is_asked_whatever_else_the_bundle_holds() -> None:
    """The engine adds rules of its own to ask by: no name of a package gets in their way."""
    names = ("asked", "asked_.a", 'p["a-b"]', "p.in", "p")
    modules = {
        f"{number}.rego": f"package {name}\ndefault allow := true\ndeny := []\n"
        for number, name in enumerate(names)
    }
    policies = PolicySet.load(modules)
    for name in ("asked", "asked_.a", "p.in", "p"):
        assert policies.decide(name, {}, NOW).ruling is Ruling.PASS
    assert policies.decide("nobody", {}, NOW).ruling is Ruling.UNDEFINED


@pytest.mark.parametrize(
    "call",
    ["http.send({})", "time.now_ns()", 'rand.intn("a", 3)', "opa.runtime()", 'uuid.rfc4122("a")'],
)
def test_impure_built_ins_are_refused_at_load(call: str) -> None:
    with pytest.raises(DefinitionError, match=r"p\.rego:2"):
        PolicySet.load({"p.rego": f"package p\nx := {call}\n"})


def test_text_that_is_no_rego_is_refused_naming_file_and_line() -> None:
    with pytest.raises(DefinitionError, match=r"p\.rego"):
        PolicySet.load({"p.rego": "package p\nallow if {\n"})


def test_the_shipped_policies_hold_their_tests() -> None:
    results = run_tests(shipped(tests=True))
    assert [f"{r.package}.{r.name}" for r in results if not r.passed] == []
    assert len(results) >= 40


def test_the_shipped_policies_have_no_findings() -> None:
    assert lint(shipped(tests=False)) == []


@pytest.mark.parametrize(
    "package",
    [
        "preflight",
        "launch",
        "merge",
        "release",
        "security",
        "compliance",
        "ownership",
        "budget",
        "waivers",
    ],
)
@pytest.mark.parametrize(
    "input_", [{}, {"candidate": None}, {"plan": [], "task": 1}, {"settings": {}}]
)
def test_shipped_policies_never_pass_on_missing_facts(package: str, input_: dict[str, Any]) -> None:
    verdict = PolicySet.load(shipped(tests=False)).decide(package, input_, NOW)
    assert verdict.ruling in {Ruling.FAIL, Ruling.ERROR}


def test_an_engine_is_dropped_by_the_thread_that_made_it(capfd: pytest.CaptureFixture[str]) -> None:
    conflict = "package p\nallow := true\nallow := false if input.n == 1\ndeny := []\n"
    policies = PolicySet.load({"p.rego": conflict})
    for _ in range(3):
        assert policies.decide("p", {"n": 1}, NOW).ruling is Ruling.ERROR
        gc.collect()
    assert "another thread" not in capfd.readouterr().err


def test_every_protected_name_is_denied_whatever_else_is_changed() -> None:
    """The look at all names at once (`paths.hints`) hides none of those that a class protects."""
    text = shipped(tests=True)["paths_test.rego"].partition("members := {")[2].partition("\n}")[0]
    names = [name for line in text.splitlines() for name in re.findall(r'"([^"]+)"', line)[1:]]
    assert len(names) >= 27
    policies = PolicySet.load(shipped(tests=False))
    for name in names:
        changed = [
            {"path": one, "kind": "created", "mode": "100644", "added_lines": ["x"]}
            for one in ("src/a.py", name.upper())
        ]
        given = {
            "candidate": {"changed": changed, "patch_complete": True},
            "settings": {"security": {"level": "strict"}},
        }
        verdict = policies.decide("security", given, NOW)
        assert [(r.code, r.path) for r in verdict.reasons] == [("PROTECTED_PATH", name.upper())]
