"""How programs end: each in its own way, none of them leaves a process behind."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from engine.programs import Limits, Program, Redactor, clean_environment, run_program
from engine.programs.proc import processes, read_marks
from tests.needs import linux


def program(argv: str | tuple[str, ...], folder: Path, **changes: Any) -> Program:
    given = {"key": f"run/0/{folder.name}#1.1", "timeout_s": 20.0, **changes}
    return Program(argv=argv, cwd=folder, env=clean_environment(home=folder), **given)


def survivors(folder: Path) -> list[int]:
    """Return live processes of the test's job."""
    key = f"run/0/{folder.name}#1.1"
    return [p.pid for p in processes() if p.state != "Z" and read_marks(p.pid).get("ENGINE_JOB") == key]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "changes", "ended"),
    [
        pytest.param("exit 0", {}, ("exited", 0, "", "exited with code 0"), id="ends well"),
        pytest.param("exit 3", {}, ("exited", 3, "", "exited with code 3"), id="fails"),
        pytest.param(
            "kill -SEGV $$", {}, ("signalled", None, "SIGSEGV", "was ended by SIGSEGV"), id="crashes"
        ),
        pytest.param(
            "sleep 60",
            {"timeout_s": 0.2},
            ("timed_out", None, "SIGTERM", "was stopped after 0.2 s, its time limit"),
            id="hangs",
        ),
        pytest.param(
            "trap '' TERM; sleep 60",
            {"timeout_s": 0.2, "grace_s": 0.2},
            ("timed_out", None, "SIGKILL", "was stopped after 0.2 s, its time limit"),
            id="ignores SIGTERM",
        ),
        pytest.param(
            "echo started; sleep 60",
            {"silence_s": 0.2},
            ("silent", None, "SIGTERM", "was stopped after 0.2 s without output"),
            id="falls silent",
        ),
        pytest.param(
            "kill -STOP $$; sleep 60",
            {"timeout_s": 0.2, "grace_s": 0.5},
            ("timed_out", None, "SIGTERM", "was stopped after 0.2 s, its time limit"),
            id="stops itself",
        ),
        pytest.param(
            "cat /dev/zero",
            {"flood_bytes": 1_000_000},
            ("flooded", None, "SIGKILL", "was killed after printing more than 1000000 bytes"),
            id="floods",
        ),
        pytest.param(
            "exec 1>&- 2>&-; exit 4", {}, ("exited", 4, "", "exited with code 4"), id="closes its output"
        ),
        pytest.param(
            ("no-such-program",),
            {},
            ("not_started", None, "", "expected a program named no-such-program on the PATH, but there is none."),
            id="is missing",
        ),
        pytest.param(
            ("./here",), {}, ("not_started", None, "", "expected a program at ./here, but there is none."), id="is missing at its path"
        ),
        pytest.param(
            (), {}, ("not_started", None, "", "expected a program and its arguments, but got nothing."), id="is nothing"
        ),
        pytest.param(
            ("echo", "x" * 3_000_000),
            {},
            ("not_started", None, "", f"expected to start `{('echo ' + 'x' * 300)[:200]}`, but it was refused: Argument list too long."),
            id="has too long an argument",
        ),
        pytest.param(
            ("echo", "a\0b"),
            {},
            ("not_started", None, "", "expected to start `echo a\0b`, but it was refused: embedded null byte."),
            id="has an impossible argument",
        ),
    ],
)  # fmt: skip
async def test_how_a_program_ends(
    argv: str | tuple[str, ...], changes: dict[str, Any], ended: tuple[object, ...], tmp_path: Path
) -> None:
    outcome = await run_program(program(argv, tmp_path, **changes))
    assert (outcome.state, outcome.exit_code, outcome.signal, outcome.reason) == ended
    assert outcome.succeeded == (ended[1] == 0)
    assert survivors(tmp_path) == []


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    outcome = await run_program(program("true", gone))
    assert outcome.state == "not_started"
    assert outcome.reason == f"expected the folder {gone} to run in, but it is not there."


@pytest.mark.parametrize(
    "left_behind",
    [
        pytest.param("sleep 60 &", id="in its group"),
        pytest.param("setsid sleep 60 & sleep 0.05", id="in a session of its own"),
        pytest.param(
            "(setsid sh -c 'sleep 60 & sleep 60 & exit' &) ; sleep 0.1", id="forked twice"
        ),
        pytest.param(
            "(env -i /usr/bin/setsid /bin/sh -c '/bin/sleep 60 & exit' &) ; sleep 0.1",
            id="forked twice, with an empty environment",
        ),
        pytest.param("(trap '' TERM HUP; sleep 60) &", id="deaf"),
        pytest.param("sh -c 'while :; do sleep 60 & sleep 0.01; done' &", id="breeding"),
    ],
)
async def test_what_a_program_leaves_behind_is_killed(left_behind: str, tmp_path: Path) -> None:
    linux("a process that has left its group is found by its environment in /proc")
    before = {p.pid for p in processes()}
    began = time.monotonic()
    outcome = await run_program(program(f"{left_behind}\necho done", tmp_path))
    assert (outcome.state, outcome.exit_code, outcome.stdout.text) == ("exited", 0, "done\n")
    assert outcome.strays > 0
    assert time.monotonic() - began < 5
    ours = [p for p in processes() if p.pid not in before and p.parent == os.getpid()]
    assert [p for p in ours if p.state != "Z" or p.session != p.pid] == []
    assert survivors(tmp_path) == []


async def test_a_neighbour_under_the_same_key_is_left_alone(tmp_path: Path) -> None:
    quick = program("sleep 0.1", tmp_path)
    slow = program("setsid sh -c 'sleep 0.5; echo still here'", tmp_path)
    _, outcome = await asyncio.gather(run_program(quick), run_program(slow))
    assert outcome.stdout.text == "still here\n"


async def test_output_is_kept_from_both_ends(tmp_path: Path) -> None:
    script = "echo first; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last"
    outcome = await run_program(program(script, tmp_path, output_limit_bytes=100))
    assert outcome.stdout.truncated
    assert outcome.stdout.size_bytes == 300012
    assert (
        outcome.stdout.text == f"first\n{'x' * 44}\n[… 299912 bytes left out …]\n{'x' * 44}\nlast\n"
    )


async def test_both_streams_and_input_flow_at_once(tmp_path: Path) -> None:
    sent = os.urandom(1_000_000).hex().encode()
    outcome = await run_program(
        program("tee /dev/stderr", tmp_path, stdin=sent, output_limit_bytes=10_000_000)
    )
    assert outcome.stdout.text.encode() == outcome.stderr.text.encode() == sent


async def test_a_program_may_ignore_its_input(tmp_path: Path) -> None:
    outcome = await run_program(program("exec 0<&-; echo ok", tmp_path, stdin=b"x" * 1_000_000))
    assert (outcome.exit_code, outcome.stdout.text) == (0, "ok\n")


async def test_a_flood_of_100_mb_costs_little_memory(tmp_path: Path) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = await run_program(program("head -c 100000000 /dev/zero", tmp_path, flood_bytes=2**30))
    assert (outcome.exit_code, outcome.stdout.size_bytes) == (0, 100_000_000)
    assert len(outcome.stdout.text) < 1_100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KiB


async def test_secrets_reach_neither_outcome_nor_listener(tmp_path: Path) -> None:
    heard: list[tuple[str, bytes]] = []
    outcome = await run_program(
        program(
            "printf 'a top-'; sleep 0.05; echo secret; echo top-secret >&2",
            tmp_path,
            redact=Redactor({"token": "top-secret"}),
            on_output=lambda stream, text: heard.append((stream, text)),
        )
    )
    assert outcome.stdout.text == "a [redacted:token]\n"
    assert outcome.stderr.text == "[redacted:token]\n"
    assert sorted(heard) == [("stderr", b"[redacted:token]\n"), ("stdout", b"a [redacted:token]\n")]


async def test_stop_ends_it_with_an_outcome(tmp_path: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_program(
            program("echo up; sleep 60", tmp_path, stop=stop, on_output=lambda *_: stop.set())
        )
    )
    outcome = await running
    assert (outcome.state, outcome.reason, outcome.stdout.text) == ("cancelled", "was stopped on request", "up\n")  # fmt: skip
    assert survivors(tmp_path) == []


async def test_cancelling_the_task_ends_the_program(tmp_path: Path) -> None:
    up = asyncio.Event()
    running = asyncio.create_task(
        run_program(program("echo up; setsid sleep 60", tmp_path, on_output=lambda *_: up.set()))
    )
    await up.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert survivors(tmp_path) == []


async def test_a_listener_that_fails_ends_the_program(tmp_path: Path) -> None:
    def fail(stream: str, text: bytes) -> None:
        raise RuntimeError("listener broke")

    with pytest.raises(RuntimeError, match="listener broke"):
        await run_program(program("echo up; sleep 60", tmp_path, on_output=fail))
    assert survivors(tmp_path) == []


async def test_limits_are_kept_by_the_kernel(tmp_path: Path) -> None:
    limits = Limits(memory_mb=64, cpu_s=7, open_files=50, core_dumps=False, new_privileges=False)
    script = "ulimit -v; ulimit -t; ulimit -n; ulimit -c; grep NoNewPrivs /proc/self/status"
    outcome = await run_program(program(script, tmp_path, limits=limits))
    assert outcome.stdout.text.split() == ["65536", "7", "50", "0", "NoNewPrivs:", "1"]


async def test_the_lock_is_held_as_long_as_the_program(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    outcome = await run_program(
        program(f"echo held > /dev/fd/{writing}", tmp_path, lock_fd=writing)
    )
    os.close(writing)
    assert outcome.exit_code == 0
    assert os.read(reading, 10) == b"held\n"
    os.close(reading)


async def test_a_hundred_programs_at_once(tmp_path: Path) -> None:
    outcomes = await asyncio.gather(
        *(run_program(program(f"echo {n}", tmp_path, key=f"many/{n}")) for n in range(100))
    )
    assert [outcome.stdout.text for outcome in outcomes] == [f"{n}\n" for n in range(100)]
