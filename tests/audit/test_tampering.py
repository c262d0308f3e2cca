"""Random tampering with a finished run is found, every time; `make chaos` tries ten thousand."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.audit import verify
from tests.audit.finished import Finished
from tests.audit.forging import Shown, roll_back
from tests.audit.tampering import GIT, LEDGER, Auditor, campaign, table


def test_every_random_tampering_is_found(finished: Finished, tmp_path: Path) -> None:
    tallies = campaign(finished, tmp_path, count=64, seed=11, deep=0)
    assert {kind: tally.missed for kind, tally in tallies.items()} == {kind: [] for kind in tallies}
    assert {tally.tried for tally in tallies.values()} == {4}
    assert {kind: dict(tally.levels)["L4"] for kind, tally in tallies.items() if kind in GIT} == (
        dict.fromkeys(GIT, 4)
    )
    assert "| **all** | 64 | 64 | 0 |" in table(tallies)


def test_the_campaign_tells_when_something_is_missed(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Auditor, "look_at_git", lambda self, shown: ())
    tallies = campaign(finished, tmp_path, count=len(LEDGER) + len(GIT), seed=1, deep=0)
    assert {kind: len(tallies[kind].missed) for kind in GIT} == dict.fromkeys(GIT, 1)


def test_without_the_checkpoint_kept_elsewhere_a_stolen_key_hides_what_was_done(
    finished: Finished, tmp_path: Path
) -> None:
    """This is why somebody else must keep one: the older ledger is whole in itself."""

    shown = Shown(
        lines=list(finished.lines),
        notes=list(finished.notes),
        key_line=finished.key_line,
        blobs={},
        repository=finished.vault,
    )

    roll_back(shown, Random(3), finished)
    assert verify(shown.lines, shown.notes, shown.key_line).ok
    assert not verify(shown.lines, [*shown.notes, finished.outside], shown.key_line).ok
