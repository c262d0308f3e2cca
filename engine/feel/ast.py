"""What an expression consists of. Every node has the character span `start` to `end` of its text.

`walk` visits all nodes; `children` gives the direct ones. Nodes are immutable and compare by content and span.
"""

from __future__ import annotations

from collections.abc import Iterator as IteratorOf
from typing import ClassVar, dataclass_transform
from typing import Literal as OneOf

from engine.feel.types import Type
from engine.feel.values import Value

ComparisonOperator = OneOf["=", "!=", "<", "<=", ">", ">="]


@dataclass_transform(frozen_default=True)
class _Frozen:
    """Makes data classes of its subclasses, in a tenth of the time that the decorator takes for thirty of them."""

    fields: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[dict[str, object]] = {}
    __match_args__: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        own = tuple(cls.__annotations__)
        cls.fields = (*cls.fields, *own)
        cls.defaults = {
            **cls.defaults,
            **{name: cls.__dict__[name] for name in own if name in cls.__dict__},
        }
        cls.__match_args__ = cls.fields  # type: ignore[misc]  # set for each class, not for instances

    def __init__(self, *values: object, **named: object) -> None:
        content = {**self.defaults, **dict(zip(self.fields, values, strict=False)), **named}
        if len(content) != len(self.fields) or len(values) > len(self.fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.fields)}")
        self.__dict__.update(content)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to {name!r}: syntax trees are immutable")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(self.__dict__[name] for name in self.fields[:2])))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields)
        return f"{type(self).__name__}({parts})"


class Node(_Frozen):
    """A piece of text with a meaning."""

    start: int
    end: int


class Literal(Node):
    """A number, string, boolean, null, or a temporal value written as `@"…"`."""

    value: Value


class Name(Node):
    """A variable, or a built-in function; `?` is the value under test."""

    name: str


class Path(Node):
    """`source.name`."""

    source: Node
    name: str


class Filter(Node):
    """`source[condition]`: a position or a condition on `item`."""

    source: Node
    condition: Node


class Call(Node):
    """`function(arguments)`; `names` holds the parameter names if the arguments are named."""

    function: Node
    arguments: tuple[Node, ...]
    names: tuple[str, ...] | None = None


class Arithmetic(Node):
    """`left operator right` with + - * / or **."""

    operator: str
    left: Node
    right: Node


class Negation(Node):
    """`-operand`."""

    operand: Node


class Comparison(Node):
    """`left operator right`."""

    operator: ComparisonOperator
    left: Node
    right: Node


class Between(Node):
    """`value between low and high`, both ends included."""

    value: Node
    low: Node
    high: Node


class In(Node):
    """`value in tests`: true if one of them holds."""

    value: Node
    tests: tuple[Node, ...]


class Logic(Node):
    """`a and b and …` or `a or b or …`, with three truth values."""

    operator: OneOf["and", "or"]
    operands: tuple[Node, ...]


class InstanceOf(Node):
    """`value instance of type`; `type` is None when the type is unknown."""

    value: Node
    type: Type | None


class If(Node):
    """`if condition then yes else no`."""

    condition: Node
    yes: Node
    no: Node


class Iterator(Node):
    """`name in domain`, or `name in domain..upto`."""

    name: str
    domain: Node
    upto: Node | None = None


class For(Node):
    """`for iterators return body`."""

    iterators: tuple[Iterator, ...]
    body: Node


class Quantified(Node):
    """`some` or `every` … `satisfies condition`."""

    quantifier: OneOf["some", "every"]
    iterators: tuple[Iterator, ...]
    condition: Node


class FormalParameter(Node):
    """A parameter of a function definition."""

    name: str
    type: Type | None


class FunctionDefinition(Node):
    """`function(parameters) body`; `external` bodies name code outside of FEEL."""

    parameters: tuple[FormalParameter, ...]
    body: Node
    external: bool = False


class Entry(Node):
    """`key: value` of a context."""

    key: str
    value: Node


class ContextLiteral(Node):
    """`{key: value, …}`; later entries see the earlier ones."""

    entries: tuple[Entry, ...]


class ListLiteral(Node):
    """`[a, b, …]`."""

    items: tuple[Node, ...]


class RangeLiteral(Node):
    """`[low..high]`, with round or reversed brackets where an end does not belong to it."""

    low: Node
    high: Node
    low_included: bool
    high_included: bool


class ComparisonTest(Node):
    """`operator operand`, such as `< 10`: a test in a unary test or after `in`, a range as a value."""

    operator: ComparisonOperator
    operand: Node


class UnaryTests(Node):
    """`a, b, …` or `not(a, b, …)`; no tests at all is `-`, which holds for every value."""

    tests: tuple[Node, ...]
    negated: bool = False


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node, in the order of the text."""
    found: list[Node] = []
    for part in node.__dict__.values():
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
