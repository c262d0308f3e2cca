"""Nodes, pools, lanes, data and notes as shapes with their names. Pure."""

from __future__ import annotations

from typing import Final

from engine.bpmn.picture import Box, Point, Shape
from engine.bpmn.render.icons import event_icon, gateway_icon, marker, task_icon
from engine.bpmn.render.svg import circle, group, line, path, polygon, rect, words
from engine.bpmn.render.texts import LINE, SIZE, width, wrapped
from engine.bpmn.xml import Element, children, name_of, split, text_of

__all__ = ["INK", "draw_shape", "label_box", "named"]

INK: Final = "#1f2933"
PAPER: Final = "#ffffff"
LABEL_ROOM: Final = 110.0  #: pixels that the name of an event or gateway may be wide
ACTIVITIES: Final = frozenset({"subProcess", "callActivity", "transaction", "adHocSubProcess"})


def draw_shape(element: Element, shape: Shape) -> str:
    """Return an element with everything inside of its outline; the names of events and gateways stand outside."""
    kind = split(element)[1]
    ink, paper = shape.stroke or INK, shape.fill or PAPER
    if kind.endswith("Event"):
        return _event(element, shape.box, ink, paper)
    if kind.endswith("Gateway"):
        return _gateway(kind, shape.box, ink, paper)
    if kind.lower().endswith("task") or kind in ACTIVITIES:
        return _activity(element, shape, ink, paper)
    if kind in {"participant", "lane"}:
        return _band(element, shape, ink, paper)
    if kind in {"dataObjectReference", "dataInput", "dataOutput"}:
        return _data(element, shape.box, ink, paper)
    if kind == "dataStoreReference":
        return _store(shape.box, ink, paper)
    if kind == "textAnnotation":
        return _note(element, shape.box, ink)
    if kind == "group":
        return rect(
            *_corners(shape.box), rx=10, fill="none", stroke=ink, stroke_dasharray="10 6 2 6"
        )
    return rect(*_corners(shape.box), fill=paper, stroke=ink, stroke_dasharray="3 3")


def named(element: Element) -> bool:
    """Whether the name stands outside of the shape."""
    kind = split(element)[1]
    outside = {"dataObjectReference", "dataStoreReference", "dataInput", "dataOutput"}
    return kind.endswith(("Event", "Gateway")) or kind in outside


def label_box(name: str, shape: Shape) -> Box:
    """Return where the name of an event, gateway or data object stands: where the file says, else below."""
    room = max(shape.label.width, 40.0) if shape.label else LABEL_ROOM
    lines = wrapped(name, room)
    widest = max((width(text) for text in lines), default=0.0)
    height = len(lines) * LINE + 2.0
    if shape.label is not None:
        middle = shape.label.middle.x
        return Box(x=middle - room / 2, y=shape.label.y, width=room, height=height)
    middle = shape.box.middle.x
    return Box(x=middle - widest / 2, y=shape.box.bottom + 4, width=max(widest, 1.0), height=height)


# --- events and gateways --------------------------------------------------------------------------------


def _event(element: Element, box: Box, ink: str, paper: str) -> str:
    kind = split(element)[1]
    at, radius = box.middle, min(box.width, box.height) / 2
    passes = element.get("cancelActivity") == "false" or element.get("isInterrupting") == "false"
    dashes = "5 3.5" if passes else None
    is_end = kind == "endEvent"
    drawn = [
        circle(
            at.x,
            at.y,
            radius,
            fill=paper,
            stroke=ink,
            stroke_width=3.6 if is_end else 1.5,
            stroke_dasharray=dashes,
        )
    ]
    if kind not in {"startEvent", "endEvent"}:
        drawn.append(
            circle(at.x, at.y, radius - 3, fill="none", stroke=ink, stroke_dasharray=dashes)
        )
    throws = kind in {"endEvent", "intermediateThrowEvent"}
    drawn.append(event_icon(_definition(element), at.x, at.y, filled=throws, ink=ink))
    return "".join(drawn)


def _definition(element: Element) -> str:
    found = [split(c)[1].removesuffix("EventDefinition") for c in children(element) if split(c)[1].endswith("EventDefinition")]  # fmt: skip
    return "multiple" if len(found) > 1 else found[0] if found else ""


def _gateway(kind: str, box: Box, ink: str, paper: str) -> str:
    at = box.middle
    corners = (
        Point(x=at.x, y=box.y), Point(x=box.right, y=at.y), Point(x=at.x, y=box.bottom), Point(x=box.x, y=at.y),
    )  # fmt: skip
    diamond = polygon(corners, fill=paper, stroke=ink, stroke_width=1.5)
    return diamond + gateway_icon(kind, at.x, at.y, ink=ink)


# --- activities -----------------------------------------------------------------------------------------


def _activity(element: Element, shape: Shape, ink: str, paper: str) -> str:
    kind, box = split(element)[1], shape.box
    is_open = kind in ACTIVITIES and shape.is_expanded is True
    marks = _marks(element, shape)
    dashes = "1.5 4" if element.get("triggeredByEvent") == "true" else None
    thick = 4.0 if kind == "callActivity" else 1.5
    drawn = [
        rect(
            *_corners(box),
            rx=10,
            fill=paper,
            stroke=ink,
            stroke_width=thick,
            stroke_dasharray=dashes,
        )
    ]
    if kind == "transaction":
        inner = Box(x=box.x + 3, y=box.y + 3, width=box.width - 6, height=box.height - 6)
        drawn.append(rect(*_corners(inner), rx=7, fill="none", stroke=ink))
    drawn.append(task_icon(kind, box.x + 15, box.y + 15, ink=ink))
    drawn.append(_name_inside(name_of(element), box, is_open=is_open, marks=bool(marks), ink=ink))
    first = box.middle.x - (len(marks) - 1) * 10
    drawn += [
        marker(mark, first + 20 * n, box.bottom - 10, ink=ink) for n, mark in enumerate(marks)
    ]
    return "".join(drawn)


def _marks(element: Element, shape: Shape) -> list[str]:
    found = []
    for loop in children(element):
        match split(loop)[1]:
            case "multiInstanceLoopCharacteristics":
                found.append("sequential" if loop.get("isSequential") == "true" else "parallel")
            case "standardLoopCharacteristics":
                found.append("loop")
    if element.get("isForCompensation") == "true":
        found.append("compensation")
    kind = split(element)[1]
    if kind == "adHocSubProcess":
        found.append("adhoc")
    if kind in ACTIVITIES and shape.is_expanded is not True:
        found.append("collapsed")
    return found


def _name_inside(name: str, box: Box, *, is_open: bool, marks: bool, ink: str) -> str:
    """Return the name in the middle of a task, or at the top of an open sub-process."""
    room = box.width - 10
    if is_open:
        return "".join(_lines(wrapped(name, room, lines=2), box.middle.x, box.y + 16, ink))
    fitting = max(1, int((box.height - (36 if marks else 22)) // LINE))
    lines = wrapped(name, room, lines=fitting)
    moved = (
        -8 if marks and len(lines) > 2 else 8 if len(lines) > 3 else 0
    )  # past the marks, past the icon
    top = box.middle.y + moved - (len(lines) - 1) * LINE / 2 + SIZE * 0.36
    return "".join(_lines(lines, box.middle.x, top, ink))


def _lines(lines: list[str], x: float, y: float, ink: str) -> list[str]:
    return [
        words(x, y + n * LINE, text, text_anchor="middle", fill=ink) for n, text in enumerate(lines)
    ]


# --- pools, data, notes ---------------------------------------------------------------------------------


def _band(element: Element, shape: Shape, ink: str, paper: str) -> str:
    """Return a pool or lane; its name stands upright at its beginning."""
    box, is_pool = shape.box, split(element)[1] == "participant"
    drawn = [rect(*_corners(box), fill=paper if is_pool else "none", stroke=ink, stroke_width=1.5)]
    name = name_of(element)
    if not shape.is_horizontal:
        lines = wrapped(name, box.width - 8, lines=1)
        drawn += _lines(lines, box.middle.x, box.y + 20, ink)
        if is_pool:
            drawn.append(path(f"M{box.x:g} {box.y + 30:g}H{box.right:g}", stroke=ink))
        return "".join(drawn)
    if is_pool and _holds_something(element):
        drawn.append(path(f"M{box.x + 30:g} {box.y:g}V{box.bottom:g}", stroke=ink))
    if is_pool and not _holds_something(element):
        return "".join(
            [*drawn, *_lines(wrapped(name, box.width - 8), box.middle.x, box.middle.y + 4, ink)]
        )
    lines = wrapped(name, box.height - 8, lines=2)
    first = box.x + (19 if len(lines) < 2 else 13)
    for n, text in enumerate(lines):
        x = first + n * LINE
        turned = f"rotate(-90 {x:g} {box.middle.y:g})"
        drawn.append(words(x, box.middle.y, text, text_anchor="middle", fill=ink, transform=turned))
    return "".join(drawn)


def _holds_something(element: Element) -> bool:
    return bool(element.get("processRef"))


def _data(element: Element, box: Box, ink: str, paper: str) -> str:
    fold = min(12.0, box.width / 3)
    outline = f"M{box.x:g} {box.y:g}H{box.right - fold:g}L{box.right:g} {box.y + fold:g}V{box.bottom:g}H{box.x:g}Z"
    corner = f"M{box.right - fold:g} {box.y:g}V{box.y + fold:g}H{box.right:g}"
    drawn = path(outline, fill=paper, stroke=ink) + path(corner, fill="none", stroke=ink)
    is_list = element.get("isCollection") == "true"
    return drawn + (marker("parallel", box.middle.x, box.bottom - 9, ink=ink) if is_list else "")


def _store(box: Box, ink: str, paper: str) -> str:
    curve, half = box.height / 8, box.width / 2
    arc = f"a{half:g} {curve:g} 0 0 0 {box.width:g} 0"
    body = f"M{box.x:g} {box.y + curve:g}V{box.bottom - curve:g}{arc}V{box.y + curve:g}"
    lid = f"M{box.x:g} {box.y + curve:g}{arc}a{half:g} {curve:g} 0 0 0 {-box.width:g} 0"
    rings = "".join(
        path(f"M{box.x:g} {box.y + curve + n * 6:g}{arc}", fill="none", stroke=ink) for n in (1, 2)
    )
    return path(body, fill=paper, stroke=ink) + path(lid, fill=paper, stroke=ink) + rings


def _note(element: Element, box: Box, ink: str) -> str:
    bracket = [Point(x=box.x + 10, y=box.y), Point(x=box.x, y=box.y), Point(x=box.x, y=box.bottom), Point(x=box.x + 10, y=box.bottom)]  # fmt: skip
    text = " ".join(text_of(next(children(element, "text"), None)).split())
    lines = wrapped(text, box.width - 12, lines=max(1, int(box.height // LINE)))
    said = [words(box.x + 7, box.y + 16 + n * LINE, row, fill=ink) for n, row in enumerate(lines)]
    return line(bracket, stroke=ink) + group(said)


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height
