"""Results of policy tests as findings, and both as JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from engine.bpmn.model import Finding
    from engine.policy.authoring import TestResult


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
