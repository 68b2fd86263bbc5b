"""The operating rules of orders, ORD-1 to ORD-7: each over HTTP, each with the events that it tells."""

from datetime import datetime, timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.contracts import PolicyChanged
from tests.orders.conftest import ZHANG, Shop, accepted, line_json, payment_json, refused

PARCEL = {"carrier": "SF", "tracking_number": "SF1"}


async def told(shop: Shop, order_id: str, kind: str) -> list[Envelope[Any]]:
    """The events of one type about an order."""
    return [event for event in await shop.events(order_id) if event.type == f"{kind}.v1"]


async def decide(shop: Shop, kind: str, value: int) -> None:
    """Let the store decide about something."""
    policy = PolicyChanged(policy_id=kind, kind=kind, after={"value": value}, by="li", valid_from=shop.now)
    await shop.hear(policy)


async def test_ord_1_obvious_orders_pass_at_once_and_the_others_wait_with_reasons_and_a_limit(shop: Shop) -> None:
    await shop.place("ord1-fine", placed_at=shop.now.isoformat())
    (passed,) = await told(shop, "ord1-fine", "order.reviewed")
    assert (passed.data.decision, passed.data.reasons, passed.data.by) == ("approved", (), "rule")
    odd = {"consignee": {**ZHANG, "phone": "12", "city": ""}, "lines": [line_json("A001", 101, 100_000)]}
    await shop.place("ord1-odd", placed_at=shop.now.isoformat(), **odd)
    (held,) = await told(shop, "ord1-odd", "order.reviewed")
    reasons = ("phone_invalid", "address_incomplete", "quantity_unusual", "amount_unusual")
    assert (held.data.decision, held.data.reasons, held.time) == ("held", reasons, shop.now)
    assert await queue(shop, "ord1-odd") == (shop.now + timedelta(minutes=30), False)
    assert await queue(shop, "ord1-fine") is None
    shop.wait(minutes=31)
    assert await queue(shop, "ord1-odd") == (shop.now - timedelta(minutes=1), True)
    await decide(shop, "review_limit", 60)
    assert await queue(shop, "ord1-odd") == (shop.now + timedelta(minutes=29), False)
    accepted(await shop.post("/v1/orders/ord1-odd/review", {"decision": "approved", "note": "called him"}))
    let_pass = (await told(shop, "ord1-odd", "order.reviewed"))[-1]
    assert (let_pass.data.decision, let_pass.data.by.partition(":")[0]) == ("approved", "key")
    assert await queue(shop, "ord1-odd") is None


async def queue(shop: Shop, order_id: str) -> tuple[Any, bool] | None:
    """(due, overdue) of an order in the review queue."""

    listed = accepted(await shop.get("/v1/review-queue", limit=500))["items"]
    found = [order["review"] for order in listed if order["order_id"] == order_id]
    return (datetime.fromisoformat(found[0]["due_at"]), found[0]["is_overdue"]) if found else None


async def test_ord_2_each_exception_has_its_options_and_each_option_works(shop: Shop) -> None:
    shop.shelf.units["ORD2"] = 1
    await shop.place("ord2", lines=[line_json("ORD2", 1, 7_800)], placed_at=shop.now.isoformat())
    shop.shelf.expire("ord2~0")
    shop.shelf.units["ORD2"] = 0
    assert (await shop.pay("ord2", 7_800))["status"] == "paid_unfulfillable"
    (unfulfillable,) = await told(shop, "ord2", "order.unfulfillable")
    assert [(line.sku, line.quantity) for line in unfulfillable.data.lines] == [("ORD2", 1)]
    order = accepted(await shop.get("/v1/orders/ord2"))
    assert order["exceptions"] == [{"kind": "out_of_stock", "options": ["change_goods", "backorder", "refund"]}]
    accepted(await shop.post("/v1/orders/ord2/refunds", {"amount_cents": 7_800}))
    order = accepted(await shop.get("/v1/orders/ord2"))
    assert (order["status"], order["exceptions"]) == ("cancelled", [])
    assert (await shop.types("ord2"))[-2:] == ["refund.issued.v1", "order.cancelled.v1"]


async def test_ord_3_payments_that_do_not_fit_are_told_and_listed(shop: Shop) -> None:
    shop.wait(days=40)
    at = shop.now.isoformat()
    day = (shop.now + timedelta(hours=8)).date().isoformat()
    await shop.place("ord3", placed_at=at)
    accepted(await shop.post("/v1/orders/ord3/cancel", {"reason": "doubled", "by": "customer"}))
    await shop.pay("ord3", paid_at=at)
    assert await shop.types("ord3") == [
        "order.placed.v1",
        "order.reviewed.v1",
        "order.cancelled.v1",
        "payment.succeeded.v1",
    ]
    refused(await shop.post("/v1/orders/ord3-none/payments", payment_json("ord3-p", 1, paid_at=at)), 404, "not_found")
    await shop.place("ord3-back", placed_at=at)
    await shop.pay("ord3-back", paid_at=at)
    accepted(await shop.post("/v1/orders/ord3-back/refunds", {"amount_cents": 1}))
    found = accepted(await shop.get("/v1/reconciliation", day=day))
    assert [item["order_id"] for item in found["paid_without_order"]] == ["ord3-none"]
    assert [(item["order_id"], item["kind"]) for item in found["paid_other_amount"]] == [
        ("ord3", "cancelled_order_paid")
    ]
    assert [item["order_id"] for item in found["refund_without_return"]] == ["ord3-back"]


async def test_ord_4_a_paid_order_has_its_promise_and_each_parcel_its_number(shop: Shop) -> None:
    await decide(shop, "ship_promise", 24)
    await shop.place("ord4", lines=[line_json("A001", 2, 7_800), line_json("B002", 1, 100)])
    paid = await shop.pay("ord4", 15_700, paid_at=shop.now.isoformat())
    assert paid["ship_due_at"] == (shop.now + timedelta(hours=32)).isoformat()[:19] + "+08:00"
    (event,) = await told(shop, "ord4", "order.paid")
    assert event.data.ship_due_at == shop.now + timedelta(hours=24)
    first = {**PARCEL, "lines": [{"sku": "A001", "quantity": 1}], "freight_cents": 800, "warehouse": "east"}
    assert accepted(await shop.post("/v1/orders/ord4/shipments", first))["order"]["status"] == "partly_shipped"
    rest = accepted(await shop.post("/v1/orders/ord4/shipments", {"carrier": "ZTO", "tracking_number": "Z2"}))
    assert (rest["order"]["status"], len(rest["lines"])) == ("shipped", 2)
    parcels = await told(shop, "ord4", "shipment.created")
    assert [(p.data.carrier, p.data.tracking_number, p.data.freight_cents) for p in parcels] == [
        ("SF", "SF1", 800),
        ("ZTO", "Z2", None),
    ]
    await decide(shop, "ship_promise", 48)


async def test_ord_5_every_scan_is_told_with_its_time_so_that_silence_can_be_noticed(shop: Shop) -> None:
    await shop.place("ord5")
    await shop.pay("ord5")
    accepted(await shop.post("/v1/orders/ord5/shipments", {**PARCEL, "shipment_id": "ord5-s"}))
    sent = shop.now
    shop.wait(hours=5)
    path = "/v1/shipments/ord5-s/scans"
    late = {"status": "moving", "place": "杭州", "at": (sent + timedelta(hours=3)).isoformat()}
    for scan in ({"status": "moving", "place": "上海"}, late, late, {"status": "exception", "place": "上海"}):
        accepted(await shop.post(path, scan))
    moved = await told(shop, "ord5", "shipment.moved")
    assert [(e.data.status, e.data.place, e.time - sent) for e in moved] == [
        ("moving", "上海", timedelta(hours=5)),
        ("moving", "杭州", timedelta(hours=3)),
        ("exception", "上海", timedelta(hours=5)),
    ]
    accepted(await shop.post(path, {"status": "delivered"}))
    accepted(await shop.post(path, {"status": "moving"}))
    assert [e.data.shipment_id for e in await told(shop, "ord5", "order.delivered")] == ["ord5-s"]
    assert len(await told(shop, "ord5", "shipment.moved")) == 4, "nothing moves what has arrived"


async def test_ord_6_a_return_goes_its_steps_each_with_its_time_and_money_after_inspection(shop: Shop) -> None:
    await shop.place("ord6")
    await shop.pay("ord6")
    accepted(await shop.post("/v1/orders/ord6/shipments", {**PARCEL, "shipment_id": "ord6-s"}))
    accepted(await shop.post("/v1/shipments/ord6-s/scans", {"status": "delivered"}))
    asked = {"return_id": "ord6-r", "lines": [{"sku": "A001", "quantity": 1}], "reason": "too small", "kind": "refund"}
    accepted(await shop.post("/v1/orders/ord6/returns", asked))
    refund = {"refund_id": "ord6-f", "amount_cents": 7_800}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("approve", {}),
        ("receive", {}),
        ("inspect", {"condition": "resellable"}),
    ]
    times = [shop.now]
    for step, body in steps:
        early = refused(await shop.post("/v1/returns/ord6-r/refund", refund), 409, "wrong_state")
        assert early["possible"]
        shop.wait(hours=1)
        times.append(shop.now)
        accepted(await shop.post(f"/v1/returns/ord6-r/{step}", body))
    accepted(await shop.post("/v1/returns/ord6-r/refund", refund))
    types = ("return.requested", "return.approved", "return.received", "return.inspected", "refund.issued")
    events = [(await told(shop, "ord6", kind))[0] for kind in types]
    assert [event.time for event in events] == [*times, times[-1]]
    assert (events[3].data.condition, events[4].data.return_id, events[4].data.items_cents) == (
        "resellable",
        "ord6-r",
        7_800,
    )
    shop.wait(days=8)
    await shop.run_timers()
    assert len(await told(shop, "ord6", "order.completed")) == 1
    late = {**asked, "return_id": "ord6-late"}
    refused(await shop.post("/v1/orders/ord6/returns", late), 409, "wrong_state")


async def test_ord_7_nothing_is_skipped_nothing_goes_back_and_a_repeat_moves_nothing(shop: Shop) -> None:
    await shop.place("ord7")
    unpaid = refused(await shop.post("/v1/orders/ord7/shipments", PARCEL), 409, "wrong_state")
    assert (unpaid["state"], "pay" in unpaid["possible"], "ship" in unpaid["possible"]) == ("placed", True, False)
    await shop.pay("ord7")
    await shop.pay("ord7")
    parcel = {**PARCEL, "shipment_id": "ord7-s"}
    for _ in range(2):
        accepted(await shop.post("/v1/orders/ord7/shipments", parcel))
    shipped = refused(await shop.post("/v1/orders/ord7/cancel", {"reason": "", "by": "customer"}), 409, "wrong_state")
    assert shipped["state"] == "shipped"
    refused(await shop.post("/v1/orders/ord7/backorder"), 409, "wrong_state")
    for _ in range(2):
        accepted(await shop.post("/v1/shipments/ord7-s/scans", {"status": "delivered"}))
    assert await shop.types("ord7") == [
        "order.placed.v1",
        "order.reviewed.v1",
        "payment.succeeded.v1",
        "order.paid.v1",
        "shipment.created.v1",
        "shipment.moved.v1",
        "order.delivered.v1",
    ]
