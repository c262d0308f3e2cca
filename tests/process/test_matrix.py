"""docs/reference/bpmn.md is current, and every element and event that is executed is shown by two scenarios."""

from __future__ import annotations

import pytest

from engine.bpmn import dialect
from tests.process import matrix, reached

PLACES = [
    (place, kind, how)
    for place, kinds in dialect.PLACES.items()
    for kind in sorted(kinds)
    for how in matrix._interruptions(place)
    if (kind, how) != ("error", "non-interrupting")
]


def test_the_page_is_current() -> None:
    assert matrix.PAGE.read_text("utf-8") == matrix.page(), "run python -m tests.process.matrix"


def test_nothing_is_ignored() -> None:
    rows = [line for line in matrix.page().splitlines() if line.startswith("| `")]
    answers = {row.split("|")[1].strip(" `"): row.split("|")[2].strip() for row in rows}
    for name in matrix.ELEMENTS:
        assert answers[name] in ("executed", "drawn") or answers[name].startswith("refused: `")


@pytest.mark.parametrize("name", sorted(dialect.EXECUTED))
def test_an_executed_element_is_in_two_scenarios(name: str) -> None:
    assert len(reached.by_tag()[name]) >= 2


@pytest.mark.parametrize(("place", "kind", "how"), PLACES)
def test_an_event_fires_in_two_scenarios(place: str, kind: str, how: str) -> None:
    assert len(reached.by_place()[place, kind, how]) >= 2


def test_there_are_enough_scenarios_and_all_hold() -> None:
    played = [item for item in reached.played() if item.file.parent.name == "diagrams"]
    assert len(played) >= 120
    assert len({item.file.name.partition(".")[0] for item in played}) >= 50
    assert [item.file.name for item in played if item.differences] == []
