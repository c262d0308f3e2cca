"""The command `engine waiver`: keys, asking, approving, revoking, and what it refuses with which sentence."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main

SCOPE = ("--scope", "code=BIDI", "--scope", "feature=shop")
ASK = (*SCOPE, "--reason", "a test of editors", "--expires", "7d")


@dataclass(frozen=True)
class Answer:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Office:
    """A project in which alice and bob may sign, and who is at its keyboard."""

    root: Path
    keys: Path
    screen: pytest.CaptureFixture[str]

    def engine(self, *arguments: str) -> Answer:
        with pytest.raises(SystemExit) as left:
            main([*arguments, "--project", str(self.root)])
        shown = self.screen.readouterr()
        return Answer(int(left.value.code or 0), shown.out, shown.err)

    def as_(self, name: str, *arguments: str) -> Answer:
        return self.engine("waiver", *arguments, "--key", str(self.keys / name))

    def configure(self, text: str) -> None:
        (self.root / ".engine" / "engine.toml").write_text(text, "utf-8")


@pytest.fixture
def office(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    root = tmp_path / "project"
    (root / ".engine").mkdir(parents=True)
    office = Office(root, tmp_path / "keys", capsys)
    lines = [office.as_(name, "key", "--name", name).out.strip() for name in ("alice", "bob")]
    office.configure(f"[waivers]\npeople = {json.dumps(lines)}\n")
    return office


def test_one_asks_another_approves_and_either_revokes(office: Office) -> None:
    asked = office.as_("alice", "add", *ASK, "--json").json
    assert (asked["schema"], asked["state"], asked["requested_by"]) == (
        "engine.waiver/v1",
        "waiting",
        "alice",
    )
    own = office.as_("alice", "approve", asked["id"])
    assert own.code == 2
    assert "the person who asked for it has approved it" in own.err
    assert office.as_("bob", "approve", asked["id"][:14], "--json").json["state"] == "active"
    assert office.as_("alice", "revoke", asked["id"], "--reason", "done").code == 0
    again = office.as_("bob", "approve", asked["id"])
    assert (again.code, "revoked by alice" in again.err) == (5, True)
    listed = office.engine("waiver", "list")
    assert listed.out.splitlines()[0] == f"{asked['id']} revoked code=BIDI feature=shop"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("--scope", "code=BIDI", *ASK[4:]), "expected feature=…", id="no feature"),
        pytest.param(("--scope", "feature=shop", *ASK[4:]), "expected code=…", id="no code"),
        pytest.param((*ASK, "--scope", "all=1"), "but got all=1", id="an unknown member"),
        pytest.param((*ASK, "--scope", "code=SECRET"), "but got code=SECRET", id="two codes"),
        pytest.param(
            ("--scope", "code=SECRET", *ASK[2:]), "its code cannot be waived", id="tier 0"
        ),
        pytest.param(("--scope", "code=bidi", *ASK[2:]), "/scope/code", id="no code of a policy"),
        pytest.param((*ASK, "--scope", "path=/etc/"), "/scope/path", id="a path from the root"),
        pytest.param((*ASK[:-1], "99d"), "it lasts longer than", id="too long"),
        pytest.param((*ASK[:-1], "2020-01-01"), "it has expired", id="in the past"),
        pytest.param((*ASK[:-1], "soon"), "but got 'soon'", id="no time"),
        pytest.param((*SCOPE, "--reason", "x", "--expires", "7d"), "/reason", id="no reason"),
    ],
)
def test_what_could_never_count_is_not_written(
    office: Office, arguments: tuple[str, ...], says: str
) -> None:
    done = office.as_("alice", "add", *arguments)
    assert (done.code in {2, 3}, says in done.err) == (True, True), done.err
    assert office.engine("waiver", "list").out == "there are no waivers\n"


def test_a_key_is_private_and_lies_outside_the_repository(office: Office) -> None:
    assert stat.S_IMODE((office.keys / "alice").stat().st_mode) == 0o600
    inside = office.root / "my.key"
    for command in (("key",), ("add", *ASK), ("approve", "W")):
        done = office.engine("waiver", *command, "--key", str(inside))
        assert (done.code, "inside the repository" in done.err) == (2, True)
    assert not inside.exists()
    (office.keys / "alice").chmod(0o644)
    done = office.as_("alice", "add", *ASK)
    assert (done.code, "a key that only its owner may read" in done.err) == (6, True)


def test_who_is_not_listed_cannot_sign(office: Office) -> None:
    assert office.as_("carol", "add", *ASK).code == 2
    office.as_("carol", "key", "--name", "alice")
    done = office.as_("carol", "add", *ASK)
    assert (done.code, "expected a key of alice, bob" in done.err) == (2, True)


def test_a_damaged_key_line_is_refused(office: Office) -> None:
    office.configure(f'[waivers]\npeople = ["alice+00000000+{"A" * 44}"]\n')
    done = office.engine("waiver", "list")
    assert (done.code, "waivers.people holds no key line" in done.err) == (2, True)


def test_a_file_that_was_changed_is_shown_as_refused(office: Office) -> None:
    asked = office.as_("alice", "add", *ASK, "--json").json
    file = office.root / ".engine" / "waivers" / f"{asked['id']}.json"
    file.write_text(file.read_text("utf-8").replace("BIDI", "SYMLINK"), "utf-8")
    (item,) = office.engine("waiver", "list", "--json").json["waivers"]
    assert (item["state"], item["problem"]) == (
        "refused",
        "the request was changed after alice had signed it",
    )
    done = office.as_("bob", "approve", asked["id"])
    assert (done.code, "was changed after alice had signed it" in done.err) == (5, True)
