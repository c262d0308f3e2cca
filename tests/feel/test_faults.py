"""Text that is no FEEL: what the error says and where it points."""

from __future__ import annotations

import pytest

from engine.errors import DefinitionError
from engine.feel import FeelError, compile_expression, parse, parse_unary_tests


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "expected an expression, but got nothing"),
        ("1 +", 3, "expected a value, but got the end of the expression"),
        ("(1 + 2", 6, "expected an operator or ), but got the end of the expression"),
        ("[1, 2", 5, "expected a comma or ], but got the end of the expression"),
        ("{a 1}", 4, "expected a colon after the key, but got '}'"),
        ("{a: 1", 5, "expected a comma or }, but got the end of the expression"),
        ("if a then b", 11, "expected `else`, but got the end of the expression"),
        ("for x in [1] retrun x", 13, "expected `return`, but got 'retrun'"),
        ("some x in [1]", 13, "expected `satisfies`, but got the end of the expression"),
        ("a b", 2, "expected an operator or the end of the expression, but got 'b'"),
        ("a == b", 2, "expected a value after =, but got ==. Compare with a single =."),
        ("a && b", 2, "but got '&'. Write `and`."),
        ("'text'", 0, 'expected a value, but got "\'". Write strings in double quotes'),
        ('"open', 0, 'expected a closing ", but got the end of the expression'),
        ("f(a: 1, 2)", 10, "expected all arguments with a name, or none"),
        ("a.", 2, "expected a name after the dot, but got the end of the expression"),
        ("@date", 1, "expected a date, time or duration in double quotes after @"),
        ("[1..2", 5, "expected the end of the range: ], ) or ["),
        ("1e7000", 0, "expected a number up to 10 ** 6144"),
        ("x instance of 5", 14, "expected a type, such as number or list<string>"),
        ("“open”", 0, "expected a value, but got '“'"),
        ('"\\uD83D"', 0, "expected a pair of surrogates, but got one alone"),
        ("`a`", 0, 'Names in back-ticks need dialect="camunda".'),
    ],
)
def test_fault(text: str, position: int, message: str) -> None:
    with pytest.raises(FeelError) as fault:
        parse(text)
    assert (fault.value.position, message in str(fault.value)) == (position, True), str(fault.value)
    assert isinstance(fault.value, DefinitionError)


def test_line_column_and_caret() -> None:
    with pytest.raises(FeelError) as fault:
        parse("amount > 100\n\tand statsu =")
    assert (fault.value.line, fault.value.column) == (2, 14)
    assert fault.value.caret == "\tand statsu =\n\t            ^"
    assert str(fault.value).startswith("line 2, column 14: expected a value, but got the end")


def test_caret_of_a_long_line_shows_the_place_only() -> None:
    with pytest.raises(FeelError) as fault:
        parse("x" * 500 + " ! " + "y" * 500)
    shown, mark = fault.value.caret.split("\n")
    assert shown[mark.index("^")] == "!"
    assert len(shown) <= 120


@pytest.mark.parametrize(
    ("text", "position"),
    [("", 0), ("<", 1), ("< 5,", 4), ("not(5", 5), ("not(< 5, )", 9), ("5 6", 2), ("[1..5] [", 8)],
)
def test_fault_in_unary_tests(text: str, position: int) -> None:
    with pytest.raises(FeelError) as fault:
        parse_unary_tests(text)
    assert fault.value.position == position


def test_a_compiled_expression_tells_what_it_reads() -> None:
    condition = compile_expression("sum(items[price > limit].price) > a.b + c")
    assert condition.names_read == {"items", "a", "c"}
    assert condition.names_in_filters == {"price", "limit"}
