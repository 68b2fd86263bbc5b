"""Buyers at the storefront's own door who pay, cancel, forget and send back, while the warehouse counts (INV-4, P1)."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import Storefront, good

MOST_AT_ONCE = 150


@dataclass
class Sale:
    """One sale over HTTP: orders by the front door of orders, corrections by that of inventory."""

    shop: Storefront
    sku: str
    units: int
    rng: random.Random
    kept: set[str] = field(default_factory=set)
    on_shelf: asyncio.Lock = field(default_factory=asyncio.Lock)
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def run(self, buyers: int) -> None:
        """Everything at once; then one buyer after another until nothing is left."""
        await self.shop.stock(self.units, self.sku)
        async with asyncio.TaskGroup() as everybody:
            for n in range(buyers):
                everybody.create_task(self.buyer(n))
            everybody.create_task(self.clerk(max(2, buyers // 100)))
        for n in range(20 * self.units):
            if len(self.kept) == self.units:
                return
            name = f"{self.sku}-last-{n}"
            if (await self.shop.place(name, (self.sku, 1))).status_code == 201:
                await self.pay(name)
            else:
                await asyncio.sleep(0.3)

    async def pay(self, name: str) -> None:
        if (await self.shop.pay(name))["order"]["status"] == "paid":
            self.kept.add(name)

    async def buyer(self, n: int) -> None:
        name, fate = f"{self.sku}-{n}", self.rng.random()
        async with self.at_once:
            if fate < 0.2:
                await self.cart(name)
                return
            placed = await self.shop.place(name, (self.sku, 1))
            assert placed.status_code in (201, 409), placed.text
            if placed.status_code == 409:
                return
            if fate < 0.3:
                good(await self.cancel(name))
                return
            await self.pay(name)
            if fate < 0.4:
                self.kept.discard(name)
                good(await self.cancel(name))
            elif fate < 0.5:
                self.kept.discard(name)
                await self.send_back(name)

    async def cart(self, name: str) -> None:
        """Held for a second and forgotten."""
        wish = {"reservation_id": name, "lines": [{"sku": self.sku, "quantity": 1}], "ttl_seconds": 1}
        answer = await self.shop.call("POST", "inventory", "/v1/reservations", wish)
        assert answer.status_code in (201, 409), answer.text

    async def cancel(self, name: str) -> httpx2.Response:
        return await self.shop.call(
            "POST", "orders", f"/v1/orders/{name}/cancel", {"reason": "changed", "by": "customer"}
        )

    async def send_back(self, name: str) -> None:
        async with self.on_shelf:
            parcel = await self.shop.ship(name)
            await self.shop.deliver(parcel["shipment_id"])
            body = {
                "return_id": f"{name}-r",
                "lines": [{"sku": self.sku, "quantity": 1}],
                "reason": "",
                "kind": "refund",
            }
            await self.shop.post("orders", f"/v1/orders/{name}/returns", body)
            steps: tuple[tuple[str, dict[str, Any]], ...] = (
                ("approve", {}),
                ("receive", {}),
                ("inspect", {"condition": "resellable"}),
                ("refund", {"amount_cents": 1}),
            )
            for step, given in steps:
                await self.shop.post("orders", f"/v1/returns/{name}-r/{step}", given)

    async def clerk(self, turns: int) -> None:
        for _ in range(turns):
            async with self.on_shelf:
                level = await self.shop.level(self.sku)
                for quantity, reason in ((-1, "lost"), (1, "found")):
                    body = {"sku": self.sku, "quantity": quantity, "reason": reason}
                    await self.shop.post("inventory", "/v1/adjustments", body)
                item = {"sku": self.sku, "on_hand": level["on_hand"], "version": level["version"]}
                count = {"as_of": datetime.now(UTC).isoformat(), "items": [item]}
                await self.shop.post("inventory", "/v1/counts", count)


async def sell(platform: Platform, shop: Storefront, rounds: int, buyers: int, units: int, label: str) -> None:
    """Rounds of a sale; exactly as many are kept as there were, and every service agrees."""
    for n in range(rounds):
        sale = Sale(shop, f"{label}{n}", units, random.Random(n))
        await sale.run(buyers)
        assert len(sale.kept) == units
        await verified(platform)
        level = await shop.level(sale.sku)
        assert (level["on_hand"], level["allocated"], level["available"], level["short"]) == (units, units, 0, 0)


async def test_exactly_as_many_are_kept_as_there_were(platform: Platform, shop: Storefront) -> None:
    await sell(platform, shop, 1, buyers=80, units=12, label="FEW")


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_2000_buyers_for_100_units_20_times(platform: Platform, shop: Storefront) -> None:
    await sell(platform, shop, 20, buyers=2_000, units=100, label="WHOLE")
