"""Checkpoints: C2SP notes that only the key of the home signs, and keys that only their owner reads."""

from __future__ import annotations

import stat

import pytest

from engine.errors import LedgerError, StoreError
from engine.ledger.checkpoints import (
    Checkpoint,
    SigningKey,
    ensure_key,
    key_line,
    read_key_line,
    sign_checkpoint,
    verify_checkpoint,
)

KEY = SigningKey(bytes(range(32)))
OTHER = SigningKey(bytes(32))
ROOT = bytes(range(100, 132))
NOTE = sign_checkpoint(KEY, "r1", 1042, ROOT)


def test_a_note_has_the_form_of_the_standard():
    origin = KEY.origin("r1")
    text, blank, signature, end = NOTE.rpartition("\n\n")[0], "", NOTE.split("\n")[4], NOTE[-1]
    assert text.split("\n") == [origin, "1042", "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="]
    assert signature.startswith(f"— {origin} ")
    assert (blank, end) == ("", "\n")


def test_what_the_key_signed_is_what_is_read():
    expected = Checkpoint(origin=KEY.origin("r1"), size=1042, root=ROOT)
    assert verify_checkpoint(NOTE, KEY.key_line("r1")) == expected


def test_signatures_of_witnesses_are_looked_over():
    witnessed = NOTE + "— example.org/witness AAAAAAECAwQ=\n"
    assert verify_checkpoint(witnessed, KEY.key_line("r1")).size == 1042


@pytest.mark.parametrize(
    ("note", "line", "message"),
    [
        (
            NOTE.replace("1042", "1041"),
            KEY.key_line("r1"),
            "the signature of the checkpoint is wrong",
        ),
        (NOTE, OTHER.key_line("r1"), "the note has no signature of this key"),
        (NOTE, KEY.key_line("r2"), "the note has no signature of this key"),
        (
            NOTE.rpartition("\n\n")[0],
            KEY.key_line("r1"),
            "the note has no signature of this key",
        ),
        (
            NOTE.replace("/r1 ", "/r1 é"),
            KEY.key_line("r1"),
            "the note has no signature of this key",
        ),
        ("", KEY.key_line("r1"), "the note has no signature of this key"),
        (NOTE, "a+b+é", "expected a key line name+id+base64"),
        (NOTE, "nonsense", "expected a key line name+id+base64"),
        (NOTE, KEY.key_line("r1").replace("+", "+0", 1), "expected a key line name+id+base64"),
    ],
)
def test_anything_else_is_refused(note, line, message):
    with pytest.raises(LedgerError, match=message.replace("+", r"\+")):
        verify_checkpoint(note, line)


@pytest.mark.parametrize("size", ["01", "-1", "+1", "1e3", "²", ""])
def test_a_size_has_one_spelling(size):
    from base64 import b64encode
    from hashlib import sha256

    origin = KEY.origin("r1")
    text = f"{origin}\n{size}\n{b64encode(ROOT).decode()}\n"
    identity = sha256(origin.encode() + b"\n\x01" + KEY.public).digest()[:4]
    signed = b64encode(identity + KEY.sign(text.encode())).decode()
    with pytest.raises(LedgerError, match="the checkpoint is malformed"):
        verify_checkpoint(f"{text}\n— {origin} {signed}\n", KEY.key_line("r1"))


def test_a_key_line_is_read_back():
    assert read_key_line(key_line("a/b", KEY.public)) == ("a/b", KEY.public)


def test_a_key_is_made_once_for_its_owner_only(tmp_path):
    made = ensure_key(tmp_path)
    assert ensure_key(tmp_path).public == made.public
    path = tmp_path / "keys" / "ledger.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["ledger.key"]


def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path):
    ensure_key(tmp_path)
    path = tmp_path / "keys" / "ledger.key"
    path.chmod(0o644)
    with pytest.raises(
        StoreError, match="expected a key that only its owner may read, but got mode 644"
    ):
        ensure_key(tmp_path)
    path.chmod(0o600)
    path.write_text("poundlock-ed25519-v1 AAAA\n")
    with pytest.raises(StoreError, match="the signing key is damaged"):
        ensure_key(tmp_path)


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(StoreError, match="the signing key cannot be used"):
        ensure_key(tmp_path)
