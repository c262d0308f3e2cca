"""What can go wrong in FEEL: text that is no FEEL, and a bound that an evaluation ran into.

Everything else the standard answers with null; the reason is then a `FeelWarning`.
"""

from __future__ import annotations

from engine.errors import DefinitionError
from engine.frozen import dataclass

SNIPPET = 60  #: how many characters of the faulty line are shown on each side


class FeelError(DefinitionError):
    """An expression cannot be read, or its evaluation exceeds a bound.

    `position` counts characters from 0, `line` and `column` from 1; all three are 0 and `caret` is empty
    when the fault has no place in the text (an evaluation that takes too long, for instance).
    """

    def __init__(
        self,
        message: str = "",
        *,
        text: str = "",
        position: int = 0,
        expected: str = "",
        got: str = "",
        hint: str = "",
    ) -> None:
        self.text = text
        self.position = position
        self.line = text.count("\n", 0, position) + 1 if text else 0
        self.column = position - (text.rfind("\n", 0, position) + 1) + 1 if text else 0
        where = f"line {self.line}, column {self.column}" if text else ""
        super().__init__(message, where=where, expected=expected, got=got, hint=hint)

    @property
    def caret(self) -> str:
        """Return the faulty line with a second line that points at the place, or nothing."""
        if not self.text:
            return ""
        begin = self.text.rfind("\n", 0, self.position) + 1
        end = self.text.find("\n", self.position)
        line = self.text[begin : len(self.text) if end < 0 else end]
        at = self.position - begin
        first = max(0, at - SNIPPET)
        shown = line[first : at + SNIPPET]
        pad = "".join("\t" if c == "\t" else " " for c in line[first:at])
        return f"{shown}\n{pad}^"


class NoValue(Exception):
    """The standard answers null here, for the reason given. Never leaves the package."""


@dataclass(frozen=True, slots=True)
class FeelWarning:
    """Why a part of an expression is null; `start` and `end` are character positions in its text."""

    message: str
    start: int
    end: int

    def __str__(self) -> str:
        """Return the message."""
        return self.message
