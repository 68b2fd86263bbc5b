"""Incidents over HTTP: owner, way up, missing cause, records, filters, precision (ALR-12, ALR-14 to ALR-16)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from libs.events.contracts import (
    AlertFired,
    AlertRecovered,
    IncidentEscalated,
    IncidentOpened,
    IncidentResolved,
    OrderUnfulfillable,
    StockBackIn,
    StockRanLow,
    StockSoldOut,
    ViolationRecorded,
)
from libs.events.contracts.base import Event
from services.alerts import invariants
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.escalating import keep_time
from services.alerts.handlers.finding import found
from services.alerts.rules import CONVERSION_BELOW_TARGET
from tests.alerts.conftest import Clock, items, put
from tests.support.desk import Desk

RECORD = {"cause_code": "stock_data", "cause": "库存同步失败", "measures": "修复同步", "owner": "li"}
HOOK = {"kind": "webhook", "url": "http://127.0.0.1:9/hook", "secret": "whsec_" + "QUJD" * 8, "language": "en"}


async def low(desk: Desk, clock: Clock, sku: str = "A001") -> None:
    await desk.tell(StockRanLow(sku=sku, available=9, safety=10), at=clock.now)


async def one(desk: Desk, query: str = "") -> dict[str, Any]:
    (incident,) = await items(desk, f"/v1/incidents{query}")
    return incident


async def emitted(desk: Desk, *kinds: type[Event]) -> list[Any]:
    return [event for event in await desk.emitted() if isinstance(event, kinds)]


async def hire(desk: Desk, person: str, role: str, **more: Any) -> None:
    await put(desk, f"/v1/people/{person}", {"name": person, "role": role, "stores": ["demo"], **more})


async def ledger(desk: Desk) -> list[tuple[str, str]]:
    """(type, status) of the messages, oldest first."""
    rows = await items(desk, "/v1/notifications?limit=200")
    return [(row["type"], row["status"]) for row in reversed(rows)]


async def fall(desk: Desk, at: datetime, **about: str) -> None:
    async with desk.runtime.worker.begin() as tx:
        await found(Finding(CONVERSION_BELOW_TARGET, about, {"ratio": "1%"}, at), "demo", tx)


@pytest.fixture(autouse=True)
async def sound(shop: Desk) -> Any:
    """Whatever a test does, what must always hold about incidents still holds."""
    yield
    async with shop.runtime.engine.connect() as session:
        assert await invariants.violations(session) == []


async def test_without_people_nobody_owns_an_incident(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    assert (await one(shop))["owner"] is None


async def test_an_incident_is_owned_at_once_by_who_is_on_duty(shop: Desk, clock: Clock) -> None:
    await hire(shop, "chen", "lead")
    await hire(shop, "wang", "logistics")
    await hire(shop, "li", "specialist")
    await low(shop, clock)
    await shop.tell(OrderUnfulfillable.model_validate({"order_id": "o-1", "lines": []}), at=clock.now)
    opened = await emitted(shop, IncidentOpened)
    shown = await items(shop, "/v1/incidents")
    assert {incident["rule"]: incident["owner"] for incident in shown} == {e.rule: e.owner for e in opened}
    assert None not in {incident["owner"] for incident in shown}


async def test_unacknowledged_it_goes_up_every_hour_until_nobody_is_left(shop: Desk, clock: Clock) -> None:
    await hire(shop, "chen", "lead")
    await hire(shop, "wang", "service")
    await put(shop, "/v1/channels/ops", HOOK)
    made = await shop.call("POST", "/v1/incidents", json={"title": "页面打不开", "description": "500"})
    assert made.json()["owner"] == "chen"
    await put(shop, "/v1/rotas/leads", {"role": "lead", "shifts": [], "escalate_to": ["wang"]})
    clock.turn(minutes=59)
    assert await keep_time(shop.runtime.worker) == 0
    clock.turn(minutes=1)
    assert await keep_time(shop.runtime.worker) == 1
    assert await keep_time(shop.runtime.worker) == 0
    risen = await one(shop, "?rule=incident_unacknowledged")
    assert (risen["owner"], risen["level"], risen["status"], risen["recovered_at"]) == ("wang", 1, "open", None)
    for _ in range(4):
        clock.turn(hours=1)
        await keep_time(shop.runtime.worker)
    assert [(e.owner, e.level) for e in await emitted(shop, IncidentEscalated)] == [
        ("wang", 1),
        ("chen", 2),
        ("chen", 3),
    ]
    assert [kind for kind, _ in await ledger(shop)] == ["incident.opened", *["incident.escalated"] * 3]


async def test_what_is_acknowledged_does_not_go_up(shop: Desk, clock: Clock) -> None:
    await hire(shop, "chen", "lead")
    await low(shop, clock)
    clock.turn(hours=1)
    await keep_time(shop.runtime.worker)
    path = f"/v1/incidents/{(await one(shop))['incident_id']}"
    seen = (await shop.call("POST", f"{path}/acknowledge")).json()
    clock.turn(hours=9)
    assert await keep_time(shop.runtime.worker) == 0
    assert [(a["rule"], a["recovered_at"] is None) for a in seen["alerts"]] == [
        ("low_stock", True),
        ("incident_unacknowledged", False),
    ]
    assert [e.rule for e in await emitted(shop, AlertRecovered)] == ["incident_unacknowledged"]


async def test_the_hour_runs_from_when_the_problem_began(shop: Desk, clock: Clock) -> None:
    await shop.tell(StockRanLow(sku="A001", available=9, safety=10), at=clock.now - timedelta(minutes=50))
    clock.turn(minutes=9)
    assert await keep_time(shop.runtime.worker) == 0
    clock.turn(minutes=1)
    assert await keep_time(shop.runtime.worker) == 1


async def test_two_processes_that_look_at_once_send_it_up_once(shop: Desk, clock: Clock) -> None:
    await hire(shop, "chen", "lead")
    for sku in ("A001", "A002", "A003"):
        await low(shop, clock, sku)
    clock.turn(hours=1)
    assert sum(await asyncio.gather(*(keep_time(shop.runtime.worker) for _ in range(3)))) == 3
    assert len(await emitted(shop, IncidentEscalated)) == 3


async def test_the_limit_is_a_setting_of_the_store(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/rules/incident_unacknowledged", {"parameters": {"minutes": 10}})
    await low(shop, clock)
    clock.turn(minutes=10)
    assert await keep_time(shop.runtime.worker) == 1
    await put(shop, "/v1/rules/incident_unacknowledged", {"enabled": False})
    await low(shop, clock, "A002")
    clock.turn(hours=5)
    await keep_time(shop.runtime.worker)
    assert len(await emitted(shop, IncidentEscalated)) == 1


async def test_a_retroactive_incident_is_recorded_and_goes_up_to_nobody(shop: Desk, clock: Clock) -> None:
    await hire(shop, "chen", "lead")
    await put(shop, "/v1/channels/ops", HOOK)
    await shop.tell(StockRanLow(sku="A001", available=9, safety=10), at=clock.now - timedelta(hours=2))
    clock.turn(hours=5)
    assert await keep_time(shop.runtime.worker) == 0
    assert ((await one(shop))["retroactive"], await ledger(shop)) == (True, [])


async def test_what_is_too_late_is_a_policy(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/policies/retroactive_after", {"value": 180})
    await shop.tell(StockRanLow(sku="A001", available=9, safety=10), at=clock.now - timedelta(hours=2))
    assert (await one(shop))["retroactive"] is False


async def test_the_cause_of_a_fallen_figure_is_asked_for_at_the_end_of_the_store_day(shop: Desk, clock: Clock) -> None:
    clock.now = datetime.fromisoformat("2024-07-01T10:00:00+08:00")
    await hire(shop, "chen", "lead")
    await fall(shop, clock.now)
    await shop.call("POST", f"/v1/incidents/{(await one(shop))['incident_id']}/investigate")
    clock.now = datetime.fromisoformat("2024-07-01T23:59:59+08:00")
    assert await keep_time(shop.runtime.worker) == 0
    clock.turn(seconds=1)
    assert await keep_time(shop.runtime.worker) == 1
    assert await keep_time(shop.runtime.worker) == 0
    asked = await one(shop, "?rule=cause_missing")
    assert asked["alerts"][-1]["rule"] == "cause_missing"
    assert [e.reason for e in await emitted(shop, IncidentEscalated)] == ["cause_missing"]
    done = await shop.call("POST", f"/v1/incidents/{asked['incident_id']}/resolve", json=RECORD)
    assert done.json()["alerts"][-1]["recovered_at"] is not None


async def test_a_recorded_cause_is_not_asked_for(shop: Desk, clock: Clock) -> None:
    clock.now = datetime.fromisoformat("2024-07-01T20:00:00+08:00")
    await fall(shop, clock.now)
    await shop.call("POST", f"/v1/incidents/{(await one(shop))['incident_id']}/resolve", json=RECORD)
    clock.turn(days=2)
    assert await keep_time(shop.runtime.worker) == 0


async def test_a_record_is_completed_by_what_is_known_and_may_be_sent_again(shop: Desk, clock: Clock) -> None:
    clock.now = datetime.fromisoformat("2024-07-03T23:30:00+08:00")
    await low(shop, clock)
    path = f"/v1/incidents/{(await one(shop))['incident_id']}/resolve"
    first = await shop.call("POST", path, json=RECORD)
    clock.turn(minutes=5)
    again = await shop.call("POST", path, json=RECORD)
    other = await shop.call("POST", path, json={**RECORD, "cause": "x"})
    record = first.json()["record"]
    assert (record["date"], record["scope"], record["description"]) == (
        "2024-07-03",
        "sku A001",
        "A001: 剩余 9, 安全库存 10",
    )
    assert (again.status_code, again.json()["record"], again.json()["version"]) == (
        200,
        record,
        first.json()["version"],
    )
    assert (other.status_code, other.json()["code"]) == (409, "wrong_state")
    (told,) = await emitted(shop, IncidentResolved)
    assert (told.record.date, told.record.cause_code, told.record.owner) == ("2024-07-03", "stock_data", "li")


async def test_a_record_with_a_hole_is_refused(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    path = f"/v1/incidents/{(await one(shop))['incident_id']}/resolve"
    for name, wrong in (("cause_code", "aliens"), ("cause", ""), ("measures", None), ("owner", "")):
        refused = await shop.call("POST", path, json={**RECORD, name: wrong})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{name}")


async def test_every_step_after_the_end_is_refused_and_a_comment_is_not(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    path = f"/v1/incidents/{(await one(shop))['incident_id']}"
    await shop.call("POST", f"{path}/resolve", json=RECORD)
    for step, body in (("acknowledge", None), ("investigate", None), ("assign", {"owner": "li"})):
        refused = await shop.call("POST", f"{path}/{step}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert (await shop.call("POST", f"{path}/comment", json={"text": "later"})).status_code == 200
    assert (await shop.call("POST", "/v1/incidents/inc_none/acknowledge")).status_code == 404


async def test_an_incident_is_given_to_people_of_the_store_only(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    path = f"/v1/incidents/{(await one(shop))['incident_id']}/assign"
    assert (await shop.call("POST", path, json={"owner": "anybody"})).status_code == 200
    await hire(shop, "li", "specialist")
    assert (await shop.call("POST", path, json={"owner": "nobody"})).json()["errors"][0]["pointer"] == "/owner"
    first = (await shop.call("POST", path, json={"owner": "li"})).json()
    again = (await shop.call("POST", path, json={"owner": "li"})).json()
    assert (again["owner"], again["version"]) == ("li", first["version"])


async def test_if_match_guards_what_was_read(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    path = f"/v1/incidents/{(await one(shop))['incident_id']}"
    read = (await shop.get(path)).headers["etag"]
    await shop.call("POST", f"{path}/comment", json={"text": "looked at it"})
    stale = await shop.call("POST", f"{path}/acknowledge", headers={"if-match": read})
    fresh = await shop.call("POST", f"{path}/acknowledge", headers={"if-match": (await shop.get(path)).headers["etag"]})
    assert (stale.status_code, fresh.status_code) == (412, 200)


async def test_a_repeat_within_the_hour_is_folded_and_says_so(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/channels/ops", HOOK)
    await low(shop, clock)
    clock.turn(minutes=10)
    await low(shop, clock)
    clock.turn(minutes=61)
    await low(shop, clock)
    incident = await one(shop)
    assert [alert["reason"] for alert in incident["alerts"]] == ["first", "repeated", "repeated"]
    assert await ledger(shop) == [
        ("incident.opened", "pending"),
        ("incident.repeated", "folded"),
        ("incident.repeated", "pending"),
    ]
    assert [n["status"] for n in incident["notifications"]] == ["pending", "folded", "pending"]


async def test_a_relapse_after_resolving_is_a_new_incident_that_names_the_old(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    first = await one(shop)
    await shop.call("POST", f"/v1/incidents/{first['incident_id']}/resolve", json=RECORD)
    clock.turn(minutes=5)
    await shop.tell(StockSoldOut(sku="A001", available=0, safety=10), at=clock.now)
    again = await one(shop, "?status=open")
    assert (again["previous"], again["severity"], again["alerts"][0]["reason"]) == (
        first["incident_id"],
        "critical",
        "first",
    )


async def test_every_alert_that_is_over_says_so_and_the_recovery_is_told_once(shop: Desk, clock: Clock) -> None:
    await put(shop, "/v1/channels/ops", HOOK)
    await low(shop, clock)
    await shop.tell(StockSoldOut(sku="A001", available=0, safety=10), at=clock.now)
    for _ in range(2):
        clock.turn(minutes=1)
        await shop.tell(StockBackIn(sku="A001", available=50, safety=10), at=clock.now)
    assert sorted(event.rule for event in await emitted(shop, AlertRecovered)) == ["low_stock", "sold_out"]
    assert [kind for kind, _ in await ledger(shop)].count("incident.recovered") == 1
    assert len(await emitted(shop, AlertFired)) == 2


async def test_incidents_are_found_by_what_they_are_about(shop: Desk, clock: Clock) -> None:
    await hire(shop, "chen", "lead")
    await low(shop, clock, "A001")
    await shop.tell(StockSoldOut(sku="A002", available=0, safety=10), at=clock.now)
    await fall(shop, clock.now, channel="paid")

    async def found_by(query: str) -> list[str]:
        return sorted(incident["rule"] for incident in await items(shop, f"/v1/incidents?{query}"))

    today = f"{clock.now + timedelta(hours=8):%Y-%m-%d}"
    tomorrow = f"{clock.now + timedelta(hours=32):%Y-%m-%d}"
    assert await found_by("sku=A001") == ["low_stock"]
    assert await found_by("channel=paid") == ["conversion_below_target"]
    assert await found_by("severity=critical") == ["sold_out"]
    assert len(await found_by("owner=chen")) == 3
    assert len(await found_by(f"from={today}&to={today}")) == 3
    assert await found_by(f"from={tomorrow}") == []
    assert (await shop.get("/v1/incidents?status=closed")).status_code == 422
    assert (await shop.get("/v1/incidents?from=yesterday")).status_code == 422


async def test_a_person_may_say_what_it_is_about_in_chinese_and_titles_keep_matters_apart(shop: Desk) -> None:
    for title in ("首页打不开", "支付页打不开", "首页打不开"):
        body = {"title": title, "description": "13800005678 说的", "about": {"页面": "首页"}}
        made = await shop.call("POST", "/v1/incidents", json=body)
        assert made.status_code == 201
        assert "13800005678" not in made.text
    shown = await items(shop, "/v1/incidents")
    assert sorted((incident["title"], len(incident["alerts"])) for incident in shown) == [
        ("支付页打不开", 1),
        ("首页打不开", 2),
    ]
    assert shown[0]["about"] == {"页面": "首页"}


async def test_precision_and_pages_come_from_the_records(shop: Desk, clock: Clock) -> None:
    codes = ("false_alarm", "stock_out", "stock_out", "stock_out")
    for number, code in enumerate(codes):
        await low(shop, clock, f"S{number}")
        path = f"/v1/incidents/{(await one(shop, f'?sku=S{number}'))['incident_id']}/resolve"
        await shop.call("POST", path, json={**RECORD, "cause_code": code})
    await low(shop, clock, "S9")
    shown = (await shop.get("/v1/rules/low_stock/precision")).json()
    assert (shown["incidents"], shown["resolved"], shown["false_alarms"]) == (5, 4, 1)
    assert (shown["precision"], shown["pages_per_week"]) == (0.75, 0)
    every = {item["rule"]: item for item in await items(shop, "/v1/precision")}
    assert every["low_stock"] == shown
    assert every["sold_out"]["precision"] is None
    assert (await shop.get("/v1/rules/none/precision")).status_code == 404


# violations


VIOLATION = {"rule": "虚假宣传", "sku": "A001", "points": 2, "penalised": True, "at": "2024-07-01T10:00:00+08:00"}


async def test_a_violation_is_kept_once_and_told(shop: Desk) -> None:
    body = {**VIOLATION, "violation_id": "v-1"}
    first = await shop.call("POST", "/v1/violations", json=body)
    again = await shop.call("POST", "/v1/violations", json=body)
    other = await shop.call("POST", "/v1/violations", json={**body, "points": 3})
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    (told,) = await emitted(shop, ViolationRecorded)
    assert (told.violation_id, told.rule, told.points, told.penalised) == ("v-1", "虚假宣传", 2, True)
    assert (await shop.get("/v1/violations/v-1")).json()["at"] == VIOLATION["at"]
    assert (await shop.get("/v1/violations/v-1", store="other")).status_code == 404


async def test_violations_that_can_be_appealed_against_are_listed(shop: Desk, clock: Clock) -> None:
    due = (clock.now + timedelta(days=3)).isoformat()
    await shop.call("POST", "/v1/violations", json={**VIOLATION, "violation_id": "v-1", "appeal_due": due})
    await shop.call("POST", "/v1/violations", json={**VIOLATION, "violation_id": "v-2"})
    assert [v["violation_id"] for v in await items(shop, "/v1/violations?appeal=true")] == ["v-1"]
    assert [v["violation_id"] for v in await items(shop, "/v1/violations?from=2024-07-01&to=2024-07-01")] == [
        "v-2",
        "v-1",
    ]
    clock.turn(days=4)
    assert await items(shop, "/v1/violations?appeal=true") == []


NO_VIOLATIONS: list[tuple[dict[str, Any], str]] = [
    ({"points": -1}, "/points"),
    ({"penalised": "yes"}, "/penalised"),
    ({"sku": "A 1"}, "/sku"),
    ({"at": "2999-01-01T00:00:00Z"}, "/at"),
    ({"appeal_due": "2024-06-01T00:00:00Z"}, "/appeal_due"),
]


async def test_a_violation_that_cannot_be_is_refused(shop: Desk) -> None:
    for change, pointer in NO_VIOLATIONS:
        refused = await shop.call("POST", "/v1/violations", json={**VIOLATION, **change})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
