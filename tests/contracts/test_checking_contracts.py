"""A value that breaks its contract is refused with place, expectation and finding."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from engine.contracts import Contracts
from engine.errors import ContractError, DefinitionError
from engine.shipped import folder

TASK = {"id": "T-1", "files": {"create": ["a.py"]}, "verification": {"command": "true"}}


@pytest.fixture
def contracts() -> Contracts:
    return Contracts(folder("contracts"))


def graph(*tasks: Any) -> dict[str, Any]:
    return {"feature": "f", "tasks": list(tasks)}


@pytest.mark.parametrize(
    ("value", "where", "expected", "got", "hint"),
    [
        pytest.param(graph({"id": "T", "levle": 1}), "/tasks/0/levle", "no property of this name", "one", "Did you mean level?", id="unknown key"),
        pytest.param(graph({}), "/tasks/0", "property id", "none", "", id="missing key"),
        pytest.param(graph({"id": "T", "level": "1"}), "/tasks/0/level", "integer", '"1"', "", id="wrong type"),
        pytest.param(graph({"id": "T", "level": True}), "/tasks/0/level", "integer", "true", "", id="true is no number"),
        pytest.param(graph({"id": "T", "level": Decimal("1.5")}), "/tasks/0/level", "integer", "1.5", "", id="a fraction is no integer"),
        pytest.param(graph({"id": "T", "level": 9}), "/tasks/0/level", "at most 5", "9", "", id="too large"),
        pytest.param(graph({"id": "T\n"}), "/tasks/0/id", "text that matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", '"T\\n"', "", id="a line feed after the pattern"),
        pytest.param(graph({"id": "T", "lane": "decison"}), "/tasks/0/lane", 'one of "decision", "explanation"', '"decison"', "Did you mean decision?", id="not among the choices"),
        pytest.param(graph({"id": "T", "dependencies": ["A", "A"]}), "/tasks/0/dependencies", "items that differ", '["A", "A"]', "", id="twice the same"),
        pytest.param(graph(), "/tasks", "at least 1 items", "0", "", id="too few"),
        pytest.param(graph({"id": "T", "tags": [""]}), "/tasks/0/tags/0", "text that is not empty", '""', "", id="empty text"),
        pytest.param([], "", "object", "[]", "", id="not even an object"),
        pytest.param({"feature": "f", "tasks": [TASK], "a/b~c": 1}, "/a~1b~0c", "no property of this name", "one", "Known here: $schema, approved, feature, generated, levels, tasks, version.", id="an escaped pointer"),
    ],
)  # fmt: skip
def test_a_violation_says_where_and_what(
    value: Any, where: str, expected: str, got: str, hint: str, contracts: Contracts
) -> None:
    with pytest.raises(ContractError) as caught:
        contracts.check("task-graph.v1", value)
    error = caught.value
    assert (error.contract, error.where, error.expected, error.got, error.hint) == (
        "task-graph.v1",
        where,
        expected,
        got,
        hint,
    )


def test_all_violations_are_reported_in_order(contracts: Contracts) -> None:
    value = graph({"id": "a b", "files": {"create": 1}}, {"tags": [1], "x": 1})
    assert [error.where for error in contracts.violations("task-graph.v1", value)] == [
        "/tasks/0/files/create",
        "/tasks/0/id",
        "/tasks/1/x",
        "/tasks/1",
        "/tasks/1/tags/0",
    ]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(graph(TASK), id="plain"),
        pytest.param(graph({**TASK, "level": Decimal("2.0")}), id="a whole Decimal"),
        pytest.param({"feature": "f", "tasks": (TASK,)}, id="a tuple"),
        pytest.param({"feature": "f", "tasks": [MappingProxyType(TASK)]}, id="a read-only mapping"),
    ],
)
def test_engine_values_keep_contracts(value: Any, contracts: Contracts) -> None:
    contracts.check("task-graph.v1", value)
    assert contracts.violations("task-graph.v1", value) == ()


def test_good_values_need_no_jsonschema() -> None:
    script = (
        "import sys; from engine.contracts import Contracts; from engine.shipped import folder;"
        f"Contracts(folder('contracts')).check('task-graph.v1', {graph(TASK)!r});"
        "print('jsonschema' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_an_unknown_contract_is_named(contracts: Contracts) -> None:
    with pytest.raises(DefinitionError, match=r"there is no contract nope\.v1"):
        contracts.check("nope.v1", {})
    with pytest.raises(DefinitionError, match="there is no contract"):
        contracts.check("../contracts/task.v1", {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("{", "is not JSON", id="no JSON"),
        pytest.param("[]", "is no schema", id="no schema"),
        pytest.param('{"type": "strng"}', "is no valid JSON Schema", id="an unknown type"),
        pytest.param('{"pattern": "("}', "is no valid JSON Schema", id="an unfinished pattern"),
        pytest.param('{"$ref": "other.v1"}', "there is no contract other.v1", id="a reference to nothing"),
        pytest.param('{"$ref": "https://example.org/x.json"}', "refers to what is not there", id="a remote reference"),
    ],
)  # fmt: skip
def test_a_broken_contract_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "broken.v1.json").write_text(text)
    with pytest.raises(DefinitionError, match=sentence):
        Contracts(tmp_path).check("broken.v1", "value")


def test_a_contract_may_refer_to_itself_and_to_others(tmp_path: Path) -> None:
    tree = {"type": "object", "properties": {"kids": {"items": {"$ref": "#"}}, "leaf": {"$ref": "leaf.v1#/$defs/n"}}}  # fmt: skip
    (tmp_path / "tree.v1.json").write_text(json.dumps(tree))
    (tmp_path / "leaf.v1.json").write_text(json.dumps({"$defs": {"n": {"type": "integer"}}}))
    contracts = Contracts(tmp_path)
    contracts.check("tree.v1", {"kids": [{"kids": [], "leaf": 1}]})
    with pytest.raises(ContractError) as caught:
        contracts.check("tree.v1", {"kids": [{"kids": [{"leaf": "x"}]}]})
    assert caught.value.where == "/kids/0/kids/0/leaf"


def test_a_value_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.v1.json").write_text('{"type": "array", "items": {"$ref": "#"}}')
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ContractError, match="nested too deeply"):
        Contracts(tmp_path).check("deep.v1", value)


def test_every_shipped_contract_is_a_schema_that_compiles(contracts: Contracts) -> None:
    from engine.contracts.compiled import compile_schema
    from engine.contracts.violations import Validator

    assert "task.v1" in contracts.names()
    for name in contracts.names():
        Validator(name, contracts.schema(name), contracts.schema)
        compile_schema(contracts.schema(name), contracts.schema)
        assert contracts.digest(name).startswith("sha256:")
