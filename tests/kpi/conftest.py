"""The kpi service on real PostgreSQL, for the tests of its HTTP side."""

from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import Envelope, from_record
from libs.service.auth import add_key
from libs.service.migration import migrate
from libs.service.runtime import Runtime
from services.kpi.app import build
from services.kpi.settings import KpiSettings
from tests.support.databases import new_database

STORES = (("demo", "Asia/Shanghai", "CNY"), ("other", "Asia/Shanghai", "CNY"), ("york", "America/New_York", "USD"))


@dataclass
class KpiService:
    """A started kpi service without its loops, its client, and its keys."""

    runtime: Runtime
    client: httpx2.AsyncClient
    keys: dict[str, str]

    async def get(self, path: str, *, key: str = "demo", **params: Any) -> httpx2.Response:
        names = {name.rstrip("_"): value for name, value in params.items() if value is not None}
        return await self.client.get(path, params=names, headers=self._headers(key))

    async def post(
        self, path: str, body: Any = None, *, key: str = "demo", content: bytes | None = None, **headers: str
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            return await self.client.post(path, content=content, headers={**self._headers(key), **named})
        return await self.client.post(path, json=body, headers={**self._headers(key), **named})

    async def put(self, path: str, body: Any, *, key: str = "demo", **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.put(path, json=body, headers={**self._headers(key), **named})

    def _headers(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[key]}"} if key else {}

    async def records(self, topic: str) -> list[Record]:
        """Everything on a topic of the bus."""
        found: list[Record] = []
        for partition, (first, end) in (await self.runtime.bus.bounds(topic)).items():
            if end > first:
                found += await self.runtime.bus.read(topic, partition, first, end - first)
        return found

    async def events(self, topic: str) -> list[Envelope[Any]]:
        return [from_record(record) for record in await self.records(topic)]

    async def waiting(self, topic: str) -> list[Envelope[Any]]:
        """Events in the outbox, oldest first."""
        import msgspec

        async with self.runtime.engine.connect() as session:
            rows = await session.execute(
                text("SELECT key, value, headers FROM kpi.outbox WHERE topic = :topic ORDER BY id"), {"topic": topic}
            )
            return [
                from_record(
                    Record(
                        topic, 0, 0, row.key, row.value, tuple((n, v) for n, v in msgspec.msgpack.decode(row.headers))
                    )
                )
                for row in rows
            ]


@pytest.fixture(scope="module")
async def kpi_database() -> AsyncIterator[str]:
    """A database with the schemas of kpi alone."""
    with contextmanager(new_database)() as url:
        await migrate(url, "kpi")
        yield url


@pytest.fixture(scope="module")
async def kpi(kpi_database: str) -> AsyncIterator[KpiService]:
    runtime, app = build(KpiSettings.load(database_url=kpi_database))
    await runtime.start()
    keys = {}
    async with runtime.engine.begin() as session:
        for store, zone, currency in STORES:
            await session.execute(
                text(
                    "INSERT INTO access.stores (store, name, timezone, currency, language)"
                    " VALUES (:store, :store, :zone, :currency, 'zh')"
                ),
                {"store": store, "zone": zone, "currency": currency},
            )
            scopes = ["traffic:write", "kpi:read", "kpi:write"]
            keys[store] = (await add_key(session, store, scopes)).key
        keys["traffic"] = (await add_key(session, "demo", ["traffic:write"])).key
        keys["reader"] = (await add_key(session, "demo", ["kpi:read"])).key
        keys["operator"] = (await add_key(session, "*", scopes)).key
        keys["public"] = (await add_key(session, "demo", ["traffic:write"], is_public=True)).key
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://kpi") as client:
        yield KpiService(runtime, client, keys)
    await runtime.close()
