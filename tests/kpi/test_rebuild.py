"""Rebuild and proof: from the journal alone, in another order, while traffic flows; one wrong row is found (P4)."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from libs.events.codec import Envelope
from libs.events.contracts import PolicyChanged, SkuListed
from services.kpi import comparing, engine, ledger, replay, shards
from services.kpi.measuring import measure
from services.kpi.rebuild import Report, ask, carry_out, load_report, rebuild
from services.kpi.states import decode_vector, encode
from tests.kpi.stage import Stage, stage
from tests.kpi.test_measuring import complete_until
from tests.kpi.test_on_postgres import DAY1, sale, traffic_of_a_month

JULY = date(2025, 7, 1), date(2025, 7, 31)


@pytest.fixture
async def shop(fresh_database: str) -> AsyncIterator[Stage]:
    async with stage(fresh_database, "demo") as staged:
        await staged.consume(*lived(staged))
        yield staged


def lived(shop: Stage) -> list[list[Envelope[Any]]]:
    """A month of traffic and orders as it came: mixed, some events twice, in batches."""
    told: list[Envelope[Any]] = []
    for number in range(12):
        time = DAY1 + timedelta(hours=55 * number)
        told += sale(shop, f"o{number}", time, visitor_id=f"v{number % 9 + 1}", customer_id=f"c{number % 5}")
    told += sale(shop, "t1", DAY1, origin="tmall")
    listed = SkuListed(sku="A1", kind="goods", title="A", category="dress", price_cents=500, cost_cents=200)
    policy = PolicyChanged(policy_id="p", kind="traffic_origins", after={"value": ["tmall"]}, by="li", valid_from=DAY1)
    told += [shop.envelope(listed, DAY1, "listed"), shop.envelope(policy, DAY1, "policy")]
    visits = traffic_of_a_month(shop, 7)
    mixed = [*visits, *told, *visits[:15], *told[:5]]
    random.Random(5).shuffle(mixed)
    return [mixed[at : at + 60] for at in range(0, len(mixed), 60)]


async def proven(shop: Stage, seed: int = 1) -> Report:
    report = await rebuild(shop.transactions, f"r{seed}", seed=seed)
    assert report is not None
    return report


async def falsify(shop: Stage) -> tuple[str, int]:
    """Adds 3 to one stored figure, past the engine; (value, bucket) of it."""
    bucket, shard, measures = (
        await shop.rows(
            "SELECT bucket, shard, measures FROM kpi.figure WHERE by = 'channel' AND value = 'paid' AND grain = 'day'"
            " ORDER BY bucket LIMIT 1"
        )
    )[0]
    vector = decode_vector(measures)
    await shop.run(
        "UPDATE kpi.figure SET measures = :measures WHERE by = 'channel' AND value = 'paid' AND grain = 'day'"
        " AND bucket = :bucket AND shard = :shard",
        measures=encode({**vector, 0: vector[0] + 3}),
        bucket=bucket,
        shard=shard,
    )
    return "paid", bucket


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_rebuild_from_the_journal_is_identical(shop: Stage, seed: int) -> None:
    report = await proven(shop, seed)
    assert report.differing == []
    assert report.identical
    assert report.events == await shop.scalar("SELECT sum(events) FROM kpi.journal")


async def test_a_falsified_figure_is_found_and_repaired_and_nothing_else(shop: Stage) -> None:
    before = await shop.figures("day", *JULY, by=("channel",))
    value, bucket = await falsify(shop)
    assert await shop.figures("day", *JULY, by=("channel",)) != before
    report = await proven(shop)
    assert report.differing == report.repaired == [("figure", "demo", "day", "channel", bucket, value)]
    assert not report.identical
    assert await shop.figures("day", *JULY, by=("channel",)) == before
    beginning = await shop.figures("day", *JULY, by=("channel",), as_of=datetime(2020, 1, 1, tzinfo=UTC))
    assert set(beginning.values()) <= {0}, "the changes still add up to the figure"
    again = await proven(shop, 3)
    assert again.identical


async def test_the_repair_of_a_measured_figure_is_a_correction_that_names_the_rebuild(shop: Stage) -> None:
    await complete_until(shop, datetime(2026, 1, 3, tzinfo=UTC))
    shop.now += timedelta(minutes=5)
    await measure(shop.transactions)
    value, bucket = await falsify(shop)
    await proven(shop)
    rows = await shop.rows("SELECT bucket, value, measure, to_value - from_value, causes FROM kpi.correction")
    assert [tuple(row) for row in rows] == [(bucket, value, "pv", -3, ["rebuild:r1"])]


async def test_falsified_planted_and_lost_entities_are_put_right(shop: Stage) -> None:
    await shop.run("UPDATE kpi.visitor_day SET ids = ids || ids WHERE visitor = 'v3'")
    await shop.run("DELETE FROM kpi.customer WHERE customer = 'c1'")
    await shop.run(
        "INSERT INTO kpi.orders (store, order_id, skus, state) SELECT store, 'planted', skus, state"
        " FROM kpi.orders WHERE order_id = 'o1'"
    )
    await shop.run("DELETE FROM kpi.buyer WHERE grain = 'month'")
    report = await proven(shop)
    assert {key[0] for key in report.repaired} == {"visitor_day", "customer", "orders", "buyer"}
    assert ("orders", "demo", "planted") in report.repaired
    assert (await proven(shop, 2)).identical


async def test_traffic_goes_on_while_it_is_verified(shop: Stage, fresh_database: str) -> None:
    """What is accepted meanwhile is neither lost nor taken for a difference, also when something is repaired."""
    _, bucket = await falsify(shop)
    done = asyncio.Event()

    async def traffic() -> int:
        for batch, number in enumerate(iter(lambda: done.is_set(), True)):
            del number
            await shop.consume([shop_view(shop, f"late{batch}-{n}") for n in range(20)])
        return batch + 1

    async def verified() -> Report:
        try:
            return await proven(shop)
        finally:
            done.set()

    batches, report = await asyncio.gather(traffic(), verified())
    assert batches > 0
    assert report.repaired == [("figure", "demo", "day", "channel", bucket, "paid")]
    assert (await proven(shop, 2)).identical


def shop_view(shop: Stage, event_id: str) -> Envelope[Any]:
    from libs.events.contracts import PageViewed

    event = PageViewed(visitor_id=f"n{hash(event_id) % 17}", url_path="/", page_kind="home", channel="paid")
    return shop.envelope(event, DAY1 + timedelta(minutes=len(event_id)), event_id)


async def test_as_of_stays_the_same_through_a_rebuild(shop: Stage) -> None:
    shop.now += timedelta(minutes=2)
    known = shop.now
    before = await shop.figures("month", *JULY, by=("sku",), as_of=known)
    shop.now += timedelta(minutes=2)
    await shop.consume([shop_view(shop, "after")])
    await falsify(shop)
    await proven(shop)
    assert await shop.figures("month", *JULY, by=("sku",), as_of=known) == before


async def test_a_rebuild_that_was_asked_for_is_carried_out_and_reported(shop: Stage) -> None:
    async with shop.transactions.begin() as tx:
        rebuild_id = await ask(tx)
    assert await carry_out(shop.transactions) == 1
    async with shop.transactions.begin(read_only=True) as tx:
        report = await load_report(rebuild_id, tx.session)
        assert await load_report("none", tx.session) is None
    assert report is not None
    assert (report["status"], report["identical"]) == ("done", True)
    assert report["live_digest"] == report["rebuilt_digest"]
    assert await carry_out(shop.transactions) == 0


# in shards


async def test_shards_that_no_entity_crosses_make_the_same(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "EVENTS_A_SHARD", 40)
    monkeypatch.setattr(shards, "_BUFFER", 7)
    assert (await proven(shop)).identical
    _, bucket = await falsify(shop)
    report = await proven(shop, 2)
    assert report.repaired == [("figure", "demo", "day", "channel", bucket, "paid")]


async def test_a_repair_that_finds_too_much_at_once_goes_on_in_rounds(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await shop.figures("day", *JULY, by=("channel",))
    await shop.run("DELETE FROM kpi.figure WHERE grain = 'day'")
    await shop.run("DELETE FROM kpi.visitor_day WHERE visitor < 'v4'")
    monkeypatch.setattr(comparing, "MOST_SUSPECTS", 1)
    monkeypatch.setattr(ledger, "BINS", 4)
    report = await proven(shop)
    assert len(report.repaired) > 20
    assert await shop.figures("day", *JULY, by=("channel",)) == before
    assert (await proven(shop, 2)).identical


# sabotage twins


async def lived_with(fresh_database: str, monkeypatch: pytest.MonkeyPatch, where: object, name: str, what: Any) -> bool:
    """Whether a rebuild is identical after a life in which the engine lacked something."""
    async with stage(fresh_database, "demo") as staged:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, what)
            await staged.consume(*(batch[at : at + 3] for batch in lived(staged) for at in range(0, len(batch), 3)))
        return (await proven(staged)).identical


async def test_figures_that_depended_on_the_order_of_events_would_be_found(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(self: object) -> None:
        return None

    assert not await lived_with(fresh_database, monkeypatch, engine._Work, "_moved_by_touches", nobody)


async def test_without_dedup_the_repeats_would_be_found(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await lived_with(fresh_database, monkeypatch, engine, "_known", lambda *_: False)


async def test_shards_that_cut_an_order_from_its_visitor_would_be_found(
    shop: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "EVENTS_A_SHARD", 40)
    monkeypatch.setattr(shards.Bonds, "bind", lambda *_: None)
    assert not (await proven(shop)).identical
