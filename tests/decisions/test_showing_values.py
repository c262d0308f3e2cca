"""Values as short text for messages."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.decisions.explanation import show
from engine.feel import Value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(True, "true", id="truth"),
        pytest.param(Decimal(1), "1", id="one is not true"),
        pytest.param(Decimal(0), "0", id="zero is not false"),
        pytest.param(None, "null", id="nothing"),
        pytest.param(["a", Decimal("0.5")], '["a", 0.5]', id="a list"),
    ],
)
def test_a_value_is_shown_as_it_would_be_written(value: Value, text: str) -> None:
    assert show(value) == text
