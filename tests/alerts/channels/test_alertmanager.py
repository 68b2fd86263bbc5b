"""With the real Prometheus Alertmanager: ours reach it, its own reach the same inbox; and our v4 webhook format."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from cli.local.processes import free_port
from services.alerts.channels.alertmanager import fingerprint
from tests.alerts.channels.test_robots import open_incident, sending
from tests.alerts.conftest import items, put, until_settled
from tests.support.desk import Desk
from tests.support.fixtures import Running, require_program
from tests.support.webhooks import SECRET

CONFIG = """
route: {{receiver: opswire, group_wait: 0s, group_interval: 1s, repeat_interval: 1h, group_by: [alertname]}}
receivers:
  - name: opswire
    webhook_configs:
      - url: {url}
        send_resolved: true
        http_config: {{authorization: {{credentials: {key}}}}}
"""


@asynccontextmanager
async def alertmanager(folder: Path, url: str = "http://127.0.0.1:9/", key: str = "x") -> AsyncIterator[str]:
    """The address of a real one that tells this webhook."""
    program = require_program("prometheus-alertmanager", "prometheus-alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text(CONFIG.format(url=url, key=key))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program, f"--config.file={config}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=address) as client:
            await until(lambda: _is_ready(client))
        yield address
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/-/ready")).status_code == 200
    except httpx2.TransportError:
        return False


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(300):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it never came to hold")


async def test_our_incidents_reach_a_real_alertmanager_and_end_there(shop: Desk, tmp_path: Path) -> None:
    async with alertmanager(tmp_path) as address, httpx2.AsyncClient(base_url=address) as theirs:
        await put(shop, "/v1/channels/am", {"kind": "alertmanager", "url": address})
        incident = await open_incident(shop, "页面崩溃")
        async with sending(shop):
            await until_settled(shop)
            (alert,) = (await theirs.get("/api/v2/alerts")).json()
            assert alert["labels"] == {"alertname": "manual", "store": "demo", "incident_id": incident}
            assert alert["annotations"] == {"summary": "页面崩溃"}
            assert alert["fingerprint"] == fingerprint(alert["labels"])
            record = {"cause_code": "system", "cause": "x", "measures": "y", "owner": "li"}
            assert (await shop.call("POST", f"/v1/incidents/{incident}/resolve", json=record)).status_code == 200
            await until_settled(shop)
        assert (await theirs.get("/api/v2/alerts?active=true")).json() == []


async def test_technical_alerts_reach_the_inbox_once_and_recover(running: Running, tmp_path: Path) -> None:
    async with running("alerts") as platform:
        key = await platform.add_key("demo", "alerts:write", "alerts:read")
        ours = platform.client("alerts", key)
        hook = f"{platform.topology.url('alerts')}/v1/alertmanager"
        async with alertmanager(tmp_path, hook, key) as address, httpx2.AsyncClient(base_url=address) as theirs:
            disk = {
                "labels": {"alertname": "DiskFull", "instance": "db-1"},
                "annotations": {"summary": "disk 97 % full"},
            }
            await theirs.post("/api/v2/alerts", json=[disk])

            async def incidents() -> list[Any]:
                found: list[Any] = (await ours.get("/v1/incidents?rule=technical")).json()["items"]
                return found

            async def is_open() -> bool:
                return len(await incidents()) == 1

            async def is_over() -> bool:
                (incident,) = await incidents()
                return incident["recovered_at"] is not None

            await until(is_open)
            (incident,) = await incidents()
            assert incident["title"] == "disk 97 % full"
            assert len(incident["alerts"]) == 1
            await theirs.post("/api/v2/alerts", json=[{**disk, "endsAt": "2024-07-01T00:00:01Z"}])
            await until(is_over)


ALERT: dict[str, Any] = {
    "status": "firing", "labels": {"alertname": "DiskFull"}, "annotations": {"summary": "full"}, "fingerprint": "1",
    "startsAt": "2024-07-01T00:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
}  # fmt: skip
FIRING: dict[str, Any] = {
    "version": "4", "status": "firing", "receiver": "x", "groupKey": "{}", "externalURL": "http://am",
    "alerts": [ALERT],
}  # fmt: skip


async def test_what_alertmanager_says_again_is_no_second_alert(shop: Desk) -> None:
    for _ in range(3):
        answer = await shop.call("POST", "/v1/alertmanager", json=FIRING)
        assert answer.status_code == 200, answer.text
    (incident,) = await items(shop, "/v1/incidents?rule=technical")
    assert len(incident["alerts"]) == 1
    assert incident["retroactive"] is False


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"version": "5"}, "/version"),
        ({"alerts": [{**ALERT, "startsAt": "yesterday"}]}, "/alerts/0/startsAt"),
        ({"alerts": [{**ALERT, "labels": {"a": 1}}]}, "/alerts/0/labels/a"),
    ],
)
async def test_a_body_that_is_not_alertmanagers_is_refused_by_field(
    shop: Desk, change: dict[str, Any], pointer: str
) -> None:
    answer = await shop.call("POST", "/v1/alertmanager", json={**FIRING, **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_webhook_may_be_written_as_alertmanager_writes_it(shop: Desk, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/am").respond_with_data("", 200)
    hook = {
        "kind": "webhook",
        "url": httpserver.url_for("/am").replace("localhost", "127.0.0.1"),
        "secret": SECRET,
        "format": "alertmanager",
    }
    await put(shop, "/v1/channels/am", hook)
    incident = await open_incident(shop, "页面崩溃")
    async with sending(shop):
        await until_settled(shop)
    ((request, _),) = httpserver.log
    body = json.loads(request.get_data())
    assert (body["version"], body["status"], body["receiver"]) == ("4", "firing", "am")
    (alert,) = body["alerts"]
    assert alert["labels"]["incident_id"] == incident
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert alert["fingerprint"] == fingerprint(alert["labels"])
