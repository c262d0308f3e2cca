"""Poundlock: a declarative BPMN/DMN process engine for fleets of code workers.

`engine.Engine` carries out features; `engine.feel` and `engine.decisions` are libraries of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.runtime.engine import Engine, RunResult

__version__ = "0.1.0"
__all__ = ["Engine", "RunResult", "__version__"]


def __getattr__(name: str) -> object:
    """Load the engine on first use, so that `import engine.feel` stays light."""
    if name in {"Engine", "RunResult"}:
        from engine.runtime import engine

        return getattr(engine, name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
