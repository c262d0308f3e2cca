"""Names: what a word of FEEL is made of, and finding the longest known name at a place in a text.

A name may hold spaces and the signs `. / - ' + *` (DMN 1.5, section 10.3.1.2, rules 27 to 30), so it can only be told
from an expression by knowing which names are in scope.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_START: Final = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
PART: Final = (
    _START + "0-9\u00b7\u0300-\u036f\u203f-\u2040"
)  #: inside of a regular expression's brackets
WORD: Final = re.compile(f"[{_START}][{PART}]*")
INSIDE: Final = re.compile(f"[{PART}]")
SIGNS: Final = "./\\-\u2019'+*"  #: may stand in a name; for brackets
ANY_NAME: Final = re.compile(f"[{_START}?](?:[{PART}{SIGNS}]|\\s+(?=[{PART}{SIGNS}]))*")
#: names of components that every temporal value or range has
COMPONENTS: Final = ("time offset", "start included", "end included")


def normal(name: str) -> str:
    """Return a name with single spaces."""
    return " ".join(name.split())


class KnownNames:
    """Names of more than one word. Single words need no knowledge and are left out."""

    __slots__ = ("_by_word",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._by_word: dict[str, list[tuple[str, re.Pattern[str] | None]]] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Make a name known."""
        word = WORD.match(name)
        if word is None or word.end() == len(name):
            return
        name = normal(name)
        known = self._by_word.setdefault(word[0], [])
        if any(other == name for other, _ in known):
            return
        pattern = None
        if " " in name:
            pattern = re.compile(r"\s+".join(re.escape(part) for part in name.split(" ")))
        known.append((name, pattern))
        known.sort(key=lambda entry: -len(entry[0]))

    def at(self, text: str, position: int, word: str) -> tuple[str, int] | None:
        """Return the longest name that begins here with `word`, and where it ends."""
        for name, pattern in self._by_word.get(word, ()):
            if pattern is None:
                end = position + len(name) if text.startswith(name, position) else -1
            else:
                found = pattern.match(text, position)
                end = found.end() if found else -1
            if end >= 0 and not (INSIDE.match(name, len(name) - 1) and INSIDE.match(text, end)):
                return name, end
        return None
