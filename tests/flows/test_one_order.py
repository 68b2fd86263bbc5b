"""One order from the storefront's door to the daily report: every service says the same of it."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import PRICE, Json, Storefront, good, order_body, until

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = (datetime.now(SHANGHAI) - timedelta(days=3)).date()


def at(hour: int, minute: int = 0) -> datetime:
    """A moment of that day in the store's time."""
    return datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=SHANGHAI)


def viewed(name: str, visitor: str, when: datetime, channel: str, path: str = "/") -> Json:
    return {
        "id": name, "type": "page.viewed", "time": when.isoformat(), "visitor_id": visitor, "channel": channel,
        "url_path": path, "page_kind": "home" if path == "/" else "product", **({"sku": "D-1"} if path != "/" else {}),
    }  # fmt: skip


async def test_place_pay_ship_deliver_and_the_report_of_that_day_says_so(platform: Platform) -> None:
    shop = Storefront(platform, import_id="three-days-ago")
    await shop.open_import()
    await shop.stock(10, "D-1")
    await shop.visit(
        viewed("e-1", "v-1", at(9), "natural_search"),
        viewed("e-2", "v-1", at(9, 5), "natural_search", "/p/D-1"),
        viewed("e-3", "v-2", at(10), "natural_search"),
        viewed("e-4", "v-3", at(11), "paid"),
        viewed("e-5", "v-4", at(11), "direct"),
    )
    bought = good(
        await shop.place(
            "o-day", ("D-1", 2), visitor_id="v-1", shipping_cents=500, placed_at=at(9, 10).isoformat()
        )
    )  # fmt: skip
    assert (bought["status"], bought["total_cents"]) == ("placed", 2 * PRICE + 500)
    paid = await shop.pay("o-day", at(9, 12))
    assert paid["order"]["status"] == "paid"
    parcel = await shop.ship("o-day", at(15))
    assert (await shop.level("D-1"))["allocated"] in (2, 0), "the parcel takes them as soon as inventory hears of it"
    assert (await shop.deliver(parcel["shipment_id"], at(23)))["order"]["status"] == "delivered"
    await shop.end_import()

    report = await until(lambda: shop.report(DAY.isoformat()), 60)
    assert report["complete"]
    (row,) = report["rows"]
    expected = {"uv": 4, "pv": 5, "orders": 1, "conversion": 0.25, "aov_cents": 2 * PRICE + 500}
    assert {name: row[name] for name in expected} == expected
    assert row["main_source"] == "natural_search"
    said = {f["kpi"]: f["value"] for section in report["sections"] for f in section["figures"]}
    assert said == {kpi: await figure_of(shop, kpi) for kpi in said}
    assert (said["gmv"], said["units_paid"]) == (2 * PRICE + 500, 2)
    assert await figure_of(shop, "orders_delivered") == 1
    assert await figure_of(shop, "delivery_seconds") == 8 * 3600
    by_channel = await shop.figures("orders_placed", DAY.isoformat(), by="channel")
    assert {p["dimensions"]["channel"]: p["numerator"] for p in by_channel}["natural_search"] == 1
    assert all(point["complete"] for point in by_channel)
    await assert_every_shape_says(platform, row)
    level = await shop.level("D-1")
    assert (level["on_hand"], level["available"], level["allocated"]) == (8, 8, 0)
    await verified(platform)


async def figure_of(shop: Storefront, kpi: str) -> Any:
    """The KPI API's answer, which comes as soon as everything of the day is in."""
    return await shop.figure(kpi, DAY.isoformat())


async def assert_every_shape_says(platform: Platform, row: Json) -> None:
    client = platform.client("reporting")
    answer = await client.get(f"/v1/reports/daily/{DAY}.csv", params={"store": "demo", "lang": "en"})
    assert answer.status_code == 200
    lines = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert any(cells[:4] == [row["date"], "4", "5", "1"] and "25.00%" in cells for cells in lines), lines
    for extension in ("html", "xlsx"):
        answer = await client.get(f"/v1/reports/daily/{DAY}.{extension}", params={"store": "demo"})
        assert answer.status_code == 200
        assert answer.content


async def test_an_order_from_the_future_is_refused_and_traffic_from_it_is_counted_apart(shop: Storefront) -> None:
    tomorrow = (datetime.now(SHANGHAI) + timedelta(days=1)).isoformat()
    await shop.stock(5, "D-2")
    refused = await shop.place("o-future", ("D-2", 1), placed_at=tomorrow)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/placed_at"
    assert (await shop.level("D-2"))["held"] == 0
    before = await quarantined(shop)
    await shop.visit(viewed("e-future", "v-future", datetime.now(SHANGHAI) + timedelta(hours=1), "paid"))

    async def counted() -> bool:
        return await quarantined(shop) == before + 1

    await until(counted)


async def quarantined(shop: Storefront) -> int:
    topics = (await shop.get("kpi", "/v1/completeness"))["topics"]
    return int(next(topic["quarantined"] for topic in topics if topic["topic"] == "traffic"))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"lines": [{"sku": "NOBODY-KNOWS", "quantity": 1, "unit_price_cents": 1}]}, "/lines/0/sku"),
        ({"lines": [{"sku": "D-3", "quantity": -1, "unit_price_cents": 1}]}, "/lines/0/quantity"),
        ({"total_cents": 1}, "/total_cents"),
        ({"currency": "EUR"}, "/currency"),
        ({"surprise": 1}, "/surprise"),
    ],
)
async def test_a_bad_order_is_told_where_and_leaves_nothing(shop: Storefront, change: Json, pointer: str) -> None:
    await shop.stock(5, "D-3")
    body = {**order_body("o-bad", ("D-3", 1)), **change}
    refused = await shop.call("POST", "orders", "/v1/orders", body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert (await shop.call("GET", "orders", "/v1/orders/o-bad")).status_code == 404
    assert (await shop.level("D-3"))["held"] == 0
