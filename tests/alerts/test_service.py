"""From event to signed webhook on real PostgreSQL, against receivers that check, lie, refuse and hang (P6)."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook
from werkzeug import Request, Response

from libs.events.contracts import (
    AlertFired,
    IncidentOpened,
    KpiMeasured,
    NotificationSent,
    SkuListed,
    StockBackIn,
    StockRanLow,
    StockSoldOut,
    TargetSet,
)
from services.alerts.app import build
from services.alerts.settings import AlertsSettings
from tests.alerts.conftest import until_settled
from tests.support.desk import Desk, desk_of

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


@pytest.fixture
async def desk(fresh_database: str) -> AsyncIterator[Desk]:
    settings = AlertsSettings(
        database_url=SecretStr(fresh_database), webhook_allow="127.0.0.1,localhost", webhook_seconds=1.0
    )
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as running:
        yield running


@asynccontextmanager
async def sending(desk: Desk) -> AsyncIterator[None]:
    """The sender's loop runs."""
    task = asyncio.ensure_future(desk.runtime.loops["sender"]())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Receiver:
    """A webhook target that checks the signature as a real one does and keeps what it accepted."""

    def __init__(self, server: HTTPServer, path: str = "/hook", *, fail_first: int = 0) -> None:
        self.url = server.url_for(path)
        self.accepted: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.failures = fail_first
        server.expect_request(path, method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        if self.failures:
            self.failures -= 1
            return Response("later", 503)
        body = Webhook(SECRET).verify(request.get_data(), dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        self.accepted.append(body)
        return Response("", 204)

    async def wait(self, messages: int = 1) -> list[dict[str, Any]]:
        for _ in range(400):
            if len(self.accepted) >= messages:
                return self.accepted
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(self.accepted)} of {messages} messages arrived")


async def set_channel(desk: Desk, url: str, name: str = "ops", **more: Any) -> None:
    body = {"kind": "webhook", "url": url, "secret": SECRET, "language": "en", **more}
    answer = await desk.call("PUT", f"/v1/channels/{name}", json=body)
    assert answer.status_code == 200, answer.text


def low(sku: str = "A001") -> StockRanLow:
    return StockRanLow(sku=sku, available=9, safety=10)


async def incidents(desk: Desk, query: str = "", store: str = "demo") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await desk.get(f"/v1/incidents{query}", store=store)).json()["items"]
    return items


async def test_low_stock_reaches_a_signed_webhook_once_with_its_figures(desk: Desk, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    await set_channel(desk, receiver.url)
    await desk.tell(SkuListed(sku="A001", kind="goods", title="夏季连衣裙", category="dress", price_cents=7800))
    async with sending(desk):
        await desk.tell(low(), n=7)
        await desk.tell(low(), n=7)
        (message,) = await receiver.wait()
        await until_settled(desk)
        await asyncio.sleep(0.3)
    assert len(receiver.accepted) == 1
    assert message["type"] == "incident.opened"
    assert message["data"]["title"] == "A001 夏季连衣裙: 9 left, safety level 10"
    assert message["data"]["figures"] == {"available": 9, "safety": 10}
    (incident,) = await incidents(desk)
    assert [(n["channel"], n["status"], n["attempts"]) for n in incident["notifications"]] == [("ops", "sent", 1)]
    kinds = [type(event) for event in await desk.emitted()]
    assert [kind for kind in kinds if kind in (AlertFired, IncidentOpened, NotificationSent)] == [
        AlertFired,
        IncidentOpened,
        NotificationSent,
    ]


async def test_sold_out_joins_the_incident_and_a_recovery_is_told(desk: Desk, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    await set_channel(desk, receiver.url)
    async with sending(desk):
        await desk.tell(low())
        await desk.tell(StockSoldOut(sku="A001", available=0, safety=10))
        await desk.tell(StockBackIn(sku="A001", available=50, safety=10))
        messages = await receiver.wait(3)
    assert sorted(m["type"] for m in messages) == ["incident.escalated", "incident.opened", "incident.recovered"]
    (incident,) = await incidents(desk, "?rule=low_stock")
    assert (incident["severity"], incident["status"], len(incident["alerts"])) == ("critical", "open", 2)
    assert incident["recovered_at"] is not None


async def test_a_dead_target_delays_nobody_and_keeps_its_messages(desk: Desk, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    await set_channel(desk, "http://127.0.0.1:9/nobody", name="dead")
    await set_channel(desk, receiver.url, name="alive")
    async with sending(desk):
        for n in range(30):
            await desk.tell(low(f"S{n}"))
        await receiver.wait(30)
    ledger = (await desk.get("/v1/notifications?channel=dead&limit=100")).json()["items"]
    assert len(ledger) == 30
    assert {row["status"] for row in ledger} == {"pending"}


async def test_a_target_that_is_busy_gets_the_same_message_again_under_the_same_id(
    desk: Desk, httpserver: HTTPServer
) -> None:
    receiver = Receiver(httpserver, fail_first=1)
    await set_channel(desk, receiver.url)
    async with sending(desk):
        await desk.tell(low())
        await receiver.wait()
        await asyncio.sleep(0.2)
    (row,) = (await desk.get("/v1/notifications")).json()["items"]
    assert (row["status"], row["attempts"], row["notification_id"]) == ("sent", 2, receiver.ids[0])


async def test_a_target_that_refuses_for_good_is_not_asked_again(desk: Desk, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/gone").respond_with_data("", status=410)
    await set_channel(desk, httpserver.url_for("/gone"))
    async with sending(desk):
        await desk.tell(low())
        for _ in range(200):
            (row,) = (await desk.get("/v1/notifications")).json()["items"]
            if row["status"] != "pending":
                break
            await asyncio.sleep(0.02)
    assert (row["status"], row["last_error"], row["attempts"]) == ("failed", "HTTP 410", 1)


async def test_a_late_breach_is_recorded_and_told_to_nobody(desk: Desk, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    await set_channel(desk, receiver.url)
    await desk.tell(low(), at=datetime.now(UTC) - timedelta(hours=2))
    (incident,) = await incidents(desk)
    assert (incident["retroactive"], incident["alerts"][0]["reason"]) == (True, "retroactive")
    assert (await desk.get("/v1/notifications")).json()["items"] == []


async def test_routes_choose_by_rule_and_severity(desk: Desk, httpserver: HTTPServer) -> None:
    critical, other = Receiver(httpserver, "/critical"), Receiver(httpserver, "/other")
    await set_channel(desk, critical.url, name="critical", routes=[{"rules": ["*"], "severity": "critical"}])
    await set_channel(desk, other.url, name="other", routes=[{"rules": ["oversold"], "severity": "info"}])
    async with sending(desk):
        await desk.tell(low("B1"))
        await desk.tell(StockSoldOut(sku="B2", available=0, safety=10))
        await critical.wait()
    assert [m["data"]["about"] for m in critical.accepted] == [{"sku": "B2"}]
    assert other.accepted == []


async def test_an_incident_is_worked_on_until_it_is_resolved_with_its_record(desk: Desk) -> None:
    await desk.tell(low())
    (incident,) = await incidents(desk)
    path = f"/v1/incidents/{incident['incident_id']}"
    seen = await desk.call("POST", f"{path}/acknowledge")
    again = await desk.call("POST", f"{path}/acknowledge")
    await desk.call("POST", f"{path}/comment", json={"text": "补货中"})
    incomplete = await desk.call("POST", f"{path}/resolve", json={"cause": "sync"})
    record = {"cause_code": "stock_data", "cause": "sync failed", "measures": "repaired", "owner": "li"}
    done = await desk.call("POST", f"{path}/resolve", json=record)
    late = await desk.call("POST", f"{path}/acknowledge")
    assert (seen.status_code, seen.json()["status"], again.json()["version"]) == (200, "acknowledged", 2)
    assert incomplete.status_code == 422
    assert (done.status_code, done.json()["status"], done.json()["record"]["cause_code"]) == (
        200,
        "resolved",
        "stock_data",
    )
    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")
    assert [entry["kind"] for entry in done.json()["timeline"]] == ["opened", "acknowledged", "comment", "resolved"]
    await desk.tell(low())
    reopened = (await incidents(desk, "?status=open"))[0]
    assert reopened["previous"] == incident["incident_id"]


async def test_people_open_incidents_too(desk: Desk) -> None:
    body = {"title": "商品页打不开", "description": "500", "severity": "critical", "about": {"sku": "A001"}}
    made = await desk.call("POST", "/v1/incidents", json=body, headers={"idempotency-key": "k1"})
    again = await desk.call("POST", "/v1/incidents", json=body, headers={"idempotency-key": "k1"})
    assert (made.status_code, made.json()["rule"], made.json()["title"]) == (201, "manual", "商品页打不开")
    assert again.json()["incident_id"] == made.json()["incident_id"]
    assert len(await incidents(desk)) == 1


async def test_another_store_sees_no_incident_channel_or_message(desk: Desk, httpserver: HTTPServer) -> None:
    await set_channel(desk, httpserver.url_for("/x"))
    await desk.tell(low())
    (incident,) = await incidents(desk)
    assert await incidents(desk, store="other") == []
    assert (await desk.get(f"/v1/incidents/{incident['incident_id']}", store="other")).status_code == 404
    assert (await desk.get("/v1/channels/ops", store="other")).status_code == 404
    assert (await desk.get("/v1/notifications", store="other")).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "https://example.com/hook"}, "/url"),
        ({"url": "http://10.0.0.1/hook"}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": "https://user:pw@127.0.0.1/"}, "/url"),
        ({"secret": "short"}, "/secret"),
        ({"kind": "carrier-pigeon"}, "/kind"),
        ({"routes": [{"severity": "loud"}]}, "/routes/0/severity"),
        ({"unknown": 1}, "/unknown"),
    ],
)
async def test_a_channel_that_may_not_be_is_refused_by_field(desk: Desk, change: dict[str, Any], pointer: str) -> None:
    body = {"kind": "webhook", "url": "http://127.0.0.1:1/hook", "secret": SECRET, **change}
    answer = await desk.call("PUT", "/v1/channels/ops", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_secrets_are_masked_when_read_back(desk: Desk) -> None:
    await set_channel(desk, "http://127.0.0.1:1/robot/send?access_token=T0K3N")
    for text in ((await desk.get("/v1/channels/ops")).text, (await desk.get("/v1/channels")).text):
        assert "T0K3N" not in text
        assert SECRET not in text


async def test_the_test_button_shows_the_answer(desk: Desk, httpserver: HTTPServer) -> None:
    receiver = Receiver(httpserver)
    await set_channel(desk, receiver.url)
    answer = (await desk.call("POST", "/v1/channels/ops/test")).json()
    assert answer["answer"]["result"] == "sent"
    assert receiver.accepted[0]["type"] == "test"


async def test_a_rule_that_is_switched_off_raises_nothing(desk: Desk) -> None:
    off = await desk.call("PUT", "/v1/rules/low_stock", json={"enabled": False})
    assert (off.status_code, off.json()["enabled"]) == (200, False)
    await desk.tell(low())
    assert await incidents(desk) == []
    wrong = await desk.call("PUT", "/v1/rules/low_stock", json={"parameters": {"colour": 3}})
    assert wrong.json()["errors"][0]["pointer"] == "/parameters/colour"


# conversion


def window(hours: int, uv: int, orders: int, end: datetime, dimensions: dict[str, str] | None = None) -> KpiMeasured:
    return KpiMeasured.model_validate(
        {
            "store": "demo",
            "bucket": f"{end - timedelta(hours=1):%Y-%m-%dT%H}",
            "start": end - timedelta(hours=hours),
            "end": end,
            "grain": f"w{hours}",
            "dimensions": dimensions or {},
            "measures": {"uv": uv, "orders_placed_here": orders},
            "complete": True,
            "watermark": end + timedelta(minutes=5),
        }
    )


async def set_target(desk: Desk) -> None:
    target = {
        "target_id": "t-1",
        "dimension": {},
        "metric": "conversion.order_uv",
        "value": 0.03,
        "owner": "li",
        "starts_on": "2024-01-01",
        "ends_on": "2099-12-31",
        "criterion": {"kind": "average"},
    }
    await desk.tell(TargetSet.model_validate(target))


def last_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


async def test_conversion_under_target_opens_an_incident_with_its_figures(desk: Desk) -> None:
    await set_target(desk)
    await desk.tell(window(1, 1000, 12, last_hour()))
    (incident,) = await incidents(desk, "?rule=conversion_below_target")
    assert (incident["figures"]["numerator"], incident["figures"]["denominator"]) == (12, 1000)
    assert (incident["figures"]["ratio"], incident["figures"]["target"]) == ("1.20%", "3.00%")


async def test_four_visitors_alarm_nobody_and_a_longer_window_speaks_for_them(desk: Desk) -> None:
    await set_target(desk)
    await desk.tell(window(1, 4, 0, last_hour()))
    assert await incidents(desk) == []
    await desk.tell(window(3, 1500, 15, last_hour()))
    (incident,) = await incidents(desk)
    assert incident["figures"]["denominator"] == 1500


async def test_conversion_recovers_after_two_clear_windows_in_a_row(desk: Desk) -> None:
    await set_target(desk)
    start = last_hour() - timedelta(hours=3)
    await desk.tell(window(1, 1000, 10, start + timedelta(hours=1)))
    await desk.tell(window(1, 1000, 30, start + timedelta(hours=2)))
    assert (await incidents(desk))[0]["recovered_at"] is None
    await desk.tell(window(1, 1000, 30, start + timedelta(hours=3)))
    assert (await incidents(desk))[0]["recovered_at"] is not None


async def test_without_a_target_conversion_is_not_judged(desk: Desk) -> None:
    await desk.tell(window(1, 1000, 0, last_hour()))
    assert await incidents(desk) == []
