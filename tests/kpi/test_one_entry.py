"""The catalogue proves itself: one entry is a figure, with its API, checks, currency and docs."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from docs import pages
from services.kpi import kpis
from services.kpi.kpis import Kpi, Sum, Unit, find_kpi
from tests.kpi.conftest import KpiService
from tests.kpi.test_questions import order, view

MONDAY = datetime(2024, 7, 1, 2, tzinfo=UTC)
DAY = {"from_": "2024-07-01", "to": "2024-07-01"}


@pytest.fixture(scope="module")
async def shop(kpi: KpiService) -> KpiService:
    await kpi.post("/v1/events", [view(f"v-{n}", f"v-{n}") for n in range(4)])
    await kpi.tell(*order("o", "v-1", 9_000), at=MONDAY)
    await kpi.catch_up()
    return kpi


async def test_a_new_figure_is_one_entry(shop: KpiService, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Kpi(
        "paid_per_visitor", "访客价值", "paid per visitor", Unit.CENTS, Sum.parse("paid_amount"), Sum.parse("uv")
    )
    assert (await shop.get("/v1/kpis/paid_per_visitor", **DAY)).status_code == 404
    monkeypatch.setattr(kpis, "KPIS", (*kpis.KPIS, entry))
    answer = (await shop.get("/v1/kpis/paid_per_visitor", **DAY, by="channel")).json()
    assert (answer["unit"], answer["currency"]) == ("cents", "CNY")
    assert [(p["dimensions"], p["value"]) for p in answer["series"]] == [({"channel": "paid"}, 2_250)]
    assert {topic["topic"] for topic in answer["completeness"]["topics"]} == {"orders", "traffic"}
    refused = await shop.get("/v1/kpis/paid_per_visitor", **DAY, by="device")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "not_kept")
    listed = (await shop.get("/v1/kpis", limit=500)).json()["items"]
    assert [k["formula"] for k in listed if k["id"] == "paid_per_visitor"] == ["paid_amount / uv"]
    target = {"dimension": {"channel": "paid"}, "metric": "paid_per_visitor", "value": 2_000, "owner": "li"}
    period = {"starts_on": "2024-07-01", "ends_on": "2024-07-01", "criterion": {"kind": "average"}}
    assert (await shop.put("/v1/targets/t", {**target, **period})).status_code == 201
    (item,) = (await shop.get("/v1/achievement", **DAY)).json()["items"]
    assert (item["actual"], item["met"]) == (2_250, True)


async def test_a_changed_formula_is_a_new_version_and_the_old_one_stays(
    shop: KpiService, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_kpi("aov")
    assert first is not None
    second = replace(first, version=2, since="2026-01-01", numerator=Sum.parse("items_amount"))
    monkeypatch.setattr(kpis, "KPIS", (*kpis.KPIS, second))
    assert (await shop.get("/v1/kpis/aov", **DAY)).json()["version"] == 2
    assert (await shop.get("/v1/kpis/aov", **DAY, version="1")).json()["version"] == 1
    assert (await shop.get("/v1/kpis/aov", **DAY, version="3")).status_code == 404
    assert (await shop.get("/v1/kpis/aov", **DAY, version="x")).status_code == 422


def test_every_figure_is_printed_in_the_reference() -> None:
    page = pages.kpis()
    for kpi in kpis.KPIS:
        assert f"`{kpi.id}`" in page


DEFINED = [
    "uv",
    "pv",
    "pv_per_uv",
    "channel_share",
    "conversion.order_uv",
    "conversion.buyer_uv",
    "conversion.session",
    "cart_rate",
    "payment_success",
    "payment_success.attempts",
    "bounce_rate",
    "aov",
    "aov.buyer",
    "aov.returning",
    "net_sales",
    "net_sales.refund_day",
    "gross_margin",
    "new_customer_share",
    "new_customer_share.amount",
    "repurchase_30d",
    "returning_share",
    "returning_share.365d",
    "returning_share.30d",
    "return_rate",
    "return_rate.return_day",
    "refund_rate",
    "refund_rate.refund_day",
    "dispute_rate",
    "complaint_rate",
    "csat",
    "csat.good",
    "first_response_avg",
    "first_response_p50",
    "first_response_p90",
    "sla_met",
    "resolution_rate",
    "ask_to_buy",
    "ctr",
    "cpc",
    "cvr",
    "cpa",
    "roas",
    "on_time_shipping",
    "delivery_time_avg",
    "delivery_accuracy",
    "logistics_cost_per_order",
    "stock_accuracy",
    "review_on_time",
    "operating_profit",
    "net_margin",
    "stock_turnover",
    "new_product_interest",
    "stock_cleared",
    "sessions",
    "bounces",
    "cart_adds",
    "cart_visitors",
    "favorites",
    "favorite_visitors",
    "fav_or_cart_visitors",
    "checkout_visitors",
    "orders_placed",
    "orders_paid",
    "buyers_paid",
    "units_paid",
    "gmv",
    "paid_amount",
    "items_amount",
    "cost_amount",
    "payments_tried",
    "payments_succeeded",
    "orders_cancelled",
    "refund_amount",
    "refunds",
    "returns_requested",
    "orders_returned",
    "disputes",
    "orders_shipped",
    "orders_shipped_on_time",
    "orders_due_to_ship",
    "orders_delivered",
    "delivery_seconds",
    "freight_amount",
    "first_orders",
    "conversations",
    "first_response_seconds",
    "first_responses",
    "first_responses_in_time",
    "resolved",
    "resolution_seconds",
    "resolved_in_time",
    "complaints",
    "ratings",
    "rating_sum",
    "ratings_good",
    "askers",
    "askers_who_paid",
    "impressions",
    "clicks",
    "ad_spend",
    "attributed_orders",
    "attributed_paid_amount",
    "complaints_in_time",
]


async def test_every_figure_that_is_defined_answers_over_http(shop: KpiService) -> None:
    for name in DEFINED:
        answer = await shop.get(f"/v1/kpis/{name}", **DAY)
        assert answer.status_code == 200, (name, answer.text)
        assert len(answer.json()["series"]) == 1, name
