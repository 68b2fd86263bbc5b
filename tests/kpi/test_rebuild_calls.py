"""A rebuild over HTTP: asked for, carried out beside the traffic, reported."""

import sys

from services.kpi.aside import EXIT_RETRY, carry_out_aside
from services.kpi.rebuild import carry_out
from services.kpi.settings import KpiSettings
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


async def test_the_service_has_it_carried_out_in_a_process_of_its_own(kpi: KpiService, kpi_database: str) -> None:
    settings = KpiSettings.load(database_url=kpi_database)
    assert await carry_out_aside(settings, kpi.runtime.worker) is None
    rebuild_id = (await kpi.post("/v1/rebuilds")).json()["rebuild_id"]
    assert await carry_out_aside(settings, kpi.runtime.worker) == 0
    done = (await kpi.get(f"/v1/rebuilds/{rebuild_id}")).json()
    assert (done["status"], done["identical"]) == ("done", True)


async def test_a_rebuild_whose_process_dies_has_failed_and_says_so(kpi: KpiService, kpi_database: str) -> None:
    settings = KpiSettings.load(database_url=kpi_database)
    rebuild_id = (await kpi.post("/v1/rebuilds")).json()["rebuild_id"]
    retry = [sys.executable, "-c", f"raise SystemExit({EXIT_RETRY})"]
    assert await carry_out_aside(settings, kpi.runtime.worker, retry) == EXIT_RETRY
    assert (await kpi.get(f"/v1/rebuilds/{rebuild_id}")).json()["status"] == "running"
    await carry_out_aside(settings, kpi.runtime.worker, [sys.executable, "-c", "raise SystemExit(9)"])
    failed = (await kpi.get(f"/v1/rebuilds/{rebuild_id}")).json()
    assert (failed["status"], failed["error"]) == ("failed", "its process ended with code 9")
