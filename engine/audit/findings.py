"""What the levels of the audit share: a finding, and the entry they speak about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: the levels of an audit and what each of them looks at
LEVELS: Final[Mapping[str, str]] = {
    "L0": "bytes",
    "L1": "chain, tree and signatures",
    "L2": "course of the run",
    "L3": "decisions derived anew",
    "L4": "git",
}

Record = Mapping[str, Any]  # Any: a parsed entry whose shape is being questioned


@dataclass(frozen=True, order=True)
class Finding:
    """Something that does not hold: at which level, at which entry (0: the ledger as a whole), and what."""

    seq: int
    level: str
    message: str

    def to_json(self) -> dict[str, object]:
        """Return {level, seq, message}."""
        return {"level": self.level, "seq": self.seq, "message": self.message}
