"""What a query string asks for, read strictly: days, grain, dimensions, instants. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from libs.events.contracts import parse_instant
from libs.service.errors import NotFound, Validation, fault
from services.kpi.answers import check_dimensions, check_points
from services.kpi.calendar import GRAINS, Bucket, Calendar
from services.kpi.kpis import Kpi, find_kpi

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DAYS_OF = {"hour": 1 / 24, "day": 1, "week": 7, "month": 31}
KEPT_BY_THE_MINUTE = timedelta(days=35)
"""How long the past is kept by the minute; before that by the hour (D35)."""


@dataclass(frozen=True, slots=True)
class Days:
    """Store days, both ends included."""

    first: date
    last: date


def read_days(first: str | None, last: str | None, calendar: Calendar, now: datetime) -> Days:
    """`?from=&to=`: `to` defaults to today, `from` to `to`. Raises Validation."""
    today = calendar.local(int(now.timestamp())).date()
    end = today if last is None else read_day("to", last, calendar)
    start = end if first is None else read_day("from", first, calendar)
    if start > end:
        raise _invalid("from", "range", f"from {start} is after to {end}")
    return Days(start, end)


def read_day(name: str, given: str, calendar: Calendar) -> date:
    """A store day `YYYY-MM-DD` that exists in the store's zone. Raises Validation."""
    try:
        if not _DAY.fullmatch(given):
            raise ValueError(given)
        day = date.fromisoformat(given)
    except ValueError:
        raise _invalid(name, "day", "not a day YYYY-MM-DD") from None
    if not 1970 <= day.year <= 9000:
        raise _invalid(name, "day", "year out of range")
    if not calendar.hours(day.toordinal()):
        raise _invalid(name, "day", f"{day} does not exist in {calendar.zone.key}")
    return day


def read_instant(name: str, given: str) -> datetime:
    """An instant with offset. Raises Validation."""
    try:
        return parse_instant(given.replace(" ", "+"))
    except ValueError as error:
        raise _invalid(name, "instant", str(error)) from None


def read_grain(given: str | None) -> str:
    """One of hour, day (default), week, month. Raises Validation."""
    grain = "day" if given is None else given
    if grain not in GRAINS:
        raise _invalid("grain", "grain", f"one of {', '.join(GRAINS)}")
    return grain


def read_currency(given: str | None, default: str) -> str:
    """An ISO 4217 code. Raises Validation."""
    if given is not None and not _CURRENCY.fullmatch(given):
        raise _invalid("currency", "currency", "three capital letters")
    return given or default


def read_as_of(given: str | None, now: datetime) -> datetime | None:
    """The moment in the past that is asked about: the start of its minute, of its hour beyond 35 days (D35)."""
    if given is None:
        return None
    instant = read_instant("as_of", given)
    if instant > now:
        raise _invalid("as_of", "future", "as_of is in the future")
    floor = instant.replace(second=0, microsecond=0)
    return floor.replace(minute=0) if now - instant > KEPT_BY_THE_MINUTE else floor


def read_kpi(key: str, version: str | None) -> Kpi:
    """A figure of the catalogue. Raises NotFound, Validation."""
    if version is not None and not (version.isdecimal() and len(version) < 6):
        raise _invalid("version", "version", "a whole number")
    kpi = find_kpi(key, None if version is None else int(version))
    if kpi is None:
        raise NotFound(f"no figure {key}{'' if version is None else f' in version {version}'}; GET /v1/kpis lists all")
    return kpi


def read_by(kpi: Kpi, given: str | None, grain: str) -> tuple[str, ...]:
    """The dimensions to split by. Raises Validation naming what is kept."""
    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    return check_dimensions(kpi, names, hourly=grain == "hour")


def begun_buckets(calendar: Calendar, grain: str, days: Days, now: datetime) -> Sequence[Bucket]:
    """Every bucket that meets the days and has begun. Raises TooManyPoints before it lists them."""
    today = calendar.local(int(now.timestamp())).date()
    last = min(days.last, today + timedelta(days=1))
    check_points(max(0, int(((last - days.first).days + 1) / _DAYS_OF[grain])), 1)
    if last < days.first:
        return []
    return [bucket for bucket in calendar.buckets(grain, days.first, last) if bucket.start <= now]


def read_hour(name: str, given: str, calendar: Calendar) -> Bucket:
    """A store hour such as `2024-07-01T10`. Raises Validation where it does not exist."""
    try:
        bucket = calendar.named(given)
    except ValueError as error:
        raise _invalid(name, "hour", str(error)) from None
    if bucket.grain != "hour":
        raise _invalid(name, "hour", "not an hour YYYY-MM-DDTHH")
    return bucket


def _invalid(name: str, code: str, message: str) -> Validation:
    pointer = name if name.startswith("/") else f"/{name}"
    return Validation(f"{name}: {message}", errors=[fault(pointer, code, message)])
