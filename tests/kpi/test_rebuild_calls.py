"""A rebuild over HTTP: asked for, carried out beside the traffic, reported."""

from services.kpi.rebuild import carry_out
from tests.kpi.conftest import KpiService

VIEW = {
    "id": "r-1",
    "type": "page.viewed",
    "time": "2024-07-01T10:00:00+08:00",
    "visitor_id": "v-r",
    "url_path": "/",
    "page_kind": "home",
}


async def test_a_rebuild_is_asked_for_and_reported_when_done(kpi: KpiService) -> None:
    await kpi.post("/v1/events", [VIEW])
    await kpi.catch_up()
    asked = await kpi.post("/v1/rebuilds")
    assert (asked.status_code, asked.json()["status"]) == (202, "running")
    rebuild_id = asked.json()["rebuild_id"]
    running = await kpi.get(f"/v1/rebuilds/{rebuild_id}")
    assert running.json()["status"] == "running"
    await carry_out(kpi.runtime.worker)
    done = (await kpi.get(f"/v1/rebuilds/{rebuild_id}")).json()
    assert (done["status"], done["identical"]) == ("done", True)
    assert done["events"] >= 1
    assert done["live_digest"] == done["rebuilt_digest"]
    assert done["repaired"] == {"count": 0, "rows": []}


async def test_an_operator_need_not_name_a_store(kpi: KpiService) -> None:
    asked = await kpi.post("/v1/rebuilds", key="operator")
    assert asked.status_code == 202, asked.text
    await carry_out(kpi.runtime.worker)
    done = await kpi.get(f"/v1/rebuilds/{asked.json()['rebuild_id']}", key="operator")
    assert done.json()["identical"] is True


async def test_a_rebuild_that_is_not_there_is_404(kpi: KpiService) -> None:
    assert (await kpi.get("/v1/rebuilds/none")).status_code == 404


async def test_whoever_may_only_read_may_not_start_one(kpi: KpiService) -> None:
    assert (await kpi.post("/v1/rebuilds", key="reader")).status_code == 403
