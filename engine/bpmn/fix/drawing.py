"""A file without a picture gets one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.fix.tags import Source, attribute
from engine.bpmn.layout import laid_out
from engine.bpmn.picture import DC, DI, Box, Edge, Plane, Shape
from engine.bpmn.render.svg import number
from engine.bpmn.xml import DIAGRAM, children
from engine.errors import DefinitionError

__all__ = ["missing_picture"]


def missing_picture(source: Source) -> list[str]:
    """Draw a file that has no diagram data at all; one that has some is left to its modeller."""
    if next(children(source.root, "BPMNDiagram", DIAGRAM), None) is not None:
        return []
    try:
        picture = laid_out(source.text.encode(source.encoding), "")
    except DefinitionError:
        return []
    planes = [plane for plane in picture.planes if plane.shapes]
    if not planes:
        return []
    names = _Names(
        di=source.declare("bpmndi", DIAGRAM),
        dc=source.declare("dc", DC),
        way=source.declare("di", DI),
    )
    written = "\n".join(line for plane in planes for line in names.diagram(plane))
    last = source.root[-1] if len(source.root) else None
    source.insert(source.root, last, written)
    return [f"{plane.element} has a picture" for plane in planes]


class _Names:
    """Writes diagram data with the prefixes of a file."""

    def __init__(self, *, di: str, dc: str, way: str) -> None:
        self._di, self._dc, self._way = di, dc, way

    def diagram(self, plane: Plane) -> Iterator[str]:
        id_ = plane.element
        yield f"<{self._di}BPMNDiagram{attribute('id', f'Diagram_{id_}')}>"
        yield f"  <{self._di}BPMNPlane{attribute('id', f'Plane_{id_}')}{attribute('bpmnElement', id_)}>"
        for shape in plane.shapes:
            yield from self._shape(shape)
        for edge in plane.edges:
            yield from self._edge(edge)
        yield f"  </{self._di}BPMNPlane>"
        yield f"</{self._di}BPMNDiagram>"

    def _shape(self, shape: Shape) -> Iterator[str]:
        of = attribute("bpmnElement", shape.element)
        yield f"    <{self._di}BPMNShape{attribute('id', f'{shape.element}_di')}{of}>"
        yield f"      {self._bounds(shape.box)}"
        yield f"    </{self._di}BPMNShape>"

    def _edge(self, edge: Edge) -> Iterator[str]:
        of = attribute("bpmnElement", edge.element)
        yield f"    <{self._di}BPMNEdge{attribute('id', f'{edge.element}_di')}{of}>"
        for point in edge.points:
            yield f'      <{self._way}waypoint x="{number(point.x)}" y="{number(point.y)}" />'
        yield f"    </{self._di}BPMNEdge>"

    def _bounds(self, box: Box) -> str:
        values = (("x", box.x), ("y", box.y), ("width", box.width), ("height", box.height))
        said = "".join(attribute(name, number(value)) for name, value in values)
        return f"<{self._dc}Bounds{said} />"
