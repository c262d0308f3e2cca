"""Findings and test results of policies in the formats of other tools: SARIF 2.1.0, GitHub annotations, JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import orjson

from engine import __version__

if TYPE_CHECKING:
    from engine.bpmn.model import Finding
    from engine.policy.authoring import TestResult

_SARIF_LEVEL = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB_LEVEL = {"error": "error", "warning": "warning", "info": "notice"}


def sarif(findings: Sequence[Finding]) -> str:
    """Return a SARIF 2.1.0 log with one result for each finding."""
    results = [
        {
            "ruleId": finding.rule,
            "level": _SARIF_LEVEL[finding.severity],
            "message": {"text": f"{finding.message}. {finding.hint}".strip()},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(finding.file)},
                        "region": {"startLine": max(1, finding.line)},
                    }
                }
            ],
        }
        for finding in findings
    ]
    driver = {
        "name": "engine policy check",
        "version": __version__,
        "rules": [{"id": rule} for rule in sorted({finding.rule for finding in findings})],
    }
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return orjson.dumps(log).decode()


def github(findings: Sequence[Finding]) -> str:
    """Return one workflow command for each finding, as GitHub Actions shows beside the line."""
    return "\n".join(
        f"::{_GITHUB_LEVEL[f.severity]} file={_property(f.file)},line={max(1, f.line)},"
        f"title={_property(f.rule)}::{_escaped(f'{f.message}. {f.hint}'.strip())}"
        for f in findings
    )


def junit(results: Sequence[TestResult]) -> str:
    """Return JUnit XML with one case for each test rule."""
    failed = sum(not result.passed for result in results)
    cases = "".join(
        f"<testcase classname={quoteattr(r.package)} name={quoteattr(r.name)}"
        + (
            "/>"
            if r.passed
            else f"><failure message={quoteattr(r.message or 'not true')}/></testcase>"
        )
        for r in results
    )
    return (
        f'<testsuite name="policies" tests="{len(results)}" failures="{failed}">{cases}</testsuite>'
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
