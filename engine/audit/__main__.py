"""Verify an exported ledger, or one proof about it, with no part of what wrote it. Exit 0: it holds; 5: it does not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.audit.files import verify_folder
from engine.audit.findings import LEVELS, Finding
from engine.audit.proofs import check_proof, read_proof
from engine.audit.verifier import Report
from engine.errors import EngineError

DOES_NOT_HOLD = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when nothing was found, 5 when something was, 2 or 6 when the audit could not be made."""
    given = _parser().parse_args(arguments)
    try:
        notes = tuple(path.read_text("utf-8") for path in given.checkpoint)
        return _prove(given, notes) if given.proof else _audit(given, notes)
    except EngineError as error:
        print(f"audit: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, UnicodeDecodeError) as error:
        print(f"audit: a file cannot be read: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine.audit", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "folder", type=Path, nargs="?", help="an exported ledger: .engine/ledger/RUN or a copy"
    )
    what.add_argument(
        "--proof", type=Path, help="what `engine ledger prove` has written, instead of a ledger"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="FILE",
        help="a signed checkpoint that you have kept; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--key", default="", metavar="LINE", help="the run's key line, from a source you trust"
    )
    parser.add_argument(
        "--rotation",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a note on a change of the signing key; repeatable",
    )
    parser.add_argument(
        "--blobs", type=Path, metavar="DIR", help="the blobs, when they are not beside the ledger"
    )
    parser.add_argument(
        "--git", type=Path, metavar="REPO", help="the repository, or a clone, to compare with (L4)"
    )
    parser.add_argument(
        "--ref", default="", help="its branch, when it is not the one that the run published"
    )
    parser.add_argument(
        "--level", choices=list(LEVELS), default="L4", help="the last level to look at"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _audit(given: argparse.Namespace, notes: Sequence[str]) -> int:
    levels = [level for level in LEVELS if level <= given.level]
    report = verify_folder(
        given.folder,
        notes,
        given.key,
        levels,
        rotations=[path.read_text("utf-8") for path in given.rotation],
        blobs=given.blobs,
        repository=given.git,
        ref=given.ref,
    )
    if given.json:
        print(json.dumps({"schema": "engine.ledger-audit/v1", **report.to_json()}))
    else:
        _tell(report)
    return 0 if report.ok else DOES_NOT_HOLD


def _tell(report: Report) -> None:
    _tell_findings(report.findings)
    for what, count in report.counts:
        print(f"{count} {what}")
    for sentence in report.left_out:
        print(sentence)
    found = len(report.findings)
    verdict = "holds" if report.ok else f"does NOT hold, {found} finding{'s'[: found > 1]}"
    print(
        f"run {report.run}: {report.entries} entries, {report.checkpoints} signed checkpoints"
        f" (the newest covers {report.witnessed}), levels {' '.join(report.levels)}: the ledger {verdict}"
    )


def _tell_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        place = f"entry {finding.seq}" if finding.seq else "the ledger"
        print(f"{finding.level} {place}: {finding.message}")


def _prove(given: argparse.Namespace, notes: Sequence[str]) -> int:
    proof = read_proof(given.proof.read_text("utf-8"))
    findings = check_proof(proof, notes, [given.key])
    if given.json:
        told = [finding.to_json() for finding in findings]
        print(
            json.dumps({"schema": "engine.ledger-audit/v1", "ok": not findings, "findings": told})
        )
    else:
        _tell_findings(findings)
        of = f"entry {proof.seq}" if proof.kind == "inclusion" else f"{proof.old_size} entries"
        print(
            f"run {proof.run}: {proof.kind} of {of} in {proof.size} {'does NOT hold' if findings else 'holds'}"
        )
    return DOES_NOT_HOLD if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
