"""Ads, costs, profit, logistics and stock in figures, over HTTP (KPI-6, KPI-10, KPI-11, INV-12)."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import xlsxwriter

from tests.kpi.conftest import KpiService
from tests.kpi.test_questions import order, view
from tests.kpi.test_service_figures import fact, one

MONDAY = datetime(2024, 7, 1, 2, tzinfo=UTC)
DAY = {"from_": "2024-07-01", "to": "2024-07-01"}


def spent(channel: str, clicks: int, cents: int, **more: Any) -> dict[str, Any]:
    ad = {"channel": channel, "day": "2024-07-01", "impressions": clicks * 20, "clicks": clicks, "spend_cents": cents}
    return {"currency": "CNY", **ad, **more}


async def split(kpi: KpiService, figure: str, by: str, **params: Any) -> dict[str, Any]:
    answer = await kpi.get(f"/v1/kpis/{figure}", **{**DAY, **params}, by=by)
    assert answer.status_code == 200, answer.text
    return {point["dimensions"][by]: point["value"] for point in answer.json()["series"]}


@pytest.fixture(scope="module")
async def shop(kpi: KpiService) -> KpiService:
    """Spend on two channels, one of them without orders; orders of a channel with spend, of one without, and of none.

    The first order came by a paid ad three days before and by a direct visit since.
    """
    ago = MONDAY - timedelta(days=3)
    await kpi.post(
        "/v1/events",
        [
            view("a-1", "v-1", channel="paid", at=ago, campaign="summer", sku="A001", page_kind="product"),
            view("a-2", "v-1", channel="direct", at=MONDAY - timedelta(hours=2)),
            view("a-3", "v-2", channel="natural_search", at=MONDAY - timedelta(hours=1)),
        ],
    )
    await kpi.tell(*order("1", "v-1", 30_000), *order("2", "v-2", 9_900), *order("3", None, 100), at=MONDAY, prefix="o")
    late = {"reported_at": "2024-07-03T09:00:00+08:00"}
    early = {"reported_at": "2024-07-02T09:00:00+08:00"}
    assert (await kpi.post("/v1/ad-spend", [spent("paid", 50, 10_000, campaign="summer", **late)])).status_code == 201
    await kpi.post("/v1/ad-spend", [spent("paid", 1, 99_999, campaign="summer", **early), spent("social", 10, 2_000)])
    costs = {"day": "2024-07-01", "currency": "CNY"}
    await kpi.post(
        "/v1/costs",
        [
            {"category": "platform_fee", "amount_cents": 500, **costs},
            {"category": "staff", "amount_cents": 3_100, "month": "2024-07", "currency": "CNY"},
        ],
    )
    shipped = fact(
        "shipment.created.v1",
        order_id="1",
        shipment_id="s-1",
        carrier="sf",
        tracking_number="1",
        lines=[{"sku": "A001", "quantity": 1}],
        freight_cents=800,
    )
    await kpi.tell(shipped, at=MONDAY + timedelta(hours=1), prefix="ship")
    delivered = fact("order.delivered.v1", order_id="1", shipment_id="s-1")
    await kpi.tell(delivered, at=MONDAY + timedelta(hours=3), prefix="there")
    await kpi.tell(fact("order.delivered.v1", order_id="2", shipment_id="s-2"), at=MONDAY, prefix="there-2")
    wrong = {"complaint_id": "q", "customer_id": "c", "order_id": "2", "kind": "wrong_goods"}
    await kpi.tell(fact("complaint.filed.v1", **wrong), at=MONDAY + timedelta(days=2), prefix="wrong")
    reviews = [fact("order.reviewed.v1", order_id=n, decision="approved", reasons=[], by="li") for n in ("1", "2")]
    await kpi.tell(reviews[0], at=MONDAY + timedelta(minutes=30), prefix="review-1")
    await kpi.tell(reviews[1], at=MONDAY + timedelta(minutes=31), prefix="review-2")
    await _stock(kpi)
    await kpi.catch_up()
    return kpi


async def _stock(kpi: KpiService) -> None:
    listed = {"sku": "A001", "kind": "goods", "title": "t", "category": "dress", "price_cents": 1, "cost_cents": 50}
    await kpi.tell(fact("sku.listed.v1", **listed), at=MONDAY - timedelta(days=9), prefix="sku")
    for n, (at, on_hand) in enumerate(((MONDAY - timedelta(days=8), 100), (MONDAY + timedelta(hours=1), 98))):
        nothing = dict.fromkeys(
            ("held", "allocated", "locked", "short", "returning", "damaged", "safety", "safety_hidden"), 0
        )
        level = {"sku": "A001", "version": n + 1, "on_hand": on_hand, "available": on_hand, "warehouses": [], **nothing}
        await kpi.tell(fact("stock.level.v1", **level), at=at, prefix=f"level-{n}")
    counted = {"count_id": "n", "warehouse": "main", "as_of": MONDAY.isoformat(), "source": "erp", "item_count": 20}
    difference = {"sku": "A001", "expected": 2, "counted": 1, "difference": -1, "status": "applied"}
    await kpi.tell(fact("stock.counted.v1", **counted, differences=[difference]), at=MONDAY, prefix="count")


async def test_the_latest_report_replaces_whatever_order_they_come_in(shop: KpiService) -> None:
    assert await split(shop, "ad_spend", "channel") == {"paid": 10_000, "social": 2_000}
    assert (await one(shop, "ctr"))["value"] == 0.05
    assert (await one(shop, "cpc"))["value"] == 200


async def test_an_order_belongs_to_the_last_touch_that_is_not_direct(shop: KpiService) -> None:
    assert await split(shop, "attributed_orders", "channel") == {"natural_search": 1, "paid": 1, "direct": 1}
    assert await split(shop, "attributed_orders", "campaign") == {"summer": 1}


async def test_without_a_split_only_orders_of_channels_with_spend_are_attributed(shop: KpiService) -> None:
    assert (await one(shop, "attributed_orders"))["value"] == 1
    roas = await one(shop, "roas")
    assert (roas["numerator"], roas["denominator"], roas["value"]) == (30_000, 12_000, 2.5)
    assert (await one(shop, "cvr"))["value"] == round(1 / 60, 6)
    assert (await one(shop, "cpa"))["value"] == 12_000
    assert await split(shop, "roas", "sku") == {"A001": None}


async def test_return_on_spend_by_channel_and_campaign(shop: KpiService) -> None:
    assert await split(shop, "roas", "channel") == {"natural_search": None, "paid": 3.0, "social": 0.0, "direct": None}
    assert await split(shop, "roas", "campaign") == {"summer": 3.0}


async def test_profit_takes_off_every_known_cost_and_says_how_much_is_known(shop: KpiService) -> None:
    """Sales 40,000, goods 20,000, ads 12,000, freight 800, fees 500, a 31st of the month's staff: 100."""
    profit = await one(shop, "operating_profit")
    assert (profit["value"], profit["covered"]) == (40_000 - 20_000 - 12_000 - 800 - 500 - 100, 1.0)
    assert (await one(shop, "net_margin"))["value"] == round(6_600 / 40_000, 6)


async def test_profit_by_the_hour_is_refused(shop: KpiService) -> None:
    answer = await shop.get("/v1/kpis/operating_profit", **DAY, grain="hour")
    assert answer.status_code == 422


async def test_logistics(shop: KpiService) -> None:
    assert (await one(shop, "delivery_time_avg"))["numerator"] == 7_200
    accuracy = await one(shop, "delivery_accuracy")
    assert (accuracy["numerator"], accuracy["denominator"]) == (1, 2)
    assert (await one(shop, "logistics_cost_per_order"))["value"] == 800
    assert await split(shop, "freight_amount", "sku") == {"A001": 800}


async def test_an_order_reviewed_after_30_minutes_is_on_time_and_a_minute_later_is_not(shop: KpiService) -> None:
    assert (await one(shop, "review_on_time"))["value"] == 0.5


async def test_stock_accuracy_is_the_share_of_lines_without_a_difference(shop: KpiService) -> None:
    assert (await one(shop, "stock_accuracy"))["value"] == 0.95


async def test_stock_turnover_is_the_cost_of_goods_sold_over_the_average_stock_value(shop: KpiService) -> None:
    """100 units at 50 until Sunday, 98 at the end of Monday."""
    monday = await one(shop, "stock_turnover")
    assert (monday["numerator"], monday["denominator"]) == (20_000, 4_900)
    week = await one(shop, "stock_value", from_="2024-06-29", to="2024-06-29")
    assert week["value"] == 5_000
    assert await split(shop, "stock_value", "sku") == {"A001": 4_900}


async def test_what_is_worked_out_when_asked_has_no_past(shop: KpiService) -> None:
    answer = await shop.get("/v1/kpis/stock_turnover", **DAY, as_of="2024-07-02T00:00:00+08:00")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/as_of")


CHINESE = (
    "渠道,来源,日期,展现量,点击量,花费,币种\n付费推广,抖音,2024-08-01,1000,50,300.50,CNY\n社交,,2024-08-02,10,1,2,CNY\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
async def test_spend_comes_with_chinese_headers_in_yuan(shop: KpiService, encoding: str) -> None:
    answer = await shop.post("/v1/ad-spend", content=CHINESE.encode(encoding), content_type="text/csv")
    assert (answer.status_code, answer.json()) == (201, {"accepted": 2})
    await shop.catch_up()
    assert await split(shop, "ad_spend", "channel", to="2024-08-02", from_="2024-08-01") == {"paid": 0, "social": 200}
    assert await split(shop, "ad_spend", "source", from_="2024-08-01", to="2024-08-01") == {"抖音": 30_050}


async def test_a_workbook_with_chinese_headers_is_taken_as_a_form_too(shop: KpiService) -> None:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["渠道", "日期", "展现量", "点击量", "花费", "币种"])
        sheet.write_row(1, 0, ["paid"])
        sheet.write_datetime(1, 1, datetime(2024, 8, 5))  # noqa: DTZ001  # a workbook's dates have no zone
        sheet.write_row(1, 2, [100, 5, 12.34, "CNY"])
    files = {"file": ("spend.xlsx", buffer.getvalue())}
    headers = {"authorization": f"Bearer {shop.keys['demo']}"}
    answer = await shop.client.post("/v1/ad-spend", files=files, headers=headers)
    assert answer.status_code == 201, answer.text
    await shop.catch_up()
    assert (await one(shop, "ad_spend", from_="2024-08-05", to="2024-08-05"))["value"] == 1_234


async def test_a_wrong_amount_is_refused_with_its_place(shop: KpiService) -> None:
    table = CHINESE.replace("300.50", "300.505")
    answer = await shop.post("/v1/ad-spend", content=table.encode(), content_type="text/csv")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/0/spend_cents")
