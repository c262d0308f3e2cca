"""Check values against contracts: JSON Schema 2020-12 files in one folder, nothing fetched from elsewhere.

A value that keeps its contract is recognised by a compiled check (a few microseconds, nothing imported); only one
that does not is given to `jsonschema`, which says what is wrong. A contract with a keyword the compiler does not
know always goes to `jsonschema`. A property test holds the two to the same answer.

Differences from the plain standard: `Decimal` is a number, a tuple is an array, and `$` in a pattern is the end of
the text (as in ECMA-262, which the standard asks for), not also the place before a last line feed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contracts.compiled import Check, Unsupported, compile_schema
from engine.core.model import Json
from engine.errors import ContractError, DefinitionError

if TYPE_CHECKING:
    from engine.contracts.violations import Validator

__all__ = ["Contract", "Contracts"]


class Contract:
    """One contract, ready to check values."""

    def __init__(self, name: str, schema: Json, contracts: Contracts) -> None:
        self.name = name
        self.schema = schema
        self._contracts = contracts
        self._is_kept = self._compile()
        self._validator: Validator | None = None

    def validate(self) -> None:
        """Raise DefinitionError when the contract itself is no valid schema (one that compiles is)."""
        if self._is_kept is None:
            self._full()

    def check(self, value: Json) -> None:
        """Raise ContractError for the most telling violation by `value`."""
        if self.recognises(value):
            return
        found = self._find(value, all_of_them=False)
        if found:
            raise found[0]

    def violations(self, value: Json) -> tuple[ContractError, ...]:
        """Return every violation by `value`, ordered by place."""
        if self.recognises(value):
            return ()
        return self._find(value, all_of_them=True)

    def recognises(self, value: Json) -> bool:
        """Return whether the compiled check is content; False leaves the question to the full one."""
        try:
            return self._is_kept is not None and self._is_kept(value)
        except RecursionError:
            return False

    def _find(self, value: Json, *, all_of_them: bool) -> tuple[ContractError, ...]:
        full = self._full()
        return full.violations(value) if all_of_them else full.first(value)

    def _full(self) -> Validator:
        from engine.contracts.violations import Validator  # jsonschema takes 0.1 s to import

        if self._validator is None:
            self._validator = Validator(self.name, self.schema, self._contracts.schema)
        return self._validator

    def _compile(self) -> Check | None:
        try:
            return compile_schema(self.schema, self._contracts.schema)
        except Unsupported:
            return None


class Contracts:
    """The contracts of one folder; `NAME.json` holds the contract NAME, e.g. "task.v1". Each is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, bytes] = {}
        self._contracts: dict[str, Contract] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of all contracts, sorted."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.json")))

    def check(self, name: str, value: Json) -> None:
        """Raise ContractError for the most telling violation of contract `name` by `value`."""
        self.contract(name).check(value)

    def violations(self, name: str, value: Json) -> tuple[ContractError, ...]:
        """Return every violation of contract `name` by `value`, ordered by place."""
        return self.contract(name).violations(value)

    def contract(self, name: str) -> Contract:
        """Return contract `name`. Raises DefinitionError when there is none or it cannot be read."""
        if name not in self._contracts:
            self._contracts[name] = Contract(name, self.schema(name), self)
        return self._contracts[name]

    def inline(self, name: str, schema: Json) -> Contract:
        """Return the contract that `schema` writes down; or, when it is a text, the one of that name."""
        return self.contract(schema) if isinstance(schema, str) else Contract(name, schema, self)

    def schema(self, name: str) -> Json:
        """Return the parsed file of contract `name`. Raises DefinitionError."""
        try:
            schema: Json = json.loads(self._read(name), parse_float=Decimal)
        except ValueError as error:
            raise DefinitionError(
                "the contract is not JSON", where=str(self._path(name)), got=str(error)
            ) from error
        if not isinstance(schema, Mapping | bool):
            raise DefinitionError("the contract is no schema", where=str(self._path(name)))
        return schema

    def digest(self, name: str) -> str:
        """Return "sha256:…" of the file of contract `name`."""
        return f"sha256:{hashlib.sha256(self._read(name)).hexdigest()}"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _read(self, name: str) -> bytes:
        if name not in self._files:
            try:
                if "/" in name or name.startswith("."):
                    raise FileNotFoundError(name)
                self._files[name] = self._path(name).read_bytes()
            except OSError as error:
                raise DefinitionError(
                    f"there is no contract {name}",
                    where=str(self.folder),
                    expected=f"one of {', '.join(self.names())}",
                    got=name,
                ) from error
        return self._files[name]
