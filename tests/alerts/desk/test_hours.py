"""Service hours: lunch, weekends, holidays, make-up workdays, midnight, DST (SRV-5, D65)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.desk.domain.hours import ALWAYS, MIDNIGHT, Calendar, ServiceHours
from tests.alerts.desk.cases import DAYTIME, OFFICE, at, days

HOURS = ServiceHours(((at("01-01 00:00"), OFFICE),))
MINUTE = timedelta(minutes=1)
ALL_DAY = ((0, MIDNIGHT),)
NEW_YORK = Calendar("America/New_York", (ALL_DAY,) * 7)


@pytest.mark.parametrize(
    ("start", "minutes", "end"),
    [
        ("09-27 10:00", 10, "09-27 10:10"),
        ("09-27 11:55", 10, "09-27 13:35"),  # over lunch
        ("09-27 12:30", 10, "09-27 13:40"),  # at lunch
        ("09-27 17:55", 10, "09-30 09:05"),  # Friday evening
        ("09-28 14:00", 10, "09-30 09:10"),  # Saturday
        ("09-27 08:00", 10, "09-27 09:10"),  # before the day
        ("09-27 17:50", 10, "09-27 18:00"),  # to the last minute
        ("09-27 09:00", 5 * 450, "10-03 18:00"),  # a week of 7.5 hours a day
    ],
)
def test_a_limit_runs_in_service_hours(start: str, minutes: int, end: str) -> None:
    assert HOURS.after(at(start), minutes * MINUTE) == at(end)
    assert HOURS.between(at(start), at(end)) == minutes * MINUTE


def test_a_make_up_saturday_is_served_and_the_holidays_it_pays_for_are_not() -> None:
    """National Day 2024: 10-01 to 10-07 off, Sunday 09-29 and Saturday 10-12 worked."""
    golden_week = days(*(f"2024-10-0{n}" for n in range(1, 8)))
    made_up = {date(2024, 9, 29): DAYTIME, date(2024, 10, 12): DAYTIME}
    hours = ServiceHours(((at("01-01 00:00"), replace(OFFICE, holidays=golden_week, workdays=made_up)),))
    assert hours.after(at("09-27 17:55"), 10 * MINUTE) == at("09-29 09:05")
    assert hours.after(at("09-30 17:55"), 10 * MINUTE) == at("10-08 09:05")
    assert hours.after(at("10-11 17:55"), 10 * MINUTE) == at("10-12 09:05")
    assert hours.between(at("09-28 00:00"), at("10-08 00:00")) == 2 * timedelta(hours=7.5)


def test_a_shift_to_midnight_goes_on_into_the_next_day() -> None:
    night = ((0, 2 * 60), (22 * 60, MIDNIGHT))
    hours = ServiceHours(((at("01-01 00:00"), Calendar("Asia/Shanghai", (night,) * 7)),))
    assert hours.after(at("09-27 23:55"), 10 * MINUTE) == at("09-28 00:05")
    assert hours.after(at("09-28 01:55"), 10 * MINUTE) == at("09-28 22:05")


def new_york(text: str, fold: int = 0) -> datetime:
    local = datetime.fromisoformat(f"2024-{text.replace(' ', 'T')}").replace(tzinfo=ZoneInfo("America/New_York"))
    return local.replace(fold=fold).astimezone(UTC)


def test_days_of_23_and_25_hours_are_served_as_long_as_they_are() -> None:
    hours = ServiceHours(((new_york("01-01 00:00"), NEW_YORK),))
    assert hours.between(new_york("03-10 00:00"), new_york("03-11 00:00")) == timedelta(hours=23)
    assert hours.between(new_york("11-03 00:00"), new_york("11-04 00:00")) == timedelta(hours=25)
    shift = Calendar("America/New_York", (((60, 180),),) * 7)
    night = ServiceHours(((new_york("01-01 00:00"), shift),))
    assert night.between(new_york("03-10 00:00"), new_york("03-11 00:00")) == timedelta(hours=1)
    assert night.between(new_york("11-03 00:00"), new_york("11-04 00:00")) == timedelta(hours=3)


def test_a_changed_calendar_holds_from_its_day_on() -> None:
    """From 09-27 15:00 the desk closes at 16:00."""
    short = replace(OFFICE, week=(((9 * 60, 16 * 60),),) * 5 + ((), ()))
    hours = ServiceHours(((at("01-01 00:00"), OFFICE), (at("09-27 15:00"), short)))
    assert hours.between(at("09-26 00:00"), at("09-27 00:00")) == timedelta(hours=7.5)
    assert hours.between(at("09-27 00:00"), at("09-28 00:00")) == timedelta(hours=5.5)
    assert hours.after(at("09-27 15:55"), 10 * MINUTE) == at("09-30 09:05")


def test_the_first_version_holds_for_what_was_before_it_too() -> None:
    hours = ServiceHours(((at("09-27 00:00"), OFFICE),))
    assert hours.after(at("09-20 17:55"), 10 * MINUTE) == at("09-23 09:05")


def test_without_a_calendar_service_never_stops() -> None:
    assert ALWAYS.after(at("09-28 23:59"), 10 * MINUTE) == at("09-29 00:09")
    assert ALWAYS.between(at("09-28 23:59"), at("09-28 23:00")) == timedelta()


ZONES = ("Asia/Shanghai", "America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe")
CUTS = st.lists(st.integers(0, 24 * 4), min_size=2, max_size=6, unique=True).map(sorted)
SHIFTS = CUTS.map(lambda cuts: tuple((a * 15, b * 15) for a, b in zip(cuts[::2], cuts[1::2], strict=False)))
CALENDARS = st.builds(
    Calendar,
    st.sampled_from(ZONES),
    st.tuples(*[SHIFTS] * 7),
    st.frozensets(st.dates(date(2024, 3, 1), date(2024, 3, 20)), max_size=5),
    st.dictionaries(st.dates(date(2024, 3, 1), date(2024, 3, 20)), SHIFTS, max_size=3),
)
INSTANTS = st.integers(0, 10 * 24 * 60).map(lambda n: datetime(2024, 3, 5, tzinfo=UTC) + n * MINUTE)


def is_open(calendar: Calendar, instant: datetime) -> bool:
    local = instant.astimezone(ZoneInfo(calendar.zone))
    minutes = local.hour * 60 + local.minute
    return any(begin <= minutes < end for begin, end in calendar.shifts(local.date()))


@settings(max_examples=60, deadline=None)
@given(CALENDARS, INSTANTS, st.integers(0, 3 * 24 * 60))
def test_service_time_is_the_minutes_in_which_the_shop_is_open(calendar: Calendar, start: datetime, span: int) -> None:
    """Against asking the clock on the wall every minute (in March no hour is repeated in these zones)."""
    hours = ServiceHours(((start, calendar),))
    counted = sum(is_open(calendar, start + n * MINUTE) for n in range(span))
    assert hours.between(start, start + span * MINUTE) == counted * MINUTE


@settings(max_examples=60, deadline=None)
@given(CALENDARS, INSTANTS, st.integers(1, 600))
def test_after_a_limit_exactly_the_limit_has_passed(calendar: Calendar, start: datetime, minutes: int) -> None:
    hours = ServiceHours(((start, calendar),))
    end = hours.after(start, minutes * MINUTE)
    assert hours.between(start, end) == minutes * MINUTE
    assert hours.between(start, end - timedelta(seconds=1)) < minutes * MINUTE
