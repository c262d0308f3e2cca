"""Dates, times and durations as FEEL knows them, with exact arithmetic and no clock.

Invariants
- Years run from -999,999,999 to 999,999,999 in the proleptic Gregorian calendar, so Python's own types do not do.
- Fractions of a second are whole nanoseconds; further digits are cut off.
- A time or date and time has an offset in seconds, or an IANA zone, or neither (it is then local), never both.
- Python's `==`, `<` and `hash` go by the instant; `identical` also compares offset and zone as written.

>>> str(Date(2024, 2, 29).plus_months(12))
'2025-02-28'
>>> str(parse_date_time("2024-03-31T01:30:00@Europe/Berlin").plus(parse_duration("PT1H")))
'2024-03-31T03:30:00@Europe/Berlin'
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import total_ordering
from typing import TYPE_CHECKING

from engine.frozen import dataclass

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_YEAR = 999_999_999
MAX_OFFSET = 18 * 3600
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 86400 * SECOND
MONTH_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_DATE = re.compile(r"(-?(?:[0-9]{4}|[1-9][0-9]{4,8}))-([0-9]{2})-([0-9]{2})", re.ASCII)
_TIME = re.compile(
    r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:(Z|[+-][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)|@([A-Za-z0-9_/+-]+))?",
    re.ASCII,
)
_MONTHS = re.compile(r"(-)?P(?:([0-9]+)Y)?(?:([0-9]+)M)?", re.ASCII)
_DAYS = re.compile(
    r"(-)?P(?:([0-9]+)D)?(?:T(?=[0-9])(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:\.([0-9]*))?S)?)?",
    re.ASCII,
)
_OFFSET_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d(?::\d\d)?)\[([^\]]+)\]$", re.ASCII)
_NO_SECONDS = re.compile(r"((?:^|T)\d\d:\d\d)(?=$|Z|[+-]|@)", re.ASCII)
_LONGEST_NUMBER = 20  #: digits of a duration's component


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Date:
    """A day of the proleptic Gregorian calendar."""

    year: int
    month: int
    day: int

    @property
    def ordinal(self) -> int:
        """Return the days since 1970-01-01."""
        year = self.year - (self.month <= 2)
        era = year // 400
        of_era = year - era * 400
        of_year = (153 * (self.month + (-3 if self.month > 2 else 9)) + 2) // 5 + self.day - 1
        return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468

    @staticmethod
    def of_ordinal(days: int) -> Date:
        """Return the date so many days after 1970-01-01. Raises ValueError beyond the years of FEEL."""
        days += 719468
        era = days // 146097
        of_era = days - era * 146097
        year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
        of_year = of_era - (365 * year + year // 4 - year // 100)
        shifted = (5 * of_year + 2) // 153
        month = shifted + (3 if shifted < 10 else -9)
        day = of_year - (153 * shifted + 2) // 5 + 1
        return make_date(year + era * 400 + (month <= 2), month, day)

    def plus_months(self, months: int) -> Date:
        """Return the same day so many months later, or the last day of that month if it is shorter."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return make_date(year, month + 1, min(self.day, month_length(year, month + 1)))

    def plus_days(self, days: int) -> Date:
        """Return the date so many days later."""
        return Date.of_ordinal(self.ordinal + days)

    @property
    def weekday(self) -> int:
        """Return 1 for Monday to 7 for Sunday."""
        return (self.ordinal + 3) % 7 + 1

    @property
    def day_of_year(self) -> int:
        """Return 1 for the first of January."""
        return self.ordinal - Date(self.year, 1, 1).ordinal + 1

    @property
    def week_of_year(self) -> int:
        """Return the week by ISO 8601: week 1 holds the first Thursday of the year."""
        thursday = self.ordinal - self.weekday + 4
        year = Date.of_ordinal(thursday).year
        return (thursday - Date(year, 1, 1).ordinal) // 7 + 1

    def __str__(self) -> str:
        sign = "-" if self.year < 0 else ""
        return f"{sign}{abs(self.year):04d}-{self.month:02d}-{self.day:02d}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Date) and self.ordinal == other.ordinal

    def __lt__(self, other: Date) -> bool:
        return self.ordinal < other.ordinal

    def __hash__(self) -> int:
        return hash((Date, self.ordinal))


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Time:
    """A time of day, local unless it has an offset or a zone."""

    hour: int
    minute: int
    second: int
    nanosecond: int = 0
    offset: int | None = None  #: seconds east of Greenwich
    zone: str | None = None  #: IANA name

    @property
    def of_day(self) -> int:
        """Return the nanoseconds since midnight, as the clock on the wall shows them."""
        return (self.hour * 3600 + self.minute * 60 + self.second) * SECOND + self.nanosecond

    @property
    def is_local(self) -> bool:
        """Whether neither offset nor zone is known."""
        return self.offset is None and self.zone is None

    def offset_on(self, date: Date) -> int:
        """Return the seconds east of Greenwich on that day, 0 for a local time."""
        if self.zone is not None:
            return zone_offset(self.zone, date, self)
        return self.offset or 0

    @property
    def key(self) -> tuple[bool, int]:
        """Return what equal times share: whether they are local, and nanoseconds of the day in UTC."""
        if self.is_local:
            return (True, self.of_day)
        return (False, (self.of_day - self.offset_on(EPOCH) * SECOND) % DAY)

    def plus(self, duration: DaysTimeDuration) -> Time:
        """Return the time that much later, around midnight if need be."""
        return self.at(self.of_day + duration.nanoseconds)

    def at(self, of_day: int) -> Time:
        """Return this offset or zone with another time of day, in nanoseconds, modulo one day."""
        seconds, nanosecond = divmod(of_day % DAY, SECOND)
        return replace(
            self,
            hour=seconds // 3600,
            minute=seconds // 60 % 60,
            second=seconds % 60,
            nanosecond=nanosecond,
        )

    def __str__(self) -> str:
        fraction = f".{self.nanosecond:09d}".rstrip("0") if self.nanosecond else ""
        return (
            f"{self.hour:02d}:{self.minute:02d}:{self.second:02d}{fraction}"
            f"{_offset_text(self.offset)}{f'@{self.zone}' if self.zone else ''}"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.key == other.key

    def __lt__(self, other: Time) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash((Time, self.key))


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class DateTime:
    """A date with a time of day."""

    date: Date
    time: Time

    @property
    def is_local(self) -> bool:
        """Whether neither offset nor zone is known."""
        return self.time.is_local

    @property
    def offset(self) -> int:
        """Return the seconds east of Greenwich, 0 for a local one."""
        return self.time.offset_on(self.date)

    @property
    def instant(self) -> int:
        """Return the nanoseconds since 1970-01-01T00:00:00Z; a local one is taken as UTC."""
        return self.date.ordinal * DAY + self.time.of_day - self.offset * SECOND

    @property
    def key(self) -> tuple[bool, int]:
        """Return what equal ones share: whether they are local, and the instant."""
        return (self.is_local, self.instant)

    def plus(self, duration: DaysTimeDuration) -> DateTime:
        """Return the instant that much later, in the same offset or zone."""
        return self.at_instant(self.instant + duration.nanoseconds)

    def plus_months(self, months: int) -> DateTime:
        """Return the same time of day so many months later."""
        return DateTime(self.date.plus_months(months), self.time)

    def at_instant(self, instant: int) -> DateTime:
        """Return the instant (nanoseconds since 1970) in this offset or zone."""
        offset = self.time.offset or 0
        if self.time.zone is not None:
            offset = zone_offset_at(self.time.zone, instant // SECOND)
        days, of_day = divmod(instant + offset * SECOND, DAY)
        return DateTime(Date.of_ordinal(days), self.time.at(of_day))

    def __str__(self) -> str:
        return f"{self.date}T{self.time}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DateTime) and self.key == other.key

    def __lt__(self, other: DateTime) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash((DateTime, self.key))


@dataclass(frozen=True, slots=True, order=True)
class DaysTimeDuration:
    """An exact length of time."""

    nanoseconds: int

    @property
    def fields(self) -> tuple[int, int, int, int, int]:
        """Return days, hours, minutes, seconds and nanoseconds without the sign."""
        seconds, nanos = divmod(abs(self.nanoseconds), SECOND)
        return seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60, nanos

    def __str__(self) -> str:
        days, hours, minutes, seconds, nanos = self.fields
        fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
        second = f"{seconds}{fraction}S" if seconds or nanos else ""
        clock = f"{f'{hours}H' if hours else ''}{f'{minutes}M' if minutes else ''}{second}"
        text = f"{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}"
        return f"{'-' if self.nanoseconds < 0 else ''}P{text or 'T0S'}"


@dataclass(frozen=True, slots=True, order=True)
class YearsMonthsDuration:
    """A length in calendar months."""

    months: int

    def __str__(self) -> str:
        years, months = divmod(abs(self.months), 12)
        text = f"{f'{years}Y' if years else ''}{f'{months}M' if months else ''}"
        return f"{'-' if self.months < 0 else ''}P{text or '0M'}"


Duration = DaysTimeDuration | YearsMonthsDuration
Temporal = Date | Time | DateTime | DaysTimeDuration | YearsMonthsDuration
EPOCH = Date(1970, 1, 1)


def identical(a: Temporal, b: Temporal) -> bool:
    """Whether both are the same value written the same way (FEEL's `is`)."""
    match a, b:
        case Time(), Time():
            return (a.of_day, a.offset, a.zone) == (b.of_day, b.offset, b.zone)
        case DateTime(), DateTime():
            return a.date == b.date and identical(a.time, b.time)
        case _:
            return type(a) is type(b) and a == b


def month_length(year: int, month: int) -> int:
    """Return the number of days of a month."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else MONTH_LENGTHS[month]


def make_date(year: int, month: int, day: int) -> Date:
    """Return the date. Raises ValueError if there is no such day."""
    if abs(year) > MAX_YEAR or not 1 <= month <= 12 or not 1 <= day <= month_length(year, month):
        raise ValueError(f"{year}-{month}-{day} is no date")
    return Date(year, month, day)


def make_time(hour: int, minute: int, second: int, nanosecond: int, offset: int | None) -> Time:
    """Return the time. Raises ValueError if there is no such time."""
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        raise ValueError(f"{hour}:{minute}:{second} is no time")
    if offset is not None and abs(offset) > MAX_OFFSET:
        raise ValueError("an offset lies between -18:00 and +18:00")
    return Time(hour, minute, second, nanosecond, offset)


def parse_date(text: str) -> Date:
    """Read `YYYY-MM-DD`. Raises ValueError."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no date")
    return make_date(int(found[1]), int(found[2]), int(found[3]))


def parse_time(text: str) -> Time:
    """Read `HH:MM:SS[.fraction][Z|±HH:MM[:SS]|@Zone]`. Raises ValueError."""
    return _parse_time(text)[0]


def parse_date_time(text: str) -> DateTime:
    """Read a date, `T` and a time; a date alone is its midnight. Raises ValueError."""
    day, mark, clock = text.partition("T")
    date = parse_date(day)
    if not mark:
        return DateTime(date, Time(0, 0, 0))
    time, next_day = _parse_time(clock)
    return DateTime(date.plus_days(1) if next_day else date, time)


def parse_duration(text: str) -> Duration:
    """Read `P1Y2M` or `P1DT2H3M4.5S`, with `-` in front if negative. Raises ValueError."""
    if text[-1:] not in ("P", "T"):
        if found := _MONTHS.fullmatch(text):
            years, months = _numbers(found, 2, 3)
            return YearsMonthsDuration((-1 if found[1] else 1) * (years * 12 + months))
        if found := _DAYS.fullmatch(text):
            days, hours, minutes, seconds = _numbers(found, 2, 3, 4, 5)
            total = (days * 86400 + hours * 3600 + minutes * 60 + seconds) * SECOND
            total += _nanoseconds(found[6])
            return DaysTimeDuration(-total if found[1] else total)
    raise ValueError(f"{text!r} is no duration")


def parse_temporal(text: str) -> Temporal:
    """Read any of the five kinds, as in `@"…"`. Raises ValueError."""
    if text.startswith(("P", "-P")):
        return parse_duration(text)
    if "T" in text.partition("@")[0]:
        return parse_date_time(text)
    return parse_time(text) if ":" in text else parse_date(text)


def loosened(text: str) -> str:
    """Return a date or time in the form of the standard: Camunda also takes times without seconds or with a leading
    T, and an offset together with its zone.

    >>> loosened("2018-04-29T09:30+02:00[Europe/Berlin]")
    '2018-04-29T09:30:00@Europe/Berlin'
    """
    text = _OFFSET_ZONE.sub(r"@\1", text)
    return _NO_SECONDS.sub(r"\1:00", text).removeprefix("T")


def zone_offset(zone: str, date: Date, time: Time) -> int:
    """Return the seconds east of Greenwich that `zone` keeps at that local time."""
    from datetime import datetime

    local = datetime(  # noqa: DTZ001  (the zone is asked about a local time)
        _proxy_year(date.year), date.month, date.day, time.hour, time.minute, time.second
    )
    delta = _zone(zone).utcoffset(local)
    return int(delta.total_seconds()) if delta is not None else 0


def zone_offset_at(zone: str, seconds: int) -> int:
    """Return the seconds east of Greenwich that `zone` keeps at that instant (seconds since 1970)."""
    from datetime import UTC, datetime

    days, of_day = divmod(seconds, 86400)
    date = Date.of_ordinal(days)
    instant = datetime(
        min(max(_proxy_year(date.year), 2), 9998),
        date.month,
        date.day,
        of_day // 3600,
        of_day // 60 % 60,
        of_day % 60,
        tzinfo=UTC,
    )
    delta = instant.astimezone(_zone(zone)).utcoffset()
    return int(delta.total_seconds()) if delta is not None else 0


def _proxy_year(year: int) -> int:
    """Return a year that Python can hold, with the same days and the same rules of summer time."""
    if 2 <= year <= 9998:
        return year
    return year % 400 + (400 if year < 2 else 9200)


def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:  # OSError: the name of a folder
        raise ValueError(f"{name!r} is no time zone") from error


def _parse_time(text: str) -> tuple[Time, bool]:
    """Return the time, and whether it was 24:00:00."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    hour, minute, second = int(found[1]), int(found[2]), int(found[3])
    nanosecond = _nanoseconds(found[4])
    next_day = (hour, minute, second, nanosecond) == (24, 0, 0, 0)
    time = make_time(
        0 if next_day else hour, minute, second, nanosecond, _parse_offset(found[5] or "")
    )
    if found[6]:
        _zone(found[6])
        time = replace(time, zone=found[6])
    return time, next_day


def _parse_offset(text: str) -> int | None:
    if not text:
        return None
    if text == "Z":
        return 0
    hours, minutes, *rest = (int(part) for part in text[1:].split(":"))
    if minutes > 59 or (rest and rest[0] > 59):
        raise ValueError(f"{text!r} is no offset")
    seconds = hours * 3600 + minutes * 60 + (rest[0] if rest else 0)
    return -seconds if text[0] == "-" else seconds


def _offset_text(offset: int | None) -> str:
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    hours, seconds = divmod(abs(offset), 3600)
    rest = f":{seconds % 60:02d}" if seconds % 60 else ""
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{seconds // 60:02d}{rest}"


def _nanoseconds(digits: str | None) -> int:
    return int((digits or "")[:9].ljust(9, "0"))


def _numbers(found: re.Match[str], *groups: int) -> list[int]:
    """Return the groups as numbers, 0 for those that are missing."""
    texts = [found[group] or "0" for group in groups]
    if any(len(text) > _LONGEST_NUMBER for text in texts):
        raise ValueError("the duration is too long")
    return [int(text) for text in texts]
