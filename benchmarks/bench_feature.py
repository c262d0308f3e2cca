"""The main job as a user has it: `engine run --feature` on a repository of 200 files, start-up included.

    python benchmarks/bench_feature.py [--json] [--times N]

Workers sleep one second and write a file; each task's check is `true`. Measured from outside, of the whole command:
wall time, CPU of the engine's own process (utime + stime of /proc/PID/stat, last seen), CPU with git and workers
(wait4), peak memory (largest process). The least wall time that is possible is 1 s, and 3 s with three waves.
Targets on two cores: 8 tasks with 8 workers 2.5 s, 3 waves of 4 tasks 5 s, 2 s CPU of the engine, 150 MB.
Peers took 9–42 s, 16–69 s, 3–49 s CPU and 0.2–1 GB for the same work.
"""

from __future__ import annotations

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


def main() -> None:
    times = int(sys.argv[sys.argv.index("--times") + 1]) if "--times" in sys.argv else 5
    warn_of_inspection()
    figures = {name: measure(*shape, times) for name, shape in SHAPES.items()}
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    print(
        f"{'':20}{'wall s':>8}{'engine CPU s':>14}{'all CPU s':>11}{'peak MB':>9}   (medians of {times})"
    )
    for name, row in figures.items():
        print(
            f"{name:20}{row['wall_s']:8.2f}{row['engine_cpu_s']:14.2f}{row['all_cpu_s']:11.2f}{row['peak_mb']:9.0f}"
        )


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


def measure(waves: int, width: int, times: int) -> dict[str, float]:
    """Return the medians of some runs after one that only warms up."""
    with tempfile.TemporaryDirectory() as place:
        rows = [run(Path(place) / str(turn), waves, width) for turn in range(times + 1)][1:]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def run(root: Path, waves: int, width: int) -> Mapping[str, float]:
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
