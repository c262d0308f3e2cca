"""Where the reader and its checks put what they find, so that a designer hears everything at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.bpmn.model import Finding, FlowNode, Position

__all__ = ["Collector"]

LIMIT = 200  #: findings kept for one file; a hostile file must not fill the memory


@dataclass
class Collector:
    """Findings of one file."""

    file: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept."""
        return len(self.findings) >= LIMIT

    def add(
        self,
        rule: str,
        position: Position | int,
        message: str,
        hint: str = "",
        *,
        element: str = "",
        severity: Literal["error", "warning", "info"] = "error",
    ) -> None:
        """Keep one finding at `position` (or line) about the element with id `element`."""
        if self.is_full:
            return
        self.findings.append(
            Finding(
                file=self.file,
                line=position if isinstance(position, int) else position.line,
                severity=severity,
                rule=rule,
                element=element,
                message=message,
                hint=hint,
            )
        )

    def said(self, rule: str, element: str | None) -> bool:
        """Whether something was found under `rule` about the element with that id."""
        return any(item.rule == rule and item.element == element for item in self.findings)

    def about(self, node: FlowNode, rule: str, message: str, hint: str = "") -> None:
        """Keep one finding about `node`; the message starts with its name and id."""
        self.add(rule, node.position, f"{node.label}: {message}", hint, element=node.id)
