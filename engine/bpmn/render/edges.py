"""Flows and associations as lines with their ends. Pure."""

from __future__ import annotations

import math

from engine.bpmn.picture import Edge, Point
from engine.bpmn.render.svg import circle, number, path, polygon

__all__ = ["draw_edge", "middle"]

ROUND = 6.0  #: radius of a bend


def draw_edge(kind: str, edge: Edge, *, ink: str, is_default: bool, is_conditional: bool) -> str:
    """Return the line of a sequence flow, message flow or association."""
    first, last = edge.points[0], edge.points[-1]
    way = _way(edge.points)
    match kind:
        case "messageFlow":
            line = path(way, fill="none", stroke=ink, stroke_width=1.5, stroke_dasharray="8 5")
            ends = circle(first.x, first.y, 3.5, fill="#fff", stroke=ink)
            return line + ends + _head(edge.points[-2], last, fill="#fff", ink=ink)
        case "sequenceFlow":
            line = path(way, fill="none", stroke=ink, stroke_width=1.5)
            return (
                line
                + _head(edge.points[-2], last, fill=ink, ink=ink)
                + _tail(edge, ink, is_default, is_conditional)
            )
        case _:
            dotted = path(
                way, fill="none", stroke=ink, stroke_dasharray="1.5 4", stroke_linecap="round"
            )
            is_directed = kind in {"dataInputAssociation", "dataOutputAssociation"}
            return dotted + (_open_head(edge.points[-2], last, ink) if is_directed else "")


def middle(edge: Edge) -> Point:
    """Return the point half way along the line."""
    lengths = [
        math.dist((a.x, a.y), (b.x, b.y))
        for a, b in zip(edge.points, edge.points[1:], strict=False)
    ]
    left = sum(lengths) / 2
    for length, a, b in zip(lengths, edge.points, edge.points[1:], strict=False):
        if left <= length and length > 0:
            share = left / length
            return Point(x=a.x + (b.x - a.x) * share, y=a.y + (b.y - a.y) * share)
        left -= length
    return edge.points[0]


def _way(points: tuple[Point, ...]) -> str:
    """Return the path through `points` with rounded bends."""
    said = [f"M{_at(points[0])}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        said.append(f"L{_at(_towards(here, before))}Q{_at(here)} {_at(_towards(here, after))}")
    said.append(f"L{_at(points[-1])}")
    return "".join(said)


def _towards(here: Point, there: Point) -> Point:
    """Return the point ROUND pixels from `here` on the way to `there`, at most half the way."""
    length = math.dist((here.x, here.y), (there.x, there.y))
    share = min(ROUND, length / 2) / length if length else 0.0
    return Point(x=here.x + (there.x - here.x) * share, y=here.y + (there.y - here.y) * share)


def _head(before: Point, tip: Point, *, fill: str, ink: str) -> str:
    points = [_turned(before, tip, -11, side) for side in (-4.5, 4.5)]
    return polygon([tip, *points], fill=fill, stroke=ink, stroke_linejoin="round")


def _open_head(before: Point, tip: Point, ink: str) -> str:
    a, b = (_turned(before, tip, -9, side) for side in (-4.5, 4.5))
    return path(f"M{_at(a)}L{_at(tip)}L{_at(b)}", fill="none", stroke=ink)


def _tail(edge: Edge, ink: str, is_default: bool, is_conditional: bool) -> str:
    first, second = edge.points[0], edge.points[1]
    if is_default:
        a, b = _turned(second, first, -14, -5), _turned(second, first, -8, 5)
        return path(f"M{_at(a)}L{_at(b)}", stroke=ink, stroke_width=1.5)
    if is_conditional:
        ends = [first, *(_turned(second, first, *p) for p in ((-8, 5), (-16, 0), (-8, -5)))]
        return polygon(ends, fill="#fff", stroke=ink)
    return ""


def _turned(before: Point, tip: Point, along: float, side: float) -> Point:
    """Return the point `along` pixels past `tip` on the way from `before`, and `side` pixels beside it."""
    length = math.dist((before.x, before.y), (tip.x, tip.y)) or 1.0
    dx, dy = (tip.x - before.x) / length, (tip.y - before.y) / length
    return Point(x=tip.x + dx * along - dy * side, y=tip.y + dy * along + dx * side)


def _at(point: Point) -> str:
    return f"{number(point.x)} {number(point.y)}"
