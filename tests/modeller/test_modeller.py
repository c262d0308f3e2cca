"""Modellers read and write our diagrams without changing what they mean, and designers pick our job types from a menu."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import bpmn
from engine.bpmn.digest import process_digest
from engine.bpmn.fix import fix
from engine.bpmn.model import ExclusiveGateway, Process, ServiceTask
from engine.core.definitions import inspect
from engine.runtime.jobs import job_findings, load_handlers
from engine.runtime.templates import templates
from tests.core.drawing import draw
from tests.modeller.conftest import Task

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "process").glob("*.bpmn"))
PEOPLE = sorted((ROOT / "tests/process/people").glob("*.bpmn"))[::5]
Modeller = Callable[[Sequence[Task]], list[Task]]

pytestmark = pytest.mark.browser


def digests(content: bytes | str) -> list[str]:
    text = content if isinstance(content, bytes) else content.encode()
    return [process_digest(process) for process in bpmn.read(text, "p.bpmn").processes]


@pytest.mark.parametrize("file", [*SHIPPED, *PEOPLE], ids=lambda file: file.stem)
def test_opened_and_saved_with_bpmn_moddle_a_diagram_means_the_same(
    file: Path, resave: Callable[[bytes], bytes]
) -> None:
    content = file.read_bytes()
    saved = resave(content)
    assert digests(saved) == digests(content)
    assert resave(saved) == saved


def test_what_bpmn_moddle_would_lose_is_noticed(resave: Callable[[bytes], bytes]) -> None:
    """The digest is no matter of course: a changed condition changes it."""
    content = SHIPPED[1].read_bytes()
    assert digests(resave(content).replace(b'=verdict = "pass"', b'=verdict != "fail"')) != digests(
        content
    )


def test_opened_and_saved_in_bpmn_js_the_shipped_diagrams_mean_the_same(modeller: Modeller) -> None:
    answers = modeller(
        [{"xml": file.read_text("utf-8"), "templates": [], "apply": {}} for file in SHIPPED]
    )
    for file, answer in zip(SHIPPED, answers, strict=True):
        assert digests(answer["xml"]) == digests(file.read_bytes()), file.stem
        assert answer["watermark"], "the bpmn.io mark must stay visible"


# --- element templates ---------------------------------------------------------------------------------------


def board() -> tuple[str, dict[str, str]]:
    """Return a diagram with a plain task for each job type and a gateway, and {element: template}."""
    types = sorted(load_handlers().specs)
    tasks = [f"T{number}" for number in range(len(types))]
    lines = ["start S", *(f"task {task}" for task in tasks), "xor G", "end Open", "end Closed"]
    lines += [
        " -> ".join(["S", *tasks, "G"]),
        'G -> Open : verdict = "pass"',
        "G -> Closed default",
    ]
    content, _ = fix(draw("\n".join(lines)), "p.bpmn")
    chosen = {task: f"poundlock.{type_}" for task, type_ in zip(tasks, types, strict=True)}
    return content.decode(), chosen | {"G": "poundlock.policy-gateway"}


def filled_in(all_: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:  # Any: JSON
    """Return the templates as forms in which a designer has filled in what must not stay empty."""
    filled = copy.deepcopy(list(all_))
    for template in filled:
        for field in template["properties"]:
            if field.get("constraints", {}).get("notEmpty") and "value" not in field:
                field["value"] = "merge" if field["id"] == "policy" else "something"
    return filled


@pytest.fixture(scope="module")
def applied(modeller: Modeller) -> dict[str, Task]:
    """Our templates applied in bpmn-js: as they are, and with their forms filled in."""
    xml, apply = board()
    all_ = list(templates(load_handlers()).values())
    tasks = [{"xml": xml, "templates": made, "apply": apply} for made in (all_, filled_in(all_))]
    return dict(zip(("plain", "filled in"), modeller(tasks), strict=True))


def process_of(answer: Task) -> Process:
    (process,) = bpmn.read(answer["xml"].encode(), "p.bpmn").processes
    return process


def test_the_modeller_takes_every_template(applied: dict[str, Task]) -> None:
    assert [answer["errors"] for answer in applied.values()] == [[], []]


def test_a_template_makes_a_plain_task_a_service_task_of_its_type(applied: dict[str, Task]) -> None:
    _, apply = board()
    nodes = process_of(applied["filled in"]).scope.nodes
    for id_, template in apply.items():
        node = nodes[id_]
        if isinstance(node, ServiceTask):
            assert f"poundlock.{node.job.type.text}" == template
            assert node.job.retries is not None
        else:
            assert isinstance(node, ExclusiveGateway)
            assert node.policy is not None
            assert node.policy.package == "merge"
    assert sum(isinstance(node, ServiceTask) for node in nodes.values()) == len(apply) - 1


def lint(answer: Task) -> list[tuple[str, str]]:
    _, loaded = inspect({"p.bpmn": answer["xml"].encode()})
    found = job_findings(loaded, load_handlers(), delivers=True)
    form = {"missing-header", "header-choice", "unknown-job-type"}
    return sorted((item.rule, item.element) for item in found if item.rule in form)


def test_a_form_that_is_filled_in_leaves_nothing_to_say(applied: dict[str, Task]) -> None:
    assert lint(applied["filled in"]) == []


def test_lint_names_the_fields_that_were_left_empty(applied: dict[str, Task]) -> None:
    specs = load_handlers().specs
    _, apply = board()
    required = [
        ("missing-header", id_)
        for id_, template in apply.items()
        for header in (specs[template.removeprefix("poundlock.")].headers if id_ != "G" else ())
        if header.required and not header.choices
    ]
    assert required
    assert lint(applied["plain"]) == sorted(required)
