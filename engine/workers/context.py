"""How full a worker's context is, from what it prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from engine.core.model import Json

_COUNTED = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)


class ContextGauge:
    """Reads `{"type": "context", "used": 0.72}` and, where the size of the context is known, Claude Code's messages.

    `on_full` is called once, when `threshold` (0 to 1) is reached; None never is. A share that is no number from 0 to 1
    is no event but log.
    """

    def __init__(
        self,
        threshold: Decimal | None,
        on_full: Callable[[], None],
        context_tokens: int | None = None,
    ) -> None:
        self.used = Decimal(0)  #: largest share so far
        self.is_full = False
        self.threshold = threshold
        self._on_full = on_full
        self._context_tokens = context_tokens

    def read(self, body: Mapping[str, Json]) -> None:
        """Take an event of the worker."""
        self.used = max(self.used, self._share(body))
        if self.threshold is not None and self.used >= self.threshold and not self.is_full:
            self.is_full = True
            self._on_full()

    def _share(self, body: Mapping[str, Json]) -> Decimal:
        match body:
            case {"type": "context", "used": bool()}:
                return Decimal(0)
            case {"type": "context", "used": int() | Decimal() as used} if 0 <= used <= 1:
                return Decimal(used)
            case {"type": "assistant", "message": {"usage": Mapping() as usage}}:
                return self._of_tokens(usage)
            case _:
                return Decimal(0)

    def _of_tokens(self, usage: Mapping[str, Json]) -> Decimal:
        """A message's usage is all that was read for it and written by it: that is what the context then holds."""
        if not self._context_tokens:
            return Decimal(0)
        counts = (usage.get(name) for name in _COUNTED)
        held = sum(n for n in counts if isinstance(n, int) and not isinstance(n, bool) and n > 0)
        return min(Decimal(1), Decimal(held) / self._context_tokens)
