"""What decisions answer: hit policies, boxed expressions, services, imports, types."""

from __future__ import annotations

from decimal import Decimal

import pytest
from dmn_writing import decision, dmn, input_data, knowledge_model, literal, table

from engine.decisions import DecisionModel, HitPolicyViolation, Outcome
from engine.errors import DefinitionError
from engine.feel import Value

AGE = input_data("age", "number")


def model(*elements: str, **kwargs: str) -> DecisionModel:
    return DecisionModel.load(dmn(*elements, **kwargs), name="risk.dmn")


def risk(
    rules: list[str], hit: str, output: str = "risk: string", aggregation: str = ""
) -> DecisionModel:
    """Return a model with one table over `age`."""
    logic = table(["age: number"], [output], rules, hit=hit, aggregation=aggregation)
    return model(AGE, decision("risk", logic, inputs=["age"]))


OVERLAPPING = ['>= 18 || "adult"', '>= 65 || "senior"', '< 18 || "minor"', '>= 65 || "senior"']
NUMBERS = [">= 0 || 10", ">= 18 || 30", ">= 18 || 20"]
ORDERED = 'risk: string ["senior", "minor", "adult"]'


@pytest.mark.parametrize(
    ("hit", "output", "rules", "age", "value", "rows"),
    [
        ("UNIQUE", "risk", OVERLAPPING, 20, "adult", [1]),
        ("FIRST", "risk", OVERLAPPING, 70, "adult", [1]),
        ("ANY", "risk", OVERLAPPING[1:], 70, "senior", [1, 3]),
        ("PRIORITY", ORDERED, OVERLAPPING, 70, "senior", [2, 4, 1]),
        ("RULE ORDER", "risk", OVERLAPPING, 70, ["adult", "senior", "senior"], [1, 2, 4]),
        ("OUTPUT ORDER", ORDERED, OVERLAPPING, 70, ["senior", "senior", "adult"], [2, 4, 1]),
        ("COLLECT", "risk", OVERLAPPING, 70, ["adult", "senior", "senior"], [1, 2, 4]),
        ("COLLECT SUM", "risk", NUMBERS, 20, Decimal(60), [1, 2, 3]),
        ("COLLECT MIN", "risk", NUMBERS, 20, Decimal(10), [1, 2, 3]),
        ("COLLECT MAX", "risk", NUMBERS, 20, Decimal(30), [1, 2, 3]),
        ("COLLECT COUNT", "risk", NUMBERS, 20, Decimal(3), [1, 2, 3]),
    ],
)
def test_a_hit_policy_chooses_among_the_rules_that_match(
    hit: str, output: str, rules: list[str], age: int, value: Value, rows: list[int]
) -> None:
    policy, _, aggregation = hit.partition(" ") if hit.startswith("COLLECT") else (hit, "", "")
    made = risk(rules, policy, output, aggregation)
    explanation = made.explain("risk", {"age": age})
    assert made.evaluate("risk", {"age": age}) == explanation.value == value
    assert explanation.outcome is Outcome.MATCHED
    assert [rule.row for rule in explanation.decisions[-1].rules] == rows


@pytest.mark.parametrize(
    ("hit", "rules", "message"),
    [
        ("UNIQUE", OVERLAPPING, "UNIQUE permits one rule, but rows 1, 2, 4 match"),
        ("ANY", OVERLAPPING, "ANY permits one answer, but rows 1, 2, 4 differ"),
    ],
)
def test_a_broken_hit_policy_is_reported_and_never_resolved(
    hit: str, rules: list[str], message: str
) -> None:
    made = risk(rules, hit)
    explanation = made.explain("risk", {"age": 70})
    assert (explanation.value, explanation.outcome) == (None, Outcome.VIOLATION)
    assert explanation.warnings == (f"risk: {message}",)
    with pytest.raises(HitPolicyViolation) as caught:
        made.evaluate("risk", {"age": 70})
    assert message in str(caught.value)


def test_a_broken_decision_breaks_what_depends_on_it() -> None:
    logic = table(["age: number"], ["risk: string"], OVERLAPPING, hit="UNIQUE")
    made = model(
        AGE,
        decision("risk", logic, inputs=["age"]),
        decision("fee", literal('if risk = "senior" then 1 else 2'), decisions=["risk"]),
    )
    explanation = made.explain("fee", {"age": 70})
    assert [d.outcome for d in explanation.decisions] == [Outcome.VIOLATION, Outcome.EVALUATED]
    assert explanation.outcome is Outcome.VIOLATION
    with pytest.raises(HitPolicyViolation):
        made.evaluate("fee", {"age": 70})


def test_an_answer_belongs_to_the_caller() -> None:
    made = model(AGE, decision("q", table(["age"], ["a", "b"], ["- || 1 | 2"]), inputs=["age"]))
    first = made.evaluate("q", {"age": 1})
    first["a"] = "changed"
    assert made.evaluate("q", {"age": 1}) == {"a": 1, "b": 2}


def test_no_matching_rule_is_an_outcome_of_its_own() -> None:
    made = risk(['>= 18 || "adult"'], "UNIQUE")
    explanation = made.explain("risk", {"age": 3})
    assert (explanation.value, explanation.outcome) == (None, Outcome.NO_MATCH)
    assert explanation.warnings == ("risk: no rule matches",)
    assert made.evaluate("risk", {"age": 3}) is None


def test_default_outputs_answer_when_no_rule_matches() -> None:
    made = risk(['>= 18 || "adult"'], "UNIQUE", 'risk: string [] "unknown"')
    explanation = made.explain("risk", {"age": 3})
    assert (explanation.value, explanation.outcome) == ("unknown", Outcome.DEFAULT)


def test_several_outputs_make_a_context() -> None:
    logic = table(["age: number"], ["risk: string", "fee: number"], ['- || "low" | age * 2'])
    made = model(AGE, decision("quote", logic, inputs=["age"]))
    assert made.evaluate("quote", {"age": 21}) == {"risk": "low", "fee": Decimal(42)}


@pytest.mark.parametrize(
    ("logic", "value"),
    [
        pytest.param(literal("age + 1"), Decimal(43), id="literal expression"),
        pytest.param(
            '<context><contextEntry><variable name="half of it"/>'
            + literal("age / 2")
            + "</contextEntry><contextEntry>"
            + literal("half of it + 1")
            + "</contextEntry></context>",
            Decimal(22),
            id="context with a result",
        ),
        pytest.param(
            '<context><contextEntry><variable name="a"/>' + literal("age") + "</contextEntry></context>",
            {"a": Decimal(42)},
            id="context without a result",
        ),
        pytest.param(
            f"<list>{literal('age')}{literal('2')}</list>", [Decimal(42), Decimal(2)], id="list"
        ),
        pytest.param(
            f'<relation><column name="n"/><column name="m"/><row>{literal("1")}{literal("age")}</row></relation>',
            [{"n": Decimal(1), "m": Decimal(42)}],
            id="relation",
        ),
        pytest.param(
            f"<conditional><if>{literal('age > 40')}</if><then>{literal('1')}</then>"
            f"<else>{literal('2')}</else></conditional>",
            Decimal(1),
            id="conditional",
        ),
        pytest.param(
            f'<for iteratorVariable="n"><in>{literal("[1, 2]")}</in><return>{literal("n * age")}</return></for>',
            [Decimal(42), Decimal(84)],
            id="for",
        ),
        pytest.param(
            f'<some iteratorVariable="n"><in>{literal("[1, 99]")}</in><satisfies>{literal("n > age")}</satisfies></some>',
            True,
            id="some",
        ),
        pytest.param(
            f'<every iteratorVariable="n"><in>{literal("[1, 99]")}</in><satisfies>{literal("n > age")}</satisfies></every>',
            False,
            id="every",
        ),
        pytest.param(
            f"<filter><in>{literal('[1, 50, 99]')}</in><match>{literal('item > age')}</match></filter>",
            [Decimal(50), Decimal(99)],
            id="filter",
        ),
        pytest.param(
            f'<invocation>{literal("twice")}<binding><parameter name="n"/>{literal("age")}</binding></invocation>',
            Decimal(84),
            id="invocation",
        ),
        pytest.param(
            '<context><contextEntry><variable name="f"/><functionDefinition><formalParameter name="n"/>'
            + literal("n + age")
            + "</functionDefinition></contextEntry><contextEntry>"
            + literal("f(1)")
            + "</contextEntry></context>",
            Decimal(43),
            id="function definition",
        ),
    ],
)  # fmt: skip
def test_every_boxed_expression_is_evaluated(logic: str, value: Value) -> None:
    made = model(
        AGE,
        knowledge_model("twice", ["n"], literal("n * 2")),
        decision("answer", logic, inputs=["age"], knowledge=["twice"]),
    )
    assert made.evaluate("answer", {"age": 42}) == value
    assert made.explain("answer", {"age": 42}).value == value


CHAIN = (
    AGE,
    decision("older", literal("age + 1"), inputs=["age"], type_ref="number"),
    decision("oldest", literal("older * 10"), decisions=["older"]),
)


def test_required_decisions_are_evaluated_first_and_recorded() -> None:
    made = model(*CHAIN)
    explanation = made.explain("oldest", {"age": 4})
    assert made.evaluate("oldest", {"age": 4}) == Decimal(50)
    assert [(d.id, d.inputs, d.value) for d in explanation.decisions] == [
        ("older", {"age": 4}, Decimal(5)),
        ("oldest", {"older": Decimal(5)}, Decimal(50)),
    ]


def test_a_decision_sees_only_what_it_requires() -> None:
    made = model(*CHAIN, decision("blind", literal("age"), decisions=["older"]))
    explanation = made.explain("blind", {"age": 4})
    assert explanation.value is None
    assert "age" in explanation.warnings[-1]


def test_a_service_takes_inputs_first_and_then_decisions() -> None:
    service = (
        '<decisionService id="s" name="s"><outputDecision href="#oldest"/>'
        '<inputDecision href="#older"/></decisionService>'
    )
    made = model(*CHAIN, service, decision("asks", literal("s(7)"), knowledge=["s"]))
    assert made.evaluate_service("s", {"older": 3}) == Decimal(30)
    assert made.evaluate("asks", {}) == Decimal(70)


def test_an_import_brings_names_under_its_own() -> None:
    other = dmn(
        '<itemDefinition name="tAge"><typeRef>number</typeRef></itemDefinition>',
        knowledge_model("double it", ["n"], literal("n * 2")),
        namespace="urn:other",
    )
    href = "urn:other#double it"
    main = dmn(
        '<import name="maths" namespace="urn:other" importType="https://www.omg.org/spec/DMN/20230324/MODEL/"/>',
        input_data("age", "maths.tAge"),
        decision("answer", literal("maths.double it(age)"), inputs=["age"], knowledge=[href]),
    )
    assert DecisionModel.load(main, imports=[other]).evaluate("answer", {"age": 4}) == Decimal(8)


def test_inputs_are_coerced_to_their_type() -> None:
    made = model(AGE, decision("answer", literal("age"), inputs=["age"]))
    assert made.evaluate("answer", {"age": [4]}) == Decimal(4)
    explanation = made.explain("answer", {"age": "four"})
    assert explanation.value is None
    assert "age" in explanation.warnings[0]


def test_values_outside_the_allowed_ones_become_null() -> None:
    made = model(
        '<itemDefinition name="tGrade"><typeRef>string</typeRef>'
        '<allowedValues><text>"a", "b"</text></allowedValues></itemDefinition>',
        input_data("grade", "tGrade"),
        decision("answer", literal("grade"), inputs=["grade"]),
    )
    assert made.evaluate("answer", {"grade": "a"}) == "a"
    assert made.evaluate("answer", {"grade": "c"}) is None


def test_dates_may_come_as_text() -> None:
    made = model(input_data("day", "date"), decision("answer", literal("day.year"), inputs=["day"]))
    assert made.evaluate("answer", {"day": "2024-02-29"}) == Decimal(2024)


def test_an_unknown_decision_is_named_with_those_there_are() -> None:
    with pytest.raises(DefinitionError) as caught:
        model(*CHAIN).evaluate("eldest", {})
    assert str(caught.value) == (
        "risk.dmn: expected one of the decisions older, oldest, but got 'eldest'. Did you mean oldest?"
    )


def test_an_expression_that_is_no_feel_is_refused_at_load() -> None:
    with pytest.raises(DefinitionError) as caught:
        model(AGE, decision("answer", literal("age +"), inputs=["age"]))
    assert str(caught.value).startswith("risk.dmn:3")


def test_a_broken_expression_spoils_only_its_decision_when_loading_is_not_strict() -> None:
    content = dmn(decision("broken", literal("1 +")), decision("sound", literal("1")))
    made = DecisionModel.load(content, strict=False)
    assert made.evaluate("sound", {}) == Decimal(1)
    with pytest.raises(DefinitionError):
        made.evaluate("broken", {})


def test_the_inputs_of_camunda_files_need_no_input_data() -> None:
    logic = table(["age"], ["risk"], ['>= 18 || "adult"'])
    made = model(decision("risk", logic), attributes='exporter="Camunda Modeler"')
    assert made.evaluate("risk", {"age": 20}) == "adult"


def test_the_record_is_plain_json() -> None:
    record = risk(OVERLAPPING, "UNIQUE").explain("risk", {"age": 20}).to_json()
    assert record == {
        "decision": "risk",
        "value": "adult",
        "outcome": "matched",
        "decisions": [
            {
                "id": "risk",
                "name": "risk",
                "kind": "decision table",
                "hit_policy": "UNIQUE",
                "inputs": {"age": 20},
                "rules": [{"id": "r1", "row": 1, "annotations": [], "outputs": {"risk": "adult"}}],
                "value": "adult",
                "outcome": "matched",
                "warnings": [],
            }
        ],
        "warnings": [],
    }
