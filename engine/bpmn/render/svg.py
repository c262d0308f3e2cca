"""SVG as text: elements, numbers and escaped words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from engine.bpmn.picture import Point

__all__ = ["circle", "element", "group", "line", "number", "path", "polygon", "rect", "words"]


def element(tag: str, inside: Iterable[str] = (), /, **attributes: object) -> str:
    """Return an element; `class_` and `stroke_width` are written `class` and `stroke-width`, None is left out."""
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None and value != ""
    )
    body = "".join(inside)
    return f"<{tag}{said}>{body}</{tag}>" if body else f"<{tag}{said}/>"


def group(inside: Iterable[str], /, **attributes: object) -> str:
    return element("g", inside, **attributes)


def rect(x: float, y: float, width: float, height: float, **attributes: object) -> str:
    return element("rect", x=x, y=y, width=width, height=height, **attributes)


def circle(cx: float, cy: float, r: float, **attributes: object) -> str:
    return element("circle", cx=cx, cy=cy, r=r, **attributes)


def path(d: str, **attributes: object) -> str:
    return element("path", d=d, **attributes)


def line(points: Iterable[Point], **attributes: object) -> str:
    return element("polyline", points=_points(points), fill="none", **attributes)


def polygon(points: Iterable[Point], **attributes: object) -> str:
    return element("polygon", points=_points(points), **attributes)


def words(x: float, y: float, text: str, /, **attributes: object) -> str:
    """Return one line of text whose baseline is at `y`."""
    return element("text", [escape(text, quote=False)], x=x, y=y, **attributes)


def number(value: float) -> str:
    """Return a coordinate with at most two places and no trailing zeros.

    >>> number(12.0), number(0.333), number(-0.001)
    ('12', '0.33', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{number(point.x)},{number(point.y)}" for point in points)


def _value(value: object) -> str:
    return number(value) if isinstance(value, float | int) else str(value)
