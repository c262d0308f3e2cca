"""A worker is judged by facts: exit code, signals, time; never by its words."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.programs import ProcessIdentity
from engine.workers import (
    SHELL,
    Assignment,
    Usage,
    WorkerEvent,
    WorkerOutcome,
    WorkerSpec,
    run_worker,
)

Assign = Callable[..., Assignment]


@pytest.fixture
def assign(tmp_path: Path) -> Assign:
    """Return how to assign a task whose `args` are a shell script."""
    (tmp_path / "workspace").mkdir()

    def build(script: str = "", spec: WorkerSpec = SHELL, **changes: Any) -> Assignment:
        task = {"id": "T-1", "tool": "shell", "args": ["sh", "-c", script] if script else []}
        given: dict[str, Any] = {
            "spec": spec,
            "task": task,
            "workspace": tmp_path / "workspace",
            "key": "R1/0/Work#1.1",
            "log": tmp_path / "logs" / "R1" / "T-1.1.log",
            "scratch": tmp_path / "scratch",
            "timeout_s": 20,
            **changes,
        }
        return Assignment(**given)

    return build


@pytest.mark.parametrize(
    ("script", "changes", "failure_class", "exit_code", "reason"),
    [
        pytest.param("exit 0", {}, "", 0, "worker shell exited with code 0", id="done"),
        pytest.param("echo all tests pass; exit 1", {}, "exit", 1, "worker shell exited with code 1", id="words do not count"),
        pytest.param("kill -9 $$", {}, "crash", None, "worker shell was ended by SIGKILL", id="crash"),
        pytest.param("sleep 60", {"timeout_s": 0.2}, "timeout", None, "worker shell was stopped after 0.2 s, its time limit", id="timeout"),
        pytest.param("sleep 60", {"silence_s": 0.2}, "silence", None, "worker shell was stopped after 0.2 s without output", id="silence"),
        pytest.param("exit 75", {}, "context", 75, "worker shell paused because its context is full", id="pause by exit code"),
        pytest.param("""echo '{"type": "context.exhausted"}'""", {}, "context", 0, "worker shell paused because its context is full", id="pause by event"),
        pytest.param("""echo '{"type": "context.exhausted"}'; exit 2""", {}, "exit", 2, "worker shell exited with code 2", id="a failure is no pause"),
        pytest.param("", {}, "not_started", None, "worker shell has nothing to run: expected args, but the task has none", id="no args"),
    ],
)  # fmt: skip
async def test_how_an_attempt_ends(
    script: str, changes: dict[str, Any], failure_class: str, exit_code: int | None, reason: str, assign: Assign
) -> None:  # fmt: skip
    outcome = await run_worker(assign(script, **changes))
    assert (outcome.failure_class, outcome.exit_code, outcome.reason) == (
        failure_class,
        exit_code,
        reason,
    )
    assert outcome.succeeded == (failure_class == "")
    assert outcome.launcher == "subprocess"


async def test_a_missing_program_says_so(assign: Assign) -> None:
    outcome = await run_worker(assign(spec=WorkerSpec(name="aider", command=("no-aider-here",))))
    assert outcome.failure_class == "not_started"
    assert outcome.reason == (
        "worker aider: expected a program named no-aider-here on the PATH, but there is none."
    )


async def test_the_protocol(assign: Assign, tmp_path: Path) -> None:
    spec = WorkerSpec(
        name="w",
        command=("sh", "-c", 'printf "%s|" "$@"; cat; echo; cat "$TASK_FILE"; pwd', "sh", "{prompt}", "{args}", "in {workspace}", "{task_file}", "{x}"),
    )  # fmt: skip
    task = {"id": "T-1", "args": ["one", "{prompt}"]}
    prompt = "do {workspace} {args}"
    outcome = await run_worker(replace(assign(spec=spec), task=task, prompt=prompt))
    workspace = tmp_path / "workspace"
    said = outcome.log.read_text().split("\n", 1)
    assert said[0] == (
        f"{prompt}|one|{{prompt}}|in {workspace}|{tmp_path}/scratch/task.json|{{x}}|{prompt}"
    )
    written, folder = said[1].rstrip("\n").rsplit("\n", 1)
    assert json.loads(written) == task
    assert folder == str(workspace)


async def test_the_environment(assign: Assign, tmp_path: Path) -> None:
    source = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "EDITOR": "vi", "GIT_DIR": "/x", "HOME": "/root"}  # fmt: skip
    assignment = replace(
        assign("env; touch $HOME/a $TMPDIR/b"),
        spec=replace(SHELL, env_allow=("EDITOR",)),
        environment=source,
        feature="shop",
        branch="engine/shop/T-1",
        worker_id=3,
        attempt=2,
        traceparent="00-a-b-01",
        extra_env={"GIT_CEILING_DIRECTORIES": "/w"},
    )
    outcome = await run_worker(assignment)
    env = dict(line.split("=", 1) for line in outcome.log.read_text().splitlines())
    marks = {
        name: env.pop(name) for name in ("ENGINE_JOB", "ENGINE_OWNER", "ENGINE_PROGRAM", "PWD")
    }
    env.pop("_", None)
    env.pop("SHLVL", None)
    assert marks["ENGINE_JOB"] == "R1/0/Work#1.1"
    assert env == {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "EDITOR": "vi",
        "HOME": f"{tmp_path}/scratch/home",
        "TMPDIR": f"{tmp_path}/scratch/tmp",
        "WORKER_ID": "3",
        "FEATURE": "shop",
        "BRANCH": "engine/shop/T-1",
        "TASK": "T-1",
        "TASK_FILE": f"{tmp_path}/scratch/task.json",
        "TASK_LIST_ID": "R1",
        "ATTEMPT": "2",
        "TRACEPARENT": "00-a-b-01",
        "GIT_CEILING_DIRECTORIES": "/w",
    }
    assert not (tmp_path / "scratch").exists()


async def test_the_task_file_is_read_only_and_private(assign: Assign) -> None:
    outcome = await run_worker(assign("ls -l $TASK_FILE | cut -c1-10; ls -ld $HOME | cut -c1-10"))
    assert outcome.last_lines == ("-r--------", "drwx------")


EVENTS = """
echo starting
echo '{"type": "progress", "text": "half way"}'
echo '{"type": "usage", "tokens": 100, "cost_micros": 2500}'
echo '{"type": "turn.completed", "usage": {"input_tokens": 50, "cached_input_tokens": 20, "output_tokens": 7}}'
echo '{"type": "broken'
echo '{"no": "type"}'
echo '["type"]'
echo '{"type": "usage", "tokens": -5, "cost_micros": true}'
echo '{"type": "progress"}' >&2
printf '{"type": "access.requested", "path": "b.py"}'
"""


async def test_events_come_from_json_lines(assign: Assign) -> None:
    heard: list[WorkerEvent] = []
    outcome = await run_worker(assign(EVENTS), on_event=heard.append)
    assert [event.type for event in heard] == [
        "progress",
        "usage",
        "turn.completed",
        "usage",
        "access.requested",
    ]
    assert heard[0].body == {"type": "progress", "text": "half way"}
    assert [event.usage.tokens for event in heard] == [0, 100, 137, 137, 137]
    assert outcome.events == tuple(heard)
    assert outcome.event_count == 5
    assert outcome.usage == Usage(
        input_tokens=130, cached_tokens=20, output_tokens=7, cost_micros=2500
    )


def _printing(tmp_path: Path, lines: list[dict[str, Any]]) -> str:
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"cat {file}"


CLAUDE_MESSAGE = {
    "type": "assistant",
    "message": {"id": "m1", "usage": {"input_tokens": 3, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 5}},
}  # fmt: skip
CLAUDE_RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "total_cost_usd": 0.012345,
    "usage": {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 2000, "output_tokens": 40},
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "usage"),
    [
        pytest.param(
            [CLAUDE_MESSAGE, CLAUDE_MESSAGE],
            Usage(input_tokens=103, output_tokens=5, cached_tokens=900),
            id="Claude Code, cut off: a repeated message counts once",
        ),
        pytest.param(
            [CLAUDE_MESSAGE, CLAUDE_RESULT],
            Usage(input_tokens=210, output_tokens=40, cached_tokens=2000, cost_micros=12345),
            id="Claude Code, to its end",
        ),
        pytest.param(
            [{"type": "turn.completed", "usage": {"input_tokens": 24763, "cached_input_tokens": 24448, "output_tokens": 122}}],
            Usage(input_tokens=315, output_tokens=122, cached_tokens=24448),
            id="Codex",
        ),
    ],
)  # fmt: skip
async def test_usage_of_known_workers(
    lines: list[dict[str, Any]], usage: Usage, assign: Assign, tmp_path: Path
) -> None:
    outcome = await run_worker(assign(_printing(tmp_path, lines)))
    assert outcome.usage == usage


async def test_secrets_never_reach_log_events_or_last_lines(assign: Assign) -> None:
    script = """
    printf '%s' "$API_TOKEN" | base64; echo "$API_TOKEN"; echo password=hunter2x >&2
    printf 'given-'; sleep 0.05; echo secret
    echo "{\\"type\\": \\"progress\\", \\"text\\": \\"$API_TOKEN\\"}"
    """
    heard: list[WorkerEvent] = []
    assignment = replace(
        assign(script),
        spec=replace(SHELL, env_allow=("API_TOKEN",)),
        environment={"PATH": os.environ["PATH"], "API_TOKEN": "tok-1234567"},
        secrets={"mine": "given-secret"},
    )
    outcome = await run_worker(assignment, on_event=heard.append)
    assert outcome.log.read_text().count("[redacted:API_TOKEN]") == 3
    assert heard[0].body["text"] == "[redacted:API_TOKEN]"
    everything = outcome.log.read_text() + repr(outcome) + repr(heard)
    for secret in ("tok-1234567", "dG9rLTEyMzQ1Njc", "hunter2x", "given-secret"):
        assert secret not in everything


async def test_last_lines_are_safe_to_show(assign: Assign) -> None:
    outcome = await run_worker(
        assign(r"printf 'a\033[31mred\033[0m\n\033]0;t\007\n'; echo end >&2")
    )
    assert sorted(outcome.last_lines) == ["ared", "end"]
    assert b"\x1b[31m" in outcome.log.read_bytes()  # the log keeps what came; showing it strips


async def test_a_flood_is_killed_and_the_log_stays_small(assign: Assign) -> None:
    outcome = await run_worker(assign("""yes '{"type": "x"}'"""))
    assert outcome.failure_class == "flooded"
    assert outcome.log_bytes > 64 * 1024 * 1024
    assert outcome.log.stat().st_size < 17 * 1024 * 1024
    assert outcome.log.read_bytes().endswith(b"bytes left out \xe2\x80\xa6]\n")


async def test_stop_ends_a_worker_with_its_outcome(assign: Assign) -> None:
    stop = asyncio.Event()
    outcome = await run_worker(
        assign("""echo '{"type": "progress"}'; sleep 60"""),
        on_event=lambda _: stop.set(),
        stop=stop,
    )
    assert (outcome.failure_class, outcome.event_count) == ("cancelled", 1)


async def test_the_identity_to_record_comes_at_the_start(assign: Assign) -> None:
    started: list[ProcessIdentity] = []
    outcome = await run_worker(assign("true"), on_start=started.append)
    assert [(identity.pid, identity.key) for identity in started] == [
        (outcome.pid, "R1/0/Work#1.1")
    ]
    assert started[0].started > 0


async def test_what_an_earlier_attempt_left_is_no_obstacle(assign: Assign, tmp_path: Path) -> None:
    (tmp_path / "scratch" / "home").mkdir(parents=True)
    (tmp_path / "scratch" / "task.json").write_text("old")
    (tmp_path / "scratch" / "task.json").chmod(0o400)
    outcome: WorkerOutcome = await run_worker(assign("grep -c '\"id\"' $TASK_FILE"))
    assert outcome.last_lines == ("1",)
