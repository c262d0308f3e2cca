"""Text to syntax tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.feel.ast import Node, UnaryTests
from engine.feel.types import Type


def parse(
    text: str,
    names: Iterable[str] = frozenset(),
    dialect: str = "dmn",
    types: Mapping[str, Type] | None = None,
) -> Node:
    """Parse an expression."""
    raise NotImplementedError


def parse_unary_tests(
    text: str,
    names: Iterable[str] = frozenset(),
    dialect: str = "dmn",
    types: Mapping[str, Type] | None = None,
) -> UnaryTests:
    """Parse unary tests."""
    raise NotImplementedError
