"""The ledger of a run as files: byte-exact copies of committed rows, never written first.

    <folder>/000000000001.jsonl      entries from seq 1, one canonical line each, LF
    <folder>/000000065537.jsonl      the next segment; closed segments are read-only
    <folder>/checkpoints/000000001042   the signed note over the first 1042 entries
    <folder>/checkpoint              the newest of them
    <folder>/key.pub                 the C2SP key line that signed them

Invariants
- A file holds a prefix of what the database holds. A torn last line is cut; everything else that differs
  is evidence: IntegrityError, and no file is touched.
- After an error of the file system nothing more is written: the engine stops, and the next start repairs.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from engine.errors import IntegrityError, StoreError
from engine.ledger.entries import EntryType, read_entry
from engine.ledger.writing import replace_file, sync_folder

SEGMENT_ENTRIES: Final = 65_536
_PATIENCE_S: Final = 10.0
Rows = Callable[[int], Iterable[bytes]]  #: committed lines of the run behind a seq, in order

_CHECKPOINT_MARK: Final = f'"type":"{EntryType.CHECKPOINT_SIGNED}"'.encode()


class Exporter:
    """Keeps the files of one run level with its committed rows."""

    def __init__(self, folder: Path, rows: Rows, *, segment_entries: int = SEGMENT_ENTRIES) -> None:
        """Repair what a killed writer left in `folder` and catch up.

        Raises IntegrityError when the files hold anything but a prefix of `rows`, StoreError when they
        cannot be written.
        """
        self._folder = folder
        self._rows = rows
        self._segment_entries = segment_entries
        self._broken = False
        with self._reported():
            folder.mkdir(parents=True, exist_ok=True)
            with self._turn():
                self.seq = _repair(folder, rows)
                self._size = self._size_now()
        self.catch_up()

    def catch_up(self) -> int:
        """Append the rows committed since the last call, sync them to disk, and return how many they were."""
        if self._broken:
            raise StoreError(
                "the export has failed before", where=str(self._folder), hint="Start again."
            )
        before = self.seq
        with self._reported(), self._turn():
            if self._size_now() != self._size:  # another process exported meanwhile
                self.seq = _repair(self._folder, self._rows)
            lines = iter(self._rows(self.seq))
            while batch := list(islice(lines, self._room())):
                self._append(batch)
                self._write_checkpoints(batch)
            self._size = self._size_now()
        return self.seq - before

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other processes (`engine ledger export`, an engine that stood still) from writing at the same time."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        deadline = time.monotonic() + _PATIENCE_S
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise StoreError(
                            "another process writes this export and does not come to an end",
                            where=str(self._folder),
                            hint=f"Find it with: fuser {self._folder}",
                        ) from error
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def _segment(self) -> Path:
        """Return the file that the next entry belongs in."""
        return self._folder / segment_name(self.seq - self.seq % self._segment_entries + 1)

    def _size_now(self) -> int:
        path = self._segment()
        return path.stat().st_size if path.exists() else 0

    def _room(self) -> int:
        return self._segment_entries - self.seq % self._segment_entries

    def _append(self, batch: list[bytes]) -> None:
        path = self._segment()
        is_new = not path.exists()
        with path.open("ab") as file:
            file.write(b"\n".join(batch) + b"\n")
            file.flush()
            os.fdatasync(file.fileno())
        self.seq += len(batch)
        if self.seq % self._segment_entries == 0:
            path.chmod(0o444)
        if is_new:
            sync_folder(self._folder)

    def _write_checkpoints(self, batch: list[bytes]) -> None:
        for line in batch:
            if _CHECKPOINT_MARK in line and (body := read_entry(line).body):
                _write_once(self._folder / "key.pub", f"{body.get('key', '')}\n")
                note, size = str(body["note"]), int(str(body["size"]))
                _write_once(self._folder / "checkpoints" / f"{size:012}", note)
                replace_file(self._folder / "checkpoint", note)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._broken = True
            raise StoreError(
                f"the ledger export cannot be written: {error.strerror}",
                where=str(error.filename or self._folder),
                hint="Nothing is lost, the database has every entry; mend the disk and start again.",
            ) from error


def refuse_mismatch(folder: Path, rows: Rows) -> None:
    """Raise IntegrityError when `folder` holds anything but a prefix of `rows`, or a checkpoint ahead of them.

    A torn last line is no mismatch. Nothing is written. Raises StoreError when the files cannot be read.
    """
    try:
        files = segments(folder)
        if files:
            after, exported, _ = _exported(files[-1])
            _compare(files[-1], after, exported, rows)
        _refuse_newer_checkpoint(folder, rows)
    except OSError as error:
        raise StoreError(
            f"the ledger export cannot be read: {error.strerror}",
            where=str(error.filename or folder),
        ) from error


def segment_name(first: int) -> str:
    """Return the file name of the segment whose first entry is `first`."""
    return f"{first:012}.jsonl"


def segments(folder: Path) -> list[Path]:
    """Return the segment files of an exported ledger, oldest first."""
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())


# --- repair ------------------------------------------------------------------------------------------


def _repair(folder: Path, rows: Rows) -> int:
    """Cut a torn last line, compare the open segment with the rows, and return the last exported seq."""
    files = segments(folder)
    if not files:
        _refuse_newer_checkpoint(folder, rows)
        return 0
    after, exported, torn_at = _exported(files[-1])
    _compare(files[-1], after, exported, rows)
    _refuse_newer_checkpoint(folder, rows)
    if torn_at is not None:
        _cut(files[-1], torn_at)
    return after + len(exported)


def _exported(path: Path) -> tuple[int, list[bytes], int | None]:
    """Return (seq before the first, whole lines, size without the torn line or None) of a segment."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    torn_at = len(whole) if len(whole) < len(content) else None
    return int(path.stem) - 1, whole.split(b"\n")[:-1], torn_at


def _refuse_newer_checkpoint(folder: Path, rows: Rows) -> None:
    """Compare the newest signed note with the row that recorded it, in the same transaction as it was signed."""
    notes = sorted(folder.glob("checkpoints/[0-9]*"))
    if not notes:
        return
    signed = notes[-1].read_text("utf-8", "replace").split("\n")[:3]
    row = next(iter(rows(int(notes[-1].name))), None)
    body = (read_entry(row).body or {}) if row is not None and _CHECKPOINT_MARK in row else {}
    if str(body.get("note", "")).split("\n")[:3] != signed:
        raise IntegrityError(
            "the database does not hold what was signed",
            where=str(notes[-1]),
            expected=f"the checkpoint over {int(notes[-1].name)} entries as the entry behind them",
            got="another entry" if row is not None else "an older database, which ends before",
            hint="Keep the engine home as it is, find the newer database, and run: engine ledger verify",
        )


def _compare(path: Path, after: int, exported: list[bytes], rows: Rows) -> None:
    committed = iter(rows(after))
    for seq, line in enumerate(exported, after + 1):
        row = next(committed, None)
        if row is None:
            raise IntegrityError(
                "the export is longer than the database",
                where=f"{path}, entry {seq}",
                hint="The database was replaced by an older one, or the file was written to. Keep both and compare.",
            )
        if row != line:
            raise IntegrityError(
                "the export differs from the database",
                where=f"{path}, entry {seq}",
                hint="Keep both files and run: engine ledger verify",
            )


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())


# --- small files -------------------------------------------------------------------------------------


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        replace_file(path, text)
