"""The orders service on a real database, with its stock on a shelf in memory and a clock that the test turns."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import Envelope, from_record
from libs.events.contracts.base import Event
from libs.events.ids import uuid7
from libs.service.auth import add_key
from libs.service.runtime import Runtime
from services.orders.app import build
from services.orders.handlers import reactions
from services.orders.settings import OrdersSettings
from tests.orders.samples import NOON
from tests.orders.shelf import Shelf

EVERYTHING = ("orders:read", "orders:write")
_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


@dataclass
class Shop:
    """The running service and ways to look at it."""

    runtime: Runtime
    app: FastAPI
    shelf: Shelf
    keys: dict[str, str] = field(default_factory=dict)
    now: datetime = NOON

    def client(self, key: str = "demo", **headers: str) -> httpx2.AsyncClient:
        """A client with one of the keys."""
        headers["Authorization"] = f"Bearer {self.keys[key]}"
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://orders", headers=headers)

    def wait(self, **duration: float) -> None:
        """Turn the clock on."""
        self.now += timedelta(**duration)
        self.shelf.now = self.now

    async def sql(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement as the owner."""
        async with self.runtime.engine.begin() as session:
            await session.execute(text("SET LOCAL ROLE orders_worker"))
            done = await session.execute(text(statement), values)
            return [tuple(row) for row in done] if done.returns_rows else []

    async def events(self, subject: str | None = None) -> list[Envelope[Any]]:
        """What waits to be published, of one subject or all."""
        rows = await self.sql("SELECT topic, key, value, headers FROM orders.outbox ORDER BY id")
        envelopes = [from_record(Record(t, 0, n, k, v, _headers.decode(h))) for n, (t, k, v, h) in enumerate(rows)]
        return [e for e in envelopes if subject is None or e.subject == subject]

    async def types(self, subject: str) -> list[str]:
        """Types of the events of one subject, in their order."""
        return [envelope.type for envelope in await self.events(subject)]

    async def hear(self, *events: Event, store: str = "demo", at: datetime | None = None) -> None:
        """Have the service react to events of others."""
        envelopes = [self._told(event, store, at or self.now) for event in events]
        async with self.runtime.worker.begin() as tx:
            await reactions.REACTIONS.handle(envelopes, tx)

    def _told(self, event: Event, store: str, at: datetime) -> Envelope[Any]:
        return Envelope(uuid7(at), "/services/test", store, event.subject, at, at, event)

    async def run_timers(self) -> None:
        """Do what has come due."""
        await reactions.run_timers(self.runtime.worker, self.shelf)

    async def place(self, order_id: str, **changes: Any) -> dict[str, Any]:
        """Place an order over HTTP."""
        async with self.client() as client:
            return accepted(await client.post("/v1/orders", json=order_json(order_id, **changes)))

    async def pay(self, order_id: str, amount_cents: int = 15_600, **changes: Any) -> dict[str, Any]:
        """Pay it over HTTP; the order as it is then."""
        body = payment_json(f"p-{order_id}", amount_cents, **changes)
        async with self.client() as client:
            order: dict[str, Any] = accepted(await client.post(f"/v1/orders/{order_id}/payments", json=body))["order"]
            return order

    async def post(
        self, path: str, body: object | None = None, *, key: str = "demo", **headers: str
    ) -> httpx2.Response:
        """Any POST."""
        async with self.client(key, **headers) as client:
            return await client.post(path, json=body) if body is not None else await client.post(path)

    async def get(self, path: str, *, key: str = "demo", **params: Any) -> httpx2.Response:
        """Any GET."""
        async with self.client(key) as client:
            return await client.get(path, params=params)


def accepted(response: httpx2.Response) -> dict[str, Any]:
    """The body of an answer that is no refusal."""
    assert response.status_code < 300, response.text
    body: dict[str, Any] = response.json()
    return body


def refused(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer that is one."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    return body


def pointers(problem: dict[str, Any]) -> list[str]:
    """The places that a problem names."""
    return [error["pointer"] for error in problem["errors"]]


ZHANG = {"name": "张三", "phone": "13800005678", "province": "浙江", "city": "杭州", "address": "文三路 1 号"}


def order_json(order_id: str | None = "o-1", **changes: Any) -> dict[str, Any]:
    """The order of the wire examples; a change to None leaves the field out."""
    body = {
        "order_id": order_id,
        "customer_id": "c-9",
        "origin": "storefront",
        "channel": "paid",
        "source": "douyin",
        "visitor_id": "v-77",
        "currency": "CNY",
        "lines": [line_json("A001", 2, 7_800)],
        "shipping_cents": 0,
        "discount_cents": 0,
        "consignee": ZHANG,
        "placed_at": NOON.isoformat(),
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def line_json(sku: str, quantity: int, unit_price_cents: int) -> dict[str, Any]:
    """A line."""
    return {"sku": sku, "quantity": quantity, "unit_price_cents": unit_price_cents}


def payment_json(payment_id: str, amount_cents: int, **changes: Any) -> dict[str, Any]:
    """A payment."""
    return {
        "payment_id": payment_id,
        "method": "alipay",
        "amount_cents": amount_cents,
        "currency": "CNY",
        "status": "succeeded",
        **changes,
    }


@pytest.fixture(scope="module")
async def shop(database: str) -> AsyncIterator[Shop]:
    """The service with the loops of its till alone: what it would publish stays in the outbox to be read."""
    shelf = Shelf({"A001": 10**6, "B002": 10**6, "RARE": 1}, NOON)
    runtime, app = build(OrdersSettings(database_url=SecretStr(database)), shelf)
    made = Shop(runtime, app, shelf)
    for transactions in (runtime.api, runtime.worker):
        transactions.clock = lambda: made.now
    runtime.clock = lambda: made.now
    await runtime.start()
    await _furnish(made)
    lanes = (app.state.till.looking, app.state.till.making)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(lane.run()) for lane in lanes]
        yield made
        for task in tasks:
            task.cancel()
    await runtime.close()


async def _furnish(shop: Shop) -> None:
    async with shop.runtime.engine.begin() as session:
        await session.execute(
            text(
                "INSERT INTO access.stores (store, name, timezone, currency, language) VALUES"
                " ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh'), ('other', 'Other', 'Europe/London', 'GBP', 'en')"
            )
        )
        for name, store, scopes in _KEYS:
            shop.keys[name] = (await add_key(session, store, scopes)).key


_KEYS: Sequence[tuple[str, str, Iterable[str]]] = (
    ("demo", "demo", EVERYTHING),
    ("other", "other", EVERYTHING),
    ("reader", "demo", ("orders:read",)),
    ("pii", "demo", ("orders:read", "orders:pii")),
    ("operator", "*", (*EVERYTHING, "admin")),
)
