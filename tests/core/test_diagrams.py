"""Semantics, element by element: every scenario in `diagrams/` holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import scenario_files

DIAGRAMS = Path(__file__).parent / "diagrams"
SCENARIOS = scenario_files.find([DIAGRAMS])


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_scenario(file: Path) -> None:
    report = scenario_files.run(file)
    assert (report.invalid, report.differences) == ("", ())


def test_every_diagram_has_a_scenario() -> None:
    told = {file.name.partition(".")[0] for file in SCENARIOS}
    drawn = {file.stem for file in DIAGRAMS.glob("*.bpmn")}
    assert drawn == told
