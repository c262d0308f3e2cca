"""How full a worker's context is: what counts, and when it is full."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from engine.workers.context import ContextGauge

CLAUDE = {
    "type": "assistant",
    "message": {
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 9_997,
            "cache_read_input_tokens": 120_000,
            "output_tokens": 14_000,
        }
    },
}


def said(used: object) -> Mapping[str, Any]:
    return {"type": "context", "used": used}


@pytest.mark.parametrize(
    ("events", "tokens", "used"),
    [
        pytest.param([said(Decimal("0.4")), said(Decimal("0.72"))], None, "0.72", id="a share"),
        pytest.param([said(Decimal("0.6")), said(Decimal("0.1"))], None, "0.6", id="never less"),
        pytest.param([said(1)], None, "1", id="all of it"),
        pytest.param([said(72), said("0.9"), said(True), said(-1)], None, "0", id="no share"),
        pytest.param([CLAUDE], 200_000, "0.72", id="messages of Claude Code"),
        pytest.param([CLAUDE], 100_000, "1", id="never more than all"),
        pytest.param([CLAUDE], None, "0", id="size not known"),
        pytest.param([{"type": "assistant", "message": "hi"}], 200_000, "0", id="no usage"),
    ],
)
def test_what_is_used(events: list[Mapping[str, Any]], tokens: int | None, used: str) -> None:
    gauge = ContextGauge(None, pytest.fail, tokens)
    for event in events:
        gauge.read(event)
    assert gauge.used == Decimal(used)


def test_it_is_full_once_from_the_threshold_on() -> None:
    told: list[str] = []
    gauge = ContextGauge(Decimal("0.7"), lambda: told.append("full"))
    states = []
    for share in ("0.69", "0.7", "0.9"):
        gauge.read(said(Decimal(share)))
        states.append(gauge.is_full)
    assert (states, told) == ([False, True, True], ["full"])
