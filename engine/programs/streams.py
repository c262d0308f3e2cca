"""What is kept of a stream: its start and its end."""

from __future__ import annotations

from collections import deque

from engine.programs.program import Stream


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
