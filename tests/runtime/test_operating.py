"""What operators look at: status, logs, and the configuration that `engine init` writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from engine.cli import _run
from engine.cli.progress import panel
from engine.runtime.engine import Engine
from engine.runtime.report import build_report
from tests.acceptance.conftest import Answer, Project
from tests.core.drawing import draw
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
    assert told["workers"] == []
    assert told["recent"][-1]["text"] == "the run is failed"
    people = ask("status").out
    assert all(word in people for word in ("price", "merged", "no_debt", "quarantined"))


def test_a_dry_run_tells_what_is_merged_already(ask: Ask) -> None:
    plan = ask("run", "--feature", "shop", "--dry-run", "--json").json
    listed = ask("status", "--json").json["report"]["tasks"]
    assert {task: row["commit"] for task, row in plan["merged"].items()} == {
        task["id"]: task["commit"] for task in listed if task["state"] == "merged"
    }
    assert [[task["id"] for task in wave["tasks"]] for wave in plan["waves"]] == [
        ["price"],
        ["debt", "tax"],
    ]
    assert "merged already, and left out unless --new: price" in (
        ask("run", "--feature", "shop", "--dry-run").out
    )
    assert plan["advice"] == {"workers": 2, "speedup": 1.8}
    assert plan["workers"] in {1, 2}  # the machine's processors and memory
    asked_for = ask("run", "--feature", "shop", "--dry-run", "--workers", "2").out
    assert "2 workers would run (widest wave 2, " in asked_for
    assert "recommended for such a plan: 2, expected to be worth 1.8 times one" in asked_for
    anew = ask("run", "--feature", "shop", "--dry-run", "--new", "--json").json
    assert anew["merged"] == {}


def test_lint_without_a_path_looks_at_the_bundle_in_use(
    shop: Project, asked: Asked, bundle: Path, tmp_path: Path
) -> None:
    shipped = asked(shop, "process", "lint")
    assert (shipped.code, "3 files checked" in shipped.out) == (0, True)
    own = Project(tmp_path)
    own.git("init", "-q")
    shutil.copytree(bundle, tmp_path / "lock")
    own.configure('bundle = "lock"\n')
    diagram = tmp_path / "lock/process/orchestration.bpmn"
    text = diagram.read_text("utf-8")
    diagram.write_text(text.replace('type="report.write"', 'type="report.wrote"', 1), "utf-8")
    found = asked(own, "process", "lint")
    assert (found.code, "report.wrote" in found.out) == (3, True)
    assert asked(own, "process", "lint", "--fix").code == 2


def test_user_tasks_are_listed_by_when_they_are_due_and_to_be_begun(
    tmp_path: Path, asked: Asked
) -> None:
    project = Project(tmp_path)
    project.git("init", "-q")
    (tmp_path / "ask.bpmn").write_bytes(
        draw(
            "start Start\nand Fork\nand Join\nend End\n"
            "user Later  due=2026-11-30; follow_up=2999-01-01T00:00:00Z\n"
            "user Some\n"
            "user Second  due=2026-12-02T00:00:00Z; follow_up=2026-01-01T00:00:00Z\n"
            "user First  due=2026-12-01T00:00:00Z\n"
            "Start -> Fork\nFork -> Later -> Join\nFork -> Some -> Join\n"
            "Fork -> Second -> Join\nFork -> First -> Join\nJoin -> End\n"
        )
    )
    assert asked(project, "process", "run", str(tmp_path / "ask.bpmn")).code == 4
    listed = asked(project, "tasks", "--json").json["tasks"]
    assert [(one["element"], one["follow_up"]) for one in listed] == [
        ("First", ""),
        ("Second", "2026-01-01T00:00:00Z"),
        ("Some", ""),
        ("Later", "2999-01-01T00:00:00Z"),
    ]
    told = asked(project, "tasks").out
    assert "for anyone, due 2026-11-30, to be begun 2999-01-01T00:00:00Z" in told


def test_status_of_one_level(ask: Ask) -> None:
    report = ask("status", "--level", "2", "--json").json["report"]
    assert [task["id"] for task in report["tasks"]] == ["debt", "tax"]
    assert [wave["n"] for wave in report["waves"]] == [2]
    missing = ask("status", "--level", "4")
    assert (missing.code, "expected one of: 1, 2" in missing.err) == (2, True)


@pytest.mark.parametrize("how", ["--json", "--jsonl"])
def test_watching_a_run_that_has_ended_shows_it_once(ask: Ask, how: str) -> None:
    assert ask("status", "--watch", how).json["report"]["status"] == "failed"


def test_the_panel_shows_levels_workers_and_what_happened(
    shop: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    at = "2026-11-21T10:00:00+00:00"
    with Engine.open(shop.root).store() as store:
        body = build_report(store, store.runs()[0].id)
    seen = {
        "report": body,
        "workers": [{"slot": 1, "worker": "claude", "task": "tax", "attempt": 2, "since": at}],
        "recent": [{"at": at, "text": "merged [price] as 0123"}],
        "resting": [{"task": "debt", "text": "waits at Cool_down until noon"}],
    }
    Console(width=100).print(panel(seen))
    shown = capfd.readouterr().out
    for text in (
        "shop · failed · 1/3 merged",
        "debt waits at Cool_down until noon",
        "level 1  1/1 merged",
        "level 2  0/2 merged",
        "wave   2  failed  debt tax",
        "worker  1  claude at tax, attempt 2",
        "10:00:00 merged [price] as 0123",
    ):
        assert text in shown


def test_logs_are_those_of_the_task(ask: Ask, shop: Project) -> None:
    assert ask("logs", "price").code == 0
    unknown = ask("logs", "nobody")
    assert (unknown.code, unknown.out) == (2, "")


def test_files_in_the_older_layout_are_views_of_the_ledger(shop: Project, ask: Ask) -> None:
    folder = shop.root / ".engine" / "specs" / "shop"
    run = ask("status", "--json").json["report"]["run"]
    meta = json.loads((folder / ".meta.json").read_text("utf-8"))
    assert (meta["run"], meta["status"]) == (run, "failed")
    assigned = json.loads((folder / "worker-assignments.json").read_text("utf-8"))
    tasks = {one["task"]: one for worker in assigned["workers"] for one in worker["tasks"]}
    assert sorted(tasks) == ["debt", "price", "tax"]
    assert tasks["price"]["level"] == 1
    lines = (folder / "execution-log.jsonl").read_text("utf-8").splitlines()
    log = [json.loads(line) for line in lines]
    assert [line["seq"] for line in log] == sorted(line["seq"] for line in log)
    assert [line["event"] for line in log if line.get("task") == "price"] == [
        "task_claim",
        "worker_start",
        "worker_exit",
        "commit",
        "gate_run",
    ]
    (commit,) = (one for one in log if one["event"] == "commit" and one["task"] == "price")
    assert commit["files"] == ["price.txt"]
    assert (log[0]["event"], log[-1]["event"], log[-1]["status"]) == (
        "run_started",
        "run_finished",
        "failed",
    )


def test_logs_of_a_worker_and_of_a_level(ask: Ask, shop: Project) -> None:
    run = ask("status", "--json").json["report"]["run"]
    folder = shop.root / ".engine" / "logs" / run
    price = folder / "price.1.log"
    price.write_text("one\n[12:00:01] WARN: two\n  more of two\nINFO three\n", "utf-8")
    (folder / "tax.1.log").write_text('{"level": "error", "msg": "four"}\n', "utf-8")
    assert ask("logs", "price", "--tail", "1").out == "INFO three\n"
    told = ask("logs", "--level", "warning").out.splitlines()
    grave = ["== price.1.log", "[12:00:01] WARN: two", "  more of two", "== tax.1.log"]
    assert told == [*grave, '{"level": "error", "msg": "four"}']
    of_shell = ask("logs", "shell", "--jsonl", "--level", "error").json
    assert (of_shell["task"], of_shell["worker"]) == ("tax", "shell")
    assert ask("logs", "1", "--follow").code == 0  # ends by itself: the run has ended
    wrong = ask("logs", "9")
    assert (wrong.code, "or a worker (1, " in wrong.err) == (2, True)
    assert ask("logs", "--level", "loud").code == 2


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
