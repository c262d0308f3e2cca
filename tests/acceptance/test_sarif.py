"""What the lints print as SARIF is valid against the published schema, and what they print for GitHub is well formed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import FormatChecker
from jsonschema.validators import validator_for

from tests.acceptance.conftest import Project
from tests.core.drawing import draw
from tests.needs import missing

SCHEMA = "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
TABLE = """<definitions xmlns="https://www.omg.org/spec/DMN/20230324/MODEL/" id="d" name="d" namespace="urn:d">
<inputData id="i" name="age"><variable name="age" typeRef="number"/></inputData>
<decision id="adult" name="adult"><variable name="adult"/><informationRequirement><requiredInput href="#i"/>
</informationRequirement><decisionTable id="t"><input><inputExpression typeRef="number"><text>age</text>
</inputExpression></input><output name="adult"/><rule id="r1"><inputEntry><text>&gt;= 18</text></inputEntry>
<outputEntry><text>yes</text></outputEntry></rule><rule id="r2"><inputEntry><text>&lt;= 18</text></inputEntry>
<outputEntry><text>"no, 100%"</text></outputEntry></rule></decisionTable></decision></definitions>"""
POLICY = "package careless\n\nimport rego.v1\n\nallow if not input.denied\n"
PROCESS = "start s\nservice T  type=no.such\nend e\ns -> T -> e"
ANNOTATION = re.compile(
    r"^::(error|warning|notice) file=[^,:]+,line=[1-9]\d*,(col=[1-9]\d*,)?title=[^,:]+::.+$"
)
FOLDER = "a folder, with 100% odd: name"

CASES = [
    (("decision", "lint"), "careless.dmn", TABLE),
    (("process", "lint"), "careless.bpmn", draw(PROCESS).decode()),
    (("policy", "check"), "", POLICY),
]


@pytest.fixture(scope="module")
def schema() -> Any:
    modules = os.environ.get("NODE_PATH")
    if modules is None or not (Path(modules) / SCHEMA).is_file():
        reason = "no schema of SARIF: npm install @microsoft/jest-sarif and set NODE_PATH"
        missing(reason)
    published = json.loads((Path(modules) / SCHEMA).read_text("utf-8"))
    return validator_for(published)(published, format_checker=FormatChecker())


def lint(place: Path, command: tuple[str, ...], name: str, content: str, form: str) -> str:
    """Write the file into a folder with an odd name and return what the lint prints about it."""
    folder = place / FOLDER
    folder.mkdir()
    (folder / (name or "careless.rego")).write_text(content, "utf-8")
    answer = Project(place).engine(*command, f"{FOLDER}/{name}", "--format", form)
    assert answer.code == 3, answer.err + answer.out
    return answer.out


@pytest.mark.browser
@pytest.mark.parametrize(("command", "name", "content"), CASES, ids=[c[0][0] for c in CASES])
def test_sarif_is_valid(
    tmp_path: Path, schema: Any, command: tuple[str, ...], name: str, content: str
) -> None:
    log = json.loads(lint(tmp_path, command, name, content, "sarif"))
    assert [f"{list(e.absolute_path)}: {e.message}" for e in schema.iter_errors(log)] == []
    (run,) = log["runs"]
    assert run["results"]
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"].startswith("a%20folder%2C%20with%20100%25%20odd%3A")
        assert place["region"]["startLine"] >= 1


@pytest.mark.parametrize(("command", "name", "content"), CASES, ids=[c[0][0] for c in CASES])
def test_annotations_for_github_are_well_formed(
    tmp_path: Path, command: tuple[str, ...], name: str, content: str
) -> None:
    lines = lint(tmp_path, command, name, content, "github").splitlines()
    assert lines
    assert [line for line in lines if not ANNOTATION.match(line)] == []
