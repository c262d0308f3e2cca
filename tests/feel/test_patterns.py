"""Regular expressions of XPath 3.1, as `matches`, `replace` and `split` read them."""

from __future__ import annotations

import pytest

from engine.feel import Run, evaluate
from engine.feel.errors import NoValue
from engine.feel.patterns import found, parts_between, replaced


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "answer"),
    [
        ("^a.c$", "", "abc", True),
        ("a.c", "", "a\nc", False),
        ("a.c", "", "a\rc", False),
        ("a.c", "s", "a\nc", True),
        ("b$", "", "ab\n", False),
        ("^b", "m", "a\nb", True),
        ("^$", "m", "a\nb\n", False),
        ("ABC", "i", "abc", True),
        ("[A-Z-[OI]]", "i", "o", False),
        ("[a-z-[aeiou]]", "", "aei", False),
        ("[a-z-[aeiou]]", "", "aeib", True),
        ("[^a-c]", "", "abc", False),
        (r"[\d\-]+", "", "1-2", True),
        (r"^\i\c*$", "", "xml:name-1", True),
        (r"^\i\c*$", "", "1name", False),
        (r"\p{Lu}", "", "aB", True),
        (r"^\p{IsBasicLatin}+$", "", "abc", True),
        (r"\p{IsGreek}", "", "a", False),
        (r"^(a)(b)\2\1$", "", "abba", True),
        (r"^(a|b){2,3}$", "", "abab", False),
        ("h e l l o", "x", "hello", True),
        ("[ ]", "x", " ", True),
        ("a.b", "q", "axb", False),
        ("(a", "q", "x(a", True),
        (r"\w", "", "_", False),
        ("", "", "", True),
    ],
)
def test_matches(pattern: str, flags: str, text: str, answer: bool) -> None:
    assert found(Run(), pattern, flags, text) is answer


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[", "[]", "[^]", "a{2,1}", "a{,2}", "{1}", "*", "a**", "a++", "(?=a)", "(?<n>a)", r"\1", r"(a\1)", r"[\1]",
     r"\p{Foo}", r"\q", "\\", "[b-a]", "[a-z-[aeiou]x]", "a]", "}", r"\p{ Lu}", "a{99999999}", r"\0", r"(.)\2"],
)  # fmt: skip
def test_no_pattern(pattern: str) -> None:
    with pytest.raises(NoValue):
        found(Run(), pattern, "", "abc")


def test_unknown_flag() -> None:
    with pytest.raises(NoValue, match="flags s, m, i, x or q, but got 'g'"):
        found(Run(), "a", "ig", "a")


@pytest.mark.parametrize(
    ("pattern", "replacement", "flags", "text"),
    [
        ("(ab)|(a)", "[1=$1][2=$2]", "", "[1=ab][2=]cd"),
        ("b", r"\$\\", "", r"a$\cd"),
        ("b", "$0$0", "", "abbcd"),
        ("b", "$1", "q", "a$1cd"),
        ("(b)", "$12", "", "ab2cd"),
        ("x*", "-", "", "-a-b-c-d-"),
    ],
)
def test_replaced(pattern: str, replacement: str, flags: str, text: str) -> None:
    assert replaced(Run(), pattern, flags, "abcd", replacement) == text


@pytest.mark.parametrize("replacement", ["$", "$x", "\\", "\\n"])
def test_no_replacement(replacement: str) -> None:
    with pytest.raises(NoValue):
        replaced(Run(), "b", "", "abcd", replacement)


def test_parts() -> None:
    assert parts_between(Run(), ";", "a;;b;") == ["a", "", "b", ""]
    assert parts_between(Run(), "x*", "axxb") == ["a", "b"]


def test_a_pattern_may_come_from_a_variable() -> None:
    assert evaluate("list[matches(item, p)]", {"list": ["ab", "cd"], "p": "^a"}) == ["ab"]
