"""No line of the merge policy may be taken away or turned round without a test noticing it.

A sixth of its mutants here; all of them, and those of the kernel, in `make chaos`.
"""

from __future__ import annotations

from tests.depth import is_deep
from tests.policy.mutation import rego_survivors


def test_every_mutant_of_the_merge_policy_is_noticed() -> None:
    every = 1 if is_deep() else 6
    count, alive = rego_survivors("merge", every=every)

    assert count >= 100 // every
    assert [str(mutant) for mutant in alive] == []
