"""Reading a repository that nobody has to trust: its objects through a bare repository of our own.

Git takes programs to run (merge drivers, filters, hooks) from a repository's configuration. So only refs are read where
they are; objects are read through an empty repository with the other's object folder as its alternate. Nothing is
written to the repository under audit, and every object that counts is hashed here.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from engine.errors import EnvironmentFailure, UsageError

DEADLINE_S: Final = 600
_OID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_ENVIRONMENT: Final = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "audit",
    "GIT_AUTHOR_EMAIL": "audit@invalid",
    "GIT_COMMITTER_NAME": "audit",
    "GIT_COMMITTER_EMAIL": "audit@invalid",
    "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_DATE": "@0 +0000",
}
_OVERRIDES: Final = (
    "-c",
    "safe.directory=*",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
)


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit as its bytes say. `trailers` are the `Name: value` lines of its last paragraph."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    trailers: dict[str, str]


class Objects:
    """The objects and refs of one repository. Made by `opened`."""

    def __init__(self, git_dir: Path, scratch: Path) -> None:
        self._git_dir = git_dir
        self._scratch = scratch
        self._reader: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the reading process."""
        if self._reader is not None and self._reader.stdin is not None:
            self._reader.stdin.close()
            self._reader.wait(DEADLINE_S)
            if self._reader.stdout is not None:
                self._reader.stdout.close()

    def ref(self, name: str) -> str | None:
        """Return the commit that the ref of exactly that name points at, or None."""
        if not name.startswith("refs/"):
            return None
        told = _git(
            "for-each-ref", "--format=%(refname) %(objectname)", name, git_dir=self._git_dir
        )
        listed = dict(
            line.split(" ", 1) for line in told.stdout.decode("utf-8", "replace").splitlines()
        )
        return listed.get(name)

    def commit(self, oid: str) -> Commit | None:
        """Return a commit, or None when it is missing, another kind of object, or not what its name says."""
        kind, content = self.read(oid)
        return _commit(oid, content) if kind == "commit" and is_intact(oid, kind, content) else None

    def read(self, oid: str) -> tuple[str, bytes]:
        """Return (kind, content) of an object; ("", b"") when it cannot be read, or `oid` is no full id."""
        if not _OID.fullmatch(oid):
            return "", b""
        if self._reader is None:
            self._reader = subprocess.Popen(
                ["git", *_OVERRIDES, f"--git-dir={self._scratch}", "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
            )
        assert self._reader.stdin is not None  # asked for above
        assert self._reader.stdout is not None  # asked for above
        try:
            return _ask(self._reader.stdin, self._reader.stdout, oid)
        except (OSError, ValueError):  # git gives up on an object that is torn
            self._reader = None
            return "", b""

    def merged_tree(self, ours: str, theirs: Sequence[str]) -> str:
        """Return the tree of merging `theirs` into `ours`, one after the other, or "" when they conflict."""
        tree = ""
        for position, source in enumerate(theirs, start=1):
            done = _git(
                *("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, source),
                git_dir=self._scratch,
            )
            if done.returncode != 0:
                return ""
            tree = done.stdout.split(b"\0", 1)[0].decode()
            if position < len(theirs):
                made = _git(
                    *("commit-tree", tree, "-p", ours, "-p", source, "-m", "step"),
                    git_dir=self._scratch,
                )
                ours = made.stdout.decode().strip()
        return tree

    def introduced(self, tip: str, base: str) -> list[str] | None:
        """Return the ids of all objects reachable from `tip` and not from `base`; None when some are missing."""
        done = _git(
            *("rev-list", "--objects", "--no-object-names", "--end-of-options", tip, f"^{base}"),
            git_dir=self._scratch,
        )
        return done.stdout.decode().split() if done.returncode == 0 else None


@contextmanager
def opened(repository: Path) -> Iterator[Objects]:
    """Open a repository to read: a bare one, one with a checkout, or a worktree of one.

    Raises UsageError when there is none, EnvironmentFailure when git cannot be run.
    """
    found = _git("rev-parse", "--path-format=absolute", "--git-common-dir", folder=repository)
    if found.returncode != 0:
        raise UsageError(where=str(repository), expected="a git repository", got="none")
    git_dir = Path(found.stdout.decode().strip())
    form = _git("rev-parse", "--show-object-format", git_dir=git_dir).stdout.decode().strip()
    with tempfile.TemporaryDirectory(prefix="poundlock-audit-") as place:
        scratch = Path(place)
        _git("init", "--quiet", "--bare", "--template=", f"--object-format={form}", str(scratch))
        alternates = scratch / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_text(f"{git_dir / 'objects'}\n", "utf-8")
        objects = Objects(git_dir, scratch)
        try:
            yield objects
        finally:
            objects.close()


def is_intact(oid: str, kind: str, content: bytes) -> bool:
    """Tell whether the name of an object is the hash of what it holds."""
    algorithm = hashlib.sha1 if len(oid) == 40 else hashlib.sha256
    framed = f"{kind} {len(content)}\0".encode() + content
    return algorithm(framed, usedforsecurity=False).hexdigest() == oid


def _git(
    *arguments: str, git_dir: Path | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    place = [f"--git-dir={git_dir}"] if git_dir else ["-C", str(folder)] if folder else []
    try:
        return subprocess.run(
            ["git", *_OVERRIDES, *place, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=DEADLINE_S,
            env=_ENVIRONMENT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure("git cannot be run", got=str(error)) from error


def _ask(question: IO[bytes], answer: IO[bytes], oid: str) -> tuple[str, bytes]:
    question.write(f"{oid}\n".encode())
    question.flush()
    head = answer.readline().split()
    if len(head) != 3:
        if not head:
            raise ValueError("git ended")
        return "", b""
    content = answer.read(int(head[2]))
    answer.read(1)
    return head[1].decode(), content


def _commit(oid: str, content: bytes) -> Commit:
    head, _, message = content.decode("utf-8", "replace").partition("\n\n")
    fields = [line.partition(" ") for line in head.split("\n")]
    last = message.rstrip("\n").rpartition("\n\n")[2]
    trailers = [line.partition(": ") for line in last.split("\n")]
    return Commit(
        oid=oid,
        tree=next((value for name, _, value in fields if name == "tree"), ""),
        parents=tuple(value for name, _, value in fields if name == "parent"),
        trailers={name: value for name, colon, value in trailers if colon},
    )
