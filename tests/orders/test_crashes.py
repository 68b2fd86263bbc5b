"""kill -9 of orders at each of its crash points: after a restart the retry finds one order, held once (P3, P11)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.orders.conftest import accepted, payment_json
from tests.orders.test_with_inventory import level, order_of, post, put_sku, until, wish
from tests.support.services import Platform, running_services

PLACING = ("orders.before_hold", "orders.after_hold", "orders.before_placing", "orders.after_placing")
PAYING = ("orders.before_allocate", "orders.after_allocate")


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Both services as processes."""
    async with running_services(database, "orders", "inventory", logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


async def crash(platform: Platform, point: str, path: str, body: dict[str, Any]) -> None:
    """Have orders die at its first passage of a point during a call, and start it again."""
    await platform.stop("orders")
    await platform.start("orders", OPSWIRE_CRASH_POINT=f"{point}:1")
    with pytest.raises(httpx2.TransportError):
        await post(platform, path, body)
    assert await platform.wait_for_death("orders") == -9
    await platform.start("orders")


@pytest.mark.parametrize("point", PLACING)
async def test_an_order_is_placed_once_whatever_the_crash(platform: Platform, point: str) -> None:
    sku, order_id = f"K-{point}", f"k-{point}"
    await put_sku(platform, sku, 5)
    await crash(platform, point, "/v1/orders", wish(order_id, (sku, 2)))
    placed = accepted(await post(platform, "/v1/orders", wish(order_id, (sku, 2))))
    assert (placed["status"], placed["reservation_id"], placed["version"]) == ("placed", f"{order_id}~0", 1)
    assert (await level(platform, sku))["held"] == 2
    found = accepted(await platform.client("orders").get("/v1/orders", params={"store": "demo", "limit": "500"}))
    assert [o["order_id"] for o in found["items"]].count(order_id) == 1


@pytest.mark.parametrize("point", PAYING)
async def test_a_payment_counts_once_and_gets_its_stock_whatever_the_crash(platform: Platform, point: str) -> None:
    sku, order_id = f"P-{point}", f"p-{point}"
    await put_sku(platform, sku, 5)
    accepted(await post(platform, "/v1/orders", wish(order_id, (sku, 2))))
    path, body = f"/v1/orders/{order_id}/payments", payment_json(f"{order_id}-p", 200)
    await crash(platform, point, path, body)
    paid = accepted(await post(platform, path, body))
    assert (paid["order"]["status"], paid["order"]["paid_cents"]) == ("paid", 200)

    async def is_its_own() -> bool:
        now = await level(platform, sku)
        return bool(now["allocated"] == 2 and now["held"] == 0)

    await until(is_its_own)
    assert len((await order_of(platform, order_id))["payments"]) == 1
