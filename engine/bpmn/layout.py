"""A picture for a file that has none, laid out by bpmn.io's algorithm (PyPI `bpmn-io`). Pure.

Each process is laid out by itself; what a sub-process holds gets a plane of its own, so it is drawn closed. Pools stand
one below the other, those of others as empty bands, with the messages between them as straight lines.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lxml import etree

from engine.bpmn.dialect import NODES
from engine.bpmn.picture import Box, Edge, Picture, Plane, Point, Shape, read_picture
from engine.bpmn.xml import BPMN, DIAGRAM, Element, children, parse, split
from engine.errors import DefinitionError

__all__ = ["laid_out"]

MAX_NODES = 500  #: flow nodes of a file
BAND = 30.0  #: pixels for the name of a pool
GAP = 60.0


def laid_out(content: bytes, file: str) -> Picture:
    """Return a picture of every process of a file, the one it has left aside.

    Raises BpmnDefinitionError when `content` is no BPMN, DefinitionError when it cannot be laid out.
    """
    root = parse(content, file)
    _check_size(root, file)
    planes = {
        process.get("id") or "": _plane(root, process, file)
        for process in children(root, "process")
        if any(split(child)[1] != "documentation" for child in children(process))
    }
    top: list[Plane] = []
    inner: list[Plane] = []
    scopes = {
        id_: list(_scopes(e)) for e in children(root, "process") if (id_ := e.get("id") or "")
    }
    for id_, plane in planes.items():
        for scope, inside in scopes.get(id_, ()):
            (top if scope == id_ else inner).append(_part(plane, scope, inside))
    collaboration = next(children(root, "collaboration"), None)
    if collaboration is not None:
        top = [_pools(collaboration, {plane.element: plane for plane in top})]
    return Picture(planes=(*top, *inner))


def _check_size(root: Element, file: str) -> None:
    """Refuse what would take minutes: the algorithm looks at every pair of places."""
    count = sum(split(element)[1] in NODES for element in root.iter(f"{{{BPMN}}}*"))
    if count > MAX_NODES:
        raise DefinitionError(
            "the diagram is too large to be laid out",
            where=file,
            expected=f"at most {MAX_NODES} flow nodes",
            got=str(count),
            hint="Draw it in a modeller.",
        )


def _plane(root: Element, process: Element, file: str) -> Plane:
    """Return the layout of one process, everything of every depth in one plane."""
    from bpmn_io import LayoutError, ParseError, layout_process  # slow to import, and seldom needed

    alone = copy.deepcopy(root)
    for child in list(alone):
        name = split(child)
        others = name[0] == DIAGRAM or name[1] in {"process", "collaboration"}
        if others and child.get("id") != process.get("id"):
            alone.remove(child)
    try:
        drawn = layout_process(etree.tostring(alone, encoding="unicode"))
        planes = read_picture(parse(drawn.encode(), file)).planes
    except (LayoutError, ParseError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DefinitionError(
            "the diagram cannot be laid out", where=file, hint="Draw it in a modeller."
        ) from error
    return planes[0] if planes else Plane(element=process.get("id") or "", shapes=(), edges=())


def _scopes(process: Element) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield (id, ids of what lies directly inside) of a process and of each sub-process in it."""
    held = {"process", "subProcess", "transaction", "adHocSubProcess"}
    for scope in (process, *process.iterdescendants(f"{{{BPMN}}}*")):
        if split(scope)[1] in held and scope.get("id"):
            yield scope.get("id") or "", frozenset(c.get("id") or "" for c in children(scope))


def _part(plane: Plane, scope: str, inside: frozenset[str]) -> Plane:
    return Plane(
        element=scope,
        shapes=tuple(shape for shape in plane.shapes if shape.element in inside),
        edges=tuple(edge for edge in plane.edges if edge.element in inside),
    )


def _pools(collaboration: Element, planes: Mapping[str, Plane]) -> Plane:
    pools = list(children(collaboration, "participant"))
    extents = {id_: extent for id_, plane in planes.items() if (extent := _extent(plane))}
    wide = max((extent.width for extent in extents.values()), default=300.0) + BAND + 60
    shapes: list[Shape] = []
    edges: list[Edge] = []
    y = 80.0
    for pool in pools:
        process = (pool.get("processRef") or "").rpartition(":")[2]
        extent = extents.get(process)
        height = (extent.height if extent else 0.0) + 60
        shapes.append(
            Shape(element=pool.get("id") or "", box=Box(x=160, y=y, width=wide, height=height))
        )
        if extent is not None:
            moved = _moved(planes[process], 160 + BAND + 30 - extent.x, y + 30 - extent.y)
            shapes += moved.shapes
            edges += moved.edges
        y += height + GAP
    edges += _messages(collaboration, shapes)
    return Plane(element=collaboration.get("id") or "", shapes=tuple(shapes), edges=tuple(edges))


def _messages(collaboration: Element, shapes: Iterable[Shape]) -> Iterator[Edge]:
    boxes = {shape.element: shape.box for shape in shapes}
    for flow in children(collaboration, "messageFlow"):
        source, target = (
            boxes.get(flow.get("sourceRef") or ""),
            boxes.get(flow.get("targetRef") or ""),
        )
        if source is None or target is None:
            continue
        x = min(source.right, target.right, max(source.x, target.x) + 18)
        down = source.y < target.y
        ends = (source.bottom, target.y) if down else (source.y, target.bottom)
        points = tuple(Point(x=x, y=end) for end in ends)
        yield Edge(element=flow.get("id") or "", points=points)


def _extent(plane: Plane) -> Box | None:
    boxes = [shape.box for shape in plane.shapes]
    boxes += [Box(x=p.x, y=p.y, width=0, height=0) for edge in plane.edges for p in edge.points]
    if not boxes:
        return None
    x, y = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return Box(x=x, y=y, width=right - x, height=bottom - y)


def _moved(plane: Plane, dx: float, dy: float) -> Plane:
    return replace(
        plane,
        shapes=tuple(
            replace(shape, box=replace(shape.box, x=shape.box.x + dx, y=shape.box.y + dy))
            for shape in plane.shapes
        ),
        edges=tuple(
            replace(edge, points=tuple(Point(x=p.x + dx, y=p.y + dy) for p in edge.points))
            for edge in plane.edges
        ),
    )
