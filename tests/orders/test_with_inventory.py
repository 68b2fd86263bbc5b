"""Orders and inventory together, two processes over HTTP and the bus: nothing is sold twice (INV-4, D12, D16)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from tests.orders.conftest import accepted, line_json, order_json, payment_json, refused
from tests.support.services import Platform, running_services

STORE = {"store": "demo"}
BUYERS, UNITS = 500, 50


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Both services as processes."""
    logs = tmp_path_factory.mktemp("logs")
    async with running_services(database, "orders", "inventory", logs=logs) as made:
        yield made


async def put_sku(platform: Platform, sku: str, units: int = 0, **changes: Any) -> None:
    """List a SKU and receive its stock."""
    body = {"title": sku, "price_cents": 100, **changes}
    stock = platform.client("inventory")
    accepted(await stock.put(f"/v1/skus/{sku}", params=STORE, json=body))
    if units:
        await receive(platform, sku, units)


async def receive(platform: Platform, sku: str, units: int) -> None:
    receipt = {"sku": sku, "warehouse": "main", "quantity": units}
    accepted(await platform.client("inventory").post("/v1/receipts", params=STORE, json=receipt))


async def level(platform: Platform, sku: str) -> dict[str, Any]:
    return accepted(await platform.client("inventory").get(f"/v1/stock/{sku}", params=STORE))


async def order_of(platform: Platform, order_id: str) -> dict[str, Any]:
    return accepted(await platform.client("orders").get(f"/v1/orders/{order_id}", params=STORE))


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until something has come about."""
    async with asyncio.timeout(seconds):
        while not await what():  # noqa: ASYNC110  another process is watched
            await asyncio.sleep(0.1)


def wish(order_id: str, *lines: tuple[str, int], **changes: Any) -> dict[str, Any]:
    return order_json(order_id, lines=[line_json(sku, n, 100) for sku, n in lines], placed_at=None, **changes)


async def post(platform: Platform, path: str, body: dict[str, Any]) -> httpx2.Response:
    return await platform.client("orders").post(path, params=STORE, json=body)


async def test_an_order_goes_from_hold_to_delivery_and_stock_follows(platform: Platform) -> None:
    await put_sku(platform, "W1", 10)
    placed = accepted(await post(platform, "/v1/orders", wish("w-1", ("W1", 3))))
    assert (placed["status"], placed["reservation_id"]) == ("placed", "w-1~0")
    assert (await level(platform, "W1"))["held"] == 3
    paid = accepted(await post(platform, "/v1/orders/w-1/payments", payment_json("w-1-p", 300)))
    assert paid["order"]["status"] == "paid"
    assert (await level(platform, "W1"))["allocated"] == 3
    parcel = {"shipment_id": "w-1-s", "carrier": "SF", "tracking_number": "SF1"}
    accepted(await post(platform, "/v1/orders/w-1/shipments", parcel))

    async def has_left() -> bool:
        now = await level(platform, "W1")
        return bool(now["on_hand"] == 7 and now["allocated"] == 0)

    await until(has_left)
    accepted(await post(platform, "/v1/shipments/w-1-s/scans", {"status": "delivered"}))
    assert (await order_of(platform, "w-1"))["status"] == "delivered"


async def test_five_hundred_buyers_at_once_get_exactly_what_there_is(platform: Platform) -> None:
    """Lines with the same SKU twice, and orders with their SKUs in opposite order, among them."""
    await put_sku(platform, "HOT", UNITS)
    await put_sku(platform, "COLD", 10_000)
    shapes = (
        [("HOT", 1)],
        [("HOT", 1), ("COLD", 1)],
        [("COLD", 1), ("HOT", 1)],
        [("COLD", 1), ("COLD", 1), ("HOT", 1)],
    )
    key = platform.installation.key
    limits = httpx2.Limits(max_connections=BUYERS, max_keepalive_connections=BUYERS)
    async with httpx2.AsyncClient(
        base_url=platform.topology.url("orders"),
        headers={"Authorization": f"Bearer {key}"},
        timeout=60.0,
        limits=limits,
    ) as buyers:

        async def buy(n: int) -> httpx2.Response:
            return await buyers.post("/v1/orders", params=STORE, json=wish(f"hot-{n}", *shapes[n % len(shapes)]))

        answers = await asyncio.gather(*(buy(n) for n in range(BUYERS)))
    assert Counter(answer.status_code for answer in answers) == {201: UNITS, 409: BUYERS - UNITS}
    for answer in answers:
        if answer.status_code == 409:
            assert refused(answer, 409, "out_of_stock")["errors"][0]["sku"] == "HOT"
    hot = await level(platform, "HOT")
    assert (hot["held"], hot["available"]) == (UNITS, 0)


async def test_a_cancelled_order_gives_its_units_back(platform: Platform) -> None:
    await put_sku(platform, "BACK", 1)
    accepted(await post(platform, "/v1/orders", wish("back-1", ("BACK", 1))))
    refused(await post(platform, "/v1/orders", wish("back-2", ("BACK", 1))), 409, "out_of_stock")
    accepted(await post(platform, "/v1/orders/back-1/cancel", {"reason": "no", "by": "customer"}))

    async def is_free() -> bool:
        return bool((await level(platform, "BACK"))["available"] == 1)

    await until(is_free)


async def test_an_unknown_sku_is_refused_at_its_line_and_a_service_needs_no_stock(platform: Platform) -> None:
    await put_sku(platform, "POSTAGE", kind="service")
    await put_sku(platform, "GOODS", 5)
    problem = refused(await post(platform, "/v1/orders", wish("u-1", ("GOODS", 1), ("NOWHERE", 1))), 422, "validation")
    assert [error["pointer"] for error in problem["errors"]] == ["/lines/1/sku"]
    accepted(await post(platform, "/v1/orders", wish("u-2", ("GOODS", 1), ("POSTAGE", 1))))
    accepted(await post(platform, "/v1/orders", wish("u-3", ("POSTAGE", 1))))


async def test_a_late_payment_without_stock_can_be_backordered_until_goods_come_in(platform: Platform) -> None:
    await put_sku(platform, "LATE", 1)
    accepted(await post(platform, "/v1/orders", wish("late-1", ("LATE", 1))))
    accepted(await platform.client("inventory").post("/v1/reservations/late-1~0/release", params=STORE))
    accepted(await post(platform, "/v1/orders", wish("late-2", ("LATE", 1))))
    late = accepted(await post(platform, "/v1/orders/late-1/payments", payment_json("late-1-p", 100)))
    assert late["order"]["status"] == "paid_unfulfillable"
    accepted(await platform.client("orders").post("/v1/orders/late-1/backorder", params=STORE))

    async def waits() -> bool:
        return bool((await level(platform, "LATE"))["short"] == 1)

    await until(waits)
    await receive(platform, "LATE", 1)

    async def is_paid() -> bool:
        return bool((await order_of(platform, "late-1"))["status"] == "paid")

    await until(is_paid)
    assert (await level(platform, "LATE"))["allocated"] == 1


async def has_heard(platform: Platform) -> bool:
    """Whether orders has taken in everything that inventory told."""
    relayed = await platform.client("inventory").get("/metrics")
    page = await platform.client("orders").get("/metrics")
    lag = 'opswire_consumer_lag_events{consumer="orders",topic="inventory"} 0.0'
    return lag in page.text and 'opswire_outbox_pending_seconds{service="inventory"} 0.0' in relayed.text


async def test_a_refused_amendment_does_not_spoil_the_next(platform: Platform) -> None:
    await put_sku(platform, "FEW", 3)
    accepted(await post(platform, "/v1/orders", wish("few-1", ("FEW", 1))))
    orders = platform.client("orders")

    async def amend(quantity: int) -> httpx2.Response:
        body = {"lines": [line_json("FEW", quantity, 100)]}
        return await orders.post("/v1/orders/few-1/amend", params=STORE, json=body, headers={"If-Match": '"1"'})

    refused(await amend(4), 409, "out_of_stock")
    refused(await amend(5), 409, "out_of_stock")
    await receive(platform, "FEW", 1)
    amended = accepted(await amend(4))
    assert (amended["total_cents"], (await level(platform, "FEW"))["held"]) == (400, 4)
    accepted(await post(platform, "/v1/orders/few-1/payments", payment_json("few-1-p", 400)))
    headers = {"If-Match": "*"}
    more = {"lines": [line_json("FEW", 9, 10)]}
    refused(await orders.post("/v1/orders/few-1/amend", params=STORE, json=more, headers=headers), 409, "out_of_stock")
    await until(lambda: has_heard(platform))
    order = await order_of(platform, "few-1")
    assert (order["status"], order["reservation_id"]) == ("paid", amended["reservation_id"]), "it has what it had"


async def test_goods_of_an_outside_order_are_exchanged(platform: Platform) -> None:
    await put_sku(platform, "WRONG", 1)
    await put_sku(platform, "RIGHT", 1)
    outside = wish("out-1", ("WRONG", 1), origin="tmall")
    accepted(await post(platform, "/v1/orders", outside))
    accepted(await post(platform, "/v1/orders/out-1/payments", payment_json("out-1-p", 100)))
    parcel = {"carrier": "SF", "tracking_number": "SF1", "shipment_id": "out-1-s"}

    async def is_known() -> bool:
        return bool((await level(platform, "WRONG"))["available"] == 0)

    await until(is_known)
    accepted(await post(platform, "/v1/orders/out-1/review", {"decision": "approved"}))
    accepted(await post(platform, "/v1/orders/out-1/shipments", parcel))
    back = {"return_id": "out-1-r", "lines": [{"sku": "WRONG", "quantity": 1}], "reason": "", "kind": "exchange"}
    accepted(await post(platform, "/v1/orders/out-1/returns", back))
    for step, body in (("approve", {}), ("receive", {}), ("inspect", {"condition": "resellable"})):
        accepted(await post(platform, f"/v1/returns/out-1-r/{step}", body))
    accepted(await post(platform, "/v1/returns/out-1-r/exchange", {"lines": [line_json("RIGHT", 1, 100)]}))
    accepted(await post(platform, "/v1/orders/out-1/shipments", {**parcel, "shipment_id": "out-1-s2"}))

    async def is_settled() -> bool:
        wrong, right = await level(platform, "WRONG"), await level(platform, "RIGHT")
        return (wrong["available"], right["on_hand"], right["allocated"]) == (1, 0, 0)

    await until(is_settled)


async def test_a_backordered_order_takes_other_goods_and_owes_nothing_of_the_old(platform: Platform) -> None:
    await put_sku(platform, "OLD", 1)
    await put_sku(platform, "NEW", 5)
    accepted(await post(platform, "/v1/orders", wish("swap-1", ("OLD", 1))))
    accepted(await platform.client("inventory").post("/v1/reservations/swap-1~0/release", params=STORE))
    accepted(await post(platform, "/v1/orders", wish("swap-2", ("OLD", 1))))
    accepted(await post(platform, "/v1/orders/swap-1/payments", payment_json("swap-1-p", 100)))
    accepted(await platform.client("orders").post("/v1/orders/swap-1/backorder", params=STORE))

    async def waits() -> bool:
        return bool((await level(platform, "OLD"))["short"] == 1)

    await until(waits)
    amended = accepted(
        await platform.client("orders").post(
            "/v1/orders/swap-1/amend",
            params=STORE,
            json={"lines": [line_json("NEW", 1, 100)]},
            headers={"If-Match": "*"},
        )
    )
    assert amended["status"] == "paid"

    async def is_settled() -> bool:
        old, new = await level(platform, "OLD"), await level(platform, "NEW")
        return (old["short"], old["held"], new["allocated"]) == (0, 1, 1)

    await until(is_settled)


async def test_an_amended_order_holds_its_new_lines_in_the_place_of_the_old(platform: Platform) -> None:
    await put_sku(platform, "MORE", 3)
    accepted(await post(platform, "/v1/orders", wish("more-1", ("MORE", 2))))
    orders = platform.client("orders")
    more = {"lines": [line_json("MORE", 3, 100)]}
    amended = accepted(
        await orders.post("/v1/orders/more-1/amend", params=STORE, json=more, headers={"If-Match": '"1"'})
    )
    assert (amended["reservation_id"], amended["total_cents"]) == ("more-1~1", 300)
    assert (await level(platform, "MORE"))["held"] == 3


async def test_imported_orders_are_facts_whose_stock_follows(platform: Platform) -> None:
    await put_sku(platform, "FACT", 5)
    row = {
        "order_id": "fact-1",
        "placed_at": "2024-06-01T10:00:00+08:00",
        "paid_at": "2024-06-01T10:00:00+08:00",
        "sku": "FACT",
        "quantity": 2,
        "unit_price_cents": 100,
        "origin": "tmall",
        "tracking_number": "SF9",
    }
    late = {**row, "order_id": "fact-0", "placed_at": "2034-06-01T10:00:00+08:00", "paid_at": "2034-06-01T11:00:00Z"}
    for told in (late, row):
        headers = {"Content-Type": "application/x-ndjson"}
        body = accepted(
            await platform.client("orders").post("/v1/imports/orders", params=STORE, json=told, headers=headers)
        )
        assert (body["orders"], body["quarantined_count"]) == ((1, 0) if told is row else (0, 1))

    async def has_left() -> bool:
        return bool((await level(platform, "FACT"))["on_hand"] == 3)

    await until(has_left)
    assert (await level(platform, "FACT"))["available"] == 3, "an order in quarantine takes no stock (D64)"
