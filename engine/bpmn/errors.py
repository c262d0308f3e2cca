"""The error of a diagram that is refused: it carries every finding, not only the first."""

from __future__ import annotations

from collections.abc import Sequence

from engine.bpmn.model import Finding
from engine.errors import DefinitionError

__all__ = ["BpmnDefinitionError"]

SHOWN = 10  #: findings spelled out in the sentence; all of them are in `findings`


class BpmnDefinitionError(DefinitionError):
    """A BPMN file is refused. `findings` holds everything that is wrong with it, in file order."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings))
        lines = [str(finding) for finding in self.findings[:SHOWN]]
        if len(self.findings) > SHOWN:
            lines.append(f"and {len(self.findings) - SHOWN} more")
        super().__init__("\n".join(lines))
