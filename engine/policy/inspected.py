"""Sets of policies whose inspection is done by our tests, so that not every start of the engine does it again.

A set is named by what inspected it and by the digest of its paths and texts: one byte more, or another engine, and the
policies are inspected at load as all others are.
"""

from __future__ import annotations

from typing import Final

#: `name version digest` of the shipped policies. When they have changed, `python -m benchmarks feature` says what to write
INSPECTED: Final = frozenset(
    {"regorus 0.13.0 439f52d7f0c423a80968ac0009ab1f9f29cc87e61d7aba65f1a4710cfbeee213"}
)
