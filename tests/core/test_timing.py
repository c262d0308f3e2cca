"""When timers are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.core import timing
from engine.core.expressions import Trouble
from engine.feel import parse_temporal
from tests.core.world import NOON


@pytest.mark.parametrize(
    ("kind", "value", "due"),
    [
        ("duration", "PT5M", "2026-03-01T12:05:00+00:00"),
        ("duration", "P1DT2H", "2026-03-02T14:00:00+00:00"),
        ("duration", "P1M", "2026-04-01T12:00:00+00:00"),
        ("duration", "P1Y2M3DT4S", "2027-05-04T12:00:04+00:00"),
        ("duration", "P2W", "2026-03-15T12:00:00+00:00"),
        ("duration", "PT0.5S", "2026-03-01T12:00:00.500000+00:00"),
        ("duration", "-PT1H", "2026-03-01T11:00:00+00:00"),
        ("date", "2026-03-01T12:30:00Z", "2026-03-01T12:30:00+00:00"),
        ("date", "2026-03-01T12:30:00+02:00", "2026-03-01T10:30:00+00:00"),
        ("date", "2026-03-01T12:30:00", "2026-03-01T12:30:00+00:00"),
        ("date", "2026-03-02", "2026-03-02T00:00:00+00:00"),
        ("date", "1999-01-01T00:00:00Z", "1999-01-01T00:00:00+00:00"),
        ("cycle", "R3/PT10M", "2026-03-01T12:10:00+00:00"),
        ("cycle", "R/P1D", "2026-03-02T12:00:00+00:00"),
        ("cycle", "R2/2026-03-01T15:00:00Z/PT1H", "2026-03-01T15:00:00+00:00"),
    ],
)
def test_first_firing(kind: timing.Kind, value: str, due: str) -> None:
    assert timing.schedule(kind, value, NOON).due.isoformat() == due


@pytest.mark.parametrize(
    ("kind", "value", "due"),
    [
        ("duration", "PT5M", NOON + timedelta(minutes=5)),
        ("duration", "P1M", datetime(2026, 4, 1, 12, tzinfo=UTC)),
        ("date", "2026-03-05T01:00:00Z", datetime(2026, 3, 5, 1, tzinfo=UTC)),
        ("date", "2026-03-05", datetime(2026, 3, 5, tzinfo=UTC)),
        ("cycle", "PT5M", NOON + timedelta(minutes=5)),
    ],
)
def test_values_of_feel(kind: timing.Kind, value: str, due: datetime) -> None:
    assert timing.schedule(kind, parse_temporal(value), NOON).due == due


def test_months_end_at_the_end_of_the_month() -> None:
    january = datetime(2026, 1, 31, tzinfo=UTC)
    assert timing.schedule("duration", "P1M", january).due == datetime(2026, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "minutes"),
    [("R3/PT10M", [10, 20, 30]), ("R1/PT10M", [10]), ("R/PT10M", [10, 20, 30, 40, 50])],
)
def test_cycles_count_from_when_they_were_due(value: str, minutes: list[int]) -> None:
    found = []
    firing: timing.Schedule | None = timing.schedule("cycle", value, NOON)
    while firing is not None and len(found) < 5:
        found.append((firing.due - NOON) // timedelta(minutes=1))
        firing = firing.following()
    assert found == minutes


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("duration", "5 minutes", "expected a duration such as PT15M, but got 5 minutes"),
        ("duration", None, "expected a duration such as PT15M, but got None"),
        ("duration", "P", "expected a duration such as PT15M, but got P"),
        ("date", "tomorrow", "expected a date and time such as 2026-05-01T09:00:00Z, but got tomorrow"),
        ("date", 7, "expected a date and time such as 2026-05-01T09:00:00Z, but got 7"),
        ("cycle", "0 0 * * *", "expected a cycle such as R3/PT10M (cron is not supported), but got 0 0 * * *"),
        ("cycle", "R/PT0S", "expected an interval longer than nothing, but got R/PT0S"),
        ("cycle", "R0/PT1H", "expected at least one repetition, but got R0/PT1H"),
        ("duration", "P9999Y", "expected a time before the year 10000"),
    ],
)  # fmt: skip
def test_what_is_no_time(kind: timing.Kind, value: object, message: str) -> None:
    with pytest.raises(Trouble) as raised:
        timing.schedule(kind, value, NOON)
    assert (raised.value.code, raised.value.message) == ("MAPPING", message)
