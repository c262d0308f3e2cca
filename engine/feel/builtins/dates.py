"""Functions on dates and times (DMN 1.5, sections 10.3.4.7 and 10.3.4.8), and `is`, `not`, `now`, `today`."""

from __future__ import annotations

from decimal import Decimal

from engine.feel import operations
from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import FeelError
from engine.feel.run import Run
from engine.feel.temporal import (
    MONTHS,
    WEEKDAYS,
    Date,
    DateTime,
    DaysTimeDuration,
    Time,
    YearsMonthsDuration,
    identical,
)
from engine.feel.values import Value, kind

catalog = Catalog()


@catalog.add("day of year(date: date|date and time)")
def day_of_year(run: Run, date: Date | DateTime) -> Value:
    return Decimal(_day(date).day_of_year)


@catalog.add("day of week(date: date|date and time)")
def day_of_week(run: Run, date: Date | DateTime) -> Value:
    return WEEKDAYS[_day(date).weekday - 1]


@catalog.add("month of year(date: date|date and time)")
def month_of_year(run: Run, date: Date | DateTime) -> Value:
    return MONTHS[_day(date).month - 1]


@catalog.add("week of year(date: date|date and time)")
def week_of_year(run: Run, date: Date | DateTime) -> Value:
    return Decimal(_day(date).week_of_year)


@catalog.add("is(value1: any, value2: any)")
def is_(run: Run, a: Value, b: Value) -> Value:
    if isinstance(a, Date | Time | DateTime | DaysTimeDuration | YearsMonthsDuration):
        return type(a) is type(b) and identical(a, b)
    return kind(a) == kind(b) and operations.equal_items(run, a, b)


@catalog.add("not(negand: any)")
def not_(run: Run, value: Value) -> Value:
    if type(value) is bool:
        return not value
    return run.null(f"not({kind(value)}) has no value")


@catalog.add("now()", needs="now")
def now(run: Run) -> Value:
    return clock(run, "now()")


@catalog.add("today()", needs="now")
def today(run: Run) -> Value:
    return clock(run, "today()").date


def clock(run: Run, name: str) -> DateTime:
    """Return the time that was given for this evaluation. Raises FeelError if none was."""
    if run.now is None:
        raise FeelError(
            f"{name} needs the time, and an evaluation has no clock",
            hint="Give it as `now`, or as a variable `now` with a date and time.",
        )
    return run.now


def _day(value: Date | DateTime) -> Date:
    return value.date if isinstance(value, DateTime) else value
