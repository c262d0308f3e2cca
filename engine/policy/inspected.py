"""Sets of policies whose inspection is done by our tests, so that not every start of the engine does it again.

A set is named by what inspected it and by the digest of its paths and texts: one byte more, or another engine, and the
policies are inspected at load as all others are.
"""

from __future__ import annotations

from typing import Final

#: {`name version digest` of the shipped policies: their packages}. When they have changed, `python -m benchmarks feature` says
#: what to write
INSPECTED: Final = {
    "regorus 0.13.0 dbbe032f2b263c518c2c59b50951389b02c872b62ba2be21d5e3aadd8e18e595": (
        "budget",
        "compliance",
        "launch",
        "merge",
        "ownership",
        "paths",
        "performance",
        "preflight",
        "release",
        "security",
        "shapes",
        "waivers",
    )
}
