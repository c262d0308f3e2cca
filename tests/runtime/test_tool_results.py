"""What a circuit breaker is asked with: the failures of a tool since its last success, as the ledger has them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.ledger import EntryType, note
from engine.runtime.tool_results import ToolResults
from engine.store import Store

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NONE = {"failures": 0, "seconds_since_last": None, "last_reason": ""}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "engine.db") as store:
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
        yield store


def ended(store: Store, *attempts: tuple[str, str], second: int = 0, **more: Any) -> None:
    """Record the end of attempts (tool, failure class), one a second."""
    store.append(
        "r1",
        [
            note(
                EntryType.WORKER_FINISHED,
                AT + timedelta(seconds=second + number),
                {"job": "j", "worker": tool, "failure_class": failure, "reason": failure, **more},
                task="a",
            )
            for number, (tool, failure) in enumerate(attempts)
        ],
    )


def told(store: Store, tool: str = "claude", second: int = 60) -> Any:
    return ToolResults(store, "r1").of(tool, AT + timedelta(seconds=second))


def test_a_tool_that_was_never_started_has_no_failures(store: Store) -> None:
    assert told(store) == NONE


def test_failures_of_a_tool_count_since_its_last_success(store: Store) -> None:
    ended(store, ("claude", "exit"), ("claude", ""), ("claude", "timeout"), ("claude", "crash"))
    assert told(store) == {"failures": 2, "seconds_since_last": 57, "last_reason": "crash"}
    ended(store, ("claude", ""), second=10)
    assert told(store) == NONE


def test_another_tool_changes_nothing(store: Store) -> None:
    ended(store, ("claude", "exit"), ("aider", ""), ("aider", "exit"), ("claude", "exit"))
    assert [told(store, tool)["failures"] for tool in ("claude", "aider")] == [2, 1]


@pytest.mark.parametrize("silent", ["context", "cancelled", "verification", "manifest", "budget"])
def test_what_says_nothing_of_the_tool_neither_counts_nor_ends_a_series(
    store: Store, silent: str
) -> None:
    ended(store, ("claude", "exit"), ("claude", silent), ("claude", "exit"))
    assert told(store)["failures"] == 2


def test_the_tool_of_the_task_counts_and_older_entries_name_the_worker(store: Store) -> None:
    ended(store, ("claude-2", "exit"), tool="claude")
    ended(store, ("claude", "exit"), second=5)
    assert [told(store, tool)["failures"] for tool in ("claude", "claude-2")] == [2, 0]


def test_one_who_follows_the_run_takes_each_attempt_once(store: Store) -> None:
    results = ToolResults(store, "r1")
    for second in range(4):
        ended(store, ("claude", "exit"), second=second)
        assert results.of("claude", AT + timedelta(seconds=9))["failures"] == second + 1


def test_a_clock_that_was_set_back_gives_no_negative_time(store: Store) -> None:
    ended(store, ("claude", "exit"), second=30)
    assert told(store, second=0)["seconds_since_last"] == 0
