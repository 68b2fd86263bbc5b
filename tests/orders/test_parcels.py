"""Cancelling, reviewing, amending, shipping, scanning, completing over HTTP (ORD-1, ORD-4, ORD-5, ORD-7, D48)."""

from datetime import timedelta

from tests.orders.conftest import ZHANG, Shop, accepted, line_json, pointers, refused

PARCEL = {"carrier": "SF", "tracking_number": "SF100"}


async def test_an_unpaid_order_is_cancelled_and_again_gets_the_first_answer(shop: Shop) -> None:
    await shop.place("c-1")
    body = {"reason": "changed my mind", "by": "customer"}
    first = await shop.post("/v1/orders/c-1/cancel", body)
    order = accepted(first)
    assert (order["status"], order["cancelled_by"], order["cancel_reason"]) == (
        "cancelled",
        "customer",
        "changed my mind",
    )
    assert (await shop.post("/v1/orders/c-1/cancel", body)).text == first.text
    assert (await shop.types("c-1"))[-1] == "order.cancelled.v1"
    assert (await shop.types("c-1")).count("order.cancelled.v1") == 1


async def test_a_step_out_of_order_names_the_state_and_what_is_possible(shop: Shop) -> None:
    await shop.place("c-2")
    problem = refused(await shop.post("/v1/orders/c-2/shipments", PARCEL), 409, "wrong_state")
    assert (problem["state"], problem["possible"]) == ("placed", ["pay", "amend", "cancel"])


async def test_a_held_order_waits_in_the_queue_until_a_person_lets_it_pass(shop: Shop) -> None:
    await shop.place("held-1", consignee={**ZHANG, "phone": "123"})
    await shop.pay("held-1")
    queue = accepted(await shop.get("/v1/review-queue"))["items"]
    assert [(o["order_id"], o["review"]["reasons"]) for o in queue] == [("held-1", ["phone_invalid"])]
    problem = refused(await shop.post("/v1/orders/held-1/shipments", PARCEL), 409, "wrong_state")
    assert "review" in problem["possible"]
    order = accepted(await shop.post("/v1/orders/held-1/review", {"decision": "approved", "note": "called"}))
    assert order["review"]["decision"] == "approved"
    assert order["review"]["by"].startswith("key:")
    assert accepted(await shop.get("/v1/review-queue"))["items"] == []
    accepted(await shop.post("/v1/orders/held-1/shipments", PARCEL))


async def test_parcels_take_an_order_to_delivered_and_time_completes_it(shop: Shop) -> None:
    await shop.place("s-1")
    await shop.pay("s-1")
    first = accepted(
        await shop.post("/v1/orders/s-1/shipments", {**PARCEL, "shipment_id": "s-1-a", "lines": units("A001", 1)})
    )
    assert (first["shipment_id"], first["order"]["status"]) == ("s-1-a", "partly_shipped")
    second = accepted(await shop.post("/v1/orders/s-1/shipments", {**PARCEL, "shipment_id": "s-1-b"}))
    assert (second["lines"], second["order"]["status"]) == (units("A001", 1), "shipped")
    accepted(await shop.post("/v1/shipments/s-1-a/scans", {"status": "delivered"}))
    moved = accepted(await shop.post("/v1/shipments/s-1-b/scans", {"status": "moving", "place": "杭州"}))
    assert (moved["status"], moved["order"]["status"]) == ("moving", "shipped")
    done = accepted(await shop.post("/v1/shipments/s-1-b/scans", {"status": "delivered"}))
    assert done["order"]["status"] == "delivered"
    shop.wait(days=6)
    await shop.run_timers()
    assert accepted(await shop.get("/v1/orders/s-1"))["status"] == "delivered"
    shop.wait(days=1)
    await shop.run_timers()
    assert accepted(await shop.get("/v1/orders/s-1"))["status"] == "completed"
    assert (await shop.types("s-1"))[4:] == [
        "shipment.created.v1",
        "shipment.created.v1",
        "shipment.moved.v1",
        "shipment.moved.v1",
        "shipment.moved.v1",
        "order.delivered.v1",
        "order.completed.v1",
    ]


async def test_a_repeated_shipment_is_one_and_a_repeated_scan_moves_nothing(shop: Shop) -> None:
    await shop.place("s-2")
    await shop.pay("s-2")
    body = {**PARCEL, "shipment_id": "s-2-a"}
    first = await shop.post("/v1/orders/s-2/shipments", body)
    assert (await shop.post("/v1/orders/s-2/shipments", body)).text == first.text
    scan = {"status": "moving", "place": "杭州", "at": shop.now.isoformat()}
    for _ in range(3):
        accepted(await shop.post("/v1/shipments/s-2-a/scans", scan))
    types = await shop.types("s-2")
    assert (types.count("shipment.created.v1"), types.count("shipment.moved.v1")) == (1, 1)


async def test_more_than_the_order_has_open_is_not_shipped(shop: Shop) -> None:
    await shop.place("s-3")
    await shop.pay("s-3")
    problem = refused(
        await shop.post("/v1/orders/s-3/shipments", {**PARCEL, "lines": units("A001", 3)}), 422, "validation"
    )
    assert pointers(problem) == ["/lines/0/quantity"]


async def test_a_scan_of_an_unknown_parcel_and_from_the_future_is_refused(shop: Shop) -> None:
    refused(await shop.post("/v1/shipments/nowhere/scans", {"status": "moving"}), 404, "not_found")
    late = (shop.now + timedelta(hours=1)).isoformat()
    refused(await shop.post("/v1/shipments/nowhere/scans", {"status": "moving", "at": late}), 422, "validation")


# amendments


async def test_an_amendment_needs_the_version_that_it_changes(shop: Shop) -> None:
    await shop.place("a-1")
    path = "/v1/orders/a-1/amend"
    body = {"lines": [line_json("A001", 3, 7_800)]}
    refused(await shop.post(path, body), 428, "precondition_required")
    refused(await shop.post(path, body, **{"If-Match": '"7"'}), 412, "stale")
    response = await shop.post(path, body, **{"If-Match": '"1"'})
    order = accepted(response)
    assert (order["total_cents"], order["version"], response.headers["etag"]) == (23_400, 2, '"2"')
    assert order["reservation_id"] == "a-1~1"
    assert shop.shelf.kept["a-1~0"].reservation.status == "released"
    told = (await shop.events("a-1"))[-1].data
    assert (told.lines_before[0].quantity, told.lines_after[0].quantity, told.total_cents) == (2, 3, 23_400)


async def test_a_change_of_price_alone_leaves_the_hold_untouched(shop: Shop) -> None:
    await shop.place("a-2")
    calls = len(shop.shelf.calls)
    body = {"lines": [line_json("A001", 2, 7_000)]}
    order = accepted(await shop.post("/v1/orders/a-2/amend", body, **{"If-Match": '"1"'}))
    assert (order["total_cents"], order["reservation_id"], len(shop.shelf.calls)) == (14_000, "a-2~0", calls)


async def test_an_amendment_beyond_the_stock_changes_nothing(shop: Shop) -> None:
    await shop.place("a-3")
    body = {"lines": [line_json("A001", 2, 7_800), line_json("RARE", 5, 1)]}
    problem = refused(await shop.post("/v1/orders/a-3/amend", body, **{"If-Match": '"1"'}), 409, "out_of_stock")
    assert pointers(problem) == ["/lines/1/quantity"]
    assert accepted(await shop.get("/v1/orders/a-3"))["version"] == 1


async def test_a_corrected_address_lets_an_order_pass(shop: Shop) -> None:
    await shop.place("a-4", consignee={**ZHANG, "address": ""})
    order = accepted(await shop.post("/v1/orders/a-4/amend", {"consignee": ZHANG}, **{"If-Match": '"1"'}))
    assert (order["review"]["decision"], order["consignee"]["address"]) == ("approved", "***")
    assert (await shop.types("a-4"))[-2:] == ["order.amended.v1", "order.reviewed.v1"]


async def test_an_empty_amendment_is_refused(shop: Shop) -> None:
    await shop.place("a-5")
    refused(await shop.post("/v1/orders/a-5/amend", {}, **{"If-Match": '"1"'}), 422, "validation")


async def test_if_match_is_honoured_everywhere(shop: Shop) -> None:
    await shop.place("m-1")
    body = {"reason": "", "by": "store"}
    refused(await shop.post("/v1/orders/m-1/cancel", body, **{"If-Match": '"9"'}), 412, "stale")
    accepted(await shop.post("/v1/orders/m-1/cancel", body, **{"If-Match": '"1"'}))


def units(sku: str, quantity: int) -> list[dict[str, object]]:
    return [{"sku": sku, "quantity": quantity}]
