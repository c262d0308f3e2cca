"""What may be taken from a worker's folder: each listed path is looked at, never followed, and taken or refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.workspaces import paths
from engine.workspaces.model import DeclaredFiles, Refusal

LARGEST_FILE_BYTES = 100 * 1024 * 1024

_ORDINARY = (stat.S_IFREG, stat.S_IFLNK)


class Inspection:
    """Sorts listed paths into those to take and refusals, looking at each with lstat."""

    def __init__(self, root: bytes, declared: DeclaredFiles) -> None:
        self.take: list[bytes] = []
        self.refused: dict[str, Refusal] = {}
        self._root = root
        self._declared = declared
        self._is_link: dict[bytes, bool] = {}

    def look_at(self, path: bytes) -> None:
        """Take or refuse one path. What lies behind a symbolic link is neither: the link itself is listed as well."""
        refusal = self._by_name(path)
        if refusal is None and not self._is_behind_link(path):
            refusal = self._by_kind(path)
            if refusal is None:
                self.take.append(path)
        if refusal is not None:
            self.refused.setdefault(refusal.path, refusal)

    def _by_name(self, path: bytes) -> Refusal | None:
        reason = paths.odd_name(path)
        if reason is not None:
            name = paths.shown(paths.odd_prefix(path))
            return Refusal(code="odd_path", path=name, message=f"{name}: {reason}")
        text = path.decode("utf-8")
        if text.endswith("/"):
            return nested_repository(text.rstrip("/"))
        if paths.is_control_file(text) and not paths.is_declared(text, self._declared):
            message = f"{text}: this file steers git and the task does not declare it"
            return Refusal(code="control_file", path=text, message=message)
        return None

    def _is_behind_link(self, path: bytes) -> bool:
        parts = path.split(b"/")
        return any(self._link(b"/".join(parts[:count])) for count in range(1, len(parts)))

    def _link(self, folder: bytes) -> bool:
        if folder not in self._is_link:
            self._is_link[folder] = os.path.islink(os.path.join(self._root, folder))
        return self._is_link[folder]

    def _by_kind(self, path: bytes) -> Refusal | None:
        full = os.path.join(self._root, path)
        name = path.decode("utf-8")
        try:
            found = os.lstat(full)
            if stat.S_ISLNK(found.st_mode):
                return symlink_escape(name, os.fsdecode(os.readlink(full)))
            if stat.S_ISREG(found.st_mode):
                return _too_large(name, found.st_size) or _unreadable(name, full)
        except (FileNotFoundError, NotADirectoryError):
            return None  # deleted: taken as such
        except PermissionError:
            return _closed(name)
        if stat.S_ISDIR(found.st_mode):
            return (
                None  # a folder where a file was: the file is deleted, and what is below is listed
            )
        message = f"{name}: it is neither a file, a folder nor a symbolic link"
        return Refusal(code="special_file", path=name, message=message)


def nested_repository(path: str) -> Refusal:
    message = (
        f"{path}: it is a git repository of its own, so its files belong to no commit of this one"
    )
    return Refusal(code="nested_repository", path=path, message=message)


def symlink_escape(path: str, target: str) -> Refusal | None:
    if not paths.leaves_tree(path, target):
        return None
    message = f"{path}: a symbolic link to {target!r}, which may lead out of the tree"
    return Refusal(code="symlink_escape", path=path, message=message)


def remove_planted(folder: Path) -> tuple[Refusal, ...]:
    """Remove pipes and devices that git would open as its own control files, and wait on. They hold no work."""
    refusals = []
    for root, _, files in os.walk(folder):
        for name in (".gitignore", ".gitattributes"):
            path = Path(root, name)
            if name in files and stat.S_IFMT(path.lstat().st_mode) not in _ORDINARY:
                path.unlink()
                shown = paths.shown(os.fsencode(path.relative_to(folder)))
                message = (
                    f"{shown}: a pipe or device in place of a file that git reads; it was removed"
                )
                refusals.append(Refusal(code="special_file", path=shown, message=message))
    return tuple(refusals)


def _too_large(path: str, size: int) -> Refusal | None:
    if size <= LARGEST_FILE_BYTES:
        return None
    message = f"{path}: expected at most {LARGEST_FILE_BYTES} bytes, but it has {size}"
    return Refusal(code="too_large", path=path, message=message)


def _unreadable(path: str, full: bytes) -> Refusal | None:
    try:
        os.close(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
    except OSError:
        return _closed(path)
    return None


def _closed(path: str) -> Refusal:
    return Refusal(code="unreadable", path=path, message=f"{path}: the engine may not read it")
