"""A BPMN file as SVG, drawn from its own diagram data; the same file gives the same bytes. Pure.

What a sub-process holds that is drawn closed stands below, under its name. Each element is a group with its id
(`data-element`) and a title that says what it is, so that a page can find it. A file that would be refused is drawn as
far as it has a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.bpmn.picture import Box, Edge, Picture, Plane, Shape, read_picture
from engine.bpmn.render.edges import draw_edge, middle
from engine.bpmn.render.shapes import INK, draw_shape, label_box, named
from engine.bpmn.render.svg import element, group, number, words
from engine.bpmn.render.texts import LINE, SIZE, width, wrapped
from engine.bpmn.xml import BPMN, Element, children, label, name_of, parse, split, text_of
from engine.frozen import dataclass

__all__ = ["render"]

MARGIN: Final = 24.0
GAP: Final = 70.0  #: between two drawings
FONT: Final = "Arial, Helvetica, sans-serif"
EDGE_ROOM: Final = 90.0  #: pixels that the name of a flow may be wide
#: what lies under what: pools, then open sub-processes, then lines, then nodes, then what is attached to them
_LEVELS: Final = {"participant": 0, "lane": 1, "group": 2, "subProcess": 3, "boundaryEvent": 6}


def render(content: bytes, file: str, picture: Picture | None = None) -> str:
    """Return the drawing of a BPMN file; `picture` stands in for one that the file does not have.

    Raises BpmnDefinitionError when `content` is no BPMN.
    """
    root = parse(content, file)
    drawn = picture or read_picture(root)
    known = {e.get("id") or "": e for e in root.iter(f"{{{BPMN}}}*") if e.get("id")}
    title = next((name_of(e) or e.get("id") or file for e in children(root, "process")), file)
    parts: list[str] = []
    right, top = 0.0, 0.0
    for place, plane in enumerate(drawn.planes):
        drawing = _Drawing(plane, known)
        extent = drawing.extent()
        if extent is None:
            continue
        heading = 24.0 if place else 0.0
        moved = (
            f"translate({number(MARGIN - extent.x)} {number(top + MARGIN + heading - extent.y)})"
        )
        if place and plane.element in known:
            said = label(known[plane.element])
            parts.append(words(MARGIN, top + MARGIN + 10, said, fill=INK, font_weight="bold"))
        parts.append(group(drawing.parts(), transform=moved))
        right = max(right, extent.width + 2 * MARGIN)
        top += extent.height + heading + GAP
    return _page(parts, right or 200.0, max(top - GAP, 0.0) + 2 * MARGIN, title)


def _page(parts: list[str], right: float, bottom: float, title: str) -> str:
    return element(
        "svg",
        [
            element("title", [_escaped(title)]),
            element("rect", width="100%", height="100%", fill="#ffffff"),
            *parts,
        ],
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(right)} {number(bottom)}",
        width=right,
        height=bottom,
        font_family=FONT,
        font_size=SIZE,
    )


@dataclass(frozen=True, eq=False)
class _Drawing:
    """One plane with the elements it shows."""

    plane: Plane
    known: Mapping[str, Element]

    def shapes(self) -> Iterator[tuple[Element, Shape]]:
        for shape in self.plane.shapes:
            if shape.element in self.known:
                yield self.known[shape.element], shape

    def edges(self) -> Iterator[tuple[Element, Edge]]:
        for edge in self.plane.edges:
            if edge.element in self.known:
                yield self.known[edge.element], edge

    def parts(self) -> list[str]:
        below = [item for item in self.shapes() if _level(item[0], item[1]) < 5]
        above = [item for item in self.shapes() if _level(item[0], item[1]) >= 5]
        return [
            *(_titled(e, draw_shape(e, s)) for e, s in sorted(below, key=_by_level)),
            *(_titled(e, self._edge(e, edge)) for e, edge in self.edges()),
            *(_titled(e, draw_shape(e, s)) for e, s in sorted(above, key=_by_level)),
            *(said for name, box in self.labels() for said in _label(name, box)),
        ]

    def labels(self) -> Iterator[tuple[str, Box]]:
        """Yield the names that stand outside of shapes, and where."""
        for node, shape in self.shapes():
            if named(node) and name_of(node):
                yield name_of(node), label_box(name_of(node), shape)
        for flow, edge in self.edges():
            if name_of(flow):
                yield name_of(flow), _edge_label(name_of(flow), edge)

    def extent(self) -> Box | None:
        """Return the box around everything, None when nothing is drawn."""
        boxes = [shape.box for _, shape in self.shapes()] + [box for _, box in self.labels()]
        points = [point for _, edge in self.edges() for point in edge.points]
        boxes += [Box(x=point.x, y=point.y, width=0, height=0) for point in points]
        if not boxes:
            return None
        left, top = min(box.x for box in boxes), min(box.y for box in boxes)
        right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
        return Box(x=left, y=top, width=right - left, height=bottom - top)

    def _edge(self, flow: Element, edge: Edge) -> str:
        source = self.known.get(flow.get("sourceRef") or "")
        is_choice = source is not None and split(source)[1].endswith("Gateway")
        return draw_edge(
            split(flow)[1],
            edge,
            ink=edge.stroke or INK,
            is_default=source is not None and source.get("default") == flow.get("id"),
            is_conditional=not is_choice
            and next(children(flow, "conditionExpression"), None) is not None,
        )


def _level(node: Element, shape: Shape) -> int:
    kind = split(node)[1]
    if kind == "subProcess" and shape.is_expanded is not True:
        return 5
    return _LEVELS.get(kind, 5)


def _by_level(item: tuple[Element, Shape]) -> tuple[int, float]:
    """Larger ones first: what lies inside is drawn over what it lies in."""
    box = item[1].box
    return _level(*item), -box.width * box.height


def _titled(node: Element, drawn: str) -> str:
    title = element("title", [_escaped(", ".join([label(node), *_details(node)]))])
    return group([title, drawn], data_element=node.get("id") or "")


def _details(node: Element) -> Iterator[str]:
    """Yield what a task, gateway or flow is bound to, as it is written."""
    for child in (
        c for extensions in children(node, "extensionElements") for c in extensions.iter("{*}*")
    ):
        match split(child)[1]:
            case "taskDefinition":
                yield f"job type {child.get('type')}"
            case "calledDecision":
                yield f"decision {child.get('decisionId')}"
            case "calledElement":
                yield f"calls {child.get('processId')}"
            case "property" if child.get("name") == "policy":
                yield f'asks policy "{child.get("value")}"'
    condition = next(children(node, "conditionExpression"), None)
    if condition is not None:
        yield f"when {text_of(condition)}"


def _edge_label(name: str, edge: Edge) -> Box:
    room = max(edge.label.width, 40.0) if edge.label else EDGE_ROOM
    lines = wrapped(name, room)
    widest = max((width(text) for text in lines), default=1.0)
    height = len(lines) * LINE + 2.0
    if edge.label is not None:
        x = edge.label.middle.x - room / 2
        return Box(x=x, y=edge.label.y, width=room, height=height)
    at = middle(edge)
    return Box(x=at.x - widest / 2, y=at.y - height - 2, width=widest, height=height)


def _label(name: str, box: Box) -> Iterator[str]:
    """Yield a name line by line, with a white edge so that it can be read over a flow."""
    for row, text in enumerate(wrapped(name, box.width + 0.5)):
        yield words(
            box.middle.x,
            box.y + SIZE + row * LINE,
            text,
            text_anchor="middle",
            fill=INK,
            stroke="#ffffff",
            stroke_width=3,
            paint_order="stroke",
            stroke_linejoin="round",
        )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
