"""Functions on points and ranges (DMN 1.5, section 10.3.4.11, after Allen's interval algebra)."""

from __future__ import annotations

from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import NoValue
from engine.feel.operations import compare
from engine.feel.run import Run
from engine.feel.values import Range, Value, kind

catalog = Catalog()


@catalog.add("before(point1: point, point2: point)")
def before_point(run: Run, a: Value, b: Value) -> Value:
    return _order(a, b) < 0


@catalog.add("before(point: point, range: range)")
def before_range(run: Run, a: Value, b: Range) -> Value:
    return _starts_after(b, a)


@catalog.add("before(range: range, point: point)")
def range_before_point(run: Run, a: Range, b: Value) -> Value:
    return _ends_before(a, b)


@catalog.add("before(range1: range, range2: range)")
def range_before(run: Run, a: Range, b: Range) -> Value:
    return _apart(a, b)


@catalog.add("after(point1: point, point2: point)")
def after_point(run: Run, a: Value, b: Value) -> Value:
    return _order(a, b) > 0


@catalog.add("after(point: point, range: range)")
def after_range(run: Run, a: Value, b: Range) -> Value:
    return _ends_before(b, a)


@catalog.add("after(range: range, point: point)")
def range_after_point(run: Run, a: Range, b: Value) -> Value:
    return _starts_after(a, b)


@catalog.add("after(range1: range, range2: range)")
def range_after(run: Run, a: Range, b: Range) -> Value:
    return _apart(b, a)


@catalog.add("meets(range1: range, range2: range)")
def meets(run: Run, a: Range, b: Range) -> Value:
    return a.end_included and b.start_included and _order(a.end, b.start) == 0


@catalog.add("met by(range1: range, range2: range)")
def met_by(run: Run, a: Range, b: Range) -> Value:
    return meets(run, b, a)


@catalog.add("overlaps(range1: range, range2: range)")
def overlaps(run: Run, a: Range, b: Range) -> Value:
    return not _apart(a, b) and not _apart(b, a)


@catalog.add("overlaps before(range1: range, range2: range)")
def overlaps_before(run: Run, a: Range, b: Range) -> Value:
    starts, ends = _order(a.start, b.start), _order(a.end, b.end)
    return (
        (starts < 0 or (starts == 0 and a.start_included and not b.start_included))
        and not _apart(a, b)
        and (ends < 0 or (ends == 0 and (not a.end_included or b.end_included)))
    )


@catalog.add("overlaps after(range1: range, range2: range)")
def overlaps_after(run: Run, a: Range, b: Range) -> Value:
    starts, ends = _order(b.start, a.start), _order(b.end, a.end)
    return (
        (starts < 0 or (starts == 0 and b.start_included and not a.start_included))
        and not _apart(b, a)
        and (ends < 0 or (ends == 0 and (not b.end_included or a.end_included)))
    )


@catalog.add("finishes(point: point, range: range)")
def point_finishes(run: Run, a: Value, b: Range) -> Value:
    return b.end_included and _order(a, b.end) == 0


@catalog.add("finishes(range1: range, range2: range)")
def finishes(run: Run, a: Range, b: Range) -> Value:
    return _same_end(a, b) and _starts_within(a, b)


@catalog.add("finished by(range: range, point: point)")
def finished_by_point(run: Run, a: Range, b: Value) -> Value:
    return point_finishes(run, b, a)


@catalog.add("finished by(range1: range, range2: range)")
def finished_by(run: Run, a: Range, b: Range) -> Value:
    return finishes(run, b, a)


@catalog.add("includes(range: range, point: point)")
def includes_point(run: Run, a: Range, b: Value) -> Value:
    return not _starts_after(a, b) and not _ends_before(a, b)


@catalog.add("includes(range1: range, range2: range)")
def includes(run: Run, a: Range, b: Range) -> Value:
    return _starts_within(b, a) and _ends_within(b, a)


@catalog.add("during(point: point, range: range)")
def point_during(run: Run, a: Value, b: Range) -> Value:
    return includes_point(run, b, a)


@catalog.add("during(range1: range, range2: range)")
def during(run: Run, a: Range, b: Range) -> Value:
    return includes(run, b, a)


@catalog.add("starts(point: point, range: range)")
def point_starts(run: Run, a: Value, b: Range) -> Value:
    return b.start_included and _order(a, b.start) == 0


@catalog.add("starts(range1: range, range2: range)")
def starts(run: Run, a: Range, b: Range) -> Value:
    return _same_start(a, b) and _ends_within(a, b)


@catalog.add("started by(range: range, point: point)")
def started_by_point(run: Run, a: Range, b: Value) -> Value:
    return point_starts(run, b, a)


@catalog.add("started by(range1: range, range2: range)")
def started_by(run: Run, a: Range, b: Range) -> Value:
    return starts(run, b, a)


@catalog.add("coincides(point1: point, point2: point)")
def points_coincide(run: Run, a: Value, b: Value) -> Value:
    return _order(a, b) == 0


@catalog.add("coincides(range1: range, range2: range)")
def coincides(run: Run, a: Range, b: Range) -> Value:
    return _same_start(a, b) and _same_end(a, b)


def _order(a: Value, b: Value) -> int:
    order = compare(a, b)
    if order is None:
        raise NoValue(f"{kind(a)} and {kind(b)} have no order")
    return order


def _starts_after(range_: Range, point: Value) -> bool:
    order = _order(range_.start, point)
    return order > 0 or (order == 0 and not range_.start_included)


def _ends_before(range_: Range, point: Value) -> bool:
    order = _order(range_.end, point)
    return order < 0 or (order == 0 and not range_.end_included)


def _apart(a: Range, b: Range) -> bool:
    """Whether `a` ends before `b` starts."""
    order = _order(a.end, b.start)
    return order < 0 or (order == 0 and not (a.end_included and b.start_included))


def _same_start(a: Range, b: Range) -> bool:
    return _order(a.start, b.start) == 0 and a.start_included == b.start_included


def _same_end(a: Range, b: Range) -> bool:
    return _order(a.end, b.end) == 0 and a.end_included == b.end_included


def _starts_within(a: Range, b: Range) -> bool:
    """Whether `a` starts no earlier than `b`."""
    order = _order(a.start, b.start)
    return order > 0 or (order == 0 and (b.start_included or not a.start_included))


def _ends_within(a: Range, b: Range) -> bool:
    """Whether `a` ends no later than `b`."""
    order = _order(a.end, b.end)
    return order < 0 or (order == 0 and (b.end_included or not a.end_included))
