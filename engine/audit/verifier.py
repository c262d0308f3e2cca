"""The auditor's verifier: what must hold of a ledger, checked with no code of the engine that wrote it.

It shares with the writer only the format (contracts/ledger-entry.v1.json) and RFC 8785, 6962, 8032, so that a
bug of the writer cannot hide itself. Levels:

- **L0 bytes**: every line is canonical JSON with the members an entry has; no number is a float; large values
  are what their digests say.
- **L1 chain and tree**: seq, prev and hash of every entry; every checkpoint is signed by the given key, commits
  to exactly the entries it counts, and so continues the one before; nothing is missing behind the newest.
- **L2 course**: one creation, at the start; epochs never go down; each job has one outcome; a branch moves only
  as authorised before; an authorisation rests on a literal `pass` of every required check on the same commit;
  no merge happens twice; each merge builds on the one before; nothing follows the end of a run but a new epoch.

Findings are collected, never raised: an auditor wants all of them.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from engine.errors import EngineError

TAG: Final = b"poundlock/ledger-entry/v1\n"
REQUIRED_PASSES: Final = {
    "merge": ("budget", "validator", "manifest", "policy", "conflict"),
    "rollback": ("rollback",),
}
TYPES: Final = frozenset(
    """run.created run.resumed run.stopped run.finished definitions.loaded instance.turn
    command.received workspace.created workspace.captured workspace.removed worker.started
    worker.finished plugin.called usage.recorded gate.finished verdict.recorded waiver.granted
    merge.authorized merge.completed merge.voided merge.refused rollback.authorized
    rollback.completed rollback.voided publish.completed publish.refused checkpoint.signed
    key.rotated recovery.action""".split()  # noqa: SIM905  # twenty-nine words read better as words
)

_HEX_64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_BLOB: Final = re.compile(rb'"\$blob":"sha256:([0-9a-f]{64})"')
_BEYOND_U_FFFF: Final = re.compile(rb"[\xf0-\xf4]")
_MEMBERS: Final = frozenset(
    {"v", "seq", "prev", "run", "type", "at", "epoch", "instance", "task", "fact", "events", "body"}
)
_OUTCOMES: Final = ("job_completed", "job_failed", "bpmn_error_thrown")

Record = Mapping[str, Any]  # Any: a parsed entry whose shape is being questioned


@dataclass(frozen=True, order=True)
class Finding:
    """Something that does not hold: at which level, at which entry (0: the ledger as a whole), and what."""

    seq: int
    level: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was checked and what was found. `checkpoints` counts notes with a good signature and root."""

    run: str
    entries: int
    head: str  #: hash of the last entry, hex
    root: str  #: Merkle root over all lines, hex
    checkpoints: int
    witnessed: (
        int  #: entries that the newest good checkpoint covers; later ones are as safe as the disk
    )
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings


@dataclass
class _Tree:
    """A growing Merkle tree and the roots at the sizes somebody asked for."""

    wanted: frozenset[int]
    size: int = 0
    peaks: list[bytes] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)

    def add(self, line: bytes) -> None:
        node, full = sha256(b"\x00" + line).digest(), self.size
        while full & 1:
            node = sha256(b"\x01" + self.peaks.pop() + node).digest()
            full >>= 1
        self.peaks.append(node)
        self.size += 1
        if self.size in self.wanted:
            self.roots[self.size] = self.root()

    def root(self) -> bytes:
        if not self.peaks:
            return sha256(b"").digest()
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = sha256(b"\x01" + peak + node).digest()
        return node


def verify(
    lines: Iterable[bytes],
    notes: Sequence[str] = (),
    key: str = "",
    blob: Callable[[str], bytes | None] | None = None,
) -> Report:
    """Check the ledger of one run and return everything found.

    `lines` are the entries without line feeds, in order. `notes` are signed checkpoints from anywhere: the
    export, a merge commit, a witness; those that the ledger itself records are checked as well. `key` is the
    C2SP key line of the run. Without a key the signatures are not checked, and no note counts as a witness.
    With `blob` (digest → content or None) every large value that an entry refers to is checked too.
    """
    findings: list[Finding] = []
    outside = [_parsed_note(note, key, findings) for note in notes]
    tree = _Tree(frozenset(note.size for note in outside if note))
    inside: list[_Note] = []
    course = _Course(findings)
    parse = _parser()
    digest, seq, run = bytes(32), 0, ""
    for line in lines:
        seq += 1
        record = parse(line)
        problem = _shape_problem(record, line)
        if problem or record is None:
            findings.append(Finding(seq, "L0", problem))
        else:
            run = run or str(record["run"])
            _check_link(record, seq, digest.hex(), run, findings)
            if record["type"] == "checkpoint.signed":
                inside += _check_recorded(record, seq, tree, key, findings)
            course.follow(seq, record)
        if blob is not None and b'"$blob"' in line:
            _check_blobs(seq, line, blob, findings)
        digest = sha256(TAG + digest + line).digest()
        tree.add(line)
    good = [note for note in outside if note and _is_committed(note, tree, findings)]
    good += inside
    return Report(
        run=run,
        entries=seq,
        head=digest.hex(),
        root=tree.root().hex(),
        checkpoints=len({(note.size, note.root) for note in good}),
        witnessed=max((note.size for note in good), default=0),
        findings=tuple(sorted(set(findings))),
    )


# --- L0: bytes ---------------------------------------------------------------------------------------


def _parser() -> Callable[[bytes], Record | None]:
    """Return a strict reader of canonical lines; the standard library is enough, orjson is quicker."""
    try:
        import orjson
    except ImportError:
        return _parse_with_json

    def parse(line: bytes) -> Record | None:
        try:
            record = orjson.loads(line)
            written = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
            if not line.isascii() and _BEYOND_U_FFFF.search(line):
                return _parse_with_json(line)  # RFC 8785 sorts such names otherwise than orjson
            if written != line or not _is_exact(record):
                return None
        except (ValueError, TypeError, RecursionError):
            return None
        return record if type(record) is dict else None

    return parse


def _parse_with_json(line: bytes) -> Record | None:
    try:
        record = json.loads(line.decode(), parse_float=_refuse, parse_constant=_refuse)
        is_canonical = _canonical(record).encode() == line
    except (ValueError, RecursionError):
        return None
    return record if is_canonical and type(record) is dict else None


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is no exact number")


def _is_exact(value: Any) -> bool:  # Any: parsed JSON
    """Tell whether no float occurs in parsed JSON."""
    for member in value.values() if type(value) is dict else value:
        kind = type(member)
        if kind is dict or kind is list:
            if not _is_exact(member):
                return False
        elif kind is float or (kind is int and not -(2**53) < member < 2**53):
            return False
    return True


def _canonical(value: Any) -> str:  # Any: parsed JSON
    """Return the text of RFC 8785 for values without floats."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(name)}:{_canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**53) < value < 2**53:
        raise ValueError("an integer beyond 2^53")
    return _text(value)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shape_problem(record: Record | None, line: bytes) -> str:
    if record is None:
        return f"the line is not canonical JSON: {line[:60]!r}"
    get = record.get
    kind = get("type")
    epoch = get("epoch")
    if type(get("v")) is not int or type(get("seq")) is not int or type(epoch) is not int:
        return "expected integers as 'v', 'seq' and 'epoch'"
    if not record.keys() <= _MEMBERS:
        return f"unknown members {', '.join(sorted(record.keys() - _MEMBERS))}"
    if get("v") != 1 or epoch < 1 or type(kind) is not str or kind not in TYPES:
        return f"expected a known version, epoch and type, but got {get('v')}, {epoch}, {kind!r}"
    if not _is_text(get("run")) or not _matches(_TIME, get("at")) or not _is_date(record["at"]):
        return "expected a run and a UTC time with microseconds"
    if not _matches(_HEX_64, get("prev")):
        return "expected a hash of 64 hexadecimal digits as 'prev'"
    if kind != "instance.turn":
        return "" if type(get("body")) is dict else "expected a body"
    fact, events = get("fact"), get("events", [])
    if not _is_text(get("instance")) or type(fact) is not dict or type(events) is not list:
        return "expected a turn with its instance, fact and events"
    for item in (fact, *events):
        if type(item) is not dict or "kind" not in item:
            return "expected a kind on the fact and on every event"
    return ""


def _is_text(value: object) -> bool:
    return type(value) is str and value != ""


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return type(value) is str and pattern.fullmatch(value) is not None


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check_blobs(
    seq: int, line: bytes, blob: Callable[[str], bytes | None], findings: list[Finding]
) -> None:
    for digest in _BLOB.findall(line):
        content = blob(f"sha256:{digest.decode()}")
        if content is None or sha256(content).hexdigest() != digest.decode():
            message = f"the large value sha256:{digest.decode()} is missing or altered"
            findings.append(Finding(seq, "L0", message))


# --- L1: chain, tree, checkpoints --------------------------------------------------------------------


@dataclass(frozen=True)
class _Note:
    size: int
    root: bytes
    is_signed: bool


def _check_link(record: Record, seq: int, prev: str, run: str, findings: list[Finding]) -> None:
    if record["seq"] != seq:
        findings.append(Finding(seq, "L1", f"expected seq {seq}, but got {record['seq']}"))
    if record["prev"] != prev:
        findings.append(Finding(seq, "L1", "prev is not the hash of the entry before"))
    if record["run"] != run:
        findings.append(Finding(seq, "L1", f"expected run {run}, but got {record['run']}"))


def _parsed_note(note: str, key: str, findings: list[Finding], seq: int = 0) -> _Note | None:
    """Return what a signed note says, or report why it says nothing."""
    text, _, signatures = note.rpartition("\n\n")
    parts = text.split("\n")
    try:
        size, root = int(parts[1]), b64decode(parts[2], validate=True)
        if str(size) != parts[1] or size < 0 or len(root) != 32:
            raise ValueError(parts[1])
    except (ValueError, IndexError):
        findings.append(Finding(seq, "L1", "a checkpoint is malformed"))
        return None
    if not key:
        return _Note(size, root, is_signed=False)
    name, public = _public_key(key)
    if parts[0] != name or not _is_signed(f"{text}\n", signatures, name, public):
        findings.append(
            Finding(
                seq, "L1", f"the checkpoint over {size} entries is not signed by the key of {name}"
            )
        )
        return None
    return _Note(size, root, is_signed=True)


def _is_signed(text: str, signatures: str, name: str, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    identity = sha256(f"{name}\n\x01".encode() + public).digest()[:4]
    for line in signatures.splitlines():
        try:
            blob = b64decode(line.removeprefix(f"— {name} "), validate=True)
        except ValueError:
            continue
        if line.startswith(f"— {name} ") and blob[:4] == identity:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text.encode())
            except InvalidSignature:
                return False
            return True
    return False


def _public_key(line: str) -> tuple[str, bytes]:
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    expected = sha256(name.encode() + b"\n" + key).hexdigest()[:8]
    if len(key) != 33 or key[0] != 1 or identity != expected:
        raise EngineError(where=line[:120], expected="a C2SP ed25519 key line name+id+base64")
    return name, key[1:]


def _check_recorded(
    record: Record, seq: int, tree: _Tree, key: str, findings: list[Finding]
) -> list[_Note]:
    """Check a checkpoint that the ledger records: it must cover exactly the entries before it."""
    body = record["body"]
    note = _parsed_note(str(body.get("note", "")), key, findings, seq)
    if note is None:
        return []
    says = (body.get("size"), body.get("root"))
    if (note.size, note.root) != (tree.size, tree.root()) or says != (note.size, note.root.hex()):
        findings.append(
            Finding(
                seq, "L1", f"the checkpoint is not the root of the {tree.size} entries before it"
            )
        )
        return []
    return [note] if note.is_signed else []


def _is_committed(note: _Note, tree: _Tree, findings: list[Finding]) -> bool:
    """Tell whether an outside note commits to a prefix of the ledger."""
    if note.size > tree.size:
        message = f"a checkpoint covers {note.size} entries, but there are {tree.size}: the end is missing"
        findings.append(Finding(0, "L1", message))
        return False
    root = tree.roots.get(note.size, sha256(b"").digest())
    if root != note.root:
        message = f"the first {note.size} entries are not those that a checkpoint has witnessed"
        findings.append(Finding(0, "L1", message))
        return False
    return note.is_signed


# --- L2: the course of a run -------------------------------------------------------------------------


@dataclass
class _Course:
    """What a run may do next, given what it did."""

    findings: list[Finding]
    epoch: int = 0
    ended: int = 0  #: seq of run.finished, until a new epoch
    outcomes: dict[str, int] = field(default_factory=dict)
    passes: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)
    authorized: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    commits: dict[str, int] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)

    def follow(self, seq: int, record: Record) -> None:
        """Take one entry in, and report what it may not do."""
        kind = str(record["type"])
        self._check_epoch(seq, record, kind)
        if (kind == "run.created") != (seq == 1):
            self._find(seq, "a run is created by its first entry and by no other")
        if kind == "instance.turn":
            self._take_turn(seq, record)
        elif kind == "verdict.recorded":
            self._take_verdict(record["body"])
        elif kind == "run.finished":
            self.ended = seq
        else:
            self._take_move(seq, kind, record["body"])

    def _check_epoch(self, seq: int, record: Record, kind: str) -> None:
        if record["epoch"] < self.epoch:
            self._find(seq, f"the epoch goes down from {self.epoch} to {record['epoch']}")
        if record["epoch"] > self.epoch:
            if self.epoch and kind != "run.resumed":
                self._find(seq, "a new epoch begins without run.resumed")
            self.epoch, self.ended = record["epoch"], 0
        if self.ended and kind not in ("checkpoint.signed", "publish.completed", "publish.refused"):
            self._find(seq, f"the run ended with entry {self.ended}, yet goes on")

    def _take_turn(self, seq: int, record: Record) -> None:
        fact = record["fact"]
        if fact["kind"] not in _OUTCOMES:
            return
        job = f"{record['instance']}/{fact.get('job')}"
        first = self.outcomes.setdefault(job, seq)
        if first != seq:
            self._find(seq, f"job {job} has an outcome already, in entry {first}")

    def _take_verdict(self, body: Record) -> None:
        subject = _ids(body.get("subject"))
        if subject is not None:
            said = self.passes.setdefault(subject, {})
            said[str(body.get("kind"))] = str(body.get("verdict"))

    def _take_move(self, seq: int, kind: str, body: Record) -> None:
        family, _, step = kind.partition(".")
        if family not in REQUIRED_PASSES:
            return
        job = str(body.get("job"))
        if step == "authorized":
            self._authorize(seq, family, job, body)
        elif step == "completed":
            self._complete(seq, job, body)
        elif step == "voided":
            self.authorized.pop(job, None)

    def _authorize(self, seq: int, family: str, job: str, body: Record) -> None:
        subject = _ids(body)
        said = self.passes.get(subject, {}) if subject else {}
        for check in REQUIRED_PASSES[family]:
            if said.get(check) != "pass":
                verdict = said.get(check, "not recorded")
                self._find(seq, f"authorised although {check} is {verdict} for these commits")
        self.authorized[job] = (body.get("ref"), subject)

    def _complete(self, seq: int, job: str, body: Record) -> None:
        subject, ref = _ids(body), str(body.get("ref"))
        if job in self.moved:
            self._find(seq, f"{job} was completed already, in entry {self.moved[job]}")
        elif self.authorized.get(job) != (body.get("ref"), subject):
            self._find(seq, f"{job} was completed without an authorisation of the same commits")
        self.moved.setdefault(job, seq)
        commit, old = str(body.get("commit")), body.get("old")
        if self.commits.setdefault(commit, seq) != seq:
            self._find(seq, f"commit {commit} was merged already, in entry {self.commits[commit]}")
        if self.heads.get(ref, old) != old:
            self._find(seq, f"{ref} stood at {self.heads[ref]}, yet the merge builds on {old}")
        self.heads[ref] = commit

    def _find(self, seq: int, message: str) -> None:
        self.findings.append(Finding(seq, "L2", message))


def _ids(value: object) -> tuple[str, ...] | None:
    """Return old, tree, commit and then the sources of a subject, or None when a part is missing."""
    if not isinstance(value, dict) or not isinstance(value.get("sources"), list):
        return None
    parts = (value.get("old"), value.get("tree"), value.get("commit"), *value["sources"])
    return parts if all(isinstance(part, str) for part in parts) else None
