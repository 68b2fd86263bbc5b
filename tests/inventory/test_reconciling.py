"""Reconciling while stock moves: what nobody did wrong is no mismatch (INV-11)."""

import asyncio

from tests.inventory.conftest import Depot, accepted

BUYERS, TURNS = 10, 20


async def test_a_day_reconciled_in_the_middle_of_a_sale_has_no_mismatch(depot: Depot) -> None:
    """Levels, ledger and open lines are seen at one moment; seen one after the other, each sale between tells wrong."""
    await depot.stocked("X1", 1_000)
    await depot.stocked("X2", 1_000)
    looks: list[list[str]] = []
    async with asyncio.TaskGroup() as sale:
        buyers = [sale.create_task(sell(depot, n)) for n in range(BUYERS)]
        while not all(buyer.done() for buyer in buyers):
            day = await depot.get("/v1/reconciliation", limit=500)
            looks.append([item["sku"] for item in day["items"] if item["mismatches"]])
    assert len(looks) > 3, "too few looks to tell anything"
    assert [look for look in looks if look] == []
    assert (await depot.level("X1"))["held"] == BUYERS * TURNS


async def sell(depot: Depot, buyer: int) -> None:
    for turn in range(TURNS):
        accepted(await depot.reserve(f"x-{buyer}-{turn}", ("X1", 1), ("X2", 1)))
