"""What the retry table may know of a failed attempt: its kind, and the chance that spreads what follows.

Two failures are of one kind when they would look the same to a person who ignores what differs each time:
numbers, times, paths, identifiers.

>>> kind_of("verification", exit_code=1, lines=["/tmp/x1/test_a.py:31: AssertionError", "1 failed in 0.03s"])
'verification, exit code 1: test_a.py:#: AssertionError; # failed in #s'
>>> kind_of("timeout")
'timeout'
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

_SAID: Final = {"exit", "verification", "crash"}  #: kinds of failure that differ by what was said
_LINES = 3
_LONGEST = 200
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\w.+@~-]*/)+([\w.+@~-]*)")
_IDENTIFIER = re.compile(r"\b(?:0x)?(?=[0-9a-fA-F-]*[0-9])[0-9a-fA-F-]{7,}\b")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def kind_of(failure_class: str, *, exit_code: int | None = None, lines: Sequence[str] = ()) -> str:
    """Return the kind of a failure, at most 200 characters: its class, and for what says more by its exit code and
    its last lines the two of them, made alike. "" is no failure."""
    if failure_class not in _SAID:
        return failure_class
    said = "; ".join(
        made_alike(line) for line in [line for line in lines if line.strip()][-_LINES:]
    )
    code = "" if exit_code is None else f", exit code {exit_code}"
    return f"{failure_class}{code}: {said}".rstrip(": ")[:_LONGEST]


def made_alike(text: str) -> str:
    """Return `text` with the folders of paths left out, numbers and identifiers as "#", blanks as one."""
    plain = _PATH.sub(r"\1", text)
    return " ".join(_NUMBER.sub("#", _IDENTIFIER.sub("#", plain)).split())


def chance(run: str, task: str, attempt: int) -> Decimal:
    """Return a number from 0 to 0.999 that is spread evenly over runs, tasks and attempts, and always the same for one."""
    digest = hashlib.sha256(f"{run}/{task}/{attempt}".encode()).digest()
    return Decimal(int.from_bytes(digest[:8]) % 1000) / 1000
