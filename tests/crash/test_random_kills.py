"""The short form of the kill campaign: nothing lost, nothing doubled, nothing stuck."""

from __future__ import annotations

import pytest

from tests.crash.campaign import campaign


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_random_kills_lose_and_double_nothing(seed: int) -> None:
    counts = campaign(kills=6, seed=seed)
    assert counts["kills"] >= 6
    assert {kind: counts[kind] for kind in ("lost", "doubled", "wrong", "stuck")} == {
        "lost": 0,
        "doubled": 0,
        "wrong": 0,
        "stuck": 0,
    }
