"""What cannot be set back is refused, and says why; nothing is left behind by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from engine import Engine
from engine.runtime.set_back import _needing
from tests.acceptance.conftest import Answer, Project


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param((), "expected ids of tasks, or --all-blocked, but got neither", id="nothing"),
        pytest.param(("tax", "--all-blocked"), "but got both", id="both"),
        pytest.param(("price",), "task price is merged, and stays so", id="merged"),
        pytest.param(("rent",), "has no task rent: got debt, price, tax", id="unknown"),
        pytest.param(
            ("tax", "--worker", "nobody"),
            "--worker: expected one of shell, but got nobody",
            id="worker",
        ),
    ],
)
def test_refused(
    ask: Callable[..., Answer], shop: Project, arguments: Sequence[str], says: str
) -> None:
    answer = ask("retry", *arguments)
    assert answer.code == 2
    assert says in answer.err
    with Engine.open(shop.root).store() as store:
        assert [store.commands(run.id) for run in store.runs()] == [[]]


@pytest.mark.parametrize(
    ("needs", "left", "waiting"),
    [
        pytest.param({"b": ["a"], "c": ["b"]}, {"a"}, {"b": "a", "c": "b"}, id="however far"),
        pytest.param({"c": ["b"], "b": ["a"]}, {"a"}, {"b": "a", "c": "b"}, id="in any order"),
        pytest.param({"b": ["m"]}, {"a"}, {}, id="what needs merged work only does not wait"),
        pytest.param({"b": ["a"]}, set(), {}, id="nothing left aside"),
    ],
)
def test_what_depends_on_a_task_left_aside_waits_with_it(
    needs: Mapping[str, list[str]], left: set[str], waiting: Mapping[str, str]
) -> None:
    tasks: list[dict[str, Any]] = [{"id": "a"}]
    tasks += [{"id": name, "dependencies": others} for name, others in needs.items()]
    assert _needing(tasks, left) == waiting
