"""One visitor on all days of a month, live and rebuilt, late and corrected: what only an exact engine gets right."""

import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from libs.events.codec import Envelope
from libs.events.contracts import KpiMeasured, PageViewed
from libs.events.contracts.base import Channel
from libs.events.journal import read_segments
from services.kpi.measuring import measure
from services.kpi.rebuild import rebuild
from services.kpi.tables import JOURNAL
from tests.kpi.stage import Stage, stage
from tests.kpi.test_measuring import complete_until, told
from tests.kpi.test_on_postgres import brute, stored

FIRST = datetime(2026, 1, 1, 2, tzinfo=UTC)  # 10:00 in Shanghai
JANUARY = date(2026, 1, 1), date(2026, 1, 31)


@pytest.fixture
async def shop(fresh_database: str) -> AsyncIterator[Stage]:
    async with stage(fresh_database, f"p{uuid.uuid4().hex[:8]}") as staged:
        yield staged


def view(shop: Stage, time: datetime, event_id: str, channel: Channel, sku: str) -> Envelope[Any]:
    event = PageViewed(visitor_id="v", url_path="/p", page_kind="product", channel=channel, sku=sku)
    return shop.envelope(event, time, event_id, recorded_time=time)


def month(shop: Stage) -> list[Envelope[Any]]:
    """Three views a day on 31 days, through two channels, of two SKUs."""
    made = []
    for day in range(31):
        channel: Channel = "paid" if day % 3 else "social"
        for page in range(3):
            time = FIRST + timedelta(days=day, minutes=13 * page)
            made.append(view(shop, time, f"d{day}-{page}", channel, f"A{(day + page) % 2}"))
    return made


async def test_one_visitor_on_all_31_days_live_and_rebuilt(shop: Stage) -> None:
    envelopes = month(shop)
    mixed = [*envelopes, *envelopes[::7]]
    random.Random(3).shuffle(mixed)
    await shop.consume(*(mixed[at : at + 9] for at in range(0, len(mixed), 9)))
    assert await stored(shop) == brute(shop, envelopes, [])
    whole = await shop.figures("month", *JANUARY)
    assert (whole["2026-01", (), "uv"], whole["2026-01", (), "pv"]) == (1, 93)
    report = await rebuild(shop.transactions, "r", seed=4)
    assert report is not None
    assert report.identical


async def test_the_earliest_event_coming_last_moves_closed_buckets_and_is_named(shop: Stage) -> None:
    await shop.consume(month(shop))
    await complete_until(shop, datetime(2026, 2, 2, tzinfo=UTC))
    while await measure(shop.transactions):
        pass
    first = _measured(await told(shop))
    late = view(shop, FIRST - timedelta(hours=1), "late", "referral", "A0")
    await shop.consume([late])
    assert await stored(shop) == brute(shop, [*month(shop), late], [])
    corrections = await shop.rows(
        "SELECT grain, bucket, by, value, measure, from_value, to_value, causes FROM kpi.correction WHERE store = :s",
        s=shop.store,
    )
    assert {tuple(row.causes) for row in corrections} == {("late",)}
    assert {row.grain for row in corrections} == {"hour", "day", "week", "month"}
    moved = {
        (row.value, row.measure): (row.from_value, row.to_value)
        for row in corrections
        if row.grain == "month" and row.by == "channel"
    }
    assert moved["social", "pv"] == (93, 0)
    assert moved["referral", "pv"] == (0, 94)
    for grain in ("day", "month"):
        await _first_plus_corrections_is_present(shop, grain, first, corrections)


async def _first_plus_corrections_is_present(
    shop: Stage, grain: str, first: dict[tuple[str, str, str, str], int], corrections: list[Any]
) -> None:
    present = await shop.figures(grain, *JANUARY, by=("channel",))
    keys = {row.bucket: key for row in corrections for key in [_name(shop, grain, row.bucket)] if row.grain == grain}
    for (bucket, (channel,), name), value in present.items():
        changes = sum(
            row.to_value - row.from_value
            for row in corrections
            if (row.grain, row.by, keys.get(row.bucket), row.value, row.measure)
            == (grain, "channel", bucket, channel, name)
        )
        assert first.get((grain, bucket, channel, name), 0) + changes == value


def _name(shop: Stage, grain: str, second: int) -> str:
    from services.kpi.calendar import calendar_of

    return calendar_of(shop.zone).bucket_at(grain, second).key


def _measured(events: list[Any]) -> dict[tuple[str, str, str, str], int]:
    return {
        (event.grain, event.bucket, event.dimensions["channel"], name): value
        for event in events
        if isinstance(event, KpiMeasured) and event.dimensions
        for name, value in event.measures.items()
    }


async def test_causes_are_events_of_the_journal(shop: Stage) -> None:
    await shop.consume(month(shop))
    await complete_until(shop, datetime(2026, 2, 2, tzinfo=UTC))
    await measure(shop.transactions)
    await shop.consume([view(shop, FIRST - timedelta(hours=1), "late", "referral", "A0")])
    causes = {cause for row in await shop.rows("SELECT causes FROM kpi.correction") for cause in row.causes}
    kept = set()
    async with shop.transactions.begin(read_only=True) as tx:
        async for records in read_segments(tx.session, JOURNAL, topics=["traffic"]):
            kept |= {dict(record.headers)["ce_id"].decode() for record in records}
    assert causes <= kept
    assert causes == {"late"}


async def test_as_of_is_the_same_bytes_before_and_after_a_late_event_and_a_rebuild(shop: Stage) -> None:
    await shop.consume(month(shop))
    shop.now += timedelta(minutes=2)
    at = shop.now
    seen = [await shop.figures(grain, *JANUARY, by=("sku",), as_of=at) for grain in ("day", "week", "month")]
    shop.now += timedelta(minutes=1)
    await shop.consume([view(shop, FIRST - timedelta(hours=1), "late", "referral", "A1")])
    await rebuild(shop.transactions, "r")
    again = [await shop.figures(grain, *JANUARY, by=("sku",), as_of=at) for grain in ("day", "week", "month")]
    assert again == seen
    assert await shop.figures("month", *JANUARY, by=("sku",)) != seen[2]


# sabotage twin


async def test_without_taking_back_later_changes_the_past_would_move(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        return None

    await shop.consume(month(shop))
    shop.now += timedelta(minutes=2)
    at = shop.now
    seen = await shop.figures("month", *JANUARY, as_of=at)
    shop.now += timedelta(minutes=1)
    await shop.consume([view(shop, FIRST - timedelta(hours=1), "late", "referral", "A1")])
    monkeypatch.setattr("services.kpi.store._take_back", nothing)
    assert await shop.figures("month", *JANUARY, as_of=at) != seen
