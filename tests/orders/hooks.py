"""What shops send: recorded messages, signed as the shops sign them."""

import base64
import hashlib
import hmac
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from libs.events.contracts import SkuListed
from services.orders.handlers.webhooks import Mapper
from tests.orders.conftest import Shop, accepted

RECORDED = Path(__file__).parent / "recorded"
SECRET, OLD_SECRET = "shpss_5f1c0a9d2b7e4c66", "shpss_before"
KEY = base64.b64encode(b"a key of thirty-two bytes, so so").decode()
WHSEC = f"whsec_{KEY}"
_IDS = {"shopify": (b"820982911946154508", b"890088186047892319"), "woocommerce": (b"727", b"726")}


def recorded(kind: str, name: str, number: int = 0, **replaced: str) -> bytes:
    """A recorded message, about another order where a number is given, with some texts in it replaced."""
    content = (RECORDED / f"{kind}_{name}.json").read_bytes()
    if number:
        order, refund = _IDS[kind]
        content = content.replace(order, str(number).encode()).replace(refund, str(number + 1).encode())
    for old, new in replaced.items():
        content = content.replace(old.encode(), new.encode())
    return content


def signature(secret: str, said: bytes) -> str:
    """base64(HMAC-SHA256), as Shopify and WooCommerce write it."""
    return base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()


def shopify_headers(topic: str, body: bytes, *, event: str | None = None, secret: str = SECRET) -> dict[str, str]:
    """The headers that Shopify sends."""
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-SHA256": signature(secret, body),
        "X-Shopify-Shop-Domain": "dress.myshopify.com",
        "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "X-Shopify-Event-Id": event or hashlib.sha256(body).hexdigest()[:36],
        "X-Shopify-Triggered-At": "2024-07-01T03:50:01.123Z",
    }


def woocommerce_headers(topic: str, body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    """The headers that WooCommerce sends."""
    return {
        "Content-Type": "application/json",
        "X-WC-Webhook-Source": "https://shop.example.com/",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Resource": "order",
        "X-WC-Webhook-Event": topic.partition(".")[2],
        "X-WC-Webhook-Signature": signature(secret, body),
        "X-WC-Webhook-ID": "142",
        "X-WC-Webhook-Delivery-ID": "8fd3a1c2",
    }


def signed_headers(body: bytes, at: datetime, *, name: str = "msg_1", key: str = KEY) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    seconds = str(int(at.timestamp()))
    said = f"{name}.{seconds}.".encode() + body
    signed = base64.b64encode(hmac.new(base64.b64decode(key), said, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{signed}",
    }


async def connect(shop: Shop, kind: str, *secrets: str, **more: Any) -> dict[str, Any]:
    """Set the shop's secrets."""
    async with shop.client() as client:
        body = {"secrets": list(secrets or (SECRET,)), **more}
        return accepted(await client.put(f"/v1/webhook-sources/{kind}", json=body))


async def deliver(shop: Shop, kind: str, body: bytes, headers: dict[str, str], store: str = "demo") -> httpx2.Response:
    """Send a message, without any key."""
    transport = httpx2.ASGITransport(app=shop.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://orders") as client:
        return await client.post(f"/v1/webhooks/{kind}/{store}", content=body, headers=headers)


async def hear_shopify(shop: Shop, topic: str, body: bytes, **options: Any) -> None:
    """Send a message of Shopify that is accepted, and have it mapped."""
    accepted(await deliver(shop, "shopify", body, shopify_headers(topic, body, **options)))
    await map_all(shop)


async def hear_woocommerce(shop: Shop, topic: str, body: bytes) -> None:
    """As above, of WooCommerce."""
    accepted(await deliver(shop, "woocommerce", body, woocommerce_headers(topic, body)))
    await map_all(shop)


async def stock_catalogue(shop: Shop) -> None:
    """Let the service know the SKUs of the recorded orders."""
    await shop.hear(*(SkuListed(sku=sku, kind="goods", title="Dress", price_cents=7_800) for sku in ("A001", "B002")))


async def map_all(shop: Shop) -> None:
    """Map what has come."""
    mapper: Mapper = shop.app.state.mapper
    await mapper.run()


async def deliveries(shop: Shop, status: str) -> list[dict[str, Any]]:
    """What was sent and ended so."""
    listed: list[dict[str, Any]] = accepted(await shop.get("/v1/webhook-deliveries", status=status))["items"]
    return listed
