"""kill -9 of orders between the hold and its commit; the hold's limit passes before anybody asks again (D12, D18)."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from cli.verify import examine
from tests.support.services import Platform, running_services
from tests.support.storefront import Storefront, good, until


@pytest.fixture(scope="module")
async def shop(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storefront]:
    logs: Path = tmp_path_factory.mktemp("logs")
    async with running_services(database, "orders", "inventory", logs=logs) as platform:
        yield Storefront(platform)


async def test_a_retry_after_the_holds_limit_is_one_order_under_a_new_hold(shop: Storefront) -> None:
    await shop.stock(5, "LIM-1")
    await die_with_a_hold(shop, "lim-1", "LIM-1")
    await let_it_run_out(shop, "lim-1~0")
    await until(lambda: is_held(shop, "LIM-1", 0), 10)
    placed = good(await shop.place("lim-1", ("LIM-1", 2)))
    assert (placed["status"], placed["reservation_id"]) == ("placed", "lim-1~1")
    assert good(await shop.place("lim-1", ("LIM-1", 2))) == placed
    assert await is_held(shop, "LIM-1", 2)
    assert [order["order_id"] for order in await shop.orders()].count("lim-1") == 1
    await sound(shop.platform)


async def test_without_a_retry_the_limit_gives_the_units_back(shop: Storefront) -> None:
    await shop.stock(5, "LIM-2")
    await die_with_a_hold(shop, "lim-2", "LIM-2")
    await let_it_run_out(shop, "lim-2~0")
    await until(lambda: is_held(shop, "LIM-2", 0), 10)
    assert (await shop.level("LIM-2"))["available"] == 5
    assert (await shop.call("GET", "orders", "/v1/orders/lim-2")).status_code == 404
    await sound(shop.platform)


async def die_with_a_hold(shop: Storefront, order_id: str, sku: str) -> None:
    """Inventory holds two units for an order of which orders knows nothing."""
    platform = shop.platform
    await platform.stop("orders")
    await platform.start("orders", OPSWIRE_CRASH_POINT="orders.before_placing:1")
    with pytest.raises(httpx2.TransportError):
        await shop.place(order_id, (sku, 2))
    assert await platform.wait_for_death("orders") == -9
    assert await is_held(shop, sku, 2)
    await platform.start("orders")


async def let_it_run_out(shop: Storefront, reservation_id: str) -> None:
    """As if its fifteen minutes had passed."""
    async with shop.platform.installation.engine() as engine, engine.begin() as session:
        await session.execute(text("SET LOCAL ROLE inventory_worker"))
        done = await session.execute(
            text("UPDATE inventory.reservation SET expires_at = now() WHERE reservation_id = :id"),
            {"id": reservation_id},
        )
        assert done.rowcount == 1


async def is_held(shop: Storefront, sku: str, units: int) -> bool:
    return bool((await shop.level(sku))["held"] == units)


async def sound(platform: Platform) -> None:
    report = await examine(platform.installation, 60)
    assert (report.moving, report.violations) == (None, [])
