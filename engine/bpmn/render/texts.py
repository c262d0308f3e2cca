"""How wide words are, and where a name breaks into lines. Pure.

Widths are those of Arial and Helvetica in thousandths of the font size; a character that is not in the table counts as
wide as an n, one of a script without spaces as wide as it is high.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["LINE", "SIZE", "shortened", "width", "wrapped"]

SIZE: Final = 12  #: font size of names, in pixels
LINE: Final = 14  #: from one baseline to the next

_WIDTHS: Final = {
    222: "ijl|'", 278: " ftI!,.:;/\\[]`", 333: "r()-\"", 350: "*", 389: "{}^", 500: "cksvxyzJ",
    556: "abdeghnopqu0123456789_$#?L", 584: "+=<>~", 611: "FTZ", 667: "ABEKPSVXY&", 722: "CDHNRUw", 778: "GOQ",
    833: "mM", 889: "%", 944: "W", 1000: "—…→", 1015: "@",
}  # fmt: skip
_BY_CHARACTER: Final = {character: w for w, some in _WIDTHS.items() for character in some}


def width(text: str, size: float = SIZE) -> float:
    """Return about how many pixels a line of text takes.

    >>> round(width("Run worker"))
    63
    """
    return sum(_width(character) for character in text) * size / 1000


def wrapped(text: str, room: float, *, lines: int = 20, size: float = SIZE) -> list[str]:
    """Return `text` in at most `lines` lines of at most `room` pixels; what is left is replaced by an ellipsis."""
    found: list[str] = []
    current = ""
    for word in _broken(text, room, size):
        longer = f"{current} {word}" if current else word
        if current and width(longer, size) > room:
            found.append(current)
            current = word
        else:
            current = longer
    found += [current] if current else []
    if len(found) > lines:
        found = [*found[: lines - 1], shortened(f"{found[lines - 1]}…", room, size)]
    return found


def shortened(text: str, room: float, size: float = SIZE) -> str:
    """Return `text`, or its beginning and an ellipsis when it is longer than `room` pixels."""
    if width(text, size) <= room:
        return text
    kept = text.rstrip("…")
    while kept and width(f"{kept}…", size) > room:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"


def _broken(text: str, room: float, size: float) -> list[str]:
    """Return the words; one that is too long for a line is cut, at an underscore, dot or hyphen where it has one."""
    found = []
    for word in text.split():
        rest = word
        while width(rest, size) > room and len(rest) > 1:
            fitting = next(
                n for n in range(len(rest) - 1, 0, -1) if n == 1 or width(rest[:n], size) <= room
            )
            marks = [n + 1 for n in range(fitting) if rest[n] in "_.-/"]
            cut = marks[-1] if marks else fitting
            found.append(rest[:cut])
            rest = rest[cut:]
        found.append(rest)
    return found


def _width(character: str) -> int:
    known = _BY_CHARACTER.get(character)
    if known is not None:
        return known
    if unicodedata.combining(character):
        return 0
    plain = unicodedata.normalize("NFD", character)[0]
    if plain in _BY_CHARACTER:
        return _BY_CHARACTER[plain]
    return 1000 if unicodedata.east_asian_width(character) in "WF" else 556
