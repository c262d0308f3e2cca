"""What the reader accepts, and how it refuses."""

from __future__ import annotations

import pytest
from dmn_writing import decision, dmn, input_data, knowledge_model, literal, table

from engine.decisions import DecisionModel
from engine.decisions.graph import link
from engine.decisions.model import HitPolicy
from engine.decisions.reader import MAX_NESTING, VERSIONS, read
from engine.errors import DefinitionError


def refused(*elements: str, **kwargs: str) -> str:
    """Return the sentence with which a file of these elements is refused."""
    with pytest.raises(DefinitionError) as caught:
        link(read(dmn(*elements, **kwargs), "risk.dmn"))
    return str(caught.value)


@pytest.mark.parametrize(("ns", "version"), VERSIONS.items())
def test_every_version_of_dmn_is_read(ns: str, version: str) -> None:
    file = read(dmn(decision("risk", literal("1")), ns=ns))
    assert (file.version, [d.name for d in file.decisions]) == (version, ["risk"])


def test_elements_carry_their_lines() -> None:
    file = read(dmn(input_data("age"), decision("risk", literal("age"), inputs=["age"])))
    assert [(e.name, e.line) for e in file.elements()] == [("age", 2), ("risk", 3)]


def test_a_table_is_read_as_written() -> None:
    text = table(["age: number [[0..120]]"], ["risk: string"], ['>= 65 || "high"'], hit="FIRST")
    logic = read(dmn(decision("risk", text))).decisions[0].logic
    assert logic is not None
    assert logic.hit_policy is HitPolicy.FIRST  # type: ignore[union-attr]  # a table
    rule = logic.rules[0]  # type: ignore[union-attr]  # a table
    assert ([c.text for c in rule.inputs], [c.text for c in rule.outputs]) == (
        [">= 65"],
        ['"high"'],
    )


def test_types_of_dmn_11_lose_their_prefix() -> None:
    file = read(
        dmn(
            input_data("age", "feel:number"),
            ns="http://www.omg.org/spec/DMN/20151101/dmn.xsd",
            attributes='xmlns:feel="http://www.omg.org/spec/FEEL/20140401"',
        )
    )
    assert file.inputs[0].variable.type_ref == "number"


@pytest.mark.parametrize(
    ("attributes", "dialect"),
    [
        ("", "dmn"),
        ('exporter="Camunda Modeler" exporterVersion="5.30"', "camunda"),
        ('exporter="dmn-js (https://demo.bpmn.io/dmn)"', "camunda"),
        ('xmlns:modeler="http://camunda.org/schema/modeler/1.0"', "camunda"),
        ('exporter="DMN Modeler"', "dmn"),
    ],
)
def test_the_dialect_is_that_of_the_tool_that_wrote_the_file(attributes: str, dialect: str) -> None:
    assert read(dmn(attributes=attributes)).dialect == dialect


def test_a_given_dialect_wins() -> None:
    assert read(dmn(attributes='exporter="Camunda Modeler"'), dialect="dmn").dialect == "dmn"


BOMB = b"""<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">
]><definitions xmlns="https://www.omg.org/spec/DMN/20230324/MODEL/" name="&c;"/>"""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "expected well-formed XML", id="nothing"),
        pytest.param(b"\xff\xfe\x00", "expected well-formed XML", id="noise"),
        pytest.param(b"<a><b></a>", "risk.dmn:1: expected well-formed XML", id="torn XML"),
        pytest.param(b"<html/>", "expected <definitions> of DMN 1.1 to 1.5", id="another format"),
        pytest.param(
            b'<definitions xmlns="urn:dmn-9"/>',
            "<definitions> in 'urn:dmn-9'",
            id="another version",
        ),
        pytest.param(BOMB, "a DOCTYPE", id="entity bomb"),
        pytest.param(
            b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><d/>',
            "a DOCTYPE",
            id="external document type",
        ),
        pytest.param(b"<a>" * 250 + b"</a>" * 250, "at most 200 elements", id="deep XML"),
        pytest.param(b"<a>" * 5000 + b"</a>" * 5000, "well-formed XML", id="very deep XML"),
    ],
)
def test_a_file_that_is_no_dmn_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read(content, "risk.dmn")
    assert message in str(caught.value)


def nested(depth: int) -> str:
    return "<list>" * depth + literal("1") + "</list>" * depth


def test_boxed_expressions_may_nest_only_so_deep() -> None:
    assert "at most 40 boxed expressions" in refused(decision("risk", nested(MAX_NESTING)))
    assert read(dmn(decision("risk", nested(MAX_NESTING - 1))))


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        pytest.param(
            [decision("risk", table([], ["o"], ["|| 1"], hit="BEST"))],
            "risk.dmn:2 (table): expected hit policy UNIQUE, FIRST, PRIORITY, ANY, COLLECT, RULE ORDER, "
            "OUTPUT ORDER, but got 'BEST'",
            id="unknown hit policy",
        ),
        pytest.param(
            [decision("risk", table([], ["o"], ["|| 1"], hit="COLLECT", aggregation="AVG"))],
            "risk.dmn:2 (table): expected aggregation SUM, COUNT, MIN or MAX, but got 'AVG'",
            id="unknown aggregator",
        ),
        pytest.param(
            [decision("risk", table(["a", "b"], ["o"], ["1 || 2"]))],
            "risk.dmn:2 (r1): expected 2 <inputEntry>, but got 1",
            id="row with too few cells",
        ),
        pytest.param(
            [decision("risk", table(["a"], [], ["1"]))],
            "risk.dmn:2 (table): expected at least one output column, but got none",
            id="table without output",
        ),
        pytest.param(
            [decision("risk", table(["a"], ["o", "o"], ["1 || 2 | 3"]))],
            "risk.dmn:2 (table): expected a different name on every output column, but got ['o', 'o']",
            id="outputs with one name",
        ),
        pytest.param(
            [decision("risk", literal("1") + literal("2"))],
            "risk.dmn:2 (risk): expected one boxed expression, but got a second one, <literalExpression>",
            id="two logics",
        ),
        pytest.param(
            [decision("risk", "<magic/>")],
            "risk.dmn:2 (risk): expected a boxed expression of DMN 1.5, but got <magic>",
            id="unknown expression",
        ),
        pytest.param(
            ["<oracle/>"],
            "risk.dmn:2 (file): expected an element of DMN 1.5, but got <oracle>",
            id="unknown element",
        ),
        pytest.param(
            ['<decision id="x"/>'],
            "risk.dmn:2 (x): expected attribute 'name', but got none",
            id="decision without a name",
        ),
        pytest.param(
            [decision("risk", '<literalExpression expressionLanguage="groovy"><text>1</text></literalExpression>')],
            "risk.dmn:2 (risk): expected expressions in FEEL, but got 'groovy'",
            id="another language",
        ),
        pytest.param(
            [decision("risk", literal("1")), decision("risk", literal("2"))],
            "risk.dmn:3: expected a unique id, but got 'risk' a second time",
            id="an id twice",
        ),
        pytest.param(
            [decision("risk", literal("1")), '<inputData id="i" name="risk"/>'],
            "risk.dmn:3: expected a unique name, but got 'risk' a second time",
            id="a name twice",
        ),
        pytest.param(
            [decision("risk", literal("age"), inputs=["age"])],
            "risk.dmn:2 (risk): expected an input with id '#in_age', but got no such element",
            id="requirement that leads nowhere",
        ),
        pytest.param(
            [decision("risk", literal("1"), decisions=["#in_age"]), input_data("age")],
            "risk.dmn:2 (risk): expected a decision with id '#in_age', but got InputElement 'age'",
            id="requirement of the wrong kind",
        ),
        pytest.param(
            [decision("a", literal("b"), decisions=["b"]), decision("b", literal("c"), decisions=["c"]),
             decision("c", literal("b"), decisions=["b"])],
            "risk.dmn:3 (b): expected requirements without a cycle, but got b → c → b",
            id="cycle",
        ),
        pytest.param(
            [decision("a", literal("s()"), knowledge=["s"]),
             '<decisionService id="s" name="s"><outputDecision href="#a"/></decisionService>'],
            "risk.dmn:2 (a): expected requirements without a cycle, but got a → s → a",
            id="cycle through a service",
        ),
        pytest.param(
            ['<import name="other" namespace="urn:other" importType="https://www.omg.org/spec/DMN/20230324/MODEL/"/>'],
            "risk.dmn:2: expected a file with namespace 'urn:other' (import 'other'), but got none. "
            "Give it as an import.",
            id="import that was not given",
        ),
        pytest.param(
            ['<import name="other" namespace="urn:other" importType="http://www.dmg.org/PMML-4_1"/>'],
            "risk.dmn:2: expected an import of DMN, but got import type 'http://www.dmg.org/PMML-4_1'",
            id="import of another kind",
        ),
    ],
)  # fmt: skip
def test_a_wrong_model_is_refused_with_place_and_reason(elements: list[str], sentence: str) -> None:
    assert refused(*elements) == sentence


def test_a_type_that_is_only_a_name_for_itself_is_refused() -> None:
    types = [
        f'<itemDefinition name="{a}"><typeRef>{b}</typeRef></itemDefinition>'
        for a, b in ("xy", "yx")
    ]
    with pytest.raises(DefinitionError) as caught:
        DecisionModel.load(dmn(*types), name="risk.dmn")
    assert str(caught.value) == (
        "risk.dmn:2: expected a type that does not refer to itself, but got x → y → x"
    )


def test_knowledge_models_may_call_themselves() -> None:
    factorial = knowledge_model("f", ["n"], literal("if n = 0 then 1 else n * f(n - 1)"), ["f"])
    assert link(read(dmn(factorial)))


def test_a_long_chain_of_decisions_is_ordered_without_recursion() -> None:
    chain = [decision("d0", literal("1"))]
    chain += [
        decision(f"d{n}", literal(f"d{n - 1}"), decisions=[f"d{n - 1}"]) for n in range(1, 5000)
    ]
    graph = link(read(dmn(*reversed(chain))))
    (asked,) = graph.find("d4999")
    assert [n.element.name for n in graph.order([asked.key])] == [f"d{n}" for n in range(5000)]


def test_what_is_given_and_what_only_it_needs_is_not_evaluated() -> None:
    graph = link(
        read(
            dmn(
                decision("low", literal("1")),
                decision("given", literal("low"), decisions=["low"]),
                decision("top", literal("given"), decisions=["given"]),
            )
        )
    )
    (top,), (given,) = graph.find("top"), graph.find("given")
    assert [n.element.name for n in graph.order([top.key], frozenset({given.key}))] == ["top"]
