"""Attestations published after a run, and verified from a plain clone.

Verification, in this order; the first step that fails is an IntegrityError that names what differs:
1. the envelope is signed by the key that the verifier brings, or that signed the checkpoint they bring, or by one that
   a published change of the key, signed by both keys, leads to;
2. the statement is SLSA provenance about exactly this commit and its tree;
3. the commit has the parents that the statement names, and trailers of that run, bundle and ledger;
4. the entry `merge.authorized` is in the ledger: its path leads to the root of a checkpoint signed by such a key;
5. that entry authorises exactly this commit, from exactly five verdicts, each `pass`;
6. with a checkpoint of the verifier: the ledger of step 4 is the one it was taken of, only longer or shorter.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine import __version__
from engine.core.safety import MERGE_KINDS
from engine.errors import EngineError, IntegrityError, LedgerError, UsageError
from engine.frozen import dataclass
from engine.ledger import EntryType, read_entry
from engine.ledger.attestations import (
    AUTHORIZED,
    BUILD_TYPE,
    PREDICATE,
    STATEMENT,
    Attested,
    Log,
    attest,
)
from engine.ledger.checkpoints import (
    Checkpoint,
    ensure_key,
    key_line,
    read_key_line,
    verify_checkpoint,
)
from engine.ledger.dsse import open_envelope, read_payload
from engine.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from engine.ledger.rotation import read_rotation
from engine.store import Store
from engine.workspaces import Clone, CommitFacts, Provenance, Published, Repository

Json = Any  # JSON from outside: every member is looked at before it is used


# --- publishing -----------------------------------------------------------------------------------------


def attestations_of(store: Store, run: str) -> Attested:
    """Return the attestations of every completed merge of `run`, signed with the key of the engine home."""
    log = Log(
        run=run,
        lines=lambda: store.lines(run),
        entries=lambda types: store.entries(run, types=types),
    )
    return attest(log, ensure_key(store.home), __version__)


def publish_missing(
    store: Store, feature: str, run: str, repository: Repository
) -> list[Published]:
    """Publish the attestations of `run`, and of earlier runs of the feature that were killed before they came to it."""
    runs = [row for row in store.runs() if row.feature == feature and not row.process]
    is_alone = [row.id for row in runs] == [run]
    there = frozenset[str]() if is_alone else repository.attested()
    found = [
        publish_attestations(store, row.id, repository)
        for row in runs
        if row.id == run or (row.is_finished and f"{row.id}.intoto.jsonl" not in there)
    ]
    return [published for published in found if published is not None]


def attest_or_say(store: Store, feature: str, run: str, repository: Repository) -> str:
    """Publish the attestations of the feature's merges; return why that was not possible, or ""."""
    try:
        published = publish_missing(store, feature, run, repository)
    except EngineError as error:
        return f"the merges are not attested: {error.sentence()}"
    refused = [one for one in published if one.state == "refused"]
    return f"branch {refused[0].branch} was not moved: {refused[0].reason}" if refused else ""


def publish_attestations(store: Store, run: str, repository: Repository) -> Published | None:
    """Put the attestations of a run on the branch engine-attestations; None when there is nothing to attest."""
    if next(store.entries(run, types=(EntryType.MERGE_COMPLETED,)), None) is None:
        return None
    made = attestations_of(store, run)
    if not made.commits:
        return None
    growth = [{"checkpoint": note, "proof": proof} for note, proof in made.checkpoints]
    files = {
        f"{run}.intoto.jsonl": b"".join(line + b"\n" for line in made.envelopes),
        f"{run}.growth.json": json.dumps(growth, sort_keys=True).encode() + b"\n",
        f"{run}.rotations.json": json.dumps(made.rotations).encode() + b"\n",
        f"{run}.pub": (ensure_key(store.home).key_line(run) + "\n").encode(),
    }
    provenance = Provenance(
        message=f"attest {len(made.commits)} merges of run {run}",
        trailers={"Engine-Run": run},
        at=store.run(run).changed_at.astimezone(UTC),
    )
    return repository.attest(files, provenance)


# --- verifying ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the verifier brings: a key line, a signed checkpoint, or both."""

    key_line: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was proved about a commit."""

    commit: str
    run: str
    tasks: tuple[str, ...]
    bundle: str
    entry: int  #: number of the entry that authorised the merge
    checkpoint: int  #: entries under the checkpoint that covers it
    witnessed: int  #: entries under the verifier's own checkpoint, 0 without one


def verify_attestation(
    repository: Path, revision: str, trust: Trust, bundle: bytes | None = None
) -> Verification:
    """Return what the attestation of a commit proves; `bundle` holds envelopes from elsewhere, one a line.

    Raises UsageError when there is nothing to verify with, IntegrityError as the module says.
    """
    if not trust.key_line and not trust.note:
        raise UsageError(
            "an attestation proves nothing by itself",
            expected="--key or --checkpoint",
            hint="Take the key line from .engine/ledger/RUN/key.pub of the project, or a checkpoint that you kept.",
        )
    clone = Clone(repository)
    commit = clone.commit(revision)
    run = commit.trailers.get("Engine-Run", "")
    if not run and bundle is None:
        raise IntegrityError("this commit is no merge of the engine", where=commit.oid)
    keys = _Keys.of(clone, run, trust)
    envelopes = clone.attested(f"{run}.intoto.jsonl") if bundle is None else bundle
    statement = _statement(envelopes, commit, keys)
    return _Verifier(commit, statement, keys, clone, trust.note).run()


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """The public keys that the verifier trusts with the ledger of `run`."""

    run: str
    trusted: tuple[bytes, ...]

    @classmethod
    def of(cls, clone: Clone, run: str, trust: Trust) -> _Keys:
        """Return the key that the verifier brings, or that signed their checkpoint, and all that changes of it lead to.

        A note on a change is signed by the old key and by the new one, so who trusts either trusts the other.
        """
        changes = [_rotation(told) for told in _published_list(clone, f"{run}.rotations.json")]
        first = (
            _given_key(trust.key_line) if trust.key_line else _key_of(clone, run, trust, changes)
        )
        trusted = [first]
        for _ in changes:
            for pair in changes:
                if set(pair) & set(trusted):
                    trusted.extend(set(pair) - set(trusted))
        return cls(run=run, trusted=tuple(trusted))

    def note(self, note: str, what: str) -> Checkpoint:
        """Return what a checkpoint says that one of the keys has signed; `what` is said when none has."""
        tried = [_noted(note, _line(public, self.run)) for public in self.trusted]
        for found in tried:
            if isinstance(found, Checkpoint):
                return found
        raise IntegrityError(what, where=f"run {self.run}", got=str(tried[0]))

    def payload(self, envelope: bytes) -> bytes:
        """Return what is in an envelope that one of the keys has signed. Raises LedgerError."""
        failed: LedgerError | None = None
        for public in self.trusted:
            try:
                return open_envelope(envelope, public)
            except LedgerError as error:
                failed = failed or error
        assert failed is not None  # there is always a key
        raise failed


def _given_key(line: str) -> bytes:
    try:
        return read_key_line(line)[1]
    except LedgerError as error:
        raise UsageError(where="--key", expected=error.expected, got=error.got) from error


def _key_of(clone: Clone, run: str, trust: Trust, changes: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return that published key of a run which signed the verifier's own checkpoint."""
    line = (clone.attested(f"{run}.pub") or b"").decode("utf-8", "replace").strip()
    if not line:
        raise IntegrityError(
            "the key of this run is not here", where=f"run {run}", hint="Bring it with --key."
        )
    try:
        name, public = read_key_line(line)
    except LedgerError as error:
        raise IntegrityError("the published key is damaged", got=error.sentence()) from error
    if name.split("/")[1:2] != [sha256(public).hexdigest()[:16]]:
        raise IntegrityError("the name of the log is not that of its key", where=name)
    for known in (public, *(key for pair in changes for key in pair)):
        if isinstance(_noted(trust.note, _line(known, run)), Checkpoint):
            return known
    raise IntegrityError(
        "the checkpoint is not signed by the published key of this run", where=f"run {run}"
    )


def _noted(note: str, line: str) -> Checkpoint | LedgerError:
    try:
        return verify_checkpoint(note, line)
    except LedgerError as error:
        return error


def _rotation(told: Json) -> tuple[bytes, bytes]:
    try:
        return read_rotation(str(told))
    except LedgerError as error:
        raise IntegrityError(
            "a published change of the key is forged", got=error.sentence()
        ) from error


def _published_list(clone: Clone, name: str) -> list[Json]:
    """Return the JSON list in a published file; empty when there is none."""
    try:
        told = json.loads(clone.attested(name) or b"[]")
    except ValueError:
        told = None
    if not isinstance(told, list):
        raise IntegrityError("a published file is damaged", where=name, expected="a list")
    return told


def _line(public: bytes, run: str) -> str:
    return key_line(f"poundlock/{sha256(public).hexdigest()[:16]}/{run}", public)


def _statement(envelopes: bytes | None, commit: CommitFacts, keys: _Keys) -> Json:
    """Return the statement about the commit, from an envelope that one of the keys has signed."""
    try:
        about = [line for line in (envelopes or b"").splitlines() if _is_about(line, commit.oid)]
        if not about:
            raise IntegrityError(
                "there is no attestation of this commit",
                where=commit.oid,
                hint="Fetch the branch engine-attestations, or run `engine attest publish` in the project.",
            )
        return json.loads(keys.payload(about[-1]))
    except (LedgerError, ValueError) as error:
        told = error.sentence() if isinstance(error, LedgerError) else "the statement is not JSON"
        raise IntegrityError(told, where=commit.oid) from error


def _is_about(line: bytes, oid: str) -> bool:
    try:
        subjects = json.loads(read_payload(line))["subject"]
        return any(subject["digest"].get("gitCommit") == oid for subject in subjects)
    except (LedgerError, ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError("the attestations are damaged", where="a line of the bundle") from None


class _Verifier:
    """Steps 2 to 6. `statement` is signed by one of the keys."""

    def __init__(
        self, commit: CommitFacts, statement: Json, keys: _Keys, clone: Clone, note: str
    ) -> None:
        self._commit = commit
        self._statement = statement
        self._keys = keys
        self._clone = clone
        self._own = note

    def run(self) -> Verification:
        try:
            return self._verified()
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise IntegrityError(
                "the statement does not have the form of an attestation of the engine",
                where=self._commit.oid,
                got=f"{type(error).__name__}: {error}",
            ) from error

    def _verified(self) -> Verification:
        definition = self._statement["predicate"]["buildDefinition"]
        details = self._statement["predicate"]["runDetails"]
        external = definition["externalParameters"]
        run = str(external["run"])
        self._same("_type", STATEMENT, self._statement["_type"])
        self._same("predicateType", PREDICATE, self._statement["predicateType"])
        self._same("buildType", BUILD_TYPE, definition["buildType"])
        digests: dict[str, str] = {}
        for subject in self._statement["subject"]:
            digests |= subject["digest"]
        self._same("commit", self._commit.oid, digests.get("gitCommit"))
        self._same("tree", self._commit.tree, digests.get("gitTree"))
        dependencies = definition["resolvedDependencies"]
        git = [d["digest"]["gitCommit"] for d in dependencies if "gitCommit" in d["digest"]]
        self._same("parents", list(self._commit.parents), git)
        bundle = str(definition["internalParameters"]["bundle"])
        for trailer, said in {
            "Engine-Run": run,
            "Engine-Bundle": bundle,
            "Engine-Tasks": " ".join(external["tasks"]),
        }.items():
            self._same(f"trailer {trailer}", said, self._commit.trailers.get(trailer))
        parts = {part["name"]: part for part in details["byproducts"]}
        covered, entry = self._authorized(parts, run)
        self._verdicts(parts, entry)
        self._trailer(covered, run)
        return Verification(
            commit=self._commit.oid,
            run=run,
            tasks=tuple(external["tasks"]),
            bundle=bundle,
            entry=entry["seq"],
            checkpoint=covered.size,
            witnessed=self._witnessed(covered, run),
        )

    def _authorized(self, parts: Mapping[str, Json], run: str) -> tuple[Checkpoint, Json]:
        """Return the checkpoint and the entry it covers, which authorises this very commit."""
        part = parts[AUTHORIZED]
        line, note = b64decode(part["content"]), b64decode(parts["checkpoint"]["content"]).decode()
        size, seq = int(part["annotations"]["size"]), int(part["annotations"]["seq"])
        covered = self._keys.note(note, "the checkpoint over the merge is not signed by this key")
        path = [bytes.fromhex(node) for node in part["annotations"]["path"]]
        self._same("size of the checkpoint", covered.size, size)
        if not verify_inclusion(leaf_hash(line), seq - 1, size, path, covered.root):
            raise IntegrityError(
                "the entry that authorises the merge is not in the ledger that the checkpoint covers",
                where=f"entry {seq}",
            )
        entry = json.loads(line)
        read_entry(line)
        body = entry["body"]
        self._same("type of entry", EntryType.MERGE_AUTHORIZED.value, entry["type"])
        self._same("run of the entry", run, entry["run"])
        self._same("authorised commit", self._commit.oid, body["commit"])
        self._same("authorised tree", self._commit.tree, body["tree"])
        self._same(
            "authorised parents", list(self._commit.parents), [body["old"], *body["sources"]]
        )
        return covered, entry

    def _verdicts(self, parts: Mapping[str, Json], entry: Json) -> None:
        found: list[Json] = [
            json.loads(b64decode(part["content"]))
            for name, part in parts.items()
            if name.startswith("verdict ")
        ]
        said = {(told["kind"], told["verdict"]) for told in found}
        self._same("verdicts", sorted((k, "pass") for k in MERGE_KINDS), sorted(said))
        seqs = [told["seq"] for told in found]
        self._same("entries of the verdicts", sorted(entry["body"]["evidence"]), sorted(seqs))

    def _trailer(self, covered: Checkpoint, run: str) -> None:
        """Compare the checkpoint that the merge commit itself carries with the published one of that size, if there is one."""
        size, _, root = self._commit.trailers.get("Ledger-Checkpoint", "").partition("/")
        for known in (known for known in self._chain(run) if str(known.size) == size):
            self._same("trailer Ledger-Checkpoint", known.root.hex(), root)
            if known.size > covered.size:
                raise IntegrityError(
                    "the commit carries a checkpoint from after its own authorisation",
                    where=self._commit.oid,
                )

    def _witnessed(self, covered: Checkpoint, run: str) -> int:
        """Compare with the verifier's checkpoint: the same log, and one of the two continues the other."""
        if not self._own:
            return 0
        own = self._keys.note(self._own, "your checkpoint is not of this run's ledger")
        chain = [covered] if own.size == covered.size else self._chain(run)
        if covered not in chain:
            raise IntegrityError(
                "the checkpoint over the merge is not one of the published ones",
                where=f"run {run}, {covered.size} entries",
            )
        for known in (known for known in chain if known.size == own.size):
            if known.root == own.root:
                return own.size
            raise IntegrityError(
                "your checkpoint is of another history than the one that authorised the merge",
                where=f"run {run}, {own.size} entries",
                expected=known.root.hex(),
                got=own.root.hex(),
            )
        raise UsageError(
            "this checkpoint cannot be compared without the ledger itself",
            expected=f"one over {', '.join(str(known.size) for known in chain)} entries",
            got=f"one over {own.size}",
            hint="With the ledger: engine ledger verify --checkpoint FILE.",
        )

    def _chain(self, run: str) -> list[Checkpoint]:
        """Return the published checkpoints of the run, each shown to continue the one before."""
        chain: list[Checkpoint] = []
        for item in _published_list(self._clone, f"{run}.growth.json"):
            found = self._keys.note(item["checkpoint"], "a checkpoint is not signed by this key")
            proof = [bytes.fromhex(node) for node in item["proof"]]
            before = chain[-1] if chain else None
            if before and not verify_consistency(
                before.size, before.root, found.size, found.root, proof
            ):
                raise IntegrityError(
                    "the published checkpoints are of two histories", where=f"{found.size} entries"
                )
            chain.append(found)
        return chain

    def _same(self, what: str, expected: object, got: object) -> None:
        if expected != got:
            raise IntegrityError(
                f"the attestation is not about this commit: {what}",
                where=self._commit.oid,
                expected=str(expected)[:200],
                got=str(got)[:200],
            )
