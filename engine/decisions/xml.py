"""Reading XML that comes from anyone: nothing outside the given bytes is touched, and everything is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from engine.decisions.model import Text
from engine.errors import DefinitionError

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 200  #: XML elements inside each other
FEEL_LANGUAGES: Final = frozenset(
    {
        "feel",
        "http://www.omg.org/spec/FEEL/20140401",
        "http://www.omg.org/spec/DMN/20180521/FEEL/",
        "https://www.omg.org/spec/DMN/20191111/FEEL/",
        "https://www.omg.org/spec/DMN/20211108/FEEL/",
        "https://www.omg.org/spec/DMN/20230324/FEEL/",
    }
)


def parse_xml(content: bytes, source: str) -> etree._Element:
    """Parse with everything that reaches outside switched off, and check the bounds."""
    if len(content) > MAX_BYTES:
        raise DefinitionError(
            where=source, expected=f"at most {MAX_BYTES} bytes", got=f"{len(content)}"
        )
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as cause:
        line = getattr(cause, "lineno", None)
        where = f"{source}:{line}" if line else source
        raise DefinitionError(where=where, expected="well-formed XML", got=str(cause)) from cause
    if root.getroottree().docinfo.internalDTD is not None:
        raise DefinitionError(
            where=f"{source}:1",
            expected="XML without a document type",
            got="a DOCTYPE",
            hint="Remove the DOCTYPE; none is needed and it can hide entities.",
        )
    _check_depth(root, source)
    return root


def _check_depth(root: etree._Element, source: str) -> None:
    depth = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise DefinitionError(
                where=f"{source}:{element.sourceline}",
                expected=f"at most {MAX_DEPTH} elements inside each other",
                got="more",
            )


class XmlReader:
    """Finds elements, attributes and texts of one namespace, and says where something is wrong."""

    def __init__(self, root: etree._Element, source: str) -> None:
        self.root = root
        self.source = source
        self.ns = etree.QName(root).namespace or ""

    def children(self, e: etree._Element, name: str = "*") -> Iterator[etree._Element]:
        """Return the child elements in the namespace of the file, of one name or all."""
        return e.iterchildren(f"{{{self.ns}}}{name}")

    def child(self, e: etree._Element, name: str) -> etree._Element | None:
        """Return the first child of this name."""
        return e.find(f"{{{self.ns}}}{name}")

    def child_text(self, e: etree._Element, name: str) -> str:
        """Return the text of the first child of this name, stripped; empty when there is none."""
        found = self.child(e, name)
        if found is None:
            return ""
        whole = "".join(map(str, found.itertext())) if len(found) else found.text or ""
        return whole.strip()

    def text(self, e: etree._Element) -> Text:
        """Return the FEEL that stands in the child `text`."""
        return Text(text=self.child_text(e, "text"), id=e.get("id", ""), line=line_of(e))

    def unary_text(self, e: etree._Element, name: str) -> Text | None:
        """Return the unary tests of a child, None when it is missing or empty."""
        found = self.child(e, name)
        if found is None:
            return None
        self.check_language(found)
        text = self.text(found)
        return text if text.text else None

    def name(self, e: etree._Element) -> str:
        """Return the name with white space normalised, as FEEL compares names."""
        name = " ".join(self.attribute(e, "name").split())
        if not name:
            raise self.error(e, "a name", "an empty one")
        return name

    def attribute(self, e: etree._Element, name: str) -> str:
        """Return an attribute that must be there."""
        value = e.get(name)
        if value is None:
            raise self.error(e, f"attribute {name!r}", "none")
        return value

    def check_language(self, e: etree._Element, attribute: str = "expressionLanguage") -> None:
        """Refuse expressions in another language than FEEL."""
        language = e.get(attribute)
        if language and language not in FEEL_LANGUAGES and language.lower() != "feel":
            raise self.error(e, "expressions in FEEL", repr(language))

    def error(self, e: etree._Element, expected: str, got: str) -> DefinitionError:
        """Return an error with `file:line` and the id of the nearest element that has one."""
        owner = e
        while owner.get("id") is None and (parent := owner.getparent()) is not None:
            owner = parent
        id_ = owner.get("id")
        where = f"{self.source}:{line_of(e)}" + (f" ({id_})" if id_ else "")
        return DefinitionError(where=where, expected=expected, got=got)


def local_name(e: etree._Element) -> str:
    """Return the name of an element without its namespace."""
    return etree.QName(e).localname


def line_of(e: etree._Element) -> int:
    """Return the line an element stands on, 0 when it is not known."""
    line: object = e.sourceline  # lxml-stubs 0.5.1 types it as an ellipsis
    return line if isinstance(line, int) else 0
