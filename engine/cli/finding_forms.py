"""Findings about diagrams, decisions and policies in the forms that people, tools and code hosts read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from engine import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Finding(DataclassInstance, Protocol):
        """What every linter of the engine says: one thing about one place. `line` is 0 when it is about the whole file."""

        @property
        def file(self) -> str: ...
        @property
        def line(self) -> int: ...
        @property
        def severity(self) -> str: ...
        @property
        def rule(self) -> str: ...
        @property
        def element(self) -> str: ...
        @property
        def message(self) -> str: ...
        @property
        def hint(self) -> str: ...


_SARIF: Final = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB: Final = {"error": "error", "warning": "warning", "info": "notice"}


def as_text(findings: Sequence[Finding], files: Sequence[str]) -> str:
    """Return a line for each finding and one that counts them, without a final newline."""
    counts = Counter(str(finding.severity) for finding in findings)
    told = ", ".join(
        f"{counts[severity]} {noun}{'' if counts[severity] == 1 or severity == 'info' else 's'}"
        for severity, noun in (("error", "error"), ("warning", "warning"), ("info", "to know"))
        if counts[severity]
    )
    checked = f"{len(files)} file{'' if len(files) == 1 else 's'} checked"
    return "\n".join([*map(str, findings), f"{checked}: {told or 'nothing to report'}"])


def as_json(findings: Sequence[Finding], files: Sequence[str]) -> dict[str, object]:
    """Return the body of `engine.process-lint/v1`, `engine.decision-lint/v1` and `engine.policy-check/v1`."""
    return {
        "files": list(files),
        "errors": sum(finding.severity == "error" for finding in findings),
        "warnings": sum(finding.severity == "warning" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }


def as_github(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield workflow commands that GitHub shows at the line of the file."""
    for finding in findings:
        column = f"col={_column(finding)}," if _column(finding) else ""
        place = f"file={_property(finding.file)},line={max(finding.line, 1)},{column}title={_property(finding.rule)}"
        yield f"::{_GITHUB[finding.severity]} {place}::{_escaped(_told(finding))}"


def as_sarif(
    findings: Sequence[Finding], tool: str, rules: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return a SARIF 2.1.0 log with one run of `tool`; `rules` says what each rule means, where it is known."""
    names = sorted({finding.rule for finding in findings})
    meant = {name: {"shortDescription": {"text": text}} for name, text in (rules or {}).items()}
    driver = {
        "name": tool,
        "version": __version__,
        "rules": [{"id": name} | meant.get(name, {}) for name in names],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "results": [_result(finding, names.index(finding.rule)) for finding in findings],
            }
        ],
    }


def _result(finding: Finding, rule: int) -> dict[str, object]:
    region = {"startLine": max(finding.line, 1)}
    if _column(finding):
        region["startColumn"] = _column(finding)
    place = {"artifactLocation": {"uri": quote(finding.file)}, "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": _SARIF[finding.severity],
        "message": {"text": _told(finding)},
        "locations": [{"physicalLocation": place, **_logical(finding)}],
    }


def _logical(finding: Finding) -> dict[str, object]:
    if not finding.element:
        return {}
    decision = getattr(finding, "decision", "")  # findings about decisions alone have one
    full = {"fullyQualifiedName": decision} if decision else {}
    return {"logicalLocations": [{"name": finding.element, **full}]}


def _column(finding: Finding) -> int:
    column = getattr(finding, "column", 0)  # findings about policies alone have one
    return column if isinstance(column, int) else 0


def _told(finding: Finding) -> str:
    said = finding.message if finding.message.endswith((".", "?", "!")) else f"{finding.message}."
    return f"{said} {finding.hint}".strip()


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
