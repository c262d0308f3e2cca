"""Large values by digest: `blobs/sha256/ab/cdef…`, written and synced before any commit that names them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import Final

from engine.errors import IntegrityError, StoreError

_AT_ONCE: Final = 8
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")


class Blobs:
    """The blobs of an engine home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "blobs" / "sha256"

    def put(self, content: bytes) -> str:
        """Return "sha256:<hex>" once `content` is on disk under it. Raises StoreError when it cannot be written."""
        digest, path = self._named(content)
        with _told(path):
            if not path.exists():
                _write(path, content)
                _sync_folder(path.parent)
                _sync_folder(self._folder)
        return digest

    def put_all(self, contents: Iterable[bytes]) -> None:
        """Return once all are on disk. They are synced at the same time, which the disk answers with few writes."""
        with _told(self._folder):
            named = {path: content for content in contents for _, path in [self._named(content)]}
            missing = {path: content for path, content in named.items() if not path.exists()}
            if not missing:
                return
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                list(threads.map(_write, missing, missing.values()))
                list(threads.map(_sync_folder, {path.parent for path in missing}))
            _sync_folder(self._folder)

    def get(self, digest: str) -> bytes:
        """Return the content of `digest`. Raises IntegrityError when it is missing or not what it was."""
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise IntegrityError(
                "a blob that the ledger names is missing", where=str(path)
            ) from error
        except OSError as error:
            raise StoreError(f"a blob cannot be read: {error.strerror}", where=str(path)) from error
        if f"sha256:{sha256(content).hexdigest()}" != digest:
            raise IntegrityError("a blob is not what its name says", where=str(path))
        return content

    def _path(self, digest: str) -> Path:
        parts = _DIGEST.fullmatch(digest)
        if parts is None:
            raise IntegrityError(expected="a digest sha256:<64 hex digits>", got=repr(digest))
        return self._folder / parts[1] / parts[2]

    def _named(self, content: bytes) -> tuple[str, Path]:
        digest = f"sha256:{sha256(content).hexdigest()}"
        return digest, self._path(digest)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = str(error.filename or path)
        raise StoreError(
            f"a large value cannot be stored: {error.strerror}", where=where
        ) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
