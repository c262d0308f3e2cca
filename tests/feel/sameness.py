"""Comparing values with their kinds."""

from __future__ import annotations

from engine.feel import Value


def same(a: Value, b: Value) -> bool:
    """Whether two values are equal all the way down; true is not 1."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b)
