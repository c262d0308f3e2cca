"""What the analysis of a DMN file found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final, Literal

from engine.frozen import dataclass

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
