"""Cohorts, loyal customers, new products, experiments, the funnel by SKU, entered targets: over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kpi.conftest import KpiService
from tests.kpi.test_questions import order, view
from tests.kpi.test_service_figures import fact

MONDAY = datetime(2024, 7, 1, 2, tzinfo=UTC)


def bought(order_id: str, customer: str, at: datetime, **more: Any) -> list[Any]:
    """An order of this customer, placed and paid."""
    events = order(order_id, more.pop("visitor", None), more.pop("cents", 1_000), **more)
    return [event.model_copy(update={"customer_id": customer}) for event in events]


async def tell(kpi: KpiService, name: str, customer: str, at: datetime, **more: Any) -> None:
    await kpi.tell(*bought(name, customer, at, **more), at=at, prefix=name)


# cohorts


@pytest.fixture(scope="module")
async def cohorts(kpi: KpiService) -> KpiService:
    """In June: one came back on day 30, one a second later, one never; in July one at once."""
    june = datetime(2024, 6, 3, 2, tzinfo=UTC)
    for customer, times in {
        "c-1": [june, june + timedelta(days=30)],
        "c-2": [june, june + timedelta(days=30, seconds=1), june + timedelta(days=40)],
        "c-3": [june],
        "c-4": [MONDAY, MONDAY],
    }.items():
        for n, at in enumerate(times):
            await tell(kpi, f"{customer}-{n}", customer, at)
    await tell(kpi, "usd", "c-2", MONDAY, currency="USD")
    await kpi.catch_up()
    return kpi


async def test_a_cohort_counts_who_paid_again_within_30_days_of_the_first_payment(cohorts: KpiService) -> None:
    answer = (await cohorts.get("/v1/cohorts/repurchase", from_="2024-06-01", to="2024-07-31")).json()
    shown = [(c["cohort"], c["customers"], c["repurchased"], c["repurchase_30d"]) for c in answer["items"]]
    assert shown == [("2024-06", 3, 2, 0.666667), ("2024-07", 1, 1, 1.0)]


async def test_a_young_cohort_is_immature_and_shown_with_what_is_known(cohorts: KpiService) -> None:
    now = datetime.now(UTC)
    await tell(cohorts, "young", "c-young", now - timedelta(hours=1))
    await cohorts.catch_up()
    (cohort, *_) = (await cohorts.get("/v1/cohorts/repurchase")).json()["items"][-1:]
    assert (cohort["customers"], cohort["mature"]) == (1, False)


async def test_cohorts_by_the_day(cohorts: KpiService) -> None:
    answer = await cohorts.get("/v1/cohorts/repurchase", from_="2024-06-03", to="2024-06-03", grain="day")
    assert [c["customers"] for c in answer.json()["items"]] == [3]


async def test_customers_with_at_least_so_many_orders_are_listed_by_page(cohorts: KpiService) -> None:
    (item,) = (await cohorts.get("/v1/customers", min_orders=3)).json()["items"]
    assert item == {"customer_id": "c-2", "orders": 4, "paid_amount": 3_000, "currency": "CNY"}
    first = (await cohorts.get("/v1/customers", min_orders=2, limit=2)).json()
    second = (await cohorts.get("/v1/customers", min_orders=2, limit=2, cursor=first["next_cursor"])).json()
    assert [c["customer_id"] for c in (*first["items"], *second["items"])] == ["c-1", "c-2", "c-4"]
    assert (await cohorts.get("/v1/customers", min_orders=0)).status_code == 422


# new products


async def test_a_new_product_is_judged_by_its_first_three_days_against_its_categorys_threshold(kpi: KpiService) -> None:
    listed = {"kind": "goods", "title": "t", "price_cents": 1}
    for sku, category in (("N1", "dress"), ("N2", "shoes")):
        await kpi.tell(fact("sku.listed.v1", sku=sku, category=category, **listed), at=MONDAY, prefix=sku)
    target = {"dimension": {"category": "shoes"}, "metric": "new_product_interest", "value": 0.3, "owner": "li"}
    period = {"starts_on": "2024-07-01", "ends_on": "2099-07-01", "criterion": {"kind": "average"}}
    assert (await kpi.put("/v1/targets/shoes", {**target, **period})).status_code == 201
    visits = []
    for n in range(8):
        sku = "N1" if n < 4 else "N2"
        at = MONDAY + timedelta(hours=n)
        visits.append(view(f"n-{n}", f"n-{n}", at=at, sku=sku, page_kind="product"))
    cart = {"type": "cart.added", "sku": "N1", "visitor_id": "n-0"}
    favorite = {"type": "product.favorited", "sku": "N2", "visitor_id": "n-4"}
    too_late = {"type": "cart.added", "sku": "N2", "visitor_id": "n-5"}
    day_three, day_four = (MONDAY + timedelta(days=days) for days in (2, 3))
    visits += [
        {"id": "n-c", "time": day_three.isoformat(), **cart},
        {"id": "n-f", "time": day_three.isoformat(), **favorite},
    ]
    visits += [{"id": "n-l", "time": day_four.isoformat(), **too_late}]
    assert (await kpi.post("/v1/events", visits)).json()["accepted"] == 11
    await kpi.catch_up()
    items = (await kpi.get("/v1/new-products", from_="2024-07-01", to="2024-07-01")).json()["items"]
    shown = [
        (i["sku"], i["visitors"], i["interested"], i["interest"], i["threshold"], i["potential_hit"]) for i in items
    ]
    assert shown == [("N1", 4, 1, 0.25, 0.08, True), ("N2", 4, 1, 0.25, 0.3, False)]
    assert all(item["mature"] for item in items)


# experiments


async def test_an_experiment_compares_its_variants_by_the_first_one_seen(kpi: KpiService) -> None:
    """70 saw b and 56 of them bought, 80 saw a and 48 bought: Newcombe's own example."""
    experiment = {"variants": ["a", "b"], "metric": "conversion.order_uv", "starts_at": "2024-07-01T00:00:00+08:00"}
    assert (await kpi.put("/v1/experiments/x", experiment)).status_code == 201
    visits = []
    for variant, visitors, buyers in (("a", 80, 48), ("b", 70, 56)):
        for n in range(visitors):
            shown = {"id": "x", "variant": variant}
            visits.append(view(f"x-{variant}-{n}", f"x-{variant}-{n}", experiment=shown))
            if n < buyers:
                at = MONDAY + timedelta(minutes=5)
                await tell(kpi, f"x-{variant}-{n}", f"x-{variant}-{n}", at, visitor=f"x-{variant}-{n}")
    other = {"id": "x", "variant": "b"}
    visits.append(view("x-again", "x-a-0", at=MONDAY + timedelta(minutes=1), experiment=other))
    visits.append(view("x-bot", "x-bot", experiment=other, is_bot=True))
    before = MONDAY - timedelta(days=1)
    await tell(kpi, "x-before", "x-before", before, visitor="x-a-79")
    await kpi.post("/v1/events", visits[::-1])
    await kpi.catch_up()
    answer = (await kpi.get("/v1/experiments/x")).json()
    assert answer["variants"] == [
        {"variant": "a", "visitors": 80, "converted": 48, "rate": 0.6},
        {"variant": "b", "visitors": 70, "converted": 56, "rate": 0.8},
    ]
    assert answer["difference"] == 0.2
    assert [round(bound, 4) for bound in answer["interval"]] == [0.0524, 0.3339]
    assert answer["p_value"] == pytest.approx(0.00804, abs=2e-5)
    assert answer["split_p_value"] == pytest.approx(0.414216, abs=1e-5)
    assert (answer["mature"], answer["warnings"]) == (True, [])


async def test_an_experiment_that_nobody_saw_has_no_figures_and_is_immature(kpi: KpiService) -> None:
    starts = datetime.now(UTC).isoformat()
    await kpi.put("/v1/experiments/new", {"variants": ["a", "b"], "metric": "cart_rate", "starts_at": starts})
    answer = (await kpi.get("/v1/experiments/new")).json()
    assert [v["visitors"] for v in answer["variants"]] == [0, 0]
    assert (answer["difference"], answer["p_value"], answer["split_p_value"], answer["mature"]) == (
        None,
        None,
        None,
        False,
    )


async def test_an_experiment_on_carts_counts_carts_since_the_variant_was_seen(kpi: KpiService) -> None:
    experiment = {"variants": ["a", "b"], "metric": "cart_rate", "starts_at": "2024-07-01T00:00:00+08:00"}
    await kpi.put("/v1/experiments/carts", experiment)
    await kpi.post(
        "/v1/events",
        [
            view("k-1", "k-1", experiment={"id": "carts", "variant": "a"}),
            view("k-2", "k-2", experiment={"id": "carts", "variant": "a"}),
            {"id": "k-3", "type": "cart.added", "sku": "A1", "visitor_id": "k-1", "time": MONDAY.isoformat()},
            {
                "id": "k-4",
                "type": "cart.added",
                "sku": "A1",
                "visitor_id": "k-2",
                "time": (MONDAY - timedelta(hours=2)).isoformat(),
            },
        ],
    )
    await kpi.catch_up()
    answer = (await kpi.get("/v1/experiments/carts")).json()
    assert answer["variants"][0] == {"variant": "a", "visitors": 2, "converted": 1, "rate": 0.5}


async def test_a_lopsided_split_is_warned_of(kpi: KpiService) -> None:
    experiment = {"variants": ["a", "b"], "metric": "conversion.order_uv", "starts_at": "2024-07-01T00:00:00+08:00"}
    await kpi.put("/v1/experiments/skew", experiment)
    shown = {"id": "skew", "variant": "a"}
    await kpi.post("/v1/events", [view(f"s-{n}", f"s-{n}", experiment=shown) for n in range(20)])
    await kpi.catch_up()
    answer = (await kpi.get("/v1/experiments/skew")).json()
    assert answer["warnings"] == ["sample_ratio_mismatch"]


# the funnel by SKU


async def test_the_funnel_by_sku_counts_what_visitors_did_with_it(kpi: KpiService) -> None:
    at = datetime(2024, 9, 2, 2, tzinfo=UTC)
    page: dict[str, Any] = {"page_kind": "product", "at": at}
    await kpi.post(
        "/v1/events",
        [
            view("f-1", "f-1", sku="F1", **page),
            view("f-2", "f-2", sku="F1", **page),
            view("f-3", "f-2", sku="F2", **page),
            {"id": "f-4", "type": "cart.added", "sku": "F1", "visitor_id": "f-1", "time": at.isoformat()},
        ],
    )
    goods = [event.model_copy(update={"lines": _renamed("F1")}) for event in order("f", "f-1", 100)]
    await kpi.tell(*goods, at=at, prefix="f")
    await kpi.catch_up()
    answer = (await kpi.get("/v1/funnel", from_="2024-09-02", to="2024-09-02", by="sku")).json()
    groups = {g["dimensions"]["sku"]: [s["visitors"] for s in g["steps"]] for g in answer["groups"]}
    assert groups == {"F1": [2, 2, 1, 0, 1, 1], "F2": [1, 1, 0, 0, 0, 0]}


def _renamed(sku: str) -> Any:
    (line,) = order("x", None, 100)[0].lines  # type: ignore[attr-defined]
    return (line.model_copy(update={"sku": sku}),)


# targets


async def test_a_target_of_an_entered_measure_is_held_against_what_was_entered_last(kpi: KpiService) -> None:
    """Brand keyword searches of 10,000 a month, corrected once."""
    target = {"dimension": {}, "metric": "brand_searches", "value": 10_000, "owner": "li"}
    period = {"starts_on": "2024-07-01", "ends_on": "2024-08-31", "criterion": {"kind": "average"}}
    await kpi.put("/v1/targets/brand", {**target, **period})
    entry = {"metric": "brand_searches", "source": "baidu"}
    for month, value in (("2024-07", 9_000), ("2024-08", 12_000), ("2024-07", 11_000)):
        assert (await kpi.post("/v1/measures", [{**entry, "month": month, "value": value}])).status_code == 201
        await kpi.catch_up()
    answer = (await kpi.get("/v1/achievement", from_="2024-07-01", to="2024-08-31")).json()
    (item,) = [item for item in answer["items"] if item["target_id"] == "brand"]
    assert (item["actual"], item["achievement"], item["met"]) == (11_500, 1.15, True)


async def test_a_daily_measure_meets_a_streak(kpi: KpiService) -> None:
    target = {"dimension": {}, "metric": "live_minutes", "value": 60, "owner": "li"}
    period = {"starts_on": "2024-07-01", "ends_on": "2024-07-31", "criterion": {"kind": "days_in_a_row", "n": 3}}
    await kpi.put("/v1/targets/live", {**target, **period})
    entries = [
        {"metric": "live_minutes", "source": "li", "day": f"2024-07-0{day}", "value": value}
        for day, value in ((1, 70), (2, 59.5), (3, 60), (4, 61), (5, 90))
    ]
    await kpi.post("/v1/measures", entries)
    await kpi.catch_up()
    answer = (await kpi.get("/v1/achievement", from_="2024-07-01", to="2024-07-31")).json()
    (item,) = [item for item in answer["items"] if item["target_id"] == "live"]
    assert (item["met"], item["streak"]) == (True, 3)


async def test_a_campaign_clears_a_share_of_the_stock_that_there_was_at_its_start(kpi: KpiService) -> None:
    """100 units of A001 at its start, 30 paid while it lasts, one before and one after."""
    start = datetime(2024, 10, 1, 2, tzinfo=UTC)
    nothing = dict.fromkeys(("held", "allocated", "locked", "short", "returning", "damaged", "safety"), 0)
    for n, (at, on_hand) in enumerate(
        ((start - timedelta(days=2), 500), (start - timedelta(hours=1), 100), (start, 70))
    ):
        level = {"sku": "C001", "version": n + 1, "on_hand": on_hand, "available": on_hand, "warehouses": []}
        event = fact("stock.level.v1", **level, safety_hidden=0, **nothing)
        await kpi.tell(event, at=at, prefix=f"c-level-{n}")
    campaign = {
        "theme": "清仓",
        "starts_at": (start - timedelta(minutes=1)).isoformat(),
        "ends_at": (start + timedelta(days=2)).isoformat(),
        "skus": [{"sku": "C001"}],
        "offer": "",
        "budget_cents": 0,
        "channels": [],
        "owner": "li",
        "goals": {"stock_cleared": 0.3},
    }
    assert (await kpi.put("/v1/campaigns/clear", campaign)).status_code == 201
    for n, (at, units) in enumerate(((start - timedelta(days=1), 1), (start, 30), (start + timedelta(days=3), 1))):
        (line,) = _renamed("C001")
        lines = (line.model_copy(update={"quantity": units}),)
        events = [event.model_copy(update={"lines": lines}) for event in order(f"clear-{n}", None, 100)]
        await kpi.tell(*events, at=at, prefix=f"clear-{n}")
    await kpi.catch_up()
    shown = (await kpi.get("/v1/campaigns/clear")).json()["stock"]
    assert shown == {"units_sold": 30, "units_at_start": 100, "stock_cleared": 0.3}
    answer = await kpi.get("/v1/kpis/stock_cleared", from_="2024-10-01", to="2024-10-01", by="campaign")
    (point,) = answer.json()["series"]
    assert (point["dimensions"], point["value"]) == ({"campaign": "clear"}, 0.3)


# machines


async def test_a_visitor_with_over_10_000_events_a_day_is_a_bot_and_is_left_out_whole(kpi: KpiService) -> None:
    at = datetime(2024, 11, 4, 2, tzinfo=UTC)
    day = {"from_": "2024-11-04", "to": "2024-11-04"}
    person = [view("m-person", "person", at=at)]
    flood = [view(f"m-{n}", "machine", at=at + timedelta(seconds=n)) for n in range(10_001)]
    await kpi.post("/v1/events", [*person, *flood[:999]])
    await kpi.catch_up()
    assert await _values(kpi, "uv", **day) == (2, {"bots": 0, "staff": 0})
    for start in range(999, len(flood) - 1, 1_000):
        await kpi.post("/v1/events", flood[start : min(start + 1_000, len(flood) - 1)])
    await kpi.catch_up()
    assert await _values(kpi, "pv", **day) == (10_001, {"bots": 0, "staff": 0})
    await kpi.post("/v1/events", [flood[-1], flood[0]])
    await kpi.catch_up()
    assert await _values(kpi, "pv", **day) == (1, {"bots": 10_001, "staff": 0})
    assert await _values(kpi, "sessions", **day) == (1, {"bots": 10_001, "staff": 0})
    funnel = (await kpi.get("/v1/funnel", **day)).json()
    assert funnel["steps"][0]["visitors"] == 1


async def _values(kpi: KpiService, figure: str, **params: Any) -> tuple[int, dict[str, int]]:
    answer = (await kpi.get(f"/v1/kpis/{figure}", **params)).json()
    return answer["series"][0]["value"], answer["excluded"]
