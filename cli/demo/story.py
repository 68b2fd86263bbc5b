"""The demo's store: its goods and what its visitors do, hour by hour. Pure and seeded: same seed, same story."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
CURRENCY = "CNY"
TARGET_CONVERSION = 0.03
USUAL_CONVERSION = 0.034
VISITORS_A_DAY = 1_200
CUSTOMERS = 900

CHANNELS: Sequence[tuple[str, str, int]] = (
    ("natural_search", "baidu", 45),
    ("paid", "douyin", 28),
    ("social", "xiaohongshu", 14),
    ("direct", "", 10),
    ("referral", "smzdm", 3),
)
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 1, 2, 3, 4, 6, 7, 7, 7, 6, 6, 6, 6, 6, 6, 8, 10, 11, 8, 4)
"""How a store day's visitors spread over its hours."""


@dataclass(frozen=True, slots=True)
class Good:
    """A SKU of the demo's store."""

    sku: str
    title: str
    category: str
    price_cents: int
    cost_cents: int
    stock: int = 5_000


GOODS: Sequence[Good] = (
    Good("A001", "夏季连衣裙", "dress", 15_900, 6_100),
    Good("A002", "雪纺半身裙", "dress", 12_900, 4_800),
    Good("A003", "亚麻衬衫", "shirt", 13_900, 5_200),
    Good("A004", "纯棉T恤", "shirt", 6_900, 2_100),
    Good("A005", "高腰牛仔裤", "trousers", 19_900, 8_000),
    Good("A006", "休闲短裤", "trousers", 8_900, 3_000),
    Good("A007", "针织开衫", "knitwear", 17_900, 7_200),
    Good("A008", "防晒外套", "coat", 22_900, 9_400),
    Good("A009", "草编帽", "accessory", 5_900, 1_700),
    Good("A010", "帆布包", "accessory", 9_900, 3_300),
)
BEST_SELLER = Good("B001", "限量款碎花裙", "dress", 19_900, 7_500, stock=40)
"""The one that sells out while the demo watches."""


@dataclass(slots=True)
class Hour:
    """What happened in one hour: traffic in the short form, and orders as the storefront places them."""

    start: datetime
    events: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)


def history(until: datetime, days: int, seed: int) -> list[Hour]:
    """The full hours of the last `days` store days before `until`; the very last one goes badly."""
    last = until.astimezone(ZONE).replace(minute=0, second=0, microsecond=0)
    first = (last - timedelta(days=days)).replace(hour=0)
    starts = [first + timedelta(hours=n) for n in range(int((last - first) / timedelta(hours=1)))]
    return [*(usual_hour(start, seed) for start in starts[:-1]), bad_hour(starts[-1], seed)]


def usual_hour(start: datetime, seed: int) -> Hour:
    """An ordinary hour: visitors by time of day, a steady conversion."""
    rng = random.Random(f"{seed}:{start.isoformat()}")
    weight = HOUR_WEIGHTS[start.hour] / sum(HOUR_WEIGHTS)
    visitors = round(VISITORS_A_DAY * weight * rng.uniform(0.85, 1.15))
    return _hour(start, visitors, USUAL_CONVERSION, rng)


def bad_hour(start: datetime, seed: int) -> Hour:
    """An hour in which a campaign brings many visitors and hardly anybody buys."""
    return _hour(start, 460, 0.004, random.Random(f"{seed}:bad:{start.isoformat()}"), channel=("paid", "douyin"))


def _hour(
    start: datetime, visitors: int, conversion: float, rng: random.Random, *, channel: tuple[str, str] | None = None
) -> Hour:
    hour = Hour(start)
    for n in range(visitors):
        _visit(hour, f"{start:%Y%m%d%H}-{n}", conversion, rng, channel or _channel(rng))
    return hour


def _visit(hour: Hour, name: str, conversion: float, rng: random.Random, channel: tuple[str, str]) -> None:
    """One visitor: some pages, perhaps a cart, perhaps an order."""
    visitor, good = f"v-{name}", rng.choice(GOODS)
    at = hour.start + timedelta(seconds=rng.uniform(0, 3_000))
    buys = rng.random() < conversion
    pages = ["/", f"/p/{good.sku}", *("/list" for _ in range(rng.randrange(0, 4)))]
    steps = [("page.viewed", path) for path in pages[: rng.choice((1, 2, 3, 5)) if not buys else 5]]
    if buys or rng.random() < 0.08:
        steps.append(("cart.added", f"/p/{good.sku}"))
    if buys:
        steps.append(("checkout.started", "/checkout"))
    device = rng.choice(("mobile", "mobile", "mobile", "desktop"))
    for m, (kind, path) in enumerate(steps):
        at += timedelta(seconds=rng.uniform(5, 60))
        hour.events.append(_event(f"{visitor}-{m}", kind, at, visitor, path, good, channel, device))
    if buys:
        hour.orders.append(order(f"D{name}", good, rng.choice((1, 1, 1, 2)), at, visitor, rng))


def _channel(rng: random.Random) -> tuple[str, str]:
    name, source, _ = rng.choices(CHANNELS, [share for _, _, share in CHANNELS])[0]
    return name, source


def _event(
    event_id: str,
    kind: str,
    at: datetime,
    visitor: str,
    path: str,
    good: Good,
    channel: tuple[str, str],
    device: str,
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": event_id,
        "type": kind,
        "time": at.isoformat(),
        "visitor_id": visitor,
        "channel": channel[0],
        "device": device,
    }
    if channel[1]:
        event["source"] = channel[1]
    if kind == "page.viewed":
        event |= {"url_path": path, "page_kind": _page_kind(path)}
    if kind == "cart.added" or path.startswith("/p/"):
        event["sku"] = good.sku
    if kind == "checkout.started":
        event["lines"] = [{"sku": good.sku, "quantity": 1}]
    return event


def _page_kind(path: str) -> str:
    return "home" if path == "/" else "list" if path == "/list" else "product"


def order(
    order_id: str, good: Good, quantity: int, at: datetime | None, visitor: str, rng: random.Random
) -> dict[str, Any]:
    """An order as the storefront places it; without `at` it is placed now."""
    placed: dict[str, Any] = {
        "order_id": order_id,
        "customer_id": f"c-{rng.randrange(CUSTOMERS)}",
        "origin": "storefront",
        "visitor_id": visitor,
        "currency": CURRENCY,
        "lines": [{"sku": good.sku, "quantity": quantity, "unit_price_cents": good.price_cents}],
        "consignee": {
            "name": "张三",
            "phone": f"138{rng.randrange(10**8):08d}",
            "province": "浙江",
            "city": "杭州",
            "address": "文三路 1 号",
        },
    }
    if at is not None:
        placed["placed_at"] = at.isoformat()
    return placed


def sku_body(good: Good) -> dict[str, Any]:
    """A good as `PUT /v1/skus/{sku}` takes it."""
    return {
        "kind": "goods",
        "title": good.title,
        "category": good.category,
        "price_cents": good.price_cents,
        "cost_cents": good.cost_cents,
        "safety": 10,
        "lead_days": 7,
        "listed": True,
    }
