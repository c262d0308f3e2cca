"""The reference page names every function, and its examples hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.feel import evaluate, parse_temporal
from engine.feel.builtins import builtins_of
from tests.feel.sameness import same

PAGE = (Path(__file__).parents[2] / "docs/reference/feel.md").read_text(encoding="utf-8")
STANDARD, CAMUNDA = PAGE.split("## Functions of the standard")[1].split("## Functions of Camunda")
ROW = re.compile(r"^\| `([^`]+)`[^|]*\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
NOW = parse_temporal("2024-05-05T10:00:00Z")


def rows(text: str, dialect: str) -> list[tuple[str, str, str, str]]:
    return [(dialect, *row) for row in ROW.findall(text)]


EXAMPLES = [*rows(STANDARD, "dmn"), *rows(CAMUNDA, "camunda")]


@pytest.mark.parametrize(("dialect", "function", "example", "value"), EXAMPLES)
def test_example(dialect: str, function: str, example: str, value: str) -> None:
    name = function.partition("(")[0]
    assert f"{name}(" in example
    found = evaluate(example, {}, dialect, now=NOW, seed="1")  # type: ignore[arg-type]
    assert same(found, evaluate(value, {}))


@pytest.mark.parametrize(("dialect", "part"), [("dmn", STANDARD), ("camunda", STANDARD + CAMUNDA)])
def test_every_function_has_an_example(dialect: str, part: str) -> None:
    shown = {function.partition("(")[0] for _, function, _, _ in rows(part, dialect)}
    assert set(builtins_of(dialect)) <= shown


def test_every_parameter_is_named_as_on_the_page() -> None:
    """A signature with its own row has the parameter names that a call by name needs."""
    for dialect, function, _, _ in EXAMPLES:
        name, _, parameters = function.rstrip(")").partition("(")
        wanted = [p.rstrip("…") for p in parameters.split(", ") if p]
        builtin = builtins_of(dialect)[name]
        if wanted in (["a", "b"], ["a", "range"], ["range", "a"]):
            continue  # points and ranges, see the text above the table
        names = [[p.name for p in signature.parameters] for signature in builtin.signatures]
        assert any(found[: len(wanted)] == wanted for found in names), (function, names)


def test_the_first_program_does_what_it_says() -> None:
    program = PAGE.split("```python\n")[1].split("```")[0]
    space: dict[str, object] = {}
    for line in program.splitlines():
        code, _, expected = line.partition("  #")
        if code.strip().startswith(("from", "condition =")):
            exec(code, space)
        elif expected.strip() in ("True", '{"status", "age"}'):
            assert eval(code, space) == eval(expected, space), line
    assert [str(w) for w in eval("condition.evaluate({'status': 'open'}).warnings", space)] == [
        "there is no variable 'age'",
        "null > number has no value",
    ]


def test_bounds_are_those_of_the_code() -> None:
    from engine.feel import parser, run, scanner, values

    for number in (
        parser.MAX_LENGTH,
        parser.MAX_PARTS,
        scanner.MAX_NESTING,
        parser.MAX_TERMS,
        parser.MAX_CHAIN,
        run.MAX_STEPS,
        run.MAX_CALLS,
        run.MAX_TEXT,
        values.MAX_ITEMS,
        values.MAX_DEPTH,
    ):
        assert f"{number:,}" in PAGE.split("## Bounds")[1].split("## Dialects")[0]
