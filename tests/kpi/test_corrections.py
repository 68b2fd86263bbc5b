"""What changed after the fact is told with its cause, and the past stays as it was known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.kpi.measuring import measure
from tests.kpi.conftest import KpiService

YESTERDAY = (datetime.now(UTC) + timedelta(hours=8)).date() - timedelta(days=1)
"""In Shanghai, once the test was loaded."""


def view(event_id: str, hour: int, visitor: str = "v-1", channel: str = "paid") -> dict[str, Any]:
    return {
        "id": event_id,
        "type": "page.viewed",
        "time": f"{YESTERDAY}T{hour:02d}:00:00+08:00",
        "visitor_id": visitor,
        "channel": channel,
        "url_path": "/",
        "page_kind": "home",
    }


@pytest.fixture(scope="module")
async def corrected(kpi: KpiService) -> KpiService:
    """Two views measured, then the visitor's earliest one comes late, through another channel."""
    await kpi.post("/v1/imports", {"import_id": "first"})
    await kpi.post("/v1/events", [{**view("a-1", 12), "importid": "first"}, {**view("a-2", 13), "importid": "first"}])
    await kpi.catch_up()
    await kpi.post("/v1/imports/first/end")
    await kpi.catch_up()
    while await measure(kpi.runtime.worker):
        pass
    await kpi.post("/v1/events", [view("late", 9, channel="social")])
    await kpi.catch_up()
    return kpi


async def corrections(kpi: KpiService, grain: str, **params: Any) -> list[dict[str, Any]]:
    answer = await kpi.get("/v1/corrections", limit=500, **{"from_": YESTERDAY.isoformat(), **params})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return [item for item in items if item["grain"] == grain]


async def test_a_late_event_moves_the_visitor_and_names_itself_as_the_cause(corrected: KpiService) -> None:
    found = {
        (item["dimensions"].get("channel"), item["measure"]): (item["from"], item["to"])
        for item in await corrections(corrected, "day")
        if set(item["dimensions"]) <= {"channel"} and item["measure"] in ("pv", "uv")
    }
    assert found == {
        (None, "pv"): (2, 3),
        ("paid", "pv"): (2, 0),
        ("paid", "uv"): (1, 0),
        ("social", "pv"): (0, 3),
        ("social", "uv"): (0, 1),
    }
    item = (await corrections(corrected, "day"))[0]
    assert set(item) >= {"bucket", "grain", "dimensions", "measure", "from", "to", "corrected_at", "causes"}
    assert (item["bucket"], item["causes"], item["cause_count"]) == (YESTERDAY.isoformat(), ["late"], 1)


async def test_corrections_are_asked_by_the_buckets_first_day(corrected: KpiService) -> None:
    after = (YESTERDAY + timedelta(days=1)).isoformat()
    assert await corrections(corrected, "day", from_=after) == []
    assert (await corrected.get("/v1/corrections", from_="yesterday")).status_code == 422


async def test_corrections_come_in_pages(corrected: KpiService) -> None:
    ids: list[str] = []
    cursor = None
    while True:
        page = (await corrected.get("/v1/corrections", limit=3, cursor=cursor)).json()
        ids += [repr(item) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) >= 5


async def test_another_store_sees_none_of_them(corrected: KpiService) -> None:
    assert (await corrected.get("/v1/corrections", key="other")).json()["items"] == []


async def test_what_was_known_before_stays_the_same_bytes(corrected: KpiService) -> None:
    day = YESTERDAY.isoformat()
    before = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    first = await corrected.get("/v1/kpis/pv", from_=day, to=day, as_of=before, by="channel")
    await corrected.post("/v1/events", [view("later", 8, channel="direct")])
    await corrected.catch_up()
    again = await corrected.get("/v1/kpis/pv", from_=day, to=day, as_of=before, by="channel")
    assert first.status_code == 200, first.text
    assert first.content == again.content
    now = (await corrected.get("/v1/kpis/pv", from_=day, to=day)).json()["series"]
    assert now[0]["value"] == 4
