"""Plugins: programs with a spec, called as isolated processes, never imported.

One call is one process: a JSON object on its standard input, exactly one JSON object on its standard output,
text for people on its standard error. Whatever a plugin does, the call returns a `PluginResult`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.contracts import Contracts
from engine.core.model import Json

Category = Literal["acquisition", "transformation", "state_change", "validation", "orchestration"]


@dataclass(frozen=True, kw_only=True)
class PluginResult:
    """The recorded result of one call: ok, failed or na; a failed or na one has a reason code."""

    plugin: str
    version: str
    checksum: str  #: "sha256:…" over the plugin's files
    operation: str
    result: Literal["ok", "failed", "na"]
    output: Json = None
    reason_code: str = ""
    reason: str = ""
    stderr: str = ""  #: redacted, bounded
    exit_code: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin that was found and whose spec keeps the contract plugin.v1."""

    id: str
    version: str
    category: Category
    role: str
    lane: Literal["decision", "explanation"]
    folder: Path
    checksum: str
    operations: Mapping[str, Mapping[str, Json]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong with a plugin folder: where, and a sentence."""

    where: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """What discovery found: usable plugins by id, and findings for the rest."""

    plugins: Mapping[str, Plugin]
    findings: tuple[Finding, ...] = ()


def discover(folders: Sequence[Path], contracts: Contracts) -> Plugins:
    """Return the plugins in `folders` (each holds one folder per plugin); a malformed one is a finding."""
    raise NotImplementedError


async def call(
    plugin: Plugin,
    operation: str,
    input: Json,
    *,
    contracts: Contracts,
    key: str,
    scratch: Path,
    workspace: Path | None = None,
    what_if: bool = False,
) -> PluginResult:
    """Return the result of one call in one isolated process. Raises nothing for what the plugin does."""
    raise NotImplementedError
