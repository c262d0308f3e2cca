"""Single git commands, each a process of its own.

Invariants
1. An argument list, never a shell; the sub-command is on a list; object ids, refs and names are checked by form.
2. Nothing of the caller's surroundings reaches git: no system or personal configuration, no GIT_* variable, no hook,
   no prompt, no network. What is left is the configuration of the repository named in `Place`, so a `Place` must
   never be a repository that a worker can write.
3. Every child is in its own process group (an interrupt on the terminal does not stop it half-way) and holds the
   engine's lock descriptor: while one lives, no second engine can start. That is why children are not killed with
   the engine (no PDEATHSIG): a git process that ends by itself leaves no lock file behind.
4. Every wait has a deadline.

Git is started by GitPython's command runner; its object layer is not used. GitPython is imported on first use,
because that costs 0.1 s of processor time, which `engine --help` need not pay.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFailure, GitError, UsageError
from engine.frozen import dataclass
from engine.git.conversations import (
    OID,
    CommitWriter,
    ObjectReader,
    RefMaker,
    TreeDiffer,
    TreeMaker,
    hint_of,
)

if TYPE_CHECKING:
    from git.cmd import Git as Runner

OLDEST_GIT = (2, 38)
IDENTITY = ("Poundlock", "engine@poundlock.invalid")

COMMANDS = frozenset(
    {
        "cat-file",
        "check-ref-format",
        "config",
        "diff-tree",
        "fast-import",
        "fetch",
        "for-each-ref",
        "hash-object",
        "init",
        "ls-files",
        "merge",
        "merge-base",
        "merge-tree",
        "mktree",
        "read-tree",
        "rev-parse",
        "show-ref",
        "status",
        "symbolic-ref",
        "update-index",
        "update-ref",
        "version",
        "worktree",
        "write-tree",
    }
)

_OVERRIDES = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.sshCommand=false",
    "core.fsync=all,-index",  # git 2.39 syncs neither loose objects nor refs by default; an index can be rebuilt
    "core.quotePath=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
)

_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_EDITOR": "false",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_AUTHOR_NAME": IDENTITY[0],
    "GIT_AUTHOR_EMAIL": IDENTITY[1],
    "GIT_COMMITTER_NAME": IDENTITY[0],
    "GIT_COMMITTER_EMAIL": IDENTITY[1],
}
_HARMLESS = (
    "GIT_SSL_",
    "GIT_HTTP_",
    "GIT_PROXY_",
    "GIT_PS1_",
    "GIT_PYTHON_",
)  # network is off; not git's
_PERSONAL = ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_STDERR_TAIL = 600
_LOCKED = re.compile(r"Unable to create '([^']+\.lock)': File exists")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a command works: in the repository `git_dir`, or in the one that git finds from `folder`.

    Without `work_tree` and `folder` a command touches no file outside `git_dir`. `folder` is for the user's
    repository only, because its configuration is read.
    """

    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command answered. `code` is one of those the caller accepted."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text, without the last line end."""
        return self.out.decode("utf-8", "surrogateescape").rstrip("\n")

    @property
    def records(self) -> list[bytes]:
        """The NUL-terminated records of the output."""
        return self.out.split(b"\0")[:-1]


class Git:
    """Runs git commands; safe to share between threads."""

    def __init__(
        self,
        *,
        lock_fd: int | None = None,
        global_config: Path | None = None,
        deadline_s: float = 600,
        home: Path | None = None,
    ) -> None:
        """`global_config`: an engine-owned file in place of the person's configuration (None: no such file).

        `home`: below it, all git is ours, so a lock that stops us after one of ours was killed was left by that one.
        """
        self._lock_fds = () if lock_fd is None else (lock_fd,)
        self._deadline_s = deadline_s
        self._home = home
        self._turns = threading.Condition()
        self._running = 0
        self._was_killed = False
        self._environment = dict(_ENVIRONMENT)
        if global_config is not None:
            self._environment["GIT_CONFIG_GLOBAL"] = str(global_config)

    def run(
        self,
        *arguments: str,
        at: Place | None = None,
        stdin: bytes = b"",
        accept: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
        personal: bool = False,
        deadline_s: float | None = None,
    ) -> Result:
        """Run one git command to its end and return its answer.

        `environment` adds variables; `personal` keeps the person's own home and configuration, for the one command
        that works on their checkout. Raises GitError for an exit code that is not in `accept`, and when the command
        was killed at its deadline.
        """
        argv = self._argv(arguments, at)
        variables = self._variables(at, environment, personal)
        limit_s = deadline_s or self._deadline_s
        code, out, err = self._execute(argv, variables, stdin, limit_s)
        if code > 0 and self._removed_left_lock(err):
            code, out, err = self._execute(argv, variables, stdin, limit_s)
        if code not in accept:
            raise _failure(arguments, at, code, err)
        return Result(code=code, out=out, err=err)

    def run_limited(self, *arguments: str, at: Place, limit_bytes: int) -> tuple[bytes, bool]:
        """Run a command that may print without end; return its first `limit_bytes` and whether that is all."""
        argv, variables = self._argv(arguments, at), self._variables(at, None, False)
        with self._launched(argv, variables) as process:
            assert process.stdout is not None  # a pipe
            assert process.stderr is not None
            watch = threading.Timer(self._deadline_s, _killed, (process,))
            watch.start()
            with process.stdout as out, process.stderr as err:
                kept = out.read(limit_bytes + 1)
                is_complete = len(kept) <= limit_bytes
                said = err.read() if is_complete else b""
            code = (process if is_complete else _killed(process)).wait()
            watch.cancel()
        if is_complete and code != 0:
            raise _failure(arguments, at, code, _text(said))
        return kept[:limit_bytes], is_complete

    def check_version(self) -> tuple[int, int]:
        """Return (major, minor) of the installed git. Raises EnvironmentFailure when it is missing or too old."""
        found = self.run("version").text
        match = re.search(r"(\d+)\.(\d+)", found)
        version = (int(match[1]), int(match[2])) if match else (0, 0)
        if version < OLDEST_GIT:
            raise EnvironmentFailure(
                "git is too old",
                expected=f"git {OLDEST_GIT[0]}.{OLDEST_GIT[1]} or newer",
                got=found,
                hint="Install a newer git.",
            )
        return version

    def reader(self, git_dir: Path) -> ObjectReader:
        """Return a reader of the objects and refs of a repository. It starts on first use; `close` it."""
        return ObjectReader(partial(self._start, git_dir), git_dir)

    def differ(self, git_dir: Path) -> TreeDiffer:
        """Return what compares trees of a repository. It starts on first use; `close` it."""
        return TreeDiffer(partial(self._start, git_dir), git_dir)

    def tree_maker(self, git_dir: Path) -> TreeMaker:
        """Return what writes trees into a repository. It starts on first use; `close` it."""
        return TreeMaker(partial(self._start, git_dir), git_dir)

    def commit_writer(self, git_dir: Path) -> CommitWriter:
        """Return what writes commits into a repository. It starts on first use; `close` it."""
        return CommitWriter(partial(self._start, git_dir), git_dir)

    def ref_maker(self, git_dir: Path) -> RefMaker:
        """Return what makes refs in a repository. It starts on first use; `close` it."""
        return RefMaker(partial(self._start, git_dir), git_dir, self._note_kill)

    def _note_kill(self) -> None:
        self._was_killed = True

    def _start(self, git_dir: Path, *arguments: str) -> Runner.AutoInterrupt:
        """Start a command that answers what is written to it, until its input ends."""
        place = Place(git_dir=git_dir)
        with self._starting() as runner:
            return runner.execute(
                self._argv(arguments, place),
                istream=subprocess.PIPE,
                as_process=True,
                env=self._variables(place, None, False),
                pass_fds=self._lock_fds,
                process_group=0,
            )

    def _argv(self, arguments: Sequence[str], at: Place | None) -> list[str]:
        if not arguments or arguments[0] not in COMMANDS:
            raise GitError(
                "this git command is not on the list",
                got=repr(arguments[:1]),
                expected="one of COMMANDS",
            )
        if any("\0" in argument for argument in arguments):
            raise GitError(f"git {arguments[0]}: an argument contains a NUL byte")
        argv = [*_without_foreign_variables(), "git"]
        for override in _OVERRIDES:
            argv += ("-c", override)
        if at is not None:
            argv += _where(at)
        return [*argv, *arguments]

    def _variables(
        self, at: Place | None, more: Mapping[str, str] | None, personal: bool
    ) -> dict[str, str]:
        variables = dict(self._environment)
        if personal:
            for name in _PERSONAL:
                del variables[name]
        if at is not None and at.index is not None:
            variables["GIT_INDEX_FILE"] = str(at.index)
        return variables | dict(more or {})

    def _execute(
        self,
        argv: list[str],
        variables: dict[str, str],
        stdin: bytes,
        deadline_s: float,
    ) -> tuple[int, bytes, str]:
        with self._launched(argv, variables, stdin) as process:
            try:
                out, err = process.communicate(timeout=deadline_s)
            except subprocess.TimeoutExpired:
                out, _ = _killed(process).communicate()
                err = f"it was not done after {deadline_s:g} s, and was killed".encode()
        self._was_killed = self._was_killed or process.returncode < 0
        return process.returncode, out, _text(err)

    @contextlib.contextmanager
    def _launched(
        self, argv: list[str], variables: dict[str, str], stdin: bytes = b""
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command that reads `stdin`; whoever asked waits for its end.

        GitPython's own waiting takes a thread for each deadline: twice the processor time of a git that does little.
        """
        with self._counted():
            with (
                self._starting() as runner,
                tempfile.TemporaryFile() if stdin else open(os.devnull, "rb") as source,
            ):
                if stdin:
                    source.write(stdin)
                    source.seek(0)
                held = runner.execute(
                    argv,
                    istream=source,
                    as_process=True,
                    env=variables,
                    pass_fds=self._lock_fds,
                    process_group=0,
                )
                process, held.proc = held.proc, None  # else it is ended when an exception comes by
            assert process is not None  # just started
            yield process

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._turns:
            self._running += 1
        try:
            yield
        finally:
            with self._turns:
                self._running -= 1
                self._turns.notify_all()

    def _removed_left_lock(self, message: str) -> bool:
        """Remove the lock that `message` complains of, if only a git of ours that was killed can have left it."""
        found = _LOCKED.search(message)
        if not self._was_killed or self._home is None or found is None:
            return False
        lock = Path(found[1])
        if not lock.is_relative_to(self._home):
            return False
        with self._turns:  # while no git of ours runs, and none can start
            is_quiet = self._turns.wait_for(lambda: self._running == 0, self._deadline_s)
            if is_quiet:
                lock.unlink(missing_ok=True)
        return is_quiet

    @contextlib.contextmanager
    def _starting(self) -> Iterator[Runner]:
        """Give GitPython's runner; what goes wrong before git speaks becomes our error."""
        try:
            from git.cmd import Git as Runner  # late, see the top of this module
            from git.exc import CommandError
        except ImportError as error:  # GitPython looks for git when it is imported
            raise _git_is_missing(str(error).strip().splitlines()[0]) from error
        try:
            yield Runner("/")
        except CommandError as error:
            raise _git_is_missing(str(error.__cause__ or "nothing on PATH")) from error
        except OSError as error:
            raise GitError("git cannot be started", got=str(error)) from error


def check_oid(value: str) -> str:
    """Return `value` if it is a full object id. Raises GitError otherwise."""
    if not OID.fullmatch(value):
        raise GitError(
            "not an object id", expected="40 or 64 lower-case hexadecimal digits", got=repr(value)
        )
    return value


def check_name(value: str, what: str) -> str:
    """Return `value` if it can be one part of a ref and of a path. Raises UsageError naming `what` otherwise.

    Stricter than git-check-ref-format(1): letters, digits, ".", "_" and "-", at most 128, first a letter or digit,
    no "..", not ending in "." or ".lock".
    """
    if not _NAME.fullmatch(value) or ".." in value or value.lower().endswith((".", ".lock")):
        raise UsageError(
            f"this {what} cannot be used for branches and folders",
            expected='letters, digits, ".", "_" and "-", beginning with a letter or digit, no "..", not ending in "." or ".lock"',
            got=repr(value),
        )
    return value


def seconds(at: datetime) -> int:
    """Return the whole seconds since 1970 that a commit carries. Raises GitError for a time without a zone."""
    if at.tzinfo is None:
        raise GitError("the date of a commit has no time zone", got=repr(at))
    return int(at.timestamp())


def _git_is_missing(found: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        "git cannot be started",
        expected=f"the program git, {OLDEST_GIT[0]}.{OLDEST_GIT[1]} or newer, on PATH",
        got=found,
        hint="Install git.",
    )


def _where(place: Place) -> list[str]:
    options = []
    if place.folder is not None or place.work_tree is not None:
        options += ["-C", str(place.folder or place.work_tree)]
    if place.git_dir is not None:
        options.append(f"--git-dir={place.git_dir}")
    if place.work_tree is not None:
        options.append(f"--work-tree={place.work_tree}")
    return options


def _without_foreign_variables() -> list[str]:
    """Return the start of a command line that drops every GIT_* variable of our own environment.

    GitPython adds to the environment and cannot take away; `env -u` can. Usually there is nothing to drop, and
    then it costs nothing. Such variables are there when the engine runs inside a git hook.
    """
    foreign = [
        name
        for name in os.environ
        if name.startswith("GIT_") and name not in _ENVIRONMENT and not name.startswith(_HARMLESS)
    ]
    return ["env", *(part for name in foreign for part in ("-u", name))] if foreign else []


def _failure(arguments: Sequence[str], at: Place | None, code: int, message: str) -> GitError:
    where = f"git {arguments[0]}" + (f" in {at.git_dir or at.folder}" if at else "")
    return GitError(
        where=where,
        expected="success",
        got=f"exit code {code}: {message[-_STDERR_TAIL:] or 'no message'}",
        hint=hint_of(message),
    )


def _killed(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Kill a command that nobody has waited for, and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process


def _text(stderr: bytes) -> str:
    return stderr.decode("utf-8", "surrogateescape").strip()
