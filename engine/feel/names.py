"""Names: what a word of FEEL is made of, and finding the longest known name at a place in a text.

A name may hold spaces and the signs `. / - ' + *` (DMN 1.5, section 10.3.1.2, rules 27 to 30), so it can only be told
from an expression by knowing which names are in scope.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

#: signs beyond ASCII that a name may hold, as pairs of first and last; the last three cannot begin one
_LETTERS: Final = (
    (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2FF), (0x370, 0x37D), (0x37F, 0x1FFF), (0x200C, 0x200D),
    (0x2070, 0x218F), (0x2C00, 0x2FEF), (0x3001, 0xD7FF), (0xF900, 0xFDCF), (0xFDF0, 0xFFFD),
    (0x10000, 0xEFFFF), (0xB7, 0xB7), (0x300, 0x36F), (0x203F, 0x2040),
)  # fmt: skip
_MARKS: Final = 3
# Patterns for ASCII only, with everything beyond it let through: a class of those ranges takes 5 ms to compile.
_WORD: Final = re.compile(r"[^\x00-@\[\\\]^`{-\x7f\s][^\x00-/:-@\[\\\]^`{-\x7f\s]*")
_NAME: Final = re.compile(
    r"[^\x00->@\[\\\]^`{-\x7f\s]"
    r"(?:[^\x00-&(),:->@\[\\\]^`{-\x7f\s]|\s+(?=[^\x00-&(),:->@\[\\\]^`{-\x7f\s]))*"
)
_PART: Final = re.compile(r"(\s*)([^\x00-/:-@\[\\\]^`{-\x7f\s]+|\S)")
MAX_PARTS: Final = 100


def word_at(text: str, position: int) -> str:
    """Return the word that begins here, or nothing."""
    found = _WORD.match(text, position)
    if found is None:
        return ""
    word = found[0]
    if word.isascii():
        return word
    for index, sign in enumerate(word):
        if not is_name_sign(sign, first=not index):
            return word[:index]
    return word


def name_at(text: str, position: int) -> str:
    """Return the longest text from here on that could be a name of several words and signs, or nothing."""
    found = _NAME.match(text, position)
    return found[0] if found else ""


def is_name_sign(sign: str, first: bool = False) -> bool:
    """Whether a sign may be part of a word."""
    if sign < "\x80":
        return (sign.isalnum() and not (first and sign.isdigit())) or sign == "_"
    ranges = _LETTERS[:-_MARKS] if first else _LETTERS
    return any(low <= ord(sign) <= high for low, high in ranges)


#: names of components that every temporal value or range has
COMPONENTS: Final = ("time offset", "start included", "end included")


def normal(name: str) -> str:
    """Return a name with single spaces."""
    return " ".join(name.split())


class KnownNames:
    """Names of more than one word. Single words need no knowledge and are left out.

    A lookup takes as many steps as the longest name with that first word has parts, however many names there are.
    """

    __slots__ = ("_by_word",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._by_word: dict[str, _Names] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Make a name known. Names of more than a hundred parts stay unknown."""
        if name.isidentifier():
            return
        word = word_at(name, 0)
        if not word or word == name:
            return
        name = normal(name)
        parts = len(_PART.findall(name))
        if parts <= MAX_PARTS:
            known = self._by_word.setdefault(word, _Names())
            known.names.add(name)
            known.parts = max(known.parts, parts)

    def at(self, text: str, position: int, word: str) -> tuple[str, int] | None:
        """Return the longest name that begins here with `word`, and where it ends."""
        known = self._by_word.get(word)
        if known is None:
            return None
        longest = None
        name = ""
        for found in islice(_PART.finditer(text, position), known.parts):
            name += (" " if found[1] and name else "") + found[2]
            if name in known.names:
                longest = (name, found.end())
        return longest


class _Names:
    """The names that begin with one word."""

    __slots__ = ("names", "parts")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.parts = 0
