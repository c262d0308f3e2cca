"""Attestations: one in-toto Statement v1 with SLSA provenance v1 for each merge, made from the ledger alone.

    subject                the merge commit and its tree, by git object id
    externalParameters     feature, ref, wave and tasks: what was asked for
    internalParameters     bundle: the definitions that decided
    resolvedDependencies   the commit merged onto, the work of each task, the definition files
    byproducts             the five verdicts with their ledger entries; the entry `merge.authorized` itself, the signed checkpoint
                           over it and the path between the two (RFC 6962)

So an attestation brings the proof along that the merge was authorised in the ledger whose checkpoint somebody else may hold.
Everything follows from entries: the same ledger and key give the same bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.core.model import Json
from engine.frozen import dataclass
from engine.ledger.canonical import encode
from engine.ledger.checkpoints import SigningKey
from engine.ledger.dsse import seal_envelope
from engine.ledger.entries import Entry, EntryType, time_text
from engine.ledger.merkle import Tree, leaf_hash

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:poundlock:merge:v1"
AUTHORIZED: Final = "merge.authorized"
_AUTHORIZED_MARK: Final = f'"type":"{EntryType.MERGE_AUTHORIZED}"'.encode()

_WANTED: Final = (
    EntryType.RUN_CREATED,
    EntryType.VERDICT_RECORDED,
    EntryType.MERGE_AUTHORIZED,
    EntryType.MERGE_COMPLETED,
    EntryType.CHECKPOINT_SIGNED,
    EntryType.KEY_ROTATED,
)
Body = Mapping[str, Any]  # Any: JSON of our own entries


@dataclass(frozen=True, kw_only=True)
class Log:
    """One run's ledger to attest: its lines and entries, from the first on."""

    run: str
    lines: Callable[[], Iterable[bytes]]
    entries: Callable[[Sequence[EntryType]], Iterable[Entry]]  #: only of these types, in order


@dataclass(frozen=True, kw_only=True)
class Attested:
    """The attestations of a run, with what compares them with a later checkpoint of the same log."""

    envelopes: tuple[bytes, ...]  #: one line of JSON for each merge, in order
    commits: tuple[str, ...]
    checkpoints: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: (signed note, consistency proof (hex) from the one before), of every checkpoint of the run, oldest first
    rotations: tuple[
        str, ...
    ] = ()  #: notes on changes of the key between its checkpoints, signed by old and new


def attest(log: Log, key: SigningKey, version: str) -> Attested:
    """Return the attestation of every completed merge of a run; `version` is that of the engine."""
    tree, lines = Tree(), dict[int, bytes]()
    for seq, line in enumerate(log.lines(), 1):
        tree.append(leaf_hash(line))
        if _AUTHORIZED_MARK in line:  # a few of many: a ledger may be larger than the memory
            lines[seq] = line
    fold = _Fold(log.run, key, version, tree, lines)
    for entry in log.entries(_WANTED):
        fold.take(entry)
    return Attested(
        envelopes=tuple(encode(seal_envelope(key, encode(s))) for s in fold.statements.values()),
        commits=tuple(fold.statements),
        checkpoints=tuple(_growth(tree, fold.checkpoints)),
        rotations=tuple(fold.rotations),
    )


def _growth(tree: Tree, notes: Mapping[int, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    before = 0
    for size in sorted(notes):
        proof = tree.consistency(before, size) if before else []
        yield notes[size], tuple(node.hex() for node in proof)
        before = size


class _Fold:
    """What has been said so far, and a statement for each merge that was completed."""

    def __init__(
        self, run: str, key: SigningKey, version: str, tree: Tree, lines: Mapping[int, bytes]
    ) -> None:
        self.statements: dict[str, Json] = {}
        self.checkpoints: dict[int, str] = {}
        self.rotations: list[str] = []
        self._run = run
        self._builder: Json = {
            "id": f"urn:poundlock:engine:{key.origin(run).split('/')[1]}",
            "version": {"poundlock": version},
        }
        self._tree = tree
        self._lines = lines
        self._created: Body = {}
        self._verdicts: dict[int, Entry] = {}
        self._authorized: dict[str, Entry] = {}

    def take(self, entry: Entry) -> None:
        body: Body = entry.body or {}
        match entry.type:
            case EntryType.RUN_CREATED:
                self._created = body
            case EntryType.VERDICT_RECORDED:
                self._verdicts[entry.seq] = entry
            case EntryType.MERGE_AUTHORIZED:
                self._authorized[str(body["job"])] = entry
            case EntryType.CHECKPOINT_SIGNED:
                self.checkpoints[int(body["size"])] = str(body["note"])
            case EntryType.KEY_ROTATED if body["statement"]:
                self.rotations.append(str(body["statement"]))
            case EntryType.MERGE_COMPLETED:
                self._merged(entry, body)
            case _:
                pass

    def _merged(self, completed: Entry, body: Body) -> None:
        authorized = self._authorized.get(str(body["job"]))
        size = next((s for s in sorted(self.checkpoints) if authorized and s >= authorized.seq), 0)
        if authorized is None or not size:
            return  # never authorised, or nobody has signed it yet: nothing we could attest
        self.statements[str(body["commit"])] = {
            "_type": STATEMENT,
            "subject": [
                {"name": str(body["ref"]), "digest": {"gitCommit": body["commit"]}},
                {"name": "tree", "digest": {"gitTree": body["tree"]}},
            ],
            "predicateType": PREDICATE,
            "predicate": {
                "buildDefinition": self._definition(body),
                "runDetails": {
                    "builder": self._builder,
                    "metadata": {
                        "invocationId": str(body["job"]),
                        "startedOn": time_text(authorized.at),
                        "finishedOn": time_text(completed.at),
                    },
                    "byproducts": [
                        *map(_verdict, self._evidence(body)),
                        *self._proof(authorized, size),
                    ],
                },
            },
        }

    def _definition(self, body: Body) -> Json:
        created = self._created
        tasks = [str(task) for task in body.get("tasks") or ()]
        works = zip(tasks, body["sources"], strict=False)
        return {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "feature": created.get("feature"),
                "ref": body["ref"],
                "run": self._run,
                "tasks": tasks,
                "wave": body.get("wave"),
            },
            "internalParameters": {"bundle": f"sha256:{created.get('bundle')}"},
            "resolvedDependencies": [
                {"name": "onto", "digest": {"gitCommit": body["old"]}},
                *({"name": f"task {task}", "digest": {"gitCommit": oid}} for task, oid in works),
                *(
                    {"name": path, "digest": {"sha256": str(digest).removeprefix("sha256:")}}
                    for path, digest in sorted((created.get("files") or {}).items())
                ),
            ],
        }

    def _evidence(self, body: Body) -> Iterator[Entry]:
        for seq in body.get("evidence") or ():
            if int(seq) in self._verdicts:
                yield self._verdicts[int(seq)]

    def _proof(self, authorized: Entry, size: int) -> Iterator[Json]:
        """Yield the entry that authorised, as it was sealed, its path, and the checkpoint that the path leads to."""
        path = self._tree.inclusion(authorized.seq - 1, size)
        yield {
            "name": AUTHORIZED,
            "mediaType": "application/json",
            "content": b64encode(self._lines[authorized.seq]).decode(),
            "annotations": {
                "seq": authorized.seq,
                "size": size,
                "path": [node.hex() for node in path],
            },
        }
        yield {
            "name": "checkpoint",
            "mediaType": "text/plain",
            "content": b64encode(self.checkpoints[size].encode()).decode(),
        }


def _verdict(entry: Entry) -> Json:
    body: Body = entry.body or {}
    told = {"kind": body["kind"], "verdict": body["verdict"], "seq": entry.seq}
    return {
        "name": f"verdict {body['kind']}",
        "mediaType": "application/json",
        "content": b64encode(encode(told)).decode(),
    }
