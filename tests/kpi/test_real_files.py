"""Files of real shops, against figures that Polars computes on its own: nothing but the rows is shared.

The files are not part of the repository; without them these tests are skipped.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from libs.events.codec import Envelope, to_message
from libs.events.contracts import OrderPaid, OrderPlaced, RefundIssued
from libs.events.contracts.base import Event
from libs.service.auth import add_key
from tests.kpi.conftest import KpiService

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SHOPPERS = DATA / "traffic_online_shoppers_sessions.csv.gz"
RETAIL = DATA / "orders_online_retail_2010-12_2011-09.csv.gz"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
AT_ONCE = 1_000


def needs(file: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not file.exists(), reason=f"{file.name} is not there")


def sessions() -> pl.DataFrame:
    """The shoppers' sessions: month, traffic type, whether they bought."""
    return pl.read_csv(SHOPPERS, columns=["Month", "TrafficType", "Revenue"])


async def publish(kpi: KpiService, store: str, told: Sequence[tuple[str, datetime, Event]]) -> None:
    """Put events on the bus, shuffled, and have them counted."""
    mixed = list(told)
    random.Random(7).shuffle(mixed)
    for at in range(0, len(mixed), AT_ONCE):
        envelopes: list[Envelope[Any]] = [
            Envelope(key, "/services/orders", store, event.subject, time, datetime.now(UTC), event)
            for key, time, event in mixed[at : at + AT_ONCE]
        ]
        await kpi.runtime.bus.publish([to_message(envelope) for envelope in envelopes])
    await kpi.catch_up()


# sessions of a shop


@pytest.fixture(scope="module")
async def shoppers(kpi: KpiService) -> KpiService:
    """Every session a visitor with one view on a day of its month; who bought placed an order 5 minutes later."""
    views, orders = [], []
    for number, row in enumerate(sessions().iter_rows(named=True)):
        month = MONTHS.index(row["Month"]) + 1
        at = datetime(2023, month, 1 + number % 28, 2 + number % 12, number % 60, tzinfo=UTC)
        source = f"type-{row['TrafficType']}"
        event = {"id": f"s-{number}", "type": "page.viewed", "visitor_id": f"v-{number}", "time": at.isoformat()}
        views.append({**event, "url_path": "/", "page_kind": "home", "channel": "other", "source": source})
        if row["Revenue"]:
            orders.append((f"o-{number}", at + timedelta(minutes=5), _placed(f"o-{number}", f"v-{number}", at)))
    for at_ in range(0, len(views), AT_ONCE):
        assert (await kpi.post("/v1/events", views[at_ : at_ + AT_ONCE])).json()["rejected"] == 0
    await publish(kpi, "demo", orders)
    return kpi


def _placed(order_id: str, visitor: str, at: datetime) -> Event:
    line = {"sku": "A", "quantity": 1, "unit_price_cents": 100}
    money = {"currency": "CNY", "lines": [line], "shipping_cents": 0, "discount_cents": 0, "total_cents": 100}
    about = {"order_id": order_id, "visitor_id": visitor, "origin": "storefront", "placed_at": at.isoformat()}
    return OrderPlaced.model_validate({**about, **money})


@needs(SHOPPERS)
async def test_1908_of_12330_sessions_bought(shoppers: KpiService) -> None:
    answer = await shoppers.get("/v1/kpis/conversion.session", from_="2023-01-01", to="2023-12-31", grain="month")
    points = answer.json()["series"]
    assert (sum(p["numerator"] for p in points), sum(p["denominator"] for p in points)) == (1_908, 12_330)


@needs(SHOPPERS)
async def test_sessions_that_bought_per_traffic_type_and_month(shoppers: KpiService) -> None:
    answer = await shoppers.get(
        "/v1/kpis/conversion.session", from_="2023-01-01", to="2023-12-31", grain="month", by="source"
    )
    found = {
        (p["bucket"], p["dimensions"]["source"]): (p["numerator"], p["denominator"])
        for p in answer.json()["series"]
        if p["denominator"]
    }
    grouped = sessions().group_by("Month", "TrafficType").agg(pl.col("Revenue").sum(), pl.len())
    wanted = {
        (f"2023-{MONTHS.index(month) + 1:02d}", f"type-{kind}"): (bought, sessions)
        for month, kind, bought, sessions in grouped.iter_rows()
    }
    assert found == wanted


# invoices of a shop


def rows_of(until: date) -> pl.DataFrame:
    """The file's lines, with instants and prices in pence."""
    lines = pl.read_csv(RETAIL, schema_overrides={"CustomerID": pl.String, "InvoiceNo": pl.String})
    at = pl.col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    return lines.with_columns(
        at.dt.replace_time_zone("Europe/London", ambiguous="earliest").alias("at"),
        (pl.col("UnitPrice") * 100 + 1e-9).round(0, mode="half_away_from_zero").cast(pl.Int64).alias("pence"),
        pl.col("StockCode").str.replace_all(" ", "_").alias("sku"),
        pl.col("CustomerID").fill_null("").alias("customer"),
        at.dt.strftime("%Y-%m").alias("month"),
    ).filter(pl.col("at").dt.date() < until)


def sold(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines sold: quantity and price over zero, of invoices that are neither cancellations nor bookkeeping (D51)."""
    sales = (pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0) & ~pl.col("InvoiceNo").str.contains("^[CA]")
    return lines.filter(sales).with_columns((pl.col("Quantity") * pl.col("pence")).alias("amount"))


def cancelled(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.filter(pl.col("InvoiceNo").str.starts_with("C")).with_columns(
        (-pl.col("Quantity") * pl.col("pence")).alias("amount")
    )


def invoices(lines: pl.DataFrame) -> pl.DataFrame:
    """One row an invoice, at its first line."""
    first = [pl.col("at").min(), pl.col("customer").first(), pl.col("month").min(), pl.col("amount").sum()]
    return lines.group_by("InvoiceNo").agg(*first, pl.col("Quantity").sum().alias("units"))


def facts(lines: pl.DataFrame) -> Iterator[tuple[str, datetime, Event]]:
    for (invoice,), group in sold(lines).group_by("InvoiceNo"):
        at = group["at"].min()
        assert isinstance(at, datetime)
        yield from _bought(str(invoice), at, group)
    for (invoice,), group in cancelled(lines).group_by("InvoiceNo"):
        at = group["at"].min()
        assert isinstance(at, datetime)
        cents = int(group["amount"].sum())
        name, money = str(invoice), {"amount_cents": cents, "items_cents": cents, "currency": "GBP"}
        yield f"{name}-r", at, RefundIssued.model_validate({"refund_id": name, "order_id": name, **money})


def _bought(invoice: str, at: datetime, group: pl.DataFrame) -> Iterator[tuple[str, datetime, Event]]:
    lines = [
        {"sku": sku, "quantity": quantity, "unit_price_cents": pence}
        for sku, quantity, pence in group.select("sku", "Quantity", "pence").iter_rows()
    ]
    total = int(group["amount"].sum())
    common = {"order_id": invoice, "customer_id": group["customer"][0] or None, "currency": "GBP", "lines": lines}
    placed = {"origin": "online-retail", "shipping_cents": 0, "discount_cents": 0, "placed_at": at.isoformat()}
    paid = {"payment_id": invoice, "method": "invoice", "amount_cents": total, "is_first_order": False}
    due = {"ship_due_at": (at + timedelta(days=2)).isoformat(), "discount_cents": 0}
    yield f"{invoice}-1", at, OrderPlaced.model_validate({**common, **placed, "total_cents": total})
    yield f"{invoice}-2", at, OrderPaid.model_validate({**common, **paid, **due, "total_cents": total})


async def retail(kpi: KpiService, store: str, lines: pl.DataFrame) -> KpiService:
    async with kpi.runtime.engine.begin() as session:
        await session.execute(
            text(
                "INSERT INTO access.stores (store, name, timezone, currency, language)"
                " VALUES (:store, :store, 'Europe/London', 'GBP', 'en')"
            ),
            {"store": store},
        )
        kpi.keys[store] = (await add_key(session, store, ["kpi:read"])).key
    await publish(kpi, store, list(facts(lines)))
    return kpi


async def by_month(kpi: KpiService, store: str, figure: str, **params: Any) -> dict[str, tuple[int, int | None]]:
    answer = await kpi.get(
        f"/v1/kpis/{figure}", key=store, from_="2010-12-01", to="2011-09-30", grain="month", **params
    )
    assert answer.status_code == 200, answer.text
    return {p["bucket"]: (p["numerator"], p["denominator"]) for p in answer.json()["series"] if p["numerator"]}


async def check_retail(kpi: KpiService, store: str, lines: pl.DataFrame) -> None:
    """Every figure of these lines against Polars."""
    orders = invoices(sold(lines))
    monthly = orders.group_by("month").agg(pl.len(), pl.col("amount").sum(), pl.col("units").sum())
    for month, count, amount, units in monthly.iter_rows():
        assert (await by_month(kpi, store, "aov"))[month] == (amount, count)
        assert (await by_month(kpi, store, "units_paid"))[month] == (units, None)
    await _check_skus(kpi, store, lines)
    await _check_customers(kpi, store, orders)
    refunds = invoices(cancelled(lines)).group_by("month").agg(pl.len(), pl.col("amount").sum())
    assert await by_month(kpi, store, "refunds") == {month: (n, None) for month, n, _ in refunds.iter_rows()}
    wanted = {month: (amount, None) for month, _, amount in refunds.iter_rows()}
    assert await by_month(kpi, store, "refund_amount") == wanted


async def _check_skus(kpi: KpiService, store: str, lines: pl.DataFrame) -> None:
    """The 20 best sellers of every month by amount."""
    answer = await kpi.get(
        "/v1/kpis/items_amount", key=store, from_="2010-12-01", to="2011-09-30", grain="month", by="sku"
    )
    found = {(p["bucket"], p["dimensions"]["sku"]): p["value"] for p in answer.json()["series"] if p["value"]}
    amounts = sold(lines).group_by("month", "sku").agg(pl.col("amount").sum())
    best = amounts.sort("amount", descending=True).group_by("month").head(20)
    for month, sku, amount in best.iter_rows():
        assert found[month, sku] == amount, (month, sku)
    assert sum(found.values()) == amounts["amount"].sum()


async def _check_customers(kpi: KpiService, store: str, orders: pl.DataFrame) -> None:
    known = orders.filter(pl.col("customer") != "").sort("at", "InvoiceNo")
    ranked = known.with_columns(
        pl.int_range(pl.len()).over("customer").alias("n"), pl.col("at").dt.convert_time_zone("UTC")
    )
    first = ranked.filter(pl.col("n") == 0).select("customer", pl.col("at").alias("began"), "month")
    second = ranked.filter(pl.col("n") == 1).select("customer", pl.col("at").alias("again"))
    cohorts = first.join(second, on="customer", how="left").with_columns(
        (pl.col("again") - pl.col("began") <= timedelta(days=30)).fill_null(value=False).alias("back")
    )
    wanted = {m: (back, n) for m, back, n in cohorts.group_by("month").agg(pl.col("back").sum(), pl.len()).iter_rows()}
    answer = await kpi.get("/v1/cohorts/repurchase", key=store, from_="2010-12-01", to="2011-09-30")
    items = answer.json()["items"]
    assert {i["cohort"]: (i["repurchased"], i["customers"]) for i in items if i["customers"]} == wanted
    placed: dict[str, int] = dict(orders.group_by("month").agg(pl.len()).iter_rows())
    new = {month: (n, placed[month]) for month, (_, n) in wanted.items()}
    assert await by_month(kpi, store, "new_customer_share") == new
    returning = ranked.filter(pl.col("n") > 0).group_by("month").agg(pl.len())
    assert await by_month(kpi, store, "returning_orders") == {m: (n, None) for m, n in returning.iter_rows()}
    buyers = ranked.group_by("month").agg(pl.col("customer").n_unique())
    assert await by_month(kpi, store, "buyers_paid") == {m: (n, None) for m, n in buyers.iter_rows()}


@needs(RETAIL)
async def test_the_first_days_of_invoices_are_what_polars_makes_of_them(kpi: KpiService) -> None:
    lines = rows_of(date(2010, 12, 12))
    await check_retail(await retail(kpi, "retail", lines), "retail", lines)


@needs(RETAIL)
@pytest.mark.soak
async def test_all_invoices_are_what_polars_makes_of_them(kpi: KpiService) -> None:
    lines = rows_of(date(2012, 1, 1))
    await check_retail(await retail(kpi, "whole-retail", lines), "whole-retail", lines)
