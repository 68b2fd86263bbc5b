"""A conversion incident arrives with its checks made: before, now, lost orders, and what stays unexplained (ALR-13)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from libs.events.contracts import CompetitorSeen, PaymentFailed, ReviewPosted, SkuChanged, StockBackIn, StockSoldOut
from services.alerts import evidence
from services.alerts.app import build
from services.alerts.evidence import Case, Counts, Facts, MethodFacts, PartFacts, SkuFacts
from services.alerts.settings import AlertsSettings
from tests.alerts.catalogue import listed, measured, placed, target
from tests.alerts.stories import BEGAN, DAY, HOUR, MINUTE, Teller, told
from tests.support.desk import desk_of

CASE = Case(expected=40.0, actual=20)


def by_check(items: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {item["check"]: item for item in items}


def test_a_stock_out_explains_what_the_sku_would_have_sold_meanwhile() -> None:
    facts = Facts(minutes=60, skus=[SkuFacts("A1", "连衣裙", share=0.5, orders=8, out_minutes=30)])
    found = by_check(evidence.gather(CASE, facts))
    assert (found["stock"]["lost_orders"], found["stock"]["rank"]) == (10.0, 1)
    assert (found["unexplained"]["lost_orders"], found["unexplained"]["share"]) == (10.0, 0.5)
    assert set(found) == {*evidence.CHECKS, "unexplained"}


def test_what_a_stock_out_leaves_of_a_shortfall_is_shared_by_what_else_happened() -> None:
    sku = SkuFacts("A1", "", 0.5, orders=8, out_minutes=15, prices=((10_000, 12_000),), rivals=(("B店", 9_000),))
    found = by_check(evidence.gather(CASE, Facts(minutes=60, skus=[sku])))
    assert [found[name]["lost_orders"] for name in ("stock", "price", "competitor")] == [5.0, 3.5, 3.5]


def test_a_sku_that_sells_as_ever_explains_nothing() -> None:
    sku = SkuFacts("A1", "", 0.5, orders=20, out_minutes=30, prices=((10_000, 12_000),), complaints=2)
    found = by_check(evidence.gather(CASE, Facts(minutes=60, skus=[sku])))
    assert [found[name]["lost_orders"] for name in ("stock", "price", "reviews")] == [0.0, 0.0, 0.0]


def test_a_worse_mix_of_channels_is_told_from_worse_rates() -> None:
    mixed = [PartFacts("natural_search", 500, 25, 800, 40), PartFacts("social", 500, 5, 200, 2)]
    worse = [PartFacts("natural_search", 800, 20, 800, 40), PartFacts("social", 200, 1, 200, 2)]
    assert by_check(evidence.gather(CASE, Facts(60, channels=mixed)))["traffic"]["lost_orders"] == 12.0
    assert by_check(evidence.gather(CASE, Facts(60, channels=worse)))["traffic"]["lost_orders"] == 0.0


def test_of_channel_source_and_device_the_one_that_says_most_counts() -> None:
    channels = [PartFacts("paid", 1000, 30, 1000, 40)]
    devices = [PartFacts("mobile", 900, 18, 600, 12), PartFacts("desktop", 100, 2, 400, 28)]
    item = by_check(evidence.gather(CASE, Facts(60, channels=channels, devices=devices)))["traffic"]
    assert item["lost_orders"] == 15.0
    assert "device" in item["text"]["en"]
    assert set(item["after"]) == {"channel", "device"}


def test_checks_that_overlap_never_explain_more_than_was_lost() -> None:
    skus = [SkuFacts("A1", "", 0.5, orders=0, out_minutes=60)]
    methods = [MethodFacts("alipay", failed=21, tried=30, usual_failed=1, usual_tried=30)]
    items = evidence.gather(CASE, Facts(60, skus=skus, methods=methods))
    assert sum(item["lost_orders"] or 0 for item in items) == pytest.approx(20.0)
    assert by_check(items)["unexplained"]["lost_orders"] == 0.0


def test_slow_answers_are_shown_and_not_counted_in_orders() -> None:
    item = by_check(evidence.gather(CASE, Facts(60, slow_answers=Counts(5, 0.5))))["service"]
    assert (item["after"], item["lost_orders"], item["share"]) == ({"slow_answers": 5}, None, None)


def test_no_text_claims_a_cause() -> None:
    for item in evidence.gather(CASE, Facts(60, skus=[SkuFacts("A1", "", 0.5, 8, 30)])):
        assert not {"because", "caused", "due"} & set(item["text"]["en"].split())
        assert not any(word in item["text"]["zh"] for word in ("因为", "导致", "由于"))


def test_minutes_out_of_stock_are_those_within_the_window() -> None:
    changes = [(BEGAN - HOUR, True), (BEGAN + 10 * MINUTE, False), (BEGAN + 50 * MINUTE, True)]
    assert evidence.out_minutes(changes, BEGAN, BEGAN + HOUR) == 20


@pytest.fixture(scope="module")
async def teller(database: str) -> AsyncIterator[Teller]:
    settings = AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1")
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as desk:
        yield await Teller.of(desk)


async def test_a_conversion_incident_arrives_with_its_evidence(teller: Teller) -> None:
    """A1 brings half of the orders and is out of stock for the second half hour of the window."""
    await teller.open("proof")
    orders = [placed(f"o-{n}", "A1" if n % 2 else "B1") for n in range(40)]
    dearer = SkuChanged.model_validate({"sku": "B1", "before": {"price_cents": 9_000}, "after": {"price_cents": 9_900}})
    failure = PaymentFailed(order_id="o-1", payment_id="p-1", method="alipay", amount_cents=1, currency="CNY")
    rival = CompetitorSeen(rival="C店", sku="B1", price_cents=8_000, currency="CNY", by="li")
    review = ReviewPosted(review_id="r-1", sku="B1", stars=2)
    await teller.tell(
        "proof",
        [
            *told(target("conversion.order_uv", 0.04), listed("A1"), listed("B1", price_cents=9_000), at=-9 * DAY),
            *told(*orders, at=-2 * DAY),
            *told(dearer, rival, at=-5 * HOUR),
            *told(*(placed(f"n-{n}", "A1" if n < 5 else "B1") for n in range(15)), failure, review, at=-50 * MINUTE),
            *told(StockSoldOut(sku="A1", available=0, safety=10), at=-30 * MINUTE),
            *told(StockBackIn(sku="A1", available=50, safety=10), at=5 * MINUTE),
            measured(-7 * DAY, {"uv": 500, "orders_placed_here": 20}, {"device": "mobile"}),
            measured(0 * MINUTE, {"uv": 600, "orders_placed_here": 9}, {"device": "mobile"}),
            measured(0 * MINUTE, {"uv": 1000, "orders_placed_here": 15}),
        ],
    )
    (incident,) = await teller.incidents("proof", "conversion_below_target")
    items = incident["evidence"]
    assert [item["rank"] for item in items] == list(range(1, 11))
    found = by_check(items)
    assert (found["stock"]["rank"], found["stock"]["after"]["out_minutes"]) == (1, 30.0)
    assert found["stock"]["lost_orders"] == 10.0, "half of the 40 expected, for half of the hour"
    assert found["price"]["before"] == {"B1": 9_000}
    assert found["price"]["after"] == {"B1": 9_900}
    assert found["competitor"]["after"]["lower_prices"] == {"B1": [{"rival": "C店", "price_cents": 8_000}]}
    assert found["reviews"]["after"]["bad_reviews"] == 1
    assert found["payment"]["after"] == {"alipay": {"failed": 1, "tried": 1}}
    assert found["traffic"]["before"]["device"]["mobile"]["rate"] == 0.04
    assert sum(item["lost_orders"] or 0 for item in items) == pytest.approx(25.0, abs=0.05)
    assert items[-1]["check"] == "unexplained"
    assert isinstance(items[0]["text"], str)
