"""Which combinations of inputs a table answers: gaps, overlaps and rules that are never first.

Overlaps are exact and cheap: two rules overlap when they share a position in every column. Gaps and first rules
need the product of all columns; equal sets of rules are merged on the way, and the work is bounded. Beyond the bound
the answer is `proven=False`, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from engine.decisions.columns import Column, Ordered
from engine.frozen import dataclass

NULL: Final = -1  #: the position of null in a column
MAX_WORK: Final = 600_000  #: states looked at before the search gives up
MAX_GAPS: Final = 200  #: gap regions listed

Positions = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A region that no rule can match: for each column the positions, or None for any value."""

    positions: tuple[Positions | None, ...]

    def holds(self, point: Sequence[int]) -> bool:
        """Whether the point (one position for each column) lies in the region."""
        return all(p is None or q in p for p, q in zip(self.positions, point, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """What the product of the columns showed."""

    proven: bool  #: False: the search was given up, and the rest holds nothing
    gaps: tuple[Gap, ...] = ()
    all_gaps: bool = True  #: False: there are more gaps than were listed
    open_gap: bool = False  #: only cells that are not constant may cover some region
    first: int = 0  #: bits of the rules that can be the first match


def positions(column: Column) -> tuple[int, ...]:
    """Return the positions that the analysis looks at."""
    return (*column.domain, NULL) if column.names_null else column.domain


def mask_at(column: Column, position: int) -> int:
    """Return the rules whose constant cell holds at `position`."""
    return column.null if position == NULL else column.masks[position]


def value_at(column: Column, position: int) -> Ordered | None:
    """Return a value at `position`."""
    return None if position == NULL else column.witness(position)


def never(columns: Sequence[Column], rules: int) -> int:
    """Return the bits of the rules that match nothing that can occur."""
    possible = (1 << rules) - 1
    for column in columns:
        seen = column.open_
        for position in positions(column):
            seen |= mask_at(column, position)
        possible &= seen
    return ~possible & ((1 << rules) - 1)


def overlaps(columns: Sequence[Column], rules: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rules, ascending, that match a common point with their constant cells."""
    together = [(1 << rules) - 1] * rules
    for column in columns:
        shared = [0] * rules
        for mask in {mask_at(column, position) for position in positions(column)}:
            for rule in bits(mask):
                shared[rule] |= mask
        together = [a & b for a, b in zip(together, shared, strict=True)]
    for rule, mask in enumerate(together):
        for other in bits(mask >> (rule + 1)):
            yield rule, rule + 1 + other


def common_point(columns: Sequence[Column], rules: Sequence[int]) -> tuple[int, ...]:
    """Return a point that all of `rules` match, one position for each column; they must overlap pairwise."""
    wanted = sum(1 << rule for rule in rules)
    return tuple(
        next(p for p in positions(column) if mask_at(column, p) & wanted == wanted)
        for column in columns
    )


def bits(mask: int) -> Iterator[int]:
    """Yield the indexes of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def cover(columns: Sequence[Column], rules: int, max_work: int = MAX_WORK) -> Coverage:
    """Search the product of all columns, those with the fewest regions first.

    A state is (sure, possible): the rules whose constant cells hold so far, and those rules together with the
    ones of which some cell is not constant.
    """
    order = sorted(range(len(columns)), key=lambda c: len(set(columns[c].masks)))
    every = (1 << rules) - 1
    levels: list[dict[tuple[int, int], list[_Step]]] = []
    states: dict[tuple[int, int], list[_Step]] = {(every, every): []}
    work = 0
    for number in order:
        groups = _groups(columns[number])
        work += len(states) * len(groups)
        if work > max_work:
            return Coverage(proven=False)
        following: dict[tuple[int, int], list[_Step]] = {}
        for state in states:
            if not state[1]:
                continue  # nothing matches already: a gap whatever follows
            for (sure, possible), places in groups.items():
                reached = (state[0] & sure, state[1] & possible)
                following.setdefault(reached, []).append((state, places))
        levels.append(states)
        states = following
    levels.append(states)
    gaps, complete = _gaps(levels, order, len(columns))
    return Coverage(
        proven=True,
        gaps=gaps,
        all_gaps=complete,
        open_gap=any(possible and not sure for sure, possible in states),
        first=_first(states),
    )


_Step = tuple[tuple[int, int], Positions]


def _groups(column: Column) -> Mapping[tuple[int, int], Positions]:
    """Return the positions of a column by what they permit."""
    found: dict[tuple[int, int], list[int]] = {}
    for position in positions(column):
        mask = mask_at(column, position)
        found.setdefault((mask, mask | column.open_), []).append(position)
    return {masks: tuple(places) for masks, places in found.items()}


def _first(states: Mapping[tuple[int, int], object]) -> int:
    """Return the rules that no surely matching rule precedes in at least one state."""
    found = 0
    for sure, possible in states:
        low = sure & -sure
        found |= possible & ((low << 1) - 1) if low else possible
    return found


def _gaps(
    levels: list[dict[tuple[int, int], list[_Step]]], order: list[int], width: int
) -> tuple[tuple[Gap, ...], bool]:
    """Walk back from the states without a rule to the start; each path is one region."""
    found: list[Gap] = []
    for depth, states in enumerate(levels):
        for state in states:
            if state[1]:
                continue
            for gap in _paths(levels, order, depth, state, width):
                if len(found) == MAX_GAPS:
                    return tuple(found), False
                found.append(gap)
    return tuple(found), True


def _paths(
    levels: list[dict[tuple[int, int], list[_Step]]],
    order: list[int],
    depth: int,
    state: tuple[int, int],
    width: int,
) -> Iterator[Gap]:
    stack: list[tuple[int, tuple[int, int], dict[int, Positions]]] = [(depth, state, {})]
    while stack:
        level, reached, chosen = stack.pop()
        if level == 0:
            yield Gap(tuple(chosen.get(c) for c in range(width)))
            continue
        for before, places in levels[level][reached]:
            stack.append((level - 1, before, {**chosen, order[level - 1]: places}))
