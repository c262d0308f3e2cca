"""`python -m engine.audit DIR`: verify an exported ledger with no other part of the engine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.audit import Report, verify_folder
from engine.errors import EngineError


def main() -> int:
    """Return 0 when nothing was found, 5 when something was, 2 when there is nothing to verify."""
    parser = argparse.ArgumentParser(prog="python -m engine.audit", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="an exported ledger: .engine/ledger/RUN or a copy"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a signed note kept elsewhere"
    )
    parser.add_argument("--key", default="", help="the run's key line, from a source you trust")
    arguments = parser.parse_args()
    try:
        notes = tuple(path.read_text("utf-8") for path in arguments.checkpoint)
        report = verify_folder(arguments.folder, notes, arguments.key)
    except EngineError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    except (OSError, UnicodeDecodeError) as error:
        print(f"audit: a file cannot be read: {error}", file=sys.stderr)
        return 2
    _tell(report)
    return 0 if report.ok else 5


def _tell(report: Report) -> None:
    for finding in report.findings:
        place = f"entry {finding.seq}" if finding.seq else "the ledger"
        print(f"{finding.level} {place}: {finding.message}")
    verdict = "holds" if report.ok else f"does NOT hold, {len(report.findings)} findings"
    print(
        f"run {report.run}: {report.entries} entries, {report.checkpoints} signed checkpoints"
        f" (the newest covers {report.witnessed}), levels L0 to L2: the ledger {verdict}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
