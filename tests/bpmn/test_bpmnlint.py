"""bpmnlint's recommended rules as an oracle: what the Python port `bpmn-io` reports, our lint reports too.

The last table of docs/reference/bpmn-lint.md says which of its names is which of ours, and what is left out.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from bpmn_io import create_moddle
from bpmn_io.lint import Linter
from bpmn_io.lint.resolver import NodeResolver

from engine.bpmn import BpmnDefinitionError, read
from engine.bpmn.lint import Surroundings, lint, lint_file
from engine.bpmn.model import Finding
from tests.bpmn.examples import PAGE, examples, written

ROOT = Path(__file__).parents[2]
#: what another name of ours may say instead; a rule that is not here goes by its own name
OURS = {
    "ad-hoc-sub-process": {"unsupported-element"},
    "no-complex-gateway": {"unsupported-element"},
    "conditional-flows": {"flow-without-condition", "default-with-condition", "not-feel"},
    "end-event-required": {"no-implicit-end", "no-way-out", "unreachable"},
    "no-implicit-end": {"no-implicit-end", "dead-end", "unreachable"},
    "event-based-gateway": {"event-gateway"},
    "event-sub-process-typed-start-event": {"start-event", "event-sub-process"},
    "single-blank-start-event": {"start-event"},
    "start-event-required": {"start-event"},
    "sub-process-blank-start-event": {"start-event"},
    "no-disconnected": {"unreachable", "event-sub-process"},
    "no-implicit-start": {"unreachable"},
    "no-implicit-split": {"implicit-split", "condition-without-gateway"},
    "single-event-definition": {"several-triggers"},
    "global": {"global", "missing-name"},
}
#: of these we say one for a pair, a part of the drawing or a whole process, so at another element
ELSEWHERE = {
    "no-bpmndi", "no-duplicate-sequence-flows", "no-implicit-end", "no-overlapping-elements", "no-way-out",
    "start-event", "unreachable",
}  # fmt: skip
LEFT_OUT = {"fake-join", "no-inclusive-gateway"}
FILES = [
    *sorted((ROOT / "process").glob("*.bpmn")),
    *sorted((ROOT / "tests/process/people").glob("*.bpmn"))[::10],
]
EXAMPLES = [
    (f"{example.rule}-{number}", content)
    for number, example in enumerate(examples())
    for name, content in written(example.source).items()
    if name == "p.bpmn" and example.kind == "bad" and "--- inside" not in example.source
]
#: too broken for bpmnlint, or it has nothing to say about them
UNREAD = ("xml-invalid", "not-bpmn", "doctype", "no-process", "dangling-reference")


@cache
def moddle() -> Any:  # Any: their class has no types for us
    return create_moddle()


def theirs(content: bytes) -> list[tuple[str, str]]:
    """Return (rule, element) of everything that bpmnlint reports with its recommended rules."""
    root = moddle().from_xml(content.decode()).root_element
    linter = Linter(config={"extends": "bpmnlint:recommended"}, resolver=NodeResolver())
    results: dict[str, list[dict[str, Any]]] = linter.lint(root)  # Any: their JSON
    return [(rule, report.get("id") or "") for rule, told in results.items() for report in told]


def ours(content: bytes) -> list[Finding]:
    """Return our findings; of a file that is refused, those of the refusal."""
    found = list(lint_file(content, "p.bpmn"))
    try:
        return [*found, *lint(read(content, "p.bpmn").processes, Surroundings())]
    except BpmnDefinitionError as error:
        return [*found, *error.findings]


def unsaid(content: bytes) -> list[tuple[str, str]]:
    """Return what bpmnlint reports and we do not, left out what we leave out for a reason."""
    findings = ours(content)
    said = {(finding.rule, finding.element) for finding in findings}
    rules = {finding.rule for finding in findings}
    is_refused = any(finding.severity == "error" for finding in findings)
    missing = []
    for rule, element in theirs(content):
        names = OURS.get(rule, {rule})
        is_said = any((name, element) in said for name in names) or names & rules & ELSEWHERE
        if not (is_said or is_refused or rule in LEFT_OUT):
            missing.append((rule, element))
    return [item for item in missing if not _is_exclusive_join_fork(item, content)]


def _is_exclusive_join_fork(item: tuple[str, str], content: bytes) -> bool:
    rule, element = item
    return rule == "no-gateway-join-fork" and f'exclusiveGateway id="{element}"'.encode() in content


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_of_the_diagrams_that_people_draw(file: Path) -> None:
    assert unsaid(file.read_bytes()) == []


READ = [case for case in EXAMPLES if not case[0].startswith(UNREAD)][::2]


@pytest.mark.parametrize(
    "content", [content for _, content in READ], ids=[name for name, _ in READ]
)
def test_of_broken_diagrams(content: bytes) -> None:
    assert unsaid(content) == []


def test_the_page_accounts_for_every_recommended_rule() -> None:
    linter = Linter(config={"extends": "bpmnlint:recommended"}, resolver=NodeResolver())
    config = linter.resolve_configured_rules({"extends": "bpmnlint:recommended"})
    table = PAGE.read_text("utf-8").partition("## bpmnlint's names")[2]
    assert [name for name in config if f"`{name.removeprefix('bpmnlint/')}`" not in table] == []
