"""When a timer is due: ISO 8601 dates, durations and cycles, and FEEL's temporal values. Reads no clock.

>>> at = datetime(2026, 1, 1, tzinfo=UTC)
>>> first = schedule("cycle", "R2/PT1H", at)
>>> first.due.isoformat(), first.following().due.isoformat(), first.following().following()
('2026-01-01T01:00:00+00:00', '2026-01-01T02:00:00+00:00', None)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from engine.core.expressions import Trouble
from engine.feel import Value
from engine.feel.temporal import (
    Date,
    DateTime,
    DaysTimeDuration,
    Duration,
    Time,
    YearsMonthsDuration,
    make_date,
    parse_date_time,
    parse_duration,
)
from engine.frozen import dataclass

Kind = Literal["date", "duration", "cycle"]

_CYCLE: Final = re.compile(r"R(-1|\d*)/(?:([^/P][^/]*)/)?(P[^/]+)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MIXED: Final = re.compile(r"(-?)P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(\d+D)?(T.+)?")


@dataclass(frozen=True, slots=True)
class Span:
    """A duration as timers write it: calendar months, then exact time (`P1MT1H`, `P2W` included)."""

    months: int
    time: timedelta

    def after(self, at: datetime) -> datetime:
        """Return the instant this long after `at`. Raises Trouble beyond year 9999."""
        try:
            return _plus_months(at, self.months) + self.time
        except (OverflowError, ValueError) as error:
            raise Trouble("MAPPING", "expected a time before the year 10000") from error


@dataclass(frozen=True, slots=True)
class Schedule:
    """One firing of a timer and what comes after. `again` counts further firings; None is endless."""

    due: datetime
    again: int | None = 0
    every: Span | None = None

    def following(self) -> Schedule | None:
        """Return the next firing, one interval after this one was due, or None when this was the last."""
        if self.every is None or self.again == 0:
            return None
        again = None if self.again is None else self.again - 1
        return Schedule(self.every.after(self.due), again, self.every)


def schedule(kind: Kind, value: Value, now: datetime) -> Schedule:
    """Return the first firing of a timer whose expression gave `value` at `now`; it may lie in the past.

    Raises Trouble(MAPPING) when `value` is no date, duration or cycle.
    """
    try:
        match kind:
            case "date":
                return Schedule(_instant(value))
            case "duration":
                return Schedule(_span(value).after(now))
            case "cycle":
                return _cycle(value, now)
    except (ValueError, OverflowError) as error:
        raise Trouble("MAPPING", _expected(kind, value)) from error


def check(kind: Kind, text: str) -> str:
    """Return what is wrong with a timer's fixed text, or nothing."""
    try:
        schedule(kind, text, _EPOCH)
    except Trouble as trouble:
        return trouble.message
    return ""


def span(text: str) -> Span:
    """Read an ISO 8601 duration. Raises ValueError."""
    found = _MIXED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    sign = -1 if found[1] else 1
    months = int(found[2] or 0) * 12 + int(found[3] or 0)
    rest = timedelta(weeks=int(found[4] or 0))
    if found[5] or found[6]:
        exact = parse_duration(f"P{found[5] or ''}{found[6] or ''}")
        assert isinstance(exact, DaysTimeDuration)
        rest += timedelta(microseconds=exact.nanoseconds // 1000)
    return Span(sign * months, sign * rest)


def _cycle(value: Value, now: datetime) -> Schedule:
    if isinstance(value, Duration):
        value = f"R/{value}"
    found = _CYCLE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError
    every = span(found[3])
    if every.after(now) <= now:
        raise Trouble("MAPPING", f"expected an interval longer than nothing, but got {value}")
    repetitions = None if found[1] in ("", "-1") else int(found[1])
    if repetitions == 0:
        raise Trouble("MAPPING", f"expected at least one repetition, but got {value}")
    first = _instant(found[2]) if found[2] else every.after(now)
    return Schedule(first, None if repetitions is None else repetitions - 1, every)


def _span(value: Value) -> Span:
    match value:
        case DaysTimeDuration():
            return Span(0, timedelta(microseconds=value.nanoseconds // 1000))
        case YearsMonthsDuration():
            return Span(value.months, timedelta())
        case str():
            return span(value)
        case _:
            raise ValueError


def _instant(value: Value) -> datetime:
    match value:
        case str():
            moment = parse_date_time(value)
        case DateTime():
            moment = value
        case Date():
            moment = DateTime(value, Time(0, 0, 0))
        case _:
            raise ValueError
    return _EPOCH + timedelta(microseconds=moment.instant // 1000)


def _plus_months(at: datetime, months: int) -> datetime:
    if not months:
        return at
    date = make_date(at.year, at.month, at.day).plus_months(months)
    return at.replace(year=date.year, month=date.month, day=date.day)


def _expected(kind: Kind, value: Value) -> str:
    example = {
        "date": "a date and time such as 2026-05-01T09:00:00Z",
        "duration": "a duration such as PT15M",
        "cycle": "a cycle such as R3/PT10M (cron is not supported)",
    }[kind]
    return f"expected {example}, but got {value if isinstance(value, str) else repr(value)}"
