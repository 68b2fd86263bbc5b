"""Order exceptions, and the ways out of them over HTTP (ORD-2)."""

from typing import Any

from tests.orders.conftest import ZHANG, Shop, accepted, line_json, payment_json, refused


async def exceptions(shop: Shop, order_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = accepted(await shop.get(f"/v1/orders/{order_id}"))["exceptions"]
    return found


async def short_of_stock(shop: Shop, order_id: str) -> None:
    """A paid order whose hold ran out, and whose goods are gone."""
    shop.shelf.units["GONE"] = 1
    await shop.place(order_id, lines=[line_json("GONE", 1, 7_800)])
    shop.shelf.expire(f"{order_id}~0")
    shop.shelf.units["GONE"] = 0
    assert (await shop.pay(order_id, 7_800))["status"] == "paid_unfulfillable"


async def amend(shop: Shop, order_id: str, **changes: Any) -> Any:
    async with shop.client(**{"If-Match": "*"}) as client:
        return await client.post(f"/v1/orders/{order_id}/amend", json=changes)


async def test_an_order_that_goes_its_way_has_none(shop: Shop) -> None:
    await shop.place("x-fine")
    assert await exceptions(shop, "x-fine") == []
    await shop.pay("x-fine")
    assert await exceptions(shop, "x-fine") == []


async def test_without_stock_other_goods_make_the_order_paid_again(shop: Shop) -> None:
    await short_of_stock(shop, "x-swap")
    assert await exceptions(shop, "x-swap") == [
        {"kind": "out_of_stock", "options": ["change_goods", "backorder", "refund"]}
    ]
    dearer = await amend(shop, "x-swap", lines=[line_json("B002", 1, 7_801)])
    refused(dearer, 422, "validation")
    still_short = await amend(shop, "x-swap", lines=[line_json("GONE", 2, 100)])
    refused(still_short, 409, "out_of_stock")
    order = accepted(await amend(shop, "x-swap", lines=[line_json("B002", 1, 7_700)]))
    assert (order["status"], order["lines"][0]["sku"]) == ("paid", "B002")
    assert shop.shelf.kept[order["reservation_id"]].reservation.status == "allocated"
    assert order["exceptions"] == [{"kind": "payment_problem", "options": ["refund"]}], "a yuan is to go back"
    assert (await shop.types("x-swap"))[-2:] == ["order.unfulfillable.v1", "order.amended.v1"]
    accepted(await shop.post("/v1/orders/x-swap/refunds", {"amount_cents": 100}))
    assert await exceptions(shop, "x-swap") == []


async def test_a_backordered_order_may_still_have_other_goods(shop: Shop) -> None:
    await short_of_stock(shop, "x-wait")
    accepted(await shop.post("/v1/orders/x-wait/backorder"))
    await shop.run_timers()
    assert await exceptions(shop, "x-wait") == [{"kind": "out_of_stock", "options": ["change_goods", "refund"]}]
    order = accepted(await amend(shop, "x-wait", lines=[line_json("B002", 1, 7_800)]))
    assert (order["status"], order["backordered_at"]) == ("paid", None)
    assert await shop.sql("SELECT 1 FROM orders.timers WHERE order_id = 'x-wait' AND kind = 'backorder'") == []


async def test_a_price_alone_brings_no_goods(shop: Shop) -> None:
    await short_of_stock(shop, "x-price")
    order = accepted(await amend(shop, "x-price", lines=[line_json("GONE", 1, 7_000)]))
    assert (order["status"], order["total_cents"]) == ("paid_unfulfillable", 7_000)


async def test_a_bad_address_is_corrected(shop: Shop) -> None:
    await shop.place("x-address", consignee={**ZHANG, "phone": "12"})
    assert await exceptions(shop, "x-address") == [{"kind": "bad_address", "options": ["correct_address", "cancel"]}]
    await shop.pay("x-address")
    assert (await exceptions(shop, "x-address"))[0]["options"] == ["correct_address", "refund"]
    order = accepted(await amend(shop, "x-address", consignee=ZHANG))
    assert (order["exceptions"], order["review"]["decision"]) == ([], "approved")


async def test_a_payment_that_failed_or_is_too_much_is_a_problem_until_it_is_settled(shop: Shop) -> None:
    await shop.place("x-pay")
    path = "/v1/orders/x-pay/payments"
    accepted(await shop.post(path, payment_json("x-pay-1", 15_600, status="failed", reason="card expired")))
    assert await exceptions(shop, "x-pay") == [{"kind": "payment_problem", "options": ["pay_again", "cancel"]}]
    accepted(await shop.post(path, payment_json("x-pay-2", 15_600)))
    assert await exceptions(shop, "x-pay") == []
    accepted(await shop.post(path, payment_json("x-pay-3", 15_600)))
    assert await exceptions(shop, "x-pay") == [{"kind": "payment_problem", "options": ["refund"]}]
    accepted(await shop.post("/v1/orders/x-pay/refunds", {"amount_cents": 15_600}))
    assert await exceptions(shop, "x-pay") == []
