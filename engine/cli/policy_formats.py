"""Findings and test results of policies in the formats of other tools: SARIF 2.1.0, GitHub annotations, JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import orjson

from engine import __version__

if TYPE_CHECKING:
    from engine.bpmn.model import Finding
    from engine.policy.authoring import TestResult

_COLUMN: Final = re.compile(r"^column (\d+): ")  #: how findings about policies begin
_SARIF_LEVEL = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB_LEVEL = {"error": "error", "warning": "warning", "info": "notice"}


def sarif(findings: Sequence[Finding], tool: str = "engine policy check") -> str:
    """Return a SARIF 2.1.0 log of `tool` with one result for each finding."""
    results = [
        {
            "ruleId": finding.rule,
            "level": _SARIF_LEVEL[finding.severity],
            "message": {"text": _said(finding)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(finding.file)},
                        "region": _region(finding),
                    }
                }
            ],
        }
        for finding in findings
    ]
    driver = {
        "name": tool,
        "version": __version__,
        "rules": [{"id": rule} for rule in sorted({finding.rule for finding in findings})],
    }
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return orjson.dumps(log).decode()


def github(findings: Sequence[Finding]) -> str:
    """Return one workflow command for each finding, as GitHub Actions shows beside the line."""
    return "\n".join(
        f"::{_GITHUB_LEVEL[f.severity]} file={_property(f.file)},line={max(1, f.line)},"
        f"{_column(f)}title={_property(f.rule)}::{_escaped(_said(f))}"
        for f in findings
    )


def failures(results: Sequence[TestResult]) -> list[Finding]:
    """Return a finding for each test that failed."""
    from engine.bpmn.model import Finding

    return [
        Finding(
            file=result.file,
            line=result.line,
            severity="error",
            rule="test-failed",
            element=result.name,
            message=f"{result.package}.{result.name} failed"
            + (f": {result.message}" if result.message else ""),
        )
        for result in results
        if not result.passed
    ]


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


def junit_of_findings(findings: Sequence[Finding], files: Sequence[str]) -> str:
    """Return JUnit XML with one case for each file; its findings are its failures."""
    told = {file: [f for f in findings if f.file == file] for file in files}
    cases = "".join(
        f'<testcase classname="policies" name={quoteattr(file)}>'
        + "".join(
            f"<failure type={quoteattr(f.rule)} message={quoteattr(f'{f.file}:{f.line}: {f.message}')}/>"
            for f in found
        )
        + "</testcase>"
        for file, found in told.items()
    )
    failed = sum(bool(found) for found in told.values())
    return f'<testsuite name="policies" tests="{len(told)}" failures="{failed}">{cases}</testsuite>'


def _said(finding: Finding) -> str:
    """Return message and hint without the column, which the formats have a place for."""
    return f"{_COLUMN.sub('', finding.message)}. {finding.hint}".strip()


def _region(finding: Finding) -> dict[str, int]:
    column = _COLUMN.match(finding.message)
    place = {"startLine": max(1, finding.line)}
    return {**place, "startColumn": int(column[1])} if column else place


def _column(finding: Finding) -> str:
    column = _COLUMN.match(finding.message)
    return f"col={column[1]}," if column else ""


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
