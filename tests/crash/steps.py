"""The durable steps of a program and all it starts, announced one by one before they happen.

The kernel stops each thread that is about to sync, write, rename, link, delete or start a program, and asks us
(seccomp_unotify(2), Linux 5.5). So steps are counted over all processes, git children included, and a kill or an
error comes at exactly the step that was meant. (strace counts per thread, and misses half of them.)

    child:   send_listener(socket)          # just before it runs what is watched
    parent:  watch(socket, rule, until)     # rule(step) -> None: let it happen; errno: fail it
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import re
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

#: name -> number (x86_64, aarch64; None: the machine has no such call)
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "write": (1, 64),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "pwritev": (296, 70),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rmdir": (84, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "execve": (59, 221),
}
_BY_DESCRIPTOR = {
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
}
#: which arguments are (folder descriptor, path); None: relative to the working folder
_PATHS: dict[str, tuple[tuple[int | None, int], ...]] = {
    "truncate": ((None, 0),),
    "rename": ((None, 0), (None, 1)),
    "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)),
    "link": ((None, 0), (None, 1)),
    "linkat": ((0, 1), (2, 3)),
    "unlink": ((None, 0),),
    "unlinkat": ((0, 1),),
    "rmdir": ((None, 0),),
    "mkdir": ((None, 0),),
    "mkdirat": ((0, 1),),
    "symlink": ((None, 1),),
    "symlinkat": ((1, 2),),
    "execve": ((None, 0),),
}
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}

#: digests, their first two digits as folders, ids of runs and processes; names that mkstemp(3) and mkdtemp made
_HEXADECIMAL = re.compile(r"^[0-9a-f]{2}$|(?=[0-9a-f]*[0-9])[0-9a-f]{4,}")
_TEMPORARY = re.compile(r"tmp[_A-Za-z0-9*]+|^t[A-Za-z0-9]{6}$")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctls SECCOMP_IOCTL_NOTIF_RECV, _SEND
_CONTINUE = 1
_USER_NOTIF, _ALLOW = 0x7FC00000, 0x7FFF0000
_QUESTION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One system call that is about to happen. `paths` are absolute; the last is what is made or changed."""

    call: str
    pid: int
    paths: tuple[str, ...]

    @cached_property
    def program(self) -> str:
        """Who takes the step: "engine", "git COMMAND", or another program; known only while it waits."""
        return _program(self.pid)

    def name(self, root: Path) -> str:
        """Return "program call path" with the path below `root` and its numbers and digests blurred."""
        path = self.paths[-1] if self.paths else ""
        return f"{self.program} {self.call} {blurred(path.removeprefix(f'{root}/'))}"


Rule = Callable[[Step], int | None]


def is_supported() -> bool:
    """Return whether this kernel announces system calls."""
    try:
        known = Path("/proc/sys/kernel/seccomp/actions_avail").read_text("ascii").split()
    except OSError:
        return False
    return "user_notif" in known and platform.machine() in _MACHINES


def send_listener(channel: socket.socket) -> None:
    """Announce every watched call of this process and its children from here on, on a descriptor sent over `channel`."""
    column, architecture, seccomp = _MACHINES[platform.machine()]
    numbers = sorted(n for n in (pair[column] for pair in _CALLS.values()) if n is not None)
    program = _filter(architecture, numbers)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: without it only root may
    descriptor = libc.syscall(seccomp, 1, 1 << 3, header)  # SET_MODE_FILTER, NEW_LISTENER
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "the kernel does not announce system calls here")
    # send_fds would write nothing that is watched either: sendmsg is not on the list
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    channel.sendmsg([b"x"], ancillary)
    os.close(descriptor)


def watch(channel: socket.socket, rule: Rule, *, limit_s: float, ended: Callable[[], bool]) -> bool:
    """Answer every announced call by `rule` until `ended()`; return False when that took longer than `limit_s`.

    `ended` is asked when nothing was announced for a moment.
    """
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        return True
    listener = descriptors[0]
    deadline = time.monotonic() + limit_s
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    try:
        while time.monotonic() < deadline:
            happened = poll.poll(20)
            if happened and happened[0][1] & select.POLLIN:
                _answer(listener, rule)
            elif ended():
                return True
        return False
    finally:
        os.close(listener)


def blurred(path: str) -> str:
    """Return `path` with what differs from run to run (digests, run ids, process ids) as `*`."""
    return "/".join(_TEMPORARY.sub("tmp*", _HEXADECIMAL.sub("*", part)) for part in path.split("/"))


# --- the kernel's side -------------------------------------------------------------------------------


def _filter(architecture: int, numbers: list[int]) -> bytes:
    def step(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    count = len(numbers)
    program = [step(0x20, 0, 0, 4), step(0x15, 0, count + 1, architecture), step(0x20, 0, 0, 0)]
    for position, number in enumerate(numbers):
        program.append(step(0x15, count - position, 0, number))
    return b"".join([*program, step(0x06, 0, 0, _ALLOW), step(0x06, 0, 0, _USER_NOTIF)])


def _answer(listener: int, rule: Rule) -> None:
    question = bytearray(_QUESTION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, question)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):  # the thread was killed meanwhile
            return
        raise
    ident, pid, _, number, _, _, *arguments = _QUESTION.unpack(question)
    failed = rule(_step(pid, number, arguments))
    response = _ANSWER.pack(ident, 0, -failed if failed else 0, 0 if failed else _CONTINUE)
    try:
        fcntl.ioctl(listener, _SEND, response)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _step(pid: int, number: int, arguments: list[int]) -> Step:
    column = _MACHINES[platform.machine()][0]
    call = _names(column)[number]
    if call in _BY_DESCRIPTOR:
        paths: tuple[str, ...] = (_link(f"/proc/{pid}/fd/{arguments[0]}"),)
    else:
        paths = tuple(
            _path(pid, None if folder is None else arguments[folder], arguments[at])
            for folder, at in _PATHS[call]
        )
    return Step(call=call, pid=pid, paths=paths)


@cache
def _names(column: int) -> dict[int, str]:
    pairs = ((pair[column], name) for name, pair in _CALLS.items())
    return {number: name for number, name in pairs if number is not None}


def _path(pid: int, folder: int | None, address: int) -> str:
    path = _text_at(pid, address)
    if path.startswith("/"):
        return path
    descriptor = None if folder is None else ctypes.c_int32(folder & 0xFFFFFFFF).value
    base = "cwd" if descriptor in (None, -100) else f"fd/{descriptor}"
    return os.path.normpath(f"{_link(f'/proc/{pid}/{base}')}/{path}")


def _text_at(pid: int, address: int) -> str:
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            content = memory.read(min(4096, 4096 - address % 4096))
            if b"\0" not in content:
                content += memory.read(4096)
    except OSError:
        return ""
    return content.partition(b"\0")[0].decode("utf-8", "replace")


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    names = [os.path.basename(word.decode("utf-8", "replace")) for word in words if word]
    if not names:
        return "?"
    if names[0].startswith("git"):
        return " ".join(["git", *(n for n in names[1:] if n in _GIT_COMMANDS)][:2])
    return "engine" if names[0].startswith("python") else names[0]


_GIT_COMMANDS = frozenset(
    [
        "cat-file",
        "diff-tree",
        "fast-import",
        "fetch",
        "for-each-ref",
        "hash-object",
        "index-pack",
        "init",
        "ls-files",
        "maintenance",
        "merge-base",
        "merge-tree",
        "mktree",
        "pack-objects",
        "read-tree",
        "rev-list",
        "rev-parse",
        "show-ref",
        "symbolic-ref",
        "unpack-objects",
        "update-index",
        "update-ref",
        "upload-pack",
        "version",
        "write-tree",
        "config",
        "status",
        "worktree",
        "gc",
    ]
)
