"""How far generated tests go: a fifth of the examples in the suite, all of them in `make chaos` (DEEP=1)."""

from __future__ import annotations

import os


def is_deep() -> bool:
    """Return whether the long form was asked for."""
    return bool(os.environ.get("DEEP"))


def examples(count: int) -> int:
    """Return how many of `count` examples to try here."""
    return count if is_deep() else max(30, count // 5)
