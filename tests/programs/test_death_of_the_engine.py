"""When the engine is killed its programs die too; what escapes even that is found by the next engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.programs import ProcessIdentity, identify, reap
from engine.programs.proc import is_alive, processes, read_marks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ENGINE = """
import asyncio, sys
from pathlib import Path
from engine.programs import Program, clean_environment, run_program
folder, key, script = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
asyncio.run(run_program(Program(
    argv=script, cwd=folder, env=clean_environment(home=folder), key=key, timeout_s=60,
    on_output=lambda stream, text: print("up", flush=True),
)))
"""


def until(condition: Callable[[], bool]) -> bool:
    """Wait until `condition` holds, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def of_job(key: str) -> list[int]:
    return [p.pid for p in processes() if p.state != "Z" and read_marks(p.pid).get("ENGINE_JOB") == key]  # fmt: skip


StartEngine = Callable[[str, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[StartEngine]:
    """Return how to start an engine that runs a script; it comes back when the script has printed something."""
    started: list[subprocess.Popen[bytes]] = []

    def start(key: str, script: str) -> subprocess.Popen[bytes]:
        engine = subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(tmp_path), key, script], stdout=subprocess.PIPE
        )
        started.append(engine)
        assert engine.stdout is not None
        assert engine.stdout.readline() == b"up\n"
        return engine

    yield start
    for engine in started:
        with engine:  # closes its output and waits
            engine.kill()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo x; sleep 60", id="the program and its child"),
        pytest.param("trap '' TERM HUP INT; sleep 60 & echo x; wait", id="deaf to signals"),
        pytest.param("(setsid sh -c 'sleep 60 & sleep 60' &); echo x; sleep 60", id="a daemon"),
    ],
)
def test_kill_9_of_the_engine_takes_its_programs_along(
    script: str, start_engine: StartEngine, tmp_path: Path
) -> None:
    key = f"died/0/{tmp_path.name}#1.1"
    engine = start_engine(key, script)
    assert until(lambda: len(of_job(key)) >= 2)
    engine.kill()
    engine.wait()
    assert until(lambda: of_job(key) == [])


def test_a_child_without_our_marks_dies_with_its_group(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    key = f"died/0/{tmp_path.name}#1.1"
    engine = start_engine(key, "env -i /bin/sleep 60 & echo x; wait")
    leader = of_job(key)[0]
    assert until(lambda: of_job(key) == [leader] and len(session(leader)) == 2)
    engine.kill()
    engine.wait()
    assert until(lambda: session(leader) == [])


def session(number: int) -> list[int]:
    return [p.pid for p in processes() if p.session == number and p.state != "Z"]


def test_the_guard_goes_with_the_engine(start_engine: StartEngine) -> None:
    engine = start_engine("guard/0/x#1.1", "echo x")
    engine.wait()
    token = f"engine-guard\0{engine.pid}."
    assert until(lambda: token not in _command_lines())


def _command_lines() -> str:
    texts = []
    for process in processes():
        try:
            texts.append(Path(f"/proc/{process.pid}/cmdline").read_text("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(texts)


@pytest.fixture
def orphan() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(
        key: str, owner: str = "999999.1", script: str = "sleep 60 & wait"
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            start_new_session=True,
            env={"PATH": os.defpath, "ENGINE_JOB": key, "ENGINE_OWNER": owner},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


Start = Callable[..., "subprocess.Popen[bytes]"]


def test_a_recorded_orphan_is_reaped_with_its_session(orphan: Start) -> None:
    process = orphan("old/0/a#1.1")
    assert until(lambda: len(of_job("old/0/a#1.1")) == 2)
    killed = reap([identify(process.pid, "old/0/a#1.1")])
    assert {identity.key for identity in killed} == {"old/0/a#1.1"}
    assert len(killed) == 2
    assert of_job("old/0/a#1.1") == []


def test_orphans_of_a_run_are_found_by_their_mark(orphan: Start) -> None:
    orphan("run-a/0/x#1.1")
    other = orphan("run-ab/0/x#1.1")
    assert until(lambda: len(of_job("run-a/0/x#1.1")) == 2)
    assert {identity.key for identity in reap([], run="run-a")} == {"run-a/0/x#1.1"}
    assert is_alive(other.pid)


def test_the_programs_of_a_living_engine_are_left_alone(orphan: Start) -> None:
    mine = identify(os.getppid(), "")
    process = orphan("shared/0/x#1.1", owner=f"{mine.pid}.{mine.started}")
    assert reap([], run="shared") == ()
    assert is_alive(process.pid)


@pytest.mark.parametrize("change", ["boot", "started"])
def test_a_reused_number_is_left_alone(change: str, orphan: Start) -> None:
    process = orphan("", owner="")
    was = identify(process.pid, "gone/0/x#1.1")
    changed = {"boot": "another boot", "started": was.started - 100}
    reused = ProcessIdentity(**{**vars(was), change: changed[change]})
    assert reap([reused]) == ()
    assert is_alive(process.pid)
