"""Diagrams as people draw them, saved by bpmn-js's own libraries: each runs to the end its scenarios expect."""

from __future__ import annotations

import pytest

from tests.process import reached

SCENARIOS = [item for item in reached.played() if item.file.parent.name == "people"]


@pytest.mark.parametrize("item", SCENARIOS, ids=lambda item: item.file.stem)
def test_scenario(item: reached.Played) -> None:
    assert item.differences == ()


def test_forty_diagrams_are_drawn_and_told() -> None:
    folder = SCENARIOS[0].file.parent
    drawn = {path.stem for path in folder.glob("*.bpmn")}
    told = {item.file.name.partition(".")[0] for item in SCENARIOS}
    assert told == drawn
    assert len(drawn) == 40
