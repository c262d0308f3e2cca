"""Expressions made ready to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.feel.errors import FeelWarning
from engine.feel.types import Type
from engine.feel.values import Value

Dialect: TypeAlias = Literal["dmn", "camunda"]


@dataclass(frozen=True, slots=True)
class Result:
    """A value, and why parts of it are null."""

    value: Value
    warnings: tuple[FeelWarning, ...] = ()


class Expression:
    """A compiled expression."""

    text: str
    names_read: frozenset[str]

    def __call__(self, variables: Mapping[str, Value]) -> Value:
        """Return the value."""
        raise NotImplementedError

    def evaluate(self, variables: Mapping[str, Value]) -> Result:
        """Return the value with warnings."""
        raise NotImplementedError


class UnaryTests:
    """Compiled unary tests."""

    text: str
    names_read: frozenset[str]

    def __call__(self, value: Value, variables: Mapping[str, Value]) -> bool | None:
        """Return whether the value passes."""
        raise NotImplementedError

    def evaluate(self, value: Value, variables: Mapping[str, Value]) -> Result:
        """Return the answer with warnings."""
        raise NotImplementedError


def compile_expression(
    text: str,
    *,
    names: Iterable[str] = (),
    dialect: Dialect = "camunda",
    types: Mapping[str, Type] | None = None,
    externals: Mapping[str, Callable[..., Value]] | None = None,
) -> Expression:
    """Compile."""
    raise NotImplementedError


def compile_unary_tests(
    text: str,
    *,
    names: Iterable[str] = (),
    dialect: Dialect = "camunda",
    types: Mapping[str, Type] | None = None,
    externals: Mapping[str, Callable[..., Value]] | None = None,
) -> UnaryTests:
    """Compile."""
    raise NotImplementedError


def evaluate(
    expression: str, variables: Mapping[str, object] | None = None, dialect: Dialect = "dmn"
) -> Value:
    """Evaluate."""
    raise NotImplementedError


def unary_test(
    expression: str,
    value: object,
    variables: Mapping[str, object] | None = None,
    dialect: Dialect = "dmn",
) -> bool | None:
    """Test."""
    raise NotImplementedError
