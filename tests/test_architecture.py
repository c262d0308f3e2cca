"""The map of ARCHITECTURE.md as a test: who may import whom, what the pure rooms may not touch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: tiers from the bottom up; a room imports rooms of lower tiers, and itself
TIERS = (
    {"errors", "frozen"},
    {"bpmn", "feel", "decisions"},
    {"core"},
    {"contracts", "shipped"},
    {"handlers", "settings", "git", "programs"},
    {"workers", "plugins", "store", "workspaces", "policy", "ledger", "web"},
    {"runtime", "demo"},
    {"cli"},
)
#: the exceptions, each with its reason
ALLOWED = {
    ("decisions", "feel"): "cells and expressions of a table are FEEL",
    ("bpmn", "feel"): "the reader checks the FEEL in a diagram",
    ("store", "ledger"): "the store holds what the ledger seals",
}
PURE = ("core", "bpmn", "feel", "decisions")
IMPURE_MODULES = {
    "asyncio", "os", "pathlib", "random", "secrets", "socket", "subprocess", "tempfile", "threading", "time", "shutil",
}  # fmt: skip


def _modules() -> list[Path]:
    return sorted((ROOT / "engine").rglob("*.py"))


def _room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "engine" else ""


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "engine":
                found.update(f"engine.{alias.name}" for alias in node.names)
    return found


def _room_of(path: Path) -> str:
    relative = path.relative_to(ROOT / "engine")
    return relative.parts[0].removesuffix(".py")


def _tier(room: str) -> int:
    return next((level for level, rooms in enumerate(TIERS) if room in rooms), -1)


def test_every_room_is_on_the_map() -> None:
    rooms = {_room_of(path) for path in _modules()} - {"__init__", "audit", "bundled"}
    assert {room for room in rooms if _tier(room) < 0} == set()


def test_rooms_import_only_what_lies_below() -> None:
    wrong = []
    for path in _modules():
        room = _room_of(path)
        if room in {"__init__", "audit"}:
            continue
        for name in _imports(path):
            other = _room(name)
            if not other or other == room or _tier(other) < 0:
                continue
            below = _tier(other) < _tier(room)
            if not below and (room, other) not in ALLOWED:
                wrong.append(f"{path.relative_to(ROOT)} imports engine.{other}")
    assert wrong == []


def test_the_auditor_shares_nothing_with_the_writer() -> None:
    """L3 asks the interpreters of BPMN, DMN and Rego what a table means; nothing asks what wrote the ledger."""
    interpreters = {"rederive.py", "facts.py"}
    for path in (ROOT / "engine" / "audit").glob("*.py"):
        rooms = {_room(name) for name in _imports(path) if name.startswith("engine.")}
        more = {"core", "policy"} if path.name in interpreters else set()
        assert rooms <= {"errors", "audit"} | more, path.name


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_touch_no_clock_file_or_process(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules()
        if _room_of(path) == room
        for name in _imports(path)
        if name.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_one_room_and_one_module_of_it_import_spiffworkflow() -> None:
    importers = [
        str(path.relative_to(ROOT))
        for path in _modules()
        if any(name.split(".")[0] == "SpiffWorkflow" for name in _imports(path))
    ]
    assert len(importers) == 1
    assert importers[0].startswith("engine/core/")


def test_one_module_imports_sqlalchemy_and_none_imports_that_one_at_the_start() -> None:
    """Files need none of it, and it is a quarter of a second."""
    found = {
        name: [
            str(path.relative_to(ROOT))
            for path in _modules()
            if any(other == name or other.startswith(f"{name}.") for other in _imports(path))
        ]
        for name in ("sqlalchemy", "engine.store.server")
    }
    assert found == {"sqlalchemy": ["engine/store/server.py"], "engine.store.server": []}


def test_handlers_import_only_the_leaf_module() -> None:
    rooms = {
        name
        for path in (ROOT / "service_tasks").glob("*.py")
        for name in _imports(path)
        if name.split(".")[0] == "engine"
    }
    assert rooms == {"engine.handlers"}


def test_only_the_kernel_makes_an_authorization_and_only_the_repository_moves_a_ref() -> None:
    makers = [
        str(path.relative_to(ROOT))
        for path in _modules()
        if "MergeAuthorization(" in path.read_text("utf-8").replace("class MergeAuthorization", "")
    ]
    assert makers == ["engine/core/safety.py"]
