"""Functions on strings (DMN 1.5, section 10.3.4.3). Positions count code points from 1."""

from __future__ import annotations

from decimal import Decimal

from engine.feel import patterns
from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import NoValue
from engine.feel.run import Run
from engine.feel.values import Value, kind

catalog = Catalog()


@catalog.add("substring(string: string, start position: number, length: number?)")
def substring(run: Run, text: str, start: Value, length: Value = None) -> Value:
    first = int(start)
    if not first or abs(first) > len(text):
        raise NoValue(f"there is no position {first} in a string of {len(text)} characters")
    begin = first - 1 if first > 0 else len(text) + first
    if length is None:
        return text[begin:]
    if length < 1:
        raise NoValue("the length is less than 1")
    return text[begin : begin + int(length)]


@catalog.add("string length(string: string)")
def string_length(run: Run, text: str) -> Value:
    return Decimal(len(text))


@catalog.add("upper case(string: string)")
def upper_case(run: Run, text: str) -> Value:
    return text.upper()


@catalog.add("lower case(string: string)")
def lower_case(run: Run, text: str) -> Value:
    return text.lower()


@catalog.add("substring before(string: string, match: string)")
def substring_before(run: Run, text: str, match: str) -> Value:
    before, mark, _ = text.partition(match) if match else ("", "", "")
    return before if mark else ""


@catalog.add("substring after(string: string, match: string)")
def substring_after(run: Run, text: str, match: str) -> Value:
    return text.partition(match)[2] if match else text


@catalog.add("contains(string: string, match: string)")
def contains(run: Run, text: str, match: str) -> Value:
    return match in text


@catalog.add("starts with(string: string, match: string)")
def starts_with(run: Run, text: str, match: str) -> Value:
    return text.startswith(match)


@catalog.add("ends with(string: string, match: string)")
def ends_with(run: Run, text: str, match: str) -> Value:
    return text.endswith(match)


@catalog.add("matches(input: string, pattern: string, flags: string|null?)")
def matches(run: Run, text: str, pattern: str, flags: str | None = None) -> Value:
    return patterns.found(run, pattern, flags, text)


@catalog.add("replace(input: string, pattern: string, replacement: string, flags: string|null?)")
def replace(run: Run, text: str, pattern: str, replacement: str, flags: str | None = None) -> Value:
    return patterns.replaced(run, pattern, flags, text, replacement)


@catalog.add("split(string: string, delimiter: string)")
def split(run: Run, text: str, delimiter: str) -> Value:
    return patterns.parts_between(run, delimiter, text)


@catalog.add("string join(list: list, delimiter: string|null?)")
def string_join(run: Run, items: list[Value], delimiter: str | None = None) -> Value:
    return joined(run, items, delimiter or "")


def joined(run: Run, items: list[Value], delimiter: str) -> str:
    """Return the strings with `delimiter` between them; null items do not count. Raises NoValue."""
    texts = [item for item in items if item is not None]
    for item in texts:
        if type(item) is not str:
            raise NoValue(f"expected strings to join, but got {kind(item)}")
    run.text(sum(map(len, texts)) + len(delimiter) * len(texts))
    return delimiter.join(texts)
