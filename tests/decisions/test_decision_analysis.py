"""What the lint reports, one row for each mistake."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from dmn_writing import decision, dmn, input_data, knowledge_model, literal, table

from engine.cli.finding_forms import as_github, as_json, as_sarif, as_text
from engine.decisions import DecisionModel, analyse
from engine.decisions.findings import RULES

AGE, KIND = input_data("age", "number"), input_data("kind", "string")


def told(logic: str, *more: str, attributes: str = "", type_ref: str = "") -> list[str]:
    """Return `severity rule: message hint` for a decision `risk` over age and kind."""
    made = decision("risk", logic, inputs=["age", "kind"], type_ref=type_ref)
    content = dmn(AGE, KIND, made, *more, attributes=attributes)
    model = DecisionModel.load(content, strict=False, name="risk.dmn")
    return [
        f"{f.severity} {f.rule}: {f.message} {f.hint}".strip()
        for f in analyse(model)
        if f.rule != "unused"
    ]


def over_age(
    rules: list[str], hit: str = "FIRST", output: str = "risk: string", **kwargs: str
) -> str:
    return table(["age: number"], [output], rules, hit=hit, **kwargs)


@pytest.mark.parametrize(
    ("logic", "findings"),
    [
        pytest.param(over_age(['>= 18 || "a"', '- || "b"']), [], id="nothing"),
        pytest.param(
            over_age(['>= 18 || "a"', '< 17 || "b"'], "UNIQUE"),
            ["warning gap: risk: no row matches age = 17"],
            id="gap",
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '<= 18 || "b"'], "UNIQUE"),
            ["error overlap: risk: rows 1 and 2 both match for age = 18"],
            id="overlap under UNIQUE",
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '<= 18 || "b"'], "ANY"),
            ["error different-answers: risk: rows 1 and 2 answer differently for age = 18"],
            id="overlap under ANY with other answers",
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '<= 18 || "a"'], "ANY"), [], id="overlap under ANY, same answer"
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '>= 21 || "b"', '- || "c"']),
            ["warning unreachable: risk: row 2: wherever it holds, row 1 matches first Move it up, or remove it."],
            id="row behind a wider one",
        ),
        pytest.param(
            over_age(['<= 10 || "a"', '> 10 || "b"', '[5..15] || "c"']),
            ["warning unreachable: risk: row 3: wherever it holds, rows 1, 2 match first Move it up, or remove it."],
            id="row behind two that cover it together",
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '>= 18 || "b"', '- || "c"']),
            ["warning duplicate: risk: rows 1 and 2 have the same conditions and another answer Remove one of them."],
            id="the same conditions twice",
        ),
        pytest.param(
            over_age(['>= 18 || "low"', '>= 65 || "high"', '>= 70 || "low"', '- || "low"'], "PRIORITY", 'risk: string ["high", "low"]'),
            ["warning masked: risk: row 3: row 2 always matches too, and its output has the higher priority"],
            id="row that is always outranked",
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '- || "b"'], "PRIORITY"),
            ["error priority: risk: PRIORITY needs the allowed output values in order of priority Add output values to at least one output column."],
            id="priority without values",
        ),
        pytest.param(
            over_age(['>= 18 || "a"', '- || "b"'], "COLLECT", aggregation="SUM"),
            ["error aggregator: risk: SUM cannot fold the outputs of rows 1, 2"],
            id="sum of text",
        ),
        pytest.param(
            over_age(['- || "a"'], "FIRST", aggregation="SUM"),
            ["error aggregator: expected hit policy COLLECT with aggregation SUM, but got FIRST"],
            id="sum without COLLECT",
        ),
        pytest.param(
            table(["age: number"], ["a", "b"], ["- || 1 | 2"], hit="COLLECT", aggregation="MIN"),
            ["error aggregator: expected one output column to aggregate, but got 2"],
            id="minimum of two columns",
        ),
        pytest.param(
            over_age(['"18" || "a"', '- || "b"']),
            ['error type: risk: row 1: "18" is a string, but the column holds a number Remove the quotes.'],
            id="text in a column of numbers",
        ),
        pytest.param(
            over_age(['>= 18 || 5', '- || "b"']),
            ["error type: risk: row 1: 5 is a number, but risk is a string"],
            id="number in an output of text",
        ),
        pytest.param(
            table(["kind: string"], ["o"], ["vip || 1", "- || 2"], hit="FIRST"),
            ['error unquoted-text: risk: row 1: vip is not in scope, so it is null Write "vip" in quotes.'],
            id="word without quotes",
        ),
        pytest.param(
            table(["kind: string"], ["o"], ["agee || 1", "- || 2"], hit="FIRST"),
            ['error unquoted-text: risk: row 1: agee is not in scope, so it is null Write "agee" in quotes. Did you mean age?'],
            id="misspelt variable",
        ),
        pytest.param(
            table(["kind: string"], ["o"], ['"a" || vip', "- || 2"], hit="FIRST"),
            ['error unquoted-text: risk: row 1: vip is not in scope, so it is null Write "vip" in quotes.'],
            id="output without quotes",
        ),
        pytest.param(
            table(['kind: string ["a", "b"]'], ["o"], ['"c" || 1', "- || 2"], hit="FIRST"),
            [
                'error not-allowed: risk: row 1: "c" is none of the allowed values of the column',
                "warning unreachable: risk: row 1: no value that can occur matches it",
            ],
            id="input that is not allowed",
        ),
        pytest.param(
            over_age(['>= 18 || "x"', '- || "a"'], "FIRST", 'risk: string ["a", "b"]'),
            ['error not-allowed: risk: row 1: "x" is none of the allowed values of risk'],
            id="output that is not allowed",
        ),
        pytest.param(
            over_age(['[20..10] || "a"', '- || "b"']),
            [
                "error empty-range: risk: row 1: [20..10] holds no value Write the smaller end first.",
                "warning unreachable: risk: row 1: no value that can occur matches it",
            ],
            id="range the wrong way round",
        ),
        pytest.param(
            over_age(['>= 18 || "a"']),
            [
                'warning catch-all: risk: row 1: the last row does not catch what the others leave Add a row of "-" at the end.',
                "warning gap: risk: no row matches age = 17",
            ],
            id="no catch-all",
        ),
        pytest.param(over_age(['>= 18 || "a"', '< 18 || "b"']), [], id="nothing is left to catch"),
        pytest.param(
            over_age(['>= 18 || "a"'], "UNIQUE", 'risk: string [] "b"'), [], id="a default catches"
        ),
        pytest.param(
            over_age(['odd(?) || "a"', '< 3 || "b"'], "UNIQUE"),
            [
                "info not-proven: risk: whether a gap remains depends on row 1: not all cells are constant",
                "info not-proven: risk: rows 1, 2 may overlap: some of their cells are not constant",
            ],
            id="cells that are not constant",
        ),
        pytest.param(
            literal("agee + 1"),
            ["error unknown-name: risk: agee is not in scope in agee + 1, so it is null Did you mean age?"],
            id="misspelt name in an expression",
        ),
        pytest.param(
            literal("for x in [age] return x + partial[-1]"), [], id="names that an expression defines"
        ),
        pytest.param(literal("[{a: 1}][a = 1]"), [], id="names of entries in a filter"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_once_and_in_plain_words(logic: str, findings: list[str]) -> None:
    assert told(logic) == findings


def test_words_without_quotes_that_are_no_feel_get_the_same_advice() -> None:
    (finding,) = told(table(["kind: string"], ["o"], ["very high || 1", "- || 2"], hit="FIRST"))
    assert finding.startswith("error syntax: line 1, column")
    assert finding.endswith('If this is text, write "very high" in quotes.')


def test_in_camunda_a_word_may_be_a_process_variable() -> None:
    logic = table(["kind"], ["o"], ["vip || 1", "- || 2"], hit="FIRST")
    assert told(logic, attributes='exporter="Camunda Modeler"') == [
        'warning unquoted-text: risk: row 1: vip is not in scope, so it is null Write "vip" in quotes.'
    ]


def test_knowledge_models_are_looked_at_too() -> None:
    model = DecisionModel.load(dmn(knowledge_model("f", ["n"], literal("n + m"))))
    assert [f.message for f in analyse(model)] == ["f: m is not in scope in n + m, so it is null"]


def test_a_table_that_is_too_large_is_not_proven_and_does_not_hang() -> None:
    names, chosen = [f"x{n}" for n in range(8)], random.Random(1)
    ends = [[chosen.randrange(60) for _ in names] for _ in range(120)]
    rules = [" | ".join(f"[{end}..{end + 40}]" for end in row) + " || 1" for row in ends]
    logic = table([f"{n}: number" for n in names], ["o"], rules, hit="COLLECT")
    content = dmn(*(input_data(n, "number") for n in names), decision("d", logic, inputs=names))
    found = [f for f in analyse(DecisionModel.load(content)) if f.rule == "not-proven"]
    assert [f.message for f in found] == ["d: the table is too large to prove that it has no gap"]


BAD = dmn(
    AGE,
    KIND,
    decision("risk", over_age(['>= 18 || "a"', '<= 18 || "b"'], "UNIQUE"), inputs=["age"]),
)


def test_findings_are_written_in_four_forms() -> None:
    found = analyse(DecisionModel.load(BAD, name="a, b/risk.dmn"))
    line = found[0].line
    message = "risk: rows 1 and 2 both match for age = 18"
    assert as_text(found, ["a, b/risk.dmn"]).splitlines() == [
        f"a, b/risk.dmn:{line}: error: {message} [overlap]",
        "1 file checked: 1 error",
    ]
    assert list(as_github(found)) == [
        f"::error file=a%2C b/risk.dmn,line={line},title=overlap::{message}."
    ]
    assert as_json(found, ["a, b/risk.dmn"])["findings"] == [
        {
            "file": "a, b/risk.dmn",
            "line": line,
            "severity": "error",
            "rule": "overlap",
            "element": "r2",
            "decision": "risk",
            "rows": (1, 2),
            "witness": {"age": 18},
            "message": message,
            "hint": "",
        }
    ]
    (run,) = as_sarif(found, "engine decision lint", RULES)["runs"]  # type: ignore[misc]  # plain JSON
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": line}
    json.dumps(run)


def test_every_rule_has_a_line_in_the_reference() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/decisions.md").read_text()
    assert [rule for rule in RULES if f"`{rule}`" not in text] == []
