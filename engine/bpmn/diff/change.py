"""One change between two versions of a process."""

from __future__ import annotations

from typing import Literal

from engine.frozen import dataclass

__all__ = ["Change", "Weight"]

#: `gate`: who or what stands before a merge is other; `behaviour`: a run may go another way; `wording`: it cannot.
Weight = Literal["gate", "behaviour", "wording"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """`message` says what is other; `means` what follows for a run, "" when that is plain."""

    process: str
    element: str  #: id of the node or flow, of the new version when both have it; "" for the process itself
    weight: Weight
    message: str
    means: str = ""

    def __str__(self) -> str:
        return f"{self.message}. {self.means}".strip() if self.means else f"{self.message}."
