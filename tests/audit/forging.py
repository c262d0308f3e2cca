"""Ways to tamper with a finished run: each takes what an auditor would be shown and changes it.

An attacker here can write everything: the ledger, its checkpoints and key line, the blobs and the repository. In the
worst kinds the signing key is stolen as well. What cannot be changed is the one checkpoint kept elsewhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson

from engine.audit.objects import opened
from engine.ledger import canonical
from engine.ledger.checkpoints import SigningKey, sign_checkpoint
from engine.ledger.entries import entry_hash
from engine.ledger.merkle import Frontier
from tests.audit.finished import Finished


@dataclass
class Shown:
    """What the auditor is shown."""

    lines: list[bytes]
    notes: list[str]
    key_line: str
    blobs: dict[str, bytes]
    repository: Path


Attack = Callable[[Shown, Random, Finished], None]


# --- the ledger ----------------------------------------------------------------------------------------


def edit_byte(shown: Shown, random: Random, finished: Finished) -> None:
    at = random.randrange(len(shown.lines))
    line = bytearray(shown.lines[at])
    line[random.randrange(len(line))] ^= 1 << random.randrange(8)
    shown.lines[at] = bytes(line)


def edit_value(shown: Shown, random: Random, finished: Finished) -> None:
    at = random.randrange(len(shown.lines))
    shown.lines[at] = _edited(shown.lines[at], random)


def delete(shown: Shown, random: Random, finished: Finished) -> None:
    for _ in range(random.randint(1, 3)):
        del shown.lines[random.randrange(len(shown.lines))]


def swap(shown: Shown, random: Random, finished: Finished) -> None:
    one, other = random.sample(range(len(shown.lines)), 2)
    lines = shown.lines
    lines[one], lines[other] = lines[other], lines[one]


def duplicate(shown: Shown, random: Random, finished: Finished) -> None:
    line = random.choice(shown.lines)
    shown.lines.insert(random.randint(0, len(shown.lines)), line)


def truncate(shown: Shown, random: Random, finished: Finished) -> None:
    del shown.lines[random.randrange(len(shown.lines)) :]


def tear(shown: Shown, random: Random, finished: Finished) -> None:
    shown.lines[-1] = shown.lines[-1][: random.randrange(len(shown.lines[-1]))]


def foreign_entry(shown: Shown, random: Random, finished: Finished) -> None:
    at = random.randint(0, len(shown.lines))
    shown.lines.insert(at, random.choice(finished.foreign))


def rechain(shown: Shown, random: Random, finished: Finished) -> None:
    """A change and the chain mended behind it; the signed checkpoints stay as they were."""
    _change_something(shown, random, finished)
    shown.lines = _chained(shown.lines)


def rechain_with_own_key(shown: Shown, random: Random, finished: Finished) -> None:
    """A change, the chain mended, every checkpoint signed anew by the attacker, whose key line is put beside it."""
    _change_something(shown, random, finished)
    key = SigningKey(random.randbytes(32))
    shown.key_line = key.key_line(finished.run)
    shown.lines, shown.notes = _signed(shown.lines, key, finished.run)


def rechain_with_stolen_key(shown: Shown, random: Random, finished: Finished) -> None:
    """As before, with the engine's own key: nothing in the ledger itself is wrong any more."""
    _change_something(shown, random, finished)
    shown.lines, shown.notes = _signed(shown.lines, finished.key, finished.run)


def roll_back(shown: Shown, random: Random, finished: Finished) -> None:
    """An older state of everything, as a restored copy would bring it."""
    ends = [at for at, line in enumerate(shown.lines, 1) if b'"checkpoint.signed"' in line]
    end = random.choice(ends[:-1])
    shown.lines = shown.lines[:end]
    shown.notes = shown.notes[: ends.index(end) + 1]


def _change_something(shown: Shown, random: Random, finished: Finished) -> None:
    random.choice([edit_value, delete, swap, duplicate, foreign_entry])(shown, random, finished)


# --- blobs ---------------------------------------------------------------------------------------------


def change_blob(shown: Shown, random: Random, finished: Finished) -> None:
    """Alter, swap or take away a content that the ledger names by digest."""
    named = [digest for digest in shown.blobs if _is_named(digest, shown.lines)]
    digest = random.choice(named)
    content = shown.blobs[digest]
    match random.randrange(4):
        case 0:
            at = random.randrange(len(content))
            shown.blobs[digest] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        case 1:
            shown.blobs[digest] = content[: random.randrange(len(content))]
        case 2:
            shown.blobs[digest] = shown.blobs[random.choice([d for d in named if d != digest])]
        case _:
            del shown.blobs[digest]


def _is_named(digest: str, lines: list[bytes]) -> bool:
    return any(f'"{digest}"'.encode() in line for line in lines)


# --- git -----------------------------------------------------------------------------------------------


def move_ref(shown: Shown, random: Random, finished: Finished) -> None:
    """Point the run's branch at another commit that the repository has, or take it away."""
    ref, tip = _branch(shown, finished)
    others = {*_git(shown, "rev-list", "--all").split()} - {tip}
    target = random.choice([*sorted(others), ""])
    _git(shown, "update-ref", *(("-d", ref) if not target else (ref, target)))


def forge_merge(shown: Shown, random: Random, finished: Finished) -> None:
    """Put a commit on the branch that no gate has seen, dressed as a merge of the engine."""
    ref, tip = _branch(shown, finished)
    message = _git(shown, "log", "-1", "--format=%B", tip)
    trees = sorted(
        {
            _git(shown, "rev-parse", f"{c}^{{tree}}")
            for c in _git(shown, "rev-list", "--all").split()
        }
    )
    parents = _git(shown, "rev-list", "--parents", "-1", tip).split()[1:]
    own = _git(shown, "rev-parse", f"{tip}^{{tree}}")
    match random.randrange(3):
        case 0:  # one more on top, with the trailers of the last
            forged = _commit(shown, random, random.choice(trees), [tip], message)
        case 1:  # the last merge again, with another tree
            forged = _commit(
                shown, random, random.choice([t for t in trees if t != own]), parents, message
            )
        case _:  # the last merge again, with a parent less
            forged = _commit(shown, random, own, parents[:-1], message)
    _git(shown, "update-ref", ref, forged)


def alter_object(shown: Shown, random: Random, finished: Finished) -> None:
    """Replace, cut or remove the file of an object that the branch brought."""
    _, tip = _branch(shown, finished)
    base = orjson.loads(shown.lines[0])["body"]["base"]["commit"]
    with opened(shown.repository) as objects:
        brought = objects.introduced(tip, base) or []
    files = [shown.repository / "objects" / oid[:2] / oid[2:] for oid in brought]
    loose = [path for path in files if path.is_file()]
    path = random.choice(loose)
    content = path.read_bytes()
    path.chmod(0o644)
    match random.randrange(3):
        case 0:
            path.write_bytes(random.choice([p for p in loose if p != path]).read_bytes())
        case 1:
            path.write_bytes(content[: len(content) // 2])
        case _:
            path.unlink()


def _branch(shown: Shown, finished: Finished) -> tuple[str, str]:
    ref = f"refs/heads/engine/shop/{finished.run}"
    return ref, _git(shown, "rev-parse", ref)


def _commit(shown: Shown, random: Random, tree: str, parents: list[str], message: str) -> str:
    options = [part for parent in parents for part in ("-p", parent)]
    message = f"{random.getrandbits(32)}: {message}"
    return _git(shown, "commit-tree", tree, *options, "-m", message)


def _git(shown: Shown, *arguments: str) -> str:
    done = subprocess.run(
        ["git", f"--git-dir={shown.repository}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "Poundlock",
            "GIT_AUTHOR_EMAIL": "engine@poundlock.invalid",
            "GIT_COMMITTER_NAME": "Poundlock",
            "GIT_COMMITTER_EMAIL": "engine@poundlock.invalid",
        },
    )
    return done.stdout.strip()


# --- what an attacker does to lines --------------------------------------------------------------------


def _edited(line: bytes, random: Random) -> bytes:
    """Return the line with one value changed, canonical as before."""
    record = orjson.loads(line)
    places = list(_leaves(record))
    holder, name = random.choice(places)
    holder[name] = _other(holder[name], random)
    return canonical.encode_tagged(record)


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        if isinstance(inner, dict | list):
            yield from _leaves(inner)
        else:
            yield value, name


def _other(value: Any, random: Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + random.choice([-1, 1, 1000])
    opposite = {"pass": "fail", "fail": "pass", "ok": "failed", "failed": "ok"}
    if value in opposite:
        return opposite[value]
    at = random.randrange(len(value) + 1)
    return value[:at] + random.choice("0a9z") + value[at + 1 :] if value else "x"


def _chained(lines: list[bytes]) -> list[bytes]:
    """Return the lines with seq and prev as the engine would have written them."""
    previous, result = bytes(32), []
    for seq, line in enumerate(lines, 1):
        record = orjson.loads(line)
        record["seq"], record["prev"] = seq, previous.hex()
        sealed = canonical.encode_tagged(record)
        previous = entry_hash(previous, sealed)
        result.append(sealed)
    return result


def _signed(lines: list[bytes], key: SigningKey, run: str) -> tuple[list[bytes], list[str]]:
    """Return the lines chained anew, and every checkpoint among them signed anew by `key`."""
    previous, frontier, result, notes = bytes(32), Frontier(), [], []
    for seq, line in enumerate(lines, 1):
        record = orjson.loads(line)
        record.update({"seq": seq, "prev": previous.hex()})
        if record["type"] == "checkpoint.signed":
            note = sign_checkpoint(key, run, seq - 1, frontier.root())
            notes.append(note)
            record["body"] = {
                "size": seq - 1,
                "root": frontier.root().hex(),
                "note": note,
                "key": key.key_line(run),
            }
        sealed = canonical.encode_tagged(record)
        previous, frontier = entry_hash(previous, sealed), frontier.grown([sealed])
        result.append(sealed)
    return result, notes
