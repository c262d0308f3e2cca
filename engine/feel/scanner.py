"""Stepping through a text: where we are, which names are known there, literals, signs and types.

`Scanner` knows nothing of expressions; `engine.feel.parser` builds on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import DecimalException
from typing import Final, NoReturn, TypeVar

from engine.feel import ast
from engine.feel.builtins import multi_word_names
from engine.feel.errors import FeelError
from engine.feel.names import COMPONENTS, KnownNames, name_at, normal, word_at
from engine.feel.temporal import loosened, parse_temporal
from engine.feel.types import SIMPLE_TYPES, ContextOf, FunctionOf, ListOf, RangeOf, Type
from engine.feel.values import CONTEXT

Read = TypeVar("Read")

MAX_NESTING: Final = 100  #: brackets in brackets

SPACE: Final = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{6})|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\"}
_HINTS: Final = {
    "==": "Compare with a single =.",
    "&&": "Write `and`.",
    "||": "Write `or`.",
    "'": 'Write strings in double quotes: "…".',
    "`": 'Names in back-ticks need dialect="camunda".',
    "!": "Write `not(…)`.",
    "%": "Write `modulo(a, b)`.",
    "$": "Write the name without a sign in front.",
}
_TYPE_NAMES: Final = KnownNames(SIMPLE_TYPES)
_COMPONENTS: Final = KnownNames(COMPONENTS)


class Scanner:
    """A position in a text. Every method that reads something starts and ends at a non-space."""

    def __init__(
        self,
        text: str,
        names: Iterable[str],
        dialect: str,
        types: Mapping[str, Type],
        members: Iterable[str],
    ) -> None:
        self.text = text
        self.position = 0
        self.end = 0  #: where the last token ended
        self.nesting = 0
        self.parts = 0
        self.camunda = dialect == "camunda"
        self.types = types
        self.type_names = KnownNames(types)
        self.builtins = multi_word_names(dialect)
        self.scopes = [KnownNames(names)]
        self.components = KnownNames((*names, *members))
        self.open_end = False  #: inside the high end of a range, where `[` may close it

    def longest_name(self, word: str) -> tuple[str, int] | None:
        """Return the longest known name of several words that begins here, and its end."""
        for scope in reversed(self.scopes):
            if found := scope.at(self.text, self.position, word):
                return found
        found = self.builtins.at(self.text, self.position, word)
        if found and " and " in found[0]:
            rest = SPACE.match(self.text, found[1])
            if not self.text.startswith("(", rest.end() if rest else found[1]):
                return None
        return found

    def key(self) -> str:
        if self.text.startswith('"', self.position):
            return str(self.string().value)
        if self.camunda and self.text.startswith("`", self.position):
            return self.back_ticked()
        return self.new_name("a key")

    def component(self) -> str:
        """Read the name after a dot."""
        if self.camunda and self.text.startswith("`", self.position):
            return self.back_ticked()
        word = self.word_here()
        if not word:
            self.fail("a name after the dot")
        longest = self.components.at(self.text, self.position, word) or _COMPONENTS.at(
            self.text, self.position, word
        )
        name, end = longest or (word, self.position + len(word))
        self.move(end)
        return name

    def new_name(self, expected: str, until: str = "") -> str:
        """Read a name that is introduced here, up to a sign that cannot be part of it or the word `until`."""
        text = name_at(self.text, self.position)
        if not text:
            self.fail(expected)
        if until and (cut := re.search(rf"\s{until}(?!\w)", text)):
            text = text[: cut.start()]
        self.move(self.position + len(text))
        return normal(text)

    def back_ticked(self) -> str:
        end = self.text.find("`", self.position + 1)
        if end < 0:
            self.fail("a closing `", "the end of the expression")
        name = self.text[self.position + 1 : end]
        self.move(end + 1)
        return normal(name)

    def word_here(self) -> str:
        return word_at(self.text, self.position)

    def keyword(self, word: str) -> None:
        if self.word_here() != word:
            self.fail(f"`{word}`")
        self.move(self.position + len(word))

    def take(self, sign: str) -> bool:
        """Step over a sign if it is here."""
        if not self.text.startswith(sign, self.position):
            return False
        self.move(self.position + len(sign))
        return True

    def expect(self, sign: str, expected: str) -> None:
        if not self.take(sign):
            self.fail(expected)

    def inside(self, rule: Callable[[], Read]) -> Read:
        """Read something in brackets, or something as greedy as that."""
        self.nest()
        open_end, self.open_end = self.open_end, False
        node = rule()
        self.open_end = open_end
        self.nesting -= 1
        return node

    def nest(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.fail(f"at most {MAX_NESTING} levels of nesting", "more")

    def move(self, position: int) -> None:
        """Go on behind a token."""
        self.end = position
        text = self.text
        if (position < len(text) and text[position] in " \t\r\n/\u00a0\u2003") or (
            position < len(text) and text[position].isspace()
        ):
            found = SPACE.match(text, position)
            position = found.end() if found else position
        self.position = position

    def skip(self) -> None:
        self.move(self.position)

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def expect_end(self, expected: str) -> None:
        if not self.at_end():
            self.fail(expected)

    def fail(self, expected: str, got: str = "") -> NoReturn:
        raise self.error(expected, got)

    def error(self, expected: str, got: str = "") -> FeelError:
        hint = next(
            (h for sign, h in _HINTS.items() if self.text.startswith(sign, self.position)), ""
        )
        return FeelError(
            text=self.text,
            position=min(self.position, len(self.text)),
            expected=expected,
            got=got or self.shown(),
            hint=hint,
        )

    def shown(self) -> str:
        """Return what stands here, for a message."""
        if self.at_end():
            return "the end of the expression"
        word = self.word_here()
        return repr(word or self.text[self.position])

    # ---------------------------------------------------------------- literals

    def string(self) -> ast.Literal:
        start = self.position
        found = _STRING.match(self.text, start)
        if found is None:
            self.fail('a closing "', "the end of the expression")
        self.move(found.end())
        return ast.Literal(start, found.end(), self.unescaped(found[1], start))

    def unescaped(self, text: str, start: int) -> str:
        if "\\" not in text:
            return text
        result = _ESCAPE.sub(_unescape, text)
        if any("\ud800" <= sign <= "\udfff" for sign in result):
            try:
                return result.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                self.position = start
                self.fail("a pair of surrogates", "one alone")
        return result

    def number(self) -> ast.Literal:
        start = self.position
        found = _NUMBER.match(self.text, start)
        if found is None:
            self.fail("a value")
        try:
            value = CONTEXT.create_decimal(found[0])
        except DecimalException:
            self.fail("a number up to 10 ** 6144", f"{found[0][:20]}")
        self.move(found.end())
        return ast.Literal(start, found.end(), value)

    def temporal(self) -> ast.Literal:
        start = self.position
        self.move(start + 1)
        if not self.text.startswith('"', self.position):
            self.fail('a date, time or duration in double quotes after @, such as @"2024-12-31"')
        text = self.string()
        try:
            value = parse_temporal(loosened(text.value) if self.camunda else text.value)
        except ValueError:
            value = None
        return ast.Literal(start, text.end, value)

    # ---------------------------------------------------------------- types

    def type(self) -> Type | None:
        """Read a type; None if it is one we do not know."""
        word = self.word_here()
        if not word:
            self.fail("a type, such as number or list<string>")
        for known in (self.type_names, _TYPE_NAMES):
            if longest := known.at(self.text, self.position, word):
                self.move(longest[1])
                return self.types.get(longest[0]) or SIMPLE_TYPES[longest[0]]
        self.move(self.position + len(word))
        if word in ("list", "range", "context", "function") and self.take("<"):
            return self.inside(lambda: self.composed_type(word))
        if word in self.types:
            return self.types[word]
        if word in SIMPLE_TYPES:
            return SIMPLE_TYPES[word]
        while self.text.startswith(".", self.position) and not self.text.startswith(
            "..", self.position
        ):
            self.move(self.position + 1)
            self.new_name("the name of a type")
        return None

    def composed_type(self, word: str) -> Type | None:
        if word == "function":
            return self.function_type()
        if word == "context":
            return self.context_type()
        element = self.type()
        self.expect(">", ">")
        if element is None:
            return None
        return ListOf(element) if word == "list" else RangeOf(element)

    def context_type(self) -> Type | None:
        entries: list[tuple[str, Type]] = []
        complete = True
        while not self.take(">"):
            name = self.key()
            self.expect(":", "a colon after the name")
            type_ = self.type()
            complete = complete and type_ is not None
            if type_ is not None:
                entries.append((name, type_))
            if not self.take(","):
                self.expect(">", "a comma or >")
                break
        return ContextOf(tuple(entries)) if complete else None

    def function_type(self) -> Type | None:
        parameters: list[Type | None] = []
        while not self.take(">"):
            parameters.append(self.type())
            if not self.take(","):
                self.expect(">", "a comma or >")
                break
        self.expect("->", "-> and the type of the result")
        result = self.type()
        known = tuple(type_ for type_ in parameters if type_ is not None)
        if result is None or len(known) < len(parameters):
            return None
        return FunctionOf(known, result)


def _unescape(found: re.Match[str]) -> str:
    if code := found[1] or found[2]:
        return chr(int(code, 16)) if int(code, 16) < 0x110000 else found[0]
    return _ESCAPES.get(found[3], found[0])
