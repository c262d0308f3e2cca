"""Text to syntax tree: one pass, no tokens in between, because only the names in scope tell what a token is.

Operators from loose to tight: or, and, comparisons (= != < <= > >= between in), + -, * /, **, unary minus,
instance of, then paths, filters and calls (DMN 1.5, section 10.3.1.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from engine.feel import ast
from engine.feel.ast import Node
from engine.feel.errors import FeelError
from engine.feel.names import KnownNames, name_at, normal
from engine.feel.scanner import MAX_NESTING, SPACE, Scanner
from engine.feel.types import Type
from engine.feel.values import CONTEXT, NUMBERS

Tree = TypeVar("Tree", bound=Node)

MAX_LENGTH: Final = 1_000_000  #: characters of an expression
MAX_CHAIN: Final = 100  #: comparisons or path steps in a row
MAX_TERMS: Final = 500  #: terms of a sum, factors of a product
MAX_PARTS: Final = 100_000  #: operands of an expression

_OPERATOR: Final = re.compile(r"\*\*|<=|>=|!=|[-+*/<>=]|(?:and|or|in|between)(?!\w)", re.ASCII)
_INSTANCE_OF: Final = re.compile(r"instance\s+of(?!\w)")
_TEST_OPERATOR: Final = re.compile(r"<=|>=|!=|<|>|=")
_LEVELS: Final = {
    "or": 1, "and": 2, "=": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "between": 3, "in": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "**": 6,
}  # fmt: skip
_KEYWORDS: Final = frozenset(
    [
        "if",
        "then",
        "else",
        "for",
        "in",
        "return",
        "some",
        "every",
        "satisfies",
        "and",
        "or",
        "between",
        "instance",
        "function",
        "external",
    ]
)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


def parse(
    text: str,
    names: Iterable[str] = frozenset(),
    dialect: str = "dmn",
    types: Mapping[str, Type] | None = None,
    members: Iterable[str] = (),
) -> Node:
    """Return the syntax tree of an expression.

    `names` are names in scope that may hold spaces or operators; the longest one wins. `members` are names that
    count after a dot and in a filter only, and there `names` count too. `types` are the named types that
    `instance of` and parameters may mention. Raises FeelError with the place.
    """
    return _parse(text, names, dialect, types, members, _Parser.whole_expression)


def parse_unary_tests(
    text: str,
    names: Iterable[str] = frozenset(),
    dialect: str = "dmn",
    types: Mapping[str, Type] | None = None,
    members: Iterable[str] = (),
) -> ast.UnaryTests:
    """Return the syntax tree of unary tests, such as `< 5, [10..20]`, `not("a")` or `-`. See `parse`."""
    return _parse(text, names, dialect, types, members, _Parser.whole_tests)


def _parse(
    text: str,
    names: Iterable[str],
    dialect: str,
    types: Mapping[str, Type] | None,
    members: Iterable[str],
    rule: Callable[[_Parser], Tree],
) -> Tree:
    if len(text) > MAX_LENGTH:
        raise FeelError(
            expected=f"an expression of at most {MAX_LENGTH:,} characters", got=f"{len(text):,}"
        )
    parser = _Parser(text, names, dialect, types or {}, members)
    try:
        return rule(parser)
    except RecursionError:
        raise parser.error(f"at most {MAX_NESTING} levels of nesting", "more") from None


class _Parser(Scanner):
    """The rules of the grammar."""

    # ---------------------------------------------------------------- whole texts

    def whole_expression(self) -> Node:
        self.skip()
        if self.at_end():
            self.fail("an expression", "nothing")
        node = self.expression()
        self.expect_end("an operator or the end of the expression")
        return node

    def whole_tests(self) -> ast.UnaryTests:
        self.skip()
        if self.at_end():
            self.fail("a test, or - for any value", "nothing")
        if self.text[self.position] == "-" and self.text[self.position + 1 :].strip() == "":
            return ast.UnaryTests(self.position, self.position + 1, ())
        start = self.position
        if self.word_here() == "not" and (found := self.negated_tests()):
            return found
        tests = self.tests()
        self.expect_end("a comma or the end of the tests")
        return ast.UnaryTests(start, self.end, tests)

    def negated_tests(self) -> ast.UnaryTests | None:
        """Read `not(tests)` when nothing follows, else stay where we are."""
        start = self.position
        self.position += 3
        self.skip()
        if self.take("("):
            try:
                tests = self.tests()
                self.expect(")", "a comma or )")
                if self.at_end():
                    return ast.UnaryTests(start, self.end, tests, negated=True)
            except FeelError:
                if self.text.rstrip().endswith(")") and not self.is_call_of_not(start):
                    raise
        self.position = start
        return None

    def is_call_of_not(self, start: int) -> bool:
        """Whether the text is an expression that begins with a call of `not`, such as `not(a) and b`."""
        self.position = start
        try:
            self.expression()
        except FeelError:
            return False
        return self.at_end()

    def tests(self) -> tuple[Node, ...]:
        tests = [self.test()]
        while self.take(","):
            tests.append(self.test())
        return tuple(tests)

    def test(self) -> Node:
        """Read one test: an operator with a value, or any expression."""
        return self.operator_test() or self.expression()

    def operator_test(self) -> Node | None:
        found = _TEST_OPERATOR.match(self.text, self.position)
        if found is None:
            return None
        start = self.position
        self.move(found.end())
        operand = self.binary(4)
        return ast.ComparisonTest(start, self.end, found[0], operand)  # type: ignore[arg-type]  # the pattern

    # ---------------------------------------------------------------- operators

    def expression(self) -> Node:
        return self.binary(1)

    def binary(self, level: int, left: Node | None = None, start: int = -1) -> Node:
        """Read an operand and the operators of this level and above; or go on from `left`, which began at `start`."""
        if left is None:
            start = self.position
            left = self.operand()
        links = {3: 0, 4: 0, 5: 0, 6: 0}
        while True:
            if self.camunda and level <= 3:
                left = self.instance_of(left, start)
            found = _OPERATOR.match(self.text, self.position)
            if found is None:
                break
            operator = found[0]
            strength = _LEVELS[operator]
            if strength < level:
                break
            if strength > 2:
                links[strength] += 1
                if links[strength] > (MAX_CHAIN if strength == 3 else MAX_TERMS):
                    self.fail(f"at most {links[strength] - 1} operators in a row", "more")
            at = self.position
            self.move(found.end())
            if strength <= 2:
                left = self.logic(operator, strength, left, start)
            elif operator == "between":
                left = self.between(left, start)
            elif operator == "in":
                tests = self.in_tests()
                left = ast.In(start, self.end, left, tests)
            elif strength == 3:
                if operator == "=" and self.text.startswith("=", self.position):
                    self.position = at
                    self.fail("a value after =", "==")
                right = self.binary(4)
                left = ast.Comparison(start, self.end, operator, left, right)  # type: ignore[arg-type]  # the pattern
            else:
                right = self.binary(strength + 1)
                left = ast.Arithmetic(start, self.end, operator, left, right)
        return left

    def logic(self, operator: str, strength: int, left: Node, start: int) -> Node:
        operands = [left, self.binary(strength + 1)]
        while (found := _OPERATOR.match(self.text, self.position)) and found[0] == operator:
            self.move(found.end())
            operands.append(self.binary(strength + 1))
        return ast.Logic(start, self.end, operator, tuple(operands))  # type: ignore[arg-type]  # the pattern

    def between(self, value: Node, start: int) -> Node:
        low = self.binary(4)
        self.keyword("and")
        high = self.binary(4)
        return ast.Between(start, self.end, value, low, high)

    def in_tests(self) -> tuple[Node, ...]:
        """Read what follows `in`: one test, or several in round brackets."""
        if not self.text.startswith("(", self.position):
            return (self.operator_test() or self.binary(4),)
        start = self.position
        self.move(start + 1)
        self.nest()
        tests = [self.test()]
        self.nesting -= 1
        if self.text.startswith("..", self.position):
            range_ = self.inside(lambda: self.range(start, tests[0], included=False))
            return (self.binary(4, self.postfix(range_, start), start),)
        while self.take(","):
            tests.append(self.inside(self.test))
        self.expect(")", "a comma or )")
        follow = _OPERATOR.match(self.text, self.position)
        goes_on = (follow and _LEVELS[follow[0]] > 3) or self.at_postfix()
        if len(tests) == 1 and goes_on:  # the brackets were those of an expression
            return (self.binary(4, self.postfix(tests[0], start), start),)
        return tuple(tests)

    def operand(self) -> Node:
        """Read a minus, or a primary with everything that clings to it."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            self.fail(f"at most {MAX_PARTS:,} values in an expression", "more")
        start = self.position
        if self.text.startswith("-", start):
            self.move(start + 1)
            self.nest()
            value = self.operand()
            self.nesting -= 1
            if type(value) is ast.Literal and type(value.value) in NUMBERS:
                return ast.Literal(start, self.end, CONTEXT.minus(value.value))
            return ast.Negation(start, self.end, value)
        node = self.postfix(self.primary(), start)
        return node if self.camunda else self.instance_of(node, start)

    def instance_of(self, node: Node, start: int) -> Node:
        """Read `instance of` and a type if they follow; in the standard they bind tighter than arithmetic."""
        found = _INSTANCE_OF.match(self.text, self.position)
        if found is None:
            return node
        self.move(found.end())
        type_ = self.type()
        return ast.InstanceOf(start, self.end, node, type_)

    def at_postfix(self) -> bool:
        text = self.text[self.position : self.position + 2]
        return text[:1] in ("[", "(") or (text[:1] == "." and text != "..")

    def postfix(self, node: Node, start: int) -> Node:
        links = 0
        while self.at_postfix():
            links += 1
            if links > MAX_CHAIN:
                self.fail(f"at most {MAX_CHAIN} steps in a row", "more")
            sign = self.text[self.position]
            if sign == ".":
                self.move(self.position + 1)
                name = self.component()
                node = ast.Path(start, self.end, node, name)
            elif sign == "(":
                node = self.call(node, start)
            elif self.open_end and self.closes_range(node):
                break
            else:
                node = self.filter(node, start)
        return node

    def closes_range(self, node: Node) -> bool:
        """Whether `[` after the high end of a range closes the range and starts no filter."""
        if isinstance(node, ast.Literal):
            return True
        rest = SPACE.match(self.text, self.position + 1)
        following = self.text[rest.end() if rest else self.position + 1 :][:1]
        return following in ("", ",", ")", "]", "}") or bool(
            _OPERATOR.match(self.text, rest.end() if rest else 0)
        )

    def filter(self, node: Node, start: int) -> Node:
        self.move(self.position + 1)
        self.scopes.append(self.components)
        condition = self.inside(self.expression)
        self.scopes.pop()
        self.expect("]", "]")
        return ast.Filter(start, self.end, node, condition)

    def call(self, function: Node, start: int) -> Node:
        self.move(self.position + 1)
        arguments: list[Node] = []
        names: list[str] = []
        if not self.take(")"):
            while True:
                name = self.argument_name()
                if name is not None:
                    names.append(name)
                arguments.append(self.inside(self.expression))
                if not self.take(","):
                    break
            self.expect(")", "a comma or )")
        if names and len(names) != len(arguments):
            self.fail("all arguments with a name, or none")
        return ast.Call(start, self.end, function, tuple(arguments), tuple(names) or None)

    def argument_name(self) -> str | None:
        name = name_at(self.text, self.position)
        space = SPACE.match(self.text, self.position + len(name))
        colon = space.end() if space else self.position
        if not name or not self.text.startswith(":", colon):
            return None
        self.move(colon + 1)
        return normal(name)

    # ---------------------------------------------------------------- primaries

    def primary(self) -> Node:
        start = self.position
        sign = self.text[start : start + 1]
        if sign == '"':
            return self.string()
        if sign.isdigit() or sign == ".":
            return self.number()
        match sign:
            case "(":
                return self.inside(self.parenthesised)
            case "[":
                return self.inside(self.list_or_range)
            case "]":
                self.move(start + 1)
                return self.inside(lambda: self.range(start, self.expression(), included=False))
            case "{":
                return self.inside(self.context)
            case "@":
                return self.temporal()
            case "?":
                self.move(start + 1)
                return ast.Name(start, start + 1, "?")
            case "`" if self.camunda:
                name = self.back_ticked()
                return ast.Name(start, self.end, name)
        return self.word()

    def parenthesised(self) -> Node:
        start = self.position
        self.move(start + 1)
        test = self.operator_test()
        if test is not None:
            self.expect(")", ")")
            return test
        node = self.expression()
        if self.text.startswith("..", self.position):
            return self.range(start, node, included=False)
        self.expect(")", "an operator or )")
        return node

    def list_or_range(self) -> Node:
        start = self.position
        self.move(start + 1)
        items: list[Node] = []
        if not self.take("]"):
            items.append(self.test())
            if self.text.startswith("..", self.position):
                return self.range(start, items[0], included=True)
            while self.take(","):
                items.append(self.test())
            self.expect("]", "a comma or ]")
        return ast.ListLiteral(start, self.end, tuple(items))

    def range(self, start: int, low: Node, included: bool) -> Node:
        if not self.text.startswith("..", self.position):
            self.fail("..")
        self.move(self.position + 2)
        self.open_end = True
        high = self.expression()
        self.open_end = False
        sign = self.text[self.position : self.position + 1]
        if sign not in ("]", ")", "["):
            self.fail("the end of the range: ], ) or [")
        self.move(self.position + 1)
        return ast.RangeLiteral(start, self.end, low, high, included, sign == "]")

    def context(self) -> Node:
        start = self.position
        self.move(start + 1)
        entries: list[ast.Entry] = []
        self.scopes.append(KnownNames())
        if not self.take("}"):
            while True:
                entries.append(self.entry())
                if not self.take(","):
                    break
            self.expect("}", "a comma or }")
        self.scopes.pop()
        return ast.ContextLiteral(start, self.end, tuple(entries))

    def entry(self) -> ast.Entry:
        start = self.position
        key = self.key()
        self.expect(":", "a colon after the key")
        value = self.expression()
        self.scopes[-1].add(key)
        self.components.add(key)
        return ast.Entry(start, self.end, key, value)

    def word(self) -> Node:
        start = self.position
        word = self.word_here()
        if not word:
            self.fail("a value")
        end = start + len(word)
        longest = self.longest_name(word)
        if longest is not None:
            self.move(longest[1])
            return ast.Name(start, longest[1], longest[0])
        if word in _KEYWORDS and not (self.camunda and self.is_call_of(word)):
            return self.keyword_expression(word)
        self.move(end)
        if word in _CONSTANTS:
            return ast.Literal(start, end, _CONSTANTS[word])
        return ast.Name(start, end, word)

    def is_call_of(self, word: str) -> bool:
        """Whether a keyword is the name of a function here; Camunda has `and(…)` and `or(…)`."""
        return word in ("and", "or") and self.text.startswith("(", self.position + len(word))

    def keyword_expression(self, word: str) -> Node:
        rules: dict[str, Callable[[], Node]] = {
            "if": self.conditional,
            "for": self.loop,
            "some": self.quantified,
            "every": self.quantified,
            "function": self.function,
        }
        if word not in rules:
            self.fail("a value")
        return self.inside(rules[word])

    def conditional(self) -> Node:
        start = self.position
        self.keyword("if")
        condition = self.expression()
        self.keyword("then")
        yes = self.expression()
        self.keyword("else")
        no = self.expression()
        return ast.If(start, self.end, condition, yes, no)

    def loop(self) -> Node:
        start = self.position
        self.keyword("for")
        self.scopes.append(KnownNames())
        iterators = self.iterators()
        self.keyword("return")
        body = self.expression()
        self.scopes.pop()
        return ast.For(start, self.end, iterators, body)

    def quantified(self) -> Node:
        start = self.position
        some = self.word_here() == "some"
        self.keyword("some" if some else "every")
        self.scopes.append(KnownNames())
        iterators = self.iterators()
        self.keyword("satisfies")
        condition = self.expression()
        self.scopes.pop()
        return ast.Quantified(start, self.end, "some" if some else "every", iterators, condition)

    def iterators(self) -> tuple[ast.Iterator, ...]:
        iterators = [self.iterator()]
        while self.take(","):
            iterators.append(self.iterator())
        return tuple(iterators)

    def iterator(self) -> ast.Iterator:
        start = self.position
        name = self.new_name("the name of a variable", until="in")
        self.keyword("in")
        domain = self.expression()
        upto = None
        if self.text.startswith("..", self.position):
            self.move(self.position + 2)
            upto = self.expression()
        self.scopes[-1].add(name)
        return ast.Iterator(start, self.end, name, domain, upto)

    def function(self) -> Node:
        start = self.position
        self.keyword("function")
        self.expect("(", "( and the parameters")
        self.scopes.append(KnownNames())
        parameters: list[ast.FormalParameter] = []
        if not self.take(")"):
            while True:
                parameters.append(self.parameter())
                if not self.take(","):
                    break
            self.expect(")", "a comma or )")
        external = self.word_here() == "external"
        if external:
            self.keyword("external")
        body = self.expression()
        self.scopes.pop()
        return ast.FunctionDefinition(start, self.end, tuple(parameters), body, external)

    def parameter(self) -> ast.FormalParameter:
        start = self.position
        name = self.new_name("the name of a parameter")
        type_ = self.type() if self.take(":") else None
        self.scopes[-1].add(name)
        return ast.FormalParameter(start, self.end, name, type_)
