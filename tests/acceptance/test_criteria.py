"""A task passes when its check, every acceptance criterion with a check, and what its changes touch hold."""

from __future__ import annotations

from tests.acceptance.conftest import Project, task

CONFIG = """
[tasks]
regression_command = "! grep -l broken {files} || { echo that breaks it; exit 1; }"

[[gates]]
name = "unit"
command = "test -e late.txt && echo LF:10 > lcov.info && echo LH:7 >> lcov.info"
coverage_report = "lcov.info"
coverage_threshold = 80
tier = "L0"
"""


def criterion(name: str, check: str | None = None) -> dict[str, str]:
    return {"id": name, "text": f"{name} holds", **({"check": check} if check else {})}


def test_what_does_not_meet_its_criteria_is_not_verified(project: Project) -> None:
    good = [criterion("AC-1", "grep -q good good.txt"), criterion("AC-2")]
    project.write_graph(
        [
            task("late", level=1),
            task("good", level=2, acceptance_criteria=good),
            task(
                "bad",
                level=2,
                acceptance_criteria=[
                    criterion("AC-1", "echo looked; exit 3"),
                    criterion("AC-2", "exit 0"),
                ],
            ),
            task("worse", "echo broken > worse.txt", level=2),
        ]
    )
    project.configure(CONFIG.replace("80", "70"))
    done = project.engine("run", "--feature", "shop")
    assert done.code == 1
    report = project.engine("status", "--json").json["report"]
    assert {one["id"]: one["state"] for one in report["tasks"]} == {
        "late": "merged",
        "good": "merged",
        "bad": "quarantined",
        "worse": "quarantined",
    }
    found = {one["id"]: one.get("criteria") for one in report["tasks"]}
    assert found["late"] is None
    assert [(one["id"], one["result"]) for one in found["good"]] == [("AC-1", "ok"), ("AC-2", "na")]
    assert "a person has to look" in found["good"][1]["reason"]
    assert [(one["id"], one["result"]) for one in found["bad"]] == [("AC-1", "failed"), ("AC-2", "ok")]  # fmt: skip
    assert "AC-1 (AC-1 holds)" in done.out
    why = project.engine("why", "bad").out
    assert "criterion AC-1: failed (AC-1 holds)" in why
    assert "looked" in why
    assert "criterion AC-1 (AC-1 holds): " in why  # and that is why the verification failed
    assert "regression regressions: failed" in project.engine("why", "worse").out
    assert "(70 % of the lines)" in project.engine("why", "good").out
    run = report["run"]
    page = (project.root / ".engine/runs" / run / "report.md").read_text("utf-8")
    assert "| bad | AC-1 | AC-1 holds | failed |" in page
    for proof in (("ledger", "verify"), ("replay",)):
        assert project.engine(*proof).code == 0


def test_too_little_coverage_closes_the_gate(project: Project) -> None:
    project.configure(CONFIG)
    project.write_graph([task("late")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["tasks"][0]["state"]) == (1, "blocked")
    assert "lcov.info shows 70.00 %" in done.json["gates"][0]["reason"]


def test_a_task_of_the_wrong_size_does_not_start(project: Project) -> None:
    project.write_graph([task("a", estimate_minutes=45)])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["status"]) == (1, "blocked")
    assert "task a is estimated at 45 minutes; expected 5 to 30" in done.json["notices"][0]
    assert project.branch() in {None, project.git("rev-parse", "HEAD")}
    wider = project.engine("run", "--feature", "shop", "--max-task-minutes", "60", "--json")
    assert (wider.code, wider.json["status"]) == (0, "completed")
    assert project.engine("run", "-f", "shop", "--min-task-minutes", "31").code == 2
