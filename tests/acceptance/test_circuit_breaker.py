"""A tool that keeps failing is left alone by the process itself, and what ended of itself or not is in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import Engine
from engine.ledger import EntryType
from tests.acceptance.conftest import Project, task
from tests.acceptance.test_retries import decisions, hasty

__all__ = ["hasty"]  # a fixture: a project whose retry table does not wait


def attempts(project: Project) -> list[tuple[str, str, str]]:
    """Return (task, tool, failure class) of each attempt of the newest run that has ended, in order."""
    with Engine.open(project.root).store() as store:
        run = store.runs()[-1].id
        ended: list[Any] = [
            (entry.task, entry.body)
            for entry in store.entries(run, types=(EntryType.WORKER_FINISHED,))
        ]
    return [(name, body["tool"], body["failure_class"]) for name, body in ended]


def configure(project: Project, cool_down_s: int) -> None:
    """Give the project a worker that fails twice and then works; two failures open its breaker."""
    tried = project.root.parent / "tried"
    script = (
        f"test $(cat {tried} 2>/dev/null | wc -c) -lt 2 && printf x >> {tried} && exit 9; "
        "echo done > $TASK.txt"
    )
    project.configure(
        f'bundle = "lock"\n[run]\nworkers = 1\n[circuit_breaker]\nfailures = 2\ncool_down_s = {cool_down_s}\n'
        f"[workers.flaky]\ncommand = ['/bin/sh', '-c', '{script}']\n"
    )


def test_a_tool_that_fails_in_a_row_is_left_alone_and_tried_again(hasty: Project) -> None:
    """Three tasks at one slot: two failures, of two tasks, keep the third away until the tool has cooled down."""
    configure(hasty, cool_down_s=2)
    graph = [task(name, max_attempts=3, tool="flaky") for name in ("a", "b", "c")]
    hasty.write_graph(graph)
    done = hasty.engine("run", "--feature", "shop")
    assert done.code == 0, done.err
    assert [one[1:] for one in attempts(hasty)] == [("flaky", "exit")] * 2 + [("flaky", "")] * 3
    asked = [one for name in "abc" for one in decisions(hasty, name, "circuit_breaker")]
    assert max(one["failures"] for one in asked) == 2
    assert {(one["limit"], one["cool_down_s"]) for one in asked} == {(2, 2)}
    assert "2 failures of flaky in a row; it is left alone for 2 s" in done.err
    assert hasty.engine("replay").code == 0
    assert hasty.engine("ledger", "verify").code == 0


def test_who_waits_for_a_tool_is_told_until_when(hasty: Project) -> None:
    """A run that is stopped in the pause goes on waiting when it is resumed; status and why say for what."""
    configure(hasty, cool_down_s=600)
    hasty.write_graph([task("a", max_attempts=3, tool="flaky")])
    stopped = hasty.engine("run", "--feature", "shop", "--timeout", "3")
    assert stopped.code == 1, stopped.err
    (resting,) = hasty.engine("status", "--json").json["resting"]
    assert (resting["task"], resting["element"], resting["decision"]) == (
        "a",
        "Cool_down",
        "circuit_breaker",
    )
    told = f"{resting['text']}"
    assert told.endswith("2 failures of flaky in a row; it is left alone for 600 s")
    assert f"a {told}" in hasty.engine("status").out.replace("\n", " ")
    (*_, last) = hasty.engine("why", "a", "--json").json["steps"]
    assert (last["kind"], last["text"]) == ("wait", told)


def test_the_built_in_worker_is_never_left_alone(make_project: Callable[..., Project]) -> None:
    project = make_project(configuration="[run]\nworkers = 1\n[circuit_breaker]\nfailures = 1\n")
    project.write_graph([task("a", "exit 3"), task("b"), task("c")])
    assert project.engine("run", "--feature", "shop").code == 1
    assert sorted(attempts(project)) == [
        ("a", "shell", "exit"),
        ("b", "shell", ""),
        ("c", "shell", ""),
    ]


def test_an_attempt_that_the_process_gives_up_leaves_its_end(
    make_project: Callable[..., Project],
) -> None:
    project = make_project()
    project.write_graph([task("a", "sleep 60", timeout_seconds=1)])
    assert project.engine("run", "--feature", "shop").code == 1
    assert attempts(project) == [("a", "shell", "timeout")]
    told = [step["text"] for step in project.engine("why", "a", "--json").json["steps"]]
    assert "shell: timeout: worker shell was ended: a timer of the process came first" in told
    assert project.engine("replay").code == 0
    assert project.engine("ledger", "verify").code == 0


def test_an_attempt_that_was_stopped_with_the_engine_says_so(
    make_project: Callable[..., Project],
) -> None:
    project = make_project()
    project.write_graph([task("a", "sleep 60")])
    assert project.engine("run", "--feature", "shop", "--timeout", "1").code == 1
    assert attempts(project) == [("a", "shell", "cancelled")]
