"""The small parts of the shell, each on its own."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.service import pagination, storetime, wire
from libs.service.errors import NotFound, PreconditionRequired, Stale, Validation
from libs.service.etags import require_match
from libs.service.pagination import PageRequest
from libs.service.problems import pointer
from libs.service.stores import StoreInfo, Stores
from libs.service.tickers import every
from tests.service.example.settings import ExampleSettings

SHANGHAI, LONDON, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/London"), ZoneInfo("America/New_York")

# settings


def test_a_services_own_variable_wins_over_the_common_one_and_both_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("OPSWIRE_TIMEZONE=UTC\nOPSWIRE_CURRENCY=EUR\nOPSWIRE_LANGUAGE=en\n")
    monkeypatch.setenv("OPSWIRE_CURRENCY", "USD")
    monkeypatch.setenv("OPSWIRE_TIMEZONE", "Europe/Paris")
    monkeypatch.setenv("OPSWIRE_EXAMPLE_TIMEZONE", "Asia/Tokyo")
    settings = ExampleSettings.load(config)
    assert (settings.timezone, settings.currency, settings.language) == ("Asia/Tokyo", "USD", "en")


def test_settings_print_without_the_password() -> None:
    settings = ExampleSettings.load(database_url="postgresql://u:pa55word@h/d")
    assert "pa55word" not in repr(settings)


# the wire


class Colour(Enum):
    """An enum whose members travel by value."""

    RED = "red"


def test_values_have_one_form_on_the_wire() -> None:
    body = {"at": datetime(2024, 7, 1, 2, tzinfo=UTC), "day": date(2024, 7, 1), "c": Colour.RED, "d": Decimal("1.5"),
            "names": frozenset({"b", "a"}), "名": "值"}  # fmt: skip
    assert wire.encode(body, SHANGHAI).decode() == (
        '{"at":"2024-07-01T10:00:00+08:00","day":"2024-07-01","c":"red","d":1.5,"names":["a","b"],"名":"值"}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), datetime(2024, 7, 1)])  # noqa: DTZ001
def test_what_is_no_json_is_an_error_and_not_an_answer(value: object) -> None:
    with pytest.raises(ValueError):
        wire.encode({"v": value})


# pages


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(TEXT, st.integers(-(2**63) + 1, 2**63 - 1), st.datetimes(timezones=st.just(UTC)))
def test_a_cursor_brings_back_its_sort_key(name: str, number: int, instant: datetime) -> None:
    cursor = pagination.encode((name, number, instant))
    assert PageRequest(cursor=cursor).after(str, int, datetime) == (name, number, instant)


@given(st.text(max_size=60))
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(Validation):
        PageRequest(cursor=text).after(str, int)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [((1,), (str,)), (("x",), (int,)), ((True,), (int,)), ((2**63,), (int,)), (("a\0",), (str,)),
     (("2024-07-01",), (datetime,)), ((1.5,), (int,)), ((None,), (str,)), ((1, 2), (int,))],
)  # fmt: skip
def test_a_cursor_of_other_types_is_refused(values: tuple[object, ...], kinds: tuple[type, ...]) -> None:
    with pytest.raises(Validation):
        PageRequest(cursor=pagination.encode(values)).after(*kinds)


def test_a_page_is_cut_and_its_cursor_comes_from_the_last_row_shown() -> None:
    page = PageRequest(limit=2)
    assert page.fetch == 3
    shown, cursor = pagination.listing(page, [1, 2, 3], lambda row: (row,))
    assert (shown, PageRequest(cursor=cursor).after(int)) == ([1, 2], (2,))
    assert pagination.listing(page, [1, 2], lambda row: (row,)) == ([1, 2], None)


# versions


def test_if_match_is_compared_with_the_present_version() -> None:
    require_match(None, 3)
    require_match('"3"', 3)
    require_match('W/"3", "4"', 3)
    require_match("*", 3)
    for header in ('"2"', "3", "", "garbage"):
        with pytest.raises(Stale):
            require_match(header, 3)
    with pytest.raises(PreconditionRequired):
        require_match(None, 3, required=True)


# pointers


@pytest.mark.parametrize(
    ("location", "body", "expected"),
    [
        ((), {}, ""),
        (("a", 0, "b"), {"a": [{}]}, "/a/0/b"),
        (("a", "int"), {"a": "x"}, "/a"),
        (("a", "Tag", "name"), {"a": {}}, "/a/name"),
        (("a/b", "c~d"), {"a/b": {"c~d": 1}}, "/a~1b/c~0d"),
        ((3, "name"), [1, 2], ""),
    ],
)
def test_a_pointer_leads_through_the_body_and_nothing_else(
    location: tuple[int | str, ...], body: object, expected: str
) -> None:
    assert pointer(location, body) == expected


# store time


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2024, 7, 1), SHANGHAI, 24),
        (date(2024, 3, 31), LONDON, 23),
        (date(2024, 10, 27), LONDON, 25),
        (date(2024, 11, 3), NEW_YORK, 25),
        (date(2018, 11, 4), ZoneInfo("America/Sao_Paulo"), 23),
        (date(2024, 10, 6), ZoneInfo("Australia/Lord_Howe"), 23.5),
    ],
)
def test_a_day_has_as_many_hours_as_the_stores_clock_says(day: date, zone: ZoneInfo, hours: float) -> None:
    start, end = storetime.day_bounds(day, zone)
    assert (end - start) == timedelta(hours=hours)
    assert storetime.day_of(start, zone) == day
    assert storetime.day_of(end - timedelta(microseconds=1), zone) == day
    assert storetime.day_of(end, zone) == day + timedelta(days=1)


ZONES = (SHANGHAI, LONDON, NEW_YORK, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Kathmandu"), UTC)


@given(st.integers(631_152_000, 2_114_380_800), st.sampled_from(ZONES))
def test_every_instant_lies_in_the_day_it_belongs_to(second: int, zone: tzinfo) -> None:
    instant = datetime.fromtimestamp(second, UTC)
    start, end = storetime.day_bounds(storetime.day_of(instant, zone), zone)
    assert start <= instant < end


def test_a_time_that_does_not_exist_is_when_the_clock_has_passed_it() -> None:
    assert storetime.at_time(date(2024, 3, 31), time(1, 30), LONDON) == datetime(2024, 3, 31, 1, 0, tzinfo=UTC)
    assert storetime.at_time(date(2024, 7, 1), time(17, 0), SHANGHAI) == datetime(2024, 7, 1, 9, 0, tzinfo=UTC)


def test_days_from_to_are_both_included() -> None:
    start, end = storetime.range_bounds(date(2024, 7, 1), date(2024, 7, 2), SHANGHAI)
    assert end - start == timedelta(hours=48)


# stores


async def test_stores_are_looked_up_once_in_seconds_and_forgotten_when_told() -> None:
    asked: list[str | None] = []

    async def load(store: str | None) -> list[StoreInfo]:
        asked.append(store)
        return [StoreInfo("demo", "Demo", SHANGHAI, "CNY", "zh")] if store in ("demo", None) else []

    stores = Stores(load)
    assert (await stores.get("demo")).zone is SHANGHAI
    await stores.get("demo")
    stores.forget("demo")
    await stores.get("demo")
    assert asked == ["demo", "demo"]
    assert [info.store for info in await stores.every()] == ["demo"]
    with pytest.raises(NotFound):
        await stores.get("nosuch")


# tickers


async def test_a_ticker_goes_on_after_what_may_pass_and_ends_with_a_bug() -> None:
    outcomes: list[Exception | None] = [ConnectionError("away"), None, ValueError("bug")]

    async def action() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    with pytest.raises(ValueError, match="bug"):
        await asyncio.wait_for(every(0.01, action, service="example", name="test")(), 2)
    assert outcomes == []


# production


def test_unsafe_settings_are_named_in_production_and_allowed_elsewhere() -> None:
    unsafe: dict[str, Any] = {"database_url": "postgresql://h/d", "webhook_allow": "127.0.0.1", "log_level": "debug"}
    assert len(ExampleSettings.load(environment="production", **unsafe).dangers()) == 3
    assert ExampleSettings.load(environment="development", **unsafe).dangers() == []
    assert ExampleSettings.load(environment="production", database_url="postgresql://u:p@h/d").dangers() == []
