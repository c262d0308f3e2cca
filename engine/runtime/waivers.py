"""Waivers: signed, scoped, expiring exceptions to one code of a policy, one file each under `waivers/` of the engine home.

Invariants
- Nothing here opens a gateway. Whether a waiver counts (two people, not expired, a code that may be waived, the scope) is
  decided by the policies, package `waivers`. Here is decided only what they are shown: a file that keeps the contract
  `waiver.v1`, was made for this engine home, is not revoked, and whose every signature was made by the key it names; each of
  these keys must be listed in `waivers.people` under the name that signed.
- The keys of people lie outside the repository and the engine home; what they sign are canonical bytes behind a tag of its own
  for request, approval and revocation. An approval and a revocation are about the whole request, its signature included.
- A file that cannot be used says why (`Waiver.problem`); it is never repaired and never left out of a list.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from engine.contracts import Contracts
from engine.core.model import Json, Ruling, Verdict, Waived
from engine.errors import IntegrityError, LedgerError, UsageError
from engine.frozen import dataclass
from engine.ledger import Draft, EntryType, canonical, note
from engine.ledger.checkpoints import (
    SigningKey,
    ensure_key,
    is_signed,
    key_line,
    open_key,
    read_key_line,
)

CONTRACT: Final = "waiver.v1"
FOLDER: Final = "waivers"
KEY_VARIABLE: Final = "ENGINE_WAIVER_KEY"
_LARGEST_BYTES: Final = 64 * 1024
_TAGS: Final = {
    "request": b"poundlock/waiver-request/v1\n",
    "approval": b"poundlock/waiver-approval/v1\n",
    "revocation": b"poundlock/waiver-revocation/v1\n",
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who signs: a name of `waivers.people` with the key that stands behind it there."""

    name: str
    line: str  #: the key line in the configuration
    key: SigningKey


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A waiver as its file says it. `problem` says why policies are not shown it; empty when they are."""

    id: str
    document: Mapping[str, Any]  # Any: JSON of the contract, or {} when it cannot be read
    problem: str = ""

    def fact(self) -> dict[str, Json]:
        """Return what policies see of it."""
        document = self.document
        return {
            **{name: document[name] for name in ("id", "scope", "reason", "expires")},
            "request": _signer(document["request"]),
            "approval": _signer(document["approval"]) if "approval" in document else None,
        }


class Waivers:
    """The waivers of one engine home. `people` are key lines of the configuration; with none, nobody can waive anything."""

    def __init__(self, home: Path, people: Sequence[str], contracts: Contracts) -> None:
        self._home = home
        self._people = _names(people)
        self._contracts = contracts

    def read(self) -> list[Waiver]:
        """Return every waiver, in the order of their ids, also those that cannot be used."""
        folder = self._home / FOLDER
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        return [self._read(file) for file in files]

    def facts(self, feature: str) -> list[Json]:
        """Return what the policies of `feature` are shown."""
        return [
            waiver.fact()
            for waiver in self.read()
            if not waiver.problem and waiver.document["scope"]["feature"] == feature
        ]

    def find(self, name: str) -> Waiver:
        """Return the waiver of that id, or of that unique start of one. Raises UsageError, or IntegrityError when the file
        was changed after it was signed."""
        every = self.read()
        found = [waiver for waiver in every if waiver.id.startswith(name)]
        if len(found) != 1:
            listed = ", ".join(waiver.id for waiver in found or every)
            raise UsageError(
                f"{name} is {'more than one waiver' if found else 'no waiver'}",
                expected=f"one of {listed}" if listed else "",
                hint="`engine waiver list` shows them.",
            )
        return found[0]

    def draft(
        self,
        scope: Mapping[str, Json],
        reason: str,
        expires: datetime,
        person: Person,
        at: datetime,
    ) -> Waiver:
        """Return a waiver that `person` asks for. Raises ContractError when a part is not what it should be."""
        made: dict[str, Any] = {  # Any: JSON of the contract
            "schema": "engine.waiver/v1",
            "id": f"W-{at:%Y%m%d}-{secrets.token_hex(4)}",
            "home": _identity(self._home),
            "scope": dict(scope),
            "reason": reason,
            "expires": _time_text(expires),
        }
        made["request"] = _sign("request", made, person, reason, at)
        return self._checked(made)

    def approved(self, waiver: Waiver, person: Person, at: datetime) -> Waiver:
        """Return the waiver with the approval of `person`, in place of an earlier one."""
        return self._with(waiver, "approval", person, "", at)

    def revoked(self, waiver: Waiver, person: Person, reason: str, at: datetime) -> Waiver:
        """Return the waiver taken back for good."""
        return self._with(waiver, "revocation", person, reason, at)

    def write(self, waiver: Waiver) -> Path:
        """Put the waiver in its file; a reader sees the old one or the new one."""
        folder = self._home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{waiver.id}.json"
        draft = file.with_suffix(f".{os.getpid()}")
        with draft.open("wb") as stream:
            stream.write(orjson.dumps(waiver.document, option=orjson.OPT_INDENT_2) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
        return file

    def person(self, file: Path, root: Path) -> Person:
        """Return who signs with the key in `file`. Raises UsageError for a key of nobody, or one inside `root`."""
        refuse_inside(file, root)
        if not file.is_file():
            raise UsageError(
                "there is no key to sign with", where=str(file), hint="Make one: engine waiver key"
            )
        key = open_key(file)
        for line, name in self._people.items():
            if read_key_line(line)[1] == key.public:
                return Person(name=name, line=line, key=key)
        raise UsageError(
            "the key belongs to nobody who may ask for or approve waivers",
            where=str(file),
            expected=f"a key of {', '.join(sorted(set(self._people.values())))}"
            if self._people
            else "at least one key in waivers.people of the configuration",
            hint="`engine waiver key` prints the line that waivers.people needs.",
        )

    # ---- private steps

    def _with(self, waiver: Waiver, part: str, person: Person, reason: str, at: datetime) -> Waiver:
        if waiver.problem:
            raise IntegrityError("the waiver cannot be used", where=waiver.id, got=waiver.problem)
        signed = {**waiver.document, part: _sign(part, waiver.document, person, reason, at)}
        return self._checked(signed)

    def _checked(self, document: dict[str, Any]) -> Waiver:  # Any: JSON of the contract
        self._contracts.check(CONTRACT, document)
        return Waiver(id=document["id"], document=document)

    def _read(self, file: Path) -> Waiver:
        try:
            if not file.is_file() or file.stat().st_size > _LARGEST_BYTES:
                raise ValueError("no plain file of at most 64 KB")
            document: Any = orjson.loads(file.read_bytes())  # Any: JSON that anybody wrote
        except (OSError, ValueError) as error:
            return Waiver(id=file.stem, document={}, problem=f"the file cannot be read: {error}")
        broken = self._contracts.violations(CONTRACT, document)
        if broken:
            return Waiver(id=file.stem, document={}, problem=f"no waiver: {broken[0]}")
        return Waiver(id=file.stem, document=document, problem=self._problem(file, document))

    def _problem(self, file: Path, document: Mapping[str, Any]) -> str:  # Any: as in _read
        if document["id"] != file.stem:
            return f"the file is named {file.name}, but holds waiver {document['id']}"
        if document["home"] != _identity(self._home):
            return "it was made for another engine home"
        for part in ("request", "approval", "revocation"):
            if part in document:
                problem = self._signature_problem(part, document)
                if problem:
                    return problem
        if "revocation" in document:
            taken = document["revocation"]
            return f"revoked by {taken['by']} at {taken['at']}: {taken['reason'] or 'no reason'}"
        return ""

    def _signature_problem(self, part: str, document: Mapping[str, Any]) -> str:  # Any: as in _read
        signed = document[part]
        if self._people.get(signed["key"]) != signed["by"]:
            return (
                f"the {part} is signed by {signed['by']} with a key that is not in waivers.people"
            )
        public = read_key_line(signed["key"])[1]
        if not is_signed(_statement(part, document), b64decode(signed["signature"]), public):
            return f"the {part} was changed after {signed['by']} had signed it"
        return ""


def granted(package: str, input_: object, verdict: Verdict, at: datetime) -> list[Draft]:
    """Return an entry for each denial that a waiver took away at a gateway that opened: who asked and approved, for what."""
    if verdict.ruling is not Ruling.PASS:
        return []
    given = input_.get("waivers") if isinstance(input_, Mapping) else ()
    shown = {
        str(item.get("id")): item
        for item in (given if isinstance(given, list | tuple) else ())
        if isinstance(item, Mapping)
    }
    return [
        note(EntryType.WAIVER_GRANTED, at, _grant(package, waived, shown[waived.waiver]))
        for waived in verdict.waived
        if waived.waiver in shown
    ]


def _grant(package: str, waived: Waived, fact: Mapping[str, Any]) -> dict[str, Json]:
    # Any: what policies were shown; the policies of a project may want less of it than ours
    names = [
        str(signer.get("by")) if isinstance(signer := fact.get(part), Mapping) else "nobody"
        for part in ("request", "approval")
    ]
    return {
        "waiver": waived.waiver,
        "package": package,
        "code": waived.code,
        "message": waived.message,
        "path": waived.path,
        "requested_by": names[0],
        "by": names[1],
        "reason": str(fact.get("reason") or "no reason"),
        "scope": fact.get("scope"),
        "expires": fact.get("expires"),
    }


def default_key_file() -> Path:
    """Return where the key of the person at this machine lies: ENGINE_WAIVER_KEY, or a file of their configuration."""
    given = os.environ.get(KEY_VARIABLE)
    if given:
        return Path(given).expanduser()
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "poundlock" / "waiver.key"


def make_key(file: Path, root: Path, name: str) -> str:
    """Return the key line of `name` for the key in `file`, made when there is none. Raises UsageError when inside `root`."""
    refuse_inside(file, root)
    return key_line(name, open_key(file, make=True).public)


def refuse_inside(file: Path, root: Path) -> None:
    """Raise UsageError when a key lies where workers work."""
    if file.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            "the key lies inside the repository, where workers can read it",
            where=str(file),
            hint=f"Keep it elsewhere and name it in {KEY_VARIABLE}.",
        )


def _names(people: Sequence[str]) -> dict[str, str]:
    """Return {key line: name} of the lines that are whole. Raises UsageError for one that is not."""
    found = {}
    for line in people:
        try:
            found[line] = read_key_line(line)[0]
        except LedgerError as error:
            raise UsageError(
                "waivers.people holds no key line",
                expected="what `engine waiver key` prints",
                got=repr(line),
            ) from error
    return found


def _identity(home: Path) -> str:
    """Return what tells this engine home from others: 16 digits of the hash of its ledger key."""
    return sha256(ensure_key(home).public).hexdigest()[:16]


def _sign(
    part: str, document: Mapping[str, Any], person: Person, reason: str, at: datetime
) -> dict[str, Json]:
    # Any: JSON of the contract
    said = {"by": person.name, "key": person.line, "at": _time_text(at), "reason": reason}
    message = _statement(part, {**document, part: said})
    return {**said, "signature": b64encode(person.key.sign(message)).decode()}


def _statement(part: str, document: Mapping[str, Any]) -> bytes:  # Any: JSON of the contract
    """Return the bytes that `part` signs: what is asked, who says so and when; behind a request, the request as signed."""
    names = ("schema", "id", "home", "scope", "reason", "expires")
    about: dict[str, Any] = {name: document[name] for name in names}
    about["said"] = {name: document[part][name] for name in ("by", "key", "at", "reason")}
    if part != "request":
        about["request"] = document["request"]
    return _TAGS[part] + canonical.encode(about)


def _signer(signed: Mapping[str, Any]) -> dict[str, Json]:  # Any: JSON of the contract
    """Return who signed when; the key without its name, so that one key under two names is seen to be one."""
    return {"by": signed["by"], "key": read_key_line(signed["key"])[1].hex(), "at": signed["at"]}


def _time_text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
