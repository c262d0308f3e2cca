"""All levels of an audit in one call, each when there are the means for it; what was left out is said, with why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from engine.audit.batches import read_batches, useful_processes
from engine.audit.findings import LEVELS, Finding
from engine.audit.git import audit_git
from engine.audit.keys import Keys
from engine.audit.lines import parser
from engine.audit.verifier import ReadBlob, Report, Verification

ALL: Final = tuple(LEVELS)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What an auditor holds of one run. `lines` can be read more than once; the rest makes more levels possible."""

    lines: Callable[[], Iterable[bytes]]
    entries: int = 0  #: about how many there are: long ledgers are read by several processes
    notes: Sequence[str] = ()  #: signed checkpoints, from the export and from elsewhere
    keys: Sequence[str] = ()  #: key lines of the run
    rotations: Sequence[str] = ()  #: notes on changes of the key
    blob: ReadBlob | None = None  #: for the large values of L0, and for L3
    repository: Path | None = None  #: for L4
    ref: str = ""  #: the branch of L4, when it is not the run's own or the published one


def audit(evidence: Evidence, levels: Sequence[str] = ALL) -> Report:
    """Check the ledger of one run on `levels` and return everything found. L0 to L2 are always looked at.

    Raises UsageError when the repository is none, EnvironmentFailure when git cannot be run.
    """
    began = time.perf_counter()
    verification = Verification(
        keys=Keys(evidence.keys),
        notes=evidence.notes,
        rotations=evidence.rotations,
        blob=evidence.blob,
        keeps_levels="L4" in levels and evidence.repository is not None,
    )
    processes = useful_processes(evidence.entries)
    verification.read(read_batches(evidence.lines(), processes=processes))
    report = _timed(verification.report(), "L0 to L2", began)
    if "L3" in levels:
        report = _with_decisions(report, evidence)
    if "L4" in levels:
        report = _with_git(report, evidence, verification)
    return report


def _with_decisions(report: Report, evidence: Evidence) -> Report:
    if evidence.blob is None:
        return _without(report, "L3", "no blobs were given, and the definitions are there")
    try:
        from engine.audit.rederive import checked, records, rederive
    except ImportError:
        return _without(
            report, "L3", "the interpreters of BPMN, DMN and Rego are not installed here"
        )
    began = time.perf_counter()
    derived = rederive(records(evidence.lines(), parser()), checked(evidence.blob))
    counts = (
        ("turns folded", derived.turns),
        ("decisions derived anew", derived.decisions),
        ("policies asked again", derived.policies),
        ("policies that gave no answer then", derived.unanswered),
        ("verdicts derived anew", derived.verdicts),
    )
    return _timed(_with(report, "L3", derived.findings, counts), "L3", began)


def _with_git(report: Report, evidence: Evidence, verification: Verification) -> Report:
    if evidence.repository is None:
        return _without(report, "L4", "no repository was given")
    began = time.perf_counter()

    found = audit_git(
        evidence.repository, report.run, verification.course, verification.roots_at, evidence.ref
    )
    if found.left_out:
        return _without(report, "L4", found.left_out)
    counts = (("merges compared", found.merges), ("git objects hashed", found.objects))
    return _timed(_with(report, "L4", found.findings, counts), "L4", began)


def _with(
    report: Report, level: str, findings: Sequence[Finding], counts: Sequence[tuple[str, int]]
) -> Report:
    return replace(
        report,
        levels=(*report.levels, level),
        findings=tuple(sorted({*report.findings, *findings})),
        counts=(*report.counts, *counts),
    )


def _without(report: Report, level: str, reason: str) -> Report:
    return replace(report, left_out=(*report.left_out, f"{level} was not looked at: {reason}"))


def _timed(report: Report, what: str, began: float) -> Report:
    spent = time.perf_counter() - began
    return replace(report, seconds=(*report.seconds, (what, spent)))
