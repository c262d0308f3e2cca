"""The worktree manager on the home of a real run: what it tells is so, and it touches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.conftest import Project, make_project, project, task

__all__ = ["make_project", "project"]


def ask(project: Project, operation: str, *given: str) -> Any:  # Any: JSON
    done = project.engine(
        *("plugin", "run", "worktree-manager", operation, "-w", ".", "--json", *given)
    )
    assert done.code == 0, done.out + done.err
    return done.json["output"]


def proposals(project: Project) -> dict[str, tuple[str, str]]:
    found = ask(project, "propose_cleanup")["proposals"]
    return {one["task"]: (one["proposal"], one["reason_code"]) for one in found}


def everything(home: Path) -> dict[str, tuple[int, int]]:
    """Return {path: (time of change, size)} of all files of an engine home."""
    found = ((path, path.lstat()) for path in sorted(home.rglob("*")))
    return {
        str(path.relative_to(home)): (stat.st_mtime_ns, stat.st_size)
        for path, stat in found
        if not path.is_dir()
    }


def test_what_could_go_and_what_stays_after_a_run(project: Project) -> None:
    project.write_graph(
        [
            task("done"),
            task("touched"),
            task("bad", check="false"),
            task("waits", dependencies=["bad"]),
        ]
    )
    report = project.engine("run", "--feature", "shop", "--json").json
    worktrees = project.root / ".engine/worktrees/shop"
    (worktrees / "touched" / "more.txt").write_text("more\n", "utf-8")
    before = everything(project.root / ".engine")

    listed = ask(project, "list", "--input", '{"feature": "shop"}')["workspaces"]
    commits = {one["id"]: one["commit"] for one in report["tasks"]}
    base = report["base"]["commit"]
    assert [
        (
            one["task"],
            one["run"],
            one["attempt"],
            one["base"],
            one["state"],
            one["commit"],
            one["unfinished_files"],
        )
        for one in listed
    ] == [
        ("bad", report["run"], 1, base, "quarantined", commits["bad"], []),
        ("done", report["run"], 1, base, "merged", commits["done"], []),
        ("touched", report["run"], 1, base, "merged", commits["touched"], ["more.txt"]),
    ]
    assert all(0 <= one["age_s"] < 600 for one in listed)
    assert ask(project, "list", "--input", '{"feature": "other"}') == {"workspaces": []}
    assert proposals(project) == {
        "bad": ("remove", "QUARANTINED"),
        "done": ("remove", "MERGED"),
        "touched": ("stay", "UNFINISHED_CHANGES"),
    }
    assert everything(project.root / ".engine") == before

    kept = project.engine("cleanup", "--feature", "shop", "--json").json["kept"]
    assert list(kept) == ["shop/touched"]  # the core agrees about what no snapshot holds
    assert proposals(project) == {}


def test_the_workspaces_of_a_run_that_waits_stay(project: Project) -> None:
    project.write_graph([task("a", tags=["security"]), task("b")])
    assert project.engine("run", "--feature", "shop").code == 4
    assert proposals(project) == {
        "a": ("stay", "RUN_UNFINISHED"),
        "b": ("stay", "RUN_UNFINISHED"),
    }
