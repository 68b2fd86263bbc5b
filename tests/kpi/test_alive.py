"""The whole service with its loops: what came in is a figure soon after, and the watermark of traffic moves."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from sqlalchemy import text

from libs.service.auth import add_key
from services.kpi.app import build
from services.kpi.settings import KpiSettings


async def until(ask: Any, seconds: float = 30.0) -> Any:
    """What `ask` gives as soon as it is true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        if found := await ask():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come")


async def test_a_visit_is_a_figure_and_the_beat_of_traffic_moves_its_watermark(kpi_database: str) -> None:
    runtime, app = build(KpiSettings.load(database_url=kpi_database))
    async with runtime.engine.begin() as session:
        await session.execute(
            text(
                "INSERT INTO access.stores (store, name, timezone, currency, language)"
                " VALUES ('demo', 'demo', 'Asia/Shanghai', 'CNY', 'zh')"
            )
        )
        key = (await add_key(session, "demo", ["traffic:write", "kpi:read"])).key
    client = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://kpi", headers={"authorization": f"Bearer {key}"}
    )
    async with runtime.running(), client:
        began = datetime.now(UTC)
        view = {
            "type": "page.viewed",
            "time": began.isoformat(),
            "visitor_id": "v",
            "url_path": "/",
            "page_kind": "home",
        }
        assert (await client.post("/v1/events", json=[view])).status_code == 202

        async def counted() -> bool:
            point = (await client.get("/v1/kpis/uv")).json()["series"][-1]
            return bool(point["value"] == 1)

        async def passed() -> bool:
            topics = (await client.get("/v1/completeness")).json()["topics"]
            mark = next(topic["watermark"] for topic in topics if topic["topic"] == "traffic")
            return mark is not None and datetime.fromisoformat(mark) > began - timedelta(seconds=1)

        await until(counted)
        await until(passed)
