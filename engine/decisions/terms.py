"""What compiled logic is made of: functions of the run and the names in scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from engine.decisions.columns import Static
from engine.feel import Run, Value
from engine.feel.ast import UnaryTests
from engine.frozen import dataclass

Scope: TypeAlias = dict[str, Value]
Eval: TypeAlias = Callable[[Run, Scope], Value]
Externals: TypeAlias = Mapping[str, Callable[..., Value]]
Names: TypeAlias = frozenset[str]


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A value that needs no evaluation."""

    value: Value

    def __call__(self, run: Run, scope: Scope) -> Value:
        """Return the value."""
        return self.value


@dataclass(frozen=True, eq=False, slots=True)
class Test:
    """One cell: its tree, its meaning when constant, and the function that tests a value."""

    text: str
    tree: UnaryTests | None  #: None: the text is no FEEL, and the file was not loaded strictly
    static: Static | None
    holds: Callable[[Run, Value, Scope], bool | None]
