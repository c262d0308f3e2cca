"""Python generated for a table: from the values of its input columns to the mask of rules that match.

One dict lookup or one binary search for each column, however many rules there are. A value of a kind that the column
does not expect makes the function answer -1: the caller then evaluates the cells one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from engine.decisions.columns import Column, Kind
from engine.feel import Date

Match = Callable[..., int]
INFINITY: Final = Decimal("Infinity")


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
    test, found = _lookup(column, masks, n, v, space)
    return [
        f"if {test}:",
        *(f"    {line}" for line in found[:-1]),
        f"    m {operator} {found[-1]}",
        f"elif {v} is None: m {operator} {null}",
        f"else: {decline}",
    ]


def _lookup(
    column: Column, masks: list[int], n: str, v: str, space: dict[str, Any]
) -> tuple[str, list[str]]:
    """Return the test of the value's kind, and the lines of which the last is the mask."""
    match column.kind:
        case Kind.STRING:
            test = f"{v}.__class__ is str"
        case Kind.NUMBER:
            space["Decimal"] = Decimal
            test = f"{v}.__class__ is Decimal or {v}.__class__ is int"
        case Kind.DATE:
            space["Date"] = Date
            test = f"{v}.__class__ is Date"
        case _:
            return "False", ["0"]
    if column.is_enumeration and column.kind is Kind.STRING:
        space[f"get{n}"] = dict(zip(column.cuts, masks[1::2], strict=True)).get
        return test, [f"get{n}({v}, {masks[0]})"]
    space["bisect_left"] = bisect_left
    space[f"masks{n}"] = tuple(masks)
    if column.kind is Kind.NUMBER:
        space[f"cuts{n}"] = (*column.cuts, INFINITY)
        return test, [
            f"i = bisect_left(cuts{n}, {v})",
            f"masks{n}[i + i + (cuts{n}[i] == {v})]",
        ]
    space[f"cuts{n}"] = column.cuts
    end = len(column.cuts)
    return test, [
        f"i = bisect_left(cuts{n}, {v})",
        f"masks{n}[i + i + (i < {end} and cuts{n}[i] == {v})]",
    ]
