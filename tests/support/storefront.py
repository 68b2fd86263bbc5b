"""A store driven from outside, as its storefront, its warehouse and its analyst drive it: HTTP alone."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx2

from tests.support.services import Platform

Json = dict[str, Any]
T = TypeVar("T")

CONSIGNEE = {"name": "张三", "phone": "13800005678", "province": "浙江", "city": "杭州", "address": "文三路 1 号"}
PRICE = 1_000


async def until(ask: Callable[[], Awaitable[T | None]], seconds: float = 30.0, every: float = 0.1) -> T:
    """What `ask` gives as soon as it is true. Fails with what it gave last."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds:.0f} s: {found!r}"
        await asyncio.sleep(every)
    return found


def good(answer: httpx2.Response) -> Any:
    """The body of a good answer."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url.path} {answer.status_code}: {answer.text}"
    return answer.json()


def order_body(order_id: str, *lines: tuple[str, int], origin: str = "storefront", **more: Any) -> Json:
    """An order of these (SKU, quantity) lines."""
    priced = [{"sku": sku, "quantity": quantity, "unit_price_cents": PRICE} for sku, quantity in lines]
    whole = {
        "order_id": order_id,
        "customer_id": f"c-{order_id}",
        "origin": origin,
        "currency": "CNY",
        "lines": priced,
        "consignee": CONSIGNEE,
    }
    return {**whole, **more}


@dataclass(frozen=True, slots=True)
class Storefront:
    """One store of a running platform; `key` is an operator's unless given."""

    platform: Platform
    store: str = "demo"
    key: str = ""
    import_id: str | None = None

    async def call(self, method: str, service: str, path: str, body: Any = None, **query: str) -> httpx2.Response:
        """One call about this store, whatever comes of it."""
        client = self.platform.client(service, self.key)
        marked = {"import_id": self.import_id} if self.import_id and service in ("orders", "inventory") else {}
        options: Json = {} if body is None else {"json": body}
        return await client.request(method, path, params={"store": self.store, **marked, **query}, **options)

    async def get(self, service: str, path: str, **query: str) -> Any:
        return good(await self.call("GET", service, path, **query))

    async def post(self, service: str, path: str, body: Any, **query: str) -> Any:
        return good(await self.call("POST", service, path, body, **query))

    async def put(self, service: str, path: str, body: Any) -> Any:
        return good(await self.call("PUT", service, path, body))

    # stock

    async def stock(self, units: int, *skus: str, safety: int = 0, **more: Any) -> None:
        """List SKUs and receive units of each."""
        for sku in skus:
            body = {"title": sku, "price_cents": PRICE, "cost_cents": 400, "safety": safety, **more}
            await self.put("inventory", f"/v1/skus/{sku}", body)
            if units:
                receipt = {"receipt_id": f"first-{sku}", "sku": sku, "warehouse": "main", "quantity": units}
                await self.post("inventory", "/v1/receipts", receipt)

    async def level(self, sku: str) -> Json:
        """A SKU's stock."""
        found: Json = await self.get("inventory", f"/v1/stock/{sku}")
        return found

    # orders

    async def place(self, order_id: str, *lines: tuple[str, int], **more: Any) -> httpx2.Response:
        """Try to place an order."""
        return await self.call("POST", "orders", "/v1/orders", order_body(order_id, *lines, **more))

    async def pay(self, order_id: str, at: datetime | None = None, amount: int | None = None) -> Json:
        """Pay an order in full."""
        total = amount if amount is not None else (await self.order(order_id))["total_cents"]
        body = {
            "payment_id": f"pay-{order_id}",
            "method": "alipay",
            "amount_cents": total,
            "currency": "CNY",
            "status": "succeeded",
            **({"paid_at": at.isoformat()} if at else {}),
        }
        answer: Json = await self.post("orders", f"/v1/orders/{order_id}/payments", body)
        return answer

    async def ship(self, order_id: str, at: datetime | None = None, lines: Sequence[Json] | None = None) -> Json:
        """Send what is open, or these lines."""
        body = {
            "shipment_id": f"ship-{order_id}-{len(lines or ())}",
            "carrier": "SF",
            "tracking_number": f"SF-{order_id}",
            **({"shipped_at": at.isoformat()} if at else {}),
            **({"lines": list(lines)} if lines else {}),
        }
        answer: Json = await self.post("orders", f"/v1/orders/{order_id}/shipments", body)
        return answer

    async def deliver(self, shipment_id: str, at: datetime | None = None) -> Json:
        """The parcel has arrived."""
        body = {"status": "delivered", **({"at": at.isoformat()} if at else {})}
        answer: Json = await self.post("orders", f"/v1/shipments/{shipment_id}/scans", body)
        return answer

    async def order(self, order_id: str) -> Json:
        found: Json = await self.get("orders", f"/v1/orders/{order_id}")
        return found

    async def orders(self, **query: str) -> list[Json]:
        """Every order, over all pages."""
        found: list[Json] = []
        cursor: Mapping[str, str] = {}
        while True:
            page = await self.get("orders", "/v1/orders", limit="500", **query, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    # traffic, figures, reports

    async def visit(self, *events: Json) -> None:
        """Send traffic in the short form."""
        marked = [{**event, "importid": self.import_id} for event in events] if self.import_id else list(events)
        answer = await self.post("kpi", "/v1/events", marked)
        assert answer["rejected"] == 0, answer

    async def figures(self, kpi: str, first: str, last: str = "", **query: str) -> list[Json]:
        """The series of a figure over store days."""
        query = {"from": first, "to": last or first, **query}
        found: list[Json] = (await self.get("kpi", f"/v1/kpis/{kpi}", **query))["series"]
        return found

    async def figure(self, kpi: str, day: str) -> Any:
        """One figure of one day."""
        (point,) = await self.figures(kpi, day)
        return point["value"] if point["denominator"] is not None else point["numerator"]

    async def open_import(self) -> None:
        await self.post("kpi", "/v1/imports", {"import_id": self.import_id})

    async def end_import(self) -> None:
        await self.post("kpi", f"/v1/imports/{self.import_id}/end", {})

    async def report(self, day: str) -> Json | None:
        """The daily report of a day in its newest edition; None before the first."""
        answer = await self.call("GET", "reporting", f"/v1/reports/daily/{day}.json")
        if answer.status_code == 404:
            return None
        report: Json = good(answer)
        return report if report["edition"] else None
