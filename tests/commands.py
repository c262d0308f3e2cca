"""The command `engine`, each call a process of its own, without its start-up: forked by a process that has imported it.

What runs is the command's own entry function in the same files (tests/crash/nursery.py). A third of the suite would
be imports otherwise. The installed program itself runs wherever a test starts `ENGINE`, and in tests/acceptance/test_wheel.py.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.crash import nursery
from tests.crash.project import warm_up


def call(
    root: Path, *words: str, variables: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `engine WORDS` in `root` to its end. Raises TimeoutExpired, when it has been killed."""
    with tempfile.TemporaryDirectory() as logs:
        asked = {
            "root": str(root),
            "words": words,
            "variables": {**variables},
            "timeout_s": timeout_s,
            "logs": logs,
        }
        code = _ask(asked)
        out, err = (Path(logs, f"engine.{end}").read_text("utf-8") for end in ("out", "err"))
    if code is None:
        raise subprocess.TimeoutExpired(["engine", *words], timeout_s, out, err)
    return subprocess.CompletedProcess(["engine", *words], code, out, err)


def _ask(asked: Mapping[str, object]) -> int | None:
    process = _forker()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    code: int | None = json.loads(process.stdout.readline())
    return code


@cache
def _forker() -> subprocess.Popen[str]:
    """Return the process that forks, started once; it ends when its standard input is closed, with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.commands"],
        cwd=Path(__file__).parents[1],
        env={**nursery.ENVIRONMENT, "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate()  # closes its standard input and waits


def _serve() -> None:
    nursery.prepare()
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder).resolve() / "warm")
    for line in sys.stdin:
        asked = json.loads(line)
        started = nursery.start(
            Path(asked["root"]),
            *asked["words"],
            variables=asked["variables"],
            logs=Path(asked["logs"]),
        )
        in_time = started.wait(asked["timeout_s"])
        if not in_time:
            started.kill(to_all=True)
        nursery.reap()
        print(json.dumps(started.code if in_time else None), flush=True)


if __name__ == "__main__":
    _serve()
