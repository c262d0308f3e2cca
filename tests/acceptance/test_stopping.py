"""`engine stop`: what runs finishes or is ended, unfinished work becomes a commit, and the run goes on from there."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import Engine
from engine.ledger import Entry, EntryType
from tests.acceptance.conftest import CLEAN, ENGINE, Project, task

HALF_THEN_WHOLE = (
    "echo half > a.txt; while ! test -e {go}; do sleep 0.05; done; "
    "echo whole > a.txt; echo started >> {starts}"
)


def until(is_so: Callable[[], bool], timeout_s: float = 60) -> None:
    """Return when `is_so`; fail when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@contextmanager
def under_way(project: Project) -> Iterator[subprocess.Popen[str]]:
    """Yield an engine whose task `a` has written its first half and waits."""
    script = HALF_THEN_WHOLE.format(go=place(project, "go"), starts=place(project, "starts"))
    project.write_graph([task("a", script, check="grep -q whole a.txt")])
    engine = subprocess.Popen(
        [ENGINE, "run", "--feature", "shop", "--json"],
        cwd=project.root,
        env={**CLEAN, "HOME": str(project.root.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    half = project.root / ".engine" / "worktrees" / "shop" / "a" / "a.txt"
    try:
        until(lambda: half.is_file() and half.read_text("utf-8") == "half\n")
        yield engine
    finally:
        engine.kill()
        engine.communicate()


def place(project: Project, name: str) -> Path:
    return project.root.parent / name


def entries(project: Project, kind: EntryType) -> list[Entry]:
    with Engine.open(project.root).store() as store:
        return list(store.entries(store.runs()[0].id, types=(kind,)))


def body(entry: Entry) -> Any:  # Any: JSON of our own entry
    return entry.body


def content(project: Project, commit: str) -> str:
    vault = str(project.root / ".engine" / "vault.git")
    return project.git("--git-dir", vault, "show", f"{commit}:a.txt")


def check_launcher(project: Project) -> None:
    """What was really started is known while it runs."""
    until(lambda: bool(entries(project, EntryType.WORKER_STARTED)))
    (shown,) = project.engine("status", "--json").json["report"]["tasks"]
    launcher = shown["launcher"]
    program, digest = launcher.pop("program"), launcher.pop("digest")
    assert Path("/proc").is_dir() <= Path(f"/proc/{launcher.pop('pid')}").is_dir()
    assert launcher == {
        "attempt": 1,
        "worker": "shell",
        "launcher": "subprocess",
        "network": "host",
    }
    assert digest == f"sha256:{hashlib.sha256(Path(program).read_bytes()).hexdigest()}"
    told = f"attempt 1 started as subprocess {program} ({digest[:19]}), process "
    assert told in project.engine("why", "a").out


def test_a_forced_stop_keeps_half_done_work_and_the_task_begins_anew(project: Project) -> None:
    assert project.engine("stop").code == 2  # no run yet
    with under_way(project) as engine:
        check_launcher(project)
        assert project.engine("stop", "--force").code == 0
        out, _ = engine.communicate(timeout=60)
    assert (engine.returncode, '"status":"stopped"' in out) == (1, True)
    (stopped,) = entries(project, EntryType.RUN_STOPPED)
    kept = body(stopped)["kept"]
    assert content(project, kept["a"]) == "half"
    (taken,) = entries(project, EntryType.WORKSPACE_CAPTURED)
    assert (body(taken)["commit"], body(taken)["unfinished"]) == (kept["a"], "stopped")
    shown = project.engine("status").out
    assert "unfinished work of a is kept" in shown.replace("\n", " ")
    assert "paused" in shown
    again = project.engine("stop")
    assert (again.code, "no engine is at work" in again.err) == (2, True)

    place(project, "go").touch()
    assert project.engine("run", "--feature", "shop").code == 0
    assert content(project, kept["a"]) == "half"
    assert project.git("show", "engine/shop:a.txt") == "whole"


def test_a_stop_lets_the_worker_finish_and_its_work_is_verified_when_the_run_goes_on(
    project: Project,
) -> None:
    with under_way(project) as engine:
        assert project.engine("stop").code == 0
        until(lambda: bool(entries(project, EntryType.COMMAND_RECEIVED)))
        place(project, "go").touch()
        assert engine.wait(timeout=60) == 1
    (stopped,) = entries(project, EntryType.RUN_STOPPED)
    assert content(project, body(stopped)["kept"]["a"]) == "whole"
    assert project.engine("run", "--feature", "shop").code == 0
    assert place(project, "starts").read_text("utf-8") == "started\n"
    assert project.git("show", "engine/shop:a.txt") == "whole"


def test_without_a_checkpoint_the_folder_alone_keeps_it(project: Project) -> None:
    with under_way(project) as engine:
        assert project.engine("stop", "--force", "--no-checkpoint").code == 0
        assert engine.wait(timeout=60) == 1
    assert entries(project, EntryType.WORKSPACE_CAPTURED) == []
    (stopped,) = entries(project, EntryType.RUN_STOPPED)
    assert "kept" not in body(stopped)
    folder = project.root / ".engine" / "worktrees" / "shop" / "a"
    assert (folder / "a.txt").read_text("utf-8") == "half\n"
