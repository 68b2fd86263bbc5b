"""Orders of every fate side by side: afterwards orders and inventory agree on every unit, and no other store sees any.

Each life is driven to its end over HTTP; then `verify` looks at all of them together.
"""

import asyncio
from typing import Any

import httpx2
import pytest

from libs.service.auth import SCOPES
from libs.service.routes import PUBLIC
from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import PRICE, Json, Storefront, good, order_body, until

GOODS = ("M-1", "M-2", "M-3")


def line(sku: str, quantity: int) -> Json:
    return {"sku": sku, "quantity": quantity}


def priced(sku: str, quantity: int) -> Json:
    return {**line(sku, quantity), "unit_price_cents": PRICE}


async def bought(shop: Storefront, order_id: str, *lines: tuple[str, int], **more: Any) -> None:
    """Placed and paid."""
    good(await shop.place(order_id, *lines, **more))
    await shop.pay(order_id)


async def arrived(shop: Storefront, order_id: str, *lines: tuple[str, int]) -> None:
    """Placed, paid, shipped, delivered."""
    await bought(shop, order_id, *lines)
    await shop.deliver((await shop.ship(order_id))["shipment_id"])


async def amended(shop: Storefront) -> None:
    answer = await shop.place("life-amended", ("M-1", 3))
    change = {"lines": [priced("M-1", 1), priced("M-2", 2)]}
    client = shop.platform.client("orders")
    path = "/v1/orders/life-amended/amend"
    unguarded = await client.post(path, params={"store": shop.store}, json=change)
    assert unguarded.status_code == 428
    headers = {"If-Match": answer.headers["etag"]}
    good(await client.post(path, params={"store": shop.store}, json=change, headers=headers))
    stale = await client.post(path, params={"store": shop.store}, json=change, headers=headers)
    assert stale.status_code == 412
    await shop.pay("life-amended")


async def cancelled(shop: Storefront) -> None:
    good(await shop.place("life-regretted", ("M-1", 2)))
    await shop.post("orders", "/v1/orders/life-regretted/cancel", {"reason": "no", "by": "customer"})
    await bought(shop, "life-paid-back", ("M-2", 2))
    await shop.post("orders", "/v1/orders/life-paid-back/cancel", {"reason": "no", "by": "customer"})
    refund = {"refund_id": "f-paid-back", "amount_cents": 2 * PRICE, "reason": "cancelled"}
    await shop.post("orders", "/v1/orders/life-paid-back/refunds", refund)


async def in_two_parcels(shop: Storefront) -> None:
    await bought(shop, "life-parcels", ("M-1", 2), ("M-1", 2))
    first = await shop.ship("life-parcels", lines=[line("M-1", 1)])
    assert first["order"]["status"] == "partly_shipped"
    assert (await shop.ship("life-parcels"))["order"]["status"] == "shipped"


async def returned(shop: Storefront, condition: str) -> None:
    order_id, name = f"life-{condition}", f"ret-{condition}"
    await arrived(shop, order_id, ("M-2", 2))
    asked = {"return_id": name, "lines": [line("M-2", 1)], "reason": "too small", "kind": "refund"}
    await shop.post("orders", f"/v1/orders/{order_id}/returns", asked)
    for step in ("approve", "receive"):
        await shop.post("orders", f"/v1/returns/{name}/{step}", {})
    await shop.post("orders", f"/v1/returns/{name}/inspect", {"condition": condition})
    await shop.post("orders", f"/v1/returns/{name}/refund", {"refund_id": f"f-{name}", "amount_cents": PRICE})


async def exchanged(shop: Storefront) -> None:
    await arrived(shop, "life-exchange", ("M-1", 1))
    asked = {"return_id": "ret-exchange", "lines": [line("M-1", 1)], "reason": "too small", "kind": "exchange"}
    await shop.post("orders", "/v1/orders/life-exchange/returns", asked)
    for step in ("approve", "receive"):
        await shop.post("orders", f"/v1/returns/ret-exchange/{step}", {})
    await shop.post("orders", "/v1/returns/ret-exchange/inspect", {"condition": "resellable"})
    await shop.post("orders", "/v1/returns/ret-exchange/exchange", {"lines": [priced("M-3", 1)]})
    await shop.ship("life-exchange", lines=[line("M-3", 1)])


async def half_exchanged(shop: Storefront) -> None:
    """The other goods of the exchange still wait in the house."""
    await arrived(shop, "life-waits", ("M-1", 2))
    asked = {"return_id": "ret-waits", "lines": [line("M-1", 1)], "reason": "too small", "kind": "exchange"}
    await shop.post("orders", "/v1/orders/life-waits/returns", asked)
    for step in ("approve", "receive"):
        await shop.post("orders", f"/v1/returns/ret-waits/{step}", {})
    await shop.post("orders", "/v1/returns/ret-waits/inspect", {"condition": "resellable"})
    await shop.post("orders", "/v1/returns/ret-waits/exchange", {"lines": [priced("M-3", 2)]})


async def oversold(shop: Storefront) -> None:
    """A marketplace sold more than there is; the next receipt is for it."""
    await shop.stock(3, "M-over")
    await bought(shop, "life-oversold", ("M-over", 5), origin="tmall")

    async def short() -> bool:
        return bool((await shop.level("M-over"))["short"] == 2)

    await until(short)
    receipt = {"receipt_id": "more-over", "sku": "M-over", "warehouse": "main", "quantity": 4}
    await shop.post("inventory", "/v1/receipts", receipt)
    assert (await shop.level("M-over"))["short"] == 0
    await shop.ship("life-oversold")


async def lost_in_the_house(shop: Storefront) -> None:
    """Units that were promised turn out to be missing: the paid order waits for the rest."""
    await shop.stock(10, "M-lost")
    good(await shop.place("life-lost", ("M-lost", 5)))
    loss = {"adjustment_id": "a-lost", "sku": "M-lost", "warehouse": "main", "quantity": -8, "reason": "lost"}
    await shop.post("inventory", "/v1/adjustments", loss)
    await shop.pay("life-lost")


async def backordered(shop: Storefront) -> None:
    """Its hold was given away before the money came; it waits, and gets the next units."""
    await shop.stock(5, "M-back")
    good(await shop.place("life-back", ("M-back", 5)))
    await shop.post("inventory", "/v1/reservations/life-back~0/release", {})
    await bought(shop, "life-quicker", ("M-back", 5))
    await shop.pay("life-back")

    async def unfulfillable() -> bool:
        return bool((await shop.order("life-back"))["status"] == "paid_unfulfillable")

    await until(unfulfillable)  # at once; by the event where inventory took its time to answer (D16)
    await shop.post("orders", "/v1/orders/life-back/backorder", {})

    async def waiting() -> bool:
        return bool((await shop.level("M-back"))["short"] == 5)

    await until(waiting)
    receipt = {"receipt_id": "more-back", "sku": "M-back", "warehouse": "main", "quantity": 5}
    await shop.post("inventory", "/v1/receipts", receipt)

    async def paid_again() -> bool:
        return bool((await shop.order("life-back"))["status"] == "paid")

    await until(paid_again)


async def with_a_service(shop: Storefront) -> None:
    await shop.stock(0, "M-post", kind="service")

    async def known() -> httpx2.Response | None:
        answer = await shop.place("life-service", ("M-1", 1), ("M-post", 1))
        return answer if answer.is_success else None

    await until(known)
    await shop.pay("life-service")


async def of_an_unknown_sku(shop: Storefront) -> None:
    held = good(await shop.place("life-unknown", ("M-nobody-listed", 2), origin="tmall"))
    assert (held["review"]["decision"], held["review"]["reasons"]) == ("held", ["sku_unknown"])
    await shop.pay("life-unknown")
    waiting = (await shop.get("orders", "/v1/review-queue"))["items"]
    assert "life-unknown" in [order["order_id"] for order in waiting]
    await shop.post("orders", "/v1/orders/life-unknown/review", {"decision": "approved"})


LIVES = (
    amended, cancelled, in_two_parcels, exchanged, half_exchanged, oversold, lost_in_the_house, backordered,
    with_a_service, of_an_unknown_sku,
)  # fmt: skip


@pytest.fixture(scope="module")
async def lived(platform: Platform) -> Storefront:
    """All of them, at the same time."""
    shop = Storefront(platform)
    await shop.stock(100, *GOODS)
    await asyncio.gather(*(life(shop) for life in LIVES), returned(shop, "resellable"), returned(shop, "damaged"))
    return shop


async def test_afterwards_every_service_agrees(platform: Platform, lived: Storefront) -> None:
    await verified(platform)
    level = await lived.level("M-2")
    # amended 2 of which none left; two orders of 2 sent, one unit of each back, one of these damaged
    assert (level["on_hand"], level["damaged"], level["allocated"]) == (97, 1, 2)


# other stores

EVERYTHING = [scope for scope in SCOPES if scope != "internal"]


@pytest.fixture(scope="module")
async def stranger(platform: Platform, lived: Storefront) -> Storefront:
    """Another store with every right, over itself."""
    return Storefront(platform, "other", await platform.add_key("other", *EVERYTHING))


async def ids_of(shop: Storefront) -> dict[str, str]:
    """An existing id for every parameter of a path."""
    incidents = (await shop.get("alerts", "/v1/incidents"))["items"]
    return {
        "order_id": "life-exchange",
        "shipment_id": "ship-life-exchange-1",
        "return_id": "ret-exchange",
        "reservation_id": "life-amended~1",
        "sku": "M-1",
        "incident_id": incidents[0]["incident_id"],
        "name": "ops",
    }


async def calls_of(platform: Platform) -> list[tuple[str, str, str, Json]]:
    """(service, method, path, description) of every documented call that names something by one of these ids."""
    found = []
    for service in ("orders", "inventory", "alerts"):
        paths = (await platform.client(service).get("/openapi.json")).json()["paths"]
        found += [(service, m.upper(), path, told) for path, methods in paths.items() for m, told in methods.items()]
    return [call for call in found if "{" in call[2] and call[3]["x-scope"] != PUBLIC and call[1] in ("GET", "POST")]


async def test_to_another_store_what_exists_looks_like_what_does_not(
    platform: Platform, lived: Storefront, stranger: Storefront
) -> None:
    channel = {"kind": "webhook", "url": "http://127.0.0.1:9/", "secret": "whsec_" + "QUJD" * 8, "language": "en"}
    await lived.put("alerts", "/v1/channels/ops", channel)
    own = Storefront(platform, "demo", await platform.add_key("demo", *EVERYTHING))
    ids = await ids_of(lived)
    before = await state_of(lived)
    asked = 0
    for service, method, path, _ in await calls_of(platform):
        names = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        if not names <= ids.keys():
            continue
        theirs = await said(stranger, service, method, path, ids)
        nobodys = await said(stranger, service, method, path, dict.fromkeys(ids, "never-was"))
        assert theirs == nobodys, path
        assert theirs[0] >= 400, path
        if method == "GET":
            assert (await said(own, service, method, path, ids))[0] == 200, f"{path} would show nothing to anybody"
        asked += 1
    assert asked >= 20
    assert await state_of(lived) == before


async def said(shop: Storefront, service: str, method: str, path: str, ids: dict[str, str]) -> tuple[int, Json]:
    """Status and problem, without what names the call itself."""
    for name, value in ids.items():
        path = path.replace("{" + name + "}", value)
    client = shop.platform.client(service, shop.key)
    body = {"POST": BODIES.get(path.rsplit("/", 1)[1], {})}.get(method)
    answer = await client.request(method, path, json=body)
    hidden = {"request_id", "instance"}
    return answer.status_code, {k: v for k, v in answer.json().items() if k not in hidden}


BODIES: dict[str, Json] = {
    "payments": {"payment_id": "p-x", "method": "m", "amount_cents": 1, "currency": "CNY", "status": "succeeded"},
    "cancel": {"reason": "x", "by": "store"},
    "amend": {"lines": [priced("M-1", 1)]},
    "review": {"decision": "approved"},
    "shipments": {"carrier": "x", "tracking_number": "x"},
    "scans": {"status": "delivered"},
    "returns": {"lines": [line("M-1", 1)], "reason": "x", "kind": "refund"},
    "inspect": {"condition": "damaged"},
    "exchange": {"lines": [priced("M-1", 1)]},
    "refund": {"amount_cents": 1},
    "refunds": {"amount_cents": 1},
    "allocate": {"order_id": "o-x"},
    "assign": {"owner": "x"},
    "comment": {"text": "x"},
    "resolve": {
        "cause_code": "other", "cause": "x", "measures": "x", "owner": "x", "completed_at": "2024-07-01T00:00:00+08:00",
    },
}  # fmt: skip


async def state_of(shop: Storefront) -> list[Any]:
    """Everything of the store that those calls are about."""
    orders = [order for order in await shop.orders() if order["order_id"].startswith("life-")]
    incidents = (await shop.get("alerts", "/v1/incidents", limit="500"))["items"]
    return [orders, incidents, [await shop.level(sku) for sku in GOODS]]


async def test_another_stores_lists_show_nothing_of_it(stranger: Storefront) -> None:
    assert await stranger.orders() == []
    for service, path in (
        ("inventory", "/v1/skus"), ("inventory", "/v1/stock"), ("inventory", "/v1/movements"),
        ("alerts", "/v1/incidents"), ("alerts", "/v1/notifications"), ("orders", "/v1/review-queue"),
        ("kpi", "/v1/corrections?from=2024-07-01"),
    ):  # fmt: skip
        answer = await stranger.platform.client(service, stranger.key).get(path)
        assert answer.json()["items"] == [], path
    mine = order_body("life-exchange", ("M-1", 1), origin="tmall", currency="GBP")
    placed = await stranger.call("POST", "orders", "/v1/orders", mine)
    assert placed.status_code == 201, "the same id in another store is another order"
