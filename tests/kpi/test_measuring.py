"""When a bucket is measured, what is told of it, and what becomes of it afterwards (D6, D27, D36, D38)."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import Envelope, from_record
from libs.events.contracts import KpiMeasured, PageViewed
from services.kpi import measuring, windows
from services.kpi.imports import end_import, open_import
from services.kpi.measuring import READ_TOPICS, measure, tell_corrections
from services.kpi.windows import measure_windows
from tests.kpi.stage import Stage, stage
from tests.kpi.test_on_postgres import sale

MORNING = datetime(2026, 1, 5, 2, 10, tzinfo=UTC)  # Monday 10:10 in Shanghai


@pytest.fixture
async def shop(database: str) -> AsyncIterator[Stage]:
    async with stage(database, f"m{uuid.uuid4().hex[:8]}") as staged:
        staged.now = MORNING
        await staged.run("DELETE FROM kpi.watermark")
        await staged.run("DELETE FROM kpi.store_start")
        await staged.run("DELETE FROM kpi.correction")
        yield staged


def view(shop: Stage, who: str, time: datetime, event_id: str, **more: Any) -> Envelope[Any]:
    envelope_more = {"import_id": more.pop("import_id")} if "import_id" in more else {}
    event = PageViewed(visitor_id=who, url_path="/", page_kind="home", **more)
    return shop.envelope(event, time, event_id, **envelope_more)


async def complete_until(shop: Stage, until: datetime, topics: tuple[str, ...] = READ_TOPICS) -> None:
    shop.now = max(shop.now, until)
    for topic in topics:
        await shop.run(
            "INSERT INTO kpi.watermark (consumer, topic, until) VALUES ('kpi', :topic, :until)"
            " ON CONFLICT (consumer, topic) DO UPDATE SET until = excluded.until",
            topic=topic,
            until=until,
        )


async def told(shop: Stage) -> list[Any]:
    """Events published since the last look, of this store."""
    async with shop.engine.begin() as connection:
        rows = (await connection.execute(text("DELETE FROM kpi.outbox RETURNING id, topic, key, value, headers"))).all()
    found = []
    for row in sorted(rows, key=lambda row: int(row.id)):
        headers = tuple((name, value) for name, value in msgspec.msgpack.decode(row.headers))
        envelope = from_record(Record(row.topic, 0, 0, row.key, row.value, headers))
        if envelope.store == shop.store:
            found.append(envelope.data)
    return found


async def measured(shop: Stage, grain: str, bucket: str) -> dict[str, dict[str, int]]:
    """Channel ('' for the store) -> measures, of one bucket, among what is told now."""
    await measure(shop.transactions)
    return {
        event.dimensions.get("channel", ""): event.measures
        for event in await told(shop)
        if isinstance(event, KpiMeasured) and (event.grain, event.bucket) == (grain, bucket)
    }


async def test_an_hour_is_measured_once_when_every_topic_has_passed_its_end_by_5_minutes(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a", channel="paid"), *sale(shop, "o1", MORNING)])
    await complete_until(shop, datetime(2026, 1, 5, 3, 4, 59, tzinfo=UTC))
    assert await measured(shop, "hour", "2026-01-05T10") == {}
    await complete_until(shop, datetime(2026, 1, 5, 3, 5, tzinfo=UTC))
    hour = await measured(shop, "hour", "2026-01-05T10")
    assert hour[""]["uv"] == 1
    assert hour[""]["orders_paid"] == 1
    assert hour[""]["paid_amount"] == 1000
    assert hour["paid"]["uv"] == 1
    assert hour["direct"]["orders_paid"] == 1
    assert await measured(shop, "hour", "2026-01-05T10") == {}


async def test_no_bucket_completes_while_one_topic_is_behind(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a")])
    await complete_until(shop, MORNING + timedelta(hours=3))
    await complete_until(shop, MORNING + timedelta(minutes=10), topics=("orders",))
    assert await measured(shop, "hour", "2026-01-05T10") == {}


async def test_an_hour_without_events_is_measured_as_zero(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a", channel="paid")])
    await complete_until(shop, datetime(2026, 1, 5, 4, 5, tzinfo=UTC))
    empty = await measured(shop, "hour", "2026-01-05T11")
    assert empty[""]["uv"] == 0
    assert empty["paid"]["uv"] == 0


async def test_day_week_and_month_are_measured_at_their_ends(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a"), view(shop, "v1", MORNING + timedelta(days=1), "b")])
    await complete_until(shop, datetime(2026, 2, 1, 0, 0, tzinfo=UTC))
    await measure(shop.transactions)
    uv = {(e.grain, e.bucket): e.measures["uv"] for e in await told(shop) if not e.dimensions}
    assert uv["day", "2026-01-05"] == uv["day", "2026-01-06"] == 1
    assert uv["week", "2026-W02"] == uv["month", "2026-01"] == 1
    assert uv["day", "2026-01-31"] == 0


async def test_a_late_event_corrects_what_was_measured_and_is_named(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a", channel="paid")])
    await complete_until(shop, datetime(2026, 1, 6, 0, 0, tzinfo=UTC))
    first = await measured(shop, "day", "2026-01-05")
    late = [view(shop, "v1", MORNING - timedelta(minutes=5), f"late{n}", channel="social") for n in range(30)]
    await shop.apply(late[:25], late[25:])
    day = await shop.figures("day", MORNING.date(), by=("channel",))
    rows = await shop.rows(
        "SELECT value, measure, from_value, to_value, causes, cause_count FROM kpi.correction"
        " WHERE store = :s AND grain = 'day' AND by = 'channel' ORDER BY id",
        s=shop.store,
    )
    for channel in ("paid", "social"):
        for name in ("pv", "uv", "sessions"):
            changes = sum(r.to_value - r.from_value for r in rows if (r.value, r.measure) == (channel, name))
            assert first.get(channel, {}).get(name, 0) + changes == day.get(("2026-01-05", (channel,), name), 0)
    views = [r for r in rows if (r.value, r.measure) == ("social", "pv")]
    assert [(r.from_value, r.to_value, r.cause_count, len(r.causes)) for r in views] == [
        (0, 26, 25, 20),
        (26, 31, 5, 5),
    ]
    assert views[1].causes == [f"late{n}" for n in range(25, 30)]


async def test_corrections_are_told_together_after_a_minute(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a")])
    await complete_until(shop, datetime(2026, 1, 6, 0, 0, tzinfo=UTC))
    await measure(shop.transactions)
    await told(shop)
    await shop.apply([view(shop, "v2", MORNING, "b")], [view(shop, "v3", MORNING, "c")])
    await tell_corrections(shop.transactions)
    assert await told(shop) == []
    shop.now += timedelta(seconds=61)
    await tell_corrections(shop.transactions)
    corrected = [e for e in await told(shop) if (e.grain, dict(e.dimensions)) == ("day", {})]
    assert len(corrected) == 1
    changes = {change.measure: (change.from_value, change.to) for change in corrected[0].measures}
    assert changes["uv"] == (1, 3)
    assert (corrected[0].causes, corrected[0].cause_count) == (("b", "c"), 2)
    await tell_corrections(shop.transactions)
    assert await told(shop) == []


async def test_an_import_holds_its_buckets_back_until_its_end(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "now")])
    past = MORNING - timedelta(days=40)
    async with shop.transactions.begin(shop.store) as tx:
        await open_import("i1", tx)
    await shop.apply([view(shop, "v1", past, "x", import_id="i1")], [view(shop, "v2", past, "y", import_id="i1")])
    await complete_until(shop, MORNING + timedelta(hours=2))
    assert await measured(shop, "day", "2025-11-26") == {}
    shop.now += timedelta(seconds=1)
    async with shop.transactions.begin(shop.store) as tx:
        await end_import("i1", tx)
    assert await measured(shop, "day", "2025-11-26") == {}, "what was accepted before the end may still be on its way"
    await complete_until(shop, shop.now + timedelta(minutes=1))
    day = await measured(shop, "day", "2025-11-26")
    assert day[""]["uv"] == 2
    assert await shop.scalar("SELECT measured_at IS NOT NULL FROM kpi.import WHERE store = :s", s=shop.store)


async def test_an_import_into_measured_buckets_is_one_correction(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a")])
    await complete_until(shop, datetime(2026, 1, 6, 0, 0, tzinfo=UTC))
    await measure(shop.transactions)
    async with shop.transactions.begin(shop.store) as tx:
        await open_import("i2", tx)
    await shop.apply(*([view(shop, f"w{n}", MORNING, f"x{n}", import_id="i2")] for n in range(3)))
    assert await shop.rows("SELECT 1 FROM kpi.correction WHERE store = :s", s=shop.store) == []
    async with shop.transactions.begin(shop.store) as tx:
        await end_import("i2", tx)
    await complete_until(shop, shop.now + timedelta(minutes=1))
    await measure(shop.transactions)
    rows = await shop.rows(
        "SELECT from_value, to_value, causes FROM kpi.correction"
        " WHERE store = :s AND grain = 'day' AND by = '' AND measure = 'uv'",
        s=shop.store,
    )
    assert [tuple(row) for row in rows] == [(1, 4, ["import:i2"])]


async def test_windows_have_their_own_distinct_counts_and_first_touches(shop: Stage) -> None:
    nine = MORNING - timedelta(hours=1)
    await shop.apply(
        [view(shop, "v1", nine, "a", channel="social"), view(shop, "v1", MORNING, "b", channel="paid")],
        [*sale(shop, "o1", nine, customer_id="c"), *sale(shop, "o2", MORNING, customer_id="c")],
    )
    await complete_until(shop, datetime(2026, 1, 5, 3, 5, tzinfo=UTC))
    await measure(shop.transactions)
    await told(shop)
    await measure_windows(shop.transactions)
    windows = {(e.grain, e.bucket, e.dimensions.get("channel", "")): e for e in await told(shop)}
    whole = windows["w3", "2026-01-05T10", ""].measures
    assert (whole["uv"], whole["pv"], whole["orders_paid"], whole["buyers_paid"]) == (1, 2, 2, 1)
    assert windows["w3", "2026-01-05T10", "social"].measures["pv"] == 2
    assert windows["w1", "2026-01-05T10", "paid"].measures["pv"] == 1
    assert windows["w1", "2026-01-05T10", "social"].measures["uv"] == 0, "a channel that fell silent is told as zero"
    assert windows["w24", "2026-01-05T10", ""].start == datetime(2026, 1, 4, 3, tzinfo=UTC)
    await measure_windows(shop.transactions)
    assert await told(shop) == []


async def test_the_window_of_24_hours_is_told_of_skus_that_were_seen_enough(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "SKU_VISITORS", 2)
    views = [view(shop, f"v{n}", MORNING - timedelta(hours=n), f"s{n}", sku="A1") for n in range(3)]
    await shop.apply([*views, view(shop, "v0", MORNING, "other", sku="A2"), *sale(shop, "o1", MORNING)])
    await complete_until(shop, datetime(2026, 1, 5, 3, 5, tzinfo=UTC))
    shop.now += timedelta(seconds=61)
    await measure(shop.transactions)
    await told(shop)
    await measure_windows(shop.transactions)
    found = {
        (e.grain, e.dimensions["sku"]): e.measures
        for e in await told(shop)
        if "sku" in e.dimensions and e.bucket == "2026-01-05T10"
    }
    assert set(found) == {("w24", "A1")}
    assert (found["w24", "A1"]["uv"], found["w24", "A1"]["orders_paid"]) == (3, 1)


# sabotage twins


async def test_without_the_5_minutes_an_hour_is_measured_too_early(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", MORNING, "a")])
    await complete_until(shop, datetime(2026, 1, 5, 3, 0, tzinfo=UTC))
    assert await measure(shop.transactions) == 0
    assert await measure(shop.transactions, timedelta(0)) == 1


async def test_judged_by_traffic_alone_a_bucket_completes_without_its_orders(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "READ_TOPICS", ("traffic",))
    await shop.apply([view(shop, "v1", MORNING, "a")])
    await complete_until(shop, MORNING + timedelta(hours=3), topics=("traffic",))
    assert await measured(shop, "hour", "2026-01-05T10") != {}
