"""Regions of a column, and what the product of columns shows, against counting it out by brute force."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decisions.columns import DASH, Cell, Column, Kind, Span, Static, build
from engine.decisions.coverage import (
    common_point,
    cover,
    mask_at,
    never,
    overlaps,
    positions,
)
from tests.depth import examples


def holds(cell: Static, value: Decimal | str | None) -> bool:
    """The meaning of a cell, said once more and plainly."""
    if value is None:
        return cell.null
    if cell.is_dash:
        return True
    inside = any(
        (s.low is None or s.low < value or (s.low_closed and s.low == value))
        and (s.high is None or value < s.high or (s.high_closed and s.high == value))
        for s in cell.spans
    )
    return inside != cell.negated


numbers = st.integers(0, 6).map(Decimal)
spans = st.builds(
    Span,
    st.none() | numbers,
    st.none() | numbers,
    st.booleans(),
    st.booleans(),
)
number_cells = st.one_of(
    st.just(DASH),
    st.just(Static(kind=None, null=True)),
    st.builds(
        lambda s, n: Static(kind=Kind.NUMBER, spans=tuple(s), negated=n, null=False),
        st.lists(spans, min_size=1, max_size=3),
        st.booleans(),
    ),
)
text_cells = st.one_of(
    st.just(DASH),
    st.builds(
        lambda words, n: Static(
            kind=Kind.STRING, spans=tuple(Span(w, w) for w in words), negated=n, null=n
        ),
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2),
        st.booleans(),
    ),
)


@settings(deadline=None)
@given(st.lists(number_cells, min_size=1, max_size=8), st.decimals(-2, 9, places=2))
def test_a_mask_says_which_rules_hold(cells: list[Cell], value: Decimal) -> None:
    column = build(Kind.NUMBER, cells)
    mask = column.masks[column.position(value)]
    assert [bool(mask >> r & 1) for r in range(len(cells))] == [
        holds(c, value) for c in cells if c is not None
    ]


@settings(deadline=None)
@given(st.lists(number_cells, min_size=1, max_size=6))
def test_every_position_has_a_witness_that_lies_in_it(cells: list[Cell]) -> None:
    column = build(Kind.NUMBER, cells)
    assert column.domain == tuple(range(len(column.masks)))
    assert [column.position(column.witness(p)) for p in column.domain] == list(column.domain)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], int]:
    rules = draw(st.integers(1, 6))
    columns = []
    for _ in range(draw(st.integers(1, 3))):
        kind, cells = draw(
            st.sampled_from([(Kind.NUMBER, number_cells), (Kind.STRING, text_cells)])
        )
        columns.append(build(kind, draw(st.lists(cells, min_size=rules, max_size=rules))))
    return columns, rules


def by_brute_force(columns: list[Column], rules: int) -> dict[tuple[int, ...], int]:
    """Return the rules that match at every point."""
    found = {}
    for point in product(*(positions(c) for c in columns)):
        mask = (1 << rules) - 1
        for column, position in zip(columns, point, strict=True):
            mask &= mask_at(column, position)
        found[point] = mask
    return found


@settings(max_examples=examples(1000), deadline=None)
@given(tables())
def test_gaps_overlaps_and_first_rules_are_those_of_brute_force(
    made: tuple[list[Column], int],
) -> None:
    columns, rules = made
    truth = by_brute_force(columns, rules)
    coverage = cover(columns, rules)
    assert coverage.proven
    assert coverage.all_gaps
    assert {p for p, mask in truth.items() if not mask} == {
        p for p in truth if any(gap.holds(p) for gap in coverage.gaps)
    }
    assert coverage.first == sum({mask & -mask for mask in truth.values()})
    pairs = {
        (a, b)
        for a in range(rules)
        for b in range(a + 1, rules)
        if any(mask >> a & 1 and mask >> b & 1 for mask in truth.values())
    }
    assert set(overlaps(columns, rules)) == pairs
    for a, b in pairs:
        mask = truth[common_point(columns, (a, b))]
        assert mask >> a & 1
        assert mask >> b & 1
    seen = 0
    for mask in truth.values():
        seen |= mask
    assert never(columns, rules) == ~seen & ((1 << rules) - 1)


def test_a_search_that_would_take_too_long_proves_nothing() -> None:
    cells: list[Cell] = [
        Static(kind=Kind.NUMBER, spans=(Span(Decimal(n), Decimal(n + 7)),)) for n in range(40)
    ]
    coverage = cover([build(Kind.NUMBER, cells)] * 6, 40, max_work=1000)
    assert (coverage.proven, coverage.gaps) == (False, ())


def test_a_cell_that_is_not_constant_may_or_may_not_cover() -> None:
    column = build(Kind.NUMBER, [None, Static(kind=Kind.NUMBER, spans=(Span(Decimal(5), None),))])
    coverage = cover([column], 2)
    assert (coverage.gaps, coverage.open_gap, coverage.first) == ((), True, 0b11)


def test_allowed_values_bound_what_can_occur() -> None:
    allowed = Static(kind=Kind.STRING, spans=(Span("a", "a"), Span("b", "b")))
    column = build(
        Kind.STRING,
        [Static(kind=Kind.STRING, spans=(Span(w, w),)) for w in ("a", "b", "c")],
        allowed,
    )
    assert [column.witness(p) for p in column.domain] == ["a", "b"]
    assert never([column], 3) == 0b100
