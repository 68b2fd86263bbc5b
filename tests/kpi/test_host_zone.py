"""The host's zone changes nothing: golden cases in a store's own time, on daylight-saving days too."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from libs.service.auth import add_key
from libs.service.migration import migrate
from services.kpi.app import build
from services.kpi.settings import KpiSettings
from tests.kpi.conftest import STORES, KpiService
from tests.kpi.test_questions import order, view
from tests.support.databases import new_database

SHANGHAI_MIDNIGHT = datetime(2024, 7, 1, 16, tzinfo=UTC)
YORK_AUTUMN = datetime(2024, 11, 3, 4, tzinfo=UTC)
"""Midnight in New York at the start of a day of 25 hours."""


@contextmanager
def host_in(zone: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Shanghai"])
async def abroad(request: pytest.FixtureRequest) -> AsyncIterator[KpiService]:
    """The service on a host in another zone."""
    with host_in(request.param), contextmanager(new_database)() as url:
        await migrate(url, "kpi")
        runtime, app = build(KpiSettings.load(database_url=url))
        await runtime.start()
        keys = {}
        async with runtime.engine.begin() as session:
            for store, zone, currency in STORES:
                row = {"store": store, "zone": zone, "currency": currency}
                await session.execute(text(_STORE), row)
                keys[store] = (await add_key(session, store, ["traffic:write", "kpi:read", "kpi:write"])).key
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://kpi") as client:
            yield KpiService(runtime, app, client, keys)
        await runtime.close()


_STORE = """
INSERT INTO access.stores (store, name, timezone, currency, language) VALUES (:store, :store, :zone, :currency, 'zh')
"""


async def values(kpi: KpiService, figure: str, key: str = "demo", **params: Any) -> list[tuple[str, Any]]:
    answer = await kpi.get(f"/v1/kpis/{figure}", key=key, **params)
    assert answer.status_code == 200, answer.text
    return [(point["bucket"], point["value"]) for point in answer.json()["series"]]


async def test_golden_cases_are_the_same_wherever_the_host_is(abroad: KpiService) -> None:
    just_before = SHANGHAI_MIDNIGHT - timedelta(milliseconds=1)
    await abroad.post(
        "/v1/events",
        [
            view("1", "v", at=just_before),
            view("2", "v", at=SHANGHAI_MIDNIGHT),
            view("2", "v", at=SHANGHAI_MIDNIGHT),
        ],
    )
    await abroad.tell(*order("o-1", "v", 10_000), at=just_before, prefix="o-1")
    await abroad.tell(*order("o-2", "v", 10_000), at=SHANGHAI_MIDNIGHT, prefix="o-2")
    spring = [view(f"s-{n}", "y", at=YORK_AUTUMN + timedelta(hours=n)) for n in range(26)]
    for event in spring:
        await abroad.post("/v1/events", [event], key="york")
    await abroad.catch_up()
    days = {"from_": "2024-07-01", "to": "2024-07-02"}
    assert await values(abroad, "uv", **days) == [("2024-07-01", 1), ("2024-07-02", 1)]
    assert await values(abroad, "uv", **days, grain="week") == [("2024-W27", 1)]
    assert await values(abroad, "orders_paid", **days) == [("2024-07-01", 1), ("2024-07-02", 1)]
    assert await values(abroad, "gmv", **days, grain="month") == [("2024-07", 20_000)]
    autumn = {"from_": "2024-11-03", "to": "2024-11-04", "key": "york"}
    assert await values(abroad, "pv", **autumn) == [("2024-11-03", 25), ("2024-11-04", 1)]
    hours = await values(abroad, "pv", from_="2024-11-03", to="2024-11-03", key="york", grain="hour")
    assert len(hours) == 25
    assert [hour for hour, _ in hours[:4]] == ["2024-11-03T00", "2024-11-03T01", "2024-11-03T01-05:00", "2024-11-03T02"]
