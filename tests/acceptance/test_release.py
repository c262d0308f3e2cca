"""What must be open before the base branch moves: the table of release gates, a person, a policy about this very commit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.conftest import Answer, Project, task

PROMOTE = '[run]\nworkers = 2\npromote = "ff"\n'
LAST = '[[gates]]\nname = "last"\ncommand = "test -e {place}"\nstage = "final"\n'


def run(project: Project) -> Answer:
    return project.engine("run", "--feature", "shop", "--json")


def answer(project: Project, element: str, approved: str) -> None:
    """Answer the one task that waits for a person."""
    (asked,) = project.engine("tasks", "--json").json["tasks"]
    assert asked["element"] == element
    assert project.engine("complete", asked["key"], "--var", f"approved={approved}").code == 0


def test_a_release_moves_the_base_branch_only_when_a_person_approved_it(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=PROMOTE)
    project.write_graph([task("a", tags=["release"])])
    before = project.branch("main")
    assert run(project).code == 4
    answer(project, "Review_change", "true")  # the gate tier table: before the merge
    waits = run(project)
    assert (waits.code, waits.json["status"]) == (4, "waiting")
    assert (project.branch() != before, project.branch("main")) == (True, before)
    answer(project, "Review_release", "false")
    refused = run(project)
    assert (refused.code, refused.json["status"]) == (1, "failed")
    assert [one["state"] for one in refused.json["tasks"]] == ["merged"]
    assert project.branch("main") == before
    asks = "the table of release gates asks for a review, and nobody has approved this very commit"
    assert refused.json["notices"] == [asks]

    again = run(project)  # everything is merged: only the question is left
    assert (again.code, again.json["tasks"][0]["state"]) == (4, "na")
    answer(project, "Review_release", "true")
    done = run(project)
    assert (done.code, done.json["status"]) == (0, "completed")
    assert project.branch("main") == project.branch() != before
    assert project.engine("replay").code == 0
    assert project.engine("ledger", "verify").code == 0


@pytest.mark.parametrize(
    ("configuration", "tags"),
    [
        pytest.param(PROMOTE, [], id="the usual change is promoted unasked"),
        pytest.param("", ["docs"], id="without promotion there is no release"),
    ],
)
def test_everything_else_is_as_it_was(
    configuration: str, tags: list[str], make_project: Callable[..., Project]
) -> None:
    project = make_project(configuration=configuration)
    project.write_graph([task("a", tags=tags)])
    done = run(project)
    assert (done.code, done.json["status"]) == (0, "completed")
    assert (project.branch("main") == project.branch()) == bool(configuration)


def test_a_row_of_ones_own_asks_for_no_final_gate_and_says_so(
    make_project: Callable[..., Project],
) -> None:
    project = make_project()
    assert project.engine("bundle", "copy", "lock").code == 0
    table = project.root / "lock" / "decisions" / "release_gates.dmn"
    text = table.read_text("utf-8")
    kept = '<text>"final"</text>\n        </outputEntry>\n        <outputEntry id="release_kept_out_2">\n          <text>5</text>'
    assert text.count(kept) == 1
    table.write_text(
        text.replace(kept, kept.replace('"final"', '"none"').replace(">5<", ">-1<")), "utf-8"
    )
    project.configure('bundle = "lock"\n' + LAST.format(place="never"))
    project.write_graph([task("a")])
    done = run(project)
    assert (done.code, done.json["status"]) == (0, "completed")
    (gate,) = [one for one in done.json["gates"] if one["name"] == "last"]
    assert gate["verdict"] == "na"
    assert gate["reason"] == "the table of release gates asks for no gate"
