"""What a test needs from outside: where it is missing the test is left out and says so, but CI must have it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """End a test for want of a program, a kernel or data: failed in CI, skipped elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(
        reason
    )  # the one skip for what can be installed: a developer need not have it, CI fails above
