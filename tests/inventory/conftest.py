"""The inventory service on a real database, with a clock that the test turns."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
import msgspec
import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import Envelope, from_record
from libs.events.contracts.base import Event
from libs.events.ids import uuid7
from libs.service.auth import add_key
from libs.service.invariants import Violation
from libs.service.runtime import Runtime
from services.inventory.app import build
from services.inventory.handlers.campaigns import end_campaigns
from services.inventory.handlers.expiry import expire_holds
from services.inventory.handlers.policies import put_policies_into_force
from services.inventory.handlers.reactions import REACTIONS
from services.inventory.handlers.reconciling import reconcile_days
from services.inventory.invariants import violations
from services.inventory.lane import StockLane
from services.inventory.settings import InventorySettings
from tests.inventory.shop import NOON

EVERYTHING = ("inventory:read", "inventory:write")
_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


@dataclass
class Depot:
    """The running service and ways to look at it."""

    runtime: Runtime
    app: FastAPI
    keys: dict[str, str] = field(default_factory=dict)
    now: datetime = NOON
    seen: int = 0

    @property
    def lane(self) -> StockLane:
        lane: StockLane = self.app.state.lane
        return lane

    def client(self, key: str = "demo", **headers: str) -> httpx2.AsyncClient:
        """A client with one of the keys."""
        headers["Authorization"] = f"Bearer {self.keys[key]}"
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://inventory", headers=headers)

    def tick(self, **duration: float) -> None:
        """Turn the clock on."""
        self.now += timedelta(**duration)

    async def call(self, method: str, path: str, *, key: str = "demo", **more: Any) -> httpx2.Response:
        """Any call."""
        async with self.client(key) as client:
            return await client.request(method, path, **more)

    async def post(self, path: str, body: object, *, key: str = "demo", **more: Any) -> httpx2.Response:
        """A POST of JSON."""
        return await self.call("POST", path, key=key, json=body, **more)

    async def get(self, path: str, *, key: str = "demo", **params: Any) -> Any:
        """The body of a GET that works."""
        return accepted(await self.call("GET", path, key=key, params=params))

    async def stocked(self, sku: str, quantity: int, *, safety: int = 0, warehouse: str = "main", **more: Any) -> None:
        """Take a SKU into the catalogue and receive units of it."""
        wanted = {"title": sku, "price_cents": 100, "safety": safety, **more}
        accepted(await self.call("PUT", f"/v1/skus/{sku}", json=wanted))
        if quantity:
            receipt = {"receipt_id": uuid7(), "sku": sku, "quantity": quantity, "warehouse": warehouse}
            accepted(await self.post("/v1/receipts", receipt))

    async def level(self, sku: str) -> dict[str, Any]:
        """The level of a SKU."""
        body: dict[str, Any] = await self.get(f"/v1/stock/{sku}")
        return body

    async def reserve(self, name: str, *lines: tuple[str, int], **more: Any) -> httpx2.Response:
        """Ask for a hold."""
        wanted = {"reservation_id": name, "lines": [{"sku": s, "quantity": n} for s, n in lines], **more}
        return await self.post("/v1/reservations", wanted)

    async def hear(self, *events: Event, store: str = "demo", at: datetime | None = None) -> None:
        """Have the service react to events of others, as one batch."""
        envelopes = [
            Envelope(uuid7(), "/services/test", store, event.subject, at or self.now, self.now, event)
            for event in events
        ]
        async with self.runtime.worker.begin() as tx:
            await REACTIONS.handle(envelopes, tx)

    async def run_timers(self) -> None:
        """Do what has come due."""
        await expire_holds(self.runtime.worker)
        await end_campaigns(self.runtime.worker)
        await put_policies_into_force(self.runtime.worker)

    async def reconcile(self) -> None:
        """Reconcile the days that are over."""
        await reconcile_days(self.runtime.worker, await self.runtime.stores.every())

    async def sql(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement that sees every store."""
        async with self.runtime.engine.begin() as session:
            await session.execute(text("SET LOCAL ROLE inventory_worker"))
            done = await session.execute(text(statement), values)
            return [tuple(row) for row in done] if done.returns_rows else []

    async def events(self) -> list[Event]:
        """What was told since the last look."""
        return [envelope.data for envelope in await self.envelopes()]

    async def envelopes(self) -> list[Envelope[Any]]:
        """What was told since the last look, as it travels."""
        rows = await self.sql(
            "SELECT id, topic, key, value, headers FROM inventory.outbox WHERE id > :seen ORDER BY id", seen=self.seen
        )
        self.seen = rows[-1][0] if rows else self.seen
        return [from_record(Record(t, 0, n, k, v, _headers.decode(h))) for n, t, k, v, h in rows]

    async def violations(self) -> list[Violation]:
        """Every invariant that is broken."""
        async with self.runtime.worker.begin(read_only=True) as tx:
            return await violations(tx.session)


def accepted(response: httpx2.Response) -> Any:
    """The body of an answer that is no refusal."""
    assert response.status_code < 300, response.text
    return response.json()


def refused(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer that is one."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    body: dict[str, Any] = response.json()
    return body


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> Iterator[None]:
    """Errors as JSON: structlog's own pretty tracebacks take seconds each."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
async def depot(database: str) -> AsyncIterator[Depot]:
    """The service, started, with no loop but the lane's: what it would publish stays in the outbox to be read."""
    runtime, app = build(InventorySettings(database_url=SecretStr(database)))
    made = Depot(runtime, app)
    for transactions in (runtime.api, runtime.worker):
        transactions.clock = lambda: made.now
    runtime.clock = lambda: made.now
    await runtime.start()
    await _furnish(made)
    lane = asyncio.create_task(made.lane.run())
    yield made
    lane.cancel()
    await asyncio.wait([lane])
    assert await made.violations() == []
    await runtime.close()


async def _furnish(depot: Depot) -> None:
    async with depot.runtime.engine.begin() as session:
        await session.execute(
            text(
                "INSERT INTO access.stores (store, name, timezone, currency, language) VALUES"
                " ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh'), ('other', 'Other', 'Europe/London', 'GBP', 'en')"
            )
        )
        for name, store, scopes in _KEYS:
            depot.keys[name] = (await add_key(session, store, scopes)).key


_KEYS: Sequence[tuple[str, str, Iterable[str]]] = (
    ("demo", "demo", EVERYTHING),
    ("other", "other", EVERYTHING),
    ("reader", "demo", ("inventory:read",)),
    ("operator", "*", (*EVERYTHING, "admin")),
)
