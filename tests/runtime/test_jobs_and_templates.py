"""Job types: what lint and start say about service tasks, and the templates that designers pick from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.bpmn.model import Finding
from engine.core.definitions import Definitions
from engine.runtime.jobs import job_findings, load_handlers
from engine.runtime.linting import lint_findings
from engine.runtime.templates import templates
from engine.shipped import definition_files
from tests.core.drawing import draw
from tests.needs import missing


def findings(service: str, *, delivers: bool = True) -> list[tuple[str, str]]:
    """Return (rule, sentence) for a diagram with one service task T."""
    drawing = f"start s\nservice T  {service}\nend e\ns -> T -> e"
    definitions = Definitions.load({"p.bpmn": draw(drawing)})
    found: list[Finding] = list(job_findings(definitions, load_handlers(), delivers=delivers))
    assert {finding.element for finding in found} <= {"T"}
    return [(finding.rule, finding.message) for finding in found]


@pytest.mark.parametrize(
    ("service", "delivers", "rules"),
    [
        ("type=command.run; header command=true", True, []),
        ("type=command.run; in command = line", True, []),
        ("type=comand.run; header command=true", True, ["unknown-job-type"]),
        ("type=command.run", True, ["missing-header"]),
        ("type=checks.run_gates; header stage=pre_merge", True, []),
        ("type=checks.run_gates; header stage=later", True, ["header-choice"]),
        ("type=worker.run", True, []),
        ("type=worker.run", False, ["needs-a-feature"]),
        ("type=checks.run_gates", False, ["needs-a-feature", "missing-header"]),
    ],
)
def test_a_service_task_says_what_its_job_type_needs(
    service: str, delivers: bool, rules: list[str]
) -> None:
    assert [rule for rule, _ in findings(service, delivers=delivers)] == rules


def test_the_sentence_names_element_and_remedy() -> None:
    definitions = Definitions.load(
        {"p.bpmn": draw("start s\nservice T  type=comand.run\nend e\ns -> T -> e")}
    )
    (found,) = job_findings(definitions, load_handlers(), delivers=True)
    assert found.message == '"T" (T) asks for job type comand.run, which nobody can do' or (
        "T" in found.message
    )
    assert found.hint.startswith("Choose one of command.run")


def test_the_shipped_diagrams_have_no_findings() -> None:
    definitions = Definitions.load(definition_files())
    assert list(job_findings(definitions, load_handlers(), delivers=True)) == []
    assert [f for f in lint_findings(definitions, load_handlers()) if f.severity != "info"] == []


def test_every_rule_is_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/bpmn-lint.md").read_text("utf-8")
    for rule in ("unknown-job-type", "missing-header", "header-choice", "needs-a-feature"):
        assert f"`{rule}`" in page


# --- templates ----------------------------------------------------------------------------------------


def test_there_is_a_template_for_every_job_type_and_for_a_policy() -> None:
    handlers = load_handlers()
    made = templates(handlers)
    assert sorted(made) == sorted(
        [*(f"{name}.json" for name in handlers.specs), "policy-gateway.json"]
    )


def test_a_template_is_a_form_with_help() -> None:
    made = templates(load_handlers())["checks.run_gates.json"]
    stage = next(item for item in made["properties"] if item.get("id") == "stage")
    assert stage == {
        "id": "stage",
        "label": "Stage",
        "description": "Which gates of the configuration: before the merge, or at the end of the run.",
        "type": "Dropdown",
        "group": "say",
        "binding": {"type": "zeebe:taskHeader", "key": "stage"},
        "choices": [
            {"name": "pre_merge", "value": "pre_merge"},
            {"name": "final", "value": "final"},
        ],
        "value": "pre_merge",
        "constraints": {"notEmpty": True},
    }
    assert made["properties"][0] == {
        "type": "Hidden",
        "value": "checks.run_gates",
        "binding": {"type": "zeebe:taskDefinition", "property": "type"},
    }


VALIDATE = """
const { validateAllZeebe } = require('@bpmn-io/element-templates-validator');
const all = JSON.parse(require('fs').readFileSync(0));
const { valid, results } = validateAllZeebe(all);
console.log(JSON.stringify({ valid, errors: results.flatMap((r) => (r.errors || []).map((e) => e.message)) }));
"""


@pytest.mark.browser
def test_templates_are_valid_against_the_schema_of_the_modeller() -> None:
    """Needs node, and the npm package @bpmn-io/element-templates-validator where it finds it (NODE_PATH)."""
    modules = os.environ.get("NODE_PATH")
    if modules is None or shutil.which("node") is None:
        missing("no node packages: set NODE_PATH to a folder with them, as .ci/run does")
    done = subprocess.run(
        ["node", "-e", VALIDATE],
        input=json.dumps(list(templates(load_handlers()).values())),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer == {"valid": True, "errors": []}
