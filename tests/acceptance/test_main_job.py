"""The main job, by the installed command on a real repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project, task


def test_three_waves_are_delivered_and_proved(project: Project) -> None:
    project.write_graph(
        [
            task("a"),
            task("b"),
            task("c", "cat a.txt b.txt > c.txt", "test -s c.txt", dependencies=["a", "b"]),
            task("d", dependencies=["c"]),
        ]
    )
    before = project.git("rev-parse", "HEAD")

    done = project.engine("run", "--feature", "shop", "--json")

    assert done.code == 0, done.err
    report = done.json
    assert report["schema"] == "engine.run-report/v1"
    assert report["status"] == "completed"
    assert {t["id"]: (t["state"], t["attempts"]) for t in report["tasks"]} == dict.fromkeys(
        "abcd", ("merged", 1)
    )
    assert [wave["tasks"] for wave in report["waves"]] == [["a", "b"], ["c"], ["d"]]
    assert report["head"] == project.branch()
    assert project.git("show", "engine/shop:c.txt") == "a\nb"
    merges = project.git("log", "--first-parent", "--format=%H", f"{before}..engine/shop").split()
    assert merges == [wave["merge_commit"] for wave in reversed(report["waves"])]
    assert project.engine("ledger", "verify").code == 0
    assert project.engine("replay").code == 0


def test_nothing_surprising_is_left_behind(project: Project) -> None:
    project.write_graph([task("a")])
    project.engine("run", "--feature", "shop")
    assert project.git("status", "--porcelain") == ""
    assert project.git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert sorted(path.name for path in project.root.iterdir()) == [".engine", ".git", "README.md"]


def test_a_finished_feature_is_not_done_twice_unless_asked(project: Project) -> None:
    project.write_graph([task("a")])
    first = project.engine("run", "--feature", "shop", "--json").json
    again = project.engine("run", "--feature", "shop", "--json")
    assert (again.code, again.json["run"]) == (0, first["run"])
    another = project.engine("run", "--feature", "shop", "--new", "--json").json
    assert another["run"] != first["run"]


def test_final_gates_that_were_closed_are_asked_again_when_all_is_merged(
    make_project: Callable[..., Project],
) -> None:
    gate = "[[gates]]\nname = 'whole'\nstage = 'final'\ncommand = '{}'\n"
    project = make_project(configuration=gate.format("false"))
    project.write_graph([task("a")])
    closed = project.engine("run", "--feature", "shop", "--json")
    assert (closed.code, closed.json["status"]) == (1, "failed")
    project.configure(gate.format("test -f a.txt"))

    opened = project.engine("run", "--feature", "shop", "--json")

    assert (opened.code, opened.json["status"]) == (0, "completed"), opened.err
    assert opened.json["head"] == closed.json["head"] == project.branch()
    assert [(one["name"], one["verdict"]) for one in opened.json["gates"]] == [("whole", "ok")]


def test_a_path_with_spaces_and_other_letters(make_project: Callable[..., Project]) -> None:
    project = make_project("ein Örtchen 日本")
    project.write_graph([task("a")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["status"]) == (0, "completed")


def test_dry_run_shows_the_plan_and_does_nothing(project: Project) -> None:
    project.write_graph([task("a"), task("b", dependencies=["a"])])
    plan = project.engine("run", "--feature", "shop", "--dry-run", "--json")
    assert plan.code == 0
    assert [[t["id"] for t in wave["tasks"]] for wave in plan.json["waves"]] == [["a"], ["b"]]
    assert not (project.root / ".engine" / "engine.db").exists()


def test_a_dirty_tree_and_a_detached_head_are_fine(project: Project) -> None:
    project.git("checkout", "-q", "--detach")
    (project.root / "README.md").write_text("changed\n", "utf-8")
    project.write_graph([task("a")])
    assert project.engine("run", "--feature", "shop").code == 0
    assert (project.root / "README.md").read_text("utf-8") == "changed\n"


def test_the_demonstration(make_project: Callable[..., Project], tmp_path: Path) -> None:
    outside = make_project("outside")
    done = outside.engine("demo", str(tmp_path / "sample"), "--json", timeout_s=120)
    assert done.code == 0, done.err
    body = done.json
    assert [t["state"] for t in body["report"]["tasks"]] == ["merged"] * 6
    assert body["verified_entries"] == body["report"]["ledger"]["entries"]
    assert body["replayed"] > 40


PROMOTE = "[run]\nworkers = 2\npromote = 'ff'\n"


def test_a_completed_run_may_move_the_base_branch_forward(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=PROMOTE)
    project.write_graph([task("a")])
    assert project.engine("run", "--feature", "shop").code == 0
    assert project.branch("main") == project.branch("engine/shop")
    assert (project.root / "a.txt").read_text("utf-8") == "a\n"
    assert project.git("status", "--porcelain") == ""


def test_the_branch_that_moves_is_the_one_the_run_began_on_whatever_is_checked_out_later(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=PROMOTE)
    before = project.branch("main")
    project.write_graph([task("a", tags=["security"])])
    assert project.engine("run", "--feature", "shop").code == 4
    project.git("checkout", "-q", "-b", "elsewhere")
    (waits,) = project.engine("tasks", "--json").json["tasks"]
    project.engine("complete", waits["key"], "--var", "approved=true")

    assert project.engine("run", "--feature", "shop").code == 0
    assert project.branch("main") == project.branch("engine/shop")
    assert project.branch("elsewhere") == before


def test_a_dirty_tree_or_a_run_that_is_not_complete_moves_no_base_branch(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=PROMOTE)
    before = project.branch("main")
    project.write_graph([task("a"), task("b", check="false")])
    assert project.engine("run", "--feature", "shop").code == 1
    assert project.branch("main") == before
    (project.root / "README.md").write_text("Changed.\n", "utf-8")
    project.write_graph([task("c")])
    report = project.engine("run", "--feature", "shop", "--json").json
    assert (report["status"], project.branch("main")) == ("completed", before)
    assert any("main" in notice for notice in report["notices"])
    assert (project.root / "README.md").read_text("utf-8") == "Changed.\n"


@pytest.mark.parametrize(
    ("mode", "waves"),
    [(None, [["a", "b"], ["c"]]), ("waves", [["a", "b"], ["c"]]), ("dag", [["a", "b", "c"]])],
)
def test_a_table_decides_about_waves_or_dependencies_alone(
    project: Project, mode: str | None, waves: list[list[str]]
) -> None:
    project.write_graph([task("a", level=1), task("b", level=1), task("c", level=2)])
    flags = ("--mode", mode) if mode else ()
    report = project.engine("run", "--feature", "shop", "--json", *flags).json
    assert [wave["tasks"] for wave in report["waves"]] == waves


def test_a_run_after_a_partial_one_leaves_out_what_is_merged(project: Project) -> None:
    def states() -> dict[str, str]:
        report = project.engine("run", "--feature", "shop", "--json").json
        return {task["id"]: task["state"] for task in report["tasks"]}

    project.write_graph([task("a"), task("b", check="false", max_attempts=1)])
    assert states() == {"a": "merged", "b": "quarantined"}
    project.write_graph([task("a"), task("b"), task("c", dependencies=["a"])])
    assert states() == {"a": "na", "b": "merged", "c": "merged"}
    project.write_graph([task("a", "echo more > a.txt"), task("b"), task("c", dependencies=["a"])])
    assert states() == {"a": "merged", "b": "na", "c": "na"}
    project.write_graph([task("b"), task("c", dependencies=[])][:1])
    assert states() == {"b": "na"}  # nothing is left to do
    assert project.engine("run", "--feature", "shop", "--new").code == 1  # b writes nothing new
    for proof in (("ledger", "verify"), ("replay",)):
        assert project.engine(*proof).code == 0
