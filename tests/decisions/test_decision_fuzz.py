"""No file, expression or input makes anything but a value or an error that says what to do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dmn_writing import decision, dmn, input_data, knowledge_model, literal, table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.decisions import DecisionModel, HitPolicyViolation, analyse
from engine.decisions.cases import Suite, read_cases
from engine.decisions.render import render
from engine.errors import DefinitionError
from engine.feel import FeelError
from tests.depth import examples

SHIPPED = sorted((Path(__file__).parents[2] / "decisions").glob("*.dmn"))

#: Every kind of boxed expression once.
EVERYTHING = dmn(
    '<itemDefinition name="tGrade"><typeRef>string</typeRef><allowedValues><text>"a", "b"</text>'
    '</allowedValues></itemDefinition><itemDefinition name="tGrades" isCollection="true">'
    "<typeRef>tGrade</typeRef></itemDefinition>",
    input_data("x", "number"),
    input_data("y", "tGrades"),
    knowledge_model("f", ["n"], literal("if n > 3 then 3 else f(n + 1)"), ["f"]),
    decision("t", table(["x: number", "y"], ["o: string", "p"], ['> 1 | - || "a" | x', "- | null || y[1] | 2"], hit="RULE ORDER"), inputs=["x", "y"]),
    decision("c", '<context><contextEntry><variable name="k"/>' + literal("x + 1") + "</contextEntry></context>", inputs=["x"]),
    decision("l", f'<list>{literal("x")}<relation><column name="q"/><row>{literal("x")}</row></relation></list>', inputs=["x"]),
    decision("i", f'<invocation>{literal("f")}<binding><parameter name="n"/>{literal("x")}</binding></invocation>', inputs=["x"], knowledge=["f"]),
    decision("s", f'<some iteratorVariable="n"><in>{literal("y")}</in><satisfies>{literal("n = x")}</satisfies></some>', inputs=["x", "y"]),
    decision("r", f'<filter><in>{literal("y")}</in><match>{literal("item = x")}</match></filter>', inputs=["x", "y"]),
    decision("u", f'<for iteratorVariable="n"><in>{literal("y")}</in><return>{literal("n")}</return></for>', inputs=["y"]),
    decision("v", f"<conditional><if>{literal('x > 1')}</if><then>{literal('t')}</then><else>{literal('c')}</else></conditional>", inputs=["x"], decisions=["t", "c"]),
    '<decisionService id="z" name="z"><outputDecision href="#v"/><inputDecision href="#t"/><inputData href="#in_x"/></decisionService>',
)  # fmt: skip
MODEL = DecisionModel.load(EVERYTHING)
ERRORS = (DefinitionError, FeelError, HitPolicyViolation)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["a", "2024-01-01", 1.5, Decimal("1E+6000"), (1, 2)]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def use(content: bytes, inputs: dict[str, Any], **options: Any) -> None:
    """Do everything that can be done with a file; only errors that are meant for people may come out."""
    try:
        model = DecisionModel.load(content, **options)
        analyse(model)
        render(model.definitions)
    except ERRORS:
        return
    ask_all(model, inputs)


def ask_all(model: DecisionModel, inputs: dict[str, Any]) -> None:
    for name in model.decision_ids:
        for ask in (model.evaluate, lambda *given: model.explain(*given).to_json()):
            try:
                ask(name, inputs)
            except ERRORS:
                continue


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({"x": json_values, "y": json_values, "t": json_values}))
def test_any_inputs(inputs: dict[str, Any]) -> None:
    ask_all(MODEL, inputs)
    try:
        MODEL.evaluate_service("z", inputs)
    except ERRORS:
        return


#: Pieces of FEEL, right and wrong, to be strung together.
pieces = st.sampled_from(
    ["x", "y", "1", '"a"', "-", "not(", ")", "[", "]", "..", ",", ">", "<=", "=", "null", "true", "?",
     "f(", "for i in ", "return ", "if ", "then ", "else ", "{a: ", "}", "+", "**", "1e9", '@"', "date(", "in ",
     "some i in ", "satisfies ", "é", "\\", "\x00", "function(a) ", "x.y", "item", "instance of ", "tGrade"]
)  # fmt: skip


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(pieces, max_size=8).map(" ".join),
    json_values,
    st.booleans(),
    st.sampled_from(["dmn", "camunda"]),
)
def test_any_expression_anywhere(text: str, value: Any, strict: bool, dialect: str) -> None:
    text = "".join(c for c in text if c.isprintable())
    content = dmn(
        input_data("x"),
        decision("e", literal(text), inputs=["x"]),
        decision("c", table([text or "x"], ["o"], [f"{text} || 1", f"- || {text or 2}"], hit="FIRST"), inputs=["x"]),
    )  # fmt: skip
    use(content, {"x": value}, strict=strict, dialect=dialect)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_to_a_file(data: st.DataObject) -> None:
    content = bytearray(
        data.draw(st.sampled_from([EVERYTHING, *(f.read_bytes() for f in SHIPPED)]))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        stop = min(len(content), start + data.draw(st.integers(0, 60)))
        put = data.draw(st.sampled_from([b"", b"<", b">", b'"', b"&", b"\x00", b"\xff", b"list", b"<text/>", bytes(content[start:stop]) * 2]))  # fmt: skip
        content[start:stop] = put
    use(bytes(content), {"x": 1, "tags": ["a"]}, strict=data.draw(st.booleans()))


@settings(max_examples=examples(300), deadline=None)
@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(str.encode)
    | st.lists(st.sampled_from(["cases:", "\n", "- ", "  ", "name: a", "inputs: {x: 1}", "expect: ", "!!python/object:os.system", "&a ", "*a", "[", "{", "2024-01-01", ".inf", "rules: [1]"]), max_size=12).map("".join).map(str.encode)
)  # fmt: skip
def test_any_file_of_cases(content: bytes) -> None:
    try:
        assert isinstance(read_cases(content, "cases.yaml"), Suite)
    except DefinitionError:
        return


@pytest.mark.parametrize(
    "text",
    ["9 ** 9 ** 9", "for i in 1..1000000000 return i", "f(0)", "[" * 90 + "]" * 90, "1" * 5000],
)
def test_hostile_expressions_end_soon(text: str) -> None:
    endless = knowledge_model("f", ["n"], literal("f(n + 1)"), ["f"])
    use(dmn(endless, decision("d", literal(text), knowledge=["f"])), {}, strict=False)
