"""All is merged, but a branch of the user's repository cannot be moved: not done, nothing lost, and the way out works."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.conftest import Project, task

BY_HAND = ("-c", "user.name=T", "-c", "user.email=t@example.org")


def test_a_branch_that_is_checked_out_is_moved_by_the_next_run(
    make_project: Callable[..., Project],
) -> None:
    project = make_project("ein Ort")
    project.write_graph([task("a")])
    project.git("switch", "-q", "-c", "engine/shop")

    done = project.engine("run", "--feature", "shop")
    assert done.code == 1
    assert "is checked out in" in done.out
    assert "the same command moves the branches" in " ".join(done.out.split())
    report = project.engine("status", "--json").json["report"]
    assert report["status"] == "completed"
    assert [one["branch"] for one in report["unpublished"]] == ["engine/shop"]

    assert project.engine("run", "--feature", "shop").code == 1  # still in the way

    project.git("switch", "-q", "main")
    again = project.engine("run", "--feature", "shop", "--json")
    assert (again.code, again.json["unpublished"]) == (0, [])
    assert again.json["run"] == report["run"]
    assert project.branch() == report["head"]
    for proof in (("ledger", "verify"), ("replay",)):
        told = project.engine(*proof)
        assert told.code == 0, told.out + told.err


def test_what_a_person_merges_by_hand_counts(make_project: Callable[..., Project]) -> None:
    project = make_project(configuration="[run]\nworkers = 2\npromote = 'ff'\n")
    project.write_graph([task("a")])
    (project.root / "README.md").write_text("Changed.\n", "utf-8")
    assert project.engine("run", "--feature", "shop").code == 1
    project.git("restore", "README.md")
    project.git(*BY_HAND, "merge", "-q", "--no-ff", "-m", "by hand", "engine/shop")
    again = project.engine("run", "--feature", "shop", "--json")
    assert (again.code, again.json["unpublished"]) == (0, [])
