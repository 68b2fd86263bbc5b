"""The store's days: pure functions over a zone, right on days of 23 and 25 hours."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def day_of(instant: datetime, zone: tzinfo) -> date:
    """The store's day on which an instant lies."""
    return instant.astimezone(zone).date()


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The first instant of a store's day, in UTC. Where midnight does not exist, the day begins when the gap ends."""
    midnight = datetime.combine(day, time(), zone).astimezone(UTC)
    while day_of(midnight, zone) < day:
        midnight += timedelta(minutes=15)
    return midnight


def day_bounds(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """[start, end) of a store's day, in UTC: 23, 24 or 25 hours."""
    return start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)


def range_bounds(first: date, last: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """[start, end) of the store's days from `first` to `last`, both included, in UTC."""
    return start_of_day(first, zone), start_of_day(last + timedelta(days=1), zone)


def at_time(day: date, clock: time, zone: tzinfo) -> datetime:
    """The instant at which the store's clock first shows `clock` on that day, in UTC; in a gap, the gap's end."""
    wanted = datetime.combine(day, clock.replace(tzinfo=None), zone).astimezone(UTC)
    while wanted.astimezone(zone).replace(tzinfo=None) < datetime.combine(day, clock.replace(tzinfo=None)):
        wanted += timedelta(minutes=15)
    return wanted
