"""Periods of reports by their names on the wire: a day, an ISO week, a month of the store. Pure."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from libs.service.errors import Validation, fault

_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Period:
    """A day, week or month: its name, first day, and the first day after it."""

    grain: str
    name: str
    first: date
    after: date

    def previous(self) -> "Period":
        """The period of the same kind just before."""
        return period_of(self.grain, self.first - timedelta(days=1))

    def ends_at(self, zone: ZoneInfo) -> datetime:
        """When it is over in the store's zone."""
        return datetime.combine(self.after, time(), zone)

    def starts_at(self, zone: ZoneInfo) -> datetime:
        """When it begins in the store's zone."""
        return datetime.combine(self.first, time(), zone)


def period_of(grain: str, day: date) -> Period:
    """The period of this grain that holds the day."""
    if grain == "day":
        return Period(grain, day.isoformat(), day, day + timedelta(days=1))
    if grain == "week":
        year, week, weekday = day.isocalendar()
        first = day - timedelta(days=weekday - 1)
        return Period(grain, f"{year}-W{week:02d}", first, first + timedelta(days=7))
    first = day.replace(day=1)
    return Period(grain, f"{first:%Y-%m}", first, (first + timedelta(days=31)).replace(day=1))


def parse_period(grain: str, name: str) -> Period:
    """The period of a name. Raises Validation for what is not one, or does not exist."""
    try:
        return period_of(grain, _first_day(grain, name))
    except ValueError:
        wanted = {"day": "2024-07-01", "week": "2024-W27", "month": "2024-07"}[grain]
        message = f"not a {grain} such as {wanted}"
        raise Validation(message, errors=[fault("/period", "period", message)]) from None


def _first_day(grain: str, name: str) -> date:
    if grain == "day" and len(name) == len("2024-07-01"):
        return date.fromisoformat(name)
    if grain == "week" and (found := _WEEK.fullmatch(name)):
        return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    if grain == "month" and (found := _MONTH.fullmatch(name)):
        return date(int(found[1]), int(found[2]), 1)
    raise ValueError(name)
