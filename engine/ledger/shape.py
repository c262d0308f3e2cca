"""The contract of an entry as a fast check: the same answers as contracts/ledger-entry.v1.json, 50 times quicker.

Tests hold the two together: every generated entry and every mutation of it must get one answer from both.
A `body` may say more than is listed; what is listed is what verification and recovery rely on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.core import model

Check = Callable[[Any], bool]  # Any: the value is unknown JSON, asking what it is is the point

MERGE_CHECKS: Final = ("budget", "validator", "manifest", "policy", "conflict")

_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TIME: Final = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
)
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ALWAYS: Final = frozenset({"v", "seq", "prev", "run", "type", "at", "epoch"})
_ON_TURNS: Final = _ALWAYS | {"instance", "task", "fact", "events"}
_ON_NOTES: Final = _ALWAYS | {"instance", "task", "body"}


def problem(record: Mapping[str, Any]) -> str:  # Any: unknown JSON
    """Return what is wrong with an entry as "expected …, but …", or "" when it keeps the contract."""
    for name, check in _HEAD:
        if not check(record.get(name)):
            return f"expected {check.__doc__} as {name!r}, but got {record.get(name)!r}"
    return content_problem(record)


def content_problem(record: Mapping[str, Any]) -> str:  # Any: unknown JSON
    """Like `problem`, for what follows the head of an entry: its type and what that type must say."""
    kind = record.get("type")
    is_turn = kind == "instance.turn"
    required = BODIES.get(kind) if isinstance(kind, str) else None
    if not is_turn and required is None:
        return f"expected a type of entry of ledger-entry.v1, but got {kind!r}"
    allowed = _ON_TURNS if is_turn else _ON_NOTES
    if not record.keys() <= allowed:
        return f"expected no other members, but got {', '.join(sorted(record.keys() - allowed))}"
    for name in ("instance", "task"):
        if name in record and not _text(record[name]):
            return f"expected {_text.__doc__} as {name!r}, but got {record[name]!r}"
    return turn_problem(record) if required is None else _body_problem(record.get("body"), required)


def turn_problem(record: Mapping[str, Any]) -> str:  # Any: unknown JSON
    """Like `problem` for what a turn says itself: instance, fact and events."""
    fact, events = record.get("fact"), record.get("events", ())
    if not record.get("instance"):
        return "expected the instance of a turn, but there is none"
    if type(fact) is not dict or fact.get("kind") not in FACT_KINDS:
        return "expected a fact of a known kind, but there is none"
    if (type(events) is not list and events != ()) or events == []:
        return "expected a list of events that is not empty, or none"
    for event in events:
        if type(event) is not dict or event.get("kind") not in EVENT_KINDS:
            return "expected events of known kinds, but one is not"
    return ""


def _body_problem(body: object, required: Mapping[str, Check]) -> str:
    if type(body) is not dict:
        return "expected an object as 'body', but there is none"
    for name, check in required.items():
        if not check(body.get(name)):
            return (
                f"expected {check.__doc__} as 'body.{name}', but got {str(body.get(name))[:80]!r}"
            )
    return ""


# --- what a member must be; the docstring is the noun phrase of the error ----------------------------


def _version(value: object) -> bool:
    """1"""
    return type(value) is int and value == 1


def _count(value: object) -> bool:
    """an integer from 0"""
    return type(value) is int and value >= 0


def _positive(value: object) -> bool:
    """an integer from 1"""
    return type(value) is int and value >= 1


def _text(value: object) -> bool:
    """a text that is not empty"""
    return type(value) is str and value != ""


def _hash(value: object) -> bool:
    """64 hexadecimal digits"""
    return type(value) is str and _HEX_64.fullmatch(value) is not None


def is_time(value: object) -> bool:
    """a UTC time with microseconds"""
    return type(value) is str and _TIME.fullmatch(value) is not None


def _object_id(value: object) -> bool:
    """a full object id of git"""
    return type(value) is str and _OBJECT_ID.fullmatch(value) is not None


def _texts(value: object) -> bool:
    """a list of texts"""
    return type(value) is list and all(type(item) is str for item in value)


def _object_ids(value: object) -> bool:
    """a list of full object ids of git"""
    return type(value) is list and len(value) > 0 and all(map(_object_id, value))


def _subject(value: object) -> bool:
    """a subject with the object ids old, sources, tree and commit"""
    return (
        type(value) is dict
        and value.keys() == _SUBJECT.keys()
        and all(check(value[name]) for name, check in _SUBJECT.items())
    )


def _verdict_kind(value: object) -> bool:
    """budget, validator, manifest, policy, conflict or rollback"""
    return type(value) is str and (value in MERGE_CHECKS or value == "rollback")


def _verdict(value: object) -> bool:
    """pass, fail, error or undefined"""
    return type(value) is str and value in ("pass", "fail", "error", "undefined")


_SUBJECT: Final[Mapping[str, Check]] = {
    "old": _object_id,
    "sources": _object_ids,
    "tree": _object_id,
    "commit": _object_id,
}
_HEAD: Final[tuple[tuple[str, Check], ...]] = (
    ("v", _version),
    ("seq", _positive),
    ("prev", _hash),
    ("run", _text),
    ("at", is_time),
    ("epoch", _positive),
)

_MOVE: Final[Mapping[str, Check]] = {"job": _text, "ref": _text, **_SUBJECT}

BODIES: Final[Mapping[str, Mapping[str, Check]]] = {
    "run.created": {"feature": _text, "bundle": _hash},
    "run.resumed": {},
    "run.stopped": {"status": _text},
    "run.finished": {"status": _text},
    "definitions.loaded": {"bundle": _hash},
    "command.received": {"kind": _text, "answer": _text},
    "workspace.created": {},
    "manifest.rescoped": {"job": _text, "paths": _texts, "reason": _text},
    "workspace.captured": {"commit": _object_id},
    "workspace.removed": {},
    "worker.started": {"job": _text},
    "worker.finished": {"job": _text},
    "plugin.called": {"plugin": _text},
    "usage.recorded": {"tokens": _count, "cost_micros": _count},
    "gate.finished": {"name": _text, "result": _text},
    "verdict.recorded": {
        "kind": _verdict_kind,
        "verdict": _verdict,
        "subject": _subject,
        "reasons": _texts,
    },
    "waiver.granted": {"by": _text, "reason": _text},
    "merge.authorized": _MOVE,
    "merge.completed": _MOVE,
    "merge.voided": {"job": _text, "reason": _text},
    "merge.refused": {"reasons": _texts},
    "rollback.authorized": _MOVE,
    "rollback.completed": _MOVE,
    "rollback.voided": {"job": _text, "reason": _text},
    "publish.completed": {"branch": _text, "commit": _object_id},
    "publish.refused": {"branch": _text, "reason": _text},
    "checkpoint.signed": {"size": _count, "root": _hash, "note": _text, "key": _text},
    "key.rotated": {"key": _text},
    "recovery.action": {"action": _text},
}


def kind_of(record_type: type) -> str:
    """Return the word for a class of fact or event: `JobCompleted` → `job_completed`."""
    return _CAPITAL.sub("_", record_type.__name__).lower()


def kinds(base: type) -> dict[str, type]:
    """Return {kind: class} of the facts or events (`base`) that the core knows."""
    return {
        kind_of(item): item
        for item in vars(model).values()
        if isinstance(item, type) and issubclass(item, base) and item is not base
    }


FACT_KINDS: Final = frozenset(kinds(model.Fact))
EVENT_KINDS: Final = frozenset(kinds(model.Event))
