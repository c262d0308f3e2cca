"""BPMN bytes to an XML tree, with everything that reaches outside switched off and every size bounded.

Invariants
- Nothing but the given bytes is read: no DTD, no entity, no network. A DOCTYPE is refused.
- Size, depth and number of elements are bounded before anything else looks at the tree.
- Comments and processing instructions carry no meaning and are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from engine.bpmn.errors import BpmnDefinitionError
from engine.bpmn.model import Finding

__all__ = ["BPMN", "Element", "children", "label", "line", "name_of", "parse", "split", "text_of"]

Element = etree._Element

BPMN: Final = "http://www.omg.org/spec/BPMN/20100524/MODEL"
MAX_BYTES: Final = 2 * 1024 * 1024
MAX_DEPTH: Final = 100  #: XML elements inside each other
MAX_ELEMENTS: Final = 50_000  #: XML elements of a file, diagram data included
_SPACE: Final = re.compile(rb"[\xef\xbb\xbf \t\r\n]*")
_LXML_PLACE: Final = re.compile(r", line \d+, column \d+ \(<string>, line \d+\)$")
DIAGRAM: Final = "http://www.omg.org/spec/BPMN/20100524/DI"


def parse(content: bytes, file: str) -> Element:
    """Return the root of a BPMN file. Raises BpmnDefinitionError with one finding."""
    if len(content) > MAX_BYTES:
        got = f"expected at most {MAX_BYTES} bytes, but the file has {len(content)}"
        raise _refused(file, 1, "too-large", got, "Split the diagram into several processes.")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        remove_blank_text=True,
    )
    if _begins_with_doctype(content):
        raise _doctype(file)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as cause:
        where = getattr(cause, "lineno", None) or 1
        got = f"expected well-formed XML, but found: {_LXML_PLACE.sub('', str(cause))}"
        raise _refused(file, where, "xml-invalid", got, "Save it from a BPMN modeller.") from cause
    if root.getroottree().docinfo.internalDTD is not None:
        raise _doctype(file)
    _check_bounds(root, file)
    if split(root) != (BPMN, "definitions"):
        got = f"expected bpmn:definitions as the outermost element, but found {split(root)[1]}"
        raise _refused(file, line(root), "not-bpmn", got, "Save it from a BPMN modeller.")
    return root


def split(element: Element) -> tuple[str, str]:
    """Return (namespace, local name) of an element."""
    tag = str(element.tag)
    namespace, _, local = tag.rpartition("}")
    return namespace.removeprefix("{"), local


def children(
    element: Element, local: str | None = None, namespace: str = BPMN
) -> Iterator[Element]:
    """Yield the child elements in `namespace`, all or those called `local`."""
    return element.iterchildren(f"{{{namespace}}}{local or '*'}")


def line(element: Element) -> int:
    found: object = element.sourceline
    return found if isinstance(found, int) else 1


def text_of(element: Element | None) -> str:
    """Return the whole text inside an element, stripped; "" when there is none."""
    return "" if element is None else "".join(map(str, element.itertext())).strip()


def name_of(element: Element) -> str:
    """Return the name of an element on one line, as a person reads it."""
    return " ".join((element.get("name") or "").split())


def label(element: Element) -> str:
    """Return kind, name and id of an element as a person would say them."""
    kind = _words(split(element)[1])
    name, id_ = name_of(element), element.get("id") or ""
    known = f'"{name}" ({id_})' if name and id_ else f'"{name}"' if name else id_
    return f"{kind} {known}".strip()


def _words(camel: str) -> str:
    return "".join(f" {char.lower()}" if char.isupper() else char for char in camel)


def _check_bounds(root: Element, file: str) -> None:
    depth = count = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            depth -= 1
            continue
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH:
            got = f"expected at most {MAX_DEPTH} XML elements inside each other, but found more"
            raise _refused(file, line(element), "too-deep", got, "Use call activities.")
        if count > MAX_ELEMENTS:
            got = f"expected at most {MAX_ELEMENTS} XML elements, but found more"
            raise _refused(file, line(element), "too-large", got, "Split the diagram.")


def _begins_with_doctype(content: bytes) -> bool:
    """Whether a DOCTYPE comes first, in encodings that ASCII is a part of: said before entities are looked at."""
    at = 0
    while True:
        space = _SPACE.match(content, at)
        at = space.end() if space else at
        start = content[at : at + 9]
        end = b"?>" if start.startswith(b"<?") else b"-->" if start.startswith(b"<!--") else None
        closed = content.find(end, at) if end else -1
        if end is None or closed < 0:
            return start.upper() == b"<!DOCTYPE"
        at = closed + len(end)


def _doctype(file: str) -> BpmnDefinitionError:
    got = "expected BPMN without a document type, but found a DOCTYPE"
    hint = "Remove the DOCTYPE; BPMN needs none and it can hide entities."
    return _refused(file, 1, "doctype", got, hint)


def _refused(file: str, where: int, rule: str, message: str, hint: str) -> BpmnDefinitionError:
    return BpmnDefinitionError(
        [
            Finding(
                file=file,
                line=where,
                severity="error",
                rule=rule,
                element="",
                message=message,
                hint=hint,
            )
        ]
    )
