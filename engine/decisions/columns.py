"""What the cells of one table column say, as regions of its value axis with one bit for each rule.

A column whose cells are constants (`"a", "b"`, `[18..65)`, `not(5)`, `-`) cuts its axis at the constants it names.
Between two cuts all values are alike, so a set of rules, kept as bits of an int, says everything. Lookup is a
dict or a binary search however many rules there are; the same regions, multiplied over the columns, are what
`analysis` searches for gaps and overlaps.

    cuts        18      65
    position  0  1   2   3  4        even: open intervals, odd: the cuts themselves

Invariants:
- `masks[p]` has bit r set when the static cell of rule r holds for every value at position p.
- A cell that is not constant is *open*: its rule's bit is set in `open_`, and clear in every mask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Context, Decimal
from enum import Enum
from functools import cached_property
from typing import Any

from engine.feel.temporal import Date
from engine.frozen import dataclass

Ordered = (
    Any  # str, bool, Decimal or a temporal value of engine.feel: totally ordered inside one kind
)


class Kind(Enum):
    """What a column holds, as far as its cells and its type tell."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    DATE = "date"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of the axis; None is unbounded on that side."""

    low: Ordered | None
    high: Ordered | None
    low_closed: bool = True
    high_closed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Static:
    """The meaning of a cell that is constant: a union of spans, or its complement."""

    kind: Kind | None  #: None: holds for any kind (`-`) or names no value but null
    spans: tuple[Span, ...] = ()
    negated: bool = False
    null: bool = False  #: whether it holds for null

    @property
    def is_dash(self) -> bool:
        """Whether it holds for everything."""
        return self.kind is None and self.negated and self.null


DASH = Static(kind=None, negated=True, null=True)
Cell = Static | None  # None: not constant


def holds(cell: Static, value: Ordered) -> bool:
    """Whether a constant cell holds for a value that is not null."""
    if cell.is_dash or cell.kind is None:
        return cell.negated
    try:
        inside = any(
            (s.low is None or s.low < value or (s.low_closed and s.low == value))
            and (s.high is None or value < s.high or (s.high_closed and s.high == value))
            for s in cell.spans
        )
    except TypeError:  # a value of another kind
        return False
    return inside is not cell.negated


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column as regions."""

    kind: Kind
    cuts: tuple[Ordered, ...]
    masks: tuple[int, ...]  #: by position, 2 * len(cuts) + 1 of them
    null: int  #: rules that hold for null
    open_: int  #: rules whose cell is not constant
    domain: tuple[int, ...]  #: positions that can occur and have a witness
    names_null: bool  #: whether some cell speaks of null, so that null belongs to the analysis
    sample: Ordered = (
        "other"  #: a value for a column of another kind, whose cells do not tell values apart
    )

    def position(self, value: Ordered) -> int:
        """Return the position of a value of this column's kind."""
        index = bisect_left(self.cuts, value)
        return 2 * index + (index < len(self.cuts) and self.cuts[index] == value)

    @cached_property
    def is_enumeration(self) -> bool:
        """Whether only the cuts themselves differ, so that a dict finds the mask."""
        return len(set(self.masks[0::2])) == 1

    def witness(self, position: int) -> Ordered | None:
        """Return a value at `position`, as plain as possible; None when there is none."""
        if position % 2:
            return self.cuts[position // 2]
        low = self.cuts[position // 2 - 1] if position else None
        high = self.cuts[position // 2] if position // 2 < len(self.cuts) else None
        match self.kind:
            case Kind.NUMBER:
                return _number_between(low, high)
            case Kind.STRING:
                return _text_between(low, high, frozenset(self.cuts), self.is_enumeration)
            case Kind.DATE:
                return _date_between(low, high)
            case Kind.OTHER:
                return self.sample
            case Kind.BOOLEAN:
                return None


def build(
    kind: Kind, cells: Sequence[Cell], allowed: Static | None = None, sample: Ordered = "other"
) -> Column:
    """Return the regions of a column from its cells, rule by rule.

    `allowed` bounds the values that can occur; `sample` is a value of a column of no particular kind. Cells of another kind than `kind` hold nowhere on this axis.
    """
    statics = [c for c in cells if c is not None]
    cuts = _cuts(kind, [*statics, *([allowed] if allowed else [])])
    index = {cut: n for n, cut in enumerate(cuts)}
    toggles = [0] * (2 * len(cuts) + 2)
    open_ = null = 0
    for rule, cell in enumerate(cells):
        bit = 1 << rule
        if cell is None:
            open_ |= bit
            continue
        if cell.null:
            null |= bit
        for start, stop in _ranges(cell, kind, index):
            toggles[start] ^= bit
            toggles[stop] ^= bit
    masks, current = [], 0
    for toggle in toggles[:-1]:
        current ^= toggle
        masks.append(current)
    column = Column(
        kind=kind,
        cuts=cuts,
        masks=tuple(masks),
        null=null,
        open_=open_,
        domain=(),
        names_null=any(not c.is_dash and c.kind is None for c in statics)
        or any(c.null and not c.negated for c in statics),
        sample=sample,
    )
    return _with_domain(column, allowed, index)


def _cuts(kind: Kind, statics: Iterable[Static]) -> tuple[Ordered, ...]:
    if kind is Kind.BOOLEAN:
        return (False, True)
    return tuple(
        sorted(
            {
                end
                for cell in statics
                if cell.kind is kind
                for span in cell.spans
                for end in (span.low, span.high)
                if end is not None
            }
        )
    )


def _ranges(cell: Static, kind: Kind, index: dict[Ordered, int]) -> list[tuple[int, int]]:
    """Return the half-open ranges of positions where `cell` holds, disjoint and in order."""
    end = 2 * len(index) + 1
    found = sorted(_span_range(s, index, end) for s in cell.spans) if cell.kind is kind else []
    merged: list[tuple[int, int]] = []
    for start, stop in found:
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return _complement(merged, end) if cell.negated else merged


def _span_range(span: Span, index: dict[Ordered, int], end: int) -> tuple[int, int]:
    start = 0 if span.low is None else 2 * index[span.low] + (1 if span.low_closed else 2)
    stop = end if span.high is None else 2 * index[span.high] + (2 if span.high_closed else 1)
    return start, stop


def _complement(ranges: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for pair in ranges for edge in pair), end]
    return [(a, b) for a, b in zip(edges[0::2], edges[1::2], strict=True) if a < b]


def _with_domain(column: Column, allowed: Static | None, index: dict[Ordered, int]) -> Column:
    """Keep the positions that the allowed values permit and that hold at least one value."""
    positions: Iterable[int] = range(len(column.masks))
    if allowed is not None and (allowed.kind is column.kind or allowed.kind is None):
        positions = [p for a, b in _ranges(allowed, column.kind, index) for p in range(a, b)]
    return replace(column, domain=tuple(p for p in positions if column.witness(p) is not None))


def _number_between(low: Decimal | None, high: Decimal | None) -> Decimal | None:
    """Return the plainest number strictly between two others: a whole one where there is one."""
    exact = Context(prec=50)  # more than the 34 digits of FEEL
    if low is None and high is None:
        return Decimal(0)
    if low is None:
        found = exact.subtract((high or Decimal(0)).to_integral_value(ROUND_FLOOR), Decimal(1))
    else:
        found = exact.add(low.to_integral_value(ROUND_FLOOR), Decimal(1))
        if high is not None and found >= high:
            found = exact.divide(exact.add(low, high), Decimal(2))
    return found if (low is None or low < found) and (high is None or found < high) else None


def _date_between(low: Date | None, high: Date | None) -> Date | None:
    """Return the day after `low`, or before `high`, if it lies between."""
    try:
        if low is not None:
            found = low.plus_days(1)
        else:
            found = Date(2024, 1, 1) if high is None else high.plus_days(-1)
    except ValueError:  # beyond the years of FEEL
        return None
    return found if high is None or found < high else None


def _text_between(
    low: str | None, high: str | None, cuts: frozenset[str], anywhere: bool
) -> str | None:
    """Return a text strictly between two others; any text that is no cut when the order does not matter."""
    if anywhere:
        more = (f"other {n}" for n in range(2, len(cuts) + 3))
        return next(text for text in ("other", *more) if text not in cuts)
    candidates = ("other", (low or "") + "a", (low or "") + "!", (low or "") + "\0", "")
    return next(
        (t for t in candidates if (low is None or low < t) and (high is None or t < high)), None
    )
