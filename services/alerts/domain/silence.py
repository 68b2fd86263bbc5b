"""How long a topic is silent, and how long it usually is: from the minutes in which something happened. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

MINUTES: Final = 60
REACH: Final = 12
"""Hours to each side of an hour that are looked at for a gap that meets it; a longer one counts as that long."""
WEEKS: Final = 4

Minutes = Mapping[datetime, int]
"""hour (UTC) -> a bit for each minute in which something happened."""


def hour_of(at: datetime) -> datetime:
    """The full hour, in UTC, in which an instant lies."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def bit_of(at: datetime) -> int:
    """The bit of the minute in which an instant lies."""
    return 1 << at.astimezone(UTC).minute


def last_minute(minutes: Minutes, before: datetime) -> datetime | None:
    """The end of the last minute, begun before an instant, in which something happened; None where none is known."""
    for hour in sorted((h for h in minutes if h <= before and minutes[h]), reverse=True):
        bits = minutes[hour] if hour < hour_of(before) else minutes[hour] & ((1 << (before.minute + 1)) - 1)
        if bits:
            return hour + timedelta(minutes=bits.bit_length())
    return None


def hours_around(hour: datetime, reach: int = REACH) -> list[datetime]:
    """The hours in which a gap that meets this one can lie."""
    return [hour + timedelta(hours=n) for n in range(-reach, reach + 1)]


def compared_hours(now: datetime, reach: int = REACH) -> list[datetime]:
    """The hours to be known: those around this hour of the week in each of the last 4 weeks."""
    return [at for n in range(1, WEEKS + 1) for at in hours_around(hour_of(now) - timedelta(weeks=n), reach)]


def longest_gap(minutes: Minutes, start: datetime, end: datetime, until: datetime | None = None) -> int:
    """Minutes of the longest time without anything that meets [start, end); nothing after `until` is looked at."""
    first = hour_of(start) - timedelta(hours=REACH)
    least, most, count = (_minutes(at - first) for at in (start, end, until or end))
    longest = begun = 0
    for n in range(count + 1):
        if n == count or _beats(minutes, first, n):
            if n > least and begun < most:
                longest = max(longest, n - begun)
            begun = n + 1
    return longest


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // MINUTES)


def _beats(minutes: Minutes, first: datetime, n: int) -> bool:
    hours, minute = divmod(n, MINUTES)
    return bool(minutes.get(first + timedelta(hours=hours), 0) >> minute & 1)


def usual_gap(minutes: Minutes, now: datetime, least: float) -> float:
    """The longest gap, in minutes, in this hour of the last 4 weeks that are known; at least `least` (D38)."""
    hours = [hour_of(now) - timedelta(weeks=n) for n in range(1, WEEKS + 1)]
    known = [hour for hour in hours if any(minutes.get(at) for at in hours_around(hour))]
    hour = timedelta(hours=1)
    return max([least, *(longest_gap(minutes, at, at + hour, at + hour * (REACH + 1)) for at in known)])
