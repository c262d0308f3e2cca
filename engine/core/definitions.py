"""The bundle: every definition file of a run as one immutable value with one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.bpmn.model import Finding, Process
from engine.errors import DefinitionError


class BundleError(DefinitionError):
    """Definitions are invalid; `findings` holds everything that was found, in file order."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in findings))


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledProcess:
    """One process, ready to run."""

    id: str
    file: str
    model: Process


@dataclass(frozen=True, eq=False, kw_only=True)
class Definitions:
    """All definition files of a run. `digest` is hex SHA-256 over the sorted list of paths and file digests."""

    files: Mapping[str, bytes]
    digest: str
    processes: Mapping[str, CompiledProcess]
    policies: Mapping[str, str] = field(default_factory=dict)  #: path → Rego text

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Definitions:
        """Return the bundle of `files` (path → content): *.bpmn, *.dmn, *.rego, anything else is kept as it is.

        Raises BundleError (a DefinitionError with `findings`) naming everything that is wrong, all at once.
        """
        raise NotImplementedError


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """Return the hex SHA-256 over `path NUL digest LF` lines in path order."""
    lines = (f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n" for path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
