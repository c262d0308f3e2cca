"""What a gate may know of the ledger it is recorded in: is the chain whole up to now, and is it witnessed?"""

from __future__ import annotations

from engine.core.model import Json
from engine.errors import IntegrityError
from engine.ledger import EntryType, verify_chain
from engine.ledger.entries import Head
from engine.store import Store


class Auditor:
    """Follows the chain of one run: each look reads what came since the last, and once an engine all of it."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._seen: Head | None = None

    def look(self) -> dict[str, Json]:
        """Return {entries, whole, signed, reason}: `signed` is how many entries the newest checkpoint covers."""
        claimed = self._store.head(self._run)
        try:
            seen = verify_chain(self._lines(claimed.seq), self._seen)
        except IntegrityError as error:
            return self._told(claimed.seq, str(error))
        if (seen.seq, seen.hash) != (claimed.seq, claimed.hash):
            return self._told(claimed.seq, "the chain does not end where the store says")
        self._seen = seen
        return self._told(seen.seq, "")

    def _lines(self, last: int) -> list[bytes]:
        """Return the lines since the last look, up to entry `last`: others may be written meanwhile."""
        begun = self._seen.seq if self._seen else 0
        lines = self._store.lines(self._run, after=begun)
        return [line for _, line in zip(range(last - begun), lines, strict=False)]

    def _told(self, entries: int, reason: str) -> dict[str, Json]:
        signed = [
            entry.body["size"]
            for entry in self._store.entries(self._run, types=(EntryType.CHECKPOINT_SIGNED,))
            if entry.body
        ]
        return {
            "entries": entries,
            "whole": not reason,
            "signed": signed[-1] if signed else 0,
            "reason": reason,
        }
