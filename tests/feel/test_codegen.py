"""The seam for those who build on generated code."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.feel import Run, compile_expression, parse, parse_unary_tests
from engine.feel.codegen import Generator, Scope


def test_code_of_several_expressions_lives_in_one_module() -> None:
    generator = Generator(dialect="dmn")
    total = generator.expression(parse("price * count"), Scope({"price": "p", "count": "c"}))
    cheap = generator.tests(parse_unary_tests("< limit, null"), "t", Scope({"limit": "m"}))
    source = f"def f(r, p, c, m):\n t = {total}\n return t, {cheap}"
    space = generator.globals()
    exec(generator.module(source), space)
    run = space["f"]
    assert run(Run(), Decimal(2), 3, Decimal(7)) == (Decimal(6), True)  # type: ignore[operator]
    assert run(Run(), Decimal(2), 3, Decimal(5)) == (Decimal(6), False)  # type: ignore[operator]


def test_variables_are_read_once() -> None:
    generator = Generator(dialect="dmn")
    code = generator.expression(parse("a + a * b"))
    assert code == "add(r, v0, multiply(r, v0, v1))"
    assert len(generator.prologue()) == 4
    assert generator.certain == {"a", "b"}


@pytest.mark.parametrize(
    "text",
    [
        "\"__import__('os')\"",
        'x = "\\"); import os #"',
        "{__class__: 1}.__class__",
        "[{a: 1}][__import__ = 1]",
        "for lambda_ in [1] return lambda_",
        "some exec in [1] satisfies exec = eval",
        "(function(globals, r, v, k0) r)(1, 2, 3, 4)",
        'f(__builtins__: "x")',
        "`\n import os`.`x`",
    ],
)
def test_no_text_of_the_user_gets_into_the_source(text: str) -> None:
    for traced in (False, True):
        generator = Generator(dialect="camunda", traced=traced)
        code = generator.module(generator.expression(parse(text, dialect="camunda")))
        for part in (
            "import",
            "class",
            "__",
            "lambda_",
            "exec",
            "eval",
            "globals",
            "\n import",
            "os",
        ):
            assert part not in code.replace("lambda ", ""), (part, code)


def test_python_builtins_are_out_of_reach() -> None:
    assert Generator().globals()["__builtins__"] == {}


@pytest.mark.parametrize(
    "name", ["print", "open", "__import__", "type", "NATIVE", "add", "v0", "k0", "r"]
)
def test_names_of_the_generated_module_are_no_variables(name: str) -> None:
    expression = compile_expression(name)
    assert expression({}) is None
    assert expression({name: "mine"}) == "mine"


def test_deep_and_long_expressions_become_several_functions() -> None:
    generator = Generator()
    code = generator.expression(parse("(" * 90 + "1" + " + a)" * 90))
    assert code.count("(") < 100
    assert generator.module("").count("def h") >= 4
    assert compile_expression("(" * 90 + "1" + " + a)" * 90)({"a": 1}) == 91
