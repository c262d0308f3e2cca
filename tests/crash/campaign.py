"""Kill campaign: SIGKILL at random moments over features with real commits, then look at what is left.

`make chaos` runs it long; `tests/crash/test_random_kills.py` runs a short form. Each round makes a repository, starts
`engine run`, kills it again and again (the engine alone, or its whole process group) and lets it finish at last.
Counted apart: `lost` (a merged task's effect is missing), `doubled` (an effect is there twice), `wrong` (a ledger that
does not verify or replay, a merge the ledger does not know), `stuck` (not finished within the limit).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ENGINE = str(Path(sys.executable).with_name("engine"))
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
STUCK_S = 30.0
TASKS = 5


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign and print the table. Exit 1 when anything was lost, doubled, wrong or stuck."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args(arguments)
    counts = campaign(given.kills, given.seed)
    print(f"seed {given.seed}: " + ", ".join(f"{counts[k]} {k}" for k in KINDS))
    return 1 if any(counts[kind] for kind in ("lost", "doubled", "wrong", "stuck")) else 0


KINDS = ("rounds", "kills", "engine kills", "group kills", "lost", "doubled", "wrong", "stuck")


def campaign(kills: int, seed: int) -> Counter[str]:
    """Return counts after at least `kills` kills."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    while counts["kills"] < kills and counts["wrong"] + counts["stuck"] < 5:
        folder = Path(tempfile.mkdtemp(prefix="engine-chaos-"))
        try:
            one_round(folder, chance, counts, most=min(8, kills - counts["kills"]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return counts


def one_round(folder: Path, chance: random.Random, counts: Counter[str], most: int) -> None:
    """Kill one feature's engine up to `most` times, let it finish, and judge what is left."""
    root = make_project(folder)
    counts["rounds"] += 1
    for _ in range(most):
        engine = start(root)
        try:
            engine.wait(timeout=chance.uniform(0.15, 2.2))
            break
        except subprocess.TimeoutExpired:
            whole_group = chance.random() < 0.5
            kill(engine, whole_group=whole_group)
            counts["kills"] += 1
            counts["group kills" if whole_group else "engine kills"] += 1
    engine = start(root)
    try:
        engine.wait(timeout=STUCK_S)
    except subprocess.TimeoutExpired:
        kill(engine, whole_group=True)
        counts["stuck"] += 1
        return
    judge(root, counts)


def make_project(folder: Path) -> Path:
    """Write a repository whose tasks append to files of their own, so that a doubled effect shows."""
    root = folder / "project"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "log.txt").write_text("start\n", "utf-8")
    git(root, "add", "-A")
    git(root, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
    tasks: list[dict[str, Any]] = []
    for number in range(TASKS):
        name = f"t{number}"
        tasks.append(
            {
                "id": name,
                "tool": "shell",
                "args": ["sh", "-c", f"echo {name} >> {name}.txt; sleep 0.0{number}"],
                "files": {"create": [f"{name}.txt"]},
                "dependencies": [f"t{number - 2}"] if number >= 2 else [],
                "verification": {"command": f"test $(wc -l < {name}.txt) = 1"},
            }
        )
    home = root / ".engine"
    (home / "specs" / "shop").mkdir(parents=True)
    (home / ".gitignore").write_text("*\n", "utf-8")
    (home / "engine.toml").write_text(
        '[run]\nworkers = 2\n[[gates]]\nname = "g"\ncommand = "test -s log.txt"\n', "utf-8"
    )
    graph = {"feature": "shop", "version": "1.0", "tasks": tasks}
    (home / "specs" / "shop" / "task-graph.json").write_text(json.dumps(graph), "utf-8")
    return root


def start(root: Path) -> subprocess.Popen[bytes]:
    with (root.parent / "stderr.txt").open("ab") as log:
        return subprocess.Popen(
            [ENGINE, "run", "--feature", "shop", "--json"],
            cwd=root,
            env={**ENVIRONMENT, "HOME": str(root.parent)},
            stdout=subprocess.DEVNULL,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def kill(engine: subprocess.Popen[bytes], *, whole_group: bool) -> None:
    try:
        if whole_group:
            os.killpg(engine.pid, signal.SIGKILL)
        else:
            engine.kill()
    except ProcessLookupError:
        pass
    engine.wait()


def judge(root: Path, counts: Counter[str]) -> None:
    """Count what is lost, doubled or wrong in a project whose last run was left alone."""
    status = ask(root, "status", "--json")
    report = json.loads(status.stdout)["report"] if status.returncode == 0 else None
    if report is None or report["status"] != "completed":
        counts["wrong"] += 1
        complain(root, f"status {report and report['status']}: {status.stdout} {status.stderr}")
        return
    for number in range(TASKS):
        shown = subprocess.run(
            ["git", "show", f"engine/shop:t{number}.txt"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = shown.stdout.splitlines()
        counts["lost"] += not lines
        counts["doubled"] += len(lines) > 1
    history = git(
        root,
        "log",
        "--first-parent",
        "--format=%H %(trailers:key=Engine-Tasks,valueonly,separator=%x20)",
        "engine/shop",
    )
    merged = [name for line in history.splitlines() for name in line.split()[1:]]
    counts["doubled"] += len(merged) - len(set(merged))
    counts["lost"] += TASKS - len(set(merged))
    known = {wave["merge_commit"] for wave in report["waves"]}
    commits = {line.split()[0] for line in history.splitlines() if len(line.split()) > 1}
    if commits != known:
        counts["wrong"] += 1
        complain(root, f"git has {commits}, the ledger {known}")
    for command in (["ledger", "verify"], ["replay"]):
        answer = ask(root, *command)
        if answer.returncode != 0:
            counts["wrong"] += 1
            complain(root, answer.stdout + answer.stderr)


def ask(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ENGINE, *arguments],
        cwd=root,
        env={**ENVIRONMENT, "HOME": str(root.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=STUCK_S,
    )


def complain(root: Path, text: str) -> None:
    log = (root.parent / "stderr.txt").read_text("utf-8", errors="replace")[-2000:]
    print(f"{text.strip()}\n{log}", file=sys.stderr)


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**ENVIRONMENT, "HOME": str(root.parent)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


if __name__ == "__main__":
    raise SystemExit(main())
