"""The store's days: pure functions over a zone, right on days of 23 and 25 hours."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def day_of(instant: datetime, zone: tzinfo) -> date:
    """The store's day on which an instant lies."""
    return instant.astimezone(zone).date()


def at_time(day: date, clock: time, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which the store's clock first shows `clock` or, where it skips it, has passed it."""
    wanted = datetime.combine(day, clock.replace(tzinfo=None))
    before, after = (wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before <= after:
        return before
    while after.astimezone(zone).replace(tzinfo=None) < wanted:
        after += timedelta(minutes=1)
    return after


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The first instant of a store's day, in UTC."""
    return at_time(day, time(), zone)


def day_bounds(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """[start, end) of a store's day, in UTC: 23, 24 or 25 hours."""
    return range_bounds(day, day, zone)


def range_bounds(first: date, last: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """[start, end) of the store's days from `first` to `last`, both included, in UTC."""
    return start_of_day(first, zone), start_of_day(last + timedelta(days=1), zone)
