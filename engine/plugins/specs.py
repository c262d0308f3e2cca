"""Find plugins, and check each against its contract and the rules of its category."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

from engine.contracts import Contract, Contracts
from engine.core.model import Json
from engine.errors import DefinitionError
from engine.frozen import dataclass

Category = Literal["acquisition", "transformation", "state_change", "validation", "orchestration"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
SPEC_NAME = "plugin.spec.json"
_CACHES = frozenset(("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"))
_SPEC_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing a plugin can be asked."""

    input: Contract
    output: Contract
    what_if: bool
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin that was found, keeps the contract plugin.v1 and the rules of its category."""

    id: str
    version: str
    title: str
    category: Category
    role: str
    lane: Literal["decision", "explanation"]
    folder: Path
    checksum: str  #: "sha256:…" over its files
    operations: Mapping[str, Operation]
    timeout_s: int
    memory_mb: int | None
    capabilities: tuple[str, ...]
    requires: tuple[str, ...]
    entry: tuple[str, ...]
    stamp: tuple[tuple[str, int, int], ...] = field(
        repr=False
    )  #: of its files when the checksum was taken


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
    """Return the plugins in `folders`, each of which holds one folder per plugin.

    A malformed plugin is a finding and is left out, and so is the second of two with one id. A folder that is not
    there holds no plugins.
    """
    found: dict[str, Plugin] = {}
    findings: list[Finding] = []
    for folder in _plugin_folders(folders):
        plugin, wrong = read_plugin(folder, contracts)
        findings += wrong
        if plugin is None:
            continue
        if plugin.id in found:
            there = found[plugin.id].folder
            findings.append(
                _finding(folder, f"plugin {plugin.id} is already in {there}. Rename one.")
            )
        else:
            found[plugin.id] = plugin
    return Plugins(plugins=found, findings=tuple(findings))


def read_plugin(folder: Path, contracts: Contracts) -> tuple[Plugin | None, list[Finding]]:
    """Return the plugin in `folder`, or None and everything that is wrong with it."""
    file = folder / SPEC_NAME
    try:
        spec = _read_spec(file)
        wrong = [
            Finding(where=f"{file}#{error.where}", message=error.sentence())
            for error in contracts.violations("plugin.v1", spec)
        ]
        if wrong:
            return None, wrong
        plugin = _plugin(folder, spec, contracts)
    except DefinitionError as error:
        return None, [Finding(where=str(file), message=error.sentence())]
    except (OSError, ValueError, RecursionError) as error:
        return None, [_finding(file, f"the plugin cannot be read: {error}")]
    wrong = [_finding(file, message) for message in _broken_rules(plugin)]
    return (None if wrong else plugin), wrong


def checksum(folder: Path) -> str:
    """Return "sha256:…" over names, executable bits and contents of the plugin's files, caches left out."""
    return _checksum(folder, _walk(folder))


def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when a file of the plugin does: (name, size, time of change) of each."""
    return _stamp(_walk(folder))


def _plugin_folders(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(
                child
                for child in folder.iterdir()
                if child.is_dir() and not child.name.startswith((".", "_"))
            )


def _read_spec(file: Path) -> Json:
    if not file.is_file():
        raise DefinitionError(
            "a plugin folder holds a specification", expected=SPEC_NAME, got="none"
        )
    if file.stat().st_size > _SPEC_LIMIT_BYTES:
        raise DefinitionError("the specification is too large", expected="at most 1 MiB")
    spec: Json = json.loads(file.read_bytes(), parse_float=Decimal)
    return spec


def _plugin(folder: Path, spec: Any, contracts: Contracts) -> Plugin:  # Any: checked JSON
    folder = folder.resolve()
    there = _walk(folder)
    return Plugin(
        id=spec["id"],
        version=spec["version"],
        title=spec["title"],
        category=spec["category"],
        role=spec["role"],
        lane=spec["lane"],
        folder=folder,
        operations={
            name: _operation(f"{spec['id']}.{name}", given, contracts)
            for name, given in spec["operations"].items()
        },
        timeout_s=spec["timeout_s"],
        memory_mb=spec.get("memory_mb"),
        capabilities=tuple(spec["capabilities"]),
        requires=tuple(spec.get("requires", ())),
        entry=tuple(spec["entry"]),
        stamp=_stamp(there),
        checksum=_checksum(folder, there),
    )


def _operation(name: str, given: Any, contracts: Contracts) -> Operation:  # Any: checked JSON
    operation = Operation(
        input=contracts.inline(f"{name}.input", given["input"]),
        output=contracts.inline(f"{name}.output", given["output"]),
        what_if=given.get("what_if", False),
        description=given.get("description", ""),
    )
    operation.input.validate()
    operation.output.validate()
    return operation


def _broken_rules(plugin: Plugin) -> Iterator[str]:
    """Yield a sentence for each rule, beyond the contract, that the plugin breaks."""
    if plugin.folder.name != plugin.id:
        yield f"expected the folder to be named {plugin.id} like the plugin, but got {plugin.folder.name}."
    if links := [os.path.basename(path) for path in _walk(plugin.folder) if os.path.islink(path)]:
        yield f"expected plain files, but {', '.join(links)} is a symbolic link."
    for argument in plugin.entry:
        if argument.startswith("{plugin}/") and not _inside(plugin.folder, argument).is_file():
            yield f"entry names {argument}, but that file is not in the folder."
    if plugin.category == "state_change":
        for name in (name for name, one in plugin.operations.items() if not one.what_if):
            yield f"operation {name} of a state_change plugin has no what_if. Add it."
    allowed = _CAPABILITIES[plugin.category]
    for capability in (c for c in plugin.capabilities if c not in allowed):
        yield f"a plugin of category {plugin.category} may not have capability {capability}."


# What each category may touch. Transformation computes from its input alone; orchestration may look before it proposes.
_CAPABILITIES: Mapping[Category, frozenset[str]] = {
    "acquisition": frozenset(("read_workspace", "run_programs", "network")),
    "transformation": frozenset(),
    "state_change": frozenset(("read_workspace", "write_workspace", "run_programs", "network")),
    "validation": frozenset(("read_workspace", "write_workspace", "run_programs", "network")),
    "orchestration": frozenset(("read_workspace", "run_programs")),
}


def _inside(folder: Path, argument: str) -> Path:
    path = (folder / argument.removeprefix("{plugin}/")).resolve()
    return path if path.is_relative_to(folder) else folder / "\0"


def _checksum(folder: Path, there: Sequence[str]) -> str:
    whole = hashlib.sha256()
    for path in filter(os.path.isfile, there):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        whole.update(f"{name}\0{'x' if os.access(path, os.X_OK) else '-'}\0{content}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _stamp(there: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    stats = ((path, os.stat(path)) for path in filter(os.path.isfile, there))
    return tuple((path, stat.st_size, stat.st_ctime_ns) for path, stat in stats)


def _walk(folder: Path) -> list[str]:
    """Return the path of whatever is in `folder`, sorted by its parts, caches left out."""
    found: list[str] = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _CACHES]
        names = (name for name in [*folders, *files] if not name.endswith(".pyc"))
        found += [os.path.join(root, name) for name in names]
    return sorted(found, key=lambda path: path.split(os.sep))


def _finding(where: Path, message: str) -> Finding:
    return Finding(where=str(where), message=message)
