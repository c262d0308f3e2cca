"""`engine run --level` and `--continue`, by the installed command on a real repository."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.acceptance.conftest import Project, task

#: a and b are foundation, c is core (derived), d is quality (written); x is core without any dependency
GRAPH = [
    task("a"),
    task("b"),
    task("c", "cat a.txt > c.txt", dependencies=["a"]),
    task("d", level=5, dependencies=["c"]),
    task("x", level=2),
]


def states(report: dict[str, object]) -> dict[str, tuple[str, int | None, str]]:
    """Return {task: (state, level, reason without run and commit)}."""
    tasks: object = report["tasks"]
    assert isinstance(tasks, list)
    return {
        one["id"]: (
            one["state"],
            one.get("level"),
            re.sub(r"run \S+ as \S+", "run R as C", one["reason"]),
        )
        for one in tasks
    }


def later(level: int, asked: int) -> tuple[str, int, str]:
    return (
        "na",
        level,
        f"left for later: it is on level {level}, and --level {asked} was asked for",
    )


DONE = ("na", None, "merged by run R as C")


@pytest.mark.parametrize("mode", ["waves", "dag"])
def test_a_feature_is_carried_out_level_by_level(project: Project, mode: str) -> None:
    project.write_graph(GRAPH)
    run = ("run", "--feature", "shop", "--mode", mode, "--json")

    first = project.engine(*run, "--level", "1")
    assert (first.code, first.json["status"]) == (0, "partial")
    assert states(first.json) == {
        "a": ("merged", 1, ""),
        "b": ("merged", 1, ""),
        "c": later(2, 1),
        "x": later(2, 1),
        "d": later(5, 1),
    }
    assert [wave["tasks"] for wave in first.json["waves"]] == [["a", "b"]]
    assert project.git("ls-tree", "--name-only", "engine/shop").split() == [
        "README.md",
        "a.txt",
        "b.txt",
    ]

    second = project.engine(*run, "--level", "Core")
    assert (second.code, second.json["status"]) == (0, "partial")
    assert states(second.json) == {
        "a": DONE,
        "b": DONE,
        "c": ("merged", 2, ""),  # not 1, though what it depends on is left out
        "x": ("merged", 2, ""),
        "d": later(5, 2),
    }

    rest = project.engine(*run)
    assert (rest.code, rest.json["status"]) == (0, "completed")
    assert states(rest.json) == {"a": DONE, "b": DONE, "c": DONE, "x": DONE, "d": ("merged", 5, "")}
    assert project.engine("ledger", "verify").code == 0
    assert project.engine("replay", second.json["run"]).code == 0


def test_what_is_asked_for_and_done_is_not_done_twice(project: Project) -> None:
    project.write_graph(GRAPH)
    first = project.engine("run", "--feature", "shop", "--level", "core", "--json").json
    for level in ("core", "1"):
        again = project.engine("run", "--feature", "shop", "--level", level)
        assert again.code == 0
        assert f"run {first['run']} · feature shop · partial" in again.out
        assert "Nothing was left to do." in again.out
        assert "go on with: engine run --feature shop" in again.out
    assert len(project.engine("run", "--feature", "shop", "--json").json["waves"]) == 1
    assert project.engine("run", "--feature", "shop", "--level", "1", "--json").json["status"] == (
        "completed"
    )


def test_a_level_that_holds_all_tasks_completes_and_is_judged_as_a_whole(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(
        configuration="[[gates]]\nname = 'whole'\ncommand = 'test -f d.txt'\nstage = 'final'\n"
    )
    project.write_graph([task("a"), task("d", level=3)])
    part = project.engine("run", "--feature", "shop", "--level", "2", "--json").json
    whole = project.engine("run", "--feature", "shop", "--level", "3", "--json").json
    judged = ["policy merge", "doctor"]
    assert [(r["status"], [gate["name"] for gate in r["gates"]]) for r in (part, whole)] == [
        ("partial", judged),
        ("completed", [*judged, "whole"]),
    ]


def test_a_task_of_the_level_that_fails_is_no_partial_success(project: Project) -> None:
    project.write_graph([task("a", check="false"), task("c", dependencies=["a"])])
    done = project.engine("run", "--feature", "shop", "--level", "1", "--json")
    assert (done.code, done.json["status"]) == (1, "failed")
    assert {t["id"]: t["state"] for t in done.json["tasks"]} == {"a": "quarantined", "c": "na"}


def test_a_dry_run_shows_the_part_that_would_run(project: Project) -> None:
    project.write_graph(GRAPH)
    asked = ("run", "--feature", "shop", "--dry-run", "--level", "core")
    plan = project.engine(*asked, "--json").json
    assert [[t["id"] for t in wave["tasks"]] for wave in plan["waves"]] == [["a", "b"], ["x", "c"]]
    assert (plan["task_count"], plan["level"], plan["later"]) == (4, 2, {"d": 5})
    assert "left for later, above level 2: d" in project.engine(*asked).out
    assert not (project.root / ".engine" / "engine.db").exists()


LEVELS = "expected a number from 1 to 5, or foundation, core, integration, testing, quality"


WRONG = {
    "6": f"{LEVELS}, but got 6",
    "0": f"{LEVELS}, but got 0",
    "2.0": f"{LEVELS}, but got 2.0",
    "": f"{LEVELS}, but got nothing",
    "roof": f"{LEVELS}, but got roof",
    "foundation": "expected 2 or more, for the task graph has no task on a lower level, but got foundation",
}


def test_a_wrong_level_is_refused_before_anything_is_written(project: Project) -> None:
    project.write_graph([task("a", level=2)])
    for dry in ((), ("--dry-run",)):
        done = {
            level: project.engine("run", "--feature", "shop", "--level", level, *dry)
            for level in WRONG
        }
        assert {level: (one.code, one.out, one.err.strip()) for level, one in done.items()} == {
            level: (2, "", f"engine: --level: {sentence}") for level, sentence in WRONG.items()
        }
    assert not (project.root / ".engine" / "engine.db").exists()


def test_names_that_the_task_graph_gives_its_levels_count_too(project: Project) -> None:
    project.write_graph([task("a"), task("c", level=3)])
    graph = project.root / ".engine/specs/shop/task-graph.json"
    named = '{"levels": {"3": {"name": "Joining"}}, '
    graph.write_text(named + graph.read_text("utf-8")[1:], "utf-8")
    done = project.engine("run", "--feature", "shop", "--level", "joining", "--json")
    assert (done.code, done.json["status"]) == (0, "completed")
    refused = project.engine("run", "--feature", "shop", "--level", "roof")
    assert refused.err.strip() == f"engine: --level: {LEVELS}, Joining, but got roof"


WAITS = [task("a", tags=["security"]), task("c", dependencies=["a"])]


def test_an_unfinished_run_goes_on_for_the_level_it_began_with(project: Project) -> None:
    project.write_graph(WAITS)
    begun = project.engine("run", "--feature", "shop", "--level", "1", "--json")
    assert (begun.code, begun.json["status"]) == (4, "waiting")
    run = begun.json["run"]
    hint = (
        "`engine run --feature shop --continue` goes on with it; with `--new` another one starts."
    )

    other = project.engine("run", "--feature", "shop", "--level", "2")
    assert (other.code, other.err.strip()) == (
        2,
        f"engine: run {run} of feature shop is unfinished: expected --level 1, which it began with, "
        f"but got --level 2. {hint}",
    )
    plan = project.engine("run", "--feature", "shop", "--dry-run", "--continue", "--json").json
    assert (plan["level"], plan["later"]) == (1, {"c": 2})

    (waits,) = project.engine("tasks", "--json").json["tasks"]
    project.engine("complete", waits["key"], "--var", "approved=true")
    ended = project.engine("run", "--feature", "shop", "--continue", "--json")
    assert (ended.code, ended.json["run"], ended.json["status"]) == (0, run, "partial")


def test_a_level_does_not_cut_a_run_that_began_without_one(project: Project) -> None:
    project.write_graph(WAITS)
    run = project.engine("run", "--feature", "shop", "--json").json["run"]
    for dry in ((), ("--dry-run",)):
        done = project.engine("run", "--feature", "shop", "--level", "1", *dry)
        assert (done.code, done.err.split(". ")[0]) == (
            2,
            f"engine: run {run} of feature shop is unfinished: expected no --level, as it began, but got --level 1",
        )
    anew = project.engine("run", "--feature", "shop", "--level", "1", "--new", "--json")
    assert (anew.code, anew.json["run"] != run) == (4, True)


def test_there_must_be_something_to_continue(project: Project) -> None:
    project.write_graph([task("a")])
    run = ("run", "--feature", "shop")
    for dry in ((), ("--dry-run",)):
        nothing = project.engine(*run, "--continue", *dry)
        assert (nothing.code, nothing.out, nothing.err.strip()) == (
            2,
            "",
            "engine: feature shop has no unfinished run to continue: got no run at all. "
            "`engine run --feature shop` starts one.",
        )
    assert not (project.root / ".engine" / "engine.db").exists()

    done = project.engine(*run, "--json").json
    over = project.engine(*run, "--continue")
    assert (over.code, over.err.strip()) == (
        2,
        f"engine: feature shop has no unfinished run to continue: got run {done['run']}, which has ended "
        "(completed). `engine run --feature shop` starts one.",
    )
    both = project.engine(*run, "--continue", "--new")
    assert (both.code, both.err.strip()) == (
        2,
        "engine: --continue and --new: expected one of the two, but got both",
    )
