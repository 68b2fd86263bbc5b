"""Webhooks of Shopify become orders: recorded messages, in their order and out of it (D53, ORD-7)."""

import asyncio
import json
import zlib
from datetime import timedelta

import pytest

from services.orders import inbox
from tests.orders.conftest import Shop, accepted, refused
from tests.orders.hooks import (
    OLD_SECRET,
    SECRET,
    connect,
    deliver,
    deliveries,
    hear_shopify,
    map_all,
    recorded,
    shopify_headers,
    stock_catalogue,
)


async def test_a_created_order_becomes_an_order_here(shop: Shop) -> None:
    await connect(shop, "shopify", sku_map={"B 002": "B002"})
    await hear_shopify(shop, "orders/create", recorded("shopify", "orders_create", 1001))
    order = accepted(await shop.get("/v1/orders/shopify:1001"))
    assert (order["origin"], order["status"], order["currency"]) == ("shopify", "placed", "CNY")
    assert (order["items_cents"], order["shipping_cents"], order["total_cents"]) == (25_400, 1_200, 26_600)
    assert [(x["sku"], x["quantity"], x["unit_price_cents"], x["discount_cents"]) for x in order["lines"]] == [
        ("A001", 2, 7_800, 1_200),
        ("B002", 1, 11_800, 800),
    ]
    assert order["placed_at"] == "2024-07-01T11:50:00+08:00"
    assert order["consignee"]["name"] == "张*"
    assert order["customer_id"] == "shopify:115310627314723954"
    assert await shop.types("shopify:1001") == ["order.placed.v1", "order.reviewed.v1"]


async def test_an_unknown_sku_is_held_for_review(shop: Shop) -> None:
    await connect(shop, "shopify")
    await hear_shopify(shop, "orders/create", recorded("shopify", "orders_create", 1003))
    order = accepted(await shop.get("/v1/orders/shopify:1003"))
    assert [line["sku"] for line in order["lines"]] == ["A001", "B_002"], "blanks become _"
    assert (order["review"]["decision"], order["review"]["reasons"]) == ("held", ["sku_unknown"])


@pytest.mark.parametrize(
    ("code", "sku_map", "sku"),
    [
        ("A 001", {}, "A_001"),
        (None, {}, "shopify-808950810"),
        ("裙子", {}, "shopify-808950810"),
        ("", {"808950810": "A001"}, "A001"),
        ("裙子", {"裙子": "A001"}, "A001"),
        ("A1", {"A1": "A001", "808950810": "B002"}, "A001"),
    ],
)
async def test_codes_of_a_shop_become_skus(shop: Shop, code: str | None, sku_map: dict[str, str], sku: str) -> None:
    number = 4_000 + zlib.crc32(repr((code, sku_map)).encode()) % 100_000
    await connect(shop, "shopify", sku_map=sku_map)
    written = f'"sku": {json.dumps(code)}'
    await hear_shopify(
        shop, "orders/create", recorded("shopify", "orders_create", number, **{'"sku": "A001"': written})
    )
    order = accepted(await shop.get(f"/v1/orders/shopify:{number}"))
    assert order["lines"][0]["sku"] == sku


async def test_an_order_goes_from_placed_to_returned_by_messages_alone(shop: Shop) -> None:
    await connect(shop, "shopify")
    for topic, name in (
        ("orders/create", "orders_create"),
        ("orders/paid", "orders_paid"),
        ("fulfillments/create", "fulfillments_create"),
        ("fulfillments/update", "fulfillments_update"),
        ("refunds/create", "refunds_create"),
    ):
        await hear_shopify(shop, topic, recorded("shopify", name, 1005))
    order = accepted(await shop.get("/v1/orders/shopify:1005"))
    assert (order["status"], order["paid_cents"], order["refunded_cents"]) == ("delivered", 26_600, 7_200)
    assert order["shipments"][0]["tracking_number"] == "SF1400012345678"
    assert order["lines"][0]["returned"] == 1
    assert await shop.types("shopify:1005") == [
        "order.placed.v1",
        "order.reviewed.v1",
        "payment.succeeded.v1",
        "order.paid.v1",
        "order.reviewed.v1",
        "shipment.created.v1",
        "shipment.moved.v1",
        "order.delivered.v1",
        "return.requested.v1",
        "return.approved.v1",
        "return.received.v1",
        "return.inspected.v1",
        "refund.issued.v1",
    ]


async def test_messages_out_of_order_lead_to_the_same_order(shop: Shop) -> None:
    await connect(shop, "shopify")
    for topic, name in (
        ("refunds/create", "refunds_create"),
        ("fulfillments/create", "fulfillments_create"),
        ("orders/paid", "orders_paid"),
        ("orders/create", "orders_create"),
    ):
        await hear_shopify(shop, topic, recorded("shopify", name, 1007))
    assert {row["order_id"] for row in await deliveries(shop, "received")} == {"shopify:1007"}
    for _ in range(2):
        shop.wait(seconds=30)
        await map_all(shop)
    order = accepted(await shop.get("/v1/orders/shopify:1007"))
    assert (order["status"], order["paid_cents"], order["refunded_cents"]) == ("shipped", 26_600, 7_200)
    assert len(order["payments"]) == len(order["shipments"]) == len(order["refunds"]) == 1


async def test_a_doubled_message_is_kept_once_and_a_replayed_one_changes_nothing(shop: Shop) -> None:
    await connect(shop, "shopify")
    body = recorded("shopify", "orders_paid", 1009)
    headers = shopify_headers("orders/paid", body, event="e-1009")
    answers = [accepted(await deliver(shop, "shopify", body, headers)) for _ in range(2)]
    assert answers == [{"status": "accepted"}] * 2
    kept = "SELECT count(*) FROM orders.inbound_webhooks WHERE delivery = 'orders/paid:e-1009'"
    assert await shop.sql(kept) == [(1,)]
    await map_all(shop)
    told = await shop.types("shopify:1009")
    await hear_shopify(shop, "orders/paid", body, event="e-1009-again")
    await hear_shopify(shop, "orders/updated", body, event="e-1009-again")
    assert await shop.types("shopify:1009") == told
    assert accepted(await shop.get("/v1/orders/shopify:1009"))["version"] == 1


async def test_an_edit_changes_the_order_and_an_older_message_does_not_change_it_back(shop: Shop) -> None:
    await connect(shop, "shopify")
    await hear_shopify(shop, "orders/create", recorded("shopify", "orders_create", 1011))
    await hear_shopify(shop, "orders/updated", recorded("shopify", "orders_updated", 1011))
    await hear_shopify(shop, "orders/updated", recorded("shopify", "orders_create", 1011))
    order = accepted(await shop.get("/v1/orders/shopify:1011"))
    assert (order["lines"][0]["quantity"], order["total_cents"]) == (1, 19_400)
    amended = [e for e in await shop.events("shopify:1011") if e.type == "order.amended.v1"]
    assert [(e.data.total_cents, e.time.isoformat()) for e in amended] == [(19_400, "2024-07-01T03:53:00+00:00")]


async def test_a_corrected_address_is_kept_and_reviewed_anew(shop: Shop) -> None:
    await stock_catalogue(shop)
    await connect(shop, "shopify", sku_map={"B 002": "B002"})
    bad = recorded("shopify", "orders_create", 1013, **{'"phone": "13800005678"': '"phone": "none"'})
    await hear_shopify(shop, "orders/create", bad)
    assert accepted(await shop.get("/v1/orders/shopify:1013"))["review"]["reasons"] == ["phone_invalid"]
    good = recorded("shopify", "orders_create", 1013, **{"11:50:01": "11:51:00"})
    await hear_shopify(shop, "orders/updated", good)
    order = accepted(await shop.get("/v1/orders/shopify:1013"))
    assert (order["review"]["decision"], order["consignee"]["phone"]) == ("approved", "138****5678")


async def test_a_cancelled_order_is_cancelled_once_by_whoever_did_it(shop: Shop) -> None:
    await connect(shop, "shopify")
    await hear_shopify(shop, "orders/cancelled", recorded("shopify", "orders_cancelled", 1015))
    await hear_shopify(shop, "orders/create", recorded("shopify", "orders_create", 1015))
    order = accepted(await shop.get("/v1/orders/shopify:1015"))
    assert (order["status"], order["cancelled_by"], order["cancel_reason"]) == ("cancelled", "customer", "customer")
    assert order["cancelled_at"] == "2024-07-01T11:55:00+08:00"
    assert await shop.types("shopify:1015") == ["order.placed.v1", "order.reviewed.v1", "order.cancelled.v1"]


async def test_what_was_cancelled_over_there_after_it_left_here_is_noted(shop: Shop) -> None:
    await connect(shop, "shopify")
    await hear_shopify(shop, "orders/paid", recorded("shopify", "orders_paid", 1017))
    await hear_shopify(shop, "fulfillments/create", recorded("shopify", "fulfillments_create", 1017))
    await hear_shopify(shop, "orders/cancelled", recorded("shopify", "orders_cancelled", 1017))
    assert accepted(await shop.get("/v1/orders/shopify:1017"))["status"] == "shipped"
    mine = [row for row in await deliveries(shop, "mapped") if row["order_id"] == "shopify:1017"]
    assert {row["topic"]: row["reason"] for row in mine}[
        "orders/cancelled"
    ] == "cancelled over there after it was shipped here"


async def test_money_for_an_order_that_nobody_told_of_is_told_after_a_day(shop: Shop) -> None:
    await connect(shop, "shopify")
    alone = recorded("shopify", "refunds_create", 1019, **{'"restock_type": "return"': '"restock_type": "no_restock"'})
    await hear_shopify(shop, "refunds/create", alone)
    assert await shop.types("shopify:1019") == []
    shop.wait(hours=25)
    await map_all(shop)
    (told,) = await shop.events("shopify:1019")
    assert (told.type, told.data.amount_cents) == ("refund.issued.v1", 7_200)


async def test_an_order_from_the_future_is_quarantined_with_its_money_until_its_time(shop: Shop) -> None:
    await connect(shop, "shopify")
    at = f"{shop.now.year + 1}-07-03T12:00:00+08:00"
    body = recorded("shopify", "orders_paid", 1021, **{"2024-07-01T11:50:00+08:00": at})
    for event in ("e-1", "e-2"):
        await hear_shopify(shop, "orders/paid", body, event=event)
    refused(await shop.get("/v1/orders/shopify:1021"), 404, "not_found")
    assert {row["order_id"] for row in await deliveries(shop, "quarantined")} == {"shopify:1021"}
    told = await shop.events("shopify:1021")
    assert {(e.id, e.type, e.data.total_cents) for e in told} == {(told[0].id, "order.placed.v1", 26_600)}
    assert all(e.time > e.recorded_time for e in told)
    shop.wait(days=400)
    await map_all(shop)
    assert accepted(await shop.get("/v1/orders/shopify:1021"))["status"] == "paid"


async def test_a_shop_that_is_asked_to_forget_a_customer_has_his_data_deleted(shop: Shop) -> None:
    await connect(shop, "shopify")
    await hear_shopify(shop, "orders/create", recorded("shopify", "orders_create", 1023))
    await hear_shopify(shop, "customers/redact", recorded("shopify", "customers_redact", 1023))
    order = accepted(await shop.get("/v1/orders/shopify:1023", key="pii"))
    assert (order["consignee"], order["total_cents"]) == (None, 26_600)


async def test_a_message_whose_worker_died_is_mapped_when_its_lease_ends(shop: Shop) -> None:
    await connect(shop, "shopify")
    body = recorded("shopify", "orders_create", 1029)
    accepted(await deliver(shop, "shopify", body, shopify_headers("orders/create", body)))
    async with shop.runtime.worker.begin() as tx:
        taken = await inbox.claim_deliveries(tx.session, tx.now, lease=timedelta(seconds=30), limit=100)
    assert taken, "taken, and then the process died"
    await map_all(shop)
    refused(await shop.get("/v1/orders/shopify:1029"), 404, "not_found")
    shop.wait(seconds=31)
    await map_all(shop)
    accepted(await shop.get("/v1/orders/shopify:1029"))


async def test_two_workers_at_once_map_a_message_once(shop: Shop) -> None:
    await connect(shop, "shopify")
    for topic, name in (("orders/create", "orders_create"), ("orders/paid", "orders_paid")):
        body = recorded("shopify", name, 1031)
        accepted(await deliver(shop, "shopify", body, shopify_headers(topic, body)))
    mapper = shop.app.state.mapper
    await asyncio.gather(*(mapper.run() for _ in range(4)), return_exceptions=True)
    shop.wait(seconds=31)
    await map_all(shop)
    types = await shop.types("shopify:1031")
    assert (types.count("order.placed.v1"), types.count("order.paid.v1")) == (1, 1)


async def test_topics_that_say_nothing_of_orders_are_answered_and_ignored(shop: Shop) -> None:
    await connect(shop, "shopify")
    await hear_shopify(shop, "inventory_levels/update", b'{"inventory_item_id": 271878346596884015, "available": 6}')
    ignored = await deliveries(shop, "ignored")
    assert [row["topic"] for row in ignored] == ["inventory_levels/update"]


# whose message it is


async def test_both_secrets_are_good_while_they_are_rotated(shop: Shop) -> None:
    await connect(shop, "shopify", SECRET, OLD_SECRET)
    body = recorded("shopify", "orders_create", 1025)
    for secret, status in ((SECRET, 200), (OLD_SECRET, 200), ("another", 401)):
        answer = await deliver(shop, "shopify", body, shopify_headers("orders/create", body, secret=secret))
        assert answer.status_code == status
    await connect(shop, "shopify", SECRET)
    answer = await deliver(shop, "shopify", body, shopify_headers("orders/create", body, secret=OLD_SECRET))
    assert answer.status_code == 401


async def test_a_wrong_signature_is_refused_and_nothing_is_kept(shop: Shop) -> None:
    await connect(shop, "shopify")
    body = recorded("shopify", "orders_create", 1027)
    good = shopify_headers("orders/create", body)
    before = await shop.sql("SELECT count(*) FROM orders.inbound_webhooks")
    changed = body.replace(b"266.00", b"1.00")
    for content, headers, store in (
        (changed, good, "demo"),
        (body, {**good, "X-Shopify-Hmac-SHA256": ""}, "demo"),
        (body, {name: value for name, value in good.items() if "Hmac" not in name}, "demo"),
        (body, {**good, "X-Shopify-Hmac-SHA256": "=" * 44}, "demo"),
        (body, good, "other"),
        (body, good, "nowhere"),
        (b"", good, "demo"),
    ):
        problem = refused(await deliver(shop, "shopify", content, headers, store), 401, "unauthenticated")
        assert problem["detail"] == "no valid signature", "a store without a shop looks like a wrong signature"
    assert await shop.sql("SELECT count(*) FROM orders.inbound_webhooks") == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"id": 1, "line_items": []}',
        b'{"id": 1, "created_at": "0001-01-01T00:00:00+14:00", "total_price": "1", "line_items": []}',
        b'{"id": 1, "created_at": "2024-07-01T11:50:00", "total_price": "1", "line_items": []}',
        b'{"id": 1, "created_at": "2024-07-01T11:50:00Z", "total_price": "NaN", "line_items": []}',
        b'{"id": 1, "created_at": "2024-07-01T11:50:00Z", "total_price": "1", "line_items": []}',
        b'{"id": 1, "created_at": "2024-07-01T11:50:00Z", "total_price": "1e300", "line_items": []}',
        b'{"id": 1, "created_at": "2024-07-01T11:50:00Z", "total_price": "1", "currency": "yuan",'
        b' "line_items": [{"id": 1, "quantity": 1, "price": "1"}]}',
    ],
)
async def test_a_genuine_message_that_makes_no_sense_is_listed_with_the_reason(shop: Shop, body: bytes) -> None:
    await connect(shop, "shopify")
    event = f"bad {hash(body)}"
    await hear_shopify(shop, "orders/create", body, event=event)
    listed = accepted(await shop.get("/v1/webhook-deliveries", limit=500))["items"]
    (mine,) = [row for row in listed if row["delivery"] == f"orders/create:{event}"]
    assert mine["status"] in ("failed", "ignored")
    assert mine["reason"]
