"""Run one program to its end."""

from __future__ import annotations

from engine.programs.program import Program, ProgramOutcome


async def run_program(program: Program) -> ProgramOutcome:
    """Return how `program` ended, after every process of it is gone.

    Never raises for what the program does. When the calling task is cancelled, the program is ended first and
    CancelledError is raised again; use `Program.stop` to end it and keep the outcome.
    """
    raise NotImplementedError
