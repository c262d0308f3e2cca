"""Rules about paths in a worker's tree. Pure: bytes and text in, answers out.

A path that git, another file system or a person's terminal could read differently from us is odd and refused; so is a
symbolic link that leaves the tree, and a file that changes what git itself does with the tree.
"""

from __future__ import annotations

import re
import unicodedata

from engine.workspaces.model import DeclaredFiles

CONTROL_FILES = frozenset({".gitattributes", ".gitmodules", ".lfsconfig"})
"""Files that steer git: drivers, filters, submodules. `.gitignore` is not one: it only hides untracked files."""

_SHORT_NAMES = re.compile(r"git~\d+|gitmod~\d+|gitatt~\d+|gi[0-9a-f]{4}~\d+")


def odd_name(path: bytes) -> str | None:
    """Return why `path` is refused for its name, or None.

    Refused: not UTF-8; control, invisible and direction-changing characters; any part that is `.git` on a file
    system that folds case, drops trailing dots and spaces, ignores some characters, has short names (`git~1`) or
    alternate streams (CVE-2014-9390, CVE-2019-1352 and their family).
    """
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            return f"its name contains U+{ord(character):04X}, which people cannot see"
    if not is_plain(text.rstrip("/")):
        return "it is no path inside the tree"
    for part in re.split(r"[/\\]", text):
        if _is_git_folder(part):
            return f'its part "{part}" names a git folder on some file systems'
    return None


def odd_prefix(path: bytes) -> bytes:
    """Return `path` up to and with its first odd part, so that one sentence covers all below it."""
    parts = path.split(b"/")
    for count in range(1, len(parts)):
        if odd_name(b"/".join(parts[:count])) is not None:
            return b"/".join(parts[:count])
    return path


def is_control_file(path: str) -> bool:
    """Whether `path` is a file by which git is steered, on any file system."""
    name = _folded(path.rsplit("/", 1)[-1])
    return name in CONTROL_FILES or _SHORT_NAMES.fullmatch(name) is not None


def leaves_tree(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` with `target` may lead out of the tree, or to a git folder in it.

    ".." is allowed at the start only. After another part it could be applied to where a second link leads
    (`link/../..`), so no such target is followed.

    >>> [leaves_tree("a/b", target) for target in ("../c", "../../c", "/etc/passwd", "c/../../..", ".git/config")]
    [False, True, True, True, True]
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    depth = path.count("/")
    below = parts[climbs:]
    return (
        target.startswith("/")
        or climbs > depth
        or ".." in below
        or any(_is_git_folder(part) for part in below)
    )


def is_plain(path: str) -> bool:
    """Whether `path` is relative, has no empty part, no "." and no "..", and can be given to the file system."""
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def is_declared(path: str, declared: DeclaredFiles) -> bool:
    """Whether a task may change `path`: named in `create` or `modify`, or below an entry that ends in "/"."""
    return any(
        path.startswith(entry) if entry.endswith("/") else path == entry
        for entry in (*declared.create, *declared.modify)
    )


def shown(path: bytes) -> str:
    """Return any path as text that is safe to print."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _is_git_folder(part: str) -> bool:
    folded = _folded(part)
    return folded == ".git" or re.fullmatch(r"git~\d+", folded) is not None


def _folded(part: str) -> str:
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return visible.split(":", 1)[0].rstrip(" .").casefold()
