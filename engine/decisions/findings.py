"""What the analysis of a DMN file found, and the forms in which people and machines read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

Severity = Literal["error", "warning", "info"]

#: Every rule of the analysis with what it means; docs/reference/decisions.md has a line for each.
RULES: Final[Mapping[str, str]] = {
    "definition": "the file cannot be loaded",
    "syntax": "a cell or expression is no FEEL",
    "unknown-name": "an expression names something that is not in scope",
    "unquoted-text": "a cell holds a bare word where text in quotes was meant",
    "gap": "no rule matches some inputs",
    "overlap": "two rules match the same inputs where the hit policy permits one",
    "different-answers": "rules that match the same inputs answer differently under ANY",
    "unreachable": "a rule can never match, or never be the first to match",
    "masked": "a rule is always outranked by a rule with a higher priority",
    "duplicate": "two rules have the same conditions",
    "type": "a cell or output does not fit the type of its column",
    "empty-range": "a range holds no value",
    "not-allowed": "a value is none of the allowed ones",
    "aggregator": "the aggregator does not fit the table",
    "priority": "PRIORITY and OUTPUT ORDER need the output values in order",
    "catch-all": "the last row of a FIRST table does not catch what is left, or a catch-all is not the last",
    "not-proven": "the table is too large, or its cells are not constant, to prove that it has no gap",
    "unused": "an input is required but not used",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to tell the author of a decision."""

    file: str
    line: int
    severity: Severity
    rule: str  #: a key of RULES
    element: str  #: id of the element
    message: str
    decision: str = ""  #: name of the decision or knowledge model
    rows: tuple[int, ...] = ()  #: of the table, counted from 1
    witness: Mapping[str, object] = field(
        default_factory=dict
    )  #: input → value that shows it, plain JSON
    hint: str = ""

    def __str__(self) -> str:
        """Return one line."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}: {self.severity}: {self.message}{hint} [{self.rule}]"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where findings about one decision are collected."""

    file: str
    decision: str
    element: str
    found: list[Finding]

    def tell(
        self,
        line: int,
        severity: Severity,
        rule: str,
        message: str,
        *,
        element: str = "",
        rows: Sequence[int] = (),
        witness: Mapping[str, object] | None = None,
        hint: str = "",
    ) -> None:
        """Add a finding; the name of the decision is put in front of the message."""
        self.found.append(
            Finding(
                file=self.file,
                line=line,
                severity=severity,
                rule=rule,
                element=element or self.element,
                decision=self.decision,
                message=f"{self.decision}: {message}",
                rows=tuple(rows),
                witness=witness or {},
                hint=hint,
            )
        )


def as_text(findings: Sequence[Finding], files: Sequence[str]) -> str:
    """Return all findings and a line that counts them, without a final newline."""
    count = Counter[str](f.severity for f in findings)
    parts = [
        f"{count[s]} {noun}{'' if count[s] == 1 or s == 'info' else 's'}"
        for s, noun in (("error", "error"), ("warning", "warning"), ("info", "to know"))
        if count[s]
    ]
    checked = f"{len(files)} file{'' if len(files) == 1 else 's'} checked"
    return "\n".join([*map(str, findings), f"{checked}: {', '.join(parts) or 'nothing to report'}"])


def as_json(findings: Sequence[Finding], files: Sequence[str]) -> dict[str, object]:
    """Return plain values for `engine.decision-lint/v1`."""
    return {
        "files": list(files),
        "errors": sum(f.severity == "error" for f in findings),
        "warnings": sum(f.severity == "warning" for f in findings),
        "findings": [
            {
                "file": f.file,
                "line": f.line,
                "severity": f.severity,
                "rule": f.rule,
                "element": f.element,
                "decision": f.decision,
                "rows": list(f.rows),
                "witness": dict(f.witness),
                "message": f.message,
                "hint": f.hint,
            }
            for f in findings
        ],
    }


def as_github(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield workflow commands that GitHub shows at the line of the file."""
    levels = {"error": "error", "warning": "warning", "info": "notice"}
    for f in findings:
        place = f"file={_property(f.file)},line={max(f.line, 1)},title={_property(f.rule)}"
        yield f"::{levels[f.severity]} {place}::{_message(' '.join((f.message, f.hint)).strip())}"


def as_sarif(findings: Sequence[Finding]) -> dict[str, object]:
    """Return a SARIF 2.1.0 log with one run."""
    levels = {"error": "error", "warning": "warning", "info": "note"}
    rules = sorted({f.rule for f in findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "engine decision lint",
                        "rules": [
                            {"id": rule, "shortDescription": {"text": RULES[rule]}}
                            for rule in rules
                        ],
                    }
                },
                "results": [
                    {
                        "ruleId": f.rule,
                        "ruleIndex": rules.index(f.rule),
                        "level": levels[f.severity],
                        "message": {"text": " ".join((f.message, f.hint)).strip()},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": quote(f.file)},
                                    "region": {"startLine": max(f.line, 1)},
                                },
                                "logicalLocations": [
                                    {
                                        "name": f.element,
                                        "fullyQualifiedName": f.decision or f.element,
                                    }
                                ],
                            }
                        ],
                    }
                    for f in findings
                ],
            }
        ],
    }


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
