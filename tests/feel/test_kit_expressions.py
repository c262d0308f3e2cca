"""The literal expressions of the official DMN test kit that need no model, by `engine.feel` alone.

The whole kit runs in tests/decisions; this part tells a fault of the expression language from one of the model.
The kit is third-party data and not part of this repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

from engine.feel import FeelError, Value, evaluate, parse_temporal
from engine.feel.operations import equal
from engine.feel.run import Run
from tests.needs import missing

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
OF_THE_MODEL = (
    "instance of t",
    "list<t",
    "external",
)  #: types and functions that only a model knows
NUMBERS = {"decimal", "double", "integer", "int", "long", "float"}


def kit() -> Path | None:
    beside = Path(__file__).parents[3] / "shared" / "tck"
    folders = (
        Path(folder) / "TestCases" for folder in (os.environ.get("DMN_TCK"), beside) if folder
    )
    return next((folder for folder in folders if folder.is_dir()), None)


def local(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def expressions(model: Path) -> dict[str, str]:
    """Return the text of every decision that is one literal expression, without requirements and type."""
    found = {}
    for decision in ElementTree.parse(model).getroot():
        parts = {local(part): part for part in decision}
        alone = local(decision) == "decision" and not any(p.endswith("Requirement") for p in parts)
        typed = "variable" in parts and parts["variable"].get("typeRef")
        if alone and not typed and "literalExpression" in parts:
            text = next(p for p in parts["literalExpression"] if local(p) == "text").text or ""
            if not any(part in text for part in OF_THE_MODEL):
                found[decision.get("name", "")] = text
    return found


def expected(node: ElementTree.Element) -> Value:
    """Return the value of a test case."""
    parts = list(node)
    if not parts or parts[0].get(NIL) == "true":
        return None
    match local(parts[0]):
        case "list":
            return [expected(item) for item in parts[0]]
        case "component":
            return {part.get("name"): expected(part) for part in parts}
    text, kind = parts[0].text or "", (parts[0].get(TYPE) or "").rpartition(":")[2]
    if kind in NUMBERS:
        return Decimal(text)
    if kind == "boolean":
        return text == "true"
    return text if kind in ("string", "") else parse_temporal(text)


def cases(folder: Path) -> Iterator[tuple[str, str, Value, bool]]:
    """Return the id of each case, its expression, what is expected, and whether an error will do."""
    for tests in sorted(folder.glob("compliance-level-*/*/*.xml")):
        if "coercion" in tests.name:  # the types of services, which are not in the expression
            continue
        root = ElementTree.parse(tests).getroot()
        model = next(node.text or "" for node in root if local(node) == "modelName")
        known = expressions(tests.parent / model.strip())
        for case in (node for node in root if local(node) == "testCase"):
            for result in (node for node in case if local(node) == "resultNode"):
                text = known.get(result.get("name", ""))
                inputs = [node for node in case if local(node) == "inputNode"]
                if text is not None and not inputs:
                    value = next((expected(n) for n in result if local(n) == "expected"), None)
                    name = f"{tests.parent.name} {case.get('id')}"
                    yield name, text, value, result.get("errorResult") == "true"


def passes(text: str, value: Value, error_will_do: bool) -> bool:
    try:
        found = evaluate(text, {}, now=parse_temporal("2024-05-05T10:00:00Z"))
    except FeelError:
        return error_will_do
    return close(found, value)


def close(a: Value, b: Value) -> bool:
    """Compare as the kit does: numbers within 1e-8, durations of no length alike, text for what has no type."""
    match a, b:
        case Decimal(), Decimal():
            return abs(a - b) < Decimal("1e-8")
        case list(), list():
            return len(a) == len(b) and all(map(close, a, b))
        case dict(), dict():
            return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
        case None, None:
            return True
        case _:
            return (
                equal(Run(), a, b) is True
                or str(a) == str(b)
                or {str(a), str(b)} == {"PT0S", "P0M"}
            )


def test_literal_expressions_of_the_kit() -> None:
    folder = kit()
    if folder is None:
        reason = "the DMN test kit is not there; set DMN_TCK to a folder with TestCases"
        missing(reason)
    found = list(cases(folder))
    failed = [name for name, text, value, error in found if not passes(text, value, error)]
    assert failed == []
    assert len(found) > 2200
    assert sum(value is not None for _, _, value, _ in found) > 1100
