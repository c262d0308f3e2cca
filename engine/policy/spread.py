"""A policy written so that each statement of a rule stands on a line of its own: what a line did is what it did.

Engines tell which lines they reached, and nothing smaller. `x if { a; b }` is therefore measured as

    x if {
    a;
    b
    true
    }

where the line `true`, which is ours, is reached exactly when the body held. A value of the head is worked out once more
in front of it, for a rule whose value is undefined says nothing. The meaning stays the same on both back ends (tests
compare them), and `Spread.lines` leads back to the author's lines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise

from engine.frozen import dataclass
from engine.policy.tree import Module, Tree, dotted

_QUOTES = b'"`'


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a body: where the author wrote it (1-based), its text, its lines in the spread text."""

    line: int
    column: int
    text: str
    at: range


@dataclass(frozen=True, kw_only=True)
class Body:
    """One way in which a rule can hold: a rule, or one `else` of it. `held_at` is a line of the spread text."""

    name: str
    line: int
    column: int
    last: int
    start: int  #: of the whole rule, an offset into the author's text in bytes
    end: int
    collects: bool  #: adds a member to a set, as `deny contains …` does
    negates: tuple[str, ...]  #: names that stand under `not` in it
    statements: tuple[Statement, ...]
    held_at: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One file: the text to measure, the author's line of each of its lines (from index 1), its bodies in order."""

    text: str
    lines: tuple[int, ...]
    bodies: tuple[Body, ...]


def spread(module: Module) -> Spread:
    """Return `module` with a statement a line."""
    text = module.text
    found = [part for rule in module.tree["rules"] for part in _bodies(rule, text)]
    inserted = sorted(
        ((at, order, new) for part in found for order, (at, new) in enumerate(part.inserted)),
        key=lambda one: one[0],
    )
    places = _Places(text, [(at, new) for at, _, new in inserted])
    return Spread(
        text=places.text.decode(),
        lines=places.lines,
        bodies=tuple(_placed(part, places, text) for part in found),
    )


# --- what is found on the tree ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A body before the text is spread: offsets into the author's text, and what is put in."""

    name: str
    span: Mapping[str, int]
    rule: tuple[int, int]
    end: int
    held: int
    after: int  #: lines between that place and the line that says: it held
    collects: bool
    negates: tuple[str, ...]
    statements: tuple[tuple[Mapping[str, int], int, int], ...]
    inserted: tuple[tuple[int, bytes], ...]


def _bodies(rule: Tree, text: bytes) -> Iterator[_Found]:
    spec = rule.get("Spec")
    if spec is None:
        return
    (head,) = spec["head"].values()
    bodies = spec["bodies"] or [
        {"span": head["span"], "is_else": False, "query": None, "assign": None}
    ]
    whole = _outer(spec["span"], text)
    for number, body in enumerate(bodies):
        query = body["query"]
        statements = tuple(
            (stmt["span"], *_outer(stmt["span"], text)) for stmt in (query or {}).get("stmts", ())
        )
        value = _value(head, body, text)
        inserted, held = _insertions(body, value, statements, text)
        yield _Found(
            name=dotted(head["refr"]).rstrip(".") + (" else" if body["is_else"] else ""),
            span=body["span"] if body["is_else"] else spec["span"],
            rule=whole,
            end=max(_outer(body["span"], text)[1], *(end for _, _, end in statements), 0),
            held=held,
            after=1 + (value.count(b"\n") + 1 if value else 0),
            collects="Set" in spec["head"],
            negates=tuple(dict.fromkeys(_negated(query))),
            statements=statements,
            inserted=((whole[0], b"\n"), *inserted) if number == 0 else inserted,
        )


def _insertions(
    body: Tree,
    value: bytes,
    statements: tuple[tuple[Mapping[str, int], int, int], ...],
    text: bytes,
) -> tuple[tuple[tuple[int, bytes], ...], int]:
    """Return what to put where, and the place in the text at which the line stands that says: it held."""
    held = b"\n" + (b"value__ := " + value + b"\n" if value else b"") + b"true\n"
    if not statements:
        end = _outer(body["span"], text)[1]
        return ((end, b" if {" + held + b"}"),), end
    breaks = tuple((start, b"\n") for _, start, _ in statements)
    first, last = _outer(body["query"]["span"], text)
    if first < statements[0][1]:  # in braces
        return (*breaks, (last - 1, held)), last - 1
    return ((first, b"{"), *breaks, (last, held + b"}")), last


def _value(head: Tree, body: Tree, text: bytes) -> bytes:
    """Return the text of the value that a body gives or the member that it adds; b"" for plain true."""
    assign = body["assign"] if body["is_else"] else head.get("assign")
    if assign is not None:
        start, end = _outer(assign["span"], text)
        return text[start:end].lstrip(b":=").strip()
    if body["is_else"] or "key" not in head:
        return b""
    (name,) = head["refr"].values()
    start, end = _outer(name["span"], text)[1], _outer(head["span"], text)[1]
    return text[start:end].strip().removeprefix(b"contains").strip()


def _outer(span: Mapping[str, int], text: bytes) -> tuple[int, int]:
    """Return a span with the quotes that regorus leaves out when it begins or ends with a string."""
    start, end = span["start"], span["end"]
    opens = start > 0 and text[start - 1] in _QUOTES
    closes = end < len(text) and text[end] in _QUOTES
    return start - opens, end + closes


def _negated(query: Tree) -> Iterator[str]:
    """Yield the name of every reference or call under a `not`."""
    for stmt in (query or {}).get("stmts", ()):
        negation = stmt["literal"].get("NotExpr")
        if negation is not None:
            expression = negation["expr"]
            yield dotted(expression["Call"]["fcn"] if "Call" in expression else expression)


# --- where it stands afterwards -----------------------------------------------------------------------


class _Places:
    """A text with insertions: the new text, and where an offset of the old one is in it."""

    def __init__(self, text: bytes, inserted: list[tuple[int, bytes]]) -> None:
        edges = [0, *(at for at, _ in inserted), len(text)]
        kept = [text[first:last] for first, last in pairwise(edges)]
        added = [new for _, new in inserted]
        self.text = b"".join(
            part for pair in zip(kept, [*added, b""], strict=True) for part in pair
        )
        self._at = [at for at, _ in inserted]
        self._shift = [0, *accumulate(len(new) for new in added)]
        self._ends = [at for at, byte in enumerate(self.text) if byte == 10]
        self.lines = (0, *self._origins(text))

    def line(self, offset: int, *, before: bool = False) -> int:
        """Return the new line of an old offset; `before` what was inserted there, else behind it."""
        inserted = bisect_right(self._at, offset - before)
        return self._line(offset + self._shift[inserted])

    def _line(self, offset: int) -> int:
        return bisect_right(self._ends, offset - 1) + 1

    def _origins(self, text: bytes) -> Iterator[int]:
        """Yield the old line of every new one: that of the first old byte on it, or of the last before it."""
        old_ends = [at for at, byte in enumerate(text) if byte == 10]
        starts = [0, *(end + 1 for end in self._ends)]
        begins = [at + shift for at, shift in zip(self._at, self._shift, strict=False)]
        for start in starts:
            number = bisect_right(begins, start)
            old = start - self._shift[number]
            if number:
                old = max(old, self._at[number - 1])
            yield bisect_right(old_ends, min(old, len(text)) - 1) + 1


def _placed(found: _Found, places: _Places, text: bytes) -> Body:
    return Body(
        name=found.name,
        line=found.span["line"],
        column=found.span["col"],
        last=found.span["line"] + text[found.span["start"] : found.end].count(b"\n"),
        start=found.rule[0],
        end=found.rule[1],
        collects=found.collects,
        negates=found.negates,
        statements=tuple(
            Statement(
                line=span["line"],
                column=span["col"],
                text=" ".join(text[start:end].decode("utf-8", "replace").split()),
                at=range(places.line(start), places.line(end, before=True) + 1),
            )
            for span, start, end in found.statements
        ),
        held_at=places.line(found.held, before=True) + found.after,
    )
