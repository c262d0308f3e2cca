"""Take secrets out of a stream before anything is recorded.

Invariants
- The result does not depend on how the stream was cut into chunks: it is decided line by line, and a line
  longer than a window is cut where no secret is.
- A known value is found as it is, as base64 (at any offset, both alphabets), percent-encoded, as hexadecimal
  and as a JSON string.
- Redacting twice changes nothing more.

>>> Redactor({"token": "s3cret-value"}).text("sent s3cret-value, password=hunter22 and c2VjcmV0")
'sent [redacted:token], password=[redacted:password] and c2VjcmV0'
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

_SHORTEST_SECRET = 6  # shorter values ("true", "8080") would blank out ordinary text
_OVERLAP = 4096
_KEY_BLOCK_LIMIT = 65536

_SECRET_NAME = re.compile(
    r"(?i)(key|token|secret|passw(or)?d|pass$|pwd|credential|auth|cookie|dsn|private|signature)"
)
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")

_VALUE = rb"[^\s\"'`,;&<>(){}\[\]\\]"
_Detector = tuple[str, tuple[bytes, ...], "re.Pattern[bytes]"]


def _detector(kind: str, needles: str, pattern: bytes) -> _Detector:
    return kind, tuple(needles.encode().split()), re.compile(pattern)


# kind, lower-case words one of which the text must hold, and the pattern; the group `secret` is replaced,
# or all of the match. No pattern may match a line end: lines are what makes chunks not matter.
_DETECTORS: tuple[_Detector, ...] = (
    _detector(
        "private-key",
        "private",
        rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[^\n]*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
    ),
    _detector(
        "jwt", "eyj", rb"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,3}\.?"
    ),
    _detector(
        "aws-access-key", "akia asia abia acca", rb"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"
    ),
    _detector("github-token", "github_pat_ ghp_ gho_ ghu_ ghs_ ghr_",
              rb"\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})"),
    _detector("gitlab-token", "glpat-", rb"\bglpat-[A-Za-z0-9_-]{20,}"),
    _detector("slack-token", "xox", rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    _detector("api-key", "sk-", rb"\bsk-[A-Za-z0-9_-]{20,}"),
    _detector("stripe-key", "k_live_ k_test_", rb"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _detector("google-key", "aiza", rb"\bAIza[A-Za-z0-9_-]{35}"),
    _detector("npm-token", "npm_", rb"\bnpm_[A-Za-z0-9]{36}\b"),
    _detector("pypi-token", "pypi-", rb"\bpypi-[A-Za-z0-9_-]{32,}"),
    _detector(
        "url-password",
        "://",
        rb"\b[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@\"']{0,256}:(?P<secret>[^/\s@\"']{1,256})@",
    ),
)  # fmt: skip

# The same, but matched in lower-cased text, where positions are the same: it is ten times faster than (?i).
_FOLDED_DETECTORS: tuple[_Detector, ...] = (
    _detector(
        "authorization",
        "authorization bearer",
        rb"\b(?:authorization[\"']?[ \t]*[:=][ \t]*[\"']?(?:(?:basic|bearer|token|digest)[ \t]+)?|bearer[ \t]+)"
        rb"(?P<secret>(?!basic|bearer|token|digest)" + _VALUE + rb"{8,})",
    ),
    _detector(
        "password",
        "passw pwd secret api_key apikey api-key access_key accesskey access-key private_key token",
        rb"(?:passw(?:or)?d|pwd(?!=/)|secret(?:[_-]?(?:access[_-]?)?key)?|(?:api|access|private)[_-]?key|token)"
        rb"\\?[\"']?[ \t]*[=:][ \t]*\\?[\"']?(?P<secret>" + _VALUE + rb"{6,})",
    ),
)  # fmt: skip

_KEY_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(rb"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(rb"[A-Za-z0-9+/=:,._ \t\r\"'\\>|-]*")
_TOKEN_END = re.compile(rb"[^A-Za-z0-9_.+/=-]")


class Redactor:
    """Replaces secrets by `[redacted:<kind>]`: known values in every usual encoding, and what looks like one.

    A value: it may be shared; `stream()` starts the redaction of one stream.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        """`secrets` maps a kind, shown in the mark, to the secret value. Values under 6 characters are left out."""
        marks: dict[bytes, bytes] = {}
        for kind, value in (secrets or {}).items():
            for form in _forms(value):
                marks.setdefault(form, _mark(kind))
        self._marks = marks
        self._forms = sorted(marks, key=len, reverse=True)
        self._known = re.compile(b"|".join(map(re.escape, self._forms))) if marks else None
        self.overlap = max(_OVERLAP, 2 * len(self._forms[0]) if self._forms else 0)

    @classmethod
    def of_environment(
        cls,
        environment: Mapping[str, str],
        names: Iterable[str] = (),
        secrets: Mapping[str, str] | None = None,
    ) -> Redactor:
        """Return a redactor for those variables among `names` that look secret, and for `secrets`.

        A variable looks secret by its name (TOKEN, KEY, PASSWORD…) or by a password inside its URL.
        """
        known = dict(secrets or {})
        for name in names:
            value = environment.get(name, "")
            if _SECRET_NAME.search(name):
                known.setdefault(name, value)
            elif found := _URL_PASSWORD.search(value):
                known.setdefault(name, found[1])
        return cls(known)

    def stream(self) -> RedactingStream:
        """Return the redaction of one stream from its start."""
        return RedactingStream(self)

    def text(self, text: str) -> str:
        """Return `text` redacted as a whole."""
        stream = self.stream()
        raw = text.encode("utf-8", "surrogateescape")
        return (stream.feed(raw) + stream.finish()).decode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:  # Any: JSON
        """Return a JSON value with every text in it redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list | tuple) else value

    def redact(self, text: bytes) -> bytes:
        """Return `text`, which begins and ends at a safe place, with every secret replaced."""
        return _replaced(text, self._find(text))

    def cut_window(self, window: bytes) -> tuple[bytes, int, bool]:
        """Return (start of `window` redacted, its length before that, whether a secret may go on beyond `window`).

        It is cut near the end, where no secret is.
        """
        spans = self._find(window)
        cut, goes_on = len(window) - self.overlap, False
        for start, end, _ in spans:
            if start < cut < end:
                goes_on = end == len(window)
                cut = start if start and not goes_on else end
        return _replaced(window[:cut], [span for span in spans if span[1] <= cut]), cut, goes_on

    def _find(self, text: bytes) -> list[tuple[int, int, bytes]]:
        """Return (start, end, mark) of every secret, in order, none overlapping; known values come first."""
        spans: list[tuple[int, int, bytes]] = []
        if self._known and any(form in text for form in self._forms):
            spans += [(m.start(), m.end(), self._marks[m[0]]) for m in self._known.finditer(text)]
        lower = text.lower()
        for detectors, where in ((_DETECTORS, text), (_FOLDED_DETECTORS, lower)):
            for kind, needles, pattern in detectors:
                if any(needle in lower for needle in needles):
                    group = "secret" if pattern.groups else 0
                    spans += [(*m.span(group), _mark(kind)) for m in pattern.finditer(where)]
        return _joined(spans)


class RedactingStream:
    """The redaction of one stream: what is fed comes back redacted, a line at a time."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._window = 16 * redactor.overlap
        self._pending = b""  # the last line so far
        self._swallow = False  # a secret went on beyond the window: drop the rest of its word
        self._key_bytes = 0  # inside a private key block: what was dropped of it so far, plus one

    def feed(self, chunk: bytes) -> bytes:
        """Return what is known to be safe after `chunk`; the rest of an unfinished line is held back."""
        text = self._pending + chunk if self._pending else chunk
        end = text.rfind(b"\n") + 1
        self._pending = text[end:]
        done = self._complete(text[:end]) if end else b""
        if len(self._pending) > self._window:
            safe, self._pending = self._cut_windows(self._pending)
            done += safe
        return done

    def finish(self) -> bytes:
        """Return what was held back."""
        rest, self._pending = self._pending, b""
        return self._lines(self._after_swallowed(rest))

    def _complete(self, block: bytes) -> bytes:
        """Return whole lines redacted; long ones by windows."""
        if len(block) > self._window and max(map(len, block.split(b"\n"))) > self._window:
            return b"".join(self._long_line(line) for line in _split(block))
        return self._lines(self._after_swallowed(block))

    def _long_line(self, line: bytes) -> bytes:
        content = line.removesuffix(b"\n")
        safe, rest = self._cut_windows(content)
        return safe + self._lines(self._after_swallowed(rest + line[len(content) :]))

    def _cut_windows(self, line: bytes) -> tuple[bytes, bytes]:
        """Return (redacted start, rest) of a line; the rest is at most one window long."""
        parts = []
        while len(line) > self._window:
            line = self._after_swallowed(line)
            if len(line) <= self._window:
                break
            safe, cut, self._swallow = self._redactor.cut_window(line[: self._window])
            parts.append(self._without_keys(safe))
            line = line[cut:]
        return b"".join(parts), line

    def _after_swallowed(self, text: bytes) -> bytes:
        if not self._swallow:
            return text
        end = _TOKEN_END.search(text)
        self._swallow = end is None
        return text[end.start() :] if end else b""

    def _lines(self, block: bytes) -> bytes:
        """Return `block` redacted; a private key that spans lines becomes one mark."""
        return self._without_keys(self._redactor.redact(block))

    def _without_keys(self, block: bytes) -> bytes:
        if not self._key_bytes and (b"-----BEGIN" not in block or not _KEY_BEGIN.search(block)):
            return block
        return b"".join(map(self._key_line, _split(block)))

    def _key_line(self, line: bytes) -> bytes:
        if self._key_bytes:
            return self._inside_key(line)
        begin = _KEY_BEGIN.search(line)
        if begin is None:
            return line
        self._key_bytes = 1
        return line[: begin.start()] + _mark("private-key") + b"\n"

    def _inside_key(self, line: bytes) -> bytes:
        if end := _KEY_END.search(line):
            self._key_bytes = 0
            rest = line[end.end() :]
            return rest if rest.strip() else b""
        self._key_bytes += len(line)
        if self._key_bytes < _KEY_BLOCK_LIMIT and _KEY_LINE.fullmatch(line.rstrip(b"\n")):
            return b""
        self._key_bytes = 0
        return line


def _split(block: bytes) -> list[bytes]:
    """Return the lines of `block` with their line feeds; a carriage return ends no line."""
    return [line + b"\n" for line in block.split(b"\n")[:-1]] + (
        [last] if (last := block[block.rfind(b"\n") + 1 :]) else []
    )


def _mark(kind: str) -> bytes:
    return f"[redacted:{re.sub(r'[^A-Za-z0-9_.-]', '_', kind)}]".encode()


def _replaced(text: bytes, spans: list[tuple[int, int, bytes]]) -> bytes:
    for start, end, mark in reversed(spans):
        text = text[:start] + mark + text[end:]
    return text


def _joined(spans: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return `spans` in order with overlapping ones joined; the mark of the first one named stays."""
    joined: list[tuple[int, int, bytes]] = []
    for start, end, mark in sorted(spans, key=lambda span: span[0]):
        if joined and start < joined[-1][1]:
            first, last, kept = joined[-1]
            joined[-1] = (first, max(last, end), kept)
        else:
            joined.append((start, end, mark))
    return joined


def _forms(value: str) -> set[bytes]:
    """Return every form in which `value` may be printed; each line of a long value is a value too."""
    lines = [line.strip() for line in value.splitlines()]
    values = {value, *lines} if len(lines) > 1 else {value.strip()}
    return {
        form
        for one in values
        if len(one) >= _SHORTEST_SECRET
        for form in _encodings(one)
        if len(form) >= _SHORTEST_SECRET and b"\n" not in form
    }


def _encodings(value: str) -> set[bytes]:
    raw = value.encode("utf-8", "surrogateescape")
    escaped = json.dumps(value)[1:-1]
    forms = {
        raw,
        escaped.encode(),
        escaped.replace("/", "\\/").encode(),
        json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape"),
        quote(raw, safe="").encode(),
        quote(raw).encode(),
        quote_plus(raw).encode(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
    }
    return forms | _base64_forms(raw) if len(raw) >= _SHORTEST_SECRET else forms


def _base64_forms(raw: bytes) -> set[bytes]:
    """Return what base64 makes of `raw` at each of the three offsets, without what its neighbours decide."""
    forms = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        first = -(-offset * 8 // 6)
        last = (offset + len(raw)) * 8 // 6
        forms |= {encoded[first:last], encoded[first:last].translate(_URL_SAFE)}
    return forms


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
