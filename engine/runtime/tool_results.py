"""What the attempts of a run say of their tools, read from its ledger: the facts that a circuit breaker is asked with.

- Only what a program did counts: it could not be started, exited with another code than 0, crashed, was too slow,
  silent or printed too much. Work that was not verified, a context that is used up, a budget that is spent and an
  attempt that the process or the engine cut short say nothing of the tool, and do not end a series of failures either.
- The order is that of the ledger: attempts of all tasks of the run, as they ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from engine.core.model import Variables
from engine.frozen import dataclass
from engine.ledger import Entry, EntryType
from engine.store import Store

FAILURES: Final = frozenset({"not_started", "exit", "crash", "timeout", "silence", "flooded"})


@dataclass(frozen=True, kw_only=True)
class _Series:
    """The failures of a tool since its last success: how many, when the last one was, and what was said of it."""

    failures: int
    last_at: datetime
    reason: str


class ToolResults:
    """Follows the attempts of one run; each question reads what is new."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._seq = 0
        self._series: dict[str, _Series] = {}

    def of(self, tool: str, now: datetime) -> Variables:
        """Return {failures, seconds_since_last, last_reason} of `tool` since its last success; without a failure
        0, null and ""."""
        for entry in self._store.entries(
            self._run, after=self._seq, types=(EntryType.WORKER_FINISHED,)
        ):
            self._take(entry)
            self._seq = entry.seq
        found = self._series.get(tool)
        if found is None:
            return {"failures": 0, "seconds_since_last": None, "last_reason": ""}
        return {
            "failures": found.failures,
            "seconds_since_last": max(0, int((now - found.last_at).total_seconds())),
            "last_reason": found.reason,
        }

    def _take(self, entry: Entry) -> None:
        body: Any = entry.body  # Any: JSON of our own entry
        tool = str(body.get("tool") or body.get("worker") or "")  # older entries name the worker
        failure = body.get("failure_class")
        if failure == "":
            self._series.pop(tool, None)
        elif failure in FAILURES:
            before = self._series.get(tool)
            self._series[tool] = _Series(
                failures=before.failures + 1 if before else 1,
                last_at=entry.at,
                reason=str(body.get("reason") or failure),
            )
