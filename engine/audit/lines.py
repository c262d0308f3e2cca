"""L0, the bytes: a line is the RFC 8785 form of an object with the members of ledger-entry.v1, without floats.

Two readers give the same answers: the standard library alone is enough; orjson, where it is installed, is five times
as quick. Both compare the line with what they would write themselves, so one value has one spelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from engine.audit.findings import Record

TYPES: Final = frozenset(
    """run.created run.resumed run.stopped run.finished definitions.loaded instance.turn
    command.received workspace.created workspace.captured workspace.removed manifest.rescoped worker.started
    worker.finished plugin.called usage.recorded gate.finished verdict.recorded waiver.granted
    merge.authorized merge.completed merge.voided merge.refused rollback.authorized
    rollback.completed rollback.voided publish.completed publish.refused checkpoint.signed
    key.rotated recovery.action""".split()  # noqa: SIM905  # twenty-nine words read better as words
)

Parser = Callable[[bytes], Record | None]

_HEX_64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SECOND: Final = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]", re.ASCII
)
_BLOB: Final = re.compile(rb'"\$blob":"sha256:([0-9a-f]{64})"')
_BEYOND_U_FFFF: Final = re.compile(rb"[\xf0-\xf4]")
#: what is taken out of a line, and written otherwise, so that `:.` is left of every float that orjson writes
_NUMERALS: Final = b"0123456789-_#abcdghijklmnopqrsuvwxyz"  # not the t and f of true and false
_MARKED: Final = bytes.maketrans(b",[e", b"::.")
_BEGINNING: Final = b'{"at":"'
_BEHIND_THE_TIME: Final = len(_BEGINNING) + len('2026-11-20T23:20:42.123456Z"')
_KIND: Final = itemgetter("kind")
_TEXT: Final = frozenset({str})
_HEAD: Final = itemgetter("at", "epoch", "prev", "run", "seq", "type", "v")
_CHECKPOINT: Final = frozenset({"key", "note", "root", "size"})


def parser() -> Parser:
    """Return the quickest reader there is: line → entry, or None when the line is not canonical."""
    try:
        import orjson
    except ImportError:
        return parse_slowly
    loads, dumps = orjson.loads, orjson.dumps
    options = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

    def parse(line: bytes) -> Record | None:
        try:
            record = loads(line)
            if dumps(record, option=options) != line:
                # RFC 8785 sorts names beyond U+FFFF otherwise than orjson
                return parse_slowly(line) if _BEYOND_U_FFFF.search(line) else None
            if type(record) is not dict:
                return None
            if _may_hold_a_float(line) and not _is_exact(record):
                return None
        except (ValueError, TypeError, RecursionError):
            return None
        if not line.isascii() and _BEYOND_U_FFFF.search(line):
            return parse_slowly(line)
        return record

    return parse


def parse_slowly(line: bytes) -> Record | None:
    """Like `parser`, with the standard library alone."""
    try:
        record = _DECODER.decode(line.decode())
        # the encoder sorts by code point, RFC 8785 by UTF-16 unit: the same below U+10000
        write = _canonical if _BEYOND_U_FFFF.search(line) else _ENCODER.encode
        is_canonical = write(record).encode() == line
    except (ValueError, RecursionError):
        return None
    return record if is_canonical and type(record) is dict else None


def shape_problem(record: Record, prev: str) -> str:
    """Return what is wrong with the members of an entry, or "". `prev` is the hash of the entry before, hex."""
    try:
        at, epoch, before, run, seq, kind, version = _HEAD(record)
    except KeyError as error:
        return f"expected a member {error.args[0]!r}, but there is none"
    if type(version) is not int or type(seq) is not int or type(epoch) is not int:
        return "expected integers as 'v', 'seq' and 'epoch'"
    if version != 1 or epoch < 1 or type(kind) is not str or kind not in TYPES:
        return f"expected a known version, epoch and type, but got {version}, {epoch}, {kind!r}"
    if type(run) is not str or not run or not is_time(at):
        return "expected a run and a UTC time with microseconds"
    if before != prev and not _is_hash(before):
        return "expected a hash of 64 hexadecimal digits as 'prev'"
    more = len(record) - 7 - ("task" in record) - ("instance" in record)
    if kind != "instance.turn":
        return _note_problem(record, kind, more)
    return _turn_problem(record, more)


def _note_problem(record: Record, kind: str, more: int) -> str:
    """Return what is wrong with one of the engine's own records. A checkpoint has no member that is free."""
    body = record.get("body")
    if type(body) is not dict or more != 1:
        return f"expected a body and no further members, but got {', '.join(sorted(record))}"
    for name in ("instance", "task"):
        if name in record and (type(record[name]) is not str or not record[name]):
            return f"expected a name as {name!r}"
    is_checkpoint = kind == "checkpoint.signed"
    if is_checkpoint and (body.keys() != _CHECKPOINT or len(record) != 8):
        return "expected a checkpoint with key, note, root and size, and nothing else"
    return ""


def _turn_problem(record: Record, more: int) -> str:
    instance, fact, events = record.get("instance"), record.get("fact"), record.get("events", ())
    if type(instance) is not str or not instance or type(fact) is not dict:
        return "expected a turn with its instance and fact"
    if more != 1 and (more != 2 or type(events) is not list):
        return f"expected events and no further members, but got {', '.join(sorted(record))}"
    try:
        kinds = set(map(type, map(_KIND, events)))
        kinds.add(type(fact["kind"]))
    except (KeyError, TypeError):
        return "expected a kind on the fact and on every event"
    return "" if kinds == _TEXT else "expected a kind on the fact and on every event"


def large_values(line: bytes) -> list[str]:
    """Return the digests "sha256:…" of the large values that a line, or a large value itself, refers to."""
    return [f"sha256:{digest.decode()}" for digest in _BLOB.findall(line)]


def is_time(value: object) -> bool:
    """Tell whether `value` is a time of the calendar in UTC with microseconds."""
    if type(value) is not str or len(value) != 27 or value[19] != "." or value[26] != "Z":
        return False
    micros = value[20:26]
    return micros.isdecimal() and micros.isascii() and _is_second(value[:19])


@lru_cache(maxsize=64)
def _is_second(value: str) -> bool:
    """Tell whether `value` is YYYY-MM-DDTHH:MM:SS of the calendar; entries of one second come together."""
    if _SECOND.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_hash(value: object) -> bool:
    return type(value) is str and _HEX_64.fullmatch(value) is not None


def _may_hold_a_float(line: bytes) -> bool:
    """Tell whether a look at the values is worth its time; a text may look like a float.

    Half the price of a regular expression, and this is asked of every line. The time, which comes first, looks so too.
    """
    rest = line[_BEHIND_THE_TIME:] if line.startswith(_BEGINNING) else line
    return b":." in rest.translate(_MARKED, _NUMERALS)


def _is_exact(value: Any) -> bool:  # Any: parsed JSON
    """Tell whether no float occurs in parsed JSON."""
    for member in value.values() if type(value) is dict else value:
        kind = type(member)
        if kind is dict or kind is list:
            if not _is_exact(member):
                return False
        elif kind is float:
            return False
    return True


def _canonical(value: Any) -> str:  # Any: parsed JSON
    """Return the text of RFC 8785 for values without floats."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(name)}:{_canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return _text(value)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is no exact number")


def _integer(token: str) -> int:
    number = int(token)
    if not -(2**53) < number < 2**53:
        raise ValueError(f"{token} is beyond 2^53")
    return number


_DECODER: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, parse_int=_integer)
_ENCODER: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
