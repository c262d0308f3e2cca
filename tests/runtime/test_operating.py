"""What operators look at: status, logs, and the configuration that `engine init` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.cli import _run
from tests.acceptance.conftest import Answer, Project
from tests.runtime.conftest import Asked

Ask = Callable[..., Answer]


def test_status_is_the_report_of_the_run(ask: Ask) -> None:
    told = ask("status", "--json").json
    report = told["report"]
    assert told["schema"] == "engine.status/v1"
    assert (report["schema"], report["status"]) == ("engine.run-report/v1", "failed")
    assert {task["id"]: task["state"] for task in report["tasks"]} == {
        "price": "merged",
        "debt": "blocked",
        "tax": "quarantined",
    }
    people = ask("status").out
    assert all(word in people for word in ("price", "merged", "no_debt", "quarantined"))


def test_logs_are_those_of_the_task(ask: Ask, shop: Project) -> None:
    assert ask("logs", "price").code == 0
    unknown = ask("logs", "nobody")
    assert (unknown.code, unknown.out) == (2, "")


def test_init_writes_one_file_and_never_overwrites_it(tmp_path: Path, asked: Asked) -> None:
    project = Project(tmp_path)
    project.git("init", "-q")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", "utf-8")
    before = {path.name for path in tmp_path.iterdir()}
    assert asked(project, "init").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {*before, ".engine"}
    written = tmp_path / ".engine" / "engine.toml"
    written.write_text("[run]\nworkers = 3\n", "utf-8")
    assert asked(project, "init").code in (0, 2)
    assert written.read_text("utf-8") == "[run]\nworkers = 3\n"
    assert asked(project, "init", "--force").code == 0
    assert "workers = 3" not in written.read_text("utf-8")


def test_a_project_without_runs_is_told_so(tmp_path: Path, asked: Asked) -> None:
    project = Project(tmp_path)
    project.git("init", "-q")
    done = asked(project, "status")
    assert (done.code, done.out) == (2, "")
    assert "there are no runs here yet" in done.err


def test_help_needs_no_project(tmp_path: Path) -> None:
    assert _run(["--help"]) == 0
