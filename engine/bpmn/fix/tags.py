"""Edits of XML text that leave every other character where it is. Pure.

lxml says what is there, this module where: the tags of a well-formed file in their order, each with its place in the
text. Edits are collected and applied together, from the end to the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from html import escape
from typing import Final

from lxml import etree

from engine.bpmn.xml import Element
from engine.frozen import dataclass

__all__ = ["Source", "Tag", "attribute"]

_TAG: Final = re.compile(
    r"""<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<(?P<close>/?)(?P<name>[^\s/>]+)(?:[^>"']|"[^"]*"|'[^']*')*>""",
    re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(r"""\s+(?P<name>[^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True, kw_only=True)
class Tag:
    """Where an element stands: its start tag is `[start, inside)`, what it holds `[inside, end)`, all of it ends at
    `after`. An element without content (`<a/>`) has `inside == end == after`."""

    name: str  #: with its prefix, as written
    start: int
    inside: int
    end: int
    after: int

    @property
    def is_empty(self) -> bool:
        return self.end == self.after


@dataclass(eq=False)
class Source:
    """One file under repair: `root` is what lxml read from `text`."""

    text: str
    encoding: str
    root: Element
    _tags: dict[Element, Tag] = field(default_factory=dict)
    _edits: list[tuple[int, int, str]] = field(default_factory=list)
    _filled: dict[Element, list[str]] = field(default_factory=dict)  #: what empty elements get

    def __post_init__(self) -> None:
        self._tags = dict(zip(self.root.iter(etree.Element), _tags(self.text), strict=True))

    def tag(self, element: Element) -> Tag:
        return self._tags[element]

    def written(self, element: Element) -> str:
        """Return an element as it is written."""
        tag = self._tags[element]
        return self.text[tag.start : tag.after]

    def put(self, element: Element, name: str, value: str) -> None:
        """Give an element an attribute, or another value of one it has; `name` has its prefix."""
        tag = self._tags[element]
        for found in self._attributes(tag):
            if found.group("name") == name:
                self._edit(found.start(), found.end(), attribute(name, value))
                return
        at = tag.inside - (2 if self.text[tag.start : tag.inside].endswith("/>") else 1)
        at -= len(self.text[tag.start : at]) - len(self.text[tag.start : at].rstrip())
        self._edit(at, at, attribute(name, value))

    def drop(self, element: Element, names: frozenset[str]) -> None:
        """Take attributes away; `names` have their prefix."""
        for found in self._attributes(self._tags[element]):
            if found.group("name") in names:
                self._edit(found.start(), found.end(), "")

    def say(self, element: Element, text: str) -> None:
        """Give an element that holds nothing but text another text."""
        tag = self._tags[element]
        if not tag.is_empty:
            self._edit(tag.inside, tag.end, escape(text, quote=False))

    def replace(self, element: Element, written: str) -> None:
        tag = self._tags[element]
        self._edit(tag.start, tag.after, written)

    def remove(self, element: Element) -> None:
        """Take an element away, with the line it stands alone on."""
        tag = self._tags[element]
        start = len(self.text[: tag.start].rstrip(" \t"))
        stands_alone = (
            self.text[:start].endswith("\n") and self.text[tag.after :].lstrip(" \t")[:1] in "\r\n"
        )
        if stands_alone:
            start -= 2 if self.text[:start].endswith("\r\n") else 1
        self._edit(start if stands_alone else tag.start, tag.after, "")

    def insert(self, parent: Element, after: Element | None, written: str) -> None:
        """Put elements into `parent`, behind its child `after`, or before all of them; on lines of their own when the
        other children stand so."""
        tag = self._tags[parent]
        if tag.is_empty:
            self._filled.setdefault(parent, []).append(written)
            return
        indent = self._indent(parent)
        lines = self._lines(indent, written)
        at = tag.inside if after is None else self._tags[after].after
        stands_alone = (
            after is None and not len(parent) and "\n" not in self.text[tag.inside : tag.end]
        )
        self._edit(at, at, lines + (f"{self.newline}{indent}" if stands_alone else ""))

    def edited(self) -> str:
        """Return the text with all edits; edits at one place stand in the order they were made."""
        text = self.text
        for element, parts in self._filled.items():
            self._open(element, parts)
        self._filled.clear()
        numbered = sorted(
            enumerate(self._edits), key=lambda item: (item[1][0], item[1][1], item[0])
        )
        for _, (start, end, new) in reversed(numbered):
            text = text[:start] + new + text[end:]
        return text

    def _open(self, element: Element, parts: list[str]) -> None:
        """Turn `<a/>` into `<a>…</a>`."""
        tag, indent = self._tags[element], self._indent(element)
        start = tag.start + len(self.text[tag.start : tag.after].removesuffix("/>").rstrip())
        lines = "".join(self._lines(indent, part) for part in parts)
        self._edit(start, tag.after, f">{lines}{self.newline}{indent}</{tag.name}>")

    def _lines(self, indent: str, written: str) -> str:
        return "".join(f"{self.newline}{indent}  {line}" for line in written.splitlines())

    @property
    def newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def prefix(self, namespace: str) -> str:
        """Return the prefix of a namespace with its colon; "" when it is the default one or is not declared."""
        for prefix, uri in self.root.nsmap.items():
            if uri == namespace:
                return f"{prefix}:" if prefix else ""
        return ""

    def declare(self, prefix: str, namespace: str) -> str:
        """Return a prefix of `namespace` with its colon, declared at the outermost element if need be."""
        for known, uri in self.root.nsmap.items():
            if uri == namespace and known:
                return f"{known}:"
        while prefix in self.root.nsmap:
            prefix = f"{prefix}1"
        self.put(self.root, f"xmlns:{prefix}", namespace)
        return f"{prefix}:"

    def _edit(self, start: int, end: int, new: str) -> None:
        self._edits.append((start, end, new))

    def _attributes(self, tag: Tag) -> Iterator[re.Match[str]]:
        return _ATTRIBUTE.finditer(self.text, tag.start + 1 + len(tag.name), tag.inside)

    def _indent(self, element: Element) -> str:
        line = self.text[: self._tags[element].start].rpartition("\n")[2]
        return line if not line.strip() else line[: len(line) - len(line.lstrip())]


def attribute(name: str, value: str) -> str:
    """Return an attribute as it stands in a tag, with a space before it.

    >>> attribute("name", 'a "b" & c')
    ' name="a &quot;b&quot; &amp; c"'
    """
    escaped = escape(value, quote=False).replace('"', "&quot;").replace("\n", "&#10;")
    return f' {name}="{escaped}"'


def _tags(text: str) -> list[Tag]:
    """Return the tags of all elements in the order in which they begin."""
    found: list[Tag | None] = []
    opened: list[tuple[int, str, int, int]] = []
    for match in _TAG.finditer(text):
        name = match.group("name")
        if name is None or name.startswith("!"):
            continue
        start, after = match.span()
        if match.group("close"):
            place, opening, begun, inside = opened.pop()
            found[place] = Tag(name=opening, start=begun, inside=inside, end=start, after=after)
        elif match.group().endswith("/>"):
            name = name.removesuffix("/")
            found.append(Tag(name=name, start=start, inside=after, end=after, after=after))
        else:
            opened.append((len(found), name, start, after))
            found.append(None)
    return [tag for tag in found if tag is not None]
