"""Gaps, overlaps, rules that cannot be reached: the checks that look at a whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from engine.decisions.columns import Column
from engine.decisions.coverage import (
    Coverage,
    bits,
    common_point,
    cover,
    mask_at,
    never,
    overlaps,
    positions,
    value_at,
)
from engine.decisions.explanation import plain, show
from engine.decisions.findings import Report, Severity
from engine.decisions.hit_policies import same_value
from engine.decisions.model import HitPolicy
from engine.decisions.tables import Table
from engine.decisions.terms import Constant

MAX_PAIRS: Final = 20  #: overlapping pairs listed for one table; the rest is counted
MAX_GAPS: Final = 5  #: gap regions listed for one table; the rest is counted


def check_coverage(report: Report, table: Table) -> None:
    """Report what the rows of `table` leave open, and where they contradict each other."""
    rules = len(table.tests)
    policy = table.table.hit_policy
    twins = _duplicates(report, table)
    dead = never(table.columns, rules)
    for rule in bits(dead):
        _row(report, table, rule, "unreachable", "no value that can occur matches it")
    if policy in (HitPolicy.UNIQUE, HitPolicy.ANY):
        _overlapping(report, table, twins)
        _open_overlaps(report, table)
    if policy is HitPolicy.PRIORITY:
        _masked(report, table, twins | dead)
    seen = cover(table.columns, rules)
    _gaps(report, table, seen)
    if policy is HitPolicy.FIRST:
        _never_first(report, table, seen, twins | dead)
        _catch_all(report, table, seen)


def _row(report: Report, table: Table, rule: int, name: str, message: str, hint: str = "") -> None:
    written = table.table.rules[rule]
    text = f"row {written.row}: {message}"
    report.tell(
        written.line, "warning", name, text, element=written.id, rows=[written.row], hint=hint
    )


def _duplicates(report: Report, table: Table) -> int:
    """Report rules with the same conditions as an earlier one; return their bits."""
    first: dict[tuple[object, ...], int] = {}
    twins = 0
    for rule, tests in enumerate(table.tests):
        key = tuple(test.text if test.static is None else test.static for test in tests)
        earlier = first.setdefault(key, rule)
        if earlier == rule:
            continue
        twins |= 1 << rule
        same = _same_outputs(table, earlier, rule)
        answers = "the same answer" if same else "another answer"
        report.tell(
            table.table.rules[rule].line,
            _duplicate_severity(table.table.hit_policy, same),
            "duplicate",
            f"rows {earlier + 1} and {rule + 1} have the same conditions and {answers}",
            element=table.table.rules[rule].id,
            rows=[earlier + 1, rule + 1],
            hint="Remove one of them.",
        )
    return twins


def _duplicate_severity(policy: HitPolicy, same: bool | None) -> Severity:
    if policy is HitPolicy.UNIQUE or (policy is HitPolicy.ANY and same is False):
        return "error"
    return "warning" if same or policy.is_single else "info"


def _overlapping(report: Report, table: Table, twins: int) -> None:
    """Report pairs of rows that UNIQUE forbids, or that answer differently under ANY."""
    unique = table.table.hit_policy is HitPolicy.UNIQUE
    name = "overlap" if unique else "different-answers"
    count = 0
    for a, b in overlaps(table.columns, len(table.tests)):
        same = _same_outputs(table, a, b)
        if (twins >> b & 1 and _are_twins(table, a, b)) or (same and not unique):
            continue
        count += 1
        if count > MAX_PAIRS:
            continue
        found = witness(table, common_point(table.columns, (a, b)))
        verb = (
            "both match"
            if unique
            else "answer differently"
            if same is False
            else "may answer differently"
        )
        report.tell(
            table.table.rules[b].line,
            "error" if unique or same is False else "warning",
            name,
            f"rows {a + 1} and {b + 1} {verb} for {_shown(found)}",
            element=table.table.rules[b].id,
            rows=[a + 1, b + 1],
            witness=found,
        )
    if count > MAX_PAIRS:
        message = f"{count - MAX_PAIRS} more pairs of rows like these"
        report.tell(table.table.line, "error", name, message)


def _are_twins(table: Table, a: int, b: int) -> bool:
    return all(
        x.text == y.text if x.static is None else x.static == y.static
        for x, y in zip(table.tests[a], table.tests[b], strict=True)
    )


def _open_overlaps(report: Report, table: Table) -> None:
    """Say which rows may overlap because a cell is not constant."""
    if not table.open_:
        return
    rules = len(table.tests)
    sure = set(overlaps(table.columns, rules))
    pairs = [
        pair for pair in overlaps([_opened(c) for c in table.columns], rules) if pair not in sure
    ]
    if pairs:
        rows = sorted({row + 1 for pair in pairs for row in pair})
        report.tell(
            table.table.line,
            "info",
            "not-proven",
            f"rows {_listed(rows)} may overlap: some of their cells are not constant",
            rows=rows,
        )


def _opened(column: Column) -> Column:
    """Return the column with every cell that is not constant taken to hold."""
    masks = tuple(mask | column.open_ for mask in column.masks)
    return replace(column, masks=masks, null=column.null | column.open_, open_=0)


def _masked(report: Report, table: Table, known: int) -> None:
    """Report rules that one other rule, with a better output, always accompanies."""
    outputs = table.constant_outputs
    if outputs is None:
        return
    ranks = [
        tuple(rank(v) for rank, v in zip(table.policy.ranks, row, strict=True) if rank)
        for row in outputs
    ]
    around = [(1 << len(ranks)) - 1] * len(ranks)
    for column in table.columns:
        around = [mask & _company(column, rule) for rule, mask in enumerate(around)]
    for rule, others in enumerate(around):
        better = [o + 1 for o in bits(others & ~(1 << rule)) if ranks[o] < ranks[rule]]
        if better and not known >> rule & 1:
            message = f"row {better[0]} always matches too, and its output has the higher priority"
            _row(report, table, rule, "masked", message)


def _company(column: Column, rule: int) -> int:
    """Return the rules that hold wherever `rule` may hold."""
    found = -1
    for position in positions(column):
        mask = mask_at(column, position)
        if (mask | column.open_) >> rule & 1:
            found &= mask
    return found


def _never_first(report: Report, table: Table, seen: Coverage, known: int) -> None:
    late = ~seen.first & ((1 << len(table.tests)) - 1) & ~known if seen.proven else 0
    if not late:
        return
    pairs = list(overlaps(table.columns, len(table.tests)))
    for rule in bits(late):
        before = [a + 1 for a, b in pairs if b == rule]
        verb = "matches" if len(before) == 1 else "match"
        message = f"wherever it holds, {_rows(before) if before else 'earlier rows'} {verb} first"
        _row(report, table, rule, "unreachable", message, "Move it up, or remove it.")


def _gaps(report: Report, table: Table, seen: Coverage) -> None:
    written = table.table
    if table.policy.default is not None:
        return
    severity: Severity = "warning" if written.hit_policy.is_single else "info"
    if not seen.proven:
        message = "the table is too large to prove that it has no gap"
        report.tell(written.line, "info", "not-proven", message)
        return
    for gap in seen.gaps[:MAX_GAPS]:
        point = [
            (places or positions(column))[0]
            for places, column in zip(gap.positions, table.columns, strict=True)
        ]
        found = witness(table, point)
        report.tell(written.line, severity, "gap", f"no row matches {_shown(found)}", witness=found)
    more = len(seen.gaps) - MAX_GAPS
    if more > 0:
        count = f"{more}{'' if seen.all_gaps else ' or more'}"
        report.tell(written.line, severity, "gap", f"{count} more regions that no row matches")
    if seen.open_gap and not seen.gaps:
        rows = [rule + 1 for rule in bits(table.open_)]
        message = f"whether a gap remains depends on {_rows(rows)}: not all cells are constant"
        report.tell(written.line, "info", "not-proven", message, rows=rows)


def _catch_all(report: Report, table: Table, seen: Coverage) -> None:
    """Ask for a last row that holds for everything, unless it is proven that nothing is left."""
    closed = seen.proven and not seen.gaps and not seen.open_gap
    if closed or table.policy.default is not None or not table.tests:
        return
    if not all(test.static is not None and test.static.is_dash for test in table.tests[-1]):
        message = "the last row does not catch what the others leave"
        hint = 'Add a row of "-" at the end.'
        _row(report, table, len(table.tests) - 1, "catch-all", message, hint)


def witness(table: Table, point: Sequence[int]) -> dict[str, object]:
    """Return input expression → plain value at a point."""
    return {
        clause.expression.text: plain(value_at(column, position))
        for clause, column, position in zip(table.table.inputs, table.columns, point, strict=True)
    }


def _same_outputs(table: Table, a: int, b: int) -> bool | None:
    """Whether two rows give the same answer; None when that depends on the inputs."""
    texts = [[cell.text for cell in table.table.rules[rule].outputs] for rule in (a, b)]
    if texts[0] == texts[1]:
        return True
    values = [[o.value for o in table.outputs[rule] if isinstance(o, Constant)] for rule in (a, b)]
    if any(len(row) != len(texts[0]) for row in values):
        return None
    return same_value(values[0], values[1])


def _shown(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {show(value)}" for name, value in found.items()) or "anything"


def _rows(rows: Sequence[int]) -> str:
    return f"row{'' if len(rows) == 1 else 's'} {_listed(rows)}"


def _listed(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
    return ", ".join(map(str, rows[:8])) + more
