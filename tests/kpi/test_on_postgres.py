"""The engine on a real database: figures as by brute force, as known at a minute, from several processes at once."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from libs.events.codec import Envelope
from libs.events.contracts import CartAdded, OrderPaid, OrderPlaced, PageViewed, PolicyChanged, SkuListed
from libs.events.contracts.base import Line
from services.kpi import handlers
from services.kpi.calendar import calendar_of
from services.kpi.facts import facts_of
from services.kpi.figures import measure_of
from services.kpi.handlers import fold_events
from services.kpi.history import fold_history
from services.kpi.states import decode_vector
from tests.kpi.brute import Figures, Sale, count
from tests.kpi.stage import Stage, stage

DAY1 = datetime(2025, 7, 1, 2, tzinfo=UTC)  # 10:00 in Shanghai
MONTH = (date(2025, 7, 1), date(2025, 7, 31))


@pytest.fixture
async def shop(database: str) -> AsyncIterator[Stage]:
    async with stage(database, f"s{uuid.uuid4().hex[:8]}") as staged:
        yield staged


def view(shop: Stage, who: str, time: datetime, event_id: str, **more: Any) -> Envelope[Any]:
    event = PageViewed(visitor_id=who, url_path="/p", page_kind="product", **more)
    return shop.envelope(event, time, event_id)


def sale(shop: Stage, name: str, time: datetime, sku: str = "A1", **more: Any) -> list[Envelope[Any]]:
    lines = (Line(sku=sku, quantity=2, unit_price_cents=500),)
    common: dict[str, Any] = {"order_id": name, "currency": "CNY", "lines": lines, "total_cents": 1000, **more}
    origin = common.pop("origin", "storefront")
    placed = OrderPlaced(**common, origin=origin, shipping_cents=0, discount_cents=0, placed_at=time)
    paid = OrderPaid(
        **common,
        payment_id=name,
        method="card",
        amount_cents=1000,
        discount_cents=0,
        ship_due_at=time + timedelta(days=400),
        is_first_order=False,
    )
    return [shop.envelope(placed, time, f"{name}-placed"), shop.envelope(paid, time, f"{name}-paid")]


def traffic_of_a_month(shop: Stage, seed: int) -> list[Envelope[Any]]:
    dice = random.Random(seed)
    made = []
    for number in range(300):
        who = f"v{dice.randint(1, 40)}"
        time = DAY1 + timedelta(minutes=dice.randint(0, 31 * 24 * 60 - 800))
        channel = dice.choice([None, "paid", "social", "direct"])
        common: dict[str, Any] = {"sku": f"A{dice.randint(1, 4)}", "channel": channel, "device": "phone"}
        if dice.random() < 0.3:
            made.append(shop.envelope(CartAdded(visitor_id=who, **common), time, f"c{number}"))
        else:
            made.append(view(shop, who, time, f"v{number}", **common))
    return made


def brute(shop: Stage, envelopes: list[Envelope[Any]], sales: list[Sale]) -> Figures:
    visits: dict[str, list[Any]] = {}
    for (_, who), found in facts_of(envelopes).batch.visits.items():
        visits[who] = found
    return count(calendar_of(shop.zone), visits, sales)


async def stored(shop: Stage) -> Figures:
    """Every cell in the database, summed over shards, in the brute force's shape."""
    whole: Figures = {}
    rows = await shop.rows(
        "SELECT grain, by, bucket, value, measures FROM kpi.figure WHERE store = :store", store=shop.store
    )
    for grain, by, bucket, value, measures in rows:
        for number, amount in decode_vector(measures).items():
            key = (grain, by, bucket, value, measure_of(number)[0])
            whole[key] = whole.get(key, 0) + amount
    return {key: value for key, value in whole.items() if value and key[4] != "orders_due_to_ship"}


async def test_figures_in_the_database_equal_brute_force(shop: Stage) -> None:
    envelopes = traffic_of_a_month(shop, 1)
    sales, told = [], []
    for number in range(25):
        time = DAY1 + timedelta(hours=29 * number)
        who, customer = f"v{number % 40 + 1}", f"c{number % 7}"
        told += sale(shop, f"o{number}", time, visitor_id=who, customer_id=customer)
        us = round(time.timestamp() * 1e6)
        sales.append(Sale(f"o{number}", us, 1000, [("A1", 2, 1000)], who, customer, paid=us))
    mixed = [*envelopes, *told]
    random.Random(2).shuffle(mixed)
    repeats = [e for e in mixed[:50] if e in envelopes]
    await shop.apply(mixed[:100], mixed[100:110], repeats, mixed[110:])
    assert await stored(shop) == brute(shop, envelopes, sales)


async def test_as_of_gives_what_was_known_at_that_minute(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", DAY1, "a", channel="paid")])
    known = shop.now = shop.now.replace(second=0) + timedelta(minutes=3)
    before = await shop.figures("day", *MONTH, by=("channel",), as_of=known)
    await shop.apply([view(shop, "v1", DAY1 - timedelta(hours=1), "early", channel="social")])
    assert await shop.figures("day", *MONTH, by=("channel",), as_of=known) == before
    after = await shop.figures("day", *MONTH, by=("channel",))
    assert after["2025-07-01", ("social",), "pv"] == 2
    assert ("2025-07-01", ("paid",), "pv") not in after
    later = known + timedelta(minutes=1)
    assert await shop.figures("day", *MONTH, by=("channel",), as_of=later) == after


async def test_history_older_than_35_days_is_folded_to_hours_and_says_the_same(shop: Stage) -> None:
    shop.now = datetime(2025, 8, 1, 10, 20, tzinfo=UTC)
    for number, envelope in enumerate(traffic_of_a_month(shop, 9)[:12]):
        shop.now = datetime(2025, 8, 1, 10, 20, tzinfo=UTC) + timedelta(minutes=5 * number)
        await shop.apply([envelope])
    hours = [datetime(2025, 8, 1, 11, tzinfo=UTC), datetime(2025, 8, 1, 12, tzinfo=UTC)]
    before = [await shop.figures("day", *MONTH, by=("sku",), as_of=hour) for hour in hours]
    shop.now = datetime(2025, 8, 20, tzinfo=UTC)
    assert await fold_history(shop.transactions) == 0
    shop.now = datetime(2025, 9, 20, tzinfo=UTC)
    assert await fold_history(shop.transactions) > 0
    assert await shop.rows("SELECT 1 FROM kpi.figure_delta WHERE store = :s AND minute % 60 <> 59", s=shop.store) == []
    assert [await shop.figures("day", *MONTH, by=("sku",), as_of=hour) for hour in hours] == before
    assert before[0] != before[1]


async def test_the_changes_of_a_figure_add_up_to_it(shop: Stage) -> None:
    await shop.apply(*([envelope] for envelope in traffic_of_a_month(shop, 3)[:40]))
    beginning = await shop.figures("day", *MONTH, by=("sku",), as_of=datetime(2025, 1, 1, tzinfo=UTC))
    assert {value for value in beginning.values() if value} == set()


async def test_traffic_and_orders_of_several_processes_meet_in_the_figures(shop: Stage, database: str) -> None:
    """Every order finds its visitor's touch, whichever of the two transactions commits first."""
    touches = [view(shop, f"w{n}", DAY1, f"t{n}", channel="social") for n in range(12)]
    orders = [sale(shop, f"x{n}", DAY1 + timedelta(hours=1), visitor_id=f"w{n}") for n in range(12)]

    async def one(batch: list[Envelope[Any]]) -> None:
        async with stage(database, shop.store) as other:
            await other.apply(batch)

    await asyncio.gather(*(one([touch]) for touch in touches), *(one(order) for order in orders))
    figures = await shop.figures("day", MONTH[0], by=("channel",))
    assert figures["2025-07-01", ("social",), "orders_paid"] == 12
    assert figures["2025-07-01", ("social",), "uv"] == 12


async def order_beside_an_uncommitted_touch(shop: Stage) -> int:
    """Orders of channel social after a touch and an order were applied at the same time."""
    earlier = [view(shop, "z", DAY1, "z"), *sale(shop, "z", DAY1), *sale(shop, "y", DAY1 + timedelta(hours=1))]
    await shop.apply(earlier)  # so that no row of a new store or bucket is waited for
    async with shop.transactions.begin() as traffic:
        await fold_events([view(shop, "w", DAY1, "touch", channel="social")], traffic)
        order = asyncio.create_task(shop.apply(sale(shop, "o", DAY1 + timedelta(hours=1), visitor_id="w")))
        await asyncio.wait([order], timeout=0.5)
    await order
    figures = await shop.figures("day", MONTH[0], by=("channel",))
    return figures.get(("2025-07-01", ("social",), "orders_paid"), 0)


async def test_an_order_waits_for_the_traffic_before_it(shop: Stage) -> None:
    assert await order_beside_an_uncommitted_touch(shop) == 1


async def test_without_the_stores_lock_the_order_misses_its_touch(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> None:
        return None

    monkeypatch.setattr(handlers, "lock_stores", nobody)
    assert await order_beside_an_uncommitted_touch(shop) == 0


async def test_a_store_nobody_made_is_refused(shop: Stage) -> None:
    stranger = Stage(shop.engine, "nobody", shop.zone)
    with pytest.raises(ValueError, match="no store nobody"):
        await stranger.apply([view(stranger, "v", DAY1, "e")])


async def test_an_event_from_the_future_is_quarantined_with_its_money(shop: Stage) -> None:
    ahead = shop.now + timedelta(minutes=6)
    event = view(shop, "v1", ahead, "f1")
    placed, _ = sale(shop, "later", ahead)
    await shop.apply([_recorded(event, shop.now), _recorded(placed, shop.now)])
    assert await shop.figures("day", ahead.date()) == {}
    rows = await shop.rows("SELECT topic, cents FROM kpi.quarantined WHERE store = :s ORDER BY topic", s=shop.store)
    assert [tuple(row) for row in rows] == [("orders", 1000), ("traffic", 0)]


def _recorded(envelope: Envelope[Any], at: datetime) -> Envelope[Any]:
    return Envelope(envelope.id, envelope.source, envelope.store, envelope.subject, envelope.time, at, envelope.data)


async def test_category_and_cost_that_become_known_late_reach_orders_and_visits(shop: Stage) -> None:
    await shop.apply([view(shop, "v1", DAY1, "a", sku="A1"), *sale(shop, "o1", DAY1)])
    listed = SkuListed(sku="A1", kind="goods", title="A", category="dress", price_cents=500, cost_cents=200)
    await shop.apply([shop.envelope(listed, DAY1 - timedelta(days=3), "listed")])
    figures = await shop.figures("day", MONTH[0], by=("category",))
    assert figures["2025-07-01", ("dress",), "uv"] == 1
    assert figures["2025-07-01", ("dress",), "units_paid"] == 2
    assert figures["2025-07-01", ("dress",), "cost_amount"] == 400
    assert (await shop.figures("day", MONTH[0]))["2025-07-01", (), "covered_items_amount"] == 1000


async def test_origins_that_a_policy_names_count_for_conversion(shop: Stage) -> None:
    await shop.apply(sale(shop, "o1", DAY1, origin="tmall"))
    assert ("2025-07-01", (), "orders_placed_here") not in await shop.figures("day", MONTH[0])
    policy = PolicyChanged(
        policy_id="p", kind="traffic_origins", after={"value": ["tmall"]}, by="li", valid_from=DAY1 - timedelta(days=1)
    )
    await shop.apply([shop.envelope(policy, DAY1 + timedelta(days=1), "policy")])
    assert (await shop.figures("day", MONTH[0]))["2025-07-01", (), "orders_placed_here"] == 1
