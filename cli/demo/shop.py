"""The demo's shop at the front doors: what a storefront, an ERP and an analyst would call."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from cli.demo.story import CURRENCY, Good, sku_body
from cli.installation import Installation
from cli.output import CommandFailed
from cli.platform_client import answered, front_door

BATCH = 1_000
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Shop:
    """Clients of the five services and the store that they are about."""

    store: str
    orders: httpx2.AsyncClient
    inventory: httpx2.AsyncClient
    alerts: httpx2.AsyncClient
    kpi: httpx2.AsyncClient
    reporting: httpx2.AsyncClient

    @property
    def query(self) -> dict[str, str]:
        return {"store": self.store}

    async def stock(self, goods: Iterable[Good]) -> None:
        """List the goods and receive their stock."""
        for good in goods:
            answered(await self.inventory.put(f"/v1/skus/{good.sku}", params=self.query, json=sku_body(good)))
            receipt = {
                "receipt_id": f"opening-{good.sku}",
                "sku": good.sku,
                "warehouse": "main",
                "quantity": good.stock,
                "cost_cents": good.cost_cents,
            }
            answered(await self.inventory.post("/v1/receipts", params=self.query, json=receipt))

    async def visit(self, events: Sequence[dict[str, Any]], import_id: str | None = None) -> None:
        """Send traffic in batches of the short form."""
        marked = [{**event, "importid": import_id} for event in events] if import_id else list(events)
        for n in range(0, len(marked), BATCH):
            answer = answered(await self.kpi.post("/v1/events", params=self.query, json=marked[n : n + BATCH]))
            if answer["rejected"]:
                raise CommandFailed(f"traffic was refused: {answer['items'][0]}")

    async def sell(self, orders: Iterable[dict[str, Any]], import_id: str | None = None) -> None:
        """Place and pay orders, several at once."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(order: dict[str, Any]) -> None:
            async with gate:
                await self.buy(order, import_id)

        await asyncio.gather(*(one(order) for order in orders))

    async def buy(self, order: dict[str, Any], import_id: str | None = None) -> bool:
        """Place and pay one order; False where it is out of stock."""
        params = {**self.query, **({"import_id": import_id} if import_id else {})}
        placed = await self.orders.post("/v1/orders", params=params, json=order)
        if placed.status_code == 409 and placed.json().get("code") == "out_of_stock":
            return False
        total = answered(placed)["total_cents"]
        payment = {
            "payment_id": f"pay-{order['order_id']}",
            "method": "alipay",
            "amount_cents": total,
            "currency": CURRENCY,
            "status": "succeeded",
        }
        if "placed_at" in order:
            payment["paid_at"] = order["placed_at"]
        answered(await self.orders.post(f"/v1/orders/{order['order_id']}/payments", params=params, json=payment))
        return True

    async def open_import(self, import_id: str) -> None:
        """Tell that history follows, so that no hour of it is measured half-filled."""
        answered(await self.kpi.post("/v1/imports", params=self.query, json={"import_id": import_id}))

    async def end_import(self, import_id: str) -> None:
        """The history is in."""
        answered(await self.kpi.post(f"/v1/imports/{import_id}/end", params=self.query))

    async def set_target(self, target_id: str, metric: str, value: float, starts_on: str, ends_on: str) -> None:
        """Aim at a figure (KPI-9)."""
        body = {
            "dimension": {},
            "metric": metric,
            "value": value,
            "owner": "li",
            "starts_on": starts_on,
            "ends_on": ends_on,
            "criterion": {"kind": "average"},
        }
        answered(await self.kpi.put(f"/v1/targets/{target_id}", params=self.query, json=body))

    async def tell(self, name: str, url: str, secret: str) -> None:
        """Have incidents told to a signed webhook."""
        body = {"kind": "webhook", "url": url, "secret": secret, "language": "zh"}
        answered(await self.alerts.put(f"/v1/channels/{name}", params=self.query, json=body))

    async def incidents(self) -> list[dict[str, Any]]:
        """All incidents, the newest first."""
        found: list[dict[str, Any]] = answered(
            await self.alerts.get("/v1/incidents", params={**self.query, "limit": "500"})
        )["items"]
        return found

    async def daily_report(self, day: str) -> dict[str, Any] | None:
        """The published report of a day; None before its first edition."""
        response = await self.reporting.get(f"/v1/reports/daily/{day}.json", params=self.query)
        if response.status_code in (404, 503):
            return None
        report: dict[str, Any] = answered(response)
        return report if report["edition"] else None


@asynccontextmanager
async def open_shop(installation: Installation, store: str) -> AsyncIterator[Shop]:
    """The shop of a running platform."""
    async with AsyncExitStack() as stack:
        names = ("orders", "inventory", "alerts", "kpi", "reporting")
        doors = [await stack.enter_async_context(front_door(installation, name)) for name in names]
        yield Shop(store, *doors)
