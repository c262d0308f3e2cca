"""Canonical bytes of a JSON value: RFC 8785 (JCS) under the engine's limits, and back.

Laws (tests/ledger/test_canonical.py)
- `decode(encode(value)) == value` for every value of `engine.core.model.Json`.
- Without tagged numbers the bytes are those of RFC 8785.
- Equal values have equal bytes: an integral Decimal is written as the integer it equals.

JSON has no exact decimals and JCS knows only doubles, so two things are written as one-member objects:
`{"$number": "0.5"}` is a number that is no integer below 2^53, and `{"$blob": "sha256:…"}` stands for a
large value whose canonical bytes live in a blob. A user's own member `$number` or `$blob` gets one more `$`.

>>> encode({"b": Decimal("0.50"), "a": [1, "é"], "$number": None})
b'{"$$number":null,"a":[1,"\\xc3\\xa9"],"b":{"$number":"0.5"}}'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from engine.core.model import Json
from engine.errors import LedgerError

LARGE_VALUE_BYTES: Final = (
    65_536  #: a value whose canonical bytes are more than this lives in a blob
)
PLAIN_INTEGER_LIMIT: Final = (
    2**53
)  #: integers n with |n| below it are written as they are (I-JSON, RFC 7493)

_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_LEAVES: Final = frozenset({str, int, bool, type(None)})
_CONTAINERS: Final = frozenset({dict, list, tuple})
_RESERVED: Final = re.compile(r"\$+(?:number|blob)")
_TAG_BYTES: Final = re.compile(rb'\$(?:number|blob)":')
_ASTRAL: Final = re.compile(rb"[\xf0-\xf4]")
_NUMBER_FORM: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?|-?[1-9](?:\.[0-9]*[1-9])?e-?[1-9][0-9]*"
)
_MAX_PLACES: Final = 400  #: with more digits than this before or after the point: an exponent


def encode(value: Json) -> bytes:
    """Return the canonical bytes of `value`.

    Raises LedgerError, with a JSON pointer, for what has no canonical form: a float, a non-string key,
    a lone surrogate, an infinite number, any other type, nesting deeper than 200.
    """
    try:
        written = orjson.dumps(value, option=_OPTIONS) if _is_plain(value) else b""
    except (orjson.JSONEncodeError, RecursionError):
        written = b""
    if (
        not written
        or _TAG_BYTES.search(written)
        or (not written.isascii() and _ASTRAL.search(written))
    ):
        return _encode_tagged(value)
    return written


def decode(line: bytes, blob: Callable[[str], bytes] | None = None) -> Json:
    """Return the value of canonical bytes; numbers come back as int, or Decimal where they were tagged.

    With `blob` (digest → bytes) large values are filled in; without it they stay `{"$blob": digest}`.
    Raises LedgerError when `line` is not JSON, holds a float or a malformed tag.
    """
    try:
        value = orjson.loads(line)
        is_plain = _is_plain(value)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise LedgerError("the bytes are not JSON of ours", got=str(error)) from error
    if not is_plain:
        raise LedgerError(expected="no floating-point number", got="one", where=repr(line[:80]))
    decoded: Json = untagged(line, value, blob)
    return decoded


def untagged(line: bytes, parsed: Any, blob: Callable[[str], bytes] | None = None) -> Any:
    """Return `parsed`, the orjson reading of `line`, with numbers and large values filled in.

    Any, not Json: the caller knows what it has parsed. Raises LedgerError for a malformed tag.
    """
    return parsed if _TAG_BYTES.search(line) is None else _untagged(parsed, blob, "")


def is_canonical(line: bytes, parsed: object) -> bool:
    """Tell whether `line` is what we would write for `parsed`, its orjson reading: exact numbers, one form."""
    try:
        return _is_plain(parsed) and encode_tagged(parsed) == line
    except (orjson.JSONEncodeError, RecursionError):
        return False


def spill(value: Json, put: Callable[[bytes], str], limit: int = LARGE_VALUE_BYTES) -> Json:
    """Return `value` with every innermost part larger than `limit` bytes replaced by a reference to a blob.

    `put` stores canonical bytes and returns their digest. The result is already tagged: pass it to
    `encode_tagged`, never to `encode`, which would escape the references.
    """
    return _spill(_tagged(value, "", 0), put, limit)[0]


def encode_tagged(value: object) -> bytes:
    """Return the canonical bytes of a value that `spill` has returned."""
    written = orjson.dumps(value, option=_OPTIONS)
    if written.isascii() or not _ASTRAL.search(written):
        return written
    return orjson.dumps(_in_utf16_order(value))


# --- is it plain? -------------------------------------------------------------------------------------


def _is_plain(value: object) -> bool:
    """Tell whether only str, int, bool, None, dict, list and tuple occur: exact types, seen by orjson as we do.

    orjson writes floats (and NaN as null) without asking, so every value is looked at before. This is the
    hottest loop of the ledger: it is written for speed.
    """
    if type(value) not in _CONTAINERS:
        return type(value) in _LEAVES
    for member in value.values() if type(value) is dict else value:  # type: ignore[attr-defined]  # a container
        kind = type(member)
        if kind in _LEAVES:
            continue
        if kind not in _CONTAINERS or not _is_plain(member):
            return False
    return True


# --- writing ------------------------------------------------------------------------------------------


def _encode_tagged(value: Json) -> bytes:
    try:
        return encode_tagged(_tagged(value, "", 0))
    except orjson.JSONEncodeError as error:
        raise LedgerError("the value has no canonical form", got=str(error)) from error


def _tagged(value: object, at: str, depth: int) -> Json:
    """Return `value` in plain types only, with numbers tagged and reserved members escaped."""
    kind = type(value)
    if kind is str:
        return _checked_text(value, at)  # type: ignore[arg-type]  # `kind is str` does not narrow
    if value is None or kind is bool:
        return value  # type: ignore[return-value]  # None or bool
    if kind is int or kind is Decimal:
        return _tagged_number(value, at)  # type: ignore[arg-type]  # int or Decimal
    if depth > 200:
        raise LedgerError(where=at, expected="at most 200 levels of nesting", got="more")
    if isinstance(value, str):
        return _checked_text(str.__str__(value), at)
    if isinstance(value, Mapping):
        return {
            _member(key, at): _tagged(item, f"{at}/{key}", depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple) or (
        isinstance(value, Sequence) and not isinstance(value, bytes)
    ):
        return [_tagged(item, f"{at}/{index}", depth + 1) for index, item in enumerate(value)]
    raise LedgerError(
        where=at or "/",
        expected="a JSON value with exact numbers (int or Decimal)",
        got=f"{kind.__name__} {value!r}"[:120],
        hint="Give fractions as Decimal; floats differ between machines and have no place in the ledger.",
    )


def _member(key: object, at: str) -> str:
    if not isinstance(key, str):
        raise LedgerError(
            where=at or "/", expected="string keys", got=f"{type(key).__name__} {key!r}"[:120]
        )
    text = _checked_text(str.__str__(key), at)
    return f"${text}" if text[:1] == "$" and _RESERVED.fullmatch(text) else text


def _checked_text(text: str, at: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LedgerError(
            where=at or "/",
            expected="Unicode text",
            got=f"a lone surrogate at character {error.start}",
        ) from error
    return text


def _tagged_number(number: int | Decimal, at: str) -> Json:
    if isinstance(number, Decimal):
        if not number.is_finite():
            raise LedgerError(where=at or "/", expected="a finite number", got=str(number))
        if number.adjusted() < 17 and number == number.to_integral_value():
            number = int(number)
    if isinstance(number, int) and -PLAIN_INTEGER_LIMIT < number < PLAIN_INTEGER_LIMIT:
        return number
    return {"$number": _number_text(Decimal(number))}


def _number_text(number: Decimal) -> str:
    """Return the one text of a number: plain digits where they are few, else `d.ddde±x`; no trailing zeros."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    power = int(exponent) + len(text) - len(stripped)
    minus = "-" if sign else ""
    if not stripped:
        return "0"
    if power >= 0 and len(stripped) + power <= _MAX_PLACES:
        return minus + stripped + "0" * power
    if power < 0 and -power <= _MAX_PLACES:
        padded = stripped.rjust(1 - power, "0")
        return f"{minus}{padded[:power]}.{padded[power:]}"
    fraction = f".{stripped[1:]}" if len(stripped) > 1 else ""
    return f"{minus}{stripped[0]}{fraction}e{power + len(stripped) - 1}"


def _in_utf16_order(value: object) -> object:
    """Return `value` with the members of each object in the order of RFC 8785, section 3.2.3.

    orjson sorts by code point; the two orders differ only where a name holds a character above U+FFFF.
    """
    if isinstance(value, dict):
        return {
            key: _in_utf16_order(value[key])
            for key in sorted(value, key=lambda name: name.encode("utf-16-be"))
        }
    if isinstance(value, list | tuple):
        return [_in_utf16_order(item) for item in value]
    return value


def _spill(value: Json, put: Callable[[bytes], str], limit: int) -> tuple[Json, int]:
    """Return (value with references, size in bytes of what is returned)."""
    if isinstance(value, dict):
        parts = {key: _spill(item, put, limit) for key, item in value.items()}
        kept: Json = {key: part for key, (part, _) in parts.items()}
        size = 2 + sum(len(key) + 4 + part_size for key, (_, part_size) in parts.items())
    elif isinstance(value, list):
        items = [_spill(item, put, limit) for item in value]
        kept = [part for part, _ in items]
        size = 2 + sum(part_size + 1 for _, part_size in items)
    else:
        kept = value
        size = len(value.encode()) if isinstance(value, str) else 8
    if size <= limit:
        return kept, size
    return {"$blob": put(encode_tagged(kept))}, 90


# --- reading ------------------------------------------------------------------------------------------


def _untagged(value: object, blob: Callable[[str], bytes] | None, at: str) -> Json:
    if isinstance(value, dict):
        if len(value) == 1 and ("$number" in value or "$blob" in value):
            return _resolved(value, blob, at)
        return {
            _own_member(key, at): _untagged(item, blob, f"{at}/{key}")
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_untagged(item, blob, f"{at}/{index}") for index, item in enumerate(value)]
    return value  # type: ignore[return-value]  # str, int, bool or None: orjson.loads returns nothing else


def _resolved(tag: Mapping[str, object], blob: Callable[[str], bytes] | None, at: str) -> Json:
    if "$blob" in tag:
        digest = tag["$blob"]
        if not isinstance(digest, str):
            raise LedgerError(where=at or "/", expected="the digest of a blob", got=repr(digest))
        return {"$blob": digest} if blob is None else decode(blob(digest), blob)
    text = tag["$number"]
    if not isinstance(text, str) or not _NUMBER_FORM.fullmatch(text):
        raise LedgerError(where=at or "/", expected="a canonical number", got=repr(text))
    number = Decimal(text)
    return int(number) if "." not in text and "e" not in text else number


def _own_member(key: str, at: str) -> str:
    if key[:1] != "$" or not _RESERVED.fullmatch(key):
        return key
    if key in ("$number", "$blob"):
        raise LedgerError(
            where=at or "/",
            expected=f"{key} as the only member of its object",
            got="others beside it",
        )
    return key[1:]
