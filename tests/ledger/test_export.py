"""The export: a prefix of what is committed, mended when torn, refused when it differs."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime

import pytest

from engine.errors import IntegrityError, StoreError
from engine.ledger import EntryType, Head, note, seal
from engine.ledger.checkpoints import SigningKey, sign_checkpoint
from engine.ledger.entries import after
from engine.ledger.export import Exporter, refuse_mismatch, segments
from engine.ledger.merkle import Frontier

AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)


def rows_of(lines):
    return lambda after: lines[after:]


def test_files_are_byte_exact_and_closed_segments_read_only(tmp_path):
    lines = [b"line %d" % n for n in range(1, 8)]
    exporter = Exporter(tmp_path, rows_of(lines), segment_entries=3)
    assert exporter.seq == 7
    assert {path.name: path.read_bytes() for path in segments(tmp_path)} == {
        "000000000001.jsonl": b"line 1\nline 2\nline 3\n",
        "000000000004.jsonl": b"line 4\nline 5\nline 6\n",
        "000000000007.jsonl": b"line 7\n",
    }
    modes = [stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path)]
    assert [mode & 0o222 == 0 for mode in modes] == [True, True, False]


@pytest.mark.parametrize("segment_entries", [2, 3, 100])
def test_two_exporters_of_one_run_write_every_row_once(tmp_path, segment_entries):
    lines = [b"line %d" % n for n in range(1, 4)]
    first = Exporter(tmp_path, rows_of(lines), segment_entries=segment_entries)
    second = Exporter(tmp_path, rows_of(lines), segment_entries=segment_entries)
    lines += [b"line %d" % n for n in range(4, 10)]
    second.catch_up()
    first.catch_up()  # as an engine that stood still while another took over
    written = b"".join(path.read_bytes() for path in segments(tmp_path))
    assert written == b"".join(line + b"\n" for line in lines)
    assert (first.seq, second.seq) == (9, 9)


def test_later_rows_are_appended_once(tmp_path):
    lines = [b"one", b"two"]
    exporter = Exporter(tmp_path, rows_of(lines), segment_entries=3)
    lines += [b"three", b"four"]
    assert (exporter.catch_up(), exporter.catch_up()) == (2, 0)
    assert b"".join(path.read_bytes() for path in segments(tmp_path)) == b"one\ntwo\nthree\nfour\n"


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_file_torn_anywhere_is_completed(tmp_path, cut):
    lines = [b"one", b"two", b"three"]
    Exporter(tmp_path, rows_of(lines))
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    assert Exporter(tmp_path, rows_of(lines)).seq == 3
    assert path.read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\nTWO\nthree\n", "entry 2: the export differs from the database"),
        (b"one\nthree\n", "entry 2: the export differs from the database"),
        (b"one\ntwo\nthree\nfour\n", "entry 4: the export is longer than the database"),
        (b"one\ntwo\nthree\nfour\nfi", "entry 4: the export is longer than the database"),
    ],
)
def test_a_file_that_differs_is_evidence_and_stays_as_it_is(tmp_path, content, message):
    path = tmp_path / "000000000001.jsonl"
    path.write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        Exporter(tmp_path, rows_of([b"one", b"two", b"three"]))
    assert message in str(caught.value)
    assert path.read_bytes() == content


def test_after_a_failed_sync_nothing_more_is_written(tmp_path, monkeypatch):
    lines = [b"one"]
    exporter = Exporter(tmp_path, rows_of(lines))
    lines.append(b"two")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(
            StoreError, match="the ledger export cannot be written: Input/output error"
        ):
            exporter.catch_up()
    with pytest.raises(StoreError, match="the export has failed before"):
        exporter.catch_up()
    assert Exporter(tmp_path, rows_of(lines)).seq == 2
    assert segments(tmp_path)[0].read_bytes() == b"one\ntwo\n"


def rows_with_a_checkpoint() -> list[bytes]:
    key = SigningKey(bytes(range(32)))
    created = seal(
        Head("r1", 1), note(EntryType.RUN_CREATED, AT, {"feature": "f", "bundle": "0" * 64})
    )
    root = Frontier().grown([created.line]).root()
    signed = {
        "size": 1,
        "root": root.hex(),
        "note": sign_checkpoint(key, "r1", 1, root),
        "key": key.key_line("r1"),
    }
    second = seal(after(Head("r1", 1), created), note(EntryType.CHECKPOINT_SIGNED, AT, signed))
    return [created.line, second.line]


@pytest.mark.parametrize("removed", ["nothing", "the segments"])
@pytest.mark.parametrize(
    ("rows", "got"),
    [
        pytest.param(lambda lines: lines[:1], "an older database, which ends before", id="older"),
        pytest.param(lambda lines: [lines[0], lines[0]], "another entry", id="another"),
    ],
)
def test_a_database_without_what_was_signed_is_refused_and_all_is_kept(
    tmp_path, removed, rows, got
):
    lines = rows_with_a_checkpoint()
    Exporter(tmp_path, rows_of(lines))
    if removed == "the segments":
        for path in segments(tmp_path):
            path.unlink()
    else:
        segments(tmp_path)[0].write_bytes(lines[0] + b"\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for look in (refuse_mismatch, Exporter):
        with pytest.raises(IntegrityError, match="does not hold what was signed") as caught:
            look(tmp_path, rows_of(rows(lines)))
        assert caught.value.got == got
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_torn_line_is_no_mismatch_and_looking_mends_nothing(tmp_path):
    lines = rows_with_a_checkpoint()
    Exporter(tmp_path, rows_of(lines))
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-7])
    torn = path.read_bytes()
    refuse_mismatch(tmp_path, rows_of(lines))
    assert path.read_bytes() == torn
    assert Exporter(tmp_path, rows_of(lines)).seq == 2
