"""Plant secrets in every channel a worker has, run the feature, and look for them in all that the engine wrote.

    python -m tests.acceptance.planted [COUNT]     1,000 by default; prints how many were found, exit 1 for any

Channels: standard output, standard error, events, the diff, the environment, a commit's message, file names. The
secrets are of the kinds that are known by their looks; those of the environment are known by their names. What a worker
wrote itself (its worktree, and the git objects made of it, which no branch of the user's holds) is not the engine's.
"""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ENGINE = str(Path(sys.executable).with_name("engine"))
CHANNELS = ("stdout", "stderr", "events", "diff", "environment", "message", "names")
_OTHERS = (
    "vault",
    "workshop",
    "worktrees",
    "workspaces",
    "records",
)  # git's own, of the worker's work

_WORKER = """\
import json, os, subprocess, sys
planted = json.load(open(sys.argv[1]))
for secret in planted.get("stdout", ()):
    print("using", secret)
for secret in planted.get("stderr", ()):
    print("cannot log in with " + secret, file=sys.stderr)
for secret in planted.get("events", ()):
    print(json.dumps({"type": "progress", "message": "token is " + secret}), flush=True)
for name in planted.get("environment", ()):
    print("value:", os.environ[name], file=sys.stderr)
with open(sys.argv[2], "w") as file:
    file.write("x\\n" + "".join(f"key = {secret!r}\\n" for secret in planted.get("diff", ())))
for secret in planted.get("names", ()):
    open(secret + ".txt", "w").write("x")
for secret in planted.get("message", ()):
    subprocess.run(["git", "-c", "user.name=w", "-c", "user.email=w@example.org", "commit", "-q", "--allow-empty",
                    "-m", "use " + secret])
"""


def secret(random_: random.Random, kind: int) -> str:
    """Return a made-up secret of one of six kinds."""
    letters = string.ascii_letters + string.digits
    word = "".join(random_.choices(letters, k=36))
    upper = "".join(random_.choices(string.ascii_uppercase + string.digits, k=16))
    return (
        "ghp" + "_" + word,
        "AK" + "IA" + upper,
        "glpat" + "-" + word[:24],
        "sk" + "-" + word,
        "npm" + "_" + word,
        "xox" + "b-" + word[:20],
    )[kind % 6]


def plant(count: int, seed: int = 4) -> dict[str, list[str]]:
    """Return {channel: secrets}, `count` in all."""
    random_ = random.Random(seed)
    planted: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
    for number in range(count):
        planted[CHANNELS[number % len(CHANNELS)]].append(secret(random_, number // len(CHANNELS)))
    return planted


def run(root: Path, planted: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Carry out one task for each channel in a new repository at `root`; return what the commands printed."""
    variables = {f"SERVICE_TOKEN_{n}": value for n, value in enumerate(planted["environment"])}
    environment = {
        "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(root.parent),
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **variables,
    }  # fmt: skip

    def call(*argv: str) -> str:
        done = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True,
                              timeout=300, stdin=subprocess.DEVNULL)  # fmt: skip
        return done.stdout + done.stderr

    root.mkdir()
    script, lists = root.parent / "worker.py", root.parent / "planted"
    script.write_text(_WORKER, "utf-8")
    lists.mkdir()
    for channel in CHANNELS:
        values = list(variables) if channel == "environment" else planted[channel]
        (lists / channel).write_text(json.dumps({channel: values}), "utf-8")
    call("git", "init", "-q", "-b", "main")
    call("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q",
         "--allow-empty", "-m", "first")  # fmt: skip
    call(ENGINE, "init")
    _write_feature(root, script, lists, list(variables))
    printed = [call(ENGINE, "run", "--feature", "shop", "--json")]
    printed += [call(ENGINE, "why", channel) for channel in CHANNELS]
    printed += [
        call(ENGINE, "ledger", "export"),
        call(ENGINE, "ledger", "export", "--format", "opa-decision-log"),
        call(ENGINE, "ledger", "export", "-f", "opa-decision-log", "-o", ".engine/decisions.jsonl"),
        call(ENGINE, "logs"),
        call("git", "log", "-p", "--branches=main", "--branches=engine/shop"),
    ]
    return tuple(printed)


def _write_feature(root: Path, script: Path, lists: Path, names: list[str]) -> None:
    tasks = [
        {
            "id": channel,
            "tool": "planter" if channel == "environment" else "shell",
            "args": [sys.executable, str(script), str(lists / channel), f"{channel}.txt"],
            "files": {"create": [f"{channel}.txt"]},
            "verification": {"command": "true"},
            "max_attempts": 1,
        }
        for channel in CHANNELS
    ]
    command = [sys.executable, str(script), str(lists / "environment"), "environment.txt"]
    (root / ".engine" / "engine.toml").write_text(
        f"[workers.planter]\ncommand = {json.dumps(command)}\nenv_allow = {json.dumps(names)}\n",
        "utf-8",
    )
    place = root / ".engine" / "specs" / "shop"
    place.mkdir(parents=True, exist_ok=True)
    graph = {"feature": "shop", "version": "1.0", "tasks": tasks}
    (place / "task-graph.json").write_text(json.dumps(graph), "utf-8")


def found(root: Path, printed: tuple[str, ...], planted: Mapping[str, list[str]]) -> list[str]:
    """Return `channel in place` for each secret that can be read somewhere."""
    places = {f"output {number}": text for number, text in enumerate(printed)}
    for file in sorted((root / ".engine").rglob("*")):
        parts = file.relative_to(root / ".engine").parts
        if file.is_file() and parts[0] not in _OTHERS:
            places["/".join(parts)] = "/".join(parts) + file.read_bytes().decode("utf-8", "replace")
    return [
        f"{channel} in {place}"
        for place, text in places.items()
        for channel, secrets in planted.items()
        for value in secrets
        if value in text
    ]


def main(arguments: list[str]) -> int:
    count = int(arguments[0]) if arguments else 1000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        planted = plant(count)
        printed = run(root, planted)
        if "engine.run-report/v1" not in printed[0]:
            raise SystemExit(f"the run did not happen: {printed[0][:400]}")
        leaks = found(root, printed, planted)
    print(f"{count} secrets planted in {len(CHANNELS)} channels, {len(leaks)} found")
    for leak in sorted(set(leaks)):
        print(f"  {leak}: {leaks.count(leak)}")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
