"""Engines to be killed: each is the command `engine`, run by its own entry function in a forked process.

Forking spares the 0.7 s of imports, so a campaign of thousands of kills takes minutes. The process that calls `start`
becomes the reaper of all that the engines leave behind: what still runs after an engine has ended is seen as an orphan.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import steps

STUCK_S = 30.0
ORPHANS_END_WITHIN_S = 10.0
ENVIRONMENT = {
    #: short, because every folder on it is one more announced attempt to start a program
    "PATH": f"{os.path.dirname(shutil.which('git') or '/usr/bin/git')}:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
_PACKAGES = ("engine", "service_tasks")
_LATE = ("git", "cryptography.hazmat.primitives.asymmetric.ed25519")


def prepare() -> None:
    """Import all that an engine imports, and become the reaper of its orphans."""
    for package in _PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for late in _LATE:
        importlib.import_module(late)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


@dataclass(kw_only=True)
class Started:
    """A running command. `output` is where it writes; `code` its exit code, negative for a signal, None while it runs."""

    pid: int
    output: Path
    errors: Path
    channel: socket.socket | None = None
    code: int | None = None
    stopped: set[int] = field(default_factory=set)  #: by us, and not continued yet

    def has_ended(self) -> bool:
        """Tell whether the command has ended, whatever it left behind."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, limit_s: float = STUCK_S) -> bool:
        """Wait for the command; return False when it still runs after `limit_s`."""
        deadline = time.monotonic() + limit_s
        while not self.has_ended():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.004)
        return True

    def watch(self, rule: steps.Rule, limit_s: float = STUCK_S) -> bool:
        """Run the command to its end, asking `rule` before each durable step; return False when it is stuck.

        Orphans are answered too, until none is left.
        """
        assert self.channel is not None  # started with watched=True
        return steps.watch(
            self.channel,
            rule,
            limit_s=limit_s,
            ended=lambda: self.has_ended() and not family(os.getpid()),
        )

    def signal(self, number: int, *, to_all: bool) -> None:
        """Send a signal to the engine, or to it and all that it started.

        What was stopped is continued even when its parent has ended since, and it is no descendant any more.
        """
        targets = {self.pid, *(family(self.pid) if to_all else ())}
        if number == signal.SIGSTOP:
            self.stopped |= targets
        elif number == signal.SIGCONT:
            targets, self.stopped = targets | self.stopped, set()
        for pid in targets:
            if pid == self.pid and self.code is not None:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, *, to_all: bool) -> None:
        """Kill the engine, or it and all that it started, and wait until the engine is gone."""
        self.signal(signal.SIGKILL, to_all=to_all)
        self.wait(5)

    def said(self) -> str:
        """Return what it printed to standard error and output, the last part."""
        texts = (p.read_text("utf-8", "replace") for p in (self.errors, self.output) if p.exists())
        return "\n".join(text[-3000:] for text in texts if text)


def start(
    root: Path,
    *words: str,
    watched: bool = False,
    variables: Mapping[str, str] | None = None,
    log: str = "engine",
    logs: Path | None = None,
) -> Started:
    """Start `engine WORDS` in the project `root`; its output goes to files in `logs`, or beside the project."""
    folder = logs or root.parent
    output, errors = folder / f"{log}.out", folder / f"{log}.err"
    near, far = socket.socketpair() if watched else (None, None)
    pid = os.fork()
    if pid == 0:
        _become_engine(root, words, output, errors, far, variables or {})
    if far is not None:
        far.close()
    return Started(pid=pid, output=output, errors=errors, channel=near)


def carry_out(root: Path, *words: str) -> int:
    """Carry out `engine WORDS` in this process, without a word; return its exit code."""
    before, variables = Path.cwd(), dict(os.environ)
    os.chdir(root)
    _replace_variables({**ENVIRONMENT, "HOME": str(root.parent)})
    try:
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            return _main(words)
    finally:
        os.chdir(before)
        _replace_variables(variables)


def _replace_variables(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def execute(root: Path, *words: str, variables: Mapping[str, str]) -> Started:
    """Start the installed command itself, in a fresh interpreter: for libraries that must be loaded before it."""
    output, errors = root.parent / "engine.out", root.parent / "engine.err"
    with output.open("wb") as out, errors.open("wb") as err:
        started = subprocess.Popen(
            [sys.executable, "-c", "from engine.cli import main; main()", *words],
            cwd=root,
            env={
                **ENVIRONMENT,
                "HOME": str(root.parent),
                "PYTHONPATH": os.getcwd(),
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    pid, started.returncode = started.pid, 0  # waited for by us, not by Popen
    return Started(pid=pid, output=output, errors=errors)


def call(root: Path, *words: str, limit_s: float = STUCK_S, log: str = "ask") -> Started:
    """Run `engine WORDS` to its end, or kill it at the limit (`code` is then negative)."""
    started = start(root, *words, log=log)
    if not started.wait(limit_s):
        started.kill(to_all=True)
    return started


def family(pid: int) -> list[int]:
    """Return all descendants of `pid` that have not ended."""
    return [child for child in _descendants(pid) if _is_alive(child)]


def orphans(limit_s: float = ORPHANS_END_WITHIN_S) -> list[str]:
    """Return what engines left running (state and command), after giving it `limit_s` to end; then kill it."""
    deadline = time.monotonic() + limit_s
    found = []
    while left := family(os.getpid()):
        if time.monotonic() > deadline:
            found = [_shown(pid) for pid in left]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            break
        reap()
        time.sleep(0.01)
    reap()
    return found


def reap() -> None:
    """Bury what has ended. Only when every command has been waited for: their exit codes go too."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _shown(pid: int) -> str:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return f"{pid} (gone since)"
    return f"{pid} {state} {words.decode('utf-8', 'replace')[:200]}"


def _descendants(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii").split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (
            b"Z",
            b"X",
        )
    except OSError:
        return False


def _become_engine(
    root: Path,
    words: tuple[str, ...],
    output: Path,
    errors: Path,
    channel: socket.socket | None,
    variables: Mapping[str, str],
) -> None:
    code = 99
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(root)
        _replace_variables({**ENVIRONMENT, "HOME": str(root.parent), **variables})
        _redirect(output, errors)
        keep = -1 if channel is None else channel.fileno()
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor > 2 and descriptor != keep:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if channel is not None:
            steps.send_listener(channel)
            channel.close()
        code = _main(words)
    finally:
        os._exit(code)


def _main(words: tuple[str, ...]) -> int:
    entry: Callable[[tuple[str, ...]], None] = importlib.import_module("engine.cli").main
    sys.argv = ["engine", *words]
    try:
        entry(words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _redirect(output: Path, errors: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for target, path in ((0, os.devnull), (1, str(output)), (2, str(errors))):
        descriptor = os.open(path, os.O_RDONLY if target == 0 else flags, 0o600)
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 -- the process's own
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
