"""The kpi service on real PostgreSQL, for the tests of its HTTP side."""

from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from libs.events.bus import Message, Record
from libs.events.codec import Envelope, from_record, to_message
from libs.events.contracts import TopicBeat
from libs.events.contracts.base import Event
from libs.events.ids import uuid7
from libs.events.watermark import Pending, apply_beats
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
    app: FastAPI
    client: httpx2.AsyncClient
    keys: dict[str, str]
    _applied: dict[tuple[str, int], int] = field(default_factory=dict)

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

    async def tell(self, *events: Event, at: datetime, store: str = "demo", prefix: str = "e", **more: Any) -> None:
        """Put facts of other services on the bus, `at` this time, with ids `prefix-n`."""
        told: list[Envelope[Any]] = [
            Envelope(
                id=f"{prefix}-{n}",
                source="/services/orders",
                store=store,
                subject=event.subject,
                time=at,
                recorded_time=max(at, datetime.now(UTC)),
                data=event,
                **more,
            )
            for n, event in enumerate(events)
        ]
        await self.runtime.bus.publish([to_message(envelope) for envelope in told])

    async def catch_up(self) -> None:
        """Publish what waits in the outbox and have everything consumed, with a beat on every topic."""
        (consumer, *_) = self.runtime.consumers
        now = datetime.now(UTC)
        beats = [
            to_message(Envelope(uuid7(), "/test", "*", topic, now, now, TopicBeat(until=now)), topic=topic)
            for topic in consumer.reactions.topics
        ]
        await self.runtime.bus.publish([*await self._take_outbox(), *beats])
        for topic in consumer.reactions.topics:
            for partition, (first, end) in (await self.runtime.bus.bounds(topic)).items():
                start = max(first, self._applied.get((topic, partition), 0))
                if end > start:
                    await consumer.apply(await self.runtime.bus.read(topic, partition, start, end - start))
                    self._applied[topic, partition] = end
        async with self.runtime.worker.begin() as tx:
            tables = consumer.tables
            none: dict[str, list[Pending]] = {topic: [] for topic in consumer.reactions.topics}
            await apply_beats(tx.session, tables.watermark, tables.position, consumer.group, none)

    async def _take_outbox(self) -> list[Message]:
        async with self.runtime.engine.begin() as session:
            rows = (
                await session.execute(text("DELETE FROM kpi.outbox RETURNING id, topic, key, value, headers"))
            ).all()
        return [_message(row) for row in sorted(rows, key=lambda row: int(row.id))]

    async def waiting(self, topic: str) -> list[Envelope[Any]]:
        """Events in the outbox, oldest first."""
        async with self.runtime.engine.connect() as session:
            rows = await session.execute(
                text("SELECT topic, key, value, headers FROM kpi.outbox WHERE topic = :topic ORDER BY id"),
                {"topic": topic},
            )
            messages = [_message(row) for row in rows]
        return [from_record(Record(m.topic, 0, 0, m.key, m.value, m.headers)) for m in messages]


def _message(row: Any) -> Message:
    headers = tuple((name, value) for name, value in msgspec.msgpack.decode(row.headers))
    return Message(row.topic, row.key, row.value, headers)


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
        yield KpiService(runtime, app, client, keys)
    await runtime.close()
