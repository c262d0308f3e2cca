"""The signing key can be changed: who trusts one of the two keys can trust the other, and nobody else can do it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.audit import Evidence, audit, verify_folder
from engine.cli.ledger import app
from engine.errors import StoreError, UsageError
from engine.ledger import EntryType, note
from engine.ledger.checkpoints import KEY_FILE, SigningKey, ensure_key
from engine.ledger.export import Exporter
from engine.ledger.rotation import rotate_key, rotation_note, rotations
from engine.store import Store
from engine.store.lock import EngineLock

AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)
UNSAID = "the signing key was changed without the word of the key before it"


class Home:
    """An engine home with one run, a checkpoint under the first key, and the keys it has had."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.keys = []
        with Store.open(place / "engine.db") as store:
            store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
            store.checkpoint("r1", AT)
        self.keys.append(ensure_key(place))

    def go_on(self) -> None:
        """Let another engine take the run over and end it."""
        with Store.open(self.place / "engine.db") as store:
            store.take_over("r1", at=AT)
            store.append("r1", [note(EntryType.RUN_FINISHED, AT, {"status": "completed"})])
        self.keys.append(ensure_key(self.place))

    def lines(self) -> list[bytes]:
        with Store.open(self.place / "engine.db", read_only=True) as store:
            return list(store.lines("r1"))

    def types(self) -> list[str]:
        with Store.open(self.place / "engine.db", read_only=True) as store:
            return [str(entry.type) for entry in store.entries("r1")]

    def findings(self, key: SigningKey, told: list[str] | None = None) -> list[str]:
        evidence = Evidence(lines=self.lines, keys=[key.key_line("r1")], rotations=told or [])
        return [
            f"{item.seq} {item.message}" for item in audit(evidence, ["L0", "L1", "L2"]).findings
        ]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_run_that_goes_on_records_the_change_and_both_keys_verify_it(home: Home):
    rotate_key(home.place, AT)
    home.go_on()
    old, new = home.keys
    assert home.types() == ["run.created", "checkpoint.signed", "run.resumed", "key.rotated", "run.finished", "checkpoint.signed"]  # fmt: skip
    assert old.public != new.public
    assert (home.findings(old), home.findings(new)) == ([], [])
    stranger = SigningKey(bytes(32))
    assert [text.startswith("4 " + UNSAID) for text in home.findings(stranger)].count(True) == 1


def test_several_changes_are_recorded_one_by_one(home: Home):
    rotate_key(home.place, AT)
    rotate_key(home.place, AT)
    home.go_on()
    assert home.types()[2:5] == ["run.resumed", "key.rotated", "key.rotated"]
    assert (home.findings(home.keys[0]), home.findings(home.keys[-1])) == ([], [])


def test_a_key_that_was_lost_and_made_anew_is_a_finding(home: Home):
    (home.place / KEY_FILE).unlink()
    home.go_on()
    old, new = home.keys
    assert f"4 {UNSAID}" in home.findings(old)
    assert f"4 {UNSAID}" in home.findings(new)


def test_a_change_that_the_old_key_did_not_sign_is_a_finding(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    forged = SigningKey(bytes(range(32)))

    def by_the_new_key_alone(old: SigningKey, new: SigningKey, at: datetime) -> str:
        text = rotation_note(old, new, at)
        lines = rotation_note(forged, new, at).splitlines()[-2:]
        return "\n".join([*text.splitlines()[:-2], *lines, ""])

    monkeypatch.setattr("engine.ledger.rotation.rotation_note", by_the_new_key_alone)
    rotate_key(home.place, AT)
    home.go_on()
    assert f"4 {UNSAID}" in home.findings(home.keys[0])


def test_after_the_change_the_old_key_signs_nothing(home: Home):
    old_key = (home.place / KEY_FILE).read_bytes()
    rotate_key(home.place, AT)
    with Store.open(home.place / "engine.db") as store:
        store.take_over("r1", at=AT)
    (home.place / KEY_FILE).write_bytes(old_key)
    home.go_on()
    assert any(
        "is not signed by the key of" in text or UNSAID in text
        for text in home.findings(home.keys[0])
    )


def test_a_run_that_ended_before_verifies_with_the_note_from_outside(home: Home):
    home.go_on()
    rotate_key(home.place, AT)
    old, new = home.keys[0], ensure_key(home.place)
    assert home.findings(old) == []
    assert home.findings(new) != []
    assert home.findings(new, rotations(home.place)) == []


def test_an_exported_copy_leads_from_its_first_key_to_the_last(home: Home, tmp_path: Path):
    rotate_key(home.place, AT)
    home.go_on()
    Exporter(tmp_path / "copy", lambda after: home.lines()[after:])
    report = verify_folder(tmp_path / "copy")
    assert (report.ok, report.checkpoints, report.witnessed) == (True, 2, 5)


def rotated(place: Path) -> str:
    done = CliRunner().invoke(
        app, ["rotate-key", "--project", str(place)], standalone_mode=False, catch_exceptions=False
    )
    return done.stdout


def test_the_command_waits_for_no_engine(tmp_path: Path):
    home = Home(tmp_path / ".engine")
    with EngineLock.acquire(home.place, "feature-shop"), pytest.raises(StoreError, match="shop"):
        rotated(tmp_path)
    before = ensure_key(home.place).public
    assert rotated(tmp_path).startswith("signing with a new key; the change, signed by both, is ")
    assert ensure_key(home.place).public != before
    assert (home.place / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (home.place / "keys").iterdir()) == [
        "ledger.key",
        "rotations",
    ]


def test_without_a_home_there_is_no_key_to_change(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no engine home here"):
        rotated(tmp_path)
    with pytest.raises(UsageError, match="the project folder is not there"):
        rotated(tmp_path / "nowhere")
