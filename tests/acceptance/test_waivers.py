"""Waivers on a real repository: one that two people signed opens its gateway; whatever is wrong with it, it opens nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.contracts import Contracts
from engine.ledger.checkpoints import key_line, open_key
from engine.runtime.waivers import Person, Waiver, Waivers
from engine.shipped import folder
from tests.acceptance.conftest import Project, task

NOW = datetime.now(UTC)
NEVER = "no file at all"


@dataclass(frozen=True)
class Office:
    """The people of a project, and the means of forgers: every key, and the file of each waiver."""

    project: Project
    keys: Path

    def person(self, name: str, key: str = "") -> Person:
        signing = open_key(self.keys / f"{key or name}.key", make=True)
        return Person(name=name, line=key_line(name, signing.public), key=signing)

    @property
    def waivers(self) -> Waivers:
        people = [self.person(name).line for name in ("alice", "bob")]
        people.append(self.person("alias", key="alice").line)
        contracts = Contracts(folder("contracts"))
        return Waivers(self.project.root / ".engine", people, contracts)

    def ask(self, at: datetime = NOW, days: int = 7, **scope: str | None) -> Waiver:
        wanted = {"code": "PROTECTED_PATH", "feature": "shop", "task": None, "path": None, **scope}
        until = at + timedelta(days=days)
        return self.waivers.draft(wanted, "people must read this", until, self.person("alice"), at)

    def approve(
        self, waiver: Waiver, name: str = "bob", at: datetime = NOW, key: str = ""
    ) -> Waiver:
        return self.waivers.approved(waiver, self.person(name, key), at)

    def write(self, waiver: Waiver, changes: Mapping[str, Any] | None = None) -> Path:
        """Write the file of a waiver, changed by hand: `changes` maps dotted members to values."""
        file = self.waivers.write(waiver)
        document = json.loads(file.read_text("utf-8"))
        for name, value in (changes or {}).items():
            *path, last = name.split(".")
            place = document
            for part in path:
                place = place[part]
            place[last] = value
        file.write_text(json.dumps(document), "utf-8")
        return file


@pytest.fixture
def office(make_project: Callable[..., Project], tmp_path: Path) -> Office:
    office = Office(make_project(), tmp_path / "keys")
    lines = [office.person(name).line for name in ("alice", "bob")]
    lines.append(office.person("alias", key="alice").line)
    office.project.configure(f"[waivers]\npeople = {json.dumps(lines)}\n")
    return office


def unapproved(office: Office, path: str) -> None:
    office.write(office.ask(path=path))


def approved_by_who_asked(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path), "alice"))


def approved_with_the_same_key_under_another_name(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path), "alias", key="alice"))


def approved_by_a_stranger(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path), "carol"))


def approved_by_a_stranger_as_bob(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path), "bob", key="carol"))


def approval_signed_by_another_key(office: Office, path: str) -> None:
    forged = replace(office.person("bob"), key=office.person("carol").key)
    office.write(office.waivers.approved(office.ask(path=path), forged, NOW))


def approval_renamed(office: Office, path: str) -> None:
    good = office.approve(office.ask(path=path), "alice")
    bob = office.person("bob")
    office.write(good, {"approval.by": "bob", "approval.key": bob.line})


def approval_of_another_waiver(office: Office, path: str) -> None:
    other = office.approve(office.ask(path="elsewhere"))
    office.write(office.ask(path=path), {"approval": other.document["approval"]})


def path_changed(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path="elsewhere")), {"scope.path": path})


def code_changed(office: Office, path: str) -> None:
    office.write(
        office.approve(office.ask(path=path, code="BIDI")), {"scope.code": "PROTECTED_PATH"}
    )


def end_changed(office: Office, path: str) -> None:
    old = NOW - timedelta(days=9)
    later = (NOW + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    office.write(office.approve(office.ask(at=old, path=path), at=old), {"expires": later})


def expired(office: Office, path: str) -> None:
    old = NOW - timedelta(days=9)
    office.write(office.approve(office.ask(at=old, path=path), at=old))


def asked_for_tomorrow(office: Office, path: str) -> None:
    tomorrow = NOW + timedelta(days=1)
    office.write(office.approve(office.ask(at=tomorrow, path=path), at=tomorrow))


def lasting_too_long(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(days=31, path=path)))


def revoked(office: Office, path: str) -> None:
    good = office.approve(office.ask(path=path))
    office.write(office.waivers.revoked(good, office.person("bob"), "no longer", NOW))


def revoked_and_approved_again(office: Office, path: str) -> None:
    good = office.approve(office.ask(path=path))
    taken = office.waivers.revoked(good, office.person("alice"), "no longer", NOW)
    office.write(office.approve(taken))


def of_another_home(office: Office, path: str) -> None:
    elsewhere = Waivers(office.keys / "home", (), Contracts(folder("contracts")))
    scope = {"code": "PROTECTED_PATH", "feature": "shop", "task": None, "path": path}
    asked = elsewhere.draft(
        scope, "people must read this", NOW + timedelta(days=7), office.person("alice"), NOW
    )
    office.write(elsewhere.approved(asked, office.person("bob"), NOW))


def of_another_feature(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path, feature="other")))


def of_another_task(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path, task="somebody")))


def of_another_path(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=f"{path}.txt")))


def of_another_code(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path, code="SYMLINK")))


def under_another_name(office: Office, path: str) -> None:
    file = office.write(office.approve(office.ask(path=path)))
    file.rename(file.with_name("W-20260101-00000000.json"))


def with_a_member_more(office: Office, path: str) -> None:
    office.write(office.approve(office.ask(path=path)), {"scope.all": True})


def cut_off(office: Office, path: str) -> None:
    file = office.write(office.approve(office.ask(path=path)))
    file.write_bytes(file.read_bytes()[:-40])


BAD: list[Callable[[Office, str], None]] = [
    unapproved, approved_by_who_asked, approved_with_the_same_key_under_another_name,
    approved_by_a_stranger, approved_by_a_stranger_as_bob, approval_signed_by_another_key,
    approval_renamed, approval_of_another_waiver, path_changed, code_changed, end_changed, expired,
    asked_for_tomorrow, lasting_too_long, revoked, revoked_and_approved_again, of_another_home,
    of_another_feature, of_another_task, of_another_path, of_another_code, under_another_name,
    with_a_member_more, cut_off,
]  # fmt: skip


def test_only_a_waiver_that_two_people_signed_opens_its_gateway(office: Office) -> None:
    """One run, a protected file for each case: the one with a good waiver is merged, every other task is blocked."""
    names = ["good", *(case.__name__ for case in BAD)]
    paths = {name: f"{name}/AGENTS.md" for name in names}
    for case in BAD:
        case(office, paths[case.__name__])
    good = office.approve(office.ask(path=paths["good"], task="good"))
    office.write(good)
    office.project.write_graph(
        [
            task(name, f"mkdir {name} && echo x > {path}", files={"create": [path]})
            for name, path in paths.items()
        ]
    )

    done = office.project.engine("run", "--feature", "shop", "--json")

    assert done.code == 1
    states = {item["id"]: (item["state"], item["reason"]) for item in done.json["tasks"]}
    denied = {
        name: ("blocked", f"{paths[name]} is protected (agent configuration)") for name in names[1:]
    }
    assert states == {"good": ("merged", ""), **denied}
    merged = office.project.git("ls-tree", "-r", "--name-only", "engine/shop").splitlines()
    assert [path for path in merged if path.endswith("AGENTS.md")] == [paths["good"]]
    assert {(item["waiver"], item["package"], item["code"], item["path"], item["requested_by"], item["by"])
            for item in done.json["waivers"]} == {
        (good.id, package, "PROTECTED_PATH", paths["good"], "alice", "bob")
        for package in ("launch", "merge")
    }  # fmt: skip
    assert f"waived by {good.id}: PROTECTED_PATH" in office.project.engine("why", "good").out
    assert f"({good.id}, asked by alice, approved by bob" in office.project.engine("status").out
    assert office.project.engine("replay").code == 0
    assert office.project.engine("ledger", "verify").code == 0
    listed = office.project.engine("waiver", "list", "--json").json["waivers"]
    assert [item["id"] for item in listed if item["state"] == "active" and item["scope"]["path"] == paths["good"]] == [good.id]  # fmt: skip
    assert len(listed) == len(names)


def test_what_is_tier_0_cannot_be_waived_whoever_signs(office: Office) -> None:
    office.write(office.approve(office.ask(code="SECRET")))
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    office.project.write_graph([task("a", f"echo key={key} > a.txt")])
    base = office.project.git("rev-parse", "HEAD")
    done = office.project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["tasks"][0]["state"], done.json["waivers"]) == (1, "blocked", [])
    assert office.project.branch() in {None, base}
    (item,) = office.project.engine("waiver", "list", "--json").json["waivers"]
    assert (item["state"], item["problem"]) == (
        "refused",
        f"waiver {item['id']}: its code cannot be waived",
    )
