"""Why a decision answered what it answered: plain values that can be stored, shown and compared.

One `DecisionRecord` for each decision that ran, in the order they ran, the asked one last. `to_json` holds only
None, bool, int, Decimal, str, list and dict; that is what the ledger keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.feel import FeelError, Value, kind, to_json
from engine.frozen import dataclass


def plain(value: Value) -> Value:
    """Return JSON for any value; what JSON cannot hold (a function, a range) is named by its kind."""
    try:
        return to_json(value)
    except FeelError:
        match value:
            case dict():
                return {key: plain(item) for key, item in value.items()}
            case list():
                return [plain(item) for item in value]
            case _:
                return f"<{kind(value)}>"


def show(value: Value) -> str:
    """Return a value as short text for messages."""
    found = plain(value)
    if isinstance(found, str):
        return f'"{found}"'
    if isinstance(found, dict):
        return "{" + ", ".join(f"{k}: {show(v)}" for k, v in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ", ".join(map(show, found)) + "]"
    if found is None or isinstance(found, bool):
        return {None: "null", True: "true", False: "false"}[found]
    return str(found)


class Outcome(StrEnum):
    """How a decision came to its value."""

    MATCHED = "matched"  #: a table, at least one rule matched
    NO_MATCH = "no_match"  #: a table, no rule matched, and no default is given: the value is null
    DEFAULT = "default"  #: a table, no rule matched: the value is its default output
    VIOLATION = (
        "violation"  #: a table, more rules matched than its hit policy permits: the value is null
    )
    EVALUATED = "evaluated"  #: any other logic
    GIVEN = "given"  #: no logic here, the value came in as an input
    MISSING = "missing"  #: no logic here and no input: the value is null


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedRule:
    """One rule of a table that matched."""

    id: str
    row: int  #: counted from 1
    annotations: tuple[str, ...]
    outputs: Mapping[str, Value]  #: by output name; a single column without a name is "output"

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "id": self.id,
            "row": self.row,
            "annotations": list(self.annotations),
            "outputs": {name: plain(value) for name, value in self.outputs.items()},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRecord:
    """One decision that ran."""

    id: str
    name: str
    kind: str  #: "decision table", "literal expression", "context" …
    inputs: Mapping[str, Value]  #: a table's input columns; otherwise the required variables
    rules: tuple[MatchedRule, ...]  #: that matched, in the order of the hit policy
    value: Value
    outcome: Outcome
    hit_policy: str = ""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "hit_policy": self.hit_policy,
            "inputs": {name: plain(value) for name, value in self.inputs.items()},
            "rules": [rule.to_json() for rule in self.rules],
            "value": plain(self.value),
            "outcome": self.outcome.value,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """The answer to one question with everything that led to it."""

    decision: str  #: id of the asked decision or service
    value: Value
    outcome: Outcome  #: of the asked decision; VIOLATION when any decision on the way has one
    decisions: tuple[DecisionRecord, ...]
    warnings: tuple[str, ...] = ()  #: all warnings, each with the name of its decision

    def to_json(self) -> dict[str, object]:
        """Return plain values: None, bool, int, Decimal, str, list, dict."""
        return {
            "decision": self.decision,
            "value": plain(self.value),
            "outcome": self.outcome.value,
            "decisions": [record.to_json() for record in self.decisions],
            "warnings": list(self.warnings),
        }
