"""Discovery takes what keeps the contract and the rules; everything else is a finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.contracts import Contracts
from engine.plugins import CATEGORIES, Category, check_conformance, discover, write_plugin
from engine.plugins.specs import checksum
from engine.shipped import folder

SHIPPED = (
    "circuit-breaker",
    "git-inspector",
    "quality-gate",
    "shell-executor",
    "task-parser",
    "worktree-manager",
)


@pytest.fixture
def contracts() -> Contracts:
    return Contracts(folder("contracts"))


def test_the_shipped_plugins_cover_the_five_categories(contracts: Contracts) -> None:
    found = discover([folder("plugins")], contracts)
    assert found.findings == ()
    assert tuple(found.plugins) == SHIPPED
    assert {plugin.category for plugin in found.plugins.values()} == set(CATEGORIES)


@pytest.mark.parametrize("name", SHIPPED)
async def test_a_shipped_plugin_conforms(name: str, contracts: Contracts, tmp_path: Path) -> None:
    plugin = discover([folder("plugins")], contracts).plugins[name]
    report = await check_conformance(plugin, contracts, tmp_path)
    assert [case for case in report.cases if case.result != "ok"] == []
    assert report.passed


@pytest.mark.parametrize("category", CATEGORIES)
async def test_a_new_plugin_conforms_as_it_is_written(
    category: Category, contracts: Contracts, tmp_path: Path
) -> None:
    write_plugin("my-plugin", category, tmp_path / "plugins")
    found = discover([tmp_path / "plugins"], contracts)
    assert found.findings == ()
    report = await check_conformance(found.plugins["my-plugin"], contracts, tmp_path / "s")
    assert [case for case in report.cases if case.result != "ok"] == []


def _spec(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(place: Path) -> None:
        spec = json.loads((place / "plugin.spec.json").read_text())
        change(spec)
        (place / "plugin.spec.json").write_text(json.dumps(spec))

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda place: (place / "plugin.spec.json").unlink(), "a plugin folder holds a specification: expected plugin.spec.json, but got none", id="no specification"),
        pytest.param(lambda place: (place / "plugin.spec.json").write_text("{"), "the plugin cannot be read: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", id="no JSON"),
        pytest.param(_spec(lambda s: s.pop("lane")), "breaks contract plugin.v1: expected property lane, but got none", id="no lane"),
        pytest.param(_spec(lambda s: s.update(lane="both")), '/lane: breaks contract plugin.v1: expected one of "decision", "explanation", but got "both"', id="two lanes"),
        pytest.param(_spec(lambda s: s.update(version="1.0")), None, id="no version"),
        pytest.param(_spec(lambda s: s.update(operations={})), "/operations: breaks contract plugin.v1: expected at least 1 properties, but got 0", id="no operation"),
        pytest.param(_spec(lambda s: s.update(id="other")), "expected the folder to be named other like the plugin, but got probe.", id="another folder's name"),
        pytest.param(_spec(lambda s: s["operations"]["apply"].pop("what_if")), "operation apply of a state_change plugin has no what_if. Add it.", id="state change without what if"),
        pytest.param(_spec(lambda s: s.update(category="transformation")), "a plugin of category transformation may not have capability write_workspace.", id="impure transformation"),
        pytest.param(_spec(lambda s: s.update(category="orchestration")), "a plugin of category orchestration may not have capability write_workspace.", id="orchestration that writes"),
        pytest.param(_spec(lambda s: s["operations"]["apply"].update(input={"type": "txt"})), "contract probe.apply.input is no valid JSON Schema", id="broken input contract"),
        pytest.param(_spec(lambda s: s["operations"]["apply"].update(output="nope.v9")), "there is no contract nope.v9", id="unknown output contract"),
        pytest.param(lambda place: (place / "src" / "main.py").unlink(), "entry names {plugin}/src/main.py, but that file is not in the folder.", id="no program"),
        pytest.param(_spec(lambda s: s.update(entry=["sh", "{plugin}/../x"])), "entry names {plugin}/../x, but that file is not in the folder.", id="program outside"),
        pytest.param(lambda place: (place / "link").symlink_to("/etc/passwd"), "expected plain files, but link is a symbolic link.", id="symbolic link"),
    ],
)  # fmt: skip
def test_a_malformed_plugin_is_a_finding(
    spoil: Callable[[Path], None], message: str | None, contracts: Contracts, tmp_path: Path
) -> None:
    spoil(write_plugin("probe", "state_change", tmp_path))
    found = discover([tmp_path], contracts)
    assert dict(found.plugins) == {}
    assert [finding.where.split("#")[0] for finding in found.findings] == [
        str(tmp_path / "probe" / "plugin.spec.json")
    ]
    assert message is None or message in found.findings[0].message


def test_the_second_plugin_of_one_name_is_a_finding(contracts: Contracts, tmp_path: Path) -> None:
    first = write_plugin("probe", "validation", tmp_path / "a")
    second = write_plugin("probe", "acquisition", tmp_path / "b")
    found = discover([tmp_path / "a", tmp_path / "b", tmp_path / "none"], contracts)
    assert found.plugins["probe"].folder == first
    assert [(f.where, f.message) for f in found.findings] == [
        (str(second), f"plugin probe is already in {first}. Rename one.")
    ]


def test_the_checksum_is_over_all_files_but_caches(tmp_path: Path) -> None:
    place = write_plugin("probe", "validation", tmp_path)
    before = checksum(place)
    (place / "src" / "__pycache__").mkdir()
    (place / "src" / "__pycache__" / "main.pyc").write_bytes(b"x")
    assert checksum(place) == before
    (place / "src" / "main.py").chmod(0o755)
    executable = checksum(place)
    (place / "note.txt").write_text("x")
    assert len({before, executable, checksum(place)}) == 3


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        pytest.param({"expect": {"result": "ok", "output": {"passed": False}}}, 'expected output {"passed": false}, but got {"passed": true}', id="another output"),
        pytest.param({"expect": {"result": "na"}}, "expected result na, but got ok", id="another result"),
        pytest.param({"expect": {"result": "ok", "output_at": {"/passed": 1.5}}}, 'expected "1.5" at /passed of the output, but got true', id="another part"),
        pytest.param({"files": {"../x": ""}}, "expected a path inside the workspace, but got ../x", id="a file outside"),
        pytest.param({"setup": ["exit 3"]}, "setup `exit 3` exited with code 3: ", id="a setup that fails"),
        pytest.param({"expected": {}}, "/expected: breaks contract plugin-case.v1: expected no property of this name, but got one. Did you mean expect?", id="no case"),
    ],
)  # fmt: skip
async def test_a_case_that_does_not_hold_fails(
    change: dict[str, Any], failed: str, contracts: Contracts, tmp_path: Path
) -> None:
    place = write_plugin("probe", "validation", tmp_path / "p")
    file = place / "conformance" / "ordinary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    plugin = discover([tmp_path / "p"], contracts).plugins["probe"]
    report = await check_conformance(plugin, contracts, tmp_path / "s")
    assert not report.passed
    assert failed in {case.message for case in report.cases if case.result == "failed"}


async def test_an_operation_without_a_case_fails(contracts: Contracts, tmp_path: Path) -> None:
    place = write_plugin("probe", "validation", tmp_path / "p")
    for file in (place / "conformance").iterdir():
        file.unlink()
    plugin = discover([tmp_path / "p"], contracts).plugins["probe"]
    report = await check_conformance(plugin, contracts, tmp_path / "s")
    assert [case.message for case in report.cases if case.result == "failed"] == [
        "expected a case for check in conformance/, but got none."
    ]


def test_the_reference_names_every_shipped_plugin_and_its_operations(contracts: Contracts) -> None:
    page = (folder("plugins").parent / "docs" / "reference" / "plugins.md").read_text("utf-8")
    rows = [line.split(" | ")[:3] for line in page.splitlines() if line.startswith("| `")]
    assert rows[len(CATEGORIES) :] == [
        [f"| `{one.id}`", one.category, ", ".join(f"`{name}`" for name in one.operations)]
        for one in discover([folder("plugins")], contracts).plugins.values()
    ]
