"""Standard Webhooks for any other shop (D53): signatures, replays, what a message may say."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.orders.hooks.signatures import is_genuine
from tests.orders.conftest import Shop, accepted, refused
from tests.orders.hooks import KEY, WHSEC, connect, deliver, deliveries, map_all, signed_headers
from tests.orders.samples import NOON

LINES = [{"sku": "A001", "quantity": 2, "unit_price_cents": 7_800}]


def message(kind: str, order_id: str, **more: Any) -> bytes:
    """A message about an order."""
    return json.dumps({"type": kind, "order_id": order_id, **more}).encode()


def whole(kind: str, order_id: str, **more: Any) -> bytes:
    """The same with the whole order."""
    return message(kind, order_id, currency="CNY", lines=LINES, customer_id="13911112222", **more)


async def hear(shop: Shop, body: bytes, name: str) -> None:
    accepted(await deliver(shop, "signed", body, signed_headers(body, shop.now, name=name)))
    await map_all(shop)


async def test_an_order_is_placed_paid_and_cancelled_by_messages(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    await hear(shop, whole("order.placed", "s-1", placed_at="2024-07-01T11:00:00+08:00", total_cents=15_600), "m-1")
    order = accepted(await shop.get("/v1/orders/signed:s-1"))
    assert (order["origin"], order["status"], order["total_cents"]) == ("signed", "placed", 15_600)
    assert order["customer_id"].startswith("h_")
    await hear(shop, message("order.paid", "s-1", method="card", paid_at="2024-07-01T11:30:00+08:00"), "m-2")
    order = accepted(await shop.get("/v1/orders/signed:s-1"))
    assert (order["status"], order["paid_at"], order["payments"][0]["method"]) == (
        "paid",
        "2024-07-01T11:30:00+08:00",
        "card",
    )
    await hear(shop, message("order.cancelled", "s-1", reason="call 13911112222", by="customer"), "m-3")
    order = accepted(await shop.get("/v1/orders/signed:s-1"))
    assert (order["status"], order["cancel_reason"]) == ("cancelled", "call 139****2222")


async def test_a_whole_order_in_data_is_read_too(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    order = {"order_id": "s-2", "currency": "CNY", "lines": LINES}
    body = json.dumps({"type": "order.paid", "timestamp": NOON.isoformat(), "data": order}).encode()
    await hear(shop, body, "m-4")
    assert accepted(await shop.get("/v1/orders/signed:s-2"))["paid_at"] == "2024-07-01T12:00:00+08:00"


async def test_a_step_waits_for_its_order(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    await hear(shop, message("order.paid", "s-3"), "m-5")
    await hear(shop, whole("order.placed", "s-3"), "m-6")
    shop.wait(seconds=30)
    await map_all(shop)
    assert accepted(await shop.get("/v1/orders/signed:s-3"))["status"] == "paid"


async def test_the_reference_library_signs_what_is_taken_here(shop: Shop) -> None:
    body = whole("order.placed", "s-4")
    signature = Webhook(WHSEC).sign("m-7", NOON, body.decode())
    headers = {"webhook-id": "m-7", "webhook-timestamp": str(int(NOON.timestamp())), "webhook-signature": signature}
    assert is_genuine("signed", [WHSEC], headers, body, NOON)
    assert is_genuine("signed", ["whsec_b3RoZXI=", WHSEC], headers, body, NOON), "two secrets while rotating"
    both = {**headers, "webhook-signature": f"v1a,xx v1,{base64.b64encode(b'x').decode()} {signature}"}
    assert is_genuine("signed", [WHSEC], both, body, NOON), "a sender that rotates signs with both"
    assert not is_genuine("signed", [WHSEC], headers, body + b" ", NOON)
    assert not is_genuine("signed", [], headers, body, NOON)


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_a_message_that_is_too_old_or_too_new_is_refused(shop: Shop, seconds: int) -> None:
    await connect(shop, "signed", WHSEC)
    body = whole("order.placed", "s-replayed")
    headers = signed_headers(body, shop.now + timedelta(seconds=seconds))
    refused(await deliver(shop, "signed", body, headers), 401, "unauthenticated")


async def test_a_message_recorded_and_sent_again_has_no_second_effect(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    body = whole("order.paid", "s-5")
    headers = signed_headers(body, shop.now, name="m-8")
    for _ in range(3):
        accepted(await deliver(shop, "signed", body, headers))
    assert await shop.sql("SELECT count(*) FROM orders.inbound_webhooks WHERE delivery = 'm-8'") == [(1,)]
    await map_all(shop)
    assert (await shop.types("signed:s-5")).count("order.paid.v1") == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "m-other"},
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "9" * 30},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": "v1,***"},
        {"webhook-signature": "v1,\u00e9"},
    ],
)
async def test_headers_that_were_tampered_with_are_refused(shop: Shop, changed: dict[str, str]) -> None:
    await connect(shop, "signed", WHSEC)
    body = whole("order.placed", "s-6")
    headers: Any = {**signed_headers(body, shop.now), **changed}
    raw: Any = {name: value.encode("latin-1") for name, value in headers.items()}
    refused(await deliver(shop, "signed", body, raw), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"type": "order.shipped", "order_id": "s-7"}', "type"),
        (b'{"type": "order.placed", "order_id": "s-7"}', "lines"),
        (b'{"type": "order.paid", "order_id": "s 7"}', "order_id"),
        (b'{"type": "order.paid", "order_id": "s-7", "colour": 1}', "colour"),
        (whole("order.placed", "s-7", total_cents=1), "total_cents"),
        (whole("order.placed", "s-7", placed_at="2024-07-01T11:00:00"), "placed_at"),
        (b"[1]", "not an object"),
    ],
)
async def test_what_is_wrong_in_a_genuine_message_is_named(shop: Shop, body: bytes, reason: str) -> None:
    await connect(shop, "signed", WHSEC)
    name = f"bad-{hash(body)}"
    await hear(shop, body, name)
    (mine,) = [row for row in await deliveries(shop, "failed") if row["delivery"] == name]
    assert reason in mine["reason"]


# the source itself


async def test_secrets_are_never_shown_and_lie_sealed(shop: Shop) -> None:
    shown = await connect(shop, "signed", WHSEC, currency="CNY", sku_map={"red dress": "A001"})
    assert (shown["secrets"], shown["path"]) == (["***"], "/v1/webhooks/signed/demo")
    read = accepted(await shop.get("/v1/webhook-sources/signed", key="reader"))
    assert (read["secrets"], read["sku_map"]) == (["***"], {"red dress": "A001"})
    ((sealed,),) = await shop.sql("SELECT secrets FROM orders.webhook_sources WHERE kind = 'signed'")
    assert KEY.encode() not in bytes(sealed)
    assert await shop.sql("SELECT 1 FROM access.audit WHERE after::text LIKE :key", key=f"%{KEY[:12]}%") == []


@pytest.mark.parametrize(
    ("kind", "body", "pointer"),
    [
        ("signed", {"secrets": ["whsec_"]}, "/secrets/0"),
        ("signed", {"secrets": [WHSEC, "not base64!"]}, "/secrets/1"),
        ("shopify", {"secrets": []}, "/secrets"),
        ("shopify", {"secrets": ["a", "b", "c"]}, "/secrets"),
        ("shopify", {"secrets": ["with blank in it"]}, "/secrets/0"),
        ("shopify", {"secrets": ["a"], "currency": "yuan"}, "/currency"),
        ("shopify", {"secrets": ["a"], "sku_map": {"x": "not a sku"}}, "/sku_map/x"),
        ("shopify", {}, "/secrets"),
    ],
)
async def test_a_source_that_makes_no_sense_is_refused(
    shop: Shop, kind: str, body: dict[str, Any], pointer: str
) -> None:
    async with shop.client() as client:
        problem = refused(await client.put(f"/v1/webhook-sources/{kind}", json=body), 422, "validation")
    assert problem["errors"][0]["pointer"] == pointer


async def test_a_source_of_another_store_or_kind_is_not_there(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    refused(await shop.get("/v1/webhook-sources/signed", key="other"), 404, "not_found")
    assert (await shop.get("/v1/webhook-sources/taobao")).status_code == 422
    async with shop.client(**{"If-Match": '"7"'}) as client:
        refused(await client.put("/v1/webhook-sources/signed", json={"secrets": [WHSEC]}), 412, "stale")


# what is kept


async def test_bodies_lie_sealed_and_are_forgotten_a_week_after_they_were_mapped(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    consignee = {"name": "Zhang Canary", "phone": "13911113333", "address": "Canary Street 9"}
    await hear(shop, whole("order.placed", "s-8", consignee=consignee), "m-9")
    await hear(shop, message("order.paid", "s-waits"), "m-10")
    kept = "SELECT delivery, body FROM orders.inbound_webhooks WHERE delivery IN ('m-9', 'm-10') AND body IS NOT NULL"
    assert [b"Canary" in bytes(body) for _, body in await shop.sql(kept)] == [False, False]
    shop.wait(days=6, hours=23)
    await shop.app.state.mapper.purge()
    assert len(await shop.sql(kept)) == 2
    shop.wait(hours=2)
    await shop.app.state.mapper.purge()
    assert [name for name, _ in await shop.sql(kept)] == ["m-10"], "what still waits is kept"


async def test_a_failed_message_can_be_mapped_again_after_mending(shop: Shop) -> None:
    await connect(shop, "signed", WHSEC)
    body = whole("order.placed", "s-9").replace(b'"CNY"', b'"cny"')
    await hear(shop, body, "m-11")
    (mine,) = [row for row in await deliveries(shop, "failed") if row["delivery"] == "m-11"]
    again = accepted(await shop.post(f"/v1/webhook-deliveries/{mine['webhook_id']}/retry"))
    assert again["status"] == "received"
    await map_all(shop)
    (mine,) = [row for row in await deliveries(shop, "failed") if row["delivery"] == "m-11"]
    assert mine["attempts"] == 2
    refused(await shop.post("/v1/webhook-deliveries/nothing/retry"), 404, "not_found")
