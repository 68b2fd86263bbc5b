"""A store's own time: hours, days, weeks and months in its zone, safe on daylight-saving days. Pure.

Buckets are `[start, end)` in the store's IANA zone (D33): hours are local hours, a day may have 23 or 25 of them, weeks
are ISO weeks. Inside the engine an instant is an integer of microseconds since 1970 and a bucket is the integer second
at which it starts, so that nothing there depends on a zone twice.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

GRAINS: tuple[str, ...] = ("hour", "day", "week", "month")
WINDOWS: tuple[int, ...] = (1, 3, 6, 12, 24)
"""Lengths of the alarm windows in full hours (D38); grain names `w1` to `w24`."""

_QUARTER_US = 900_000_000
_CACHE_LIMIT = 200_000
_DAY_SECONDS = 86_400

_HOUR_KEY = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d)([+-]\d\d:\d\d)?")
_WEEK_KEY = re.compile(r"(\d{4})-W(\d\d)")
_MONTH_KEY = re.compile(r"(\d{4})-(\d\d)")

Slot = tuple[int, int]
"""A store day (proleptic ordinal) and the number of one of its hours, from 0."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A span of store time. `start` and `end` carry the store's offset; `key` is its name on the wire."""

    grain: str
    start: datetime
    end: datetime
    key: str

    @property
    def second(self) -> int:
        """The start as an integer second since 1970, as the engine keeps it."""
        return int(self.start.timestamp())


def microseconds(instant: datetime) -> int:
    """An aware instant as microseconds since 1970, exact until the year 2255."""
    return round(instant.timestamp() * 1_000_000)


class Calendar:
    """The buckets of one time zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._slots: dict[int, Slot] = {}
        self._days: dict[int, tuple[int, ...]] = {}
        self._starts: dict[int, int] = {}

    # instants

    def slot(self, us: int) -> Slot:
        """The store day and the number of the hour in it that hold this instant."""
        found = self._slots.get(us // _QUARTER_US)
        return found if found is not None else self._find_slot(us)

    def second(self, grain: str, us: int) -> int:
        """The start, in seconds since 1970, of the bucket that holds this instant."""
        day, hour = self.slot(us)
        return self.hours(day)[hour] if grain == "hour" else self.span(grain, day)[0]

    def bucket(self, grain: str, instant: datetime) -> Bucket:
        """The bucket that holds this instant."""
        return self.bucket_at(grain, self.second(grain, microseconds(instant)))

    def local(self, second: int) -> datetime:
        """A second since 1970 at the store's offset of that moment.

        The offset is fixed in the value: two instants of a repeated hour in one ZoneInfo would compare as equal.
        """
        offset = datetime.fromtimestamp(second, self.zone).utcoffset() or timedelta(0)
        return datetime.fromtimestamp(second, timezone(offset))

    # days and hours

    def hours(self, day: int) -> tuple[int, ...]:
        """The starts of the day's hours; its number of hours is 0 where the zone skipped the day."""
        if day not in self._days:
            if len(self._days) > _CACHE_LIMIT // 24:
                self._days.clear()
            self._days[day] = tuple(self._walk_hours(day))
        return self._days[day]

    def day_start(self, day: int) -> int:
        """The first second of the day with this ordinal; where midnight is skipped, the second that follows it."""
        start = self._starts.get(day)
        if start is None:
            start = self._starts[day] = self._find_day_start(day)
        return start

    def _find_day_start(self, day: int) -> int:
        midnight = datetime.fromordinal(day).replace(tzinfo=self.zone)
        second = int(midnight.timestamp())
        if datetime.fromtimestamp(second, self.zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
            return second
        return self._transition(second - _DAY_SECONDS, second)

    def span(self, grain: str, day: int) -> tuple[int, int]:
        """Start and end of the day, week or month that holds this day."""
        first, after = span_days(grain, day)
        return self.day_start(first), self.day_start(after)

    def last_hours(self, end: int, count: int) -> list[Slot]:
        """The `count` hours before the full hour `end`, latest first: an alarm window (D38)."""
        day, hour = self.slot(end * 1_000_000)
        found: list[Slot] = []
        while len(found) < count:
            if hour == 0:
                day -= 1
                hour = len(self.hours(day))
                continue
            hour -= 1
            found.append((day, hour))
        return found

    # buckets

    def bucket_at(self, grain: str, second: int) -> Bucket:
        """The bucket that starts at this second."""
        if grain == "hour":
            return self._hour(*self.slot(second * 1_000_000))
        day, _ = self.slot(second * 1_000_000)
        start, end = self.span(grain, day)
        return Bucket(grain, self.local(start), self.local(end), _key(grain, date.fromordinal(day)))

    def window(self, count: int, end: int) -> Bucket:
        """The alarm window of `count` hours that ends at this full hour; named after its last hour."""
        slots = self.last_hours(end, count)
        start = self.hours(slots[-1][0])[slots[-1][1]]
        return Bucket(f"w{count}", self.local(start), self.local(end), self._hour(*slots[0]).key)

    def buckets(self, grain: str, first: date, last: date) -> list[Bucket]:
        """Every bucket that meets the store days `first` to `last`, whole, in order."""
        if grain == "hour":
            days = range(first.toordinal(), last.toordinal() + 1)
            return [self._hour(day, hour) for day in days for hour in range(len(self.hours(day)))]
        return list(self._spans(grain, first.toordinal(), last.toordinal()))

    def named(self, key: str) -> Bucket:
        """The bucket with this name. Raises ValueError for what is no name or does not exist in this zone."""
        if (match := _HOUR_KEY.fullmatch(key)) is not None:
            day = date.fromisoformat(match[1]).toordinal()
            for hour in range(len(self.hours(day))):
                if (bucket := self._hour(day, hour)).key == key:
                    return bucket
            raise ValueError(f"{key} does not exist in {self.zone.key}")
        grain, day = _parse_key(key)
        start, end = self.span(grain, day)
        if start == end:
            raise ValueError(f"{key} does not exist in {self.zone.key}")
        return Bucket(grain, self.local(start), self.local(end), key)

    # inside

    def _spans(self, grain: str, day: int, last: int) -> Iterator[Bucket]:
        while day <= last:
            start, end = self.span(grain, day)
            if start < end:
                yield Bucket(grain, self.local(start), self.local(end), _key(grain, date.fromordinal(day)))
            day = span_days(grain, day)[1]

    def _hour(self, day: int, hour: int) -> Bucket:
        starts = self.hours(day)
        start = self.local(starts[hour])
        end = starts[hour + 1] if hour + 1 < len(starts) else self.day_start(day + 1)
        repeated = any(self.local(second).hour == start.hour for second in starts[:hour])
        key = f"{start:%Y-%m-%dT%H}{_offset(start) if repeated else ''}"
        return Bucket("hour", start, self.local(end), key)

    def _find_slot(self, us: int) -> Slot:
        """Remembered by the quarter hour, unless a bucket ends inside that quarter."""
        quarter = us // _QUARTER_US
        first, last = self._slot_of(quarter * 900), self._slot_of(quarter * 900 + 899)
        if first != last:
            return self._slot_of(us // 1_000_000)
        if len(self._slots) > _CACHE_LIMIT:
            self._slots.clear()
        self._slots[quarter] = first
        return first

    def _slot_of(self, second: int) -> Slot:
        day = self.local(second).toordinal()
        if second < self.day_start(day):
            day -= 1
        while second >= self.day_start(day + 1):
            day += 1
        return day, bisect_right(self.hours(day), second) - 1

    def _walk_hours(self, day: int) -> Iterator[int]:
        second, end = self.day_start(day), self.day_start(day + 1)
        while second < end:
            yield second
            local = self.local(second)
            full = second + 3600 - 60 * local.minute - local.second
            second = full if self._offset_at(full - 1) == local.utcoffset() else self._transition(second, full)

    def _transition(self, before: int, after: int) -> int:
        """The second in (before, after] from which on the offset is that of `after`."""
        offset = self._offset_at(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset_at(middle) == offset:
                after = middle
            else:
                before = middle
        return after

    def _offset_at(self, second: int) -> timedelta | None:
        return self.local(second).utcoffset()


@lru_cache(maxsize=512)
def calendar_of(zone: str) -> Calendar:
    """The calendar of an IANA zone. Raises ZoneInfoNotFoundError for a name that is none."""
    return Calendar(ZoneInfo(zone))


def span_days(grain: str, day: int) -> tuple[int, int]:
    """First day of the day, week or month that holds this day, and the day after its last one, as ordinals."""
    if grain == "day":
        return day, day + 1
    if grain == "week":
        first = day - (day - 1) % 7
        return first, first + 7
    if grain == "month":
        first_date = date.fromordinal(day).replace(day=1)
        after = (first_date + timedelta(days=31)).replace(day=1)
        return first_date.toordinal(), after.toordinal()
    raise ValueError(f"no grain {grain!r}")


def _key(grain: str, day: date) -> str:
    if grain == "day":
        return day.isoformat()
    if grain == "week":
        iso = day.isocalendar()
        return f"{iso.year}-W{iso.week:02d}"
    return f"{day:%Y-%m}"


def _parse_key(key: str) -> tuple[str, int]:
    if (match := _WEEK_KEY.fullmatch(key)) is not None:
        return "week", date.fromisocalendar(int(match[1]), int(match[2]), 1).toordinal()
    if (match := _MONTH_KEY.fullmatch(key)) is not None:
        return "month", date(int(match[1]), int(match[2]), 1).toordinal()
    return "day", date.fromisoformat(key).toordinal()


def _offset(instant: datetime) -> str:
    return instant.isoformat()[-6:]


def utc(second: int) -> datetime:
    """A second since 1970 as an aware UTC time."""
    return datetime.fromtimestamp(second, UTC)
