"""What is kept of a stream: its start and its end, and its lines as they come."""

from __future__ import annotations

from collections import deque

from engine.programs.program import Stream

_LONGEST_LINE = 4 * 1024 * 1024


class Capture:
    """Keeps the first and the last half of `limit_bytes` of what it is fed."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = max(1, limit_bytes // 2)
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._kept = 0  # bytes fed
        self.size_bytes = 0  #: printed before redaction; kept up by the caller

    def feed(self, text: bytes) -> None:
        self._kept += len(text)
        room = self._half - len(self._head)
        if room > 0:
            self._head += text[:room]
            text = text[room:]
        if text:
            self._tail.append(text)
            self._tail_bytes += len(text)
            while self._tail_bytes - len(self._tail[0]) >= self._half:
                self._tail_bytes -= len(self._tail.popleft())

    def stream(self) -> Stream:
        """Return what was kept; a note stands for what was left out."""
        tail = b"".join(self._tail)[-self._half :]
        left_out = self._kept - len(self._head) - len(tail)
        head = self._head.decode("utf-8", "replace")
        note = f"\n[… {left_out} bytes left out …]\n" if left_out else ""
        return Stream(
            text=head + note + tail.decode("utf-8", "replace")
            if note
            else (self._head + tail).decode("utf-8", "replace"),
            size_bytes=self.size_bytes,
            truncated=left_out > 0,
        )


class Lines:
    """Cuts a stream into lines; of one longer than 4 MiB the start is given and the rest is dropped."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._dropping = False

    @property
    def pending(self) -> bool:
        """Return whether a line has begun and not ended."""
        return bool(self._pending)

    def feed(self, text: bytes) -> list[str]:
        """Return the lines that `text` completes."""
        *complete, rest = text.split(b"\n")
        lines = [line for part in complete if (line := self._close(part)) is not None]
        self._extend(rest)
        return lines

    def finish(self) -> list[str]:
        """Return the last line, if it had no end."""
        last = self._close(b"")
        return [last] if last else []

    def _close(self, part: bytes) -> str | None:
        self._extend(part)
        line = bytes(self._pending).removesuffix(b"\r").decode("utf-8", "replace")
        self._pending.clear()
        self._dropping = False
        return line

    def _extend(self, part: bytes) -> None:
        if not self._dropping:
            self._pending += part[: _LONGEST_LINE - len(self._pending)]
            self._dropping = len(self._pending) >= _LONGEST_LINE
