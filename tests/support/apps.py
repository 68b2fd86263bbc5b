"""The five services as apps in this process, for tests that hold of all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from libs.service.auth import add_key, revoke_key
from libs.service.migration import SERVICES
from libs.service.runtime import Runtime
from libs.service.settings import Settings

__all__ = ["SERVICES", "ServiceUnderTest", "open_service"]


@dataclass
class ServiceUnderTest:
    """A service that runs in this event loop."""

    runtime: Runtime
    app: FastAPI
    keys: dict[str, str] = field(default_factory=dict)

    def client(self, key: str | None = None, *, from_host: str = "127.0.0.1") -> httpx2.AsyncClient:
        """A client with that key."""
        transport = httpx2.ASGITransport(app=self.app, client=(from_host, 50000), raise_app_exceptions=False)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(transport=transport, base_url="http://service", headers=headers)

    async def add_key(self, store: str, *scopes: str, state: str = "good", is_public: bool = False) -> str:
        """A new key; `state` is good, expired or revoked."""
        now = datetime.now(UTC)
        expires_at = now - timedelta(seconds=1) if state == "expired" else None
        async with self.runtime.engine.begin() as session:
            made = await add_key(session, store, scopes, expires_at=expires_at, is_public=is_public)
            if state == "revoked":
                await revoke_key(session, made.id, now)
        return made.key

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(method, path, description) of every call that the service documents."""
        paths: dict[str, dict[str, Any]] = self.app.openapi()["paths"]
        return [(method.upper(), path, told) for path, methods in paths.items() for method, told in methods.items()]


@asynccontextmanager
async def open_service(name: str, database: str) -> AsyncIterator[ServiceUnderTest]:
    """Start a service on a migrated database with the stores `mine` and `theirs`."""
    runtime, app = import_module(f"services.{name}.app").build(settings_of(name, database))
    async with runtime.running():
        async with runtime.engine.begin() as session:
            await session.execute(
                text(
                    "INSERT INTO access.stores (store, name, timezone, currency, language) VALUES"
                    " ('mine', 'Mine', 'Asia/Shanghai', 'CNY', 'zh'), ('theirs', 'Theirs', 'UTC', 'EUR', 'en')"
                    " ON CONFLICT DO NOTHING"
                )
            )
        yield ServiceUnderTest(runtime, app)


def settings_of(name: str, database: str) -> Settings:
    """The service's settings for that database."""
    module = import_module(f"services.{name}.settings")
    [kind] = [v for v in vars(module).values() if isinstance(v, type) and getattr(v, "SERVICE", "") == name]
    settings: Settings = kind(database_url=SecretStr(database))
    return settings
