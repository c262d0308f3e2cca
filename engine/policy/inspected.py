"""Sets of policies whose inspection is done by our tests, so that not every start of the engine does it again.

A set is named by what inspected it and by the digest of its paths and texts: one byte more, or another engine, and the
policies are inspected at load as all others are.
"""

from __future__ import annotations

from typing import Final

#: `name version digest`; the shipped policies. When they change, tests/policy/test_inspected.py says what stands here
INSPECTED: Final = frozenset(
    {"regorus 0.13.0 4390e2c3ad8bf407c735c3facfb8b1a23d901d6a7bbf1513f20ed7e4c160dd27"}
)
