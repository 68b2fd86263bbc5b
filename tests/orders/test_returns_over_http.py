"""Returns and exchanges over HTTP (ORD-6, D20)."""

from typing import Any

import pytest

from libs.events.contracts import PolicyChanged, SkuListed
from tests.orders.conftest import Shop, accepted, line_json, refused


async def delivered(shop: Shop, order_id: str) -> None:
    await shop.place(order_id)
    await shop.pay(order_id)
    parcel = {"shipment_id": f"{order_id}-s", "carrier": "SF", "tracking_number": "SF1"}
    accepted(await shop.post(f"/v1/orders/{order_id}/shipments", parcel))
    accepted(await shop.post(f"/v1/shipments/{order_id}-s/scans", {"status": "delivered"}))


async def requested(shop: Shop, order_id: str, **changes: Any) -> dict[str, Any]:
    body = {"return_id": f"{order_id}-r", "lines": [{"sku": "A001", "quantity": 1}], "reason": "wrong_goods", **changes}
    return accepted(await shop.post(f"/v1/orders/{order_id}/returns", body))


async def test_a_return_goes_from_request_to_refund(shop: Shop) -> None:
    await delivered(shop, "r-1")
    asked = await requested(shop, "r-1")
    assert (asked["return_id"], asked["status"], asked["kind"]) == ("r-1-r", "requested", "refund")
    for step, body, status in (
        ("approve", None, "approved"),
        ("receive", {}, "received"),
        ("inspect", {"condition": "resellable"}, "inspected"),
        ("refund", {"refund_id": "r-1-f", "amount_cents": 7_800}, "refunded"),
    ):
        first = await shop.post(f"/v1/returns/r-1-r/{step}", body)
        assert accepted(first)["status"] == status
        assert (await shop.post(f"/v1/returns/r-1-r/{step}", body)).text == first.text
    order = accepted(await shop.get("/v1/orders/r-1"))
    assert (order["refunded_cents"], order["lines"][0]["returned"]) == (7_800, 1)
    assert (await shop.types("r-1"))[-5:] == [
        "return.requested.v1",
        "return.approved.v1",
        "return.received.v1",
        "return.inspected.v1",
        "refund.issued.v1",
    ]
    assert (await shop.events("r-1"))[-1].data.return_id == "r-1-r"


@pytest.mark.parametrize(
    ("step", "body"),
    [
        ("receive", None),
        ("inspect", {"condition": "damaged"}),
        ("refund", {"amount_cents": 100}),
        ("exchange", {"lines": [line_json("B002", 1, 100)]}),
    ],
)
async def test_no_step_is_skipped(shop: Shop, step: str, body: dict[str, Any] | None) -> None:
    await delivered(shop, f"r-skip-{step}")
    await requested(shop, f"r-skip-{step}")
    problem = refused(await shop.post(f"/v1/returns/r-skip-{step}-r/{step}", body), 409, "wrong_state")
    assert (problem["state"], problem["possible"]) == ("requested", ["approve", "refuse"])


async def test_a_refused_return_tells_why(shop: Shop) -> None:
    await delivered(shop, "r-no")
    await requested(shop, "r-no")
    body = accepted(await shop.post("/v1/returns/r-no-r/refuse", {"reason": "worn"}))
    assert (body["status"], body["refusal"]) == ("refused", "worn")
    assert (await shop.events("r-no"))[-1].data.refusal == "worn"


async def test_money_goes_back_at_once_where_policy_says_so(shop: Shop) -> None:
    await delivered(shop, "r-fast")
    await requested(shop, "r-fast")
    accepted(await shop.post("/v1/returns/r-fast-r/approve"))
    policy = PolicyChanged(
        policy_id="refund_at_once", kind="refund_at_once", after={"value": True}, by="li", valid_from=shop.now
    )
    await shop.hear(policy)
    body = accepted(await shop.post("/v1/returns/r-fast-r/refund", {"amount_cents": 7_800}))
    assert (body["status"], body["order"]["refunded_cents"]) == ("approved", 7_800)


async def test_an_exchange_holds_and_ships_other_goods_on_the_same_order(shop: Shop) -> None:
    await delivered(shop, "r-swap")
    await requested(shop, "r-swap", kind="exchange")
    accepted(await shop.post("/v1/returns/r-swap-r/approve"))
    accepted(await shop.post("/v1/returns/r-swap-r/receive"))
    accepted(await shop.post("/v1/returns/r-swap-r/inspect", {"condition": "damaged"}))
    swap = {"lines": [line_json("B002", 1, 7_800)]}
    body = accepted(await shop.post("/v1/returns/r-swap-r/exchange", swap))
    assert (body["status"], shop.shelf.kept["r-swap~1"].reservation.status) == ("exchanged", "allocated")
    assert [(line["sku"], line["shipped"]) for line in body["order"]["lines"]] == [("A001", 1), ("B002", 0)]
    sent = accepted(await shop.post("/v1/orders/r-swap/shipments", {"carrier": "SF", "tracking_number": "SF2"}))
    assert sent["lines"] == [{"sku": "B002", "quantity": 1}]
    parcels = [e.data.return_id for e in await shop.events("r-swap") if e.type == "shipment.created.v1"]
    assert parcels == [None, "r-swap-r"], "the parcel of an exchange says so"


async def test_a_service_stays_one_when_lines_are_exchanged_or_amended(shop: Shop) -> None:
    """Postage never waits to be shipped, however the order came by it (D9)."""
    await shop.hear(SkuListed(sku="POST", kind="service", title="Postage", price_cents=100))
    shop.shelf.units["POST"] = 10**6
    lines = [line_json("A001", 2, 7_800), line_json("POST", 1, 100)]
    await shop.place("r-post")
    async with shop.client(**{"If-Match": "*"}) as client:
        accepted(await client.post("/v1/orders/r-post/amend", json={"lines": lines}))
    await shop.pay("r-post", 15_700)
    parcel = {"carrier": "SF", "tracking_number": "SF1", "lines": [{"sku": "A001", "quantity": 2}]}
    sent = accepted(await shop.post("/v1/orders/r-post/shipments", parcel))
    assert sent["order"]["status"] == "shipped"


async def test_an_unknown_return_is_not_found(shop: Shop) -> None:
    refused(await shop.post("/v1/returns/nowhere/approve"), 404, "not_found")
