"""What an expression consists of. Every node has the character span `start` to `end` of its text.

`walk` visits all nodes; `children` gives the direct ones. Nodes are immutable and compare by content and span.
"""

from __future__ import annotations

from collections.abc import Iterator as IteratorOf
from dataclasses import dataclass
from typing import Literal as OneOf

from engine.feel.types import Type
from engine.feel.values import Value

ComparisonOperator = OneOf["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of text with a meaning."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, string, boolean, null, or a temporal value written as `@"…"`."""

    value: Value


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, or a built-in function; `?` is the value under test."""

    name: str


@dataclass(frozen=True, slots=True)
class Path(Node):
    """`source.name`."""

    source: Node
    name: str


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """`source[condition]`: a position or a condition on `item`."""

    source: Node
    condition: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(arguments)`; `names` holds the parameter names if the arguments are named."""

    function: Node
    arguments: tuple[Node, ...]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left operator right` with + - * / or **."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negation(Node):
    """`-operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """`left operator right`."""

    operator: ComparisonOperator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Between(Node):
    """`value between low and high`, both ends included."""

    value: Node
    low: Node
    high: Node


@dataclass(frozen=True, slots=True)
class In(Node):
    """`value in tests`: true if one of them holds."""

    value: Node
    tests: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`a and b and …` or `a or b or …`, with three truth values."""

    operator: OneOf["and", "or"]
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class InstanceOf(Node):
    """`value instance of type`; `type` is None when the type is unknown."""

    value: Node
    type: Type | None


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if condition then yes else no`."""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Iterator(Node):
    """`name in domain`, or `name in domain..upto`."""

    name: str
    domain: Node
    upto: Node | None = None


@dataclass(frozen=True, slots=True)
class For(Node):
    """`for iterators return body`."""

    iterators: tuple[Iterator, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Quantified(Node):
    """`some` or `every` … `satisfies condition`."""

    quantifier: OneOf["some", "every"]
    iterators: tuple[Iterator, ...]
    condition: Node


@dataclass(frozen=True, slots=True)
class FormalParameter(Node):
    """A parameter of a function definition."""

    name: str
    type: Type | None


@dataclass(frozen=True, slots=True)
class FunctionDefinition(Node):
    """`function(parameters) body`; `external` bodies name code outside of FEEL."""

    parameters: tuple[FormalParameter, ...]
    body: Node
    external: bool = False


@dataclass(frozen=True, slots=True)
class Entry(Node):
    """`key: value` of a context."""

    key: str
    value: Node


@dataclass(frozen=True, slots=True)
class ContextLiteral(Node):
    """`{key: value, …}`; later entries see the earlier ones."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    """`[a, b, …]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class RangeLiteral(Node):
    """`[low..high]`, with round or reversed brackets where an end does not belong to it."""

    low: Node
    high: Node
    low_included: bool
    high_included: bool


@dataclass(frozen=True, slots=True)
class ComparisonTest(Node):
    """`operator operand`, such as `< 10`: a test in a unary test or after `in`, a range as a value."""

    operator: ComparisonOperator
    operand: Node


@dataclass(frozen=True, slots=True)
class UnaryTests(Node):
    """`a, b, …` or `not(a, b, …)`; no tests at all is `-`, which holds for every value."""

    tests: tuple[Node, ...]
    negated: bool = False


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node, in the order of the text."""
    found: list[Node] = []
    for field in node.__dataclass_fields__:
        part = getattr(node, field)
        if isinstance(part, Node):
            found.append(part)
        elif type(part) is tuple:
            found.extend(item for item in part if isinstance(item, Node))
    return tuple(found)


def walk(node: Node) -> IteratorOf[Node]:
    """Return the node and everything in it, in the order of the text."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))


def mentions_value(node: Node) -> bool:
    """Whether the value under test, `?`, is used."""
    return any(isinstance(part, Name) and part.name == "?" for part in walk(node))
