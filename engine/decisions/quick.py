"""Python generated for a table: from the values of its input columns to the mask of rules that match.

One dict lookup or one binary search for each column, however many rules there are. A value of a kind that the column
does not expect makes the function answer -1: the caller then evaluates the cells one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from engine.decisions.columns import Column, Kind
from engine.feel import Date

Match = Callable[..., int]


def generate_match(columns: Sequence[Column], rules: int) -> Match:
    """Return `match(value, …) -> mask`, one value for each column."""
    space: dict[str, Any] = {}  # Any: what the generated function refers to
    names = [f"v{n}" for n in range(len(columns))]
    body = match_lines(columns, rules, names, space, "return -1")
    lines = [f"def match({', '.join(names)}):", *(f"    {line}" for line in body), "    return m"]
    made: Match = compiled("\n".join(lines), space)
    return made


def match_lines(
    columns: Sequence[Column],
    rules: int,
    names: Sequence[str],
    space: dict[str, Any],
    decline: str,
    prefix: str = "",
) -> list[str]:
    """Return the lines that set `m`; what they refer to goes into `space`; `decline` is the way out."""
    every = (1 << rules) - 1
    lines: list[str] = []
    for number, (column, name) in enumerate(zip(columns, names, strict=True)):
        if all(mask | column.open_ == every for mask in (*column.masks, column.null)):
            continue  # every cell is `-` or not constant
        operator = "&=" if lines else "="
        lines += _column_lines(column, f"{prefix}{number}", name, operator, space, decline)
    return lines or [f"m = {every}"]


def compiled(
    source: str, space: dict[str, Any]
) -> Any:  # Any: the function that the source defines
    """Return the only function that `source` defines."""
    before = set(space)
    exec(compile(source, "<decision>", "exec"), space)
    (name,) = space.keys() - before - {"__builtins__"}
    return space[name]


def _column_lines(
    column: Column, n: str, v: str, operator: str, space: dict[str, Any], decline: str
) -> list[str]:
    masks = [mask | column.open_ for mask in column.masks]
    null = column.null | column.open_
    if column.kind is Kind.BOOLEAN:
        return [
            f"if {v} is True: m {operator} {masks[3]}",
            f"elif {v} is False: m {operator} {masks[1]}",
            f"elif {v} is None: m {operator} {null}",
            f"else: {decline}",
        ]
    lines: list[str] = []
    for test, *found in _lookups(column, masks, n, v, space):
        lines += [f"{'elif' if lines else 'if'} {test}:", *(f"    {line}" for line in found[:-1])]
        lines.append(f"    m {operator} {found[-1]}")
    lines += [f"{'elif' if lines else 'if'} {v} is None: m {operator} {null}", f"else: {decline}"]
    return lines


def _lookups(
    column: Column, masks: list[int], n: str, v: str, space: dict[str, Any]
) -> Iterator[tuple[str, ...]]:
    """Yield for each Python type of the column's kind: the test for it, then lines, the last giving the mask."""
    space["bisect_left"] = bisect_left
    space[f"masks{n}"] = tuple(masks)
    match column.kind:
        case Kind.STRING if column.is_enumeration:
            space[f"get{n}"] = dict(zip(column.cuts, masks[1::2], strict=True)).get
            yield f"{v}.__class__ is str", f"get{n}({v}, {masks[0]})"
        case Kind.STRING:
            yield f"{v}.__class__ is str", *_search(column.cuts, f"{n}", v, space)
        case Kind.DATE:
            space["Date"] = Date
            yield f"{v}.__class__ is Date", *_search(column.cuts, f"{n}", v, space)
        case Kind.NUMBER:
            space["Decimal"] = Decimal
            whole = tuple(int(c) if c == c.to_integral_value() else c for c in column.cuts)
            # an int is compared with ints several times as fast as with decimals
            yield f"{v}.__class__ is int", *_search(whole, f"{n}i", v, space, n)
            yield f"{v}.__class__ is Decimal", *_search(column.cuts, f"{n}", v, space)
        case _:
            return


def _search(
    cuts: Sequence[Any], name: str, v: str, space: dict[str, Any], masks: str = ""
) -> tuple[str, str]:
    """Return the lines that find the position of `v` among the cuts, and its mask."""
    space[f"cuts{name}"] = tuple(cuts)
    return (
        f"i = bisect_left(cuts{name}, {v})",
        f"masks{masks or name}[i + i + (i < {len(cuts)} and cuts{name}[i] == {v})]",
    )
