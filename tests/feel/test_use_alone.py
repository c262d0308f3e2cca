"""`engine.feel` and `engine.decisions` are libraries that others can use without the rest of the engine."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from engine import feel
from engine.decisions import DecisionModel


def imported_by(*modules: str) -> set[str]:
    """Return the modules that a fresh interpreter has after importing these."""
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "rooms", "libraries"),
    [
        (["engine.feel"], {"errors", "feel", "frozen"}, set()),
        (["engine.decisions"], {"errors", "feel", "decisions", "frozen"}, {"lxml"}),
    ],
)
def test_importing_it_brings_nothing_else_of_the_engine(
    modules: list[str], rooms: set[str], libraries: set[str]
) -> None:
    found = imported_by(*modules)
    assert {name.split(".")[1] for name in found if name.startswith("engine.")} == rooms
    outside = {"SpiffWorkflow", "pydantic", "sqlalchemy", "git", "typer", "rich", "docker", "lxml"}
    assert {name.split(".")[0] for name in found} & outside <= libraries


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (feel.evaluate, ["expression", "variables", "dialect"]),
        (feel.unary_test, ["expression", "value", "variables", "dialect"]),
        (DecisionModel.load, ["source", "imports"]),
        (DecisionModel.evaluate, ["self", "name", "inputs"]),
        (DecisionModel.evaluate_service, ["self", "name", "inputs"]),
        (DecisionModel.explain, ["self", "name", "inputs"]),
    ],
)
def test_the_public_calls_keep_their_shape(function: object, parameters: list[str]) -> None:
    found = list(inspect.signature(function).parameters)  # type: ignore[arg-type]  # callables
    assert found[: len(parameters)] == parameters


def test_both_dialects_may_be_named() -> None:
    assert feel.evaluate("a + 1", {"a": 1}, dialect="dmn") == 2
    assert feel.evaluate("get or else(a, 5)", {}, dialect="camunda") == 5
    assert feel.unary_test("[1..limit]", 3, {"limit": 5}, dialect="dmn") is True
