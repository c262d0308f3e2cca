"""The examples in docs/reference/bpmn-lint.md, which are the test table of the rules.

`python -m tests.bpmn.examples` writes what lint finds under each bad example; read what changed before you keep it.

An example is a drawing (tests/core/drawing.py). After `--- inside` stands XML inside the process, after `--- beside`
XML beside it; `process NAME` begins another process, `=== NAME` another file. Text that starts with `<` is a file as
it is. Beside every example lie a table `route`, which answers "mail" or "phone", and a policy `merge`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.bpmn.model import Finding
from engine.core.definitions import inspect
from engine.runtime.jobs import job_findings, load_handlers
from engine.runtime.linting import file_findings, lint_findings
from tests.core.drawing import draw_all

PAGE = Path(__file__).parents[2] / "docs/reference/bpmn-lint.md"
BLOCK = re.compile(r"```(bad|good)\n(.*?)```\n(?:```finds\n(.*?)```\n)?", re.DOTALL)
SPACES = (
    'xmlns:camunda="http://camunda.org/schema/1.0/bpmn" '
    'xmlns:spiffworkflow="http://spiffworkflow.org/bpmn/schema/1.0/core" '
    'xmlns:flowable="http://flowable.org/bpmn" '
    'xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" '
    'xmlns:di="http://www.omg.org/spec/DD/20100524/DI"'
)
BESIDE = {
    "route.dmn": b"""<definitions xmlns="https://www.omg.org/spec/DMN/20191111/MODEL/" id="d" name="d" namespace="urn:d">
<inputData id="i" name="size"><variable name="size" typeRef="number"/></inputData>
<decision id="route" name="route"><variable name="route"/><informationRequirement><requiredInput href="#i"/>
</informationRequirement><decisionTable id="t" hitPolicy="FIRST"><input><inputExpression typeRef="number"><text>size</text>
</inputExpression></input><output name="route"/><rule id="r1"><inputEntry><text>&gt; 3</text></inputEntry>
<outputEntry><text>"mail"</text></outputEntry></rule><rule id="r2"><inputEntry><text>-</text></inputEntry>
<outputEntry><text>"phone"</text></outputEntry></rule></decisionTable></decision></definitions>""",
    "merge.rego": b"package merge\n\nimport rego.v1\n\ndefault allow := false\n",
}


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example under the heading of `rule`; `finds` holds the lines that the page promises."""

    rule: str
    kind: str
    source: str
    finds: tuple[str, ...]


def examples() -> Iterator[Example]:
    for rule, text in sections().items():
        for kind, source, finds in BLOCK.findall(text):
            yield Example(rule=rule, kind=kind, source=source, finds=tuple(finds.splitlines()))


def sections() -> dict[str, str]:
    """Return {rule: text of its section}."""
    parts = re.split(r"^### `([a-z-]+)`", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@cache
def found(source: str, rule: str) -> list[Finding]:
    """Return what `engine process lint` says about an example; that it has no picture only where this is the point."""
    files = {**BESIDE, **written(source)}
    told, loaded = inspect(files)
    handlers = load_handlers()
    said = {
        *told,
        *job_findings(loaded, handlers, delivers=True),
        *lint_findings(loaded, handlers),
        *file_findings(files),
    }
    return sorted(item for item in said if item.rule != "no-bpmndi" or rule == "no-bpmndi")


def written(source: str) -> Mapping[str, bytes]:
    """Return {file name: content} of an example."""
    parts = re.split(r"^=== (\S+)\n", source, flags=re.MULTILINE)
    texts = {"p.bpmn": parts[0]} if parts[0].strip() else {}
    texts |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: _file(text) for name, text in texts.items()}


def _file(text: str) -> bytes:
    if text.startswith("<"):
        return text.encode()
    drawing, _, beside = text.partition("--- beside\n")
    drawing, _, inside = drawing.partition("--- inside\n")
    parts = re.split(r"^process (\S+)\n", drawing, flags=re.MULTILINE)
    drawings = {"p": parts[0]} if parts[0].strip() or len(parts) == 1 else {}
    drawings |= dict(zip(parts[1::2], parts[2::2], strict=True))
    xml = draw_all(drawings).decode().replace("<bpmn:definitions ", f"<bpmn:definitions {SPACES} ")
    xml = re.sub(r"(<bpmn:sequenceFlow )([^>]*><bpmn:cond)", r'\1name="yes" \2', xml)
    xml = xml.replace("  </bpmn:process>", f"{inside}  </bpmn:process>", 1)
    return xml.replace("</bpmn:definitions>", f"{beside}</bpmn:definitions>").encode()


def main() -> None:
    """Write the page anew with what lint finds now."""
    text = PAGE.read_text("utf-8")
    heads = list(re.finditer(r"^### `([a-z-]+)`", text, re.MULTILINE))

    def filled(match: re.Match[str]) -> str:
        kind, source = match.group(1), match.group(2)
        if kind == "good":
            return match.group(0)
        rule = next(head.group(1) for head in reversed(heads) if head.start() < match.start())
        lines = "".join(f"{finding}\n" for finding in found(source, rule))
        return f"```bad\n{source}```\n```finds\n{lines}```\n"

    PAGE.write_text(BLOCK.sub(filled, text), "utf-8")


if __name__ == "__main__":
    main()
