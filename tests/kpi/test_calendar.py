from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kpi.calendar import GRAINS, calendar_of, microseconds

SHANGHAI = calendar_of("Asia/Shanghai")
NEW_YORK = calendar_of("America/New_York")
ZONES = ["Asia/Shanghai", "America/New_York", "Asia/Kolkata", "Europe/London", "Australia/Lord_Howe", "America/Havana"]


def test_an_order_a_millisecond_before_midnight_belongs_to_the_day_before() -> None:
    zone = timezone(timedelta(hours=8))
    late = datetime(2024, 7, 1, 23, 59, 59, 999_000, tzinfo=zone)
    assert SHANGHAI.bucket("day", late).key == "2024-07-01"
    assert SHANGHAI.bucket("day", late + timedelta(milliseconds=1)).key == "2024-07-02"
    assert SHANGHAI.bucket("day", late.astimezone(UTC)).key == "2024-07-01"


def test_buckets_are_named_as_on_the_wire() -> None:
    instant = datetime(2024, 7, 1, 2, 30, tzinfo=UTC)
    assert [SHANGHAI.bucket(grain, instant).key for grain in GRAINS] == [
        "2024-07-01T10",
        "2024-07-01",
        "2024-W27",
        "2024-07",
    ]
    assert SHANGHAI.bucket("hour", instant).start.isoformat() == "2024-07-01T10:00:00+08:00"


def test_the_autumn_day_has_25_hours_and_the_repeated_one_carries_its_offset() -> None:
    keys = [bucket.key for bucket in NEW_YORK.buckets("hour", date(2024, 11, 3), date(2024, 11, 3))]
    assert len(keys) == 25
    assert keys[:4] == ["2024-11-03T00", "2024-11-03T01", "2024-11-03T01-05:00", "2024-11-03T02"]
    assert NEW_YORK.named("2024-11-03T01-05:00").start == datetime(2024, 11, 3, 6, tzinfo=UTC)


def test_the_spring_day_has_23_hours_and_the_missing_one_is_refused() -> None:
    keys = [bucket.key for bucket in NEW_YORK.buckets("hour", date(2024, 3, 10), date(2024, 3, 10))]
    assert len(keys) == 23
    assert "2024-03-10T02" not in keys
    with pytest.raises(ValueError, match="does not exist"):
        NEW_YORK.named("2024-03-10T02")


def test_hours_are_local_hours_where_the_offset_is_half_an_hour() -> None:
    bucket = calendar_of("Asia/Kolkata").bucket("hour", datetime(2024, 7, 1, 0, 0, tzinfo=UTC))
    assert (bucket.key, bucket.start.minute) == ("2024-07-01T05", 0)


def test_a_day_without_midnight_starts_at_its_first_second() -> None:
    day = calendar_of("America/Havana").named("2024-03-10")
    assert day.start.hour == 1
    assert day.end - day.start.astimezone(UTC) == timedelta(hours=23)


def test_a_skipped_day_is_not_listed() -> None:
    keys = [bucket.key for bucket in calendar_of("Pacific/Apia").buckets("day", date(2011, 12, 29), date(2011, 12, 31))]
    assert keys == ["2011-12-29", "2011-12-31"]


def test_half_hour_daylight_saving_repeats_half_an_hour() -> None:
    keys = [b.key for b in calendar_of("Australia/Lord_Howe").buckets("hour", date(2024, 4, 7), date(2024, 4, 7))]
    assert keys[:4] == ["2024-04-07T00", "2024-04-07T01", "2024-04-07T01+10:30", "2024-04-07T02"]


def test_windows_end_at_the_full_hour_and_count_hours_of_the_store() -> None:
    end = int(datetime(2024, 11, 3, 8, tzinfo=UTC).timestamp())  # 03:00 in New York, after the repeated hour
    window = NEW_YORK.window(6, end)
    assert window.key == "2024-11-03T02"
    assert window.start == datetime(2024, 11, 3, 2, tzinfo=UTC)
    assert len(NEW_YORK.last_hours(end, 24)) == 24


@given(st.sampled_from(ZONES), st.integers(631_152_000, 2_114_380_800))
def test_every_instant_lies_in_one_bucket_of_each_grain(zone: str, second: int) -> None:
    calendar, instant = calendar_of(zone), datetime.fromtimestamp(second, UTC)
    for grain in GRAINS:
        bucket = calendar.bucket(grain, instant)
        assert bucket.start <= instant < bucket.end
        assert calendar.named(bucket.key) == bucket
        assert calendar.bucket_at(grain, bucket.second) == bucket
        assert calendar.bucket(grain, bucket.end).start == bucket.end


@given(st.sampled_from(ZONES), st.dates(date(1990, 1, 1), date(2037, 1, 1)))
def test_the_hours_of_a_day_fill_it_without_a_gap(zone: str, day: date) -> None:
    calendar = calendar_of(zone)
    hours = calendar.buckets("hour", day, day)
    whole = calendar.buckets("day", day, day)[0]
    assert [hour.end for hour in hours[:-1]] == [hour.start for hour in hours[1:]]
    assert (hours[0].start, hours[-1].end) == (whole.start, whole.end)
    assert len({hour.key for hour in hours}) == len(hours)


def test_microseconds_are_exact() -> None:
    instant = datetime(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC)
    assert microseconds(instant) % 1_000_000 == 999_999
