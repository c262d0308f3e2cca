"""The picture in a BPMN file: where each element is drawn (BPMN 2.0.2, chapter 12). Nothing here has meaning for a run.

Coordinates are those of the file, in pixels, x to the right and y downwards. A number that cannot be read leaves the
shape or edge out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from engine.bpmn.xml import DIAGRAM, Element, children
from engine.frozen import dataclass

__all__ = ["DC", "DI", "Box", "Edge", "Picture", "Plane", "Point", "Shape", "read_picture"]

DC: Final = "http://www.omg.org/spec/DD/20100524/DC"
DI: Final = "http://www.omg.org/spec/DD/20100524/DI"
BIOC: Final = "http://bpmn.io/schema/bpmn/biocolor/1.0"
COLOUR: Final = "http://www.omg.org/spec/BPMN/non-normative/color/1.0"
FARTHEST: Final = 1_000_000.0  #: a coordinate beyond this is no picture


@dataclass(frozen=True, kw_only=True)
class Point:
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Box:
    """Left upper corner and size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return Point(x=self.x + self.width / 2, y=self.y + self.height / 2)

    def touches(self, other: Box) -> bool:
        """Whether the two have a point in common, edges included."""
        return (
            self.right >= other.x
            and other.right >= self.x
            and self.bottom >= other.y
            and other.bottom >= self.y
        )

    def holds(self, other: Box) -> bool:
        """Whether `other` lies inside, edges included."""
        return (
            other.x >= self.x
            and other.y >= self.y
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A node, pool, lane, data object or note. `label` is where its name stands when that is said."""

    element: str
    box: Box
    label: Box | None = None
    is_expanded: bool | None = None  #: of sub-processes; None when the file does not say
    is_horizontal: bool = True  #: of pools and lanes
    fill: str = ""
    stroke: str = ""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A flow or association, as a line through at least two points."""

    element: str
    points: tuple[Point, ...]
    label: Box | None = None
    stroke: str = ""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One drawing: of a collaboration, of a process, or of what a collapsed sub-process holds."""

    element: str
    shapes: tuple[Shape, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    planes: tuple[Plane, ...]

    def drawn(self) -> frozenset[str]:
        """Return the ids of the elements that have a shape or an edge."""
        shapes = {shape.element for plane in self.planes for shape in plane.shapes}
        return frozenset(shapes | {edge.element for plane in self.planes for edge in plane.edges})

    def shapes(self) -> dict[str, Shape]:
        """Return {element id: its first shape}."""
        found: dict[str, Shape] = {}
        for plane in self.planes:
            for shape in plane.shapes:
                found.setdefault(shape.element, shape)
        return found


def read_picture(root: Element) -> Picture:
    """Return the drawings of a file whose outermost element is `root`; none when it has no diagram data."""
    return Picture(
        planes=tuple(
            _plane(plane)
            for diagram in children(root, "BPMNDiagram", DIAGRAM)
            for plane in children(diagram, "BPMNPlane", DIAGRAM)
        )
    )


def _plane(plane: Element) -> Plane:
    shapes = (_shape(shape) for shape in children(plane, "BPMNShape", DIAGRAM))
    edges = (_edge(edge) for edge in children(plane, "BPMNEdge", DIAGRAM))
    return Plane(
        element=_element(plane),
        shapes=tuple(shape for shape in shapes if shape is not None),
        edges=tuple(edge for edge in edges if edge is not None),
    )


def _shape(shape: Element) -> Shape | None:
    box = _box(shape)
    if box is None:
        return None
    expanded = shape.get("isExpanded")
    return Shape(
        element=_element(shape),
        box=box,
        label=_label(shape),
        is_expanded=None if expanded is None else expanded == "true",
        is_horizontal=shape.get("isHorizontal") != "false",
        fill=_colour(shape, "fill", "background-color"),
        stroke=_colour(shape, "stroke", "border-color"),
    )


def _edge(edge: Element) -> Edge | None:
    points = tuple(_points(edge))
    if len(points) < 2:
        return None
    stroke = _colour(edge, "stroke", "border-color")
    return Edge(element=_element(edge), points=points, label=_label(edge), stroke=stroke)


def _points(edge: Element) -> Iterator[Point]:
    for waypoint in children(edge, "waypoint", DI):
        x, y = _number(waypoint, "x"), _number(waypoint, "y")
        if x is not None and y is not None:
            yield Point(x=x, y=y)


def _label(owner: Element) -> Box | None:
    label = next(children(owner, "BPMNLabel", DIAGRAM), None)
    return None if label is None else _box(label)


def _box(owner: Element) -> Box | None:
    bounds = next(children(owner, "Bounds", DC), None)
    if bounds is None:
        return None
    x, y, width, height = (_number(bounds, name) for name in ("x", "y", "width", "height"))
    if x is None or y is None or width is None or height is None or width < 0 or height < 0:
        return None
    return Box(x=x, y=y, width=width, height=height)


def _number(element: Element, name: str) -> float | None:
    try:
        value = float(element.get(name) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= FARTHEST else None


def _colour(shape: Element, short: str, long: str) -> str:
    """Return a colour a modeller gave, as bpmn-js writes it; only #rrggbb is taken."""
    value = (shape.get(f"{{{BIOC}}}{short}") or shape.get(f"{{{COLOUR}}}{long}") or "").strip()
    is_hex = (
        len(value) == 7
        and value[0] == "#"
        and all(c in "0123456789abcdefABCDEF" for c in value[1:])
    )
    return value if is_hex else ""


def _element(shape: Element) -> str:
    return (shape.get("bpmnElement") or "").rpartition(":")[2]
