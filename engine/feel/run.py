"""One evaluation: its bounds and the reasons why something in it is null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from engine.feel.errors import FeelError, FeelWarning
from engine.feel.temporal import DateTime
from engine.feel.values import Value

MAX_STEPS: Final = (
    1_000_000  #: items visited, produced and called for; 1 step is about a microsecond
)
MAX_CALLS: Final = 120  #: how deep functions may call functions
MAX_TEXT: Final = 10_000_000  #: characters of one string
MAX_WARNINGS: Final = 100  #: further ones are dropped


class Run:
    """State of one evaluation. Cheap to make: everything starts as a class attribute.

    `externals` maps `class.method(types)` to a Python function; what is not in it cannot be called.
    `now` is the time that `now()` and `today()` answer; `seed` feeds `random number()` and `uuid()`.
    """

    steps: int = 0
    calls: int = 0
    draws: int = 0  #: random numbers given out
    patterns: int = 0  #: regular expressions used
    notes: list[FeelWarning] | None = None  #: None: nobody wants to know
    placed: int = 0  #: how many notes have their place
    now: DateTime | None = None
    seed: str | None = None
    externals: Mapping[str, Callable[..., Value]] = {}

    def spend(self, steps: int) -> None:
        """Count work done. Raises FeelError when it is more than an evaluation may do."""
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise FeelError(
                f"expected an evaluation of at most {MAX_STEPS:,} steps, but it takes more",
                hint="Shorten the ranges and lists, or the recursion.",
            )

    def text(self, length: int) -> None:
        """Count the making of a string. Raises FeelError when it is too long."""
        if length > MAX_TEXT:
            raise FeelError(
                f"expected a string of at most {MAX_TEXT:,} characters, but it gets {length:,}"
            )
        self.spend(length >> 4)

    def enter(self) -> None:
        """Count a call of a function written in FEEL; `leave` ends it."""
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise FeelError(
                f"expected at most {MAX_CALLS} nested function calls, but there are more"
            )
        self.spend(4)

    def leave(self) -> None:
        """End what `enter` began."""
        self.calls -= 1

    def null(self, reason: str) -> Value:
        """Answer null and remember why."""
        notes = self.notes
        if notes is not None and len(notes) < MAX_WARNINGS:
            notes.append(FeelWarning(reason, -1, -1))
        return None

    def at(self, start: int, end: int, value: Value) -> Value:
        """Return `value`, giving the notes without a place that of the expression just evaluated."""
        notes = self.notes
        if notes is not None:
            for index in range(self.placed, len(notes)):
                if notes[index].start < 0:
                    notes[index] = FeelWarning(notes[index].message, start, end)
            self.placed = len(notes)
        return value
