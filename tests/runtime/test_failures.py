"""Failures of one kind have one name, and chance is the same each time it is asked."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.failures import chance, kind_of, made_alike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("3 failed in 0.51s", "12 failed in 7s", id="numbers"),
        pytest.param("/tmp/a1/x/test_a.py:3: no", "work/b2/test_a.py:99: no", id="folders"),
        pytest.param("commit 3f9ac01d", "commit 77beefca01", id="identifiers"),
        pytest.param("at 2026-11-21T10:00:01Z", "at 2025-01-01T23:59:59Z", id="times"),
        pytest.param("a  b", "a\tb ", id="blanks"),
    ],
)
def test_what_differs_each_time_is_left_out(one: str, other: str) -> None:
    kinds = {kind_of("exit", exit_code=1, lines=[text]) for text in (one, other)}
    assert len(kinds) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("exit", 1, "no disk"), ("exit", 2, "no disk"), id="another exit code"),
        pytest.param(("exit", 1, "no disk"), ("exit", 1, "no net"), id="other words"),
        pytest.param(("exit", 1, "no"), ("verification", 1, "no"), id="another step"),
    ],
)
def test_what_tells_failures_apart_stays(
    one: tuple[str, int, str], other: tuple[str, int, str]
) -> None:
    kinds = {kind_of(kind, exit_code=code, lines=[text]) for kind, code, text in (one, other)}
    assert len(kinds) == 2


def test_a_kind_without_words_is_its_class() -> None:
    assert [kind_of("timeout", exit_code=None, lines=["31 s"]), kind_of("", lines=["x"])] == [
        "timeout",
        "",
    ]


def test_the_last_three_lines_count_and_a_kind_is_short() -> None:
    lines = ["first", "", "second", "third", "fourth " + "x" * 900]
    kind = kind_of("verification", exit_code=3, lines=lines)
    assert kind.startswith("verification, exit code 3: second; third; fourth xxx")
    assert len(kind) == 200


@given(st.text())
def test_made_alike_twice_is_made_alike_once(text: str) -> None:
    assert made_alike(made_alike(text)) == made_alike(text)


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 99))
def test_chance_is_below_one_and_always_the_same(run: str, task: str, attempt: int) -> None:
    found = chance(run, task, attempt)
    assert 0 <= found < 1
    assert found == chance(run, task, attempt)


def test_chance_differs_between_attempts_tasks_and_runs() -> None:
    asked = [("r1", "a", 1), ("r1", "a", 2), ("r1", "b", 1), ("r2", "a", 1)]
    assert len({chance(*one) for one in asked}) == 4
    assert chance("r1", "a", 1) == Decimal("0.684")
