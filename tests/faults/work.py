"""A slice driven through the front doors by a caller who repeats every call until it is answered, as ours all do."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from cli.importers import online_retail
from tests.faults.platform import MortalPlatform
from tests.faults.slices import (
    DAYS,
    LOW_SKU,
    SHOP_SKU,
    SKUS,
    STOREFRONT,
    Expected,
    expected_of,
    noon,
    rows_of,
    visits,
    with_storefront,
    write_csv,
)
from tests.support.storefront import PRICE, Json, Storefront, good, order_body, until
from tests.support.webhooks import SECRET

OPENING = 1_000
PATIENCE_SECONDS = 60.0
PASSING = (429, 500, 502, 503, 504)


@dataclass(slots=True)
class Slice:
    """One store and what happens in it."""

    platform: MortalPlatform
    store: str
    seed: int
    webhook: str
    expected: Expected = field(init=False)
    _plan: online_retail.Plan = field(init=False)

    def read(self, folder: Path) -> "Slice":
        """Write the file and read it as the importer does."""
        rows = rows_of(self.seed)
        file = write_csv(folder / f"{self.store}.csv", rows)
        self._plan = online_retail.plan(online_retail.read_rows(file), OPENING)
        self.expected = with_storefront(expected_of(rows))
        return self

    @property
    def shop(self) -> Storefront:
        return Storefront(self.platform, self.store, import_id=f"import-{self.store}")

    # the calls

    async def open(self) -> None:
        """The store, its goods and its webhook."""
        made = {"name": self.store, "timezone": "Europe/London", "currency": "GBP", "language": "en"}
        await self.repeat("PUT", "orders", f"/v1/stores/{self.store}", made)
        await self.repeat("POST", "kpi", "/v1/imports", {"import_id": self.shop.import_id})
        channel = {"kind": "webhook", "url": self.webhook, "secret": SECRET, "language": "en"}
        await self.repeat("PUT", "alerts", "/v1/channels/ops", channel)
        own = [self._sku(SHOP_SKU, 0), self._sku(LOW_SKU, 10)]
        await self.repeat("PUT", "inventory", "/v1/skus", [*self._plan.skus, *own])
        received = [self._receipt(SHOP_SKU, 100), self._receipt(LOW_SKU, 12)]
        await self.repeat("POST", "inventory", "/v1/receipts", [*self._plan.receipts, *received])
        await self.repeat("POST", "inventory", "/v1/adjustments", self._plan.found)

    async def run(self) -> None:
        """Everything else, side by side as it would come."""
        cart = {"reservation_id": "cart", "lines": [{"sku": SHOP_SKU, "quantity": 1}], "ttl_seconds": 1}
        await self.repeat("POST", "inventory", "/v1/reservations", cart)
        await asyncio.gather(
            self._bring_orders(),
            self.repeat(
                "POST", "kpi", "/v1/events", [{**v, "importid": self.shop.import_id} for v in visits(self.store)]
            ),
            *(self._sell(n) for n in range(STOREFRONT)),
            self._run_low(),
        )
        await self.repeat("POST", "inventory", "/v1/adjustments", self._plan.write_offs)

    async def close(self) -> None:
        """The history is in: from now on its days are measured."""
        await self.repeat("POST", "kpi", f"/v1/imports/{self.shop.import_id}/end", {})

    def _sku(self, sku: str, safety: int) -> Json:
        return {"sku": sku, "title": sku, "price_cents": PRICE, "safety": safety}

    def _receipt(self, sku: str, units: int) -> Json:
        return {"receipt_id": f"first-{sku}", "sku": sku, "warehouse": "main", "quantity": units}

    async def _bring_orders(self) -> None:
        lines = b"\n".join(json.dumps(record).encode() for record in self._plan.orders)
        await self.repeat("POST", "orders", "/v1/imports/orders", content=lines)

    async def _sell(self, n: int) -> None:
        """A storefront order and its fate: the first is cancelled, the others are paid and sent."""
        name = f"{self.store}-house-{n}"
        body = order_body(name, (SHOP_SKU, 2), currency="GBP", visitor_id=f"v-{n}", placed_at=noon(n).isoformat())
        await self.repeat("POST", "orders", "/v1/orders", body)
        if n == 0:
            reason = {"reason": "no", "by": "customer"}
            await self.repeat("POST", "orders", f"/v1/orders/{name}/cancel", reason)
            return
        payment = {
            "payment_id": f"pay-{name}", "method": "card", "amount_cents": 2 * PRICE, "currency": "GBP",
            "status": "succeeded", "paid_at": noon(n + 1).isoformat(),
        }  # fmt: skip
        await self.repeat("POST", "orders", f"/v1/orders/{name}/payments", payment)
        parcel = {
            "shipment_id": f"ship-{name}", "carrier": "SF", "tracking_number": name,
            "shipped_at": noon(n + 30).isoformat(),
        }  # fmt: skip
        await self.repeat("POST", "orders", f"/v1/orders/{name}/shipments", parcel)
        arrived = {"status": "delivered", "at": noon(n + 60).isoformat()}
        await self.repeat("POST", "orders", f"/v1/shipments/ship-{name}/scans", arrived)

    async def _run_low(self) -> None:
        """Nine are left of ten that should be: an incident."""
        hold = {"reservation_id": "low", "lines": [{"sku": LOW_SKU, "quantity": 3}], "ttl_seconds": 86_400}
        await self.repeat("POST", "inventory", "/v1/reservations", hold, is_now=True)

    async def repeat(
        self, method: str, service: str, path: str, body: Any = None, *, content: bytes = b"", is_now: bool = False
    ) -> Any:
        """The good answer to a call, asked again while nobody answers, or answers that it should be asked again."""
        client = self.platform.client(service)
        query = {"store": self.store}
        if service in ("orders", "inventory") and not is_now:
            query["import_id"] = str(self.shop.import_id)
        options: Json = {"json": body} if body is not None else {}
        if content:
            options = {"content": content, "headers": {"content-type": "application/x-ndjson"}}

        async def ask() -> httpx2.Response | None:
            try:
                answer = await client.request(method, path, params=query, **options)
            except httpx2.TransportError:
                return None
            return None if answer.status_code in PASSING else answer

        return good(await until(ask, PATIENCE_SECONDS, every=0.05))

    # what came of it

    async def figures(self) -> dict[str, dict[str, Any]]:
        """Day -> figure -> what the KPI API says."""
        days = [f"{day:%Y-%m-%d}" for day in DAYS]
        found: dict[str, dict[str, Any]] = {day: {} for day in days}
        for kpi in self.expected.day(days[0]):
            for point in await self.shop.figures(kpi, days[0], days[-1]):
                found[point["bucket"]][kpi] = point["numerator"]
        return found

    def expected_figures(self) -> dict[str, dict[str, int]]:
        return {f"{day:%Y-%m-%d}": self.expected.day(f"{day:%Y-%m-%d}") for day in DAYS}

    async def stock(self) -> dict[str, tuple[int, int]]:
        """SKU -> (on hand, promised)."""
        found = {}
        for sku in (*SKUS, SHOP_SKU, LOW_SKU):
            level = await self.shop.level(sku)
            found[sku] = (level["on_hand"], level["held"] + level["allocated"] + level["short"])
        return found

    def expected_stock(self) -> dict[str, tuple[int, int]]:
        sold = 2 * (STOREFRONT - 1)
        of_file = {sku: (OPENING + self.expected.moved[sku], 0) for sku in SKUS}
        return {**of_file, SHOP_SKU: (100 - sold, 0), LOW_SKU: (12, 3)}

    async def statuses(self) -> dict[str, int]:
        """How many orders are in which state; what was delivered so long ago is completed at the next tick."""
        found: Counter[str] = Counter()
        for order in await replace(self.shop, import_id=None).orders():
            found["completed" if order["status"] == "delivered" else order["status"]] += 1
        return found

    def expected_statuses(self) -> dict[str, int]:
        of_file = sum(self.expected.orders.values()) - STOREFRONT
        return {"shipped": of_file, "completed": STOREFRONT - 1, "cancelled": 1}

    async def incidents(self) -> Sequence[Json]:
        found: Sequence[Json] = (await self.shop.get("alerts", "/v1/incidents", rule="low_stock"))["items"]
        return found
