"""The rows of tables that matched, with the value that met each cell: from a decision's record and its definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.core.definitions import Definitions
from engine.core.model import DecisionEvaluated, Json
from engine.decisions.explanation import show
from engine.decisions.model import DecisionTable
from engine.frozen import dataclass

ANY = {"", "-"}  #: cells that every value meets


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One input cell of a row: its column, the value that was there, and the cell as written ("-" for any value)."""

    column: str
    value: Json
    cell: str


@dataclass(frozen=True, kw_only=True)
class MatchedRow:
    """A row that matched, counted from 1."""

    table: str
    row: int
    rule: str
    cells: tuple[Cell, ...]
    outputs: Mapping[str, Json]
    annotations: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield the row as lines for people: its annotation, then what met its cells."""
        why = "; ".join(note for note in self.annotations if note)
        yield f"{self.table}, row {self.row}: {why}".rstrip(": ")
        met = [
            f"{cell.column} = {show(cell.value)}"
            + ("" if cell.cell in ANY else f" meets {cell.cell}")
            for cell in self.cells
        ]
        if met:
            yield f"  {', '.join(met)}"

    def to_json(self) -> dict[str, Json]:
        return {
            "table": self.table,
            "row": self.row,
            "rule": self.rule,
            "cells": [{"column": c.column, "value": c.value, "cell": c.cell} for c in self.cells],
            "outputs": dict(self.outputs),
            "annotations": list(self.annotations),
        }


def matched_rows(event: DecisionEvaluated, definitions: Definitions) -> list[MatchedRow]:
    """Return the rows that matched, of every table that ran for the decision, in the order in which they ran."""
    record: Any = event.record  # Any: JSON of engine.decisions.explanation
    tables = _tables(definitions, event.decision)
    return [
        _row(told, rule, tables.get(str(told.get("id"))))
        for told in (record.get("decisions", ()) if isinstance(record, Mapping) else ())
        for rule in told.get("rules", ())
    ]


def _tables(definitions: Definitions, decision: str) -> dict[str, DecisionTable]:
    """Return {decision id: its table} of the model that the decision stands in."""
    found = definitions.decisions.get(decision)
    return {
        element.id: element.logic
        for element in (found.model.definitions.decisions if found else ())
        if isinstance(element.logic, DecisionTable)
    }


def _row(told: Any, rule: Any, table: DecisionTable | None) -> MatchedRow:  # Any: JSON as above
    return MatchedRow(
        table=str(told.get("name") or told.get("id")),
        row=int(rule["row"]),
        rule=str(rule.get("id") or ""),
        cells=tuple(_cells(told.get("inputs") or {}, int(rule["row"]), table)),
        outputs=rule.get("outputs") or {},
        annotations=tuple(str(note) for note in rule.get("annotations") or ()),
    )


def _cells(inputs: Mapping[str, Json], row: int, table: DecisionTable | None) -> Iterator[Cell]:
    """Yield the cells of a row in the order of the columns; the ledger keeps the values by name, in no order."""
    if table is None or not 0 < row <= len(table.rules):
        yield from (Cell(column=name, value=value, cell="-") for name, value in inputs.items())
        return
    for clause, text in zip(table.inputs, table.rules[row - 1].inputs, strict=True):
        name = next((n for n in (clause.expression.text, clause.label) if n in inputs), None)
        if name is not None:
            yield Cell(column=name, value=inputs[name], cell=text.text)
