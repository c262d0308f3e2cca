"""Check values against contracts (JSON Schema 2020-12 files in one folder)."""

from __future__ import annotations

from pathlib import Path

from engine.core.model import Json
from engine.errors import ContractError


class Contracts:
    """The contracts of one folder; `NAME.json` holds the contract NAME, e.g. "task.v1"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        """Return the names of all contracts, sorted."""
        raise NotImplementedError

    def check(self, name: str, value: Json) -> None:
        """Raise ContractError for the most telling violation of contract `name` by `value`."""
        raise NotImplementedError

    def violations(self, name: str, value: Json) -> tuple[ContractError, ...]:
        """Return every violation of contract `name` by `value`, ordered by place."""
        raise NotImplementedError

    def digest(self, name: str) -> str:
        """Return "sha256:…" of the contract's file."""
        raise NotImplementedError
