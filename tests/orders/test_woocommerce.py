"""Webhooks of WooCommerce become orders (D53)."""

from tests.orders.conftest import Shop, accepted, refused
from tests.orders.hooks import (
    SECRET,
    connect,
    deliver,
    hear_woocommerce,
    map_all,
    recorded,
    woocommerce_headers,
)


async def test_an_order_goes_from_created_to_refunded_each_time_it_is_saved(shop: Shop) -> None:
    await connect(shop, "woocommerce")
    for topic, name in (
        ("order.created", "order_created"),
        ("order.updated", "order_paid"),
        ("order.updated", "order_completed"),
        ("order.updated", "order_refunded"),
    ):
        await hear_woocommerce(shop, topic, recorded("woocommerce", name, 2001))
    order = accepted(await shop.get("/v1/orders/woocommerce:2001"))
    assert (order["origin"], order["status"], order["total_cents"]) == ("woocommerce", "shipped", 2_500)
    assert (order["paid_at"], order["refunded_cents"]) == ("2024-07-01T11:52:00+08:00", 1_000)
    assert (order["customer_id"], order["payments"][0]["method"]) == ("woocommerce:26", "wechatpay")
    assert order["refunds"][0]["refund_id"] == "woocommerce:2002"
    assert await shop.types("woocommerce:2001") == [
        "order.placed.v1",
        "order.reviewed.v1",
        "payment.succeeded.v1",
        "order.paid.v1",
        "order.reviewed.v1",
        "shipment.created.v1",
        "refund.issued.v1",
    ]


async def test_a_line_of_three_for_twenty_adds_up_to_the_cent(shop: Shop) -> None:
    """Twenty yuan for three, five off: no unit price is exact, the line's sum is."""
    await connect(shop, "woocommerce")
    await hear_woocommerce(shop, "order.created", recorded("woocommerce", "order_created", 2003))
    order = accepted(await shop.get("/v1/orders/woocommerce:2003"))
    line = order["lines"][0]
    assert (line["quantity"], line["unit_price_cents"], line["discount_cents"]) == (3, 667, 501)
    assert (order["items_cents"], order["shipping_cents"], order["total_cents"]) == (1_500, 1_000, 2_500)


async def test_a_last_state_that_comes_first_is_the_whole_order(shop: Shop) -> None:
    await connect(shop, "woocommerce")
    await hear_woocommerce(shop, "order.updated", recorded("woocommerce", "order_completed", 2005))
    await hear_woocommerce(shop, "order.created", recorded("woocommerce", "order_created", 2005))
    order = accepted(await shop.get("/v1/orders/woocommerce:2005"))
    assert (order["status"], order["version"], order["paid_cents"]) == ("shipped", 1, 2_500)


async def test_a_colliding_delivery_id_loses_no_change_and_a_repeat_is_known(shop: Shop) -> None:
    await connect(shop, "woocommerce")
    created = recorded("woocommerce", "order_created", 2007)
    same_second = recorded("woocommerce", "order_paid", 2007, **{"03:52:01": "03:50:02"})
    for body in (created, same_second, created):
        accepted(await deliver(shop, "woocommerce", body, woocommerce_headers("order.updated", body)))
    kept = "SELECT count(*) FROM orders.inbound_webhooks WHERE delivery LIKE 'order.updated:2007:%'"
    assert await shop.sql(kept) == [(2,)]
    await map_all(shop)
    assert accepted(await shop.get("/v1/orders/woocommerce:2007"))["status"] == "paid"


async def test_a_deleted_order_is_cancelled_unless_it_has_left(shop: Shop) -> None:
    await connect(shop, "woocommerce")
    await hear_woocommerce(shop, "order.created", recorded("woocommerce", "order_created", 2009))
    await hear_woocommerce(shop, "order.deleted", b'{"id": 2009}')
    order = accepted(await shop.get("/v1/orders/woocommerce:2009"))
    assert (order["status"], order["cancel_reason"]) == ("cancelled", "deleted")


async def test_a_draft_is_no_order(shop: Shop) -> None:
    await connect(shop, "woocommerce")
    draft = recorded("woocommerce", "order_created", 2011, **{'"status": "pending"': '"status": "checkout-draft"'})
    await hear_woocommerce(shop, "order.created", draft)
    refused(await shop.get("/v1/orders/woocommerce:2011"), 404, "not_found")


async def test_the_unsigned_ping_gets_its_answer_and_any_other_unsigned_body_does_not(shop: Shop) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await deliver(shop, "woocommerce", b"webhook_id=142", form, "nowhere")).status_code == 200
    refused(await deliver(shop, "woocommerce", b"order=142", form), 401, "unauthenticated")
    refused(await deliver(shop, "woocommerce", b"webhook_id=142", {}), 401, "unauthenticated")
    assert await shop.sql("SELECT 1 FROM orders.inbound_webhooks WHERE topic = ''") == []


async def test_a_wrong_signature_is_refused(shop: Shop) -> None:
    await connect(shop, "woocommerce")
    body = recorded("woocommerce", "order_created", 2013)
    headers = woocommerce_headers("order.created", body, secret=SECRET + "x")
    refused(await deliver(shop, "woocommerce", body, headers), 401, "unauthenticated")
    signed = woocommerce_headers("order.created", body)
    refused(await deliver(shop, "woocommerce", body + b" ", signed), 401, "unauthenticated")
