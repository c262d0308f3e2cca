"""What a test needs from outside: where it is missing the test is left out and says so, but CI must have it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import pytest


def linux(why: str) -> None:
    """End a test that looks into /proc where there is none."""
    if sys.platform != "linux":
        missing(f"needs Linux: {why}")


def missing(reason: str) -> NoReturn:
    """End a test for want of a program, a kernel or data: failed in CI, skipped elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)  # a developer need not have it; in CI the line above has failed
