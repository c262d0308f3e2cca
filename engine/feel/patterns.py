"""Regular expressions as XPath 3.1 defines them (section 5.6), which is what FEEL's `matches`, `replace` and `split` use.

A pattern is read, checked and written anew for the `regex` module; what XPath does not know (look-around, possessive
quantifiers, named groups) is refused. Matching ends after a time that no sensible pattern needs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NoReturn

from engine.feel.errors import FeelError, NoValue
from engine.feel.run import Run

if TYPE_CHECKING:
    import regex  # type: ignore[import-untyped]  # the package has no types

MAX_PATTERN: Final = 10_000  #: characters of a pattern
MAX_REPEAT: Final = 65_535  #: in {n,m}
MAX_GROUPS: Final = 100  #: groups in groups
COST: Final = 50  #: steps for one use of a pattern
PATIENCE_S: Final = (
    2.0  #: for the first use in an evaluation; later ones get less, down to LEAST_PATIENCE_S
)
LEAST_PATIENCE_S: Final = 0.05

_NAME_START: Final = (
    ":A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME_PART: Final = _NAME_START + "\\-.0-9\u00b7\u0300-\u036f\u203f-\u2040"
_CLASSES: Final = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "s": r"[ \t\n\r]",
    "S": r"[^ \t\n\r]",
    "w": r"[^\p{P}\p{Z}\p{C}]",
    "W": r"[\p{P}\p{Z}\p{C}]",
    "i": f"[{_NAME_START}]",
    "I": f"[^{_NAME_START}]",
    "c": f"[{_NAME_PART}]",
    "C": f"[^{_NAME_PART}]",
}
_SIGNS: Final = {"n": "\\n", "r": "\\r", "t": "\\t"}
_ESCAPABLE: Final = frozenset("\\|.?*+(){}-[]^$")
_BLANKS: Final = frozenset(" \t\n\r")


def found(run: Run, pattern: str, flags: str | None, text: str) -> bool:
    """Whether the pattern matches somewhere in `text`. Raises NoValue for a wrong pattern or flag."""
    compiled = _compiled(pattern, flags or "")
    try:
        return compiled.search(text, timeout=_patience(run, text)) is not None
    except TimeoutError:
        raise _too_slow(pattern) from None


def replaced(run: Run, pattern: str, flags: str | None, text: str, replacement: str) -> str:
    """Return `text` with every match replaced; `$1` and its like stand for groups, `$0` for the match."""
    flags = flags or ""
    compiled = _compiled(pattern, flags)
    template = [replacement] if "q" in flags else _template(replacement, compiled.groups)

    def fill(match: regex.Match[str]) -> str:
        parts = [part if isinstance(part, str) else match[part] or "" for part in template]
        run.text(sum(map(len, parts)))
        return "".join(parts)

    try:
        return str(compiled.sub(fill, text, timeout=_patience(run, text)))
    except TimeoutError:
        raise _too_slow(pattern) from None


def parts_between(run: Run, pattern: str, text: str) -> list[str]:
    """Return the parts of `text` between the matches."""
    compiled = _compiled(pattern, "")
    parts, last = [], 0
    try:
        for match in compiled.finditer(text, timeout=_patience(run, text)):
            if match.end() > match.start():
                parts.append(text[last : match.start()])
                last = match.end()
    except TimeoutError:
        raise _too_slow(pattern) from None
    run.spend(len(parts))
    return [*parts, text[last:]]


def matches_of(run: Run, pattern: str, text: str) -> list[str]:
    """Return all matches in `text`."""
    compiled = _compiled(pattern, "")
    try:
        found = [m[0] for m in compiled.finditer(text, timeout=_patience(run, text))]
    except TimeoutError:
        raise _too_slow(pattern) from None
    run.spend(len(found))
    return found


def _patience(run: Run, text: str) -> float:
    """Return how long one use may take: the more uses in an evaluation, the less."""
    run.spend(COST + (len(text) >> 4))
    run.patterns += 1
    return max(PATIENCE_S / run.patterns, LEAST_PATIENCE_S)


def _too_slow(pattern: str) -> FeelError:
    return FeelError(
        f"expected a pattern that is quickly decided, but {pattern[:60]!r} takes too long",
        hint="Avoid a repetition inside a repetition, such as (a+)+.",
    )


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: str) -> regex.Pattern[str]:
    import regex

    if unknown := sorted(set(flags) - set("smixq")):
        raise NoValue(f"expected the flags s, m, i, x or q, but got {unknown[0]!r}")
    if len(pattern) > MAX_PATTERN:
        raise NoValue(f"a pattern has at most {MAX_PATTERN:,} characters")
    if "q" in flags:
        text = regex.escape(pattern)
    else:
        text = _Pattern(_without_blanks(pattern) if "x" in flags else pattern, flags).translated()
    try:
        return regex.compile(text, regex.V1 | (regex.IGNORECASE if "i" in flags else 0))
    except (regex.error, OverflowError, RecursionError) as problem:
        raise NoValue(f"{pattern[:60]!r} is no regular expression: {problem}") from problem


def _without_blanks(pattern: str) -> str:
    """Return the pattern without white space outside of character classes (flag x)."""
    result, depth, escaped = [], 0, False
    for sign in pattern:
        if sign in _BLANKS and not depth:
            continue
        if not escaped:
            depth += (sign == "[") - (sign == "]" and depth > 0)
        escaped = sign == "\\" and not escaped
        result.append(sign)
    return "".join(result)


def _template(replacement: str, groups: int) -> list[str | int]:
    """Return texts and group numbers. Raises NoValue for a lone $ or backslash."""
    parts: list[str | int] = []
    position = 0
    while position < len(replacement):
        sign = replacement[position]
        following = replacement[position + 1 : position + 2]
        if sign == "\\":
            if following not in ("\\", "$"):
                raise NoValue("in a replacement, a backslash stands before $ or a backslash")
            parts.append(following)
            position += 2
        elif sign == "$":
            digits = _group_digits(replacement, position + 1, groups)
            parts.append(int(digits) if int(digits) <= groups else "")
            position += 1 + len(digits)
        else:
            parts.append(sign)
            position += 1
    return parts


def _group_digits(replacement: str, position: int, groups: int) -> str:
    """Return the longest number that is a group, or one digit."""
    end = position
    while end < len(replacement) and replacement[end] in "0123456789":
        end += 1
        if end - position > 1 and int(replacement[position:end]) > groups:
            end -= 1
            break
    if end == position:
        raise NoValue("in a replacement, a $ stands before a digit; write \\$ for the sign")
    return replacement[position:end]


class _Pattern:
    """One pass over a pattern."""

    def __init__(self, text: str, flags: str) -> None:
        self.text = text
        self.position = 0
        self.dot = r"(?s:.)" if "s" in flags else r"[^\n\r]"
        self.start = r"(?:\A|(?<=\n)(?!\Z))" if "m" in flags else r"\A"
        self.end = r"(?=\n|\Z)" if "m" in flags else r"\Z"
        self.open: list[
            int
        ] = []  #: numbers of the groups we are in, 0 for those that are not counted
        self.closed: set[int] = set()
        self.groups = 0

    def translated(self) -> str:
        parts: list[str] = []
        repeatable = False
        while self.position < len(self.text):
            sign = self.next()
            if sign in "*+?{":
                if not repeatable:
                    self.refuse(f"nothing to repeat before {sign!r}")
                parts.append(self.quantifier(sign))
                repeatable = False
                continue
            repeatable = sign not in "(|"
            parts.append(self.piece(sign))
        if self.open:
            self.refuse("a ( is not closed")
        return "".join(parts)

    def piece(self, sign: str) -> str:
        match sign:
            case ".":
                return self.dot
            case "^":
                return self.start
            case "$":
                return self.end
            case "|":
                return "|"
            case "(":
                return self.opened()
            case ")":
                if not self.open:
                    self.refuse("a ) without (")
                self.closed.add(self.open.pop())
                return ")"
            case "[":
                return self.character_class()
            case "\\":
                return self.escape()
            case "]" | "}":
                self.refuse(f"{sign!r} needs a backslash")
        return _literal(sign)

    def opened(self) -> str:
        if len(self.open) >= MAX_GROUPS:
            self.refuse(f"more than {MAX_GROUPS} groups in groups")
        if self.peek() == "?":
            if self.text[self.position : self.position + 2] != "?:":
                self.refuse("the only group with ? is (?:…)")
            self.position += 2
            self.open.append(0)
            return "(?:"
        self.groups += 1
        self.open.append(self.groups)
        return "("

    def quantifier(self, sign: str) -> str:
        if sign == "{":
            sign = self.counts()
        if self.peek() == "?":
            self.position += 1
            return sign + "?"
        return sign

    def counts(self) -> str:
        end = self.text.find("}", self.position)
        low, comma, high = self.text[self.position : max(end, 0)].partition(",")
        numbers = [number for number in (low, high) if number]
        right = low.isdecimal() and (high.isdecimal() or not high)
        if end < 0 or not right or any(len(n) > 6 or int(n) > MAX_REPEAT for n in numbers):
            self.refuse(f"expected {{n}}, {{n,}} or {{n,m}} with numbers up to {MAX_REPEAT}")
        if high and int(high) < int(low):
            self.refuse("{n,m} ends before it starts")
        self.position = end + 1
        return f"{{{low}{comma}{high}}}"

    def escape(self) -> str:
        sign = self.next()
        if sign in "123456789":
            return self.back_reference(sign)
        return self.class_escape(sign)

    def back_reference(self, digits: str) -> str:
        while self.peek().isdecimal() and int(digits + self.peek()) <= self.groups:
            digits += self.next()
        if int(digits) not in self.closed:
            self.refuse(f"there is no group {digits} before \\{digits}")
        return rf"(?:\{digits})"

    def class_escape(self, sign: str) -> str:
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign in _SIGNS:
            return _SIGNS[sign]
        if sign in _ESCAPABLE:
            return _literal(sign)
        if sign not in ("p", "P") or self.peek() != "{":
            self.refuse(f"a backslash before {sign!r}")
        end = self.text.find("}", self.position)
        name = self.text[self.position + 1 : max(end, 0)]
        if end < 0 or not name.replace("-", "").isalnum():
            self.refuse("expected the name of a category or block in \\p{…}")
        self.position = end + 1
        if name.startswith("Is"):
            name = "In" + name[2:].replace("-", "")
        return f"\\{sign}{{{name}}}"

    def character_class(self) -> str:
        """Read what follows `[`, with the set to subtract if there is one."""
        negated = self.peek() == "^"
        self.position += negated
        members: list[str] = []
        subtracted = ""
        first = True
        while (sign := self.next()) != "]" or first:
            if sign == "[":
                self.refuse("a [ in a character class needs a backslash")
            if sign == "-" and self.peek() == "[" and not first:
                self.position += 1
                subtracted = self.nested_class()
                if self.next() != "]":
                    self.refuse("the set to subtract comes last in a character class")
                break
            members.append(self.member(sign, first))
            first = False
        if not members:
            self.refuse("an empty character class")
        own = f"[{'^' if negated else ''}{''.join(members)}]"
        return f"(?:(?!{subtracted}){own})" if subtracted else own

    def nested_class(self) -> str:
        self.open.append(0)
        if len(self.open) > MAX_GROUPS:
            self.refuse(f"more than {MAX_GROUPS} sets in sets")
        result = self.character_class()
        self.open.pop()
        return result

    def member(self, sign: str, first: bool) -> str:
        """Read one sign, an escape or a range of signs."""
        if sign == "]" and first:
            self.refuse("an empty character class")
        low = self.single(sign)
        rest = self.text[self.position : self.position + 2]
        if rest[:1] != "-" or rest[1:] in ("]", "[", "") or sign == "-":
            return low
        self.position += 1
        high = self.single(self.next())
        a, b = _plain(low), _plain(high)
        if not a or not b or a > b:
            self.refuse("a range in a character class goes from a sign to a later one")
        return f"{low}-{high}"

    def single(self, sign: str) -> str:
        return self.class_escape(self.next()) if sign == "\\" else _literal(sign)

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def next(self) -> str:
        if self.position >= len(self.text):
            self.refuse("it ends too early")
        self.position += 1
        return self.text[self.position - 1]

    def refuse(self, reason: str) -> NoReturn:
        raise NoValue(f"{self.text[:60]!r} is no regular expression: {reason}")


def _literal(sign: str) -> str:
    return (
        sign
        if sign.isalnum() or sign > "\x7f"
        else "\\" + sign
        if sign > " "
        else f"\\x{ord(sign):02x}"
    )


def _plain(piece: str) -> str:
    """Return the sign that a translated piece stands for, or nothing if it stands for more than one."""
    if len(piece) == 1:
        return piece
    if piece.startswith("\\x") and len(piece) == 4:
        return chr(int(piece[2:], 16))
    if len(piece) == 2:
        return {"\\n": "\n", "\\r": "\r", "\\t": "\t"}.get(piece, piece[1])
    return ""
