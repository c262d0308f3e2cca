"""The short form of `make chaos`: a few rounds of every campaign, by the command itself, and nothing may be lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash import steps
from tests.crash.campaigns import CAMPAIGNS
from tests.crash.judge import BAD
from tests.crash.project import is_root
from tests.crash.steps import blurred
from tests.needs import missing


@pytest.fixture
def announced() -> None:
    """A kernel that announces system calls; in CI it must."""
    if not steps.is_supported():
        missing("this kernel does not announce system calls (seccomp user notification)")


@pytest.mark.slow
@pytest.mark.seccomp
@pytest.mark.usefixtures("announced")
def test_faults_lose_and_double_nothing(tmp_path: Path) -> None:
    played = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--short", "--json", str(tmp_path / "tallies.json")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert (tmp_path / "tallies.json").is_file(), played.stderr
    tallies = json.loads((tmp_path / "tallies.json").read_text("utf-8"))
    found = {t["campaign"]: {kind: t["counts"][kind] for kind in BAD} for t in tallies}
    played_here = [
        name
        for name, campaign in CAMPAIGNS.items()
        if campaign.short and (is_root() or not campaign.needs_root)
    ]
    assert found == dict.fromkeys(played_here, dict.fromkeys(BAD, 0)), played.stderr
    assert all(tally["counts"]["rounds"] > 0 for tally in tallies)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (".engine/engine.db-wal", ".engine/engine.db-wal"),
        (".engine/vault.git/objects/3f/tmp_obj_xY3k1z", ".engine/vault.git/objects/*/tmp*"),
        (".engine/runs/20261121-074216-0f88a0", ".engine/runs/*-*-*"),
        (".engine/keys/ledger.17579", ".engine/keys/ledger.*"),
        (".engine/worktrees/shop/.new-a", ".engine/worktrees/shop/.new-a"),
    ],
)
def test_a_step_has_one_name_in_every_run(path: str, name: str) -> None:
    assert blurred(path) == name
