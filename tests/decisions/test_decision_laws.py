"""What holds for every table: both ways of matching agree, and the analysis says what evaluation shows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import combinations, product
from typing import Any

import pytest
from dmn_writing import decision, dmn, input_data, table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.decisions import DecisionModel, Finding, HitPolicyViolation, analyse
from engine.decisions.coverage import positions, value_at
from engine.decisions.tables import DecisionRun, Table
from engine.feel import Date
from tests.depth import examples

WORDS = ["a", "b", "c"]
NUMBERS = ["1", "2", "3.5", "-1"]
DAYS = ['date("2024-01-01")', 'date("2024-02-29")', '@"2025-01-01"']


def constant_cells(constants: list[str], ordered: bool) -> st.SearchStrategy[str]:
    """Return constant cells over some constants."""
    constant = st.sampled_from(constants)
    simple = [constant]
    if ordered:
        interval = st.builds(
            lambda o, ends, c: f"{o}{ends[0]}..{ends[1]}{c}",
            st.sampled_from("[(]"),
            st.tuples(constant, constant).map(lambda pair: sorted(pair, key=constants.index)),
            st.sampled_from("])["),
        )
        simple += [
            st.builds(lambda o, c: f"{o} {c}", st.sampled_from(["<", "<=", ">", ">="]), constant),
            interval,
        ]
    tests = st.lists(st.one_of(simple), min_size=1, max_size=3).map(", ".join)
    return st.one_of(st.just("-"), tests, constant.map(lambda c: f"not({c})"))


COLUMNS: dict[str, st.SearchStrategy[str]] = {
    "string": constant_cells([f'"{w}"' for w in WORDS], ordered=False),
    "number": constant_cells(sorted(NUMBERS, key=float), ordered=True),
    "boolean": st.sampled_from(["true", "false", "-", "not(true)", "true, false"]),
    "date": constant_cells(DAYS, ordered=True),
}
OPEN_CELLS: dict[str, st.SearchStrategy[str]] = {
    "string": st.sampled_from(["string length(?) > 1", "x1", "null", "not(null)", '"a", null']),
    "number": st.sampled_from(["> x0", "? * 2 > 4", "null", "not(null)", "[1..x0]", '"a"', "!= 2"]),
    "boolean": st.sampled_from(["x0", "null", "?", "not(?)"]),
    "date": st.sampled_from(["?.year = 2024", "null", "x0"]),
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([*WORDS, "", "zz"]),
    st.integers(-2, 5),
    st.sampled_from([Decimal(n) for n in ("1", "2", "3.5", "-1", "0.1", "1E+3")]),
    st.sampled_from([Date(2024, 1, 1), Date(2024, 2, 29), Date(2030, 1, 1)]),
    st.lists(st.sampled_from(["a", 1, None]), max_size=2),
    st.just({"a": 1}),
)


@st.composite
def written_tables(
    draw: st.DrawFn, hits: list[str], constant: bool, typed: bool = True
) -> tuple[list[str], bytes]:
    """Return the types of the columns, and a model with one table over inputs x0, x1, …"""
    types = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=3))
    count = draw(st.integers(1, 5))
    rules = []
    for number in range(count):
        cells = [draw(COLUMNS[t] if constant else COLUMNS[t] | OPEN_CELLS[t]) for t in types]
        rules.append(" | ".join(cells) + f' || "{draw(st.sampled_from(WORDS))}" | {number % 2}')
    hit = draw(st.sampled_from(hits))
    names = [f"x{n}" for n in range(len(types))]
    declared = types if typed else [""] * len(types)
    logic = table(
        [f"{n}: {t}" for n, t in zip(names, declared, strict=True)],
        ['word: string ["a", "b", "c"]', "number: number"],
        rules,
        hit=hit,
    )
    inputs = [input_data(n, t) for n, t in zip(names, declared, strict=True)]
    return types, dmn(*inputs, decision("answer", logic, inputs=names, type_ref="Any"))


ALL = ["UNIQUE", "FIRST", "ANY", "PRIORITY", "COLLECT", "RULE ORDER", "OUTPUT ORDER"]


def table_of(model: DecisionModel) -> Table:
    (step,) = (s for s in model.decision("answer").plan.steps if s.node.element.name == "answer")
    logic = step.logic  # type: ignore[union-attr]  # the step of a decision
    assert isinstance(logic, Table)
    return logic


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except HitPolicyViolation as error:
        return str(error)


@pytest.mark.parametrize("dialect", ["dmn", "camunda"])
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=written_tables(ALL, constant=False, typed=False), points=st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=6))  # fmt: skip
def test_the_quick_match_is_the_plain_one(
    dialect: Any, made: tuple[list[str], bytes], points: list[list[Any]]
) -> None:
    types, content = made
    model = DecisionModel.load(content, dialect=dialect)
    found = table_of(model)
    for point in points:
        values = point[: len(types)]
        scope = {f"x{n}": value for n, value in enumerate(values)}
        mask = found.match(*values)
        if mask >= 0:
            quick = found.settle(mask, DecisionRun(), scope, values)
            assert quick == found.match_plain(DecisionRun(), scope, values), (values, found.table)


@pytest.mark.parametrize("dialect", ["dmn", "camunda"])
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=written_tables(ALL, constant=False), points=st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=6))  # fmt: skip
def test_the_generated_function_answers_like_the_plan_and_the_explanation(
    dialect: Any, made: tuple[list[str], bytes], points: list[list[Any]]
) -> None:
    _, content = made
    model = DecisionModel.load(content, dialect=dialect)
    decided = model.decision("answer")
    for point in points:
        inputs = {f"x{n}": value for n, value in enumerate(point)}
        answer = outcome(lambda given=inputs: decided.function(given))
        assert repr(answer) == repr(outcome(lambda given=inputs: decided.plan.evaluate(given)))
        if not isinstance(answer, str):
            assert repr(model.explain("answer", inputs).value) == repr(answer)


def by_evaluation(found: Table) -> dict[tuple[Any, ...], list[int]]:
    """Return the rules that match at one value of every region of every column."""
    axes = [[value_at(column, p) for p in positions(column)] for column in found.columns]
    # RULE ORDER in the place of FIRST, so that all rules are seen
    return {point: matches(found, point) for point in product(*axes)}


def matches(found: Table, point: tuple[Any, ...]) -> list[int]:
    run = DecisionRun()
    return [
        rule
        for rule, row in enumerate(found.tests)
        if all(test.holds(run, value, {}) is True for test, value in zip(row, point, strict=True))
    ]


def named(findings: tuple[Finding, ...], *rules: str) -> list[Finding]:
    return [f for f in findings if f.rule in rules]


def point_of(finding: Finding, found: Table) -> tuple[Any, ...]:
    """Return the witness of a finding as FEEL values."""
    values = [finding.witness[clause.expression.text] for clause in found.table.inputs]
    kinds = [column.kind.value for column in found.columns]
    return tuple(
        Date(*map(int, v.split("-"))) if k == "date" and isinstance(v, str) else v
        for k, v in zip(kinds, values, strict=True)
    )


@settings(max_examples=examples(1000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(written_tables(["UNIQUE", "FIRST"], constant=True))
def test_gaps_and_overlaps_are_those_that_evaluation_shows(made: tuple[list[str], bytes]) -> None:
    _, content = made
    model = DecisionModel.load(content)
    found, findings = table_of(model), analyse(model)
    truth = by_evaluation(found)
    gaps = named(findings, "gap")
    assert all(not matches(found, point_of(f, found)) for f in gaps if f.witness)
    assert bool(gaps) == any(not rules for rules in truth.values())
    if found.table.hit_policy.value == "UNIQUE":
        overlaps = named(findings, "overlap")
        for f in overlaps:
            assert set(f.rows) <= {r + 1 for r in matches(found, point_of(f, found))}
        first = {f.rows[1]: f.rows[0] for f in named(findings, "duplicate")}
        told = {f.rows for f in named(findings, "overlap", "duplicate")}
        told |= {(a, b) for a, b in combinations(first, 2) if first[a] == first[b]}
        shown = {(a + 1, b + 1) for rules in truth.values() for a, b in combinations(rules, 2)}
        assert shown <= told
        assert {f.rows for f in overlaps} <= shown
    else:
        first = {rules[0] + 1 for rules in truth.values() if rules}
        silent = {f.rows[-1] for f in named(findings, "unreachable", "duplicate")}
        assert silent == set(range(1, len(found.tests) + 1)) - first
