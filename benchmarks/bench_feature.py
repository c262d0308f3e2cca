"""The main job as a user has it: `engine run --feature` on a repository of 200 files, start-up included.

    python benchmarks/bench_feature.py [--json] [--times N] [--at FOLDER]

Workers sleep one second and write a file; each task's check is `true`. Measured from outside, of the whole command:
wall time, CPU of the engine's own process (utime + stime of /proc/PID/stat, last seen), CPU with git and workers
(wait4), peak memory (largest process). The least wall time that is possible is 1 s, and 3 s with three waves.
Targets on two cores: 8 tasks with 8 workers 2.5 s, 3 waves of 4 tasks 5 s, 2 s CPU of the engine, 150 MB.
Peers took 9–42 s, 16–69 s, 3–49 s CPU and 0.2–1 GB for the same work.

Two things of the machine stretch the figures and say nothing of the engine, so they are printed too: how fast it runs just then
(0.5 s for ten million additions was a quiet hour of ours), and ext4, which for minutes after files were deleted looks at
each of them before it makes a new one. Each repository here gets a name of its own; `--at FOLDER` puts them on a disk where
little was deleted lately.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ENGINE = Path(sys.executable).with_name("engine")
SHAPES = {"8 tasks, 8 workers": (1, 8), "3 waves of 4": (3, 4)}
FILES = 200
TICKS = os.sysconf("SC_CLK_TCK")


COLUMNS = {
    "wall_s": "wall s",
    "engine_cpu_s": "engine CPU s",
    "all_cpu_s": "all CPU s",
    "peak_mb": "peak MB",
    "additions_s": "10M additions s",
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--json", action="store_true")
    asked.add_argument("--times", type=int, default=5)
    asked.add_argument("--at", help="folder below which the repositories are made")
    given = asked.parse_args()
    warn_of_inspection()
    figures = {name: measure(*shape, given.times, given.at) for name, shape in SHAPES.items()}
    if given.json:
        print(json.dumps(figures))
        return
    heads = "".join(f"{head:>16}" for head in COLUMNS.values())
    print(f"{'':20}{heads}   (medians of {given.times})")
    for name, row in figures.items():
        print(f"{name:20}" + "".join(f"{row[column]:16.2f}" for column in COLUMNS))


def warn_of_inspection() -> None:
    """Say so when every start inspects the shipped policies, because they have changed since they were named."""
    from engine.core.definitions import Definitions
    from engine.policy.embedded import name_of
    from engine.policy.inspected import INSPECTED
    from engine.shipped import definition_files

    name = name_of(Definitions.load(definition_files(None)).policies)
    if name not in INSPECTED:
        print(
            f'60 ms of each start: write "{name}" into engine/policy/inspected.py', file=sys.stderr
        )


def measure(waves: int, width: int, times: int, place: str | None) -> dict[str, float]:
    """Return the medians of some runs after one that only warms up."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        rows = [run(Path(folder) / str(turn), waves, width) for turn in range(times + 1)][1:]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def additions() -> float:
    """Return the seconds that this machine takes for ten million additions now."""
    began, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - began


def run(root: Path, waves: int, width: int) -> Mapping[str, float]:
    speed = additions()
    make_project(root, waves, width)
    began = time.perf_counter()
    engine = subprocess.Popen(
        [ENGINE, "run", "--feature", "s", "--workers", str(width), "--json"],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
    )
    own = 0.0
    while (status := os.wait4(engine.pid, os.WNOHANG))[0] == 0:
        own = max(own, own_cpu(engine.pid))
        time.sleep(0.01)
    wall = time.perf_counter() - began
    assert engine.stdout is not None  # a pipe, see above
    report = json.loads(engine.stdout.read())
    assert report["status"] == "completed", report
    _, code, usage = status
    assert code == 0
    return {
        "wall_s": wall,
        "engine_cpu_s": own,
        "all_cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "additions_s": (speed + additions()) / 2,
    }


def environment() -> dict[str, str]:
    """Return our variables, but that which keeps Python from keeping what it compiled: nobody else starts so."""
    return {n: value for n, value in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}


def own_cpu(pid: int) -> float:
    """Return the seconds of CPU that process `pid` itself has used, 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def make_project(root: Path, waves: int, width: int) -> None:
    for number in range(FILES):
        file = root / f"d{number % 10}" / f"f{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x\n" * 20)
    for arguments in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"),
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    tasks = [
        {
            "id": f"t{wave}-{number}",
            "level": wave + 1,
            "tool": "shell",
            "args": ["sh", "-c", f"sleep 1; echo x > n{wave}-{number}.txt"],
            "files": {"create": [f"n{wave}-{number}.txt"]},
            "verification": {"command": "true"},
        }
        for wave in range(waves)
        for number in range(width)
    ]
    place = root / ".engine" / "specs" / "s"
    place.mkdir(parents=True)
    (place / "task-graph.json").write_text(json.dumps({"feature": "s", "tasks": tasks}))


if __name__ == "__main__":
    main()
