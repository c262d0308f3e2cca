"""Digests of programs that were started."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from engine.programs import ProgramDigests


def test_a_file_has_the_digest_of_its_bytes_and_a_new_one_another(tmp_path: Path) -> None:
    program, digests = tmp_path / "tool", ProgramDigests()
    program.write_bytes(b"one")
    first = digests.of(program)
    os.replace(_written(tmp_path / "new", b"two"), program)
    assert (first, digests.of(program)) == tuple(
        f"sha256:{hashlib.sha256(content).hexdigest()}" for content in (b"one", b"two")
    )


def test_what_cannot_be_read_as_a_file_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 33 * 1024 * 1024)
    names = ("pipe", "huge", "missing", ".")
    assert [ProgramDigests().of(tmp_path / name) for name in names] == [""] * 4


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
