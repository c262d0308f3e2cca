"""Findings about diagrams in the forms that people, tools and code hosts read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from engine.bpmn.model import Finding


def as_text(findings: Sequence[Finding], files: Sequence[str]) -> str:
    """Return a line for each finding and one that counts them."""
    counts = Counter(str(finding.severity) for finding in findings)
    told = ", ".join(
        f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}"
        for severity in ("error", "warning", "info")
        if counts[severity]
    )
    checked = f"{len(files)} file{'s' if len(files) != 1 else ''} checked"
    return "\n".join([*map(str, findings), f"{checked}: {told or 'nothing to report'}"])


def as_json(findings: Sequence[Finding], files: Sequence[str]) -> dict[str, object]:
    """Return the body of `engine.process-lint/v1`."""
    return {
        "files": list(files),
        "errors": sum(finding.severity == "error" for finding in findings),
        "warnings": sum(finding.severity == "warning" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }


def as_github(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield workflow commands that GitHub shows at the line of the file."""
    levels = {"error": "error", "warning": "warning", "info": "notice"}
    for finding in findings:
        place = f"file={_property(finding.file)},line={max(finding.line, 1)},title={_property(finding.rule)}"
        yield f"::{levels[finding.severity]} {place}::{_message(_told(finding))}"


def as_sarif(findings: Sequence[Finding]) -> dict[str, object]:
    """Return a SARIF 2.1.0 log with one run."""
    rules = sorted({finding.rule for finding in findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "engine process lint",
                        "rules": [{"id": rule} for rule in rules],
                    }
                },
                "results": [_result(finding, rules) for finding in findings],
            }
        ],
    }


def _result(finding: Finding, rules: Sequence[str]) -> dict[str, object]:
    levels = {"error": "error", "warning": "warning", "info": "note"}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": levels[finding.severity],
        "message": {"text": _told(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding.file)},
                    "region": {"startLine": max(finding.line, 1)},
                },
                "logicalLocations": [{"name": finding.element}],
            }
        ],
    }


def _told(finding: Finding) -> str:
    said = finding.message if finding.message.endswith((".", "?", "!")) else f"{finding.message}."
    return f"{said} {finding.hint}".strip()


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
