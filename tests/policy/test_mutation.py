"""No line of the merge policy may be taken away or turned round without a test noticing it (kernel: `make chaos`)."""

from __future__ import annotations

from tests.policy.mutation import rego_survivors


def test_every_mutant_of_the_merge_policy_is_noticed() -> None:
    count, alive = rego_survivors("merge")

    assert count >= 50
    assert [str(mutant) for mutant in alive] == []
