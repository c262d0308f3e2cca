"""Read a worker's output: events, usage, log and the last lines, whatever it prints."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import BinaryIO

from engine.core.model import Json
from engine.programs import StreamName, printable
from engine.workers.assignment import Usage, WorkerEvent
from engine.workers.context import ContextGauge

LOG_LIMIT_BYTES = 16 * 1024 * 1024
EVENT_LINE_LIMIT = 100_000  # lines that look like events; more is a flood, and only log
_LONGEST_LINE = 4 * 1024 * 1024
_KEPT_EVENTS = 200
_KEPT_EVENT_BYTES = 16 * 1024
_TAIL_BYTES = 8 * 1024
_LAST_LINES = 20
_OBJECT_LINE = re.compile(rb"^[ \t]*\{[^\n]*\}[ \t\r]*$", re.MULTILINE)


class Transcript:
    """What a worker printed, taken down as it comes."""

    def __init__(
        self,
        log: BinaryIO,
        on_event: Callable[[WorkerEvent], None] | None,
        context: ContextGauge,
    ) -> None:
        self.event_count = 0
        self.log_bytes = 0  #: printed, redacted; the log holds the first LOG_LIMIT_BYTES of them
        self.context_exhausted = False
        self.context = context
        self._log = log
        self._on_event = on_event
        self._pending = b""  # the line that has begun on standard output
        self._lines_read = 0
        self._meter = Meter()
        self._events: deque[WorkerEvent] = deque(maxlen=_KEPT_EVENTS)
        self._tail = b""

    def take(self, stream: StreamName, text: bytes) -> None:
        """Take down redacted `text` of `stream`."""
        room = LOG_LIMIT_BYTES - self.log_bytes
        if room > 0:
            self._log.write(text[:room])
        self.log_bytes += len(text)
        self._tail = (self._tail + text[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        if stream == "stdout":
            self._read_events(text)

    def finish(self) -> None:
        """Take the last line, which may lack its end, and note what the log leaves out."""
        self._read_events(b"\n")
        if (left_out := self.log_bytes - LOG_LIMIT_BYTES) > 0:
            self._log.write(f"\n[… {left_out} bytes left out …]\n".encode())

    @property
    def usage(self) -> Usage:
        return self._meter.total()

    @property
    def events(self) -> tuple[WorkerEvent, ...]:
        return tuple(self._events)

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines of both streams as they came."""
        lines = printable(self._tail.decode("utf-8", "replace")).splitlines()
        if self.log_bytes > _TAIL_BYTES:
            lines = lines[1:]  # its start is cut off
        return tuple(line for line in lines if line.strip())[-_LAST_LINES:]

    def _read_events(self, text: bytes) -> None:
        """Read the lines that `text` completes. A flood of lines is searched, not split: that would take minutes."""
        text = self._pending + text
        end = text.rfind(b"\n") + 1
        self._pending = text[end:] if len(text) - end <= _LONGEST_LINE else b""
        for found in _OBJECT_LINE.finditer(text, 0, end):
            if self._lines_read >= EVENT_LINE_LIMIT:
                return
            self._lines_read += 1
            self._read_event(found[0])

    def _read_event(self, line: bytes) -> None:
        body = _parse(line)
        if body is None:
            return
        self._meter.read(body)
        self.context.read(body)
        event = WorkerEvent(type=str(body["type"]), body=body, usage=self.usage)
        self.event_count += 1
        self.context_exhausted |= event.type == "context.exhausted"
        if len(line) <= _KEPT_EVENT_BYTES:
            self._events.append(event)
        if self._on_event:
            self._on_event(event)


class Meter:
    """Adds up what a worker says it used.

    `usage` and `turn.completed` events add. Claude Code reports each message (`assistant`, repeated under one
    message id) and at the end the whole (`result`), which then replaces the messages.
    """

    def __init__(self) -> None:
        self._added = Usage()
        self._messages: dict[str, Usage] = {}
        self._whole: Usage | None = None

    def read(self, body: Mapping[str, Json]) -> None:
        """Count event `body` if it reports usage."""
        match body["type"]:
            case "usage":
                self._added += _usage(body)
            case "turn.completed":
                self._added += _codex_usage(body.get("usage"))
            case "assistant":
                message = body.get("message")
                if isinstance(message, Mapping):
                    self._messages[str(message.get("id"))] = _usage(message.get("usage"))
            case "result" if isinstance(body.get("usage"), Mapping):
                cost = Usage(cost_micros=_micros(body.get("total_cost_usd")))
                self._whole = _usage(body.get("usage")) + cost

    def total(self) -> Usage:
        """Return the sum so far."""
        return self._added + (self._whole or sum(self._messages.values(), Usage()))


def _parse(line: bytes) -> Mapping[str, Json] | None:
    """Return `line` as an event, or None when it is just log."""
    if b'"type"' not in line:
        return None
    try:
        body = json.loads(
            line.decode("utf-8", "replace"), parse_float=Decimal, parse_constant=_refuse
        )
    except (ValueError, RecursionError, ArithmeticError):
        return None
    return body if isinstance(body, dict) and isinstance(body.get("type"), str) else None


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")


def _usage(given: Json) -> Usage:
    if not isinstance(given, Mapping):
        return Usage()
    return Usage(
        input_tokens=_whole(given.get("input_tokens"))
        + _whole(given.get("cache_creation_input_tokens"))
        + _whole(given.get("tokens")),
        output_tokens=_whole(given.get("output_tokens")),
        cached_tokens=_whole(given.get("cache_read_input_tokens")),
        cost_micros=_whole(given.get("cost_micros")),
    )


def _codex_usage(given: Json) -> Usage:
    """Codex counts cached input as input, too."""
    if not isinstance(given, Mapping):
        return Usage()
    cached = _whole(given.get("cached_input_tokens"))
    plain = {**given, "input_tokens": max(0, _whole(given.get("input_tokens")) - cached)}
    return _usage(plain) + Usage(cached_tokens=cached)


def _whole(value: Json) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _micros(amount: Json) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return 0
    return max(0, int(amount * 1_000_000))
