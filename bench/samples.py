"""Events as a shop makes them, for all measurements: an order of 600 bytes, page views of 185."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from libs.events.bus import Message, Record
from libs.events.codec import Envelope, to_message
from libs.events.contracts import Channel, OrderPlaced, PageKind, PageViewed
from libs.events.contracts.base import Line
from libs.events.ids import uuid7

STORE = "demo"
DAY = datetime(2024, 7, 1, 2, 0, tzinfo=UTC)
CHANNELS: tuple[Channel, ...] = ("natural_search", "paid", "social", "direct", "referral", "other")
SKUS = 500
VIEWS_A_VISITOR = 10
KINDS: tuple[PageKind, ...] = ("home", "list", "product", "product", "product", "cart")


def order() -> OrderPlaced:
    """Four lines, all attribution given."""
    lines = tuple(Line(sku=f"A{n:03}", quantity=n, unit_price_cents=7800 + n, discount_cents=100) for n in range(1, 5))
    items = sum(line.quantity * line.unit_price_cents - line.discount_cents for line in lines)
    return OrderPlaced(
        order_id="o-1001", customer_id="c-9", customer_tier="gold", origin="storefront", channel="paid",
        source="douyin", campaign="summer-2024", visitor_id="v-77", currency="CNY", lines=lines, shipping_cents=800,
        discount_cents=0, total_cents=items + 800, reservation_id="o-1001~0", placed_at=DAY,
    )  # fmt: skip


def page_view() -> PageViewed:
    """One view of a product."""
    return PageViewed(
        visitor_id="v-000077", session_id="s-12", url_path="/p/A001", page_kind="product", sku="A001", channel="paid",
        source="douyin", device="mobile",
    )  # fmt: skip


def page_views(count: int, *, seed: int = 1, days: int = 1) -> Iterator[Message]:
    """Views of count/10 visitors in one store, as the front door puts them on the bus, in the order of their times.

    A visitor has one channel and sees ten pages within a day, half of them one of 500 products.
    """
    chance = random.Random(seed)
    visitors = max(1, count // VIEWS_A_VISITOR)
    step = timedelta(hours=20) * days / count
    for n in range(count):
        at = DAY + n * step
        visitor = chance.randrange(visitors)
        kind = chance.choice(KINDS)
        event = PageViewed(
            visitor_id=f"v-{seed}-{visitor:06}",
            url_path="/p/x" if kind == "product" else f"/{kind}",
            page_kind=kind,
            sku=f"A{chance.randrange(SKUS):03}" if kind == "product" else None,
            channel=CHANNELS[visitor % len(CHANNELS)],
        )
        yield to_message(envelope_of(event, at))


def envelope_of(event: PageViewed | OrderPlaced, at: datetime = DAY) -> Envelope[PageViewed | OrderPlaced]:
    """An accepted event."""
    source = f"/stores/{STORE}/traffic" if isinstance(event, PageViewed) else "/services/orders"
    return Envelope(uuid7(at), source, STORE, event.subject, at, at, event)


def record_of(message: Message, offset: int = 0) -> Record:
    """The message as a consumer gets it."""
    return Record(message.topic, 0, offset, message.key, message.value, message.headers)


def order_body(order_id: str, *skus: str) -> str:
    """What a storefront posts to place an order, two units of each SKU. `order_id` and SKUs may be placeholders."""
    consignee = {"name": "张三", "phone": "13800005678", "province": "浙江", "city": "杭州", "address": "文三路 1 号"}
    body = {
        "order_id": order_id,
        "customer_id": "c-" + order_id,
        "origin": "storefront",
        "channel": "paid",
        "source": "douyin",
        "visitor_id": "v-77",
        "currency": "CNY",
        "lines": [{"sku": sku, "quantity": 2, "unit_price_cents": 7800} for sku in skus],
        "consignee": consignee,
    }
    return json.dumps(body, ensure_ascii=False)
