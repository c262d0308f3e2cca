"""Run a program under supervision, and leave nothing of it behind.

Invariants
- A program ends: by itself, at its deadline, when silent too long, when it floods, or when stopped.
- When `run_program` returns, no process of the program lives: not its group, not a daemon that left the group.
- When the engine is killed, its programs die too.
- What is recorded of its output is bounded and redacted; a missing exit code is a failure.
"""

from __future__ import annotations

from engine.programs.digests import ProgramDigests
from engine.programs.environment import allowed_names, clean_environment, printable
from engine.programs.proc import identify, reap
from engine.programs.program import (
    Limits,
    OnOutput,
    ProcessIdentity,
    Program,
    ProgramOutcome,
    State,
    Stream,
    StreamName,
)
from engine.programs.redaction import Redactor
from engine.programs.run import run_program

__all__ = [
    "Limits",
    "OnOutput",
    "ProcessIdentity",
    "Program",
    "ProgramDigests",
    "ProgramOutcome",
    "Redactor",
    "State",
    "Stream",
    "StreamName",
    "allowed_names",
    "clean_environment",
    "identify",
    "printable",
    "reap",
    "run_program",
]
