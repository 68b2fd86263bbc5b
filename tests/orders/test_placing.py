"""Placing orders over HTTP (D12, D13, INV-4, INV-5)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from libs.events.contracts import SkuListed, StockReleased
from libs.events.ids import uuid7
from services.orders.bodies import OrderBody
from services.orders.handlers import placing
from tests.orders.conftest import Shop, accepted, line_json, order_json, pointers, refused
from tests.orders.samples import NOON


async def test_the_wire_example_is_answered_as_written(shop: Shop) -> None:
    response = await shop.post("/v1/orders", order_json("o-1001"), key="demo", **{"Idempotency-Key": "k1"})
    order = accepted(response)
    assert response.status_code == 201
    assert response.headers["etag"] == '"1"'
    expected = {
        "order_id": "o-1001",
        "store": "demo",
        "status": "placed",
        "reservation_id": "o-1001~0",
        "currency": "CNY",
        "items_cents": 15_600,
        "shipping_cents": 0,
        "discount_cents": 0,
        "total_cents": 15_600,
        "paid_cents": 0,
        "refunded_cents": 0,
        "consignee": {"name": "张*", "phone": "138****5678", "province": "浙江", "city": "杭州", "address": "***"},
        "placed_at": "2024-07-01T12:00:00+08:00",
        "version": 1,
        "payments": [],
        "shipments": [],
        "returns": [],
    }
    assert {name: order[name] for name in expected} == expected
    assert order["review"]["decision"] == "approved"
    assert order["review"]["reasons"] == []
    assert order["lines"][0] == {**line_json("A001", 2, 7_800), "discount_cents": 0, "shipped": 0, "returned": 0}
    assert order["hold_expires_at"] == "2024-07-01T12:15:00+08:00"


async def test_the_placed_and_the_reviewed_event_wait_with_the_order(shop: Shop) -> None:
    await shop.place("o-told", placed_at=(NOON - timedelta(hours=1)).isoformat())
    placed, reviewed = await shop.events("o-told")
    assert (placed.type, placed.time) == ("order.placed.v1", NOON - timedelta(hours=1))
    assert (placed.data.reservation_id, placed.data.total_cents) == ("o-told~0", 15_600)
    assert (reviewed.type, reviewed.time, reviewed.data.decision) == ("order.reviewed.v1", NOON, "approved")


async def test_the_same_order_again_gets_the_first_answer_and_has_no_second_effect(shop: Shop) -> None:
    first = await shop.post("/v1/orders", order_json("o-same"))
    before = len(await shop.events())
    again = await asyncio.gather(*(shop.post("/v1/orders", order_json("o-same")) for _ in range(5)))
    assert {response.status_code for response in again} == {201}
    assert {response.text for response in again} == {first.text}
    assert len(await shop.events()) == before


async def test_the_same_id_with_another_body_is_a_conflict(shop: Shop) -> None:
    await shop.place("o-other")
    refused(await shop.post("/v1/orders", order_json("o-other", shipping_cents=1)), 409, "conflict")


async def test_five_parallel_first_calls_make_one_order(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.post("/v1/orders", order_json("o-race")) for _ in range(5)))
    assert {response.status_code for response in answers} == {201}
    assert len({response.text for response in answers}) == 1
    assert await shop.types("o-race") == ["order.placed.v1", "order.reviewed.v1"]


async def test_without_an_id_the_key_names_the_order(shop: Shop) -> None:
    first = accepted(await shop.post("/v1/orders", order_json(None), **{"Idempotency-Key": "k-77"}))
    again = accepted(await shop.post("/v1/orders", order_json(None), **{"Idempotency-Key": "k-77"}))
    other = accepted(await shop.post("/v1/orders", order_json(None), **{"Idempotency-Key": "k-78"}))
    assert first == again
    assert other["order_id"] != first["order_id"]


async def test_a_short_order_is_refused_with_what_there_is_and_nothing_is_kept(shop: Shop) -> None:
    lines = [line_json("A001", 1, 100), line_json("RARE", 1, 100), line_json("RARE", 2, 100)]
    problem = refused(await shop.post("/v1/orders", order_json("o-short", lines=lines)), 409, "out_of_stock")
    assert pointers(problem) == ["/lines/1/quantity"]
    assert (problem["errors"][0]["wanted"], problem["errors"][0]["available"]) == (3, 1)
    refused(await shop.get("/v1/orders/o-short"), 404, "not_found")
    assert await shop.events("o-short") == []
    refused(await shop.post("/v1/orders", order_json("o-short", lines=lines)), 409, "out_of_stock")


async def test_an_unknown_sku_of_the_storefront_is_refused_at_its_place(shop: Shop) -> None:
    lines = [line_json("A001", 1, 100), line_json("NOWHERE", 1, 100)]
    problem = refused(await shop.post("/v1/orders", order_json("o-unknown", lines=lines)), 422, "validation")
    assert pointers(problem) == ["/lines/1/sku"]


async def test_an_outside_order_is_a_fact_that_needs_no_stock(shop: Shop) -> None:
    asked = len(shop.shelf.calls)
    lines = [line_json("NOWHERE", 1, 100)]
    order = await shop.place("o-tmall", origin="tmall", lines=lines, customer_id=None, currency="USD")
    assert len(shop.shelf.calls) == asked
    assert (order["reservation_id"], order["hold_expires_at"]) == (None, None)
    assert order["review"]["reasons"] == ["sku_unknown"]


async def test_the_catalogue_tells_which_skus_there_are(shop: Shop) -> None:
    listed = SkuListed(sku="NEW1", kind="goods", title="New", price_cents=100)
    await shop.hear(listed)
    order = await shop.place("o-known", origin="tmall", lines=[line_json("NEW1", 1, 100)])
    assert order["review"]["decision"] == "approved"


async def test_inventory_away_is_overload_and_leaves_no_order(shop: Shop) -> None:
    shop.shelf.is_away = True
    response = await shop.post("/v1/orders", order_json("o-away"))
    shop.shelf.is_away = False
    refused(response, 503, "overloaded")
    assert "retry-after" in response.headers
    refused(await shop.get("/v1/orders/o-away"), 404, "not_found")
    await shop.place("o-away")


async def test_a_hold_that_ran_out_before_the_retry_is_made_anew(shop: Shop) -> None:
    """The crash between hold and commit, as the retry finds it."""
    await shop.place("o-crash-other")
    shop.shelf.kept["o-crash~0"] = shop.shelf.kept["o-crash-other~0"]
    shop.shelf.expire("o-crash~0")
    order = await shop.place("o-crash")
    assert order["reservation_id"] == "o-crash~1"


async def held_by_a_retry(shop: Shop, order_id: str) -> int:
    """Units that are held after a crash behind the hold and a retry."""
    asked = OrderBody.model_validate(order_json(order_id), strict=False).asked(
        order_id, shop.now, shop.runtime.installation.pseudonyms, None
    )
    before = shop.shelf.units["A001"]
    for _ in ("the call that crashed", "its retry"):
        await placing.hold_stock(asked, shop.app.state.kit, "demo", shop.now)
    return before - shop.shelf.units["A001"]


async def test_a_retry_after_a_crash_finds_its_hold_again(shop: Shop) -> None:
    assert await held_by_a_retry(shop, "o-retry") == 2


async def test_twin_with_a_new_name_at_each_try_a_retry_holds_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = placing._request
    monkeypatch.setattr(placing, "_request", lambda order, _, hold: wanted(order, f"{order.order_id}~{uuid7()}", hold))
    assert await held_by_a_retry(shop, "o-retry-twin") == 4


async def test_a_carts_hold_is_taken_over(shop: Shop) -> None:
    await shop.place("o-cart-maker")
    shop.shelf.kept["cart-5"] = shop.shelf.kept["o-cart-maker~0"]
    order = await shop.place("o-cart", reservation_id="cart-5")
    assert order["reservation_id"] == "cart-5"


async def test_the_hold_lasts_as_long_as_the_order_asks(shop: Shop) -> None:
    order = await shop.place("o-long", hold_minutes=60)
    assert order["hold_expires_at"] == "2024-07-01T13:00:00+08:00"
    refused(await shop.post("/v1/orders", order_json("o-longer", hold_minutes=1_441)), 422, "validation")


async def test_a_hold_that_runs_out_leaves_the_order_placed(shop: Shop) -> None:
    await shop.place("o-lapse")
    await shop.hear(StockReleased(reservation_id="o-lapse~0", order_id="o-lapse", lines=(), reason="expired"))
    order = accepted(await shop.get("/v1/orders/o-lapse"))
    assert (order["status"], order["hold_expires_at"]) == ("placed", None)


async def test_a_customer_named_by_his_phone_gets_a_pseudonym_everywhere(shop: Shop) -> None:
    order = await shop.place("o-phone", customer_id="13800005678")
    assert order["customer_id"].startswith("h_")
    assert all(e.data.customer_id == order["customer_id"] for e in await shop.events("o-phone") if "placed" in e.type)
    found = accepted(await shop.get("/v1/orders", customer_id="13800005678"))
    assert [o["order_id"] for o in found["items"]] == ["o-phone"]


# bad input


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"lines": [line_json("A001", -1, 100)]}, "/lines/0/quantity"),
        ({"lines": [line_json("A001", 0, 100)]}, "/lines/0/quantity"),
        ({"lines": []}, "/lines"),
        ({"lines": [line_json("A 1", 1, 100)]}, "/lines/0/sku"),
        ({"lines": [{**line_json("A001", 1, 100), "quantity": "1"}]}, "/lines/0/quantity"),
        ({"lines": [{**line_json("A001", 1, 100), "colour": "red"}]}, "/lines/0/colour"),
        ({"total_cents": 15_601}, "/total_cents"),
        ({"items_cents": 1}, "/items_cents"),
        ({"discount_cents": 15_601}, "/discount_cents"),
        ({"currency": "USD"}, "/currency"),
        ({"currency": "yuan"}, "/currency"),
        ({"placed_at": "2024-07-01T12:00:00"}, "/placed_at"),
        ({"placed_at": (NOON + timedelta(minutes=6)).isoformat()}, "/placed_at"),
        ({"origin": None}, "/origin"),
        ({"customer_id": None}, "/customer_id"),
        ({"order_id": "o/1"}, "/order_id"),
        ({"lines": [line_json("A001", 10**9, 10**14)]}, "/lines/0"),
        ({"consignee": {"name": "x", "age": 7}}, "/consignee/age"),
    ],
)
async def test_what_is_wrong_is_named(shop: Shop, changes: dict[str, Any], pointer: str) -> None:
    problem = refused(await shop.post("/v1/orders", order_json(**{"order_id": "o-bad", **changes})), 422, "validation")
    assert pointer in pointers(problem)
    assert await shop.sql("SELECT 1 FROM orders.orders WHERE order_id = 'o-bad'") == []


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"order_id": NaN}',
        b'{"order_id": "a", "order_id": "b"}',
        b'{"order_id": "a\\u0000"}',
        b'{"order_id": "\\ud800"}',
        b"\xff\xfe",
        b"[" * 100 + b"]" * 100,
        b"",
    ],
)
async def test_a_broken_or_hostile_body_is_refused(shop: Shop, raw: bytes) -> None:
    async with shop.client() as client:
        response = await client.post("/v1/orders", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_oversized_body_is_refused(shop: Shop) -> None:
    async with shop.client() as client:
        response = await client.post(
            "/v1/orders", content=b" " * ((1 << 20) + 1), headers={"Content-Type": "application/json"}
        )
    refused(response, 413, "too_large")
