"""kill -9 of inventory at each of its crash points: the call may be repeated, and has one effect (P3, P10)."""

import httpx2
import pytest
from sqlalchemy import text

from libs.service.database import create_engine
from services.inventory.invariants import violations
from tests.support.fixtures import Running
from tests.support.services import Platform

SERVED = (
    "inventory.before_commit",
    "inventory.before_answer",
)


@pytest.mark.timeout(300)
async def test_a_reservation_survives_every_crash_point(running: Running, database: str) -> None:
    async with running("inventory") as platform:
        client = platform.client("inventory")
        await client.put("/v1/skus/A?store=demo", json={"title": "A", "safety": 0})
        receipt = {"receipt_id": "r", "sku": "A", "quantity": 10}
        assert (await client.post("/v1/receipts?store=demo", json=receipt)).status_code == 201
        for n, point in enumerate(SERVED, 1):
            await platform.stop("inventory")
            await platform.start("inventory", OPSWIRE_CRASH_POINT=f"{point}:{_passage(point)}")
            with pytest.raises(httpx2.TransportError):
                await _until_killed(platform, f"x-{n}")
            await platform.wait_for_death("inventory")
            await platform.start("inventory")
            assert (await _reserve(platform, f"x-{n}")).status_code == 201
            level = (await client.get("/v1/stock/A?store=demo")).json()
            assert (level["held"], level["available"]) == (n, 10 - n)
    engine = create_engine(database)
    async with engine.begin() as session:
        await session.execute(text("SET LOCAL ROLE inventory_worker"))
        assert [v for v in await violations(session) if "outbox" not in v.invariant] == []
    await engine.dispose()


def _passage(point: str) -> int:
    """Transactions are passed by everything that the service does; the others by the call alone."""
    return 1 if point.startswith("inventory.") else 40


async def _until_killed(platform: Platform, name: str) -> None:
    """Every call is the same reservation: the first that comes through is the only one that counts."""
    for _ in range(200):
        await _reserve(platform, name)


async def _reserve(platform: Platform, name: str) -> httpx2.Response:
    wish = {"reservation_id": name, "lines": [{"sku": "A", "quantity": 1}]}
    return await platform.client("inventory").post("/v1/reservations?store=demo", json=wish)
