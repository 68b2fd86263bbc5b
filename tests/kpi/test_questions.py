"""Figures over HTTP, from events on the bus to the answer, on real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.events.contracts import OrderPaid, OrderPlaced
from libs.events.contracts.base import Event
from tests.kpi.conftest import KpiService

MONDAY = datetime(2024, 7, 1, 2, tzinfo=UTC)
"""10:00 in Shanghai."""


def view(event_id: str, visitor: str, *, channel: str = "paid", at: datetime = MONDAY, **more: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "type": "page.viewed",
        "time": at.isoformat(),
        "visitor_id": visitor,
        "channel": channel,
        "url_path": "/",
        "page_kind": "home",
        **more,
    }


def order(order_id: str, visitor: str | None, cents: int, *, currency: str = "CNY") -> list[Event]:
    common = {"order_id": order_id, "customer_id": f"c-{order_id}", "currency": currency, "visitor_id": visitor}
    lines = [{"sku": "A001", "quantity": 1, "unit_price_cents": cents, "cost_cents": cents // 2}]
    placed: dict[str, Any] = {
        "origin": "storefront",
        "lines": lines,
        "shipping_cents": 0,
        "discount_cents": 0,
        "total_cents": cents,
    }
    placed["placed_at"] = MONDAY.isoformat()
    paid = {
        "payment_id": f"p-{order_id}",
        "method": "alipay",
        "amount_cents": cents,
        "total_cents": cents,
        "lines": lines,
        "ship_due_at": (MONDAY + timedelta(hours=48)).isoformat(),
        "is_first_order": True,
    }
    return [OrderPlaced.model_validate({**common, **placed}), OrderPaid.model_validate({**common, **paid})]


@pytest.fixture(scope="module")
async def shop(kpi: KpiService) -> KpiService:
    """Five visitors on Monday, two of them again on Tuesday; two orders, one in dollars; a bot and one of the staff."""
    tuesday = MONDAY + timedelta(days=1)
    await kpi.post(
        "/v1/events",
        [
            view("q-1", "v-1"),
            view("q-2", "v-1", at=MONDAY + timedelta(minutes=1)),
            view("q-3", "v-2", channel="social"),
            view("q-4", "v-3", channel="social", source="douyin"),
            view("q-5", "v-4", channel="direct"),
            view("q-6", "v-5", sku="A001", page_kind="product", device="phone"),
            view("q-7", "v-1", at=tuesday),
            view("q-8", "v-2", at=tuesday),
            view("q-9", "bot", is_bot=True),
            view("q-10", "li", is_staff=True),
            view("q-11", "v-9", at=datetime.now(UTC) + timedelta(days=2)),
        ],
    )
    await kpi.tell(*order("o-1", "v-1", 15_600), at=MONDAY + timedelta(minutes=5), prefix="o-1")
    await kpi.tell(*order("o-2", "v-2", 9_900, currency="USD"), at=MONDAY + timedelta(hours=1), prefix="o-2")
    await kpi.catch_up()
    return kpi


async def points(shop: KpiService, figure: str, **params: Any) -> list[dict[str, Any]]:
    answer = await shop.get(f"/v1/kpis/{figure}", **{"from_": "2024-07-01", "to": "2024-07-02", **params})
    assert answer.status_code == 200, answer.text
    series: list[dict[str, Any]] = answer.json()["series"]
    return series


async def test_the_whole_answer_has_the_shape_of_the_wire(shop: KpiService) -> None:
    answer = (await shop.get("/v1/kpis/conversion.order_uv", from_="2024-07-01", to="2024-07-01", by="channel")).json()
    completeness = answer.pop("completeness")
    assert answer == {
        "id": "conversion.order_uv",
        "version": 1,
        "unit": "ratio",
        "store": "demo",
        "timezone": "Asia/Shanghai",
        "grain": "day",
        "by": ["channel"],
        "from": "2024-07-01",
        "to": "2024-07-01",
        "as_of": None,
        "excluded": {"bots": 1, "staff": 1},
        "series": [
            {
                "bucket": "2024-07-01",
                "start": "2024-07-01T00:00:00+08:00",
                "end": "2024-07-02T00:00:00+08:00",
                "dimensions": {"channel": channel},
                "numerator": orders,
                "denominator": visitors,
                "value": value,
                "complete": True,
                "mature": True,
            }
            for channel, orders, visitors, value in (
                ("paid", 1, 2, 0.5),
                ("social", 1, 2, 0.5),
                ("direct", 0, 1, 0.0),
            )
        ],
    }
    assert completeness["complete"] is True
    assert [topic["topic"] for topic in completeness["topics"]] == ["orders", "traffic"]
    traffic = completeness["topics"][1]
    assert (traffic["lag_events"], traffic["quarantined"], traffic["quarantined_cents"]) == (0, 1, 0)
    assert traffic["watermark"].endswith("+08:00")
    assert traffic["lag_seconds"] >= 0


async def test_weekly_visitors_are_counted_once(shop: KpiService) -> None:
    assert [point["value"] for point in await points(shop, "uv")] == [5, 2]
    (week,) = await points(shop, "uv", grain="week")
    assert (week["bucket"], week["value"], week["start"]) == ("2024-W27", 5, "2024-07-01T00:00:00+08:00")
    (month,) = await points(shop, "uv", grain="month")
    assert (month["bucket"], month["value"]) == ("2024-07", 5)


async def test_every_hour_of_the_days_is_listed(shop: KpiService) -> None:
    hours = await points(shop, "pv", grain="hour")
    assert len(hours) == 48
    assert {hour["bucket"]: hour["value"] for hour in hours if hour["value"]} == {
        "2024-07-01T10": 6,
        "2024-07-02T10": 2,
    }


async def test_sales_are_of_one_currency_and_the_others_are_named(shop: KpiService) -> None:
    answer = (await shop.get("/v1/kpis/paid_amount", from_="2024-07-01", to="2024-07-01")).json()
    assert (answer["currency"], answer["other_currencies"]) == ("CNY", ["USD"])
    assert answer["series"][0]["value"] == 15_600
    dollars = (await shop.get("/v1/kpis/paid_amount", from_="2024-07-01", to="2024-07-01", currency="USD")).json()
    assert dollars["series"][0]["value"] == 9_900


async def test_a_margin_says_what_it_covers(shop: KpiService) -> None:
    (monday, _) = await points(shop, "gross_margin")
    assert (monday["value"], monday["covered"]) == (0.5, 1.0)


async def test_shares_of_channels_come_by_channel_unasked(shop: KpiService) -> None:
    shares = await points(shop, "channel_share", to="2024-07-01")
    assert {point["dimensions"]["channel"]: point["value"] for point in shares} == {
        "paid": 0.4,
        "social": 0.4,
        "direct": 0.2,
    }


async def test_two_dimensions_at_once(shop: KpiService) -> None:
    (douyin,) = await points(shop, "uv", to="2024-07-01", by="source,channel")
    assert douyin["dimensions"] == {"source": "douyin", "channel": "social"}


@pytest.mark.parametrize(
    ("figure", "params", "status", "pointer"),
    [
        ("nonsense", {}, 404, None),
        ("uv", {"version": "9"}, 404, None),
        ("uv", {"version": "x"}, 422, "/version"),
        ("uv", {"by": "colour"}, 422, "/by"),
        ("uv", {"by": "sku", "grain": "hour"}, 422, "/by"),
        ("uv", {"by": "sku,device"}, 422, "/by"),
        ("uv", {"grain": "year"}, 422, "/grain"),
        ("uv", {"from_": "2024-07-03"}, 422, "/from"),
        ("uv", {"from_": "2024-02-30"}, 422, "/from"),
        ("uv", {"from_": "20240701"}, 422, "/from"),
        ("uv", {"to": "0000-01-01"}, 422, "/to"),
        ("uv", {"currency": "yuan"}, 422, "/currency"),
        ("uv", {"as_of": "2024-07-01T10:00:00"}, 422, "/as_of"),
        ("uv", {"as_of": "2999-07-01T10:00:00Z"}, 422, "/as_of"),
    ],
)
async def test_a_question_that_has_no_answer_says_why(
    shop: KpiService, figure: str, params: dict[str, str], status: int, pointer: str | None
) -> None:
    answer = await shop.get(f"/v1/kpis/{figure}", **{"from_": "2024-07-01", "to": "2024-07-02", **params})
    assert answer.status_code == status, answer.text
    if pointer is not None:
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_too_many_points_are_refused_before_they_are_listed(shop: KpiService) -> None:
    answer = await shop.get("/v1/kpis/uv", from_="2001-01-01", to="2024-07-01", grain="hour")
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_points")


async def test_buckets_that_have_not_begun_are_not_listed(shop: KpiService) -> None:
    answer = (await shop.get("/v1/kpis/uv", from_="2900-01-01", to="2900-01-02")).json()
    assert answer["series"] == []
    today = (await shop.get("/v1/kpis/uv")).json()["series"]
    assert len(today) == 1
    assert today[0]["complete"] is False


async def test_as_of_before_anything_was_known_is_empty_and_of_now_is_now(shop: KpiService) -> None:
    params: dict[str, Any] = {"from_": "2024-07-01", "to": "2024-07-01", "as_of": "2024-07-05T00:00:00Z"}
    before = (await shop.get("/v1/kpis/uv", **params)).json()
    assert (before["series"][0]["value"], before["series"][0]["complete"]) == (0, False)
    assert before["as_of"] == "2024-07-05T08:00:00+08:00"
    assert (await shop.get("/v1/kpis/uv", **params)).json() == before


async def test_another_store_sees_nothing_of_it(shop: KpiService) -> None:
    answer = (await shop.get("/v1/kpis/uv", key="other", from_="2024-07-01", to="2024-07-01")).json()
    assert (answer["store"], answer["series"][0]["value"]) == ("other", 0)
    assert (await shop.get("/v1/kpis/uv", store="other")).status_code == 403
    as_operator = await shop.get("/v1/kpis/uv", key="operator", store="other", from_="2024-07-01", to="2024-07-01")
    assert as_operator.json()["store"] == "other"


async def test_questions_need_the_right_to_read(shop: KpiService) -> None:
    for path in ("/v1/kpis", "/v1/kpis/uv", "/v1/completeness", "/v1/corrections", "/v1/achievement"):
        assert (await shop.get(path, key="traffic")).status_code == 403
        assert (await shop.get(path, key="reader")).status_code == 200


async def test_the_catalogue_is_listed_in_pages(shop: KpiService) -> None:
    first = (await shop.get("/v1/kpis", limit=10)).json()
    assert len(first["items"]) == 10
    rest = (await shop.get("/v1/kpis", limit=500, cursor=first["next_cursor"])).json()
    ids = [entry["id"] for entry in (*first["items"], *rest["items"])]
    assert ids == sorted(set(ids))
    assert {"uv", "gmv", "conversion.order_uv"} <= set(ids)


async def test_completeness_names_every_topic(shop: KpiService) -> None:
    answer = (await shop.get("/v1/completeness")).json()
    assert {"orders", "traffic"} <= {topic["topic"] for topic in answer["topics"]}
    assert all(topic["lag_events"] == 0 for topic in answer["topics"])
    assert answer["complete"] is True


async def test_an_event_that_comes_twice_counts_once(shop: KpiService) -> None:
    await shop.post("/v1/events", [view("q-1", "v-1"), view("q-1", "v-1")])
    await shop.catch_up()
    assert (await points(shop, "pv"))[0]["value"] == 6


async def test_the_funnel_counts_visitors_once_in_each_step_they_did(shop: KpiService) -> None:
    answer = (await shop.get("/v1/funnel", from_="2024-07-01", to="2024-07-02")).json()
    assert [(step["step"], step["visitors"], step["rate"]) for step in answer["steps"]] == [
        ("visit", 5, 1.0),
        ("product", 1, 0.2),
        ("cart", 0, 0.0),
        ("checkout", 0, 0.0),
        ("order", 2, 0.4),
        ("paid", 2, 0.4),
    ]
    assert answer["completeness"]["complete"] is True


async def test_the_funnel_by_channel_is_of_the_first_touch(shop: KpiService) -> None:
    answer = (await shop.get("/v1/funnel", from_="2024-07-01", to="2024-07-02", by="channel")).json()
    visits = {group["dimensions"]["channel"]: group["steps"][0]["visitors"] for group in answer["groups"]}
    assert visits == {"direct": 1, "paid": 2, "social": 2}


async def test_an_empty_funnel_has_no_rates(shop: KpiService) -> None:
    answer = (await shop.get("/v1/funnel", from_="2024-01-01", to="2024-01-01")).json()
    assert [step["rate"] for step in answer["steps"]] == [None] * 6


async def test_a_funnel_by_something_visitors_do_not_have_is_refused(shop: KpiService) -> None:
    answer = await shop.get("/v1/funnel", from_="2024-07-01", to="2024-07-02", by="category")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/by")
    assert (await shop.get("/v1/funnel", from_="2024-01-01", to="2024-07-01")).status_code == 422
