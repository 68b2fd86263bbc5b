"""P10: a POST is sent five times at once and once more afterwards, as after a lost answer: one effect, one answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.services import Platform, running_services

Json = dict[str, Any]
LINE = {"sku": "R-1", "quantity": 2, "unit_price_cents": 500}
CONSIGNEE = {"name": "张三", "phone": "13800005678", "province": "浙江", "city": "杭州", "address": "文三路 1 号"}
ORDER = {"customer_id": "c-9", "origin": "storefront", "currency": "CNY", "lines": [LINE], "consignee": CONSIGNEE}


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Orders, inventory and alerts as processes, with a SKU of which nothing is there yet."""
    logs: Path = tmp_path_factory.mktemp("logs")
    async with running_services(database, "orders", "inventory", "alerts", logs=logs) as started:
        sku = {"kind": "goods", "title": "Dress", "category": "dress", "price_cents": 500, "cost_cents": 100}
        answer = await started.client("inventory").put("/v1/skus/R-1?store=demo", json=sku)
        assert answer.status_code in (200, 201), answer.text
        yield started


async def repeat(platform: Platform, service: str, path: str, body: Json, key: str | None) -> httpx2.Response:
    """Six times the same call; the one answer that all of them got."""
    client = platform.client(service)
    headers = {} if key is None else {"Idempotency-Key": key}

    async def call() -> httpx2.Response:
        return await client.post(path, params={"store": "demo"}, json=body, headers=headers)

    answers = [*await asyncio.gather(*(call() for _ in range(5))), await call()]
    said = {(answer.status_code, _without_request_id(answer)) for answer in answers}
    assert len(said) == 1, said
    return answers[0]


def _without_request_id(answer: httpx2.Response) -> str:
    return str({name: value for name, value in answer.json().items() if name != "request_id"})


async def _stock(platform: Platform) -> Json:
    stock: Json = (await platform.client("inventory").get("/v1/stock/R-1?store=demo")).json()
    return stock


async def test_goods_come_in_once(platform: Platform) -> None:
    receipt = {"receipt_id": "r-1", "sku": "R-1", "warehouse": "main", "quantity": 100, "cost_cents": 100}
    assert (await repeat(platform, "inventory", "/v1/receipts", receipt, None)).status_code == 201
    assert (await _stock(platform))["on_hand"] == 100
    unnamed = {"sku": "R-1", "warehouse": "main", "quantity": 10}
    assert (await repeat(platform, "inventory", "/v1/receipts", unnamed, "receipt")).status_code == 201
    assert (await _stock(platform))["on_hand"] == 110
    adjustment = {"adjustment_id": "a-1", "sku": "R-1", "warehouse": "main", "quantity": -10, "reason": "lost"}
    assert (await repeat(platform, "inventory", "/v1/adjustments", adjustment, "adjustment")).status_code == 201
    assert (await _stock(platform))["on_hand"] == 100


async def test_a_cart_is_held_and_released_once(platform: Platform) -> None:
    hold = {"reservation_id": "x-1", "lines": [{"sku": "R-1", "quantity": 3}], "ttl_seconds": 900}
    assert (await repeat(platform, "inventory", "/v1/reservations", hold, None)).status_code == 201
    unnamed = {"lines": [{"sku": "R-1", "quantity": 4}], "ttl_seconds": 900}
    held = await repeat(platform, "inventory", "/v1/reservations", unnamed, "hold")
    assert (held.status_code, (await _stock(platform))["held"]) == (201, 7)
    for reservation in ("x-1", held.json()["reservation_id"]):
        await repeat(platform, "inventory", f"/v1/reservations/{reservation}/release", {}, f"release {reservation}")
    assert (await _stock(platform))["held"] == 0


async def test_a_refusal_is_repeated_too(platform: Platform) -> None:
    too_much = {"reservation_id": "x-2", "lines": [{"sku": "R-1", "quantity": 5000}], "ttl_seconds": 900}
    refused = await repeat(platform, "inventory", "/v1/reservations", too_much, None)
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    order = {**ORDER, "lines": [{**LINE, "quantity": 5000}]}
    refused = await repeat(platform, "orders", "/v1/orders", order, "too much")
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    assert (await _stock(platform))["held"] == 0


@pytest.mark.parametrize("name", [None, "o-named"])
async def test_an_order_is_placed_paid_and_shipped_once(platform: Platform, name: str | None) -> None:
    before = await _stock(platform)
    body = ORDER if name is None else {**ORDER, "order_id": name}
    placed = await repeat(platform, "orders", "/v1/orders", body, "place" if name is None else None)
    assert placed.status_code == 201, placed.text
    order_id = placed.json()["order_id"]
    payment = {"payment_id": f"p-{name}", "method": "alipay", "amount_cents": 1000, "currency": "CNY",
               "status": "succeeded"}  # fmt: skip
    paid = await repeat(platform, "orders", f"/v1/orders/{order_id}/payments", payment, f"pay {name}")
    assert paid.status_code == 201, paid.text
    parcel = {"carrier": "sf", "tracking_number": "SF1"}
    shipped = await repeat(platform, "orders", f"/v1/orders/{order_id}/shipments", parcel, f"ship {name}")
    assert shipped.status_code == 201, shipped.text
    order = (await platform.client("orders").get(f"/v1/orders/{order_id}?store=demo")).json()
    assert (order["paid_cents"], len(order["payments"]), len(order["shipments"])) == (1000, 1, 1)
    after = await _stock(platform)
    assert before["available"] - after["available"] == 2


async def test_a_cancelled_order_gives_back_once(platform: Platform) -> None:
    before = await _stock(platform)
    order = {**ORDER, "order_id": "o-cancelled"}
    await repeat(platform, "orders", "/v1/orders", order, "place and cancel")
    cancel = {"reason": "changed my mind", "by": "customer"}
    cancelled = await repeat(platform, "orders", "/v1/orders/o-cancelled/cancel", cancel, "cancel")
    assert cancelled.status_code == 200, cancelled.text
    for _ in range(100):
        if (await _stock(platform))["available"] == before["available"]:
            break
        await asyncio.sleep(0.1)
    assert (await _stock(platform))["available"] == before["available"]


async def test_an_incident_is_opened_and_acknowledged_once(platform: Platform) -> None:
    incident = {"title": "page crash", "description": "the cart page is white", "severity": "critical"}
    opened = await repeat(platform, "alerts", "/v1/incidents", incident, "open")
    assert opened.status_code == 201, opened.text
    address = f"/v1/incidents/{opened.json()['incident_id']}"
    assert (await repeat(platform, "alerts", f"{address}/acknowledge", {}, "acknowledge")).status_code == 200
    assert (await repeat(platform, "alerts", f"{address}/comment", {"text": "on it"}, "comment")).status_code in (
        200,
        201,
    )
    shown = (await platform.client("alerts").get(f"{address}?store=demo")).json()
    said = [(entry["kind"], entry["text"]) for entry in shown["timeline"]]
    assert len(said) == len(set(said)), said
    listed = (await platform.client("alerts").get("/v1/incidents?store=demo")).json()
    assert len([item for item in listed["items"] if item["title"] == "page crash"]) == 1
