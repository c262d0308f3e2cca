"""Runs recorded by earlier versions stay valid for ever; a tampered and a diverging one stay refused.

Contracts of entries, definitions and the core's answers may grow: what these histories hold must come out as recorded.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.audit import verify_folder
from engine.errors import IntegrityError
from engine.runtime.proof import book_in

LEDGER = Path(__file__).parent / "ledger"
VALID = sorted(path.name for path in LEDGER.iterdir() if path.name not in {"tampered", "diverging"})


@pytest.mark.parametrize("name", VALID)
def test_a_recorded_run_is_whole_and_comes_out_as_recorded(name: str) -> None:
    report = verify_folder(LEDGER / name, (), "")
    assert (report.ok, report.findings) == (True, ())
    book = book_in(LEDGER / name)
    replayed = book.replay()
    assert (book.verified.entries, replayed.turns > 15, replayed.instances) == (
        report.entries,
        True,
        3,
    )


def test_a_tampered_run_breaks_its_chain() -> None:
    report = verify_folder(LEDGER / "tampered", (), "")
    assert not report.ok
    assert {finding.level for finding in report.findings} <= {"L0", "L1", "L2"}
    with pytest.raises(IntegrityError):
        book_in(LEDGER / "tampered")


def test_a_diverging_run_has_a_whole_chain_but_its_events_do_not_follow() -> None:
    with pytest.raises(IntegrityError, match="does not follow from the facts") as caught:
        book_in(LEDGER / "diverging").replay()
    assert caught.value.where.startswith("entry ")
    report = verify_folder(LEDGER / "diverging", (), "")
    assert not report.ok, "the signed checkpoints are about another chain"


def test_every_decision_of_a_recorded_run_is_derived_anew_and_the_diverging_one_is_named() -> None:
    for name in VALID:
        report = verify_folder(LEDGER / name, levels=["L3"])
        assert (
            report.ok,
            report.levels[-1],
            dict(report.counts)["verdicts derived anew"] >= 4,
        ) == (True, "L3", True)
    found = [
        finding
        for finding in verify_folder(LEDGER / "diverging", levels=["L3"]).findings
        if finding.level == "L3"
    ]
    assert [(finding.seq, "Decide_gate_tier" in finding.message) for finding in found] == [
        (21, True)
    ]


def test_the_commands_end_with_five() -> None:
    engine = Path(sys.executable).with_name("engine")
    for name, code in (("first", 0), ("tampered", 5), ("diverging", 5)):
        done = subprocess.run(
            [engine, "replay", "--ledger", str(LEDGER / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (name, done.returncode) == (name, code), done.stderr
        assert "Traceback" not in done.stderr
