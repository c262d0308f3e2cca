"""Git processes that stay: each is asked over its input and answers on its output, until it is closed.

An answer costs about 0.05 ms, a git process of its own 2 ms and more. What they read may be made after they started.
One that died (killed by hand, out of memory) is started anew once; a second death in the same question is an error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import select
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from engine.errors import GitError
from engine.frozen import dataclass

if TYPE_CHECKING:
    from git.cmd import Git as Runner

    Start = Callable[..., Runner.AutoInterrupt]  # of the arguments of a git command

T = TypeVar("T")
COMMIT_DRAFT = "commit-draft."  #: how the names of those files begin
DEADLINE_S = 600.0  #: for an answer to begin
_LAST_WORDS = 600  #: bytes
_MOST_QUESTIONS = 1000  #: to one process, which remembers all trees that it has read
OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_TYPES = {"040000": "tree", "160000": "commit"}  # of a mode; all others are those of blobs


@dataclass(frozen=True, kw_only=True)
class GitObject:
    """One object of a repository. `size` counts its bytes; `content` is empty when only its head was asked for."""

    oid: str
    type: str
    size: int
    content: bytes = b""


@dataclass(frozen=True, kw_only=True)
class TreeChange:
    """One path that two trees do not have alike: what the new one has there, and how many lines came and went.

    `status` is git's letter; `lines` is None for binary files.
    """

    path: bytes
    status: str
    mode: str
    oid: str
    lines: tuple[int, int] | None = None


class _Conversation:
    """One git process of a repository that is asked again and again; safe to share between threads."""

    def __init__(self, start: Start, git_dir: Path, *command: str) -> None:
        self._start = start
        self._git_dir = git_dir
        self._command = command
        self._lock = threading.Lock()
        self._running: Runner.AutoInterrupt | None = None
        self._questions = 0
        self._tell_killed: Callable[[], None] | None = None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _ask(self, request: bytes, read: Callable[[IO[bytes]], T]) -> T:
        """Write `request` and return what `read` makes of the answer; it raises EOFError when the answer is cut short."""
        with self._lock:
            try:
                return self._exchange(request, read)
            except (OSError, EOFError):
                self._stop()
            try:
                return self._exchange(request, read)
            except (OSError, EOFError) as error:
                said = self._stop()
                raise GitError(
                    f"git {self._command[0]} in {self._git_dir} ended",
                    got=said or str(error),
                    hint=hint_of(said),
                ) from error

    def _exchange(self, request: bytes, read: Callable[[IO[bytes]], T]) -> T:
        if self._questions >= _MOST_QUESTIONS:
            self._stop()
        if self._running is None:
            self._running = self._start(*self._command)
            self._questions = 0
        self._questions += 1
        process = self._running.proc
        if process is None or process.stdin is None or process.stdout is None:
            raise EOFError("it has no pipes")
        process.stdin.write(request)
        process.stdin.flush()
        if not _answers(process.stdout):
            process.kill()
            raise EOFError(f"no answer within {DEADLINE_S:g} s")
        return read(process.stdout)

    def _stop(self) -> str:
        """End the process, if there is one, and return its last words."""
        running, self._running = self._running, None
        if running is None or running.proc is None:
            return ""
        process = running.proc
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdin = None
        said: bytes = process.communicate()[1]
        if process.returncode < 0 and self._tell_killed is not None:
            self._tell_killed()
        return said[-_LAST_WORDS:].decode("utf-8", "replace").strip()


def _answers(output: IO[bytes]) -> bool:
    """Wait until there is something to read, or the deadline is over; nothing is left of earlier answers."""
    poll = select.poll()
    poll.register(output, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(DEADLINE_S * 1000))


def hint_of(message: str) -> str:
    """Return what to do about what git said, or ""."""
    is_full = os.strerror(errno.ENOSPC) in message or "No space left on device" in message
    return "Free some disk space and run again." if is_full else ""


class ObjectReader(_Conversation):
    """Reads objects and refs of one repository (git-cat-file(1), `--batch-command`)."""

    def __init__(self, start: Start, git_dir: Path) -> None:
        super().__init__(start, git_dir, "cat-file", "--batch-command", "-z")

    def resolve(self, revision: str) -> str | None:
        """Return the id of `revision` (an id, a full ref name, `id^{tree}`, `id:path`), or None when it is not there."""
        found = self.look(revision)
        return None if found is None else found.oid

    def look(self, revision: str) -> GitObject | None:
        """Return id, type and size of an object, or None."""
        return self._ask_for("info", revision)

    def read(self, revision: str) -> GitObject | None:
        """Return an object with its content, or None."""
        return self._ask_for("contents", revision)

    def _ask_for(self, command: str, revision: str) -> GitObject | None:
        if not revision or any(character in revision for character in "\0\n"):
            return None
        request = f"{command} {revision}\0".encode("utf-8", "surrogateescape")
        return self._ask(request, lambda answer: _object(answer, command == "contents"))


class TreeDiffer(_Conversation):
    """Compares trees of one repository (git-diff-tree(1), `--stdin`)."""

    def __init__(self, start: Start, git_dir: Path) -> None:
        plain = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
        form = ("-r", "-z", "--raw", "--numstat", "--no-abbrev", *plain)
        super().__init__(start, git_dir, "diff-tree", "--stdin", *form)

    def diff(self, old: str, new: str) -> list[TreeChange]:
        """Return what differs between two trees, by their ids. Raises GitError when one is no tree."""
        # git says again what is no object id: so we know where the answer ends
        end = f"end {secrets.token_hex(8)}\n".encode()
        head = f"{old} {new}\n".encode()
        lines = self._ask(head + end, lambda answer: _lines_until(answer, end))
        if lines[:1] != [head]:
            raise GitError(
                f"git diff-tree in {self._git_dir}",
                expected="two trees that are there",
                got=f"{old} {new}",
            )
        return _changes(b"".join(lines[1:]).split(b"\0")[:-1])


class TreeMaker(_Conversation):
    """Writes trees of one repository (git-mktree(1), `--batch`)."""

    def __init__(self, start: Start, git_dir: Path) -> None:
        super().__init__(start, git_dir, "mktree", "-z", "--batch")

    def make(self, entries: Iterable[tuple[str, str, bytes]]) -> str:
        """Write the tree of (mode, id, name) entries, in any order, and return its id. Raises GitError for a bad entry."""
        lines = [
            f"{mode} {_TYPES.get(mode, 'blob')} {oid}\t".encode() + name + b"\0"
            for mode, oid, name in entries
        ]
        return self._ask(b"".join(lines) + b"\0", _id_line)


class CommitWriter(_Conversation):
    """Writes commits into one repository (git-hash-object(1), `--stdin-paths`: it reads files, so each lies in one a moment)."""

    def __init__(self, start: Start, git_dir: Path) -> None:
        super().__init__(
            start, git_dir, "hash-object", "-t", "commit", "-w", "--stdin-paths", "--no-filters"
        )
        self._numbers = count(1)

    def write(self, content: bytes) -> str:
        """Write a commit as git stores it and return its id. Raises GitError when it is malformed or cannot be written."""
        draft = self._git_dir / f"{COMMIT_DRAFT}{os.getpid()}.{next(self._numbers)}"
        try:
            draft.write_bytes(content)
            return self._ask(os.fsencode(draft) + b"\n", _id_line)
        except OSError as error:
            told = str(error)
            raise GitError(
                where=str(draft), expected="a file", got=told, hint=hint_of(told)
            ) from error
        finally:
            draft.unlink(missing_ok=True)


class RefMaker(_Conversation):
    """Makes refs of one repository (git-update-ref(1), `--stdin`); moves none."""

    def __init__(self, start: Start, git_dir: Path, tell_killed: Callable[[], None]) -> None:
        """`tell_killed` is called when somebody has killed the process: it may have left a lock."""
        super().__init__(start, git_dir, "update-ref", "-z", "--stdin")
        self._tell_killed = tell_killed

    def make(self, ref: str, oid: str) -> None:
        """Make a ref. Raises GitError when that is not possible: it may be there."""
        self._ask(f"start\0create {ref}\0{oid}\0commit\0".encode(), _expect_made)


def _expect_made(answer: IO[bytes]) -> None:
    for expected in (b"start: ok\n", b"commit: ok\n"):
        if answer.readline() != expected:
            raise EOFError("the ref was not made")


def read_tree(content: bytes, oid_size: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield the (mode, id, name) entries in the content of a tree; `oid_size`: bytes of an id, 20 or 32."""
    position = 0
    while position < len(content):
        mode_end = content.index(b" ", position)
        name_end = content.index(b"\0", mode_end)
        after = name_end + 1 + oid_size
        mode = content[position:mode_end].decode().zfill(6)
        yield mode, content[name_end + 1 : after].hex(), content[mode_end + 1 : name_end]
        position = after


def _id_line(answer: IO[bytes]) -> str:
    line = answer.readline().decode("ascii", "replace").rstrip("\n")
    if not OID.fullmatch(line):
        raise EOFError("no answer")
    return line


def _object(answer: IO[bytes], with_content: bool) -> GitObject | None:
    head = answer.readline()
    if not head.endswith(b"\n"):
        raise EOFError("no answer")
    fields = head.decode("utf-8", "surrogateescape").split()
    if len(fields) != 3 or not OID.fullmatch(fields[0]) or not fields[2].isdigit():
        return None  # "… missing" or "… ambiguous"
    size = int(fields[2])
    content = _read_exactly(answer, size + 1)[:-1] if with_content else b""
    return GitObject(oid=fields[0], type=fields[1], size=size, content=content)


def _changes(records: Sequence[bytes]) -> list[TreeChange]:
    """Read `-z --raw --numstat`: pairs ":old new oid oid status", path; then "added TAB deleted TAB path"."""
    changes: dict[bytes, TreeChange] = {}
    rest = iter(records)
    for record in rest:
        if record.startswith(b":"):
            _, mode, _, oid, status = record.decode().split()
            path = next(rest)
            changes[path] = TreeChange(path=path, status=status[0], mode=mode, oid=oid)
            continue
        added, deleted, path = record.split(b"\t", 2)
        if added != b"-":
            changes[path] = replace(changes[path], lines=(int(added), int(deleted)))
    return list(changes.values())


def _read_exactly(source: IO[bytes], size: int) -> bytes:
    content = source.read(size)
    if len(content) != size:
        raise EOFError("the answer is cut short")
    return content


def _lines_until(answer: IO[bytes], end: bytes) -> list[bytes]:
    """Return the lines before the line `end`; a name in them may hold line ends, but not one that nobody could guess."""
    lines: list[bytes] = []
    while (line := answer.readline()) != end:
        if not line:
            raise EOFError("the answer is cut short")
        if line.endswith(end):  # after the last NUL
            return [*lines, line.removesuffix(end)]
        lines.append(line)
    return lines
