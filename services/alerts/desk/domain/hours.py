"""Service hours: split shifts, holidays and make-up workdays, in a zone, with their history (SRV-5, D65). Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from libs.service.storetime import at_time

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = 24 * 60
"""The end of a day, in minutes after its start."""
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""No clock is due later than this."""

Shift = tuple[int, int]
"""[from, to) in minutes of the local day."""
Interval = tuple[datetime, datetime]


@dataclass(frozen=True)
class Calendar:
    """One version of a calendar: when people serve, in local time."""

    zone: str
    week: tuple[tuple[Shift, ...], ...]
    """Monday first."""
    holidays: frozenset[date] = frozenset()
    workdays: Mapping[date, tuple[Shift, ...]] = field(default_factory=dict)
    """Days that are served as if they were others, such as 调休 Saturdays; stronger than week and holidays."""

    def shifts(self, day: date) -> tuple[Shift, ...]:
        """When people serve on a local day."""
        if day in self.workdays:
            return self.workdays[day]
        return () if day in self.holidays else self.week[day.weekday()]

    def open_on(self, day: date) -> tuple[Interval, ...]:
        """The service hours of a local day as instants: an hour that DST skips is short, one that it repeats long."""
        return _instants(day, self.shifts(day), self.zone)


@lru_cache(maxsize=20_000)
def _instants(day: date, shifts: tuple[Shift, ...], zone: str) -> tuple[Interval, ...]:
    opened = ((_instant(day, begin, zone), _instant(day, end, zone)) for begin, end in shifts)
    return tuple((begin, end) for begin, end in opened if begin < end)


def _instant(day: date, minutes: int, zone: str) -> datetime:
    if minutes == MIDNIGHT:
        return at_time(day + timedelta(days=1), time(), ZoneInfo(zone))
    return at_time(day, time(minutes // 60, minutes % 60), ZoneInfo(zone))


@dataclass(frozen=True)
class ServiceHours:
    """A calendar with its history: (valid from, version), ascending. The first reaches back: there was none before it.

    Without any version service never stops (7x24).
    """

    versions: Sequence[tuple[datetime, Calendar]] = ()

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The service time in [start, end); zero where it ends before it starts."""
        if not self.versions:
            return max(timedelta(), end - start)
        total = timedelta()
        for opened, closed in self._open_from(start):
            if opened >= end:
                break
            total += min(closed, end) - opened
        return total

    def after(self, start: datetime, wanted: timedelta) -> datetime:
        """The first instant by which so much service time has passed since `start`."""
        if not self.versions:
            return start + wanted
        for opened, closed in self._open_from(start):
            if closed - opened >= wanted:
                return opened + wanted
            wanted -= closed - opened
        return LATEST

    def _open_from(self, start: datetime) -> Iterator[Interval]:
        """The open intervals from an instant on, in order, clipped to the version that is valid."""
        since = [valid_from for valid_from, _ in self.versions]
        first = max(0, bisect_right(since, start) - 1)
        bounds = [start, *since[first + 1 :], LATEST]
        for (begin, end), (_, calendar) in zip(pairwise(bounds), self.versions[first:], strict=True):
            yield from _clipped(calendar, begin, end)


ALWAYS = ServiceHours()


def _clipped(calendar: Calendar, begin: datetime, end: datetime) -> Iterator[Interval]:
    day = begin.astimezone(ZoneInfo(calendar.zone)).date()
    while True:
        for opened, closed in calendar.open_on(day):
            if opened >= end:
                return
            if closed > begin:
                yield max(opened, begin), min(closed, end)
        day += timedelta(days=1)
        if day.year >= LATEST.year:
            return
