"""One service on a real database, in this process: tell it events, call it over HTTP."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import text

from libs.events.bus import Record
from libs.events.codec import Envelope, from_record, to_message
from libs.events.contracts.base import Event
from libs.events.outbox import waiting_message
from libs.service.auth import add_key
from libs.service.runtime import Runtime

STORES = ("demo", "other")


@dataclass
class Desk:
    """A started service (its loops do not run), a client, and keys of two stores."""

    runtime: Runtime
    client: httpx2.AsyncClient
    keys: dict[str, str]
    told: int = field(default=0)

    async def tell(
        self, event: Event, *, store: str = "demo", at: datetime | None = None, n: int | None = None
    ) -> None:
        """Have the service consume an event as its consumer does; `n` makes it the same event again."""
        self.told += 1
        envelope: Envelope[Any] = Envelope(
            id=f"e-{n or f'x{self.told}'}",
            source="/services/test",
            store=store,
            subject=event.subject,
            time=at or datetime.now(UTC),
            recorded_time=datetime.now(UTC),
            data=event,
        )
        message = to_message(envelope)
        await self.runtime.bus.publish([message])
        await self.runtime.consumers[0].apply(await self.records(message.topic))

    async def records(self, topic: str) -> list[Record]:
        """A whole topic, partition by partition."""
        bounds = await self.runtime.bus.bounds(topic)
        return [
            record
            for partition, (first, end) in bounds.items()
            if end > first
            for record in await self.runtime.bus.read(topic, partition, first, end - first)
        ]

    async def emitted(self) -> list[Any]:
        """The events that wait in the service's outbox, in order."""
        async with self.runtime.engine.connect() as session:
            rows = (await session.execute(text(f"SELECT * FROM {self.runtime.name}.outbox ORDER BY id"))).all()
        messages = [waiting_message(row) for row in rows]
        return [from_record(Record(m.topic, 0, 0, m.key, m.value, m.headers)).data for m in messages]

    async def call(self, method: str, path: str, *, store: str = "demo", **options: Any) -> httpx2.Response:
        """A call with the key of a store."""
        headers = {"authorization": f"Bearer {self.keys[store]}", **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, *, store: str = "demo", **headers: str) -> httpx2.Response:
        return await self.call("GET", path, store=store, headers=headers)


@asynccontextmanager
async def desk_of(built: tuple[Runtime, FastAPI], scopes: Sequence[str]) -> AsyncIterator[Desk]:
    """Start a built service on its (migrated) database, with two stores in Shanghai."""
    runtime, app = built
    await runtime.start()
    try:
        async with runtime.engine.begin() as session:
            keys = {}
            for store in STORES:
                await session.execute(
                    text(
                        "INSERT INTO access.stores (store, name, timezone, currency, language)"
                        " VALUES (:store, :store, 'Asia/Shanghai', 'CNY', 'zh')"
                    ),
                    {"store": store},
                )
                keys[store] = (await add_key(session, store, list(scopes))).key
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://desk") as client:
            yield Desk(runtime, client, keys)
    finally:
        await runtime.close()
