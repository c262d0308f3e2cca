"""What a policy did: lines and rules that its tests reach, and why a decision closed.

Both look at the embedded engine's own coverage and syntax tree; they decide nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.model import Json
from engine.policy.embedded import Embedded


@dataclass(frozen=True, kw_only=True)
class RuleCoverage:
    """One rule of a file: its name, the lines it spans (1-based, inclusive), whether its head was reached."""

    name: str
    first: int
    last: int
    reached: bool


@dataclass(frozen=True, kw_only=True)
class FileCoverage:
    """Lines of one policy that its tests reach, and those they do not."""

    file: str
    covered: tuple[int, ...]
    missed: tuple[int, ...]
    rules: tuple[RuleCoverage, ...]

    @property
    def percent(self) -> int:
        """Whole percent of the lines that can be reached, rounded down."""
        total = len(self.covered) + len(self.missed)
        return 100 * len(self.covered) // total if total else 100


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a package decided as it did. A gateway opens when no denial is left, so all of `denials` stand in the way."""

    allowed: bool
    rules: tuple[tuple[str, RuleCoverage], ...]  #: (file, rule) whose body of several lines held
    denials: tuple[Mapping[str, Json], ...]


def coverage(modules: Mapping[str, str]) -> tuple[FileCoverage, ...]:
    """Return what the tests in `modules` (path → text) reach of the other files. Raises DefinitionError, RegoError."""
    loaded = Embedded(modules, {})
    session = loaded.measured_session()
    for package in loaded.packages:
        if package.endswith("_test"):
            session.document(package, "{}")
    return tuple(file for file in _files(session.covered()) if not file.file.endswith("_test.rego"))


def explain(modules: Mapping[str, str], package: str, input_: Json) -> Explanation:
    """Return why `package` answers as it does on `input_`. Raises DefinitionError, RegoError."""
    session = Embedded(modules, {}).measured_session()
    document = session.document(package, json.dumps(input_, default=str)) or {}
    denials = tuple(document.get("deny") or ())
    held = tuple(
        (file.file, rule)
        for file in _files(session.covered())
        for rule in file.rules
        if rule.reached and rule.last > rule.first
    )
    allowed = document.get("allow") is True and not denials
    return Explanation(allowed=allowed, rules=held, denials=denials)


def _files(report: Any) -> list[FileCoverage]:  # Any: JSON of the engine
    return [
        FileCoverage(
            file=item["path"],
            covered=tuple(item["covered"]),
            missed=tuple(item["not_covered"]),
            rules=_rules(item["code"], set(item["covered"]), set(item["not_covered"])),
        )
        for item in sorted(report["files"], key=lambda item: str(item["path"]))
    ]


def _rules(text: str, covered: set[int], missed: set[int]) -> tuple[RuleCoverage, ...]:
    """Return the rules of a file: each starts in the first column. A rule with a value is reached when its head is.

    The head of a rule without one is in neither list; then what counts is its last statement that was looked at.
    """
    lines = text.split("\n")
    rules = []
    for number, line in enumerate(lines, 1):
        if line[:1].isalpha() and not line.startswith(("package", "import", "default")):
            last = number
            if line.endswith(("{", "[", "(")):
                last = _closing(lines, number)
            rules.append(
                RuleCoverage(
                    name=line.split()[0].partition("(")[0],
                    first=number,
                    last=last,
                    reached=number in covered
                    or (number not in missed and _body_reached(number, last, covered, missed)),
                )
            )
    return tuple(rules)


def _closing(lines: list[str], first: int) -> int:
    """Return the line that closes, in the first column, what line `first` opens."""
    closed = (
        at for at in range(first, len(lines) + 1) if lines[at - 1].startswith(("}", "]", ")"))
    )
    return next(closed, first)


def _body_reached(first: int, last: int, covered: set[int], missed: set[int]) -> bool:
    body = [line for line in range(first + 1, last) if line in covered or line in missed]
    return bool(body) and body[-1] in covered
