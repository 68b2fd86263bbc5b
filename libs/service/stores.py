"""Stores as every service needs them: zone, currency, language; read from `access.stores`, kept for seconds (D4)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.errors import NotFound

CACHE_SECONDS = 5.0
_CACHE_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store is."""

    store: str
    name: str
    zone: ZoneInfo
    currency: str
    language: str


LoadStores = Callable[[str | None], Awaitable[list[StoreInfo]]]


class Stores:
    """`await stores.get("demo")`."""

    def __init__(self, load: LoadStores) -> None:
        self._load = load
        self._cache: dict[str, tuple[float, StoreInfo]] = {}
        self._asked: dict[str, asyncio.Future[list[StoreInfo]]] = {}

    async def get(self, store: str) -> StoreInfo:
        """The store; several callers share one look-up. Raises NotFound."""
        cached = self._cache.get(store)
        if cached is not None and cached[0] > monotonic():
            return cached[1]
        for info in await self._look_up(store):
            return self._keep(info)
        raise NotFound("there is no such store")

    async def _look_up(self, store: str) -> list[StoreInfo]:
        asked = self._asked.get(store)
        if asked is None:
            asked = self._asked[store] = asyncio.ensure_future(self._load(store))
            asked.add_done_callback(lambda done: (self._asked.pop(store, None), done.cancelled() or done.exception()))
        return await asyncio.shield(asked)

    async def every(self) -> list[StoreInfo]:
        """All stores, by id."""
        return [self._keep(info) for info in await self._load(None)]

    def forget(self, store: str) -> None:
        """Read it anew next time (after a change made by this process)."""
        self._cache.pop(store, None)

    def _keep(self, info: StoreInfo) -> StoreInfo:
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache.clear()
        self._cache[info.store] = (monotonic() + CACHE_SECONDS, info)
        return info


async def load_stores(session: AsyncConnection, store: str | None) -> list[StoreInfo]:
    """Read one store, or all."""
    rows = await session.execute(
        text(
            "SELECT store, name, timezone, currency, language FROM access.stores"
            " WHERE CAST(:store AS text) IS NULL OR store = :store ORDER BY store"
        ),
        {"store": store},
    )
    return [_store(row) for row in rows]


def _store(row: Any) -> StoreInfo:
    return StoreInfo(row.store, row.name, ZoneInfo(row.timezone), row.currency, row.language)
