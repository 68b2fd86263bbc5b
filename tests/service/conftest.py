"""The example service, running on a real database with the PostgreSQL bus."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from libs.service.auth import NewKey, add_key
from libs.service.migration import migrate
from libs.service.runtime import Runtime
from tests.service.example.app import MIGRATIONS, build
from tests.service.example.settings import ExampleSettings
from tests.support.databases import new_database

EVERYTHING = ("orders:read", "orders:write")


@dataclass
class Example:
    """The running example and ways to call it."""

    runtime: Runtime
    app: FastAPI
    keys: dict[str, NewKey]

    def client(self, key: str | None = "demo", *, from_host: str = "127.0.0.1", **headers: str) -> httpx2.AsyncClient:
        """A client with a key of `keys`, or with none."""
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys[key].key}"
        transport = httpx2.ASGITransport(app=self.app, client=(from_host, 50000))
        return httpx2.AsyncClient(transport=transport, base_url="http://example", headers=headers)

    async def sql(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        """Run a statement as the owner."""
        async with self.runtime.engine.begin() as session:
            done = await session.execute(text(statement), values)
            return [tuple(row) for row in done] if done.returns_rows else []

    async def add_key(self, name: str, store: str, *scopes: str, expires_at: datetime | None = None) -> NewKey:
        """One more key."""
        async with self.runtime.engine.begin() as session:
            self.keys[name] = await add_key(session, store, scopes, expires_at=expires_at)
        return self.keys[name]


@pytest.fixture(scope="module")
def bare_database() -> Iterator[str]:
    """A database without any table, of this module alone."""
    yield from new_database()


@pytest.fixture(scope="module")
async def example_database(bare_database: str) -> str:
    """A database with the example's schema and what is shared; no other service's migration is run."""
    await migrate(bare_database, "example", folder=MIGRATIONS)
    return bare_database


def settings_for(database: str, **more: object) -> ExampleSettings:
    """Settings that do not read the environment of the machine."""
    return ExampleSettings(database_url=SecretStr(database), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def example(example_database: str) -> AsyncIterator[Example]:
    """The example with two stores and a key of each kind."""
    runtime, app = build(settings_for(example_database))
    running = Example(runtime, app, {})
    await running.sql(
        "INSERT INTO access.stores (store, name, timezone, currency, language) VALUES"
        " ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh'), ('other', 'Other', 'Europe/London', 'GBP', 'en')"
        " ON CONFLICT DO NOTHING"
    )
    await running.add_key("demo", "demo", *EVERYTHING)
    await running.add_key("other", "other", *EVERYTHING)
    await running.add_key("operator", "*", *EVERYTHING)
    await running.add_key("reader", "demo", "orders:read")
    async with runtime.running():
        yield running
