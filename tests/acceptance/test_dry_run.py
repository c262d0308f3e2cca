"""A dry run asks the policy that a run meets first; a run that may not start leaves no branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Project, task

DRY = ("run", "--feature", "shop", "--dry-run")


def preflight(project: Project, *given: str) -> tuple[int, str, list[str]]:
    """Return exit code, verdict and reason codes of a dry run."""
    done = project.engine(*DRY, *given, "--json")
    said = done.json["preflight"]
    return done.code, said["verdict"], [one["code"] for one in said["reasons"]]


def everything(home: Path) -> list[str]:
    return sorted(str(path) for path in home.rglob("*"))


@pytest.mark.parametrize(
    ("tasks", "more", "expected"),
    [
        pytest.param([task("a")], {}, (0, "pass", []), id="a good graph"),
        pytest.param(
            [task("a", estimate_minutes=90)], {}, (1, "fail", ["TASK_SIZE"]), id="a task too large"
        ),
        pytest.param(
            [task("a", level=1), task("d", level=5, estimate_minutes=90)],
            {"level": "core"},
            (0, "pass", []),
            id="too large, but left for later",
        ),
    ],
)
def test_it_tells_what_the_run_would_be_told(
    project: Project, tasks: list[dict[str, Any]], more: dict[str, str], expected: object
) -> None:
    project.write_graph(tasks)
    before = everything(project.root / ".engine")
    level = [text for name, value in more.items() for text in (f"--{name}", value)]
    assert preflight(project, *level) == expected
    assert everything(project.root / ".engine") == before
    code, verdict, reasons = preflight(project, *level)
    report = project.engine("run", "--feature", "shop", *level, "--json")
    assert (report.json["status"] == "blocked") == (verdict != "pass")
    assert report.code == code
    assert len(report.json["notices"]) == len(reasons)


def test_people_read_why_it_would_not_start(project: Project) -> None:
    project.write_graph([task("a", estimate_minutes=90)])
    done = project.engine(*DRY)
    assert done.code == 1
    said = done.out[done.out.index("policy ") :].splitlines()
    assert said[0] == "policy preflight: fail, the run would not start"
    assert said[1].startswith("  TASK_SIZE: ")
    assert said[2:] == ["Nothing was done (dry run)."]


def test_what_is_merged_already_is_no_empty_plan(project: Project) -> None:
    project.write_graph([task("a")])
    assert project.engine("run", "--feature", "shop").code == 0
    assert preflight(project) == (0, "pass", [])
    assert preflight(project, "--new") == (0, "pass", [])


def test_a_run_that_goes_on_has_been_asked(project: Project) -> None:
    project.write_graph([task("a", tags=["security"])])
    run = project.engine("run", "--feature", "shop", "--json").json["run"]
    plan = project.engine(*DRY, "--json")
    assert (plan.code, plan.json["unfinished"], plan.json["preflight"]) == (0, run, None)
    assert f"run {run} would go on" in project.engine(*DRY).out


def test_the_policy_of_the_bundle_in_use_is_asked(project: Project) -> None:
    project.engine("bundle", "copy", "lock")
    project.configure("bundle = 'lock'\n")
    diagram = project.root / "lock/process/orchestration.bpmn"
    diagram.write_text(diagram.read_text("utf-8").replace('"preflight"', '"own"'), "utf-8")
    (project.root / "lock/policies/own.rego").write_text(
        "package own\n\nimport rego.v1\n\ndefault allow := false\n\n"
        "allow if count(deny) == 0\n\n"
        'deny contains {"code": "NOT_TODAY", "msg": "come again"}\n',
        "utf-8",
    )
    project.write_graph([task("a")])
    assert preflight(project) == (1, "fail", ["NOT_TODAY"])


def test_a_run_that_may_not_start_makes_no_branch(project: Project) -> None:
    project.write_graph([task("a", estimate_minutes=90)])
    done = project.engine("run", "--feature", "shop")
    assert (done.code, project.branch()) == (1, None)
    assert "nothing is merged on branch engine/shop" in done.out


def test_a_run_that_merges_nothing_makes_no_branch_and_leaves_one_that_is_there(
    project: Project,
) -> None:
    project.write_graph([task("a", check="false")])
    project.engine("run", "--feature", "shop")
    assert project.branch() is None

    project.write_graph([task("b")])
    delivered = project.engine("run", "--feature", "shop", "--json").json["head"]
    assert project.branch() == delivered
    project.write_graph([task("b"), task("a", check="false")])
    assert project.engine("run", "--feature", "shop").code == 1
    assert project.branch() == delivered
