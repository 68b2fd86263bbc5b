"""Calendars and service-level policies over HTTP (D65), and service levels told by them."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.alerts.desk.counter import Counter

OFFICE: dict[str, Any] = {
    "timezone": "Asia/Shanghai",
    "week": {day: [["09:00", "12:00"], ["13:30", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
    "holidays": ["2024-10-01"],
    "workdays": {"2024-09-29": [["09:00", "18:00"]]},
}
LIMITS = [{"class": "pre_sale", "kind": "first_response", "seconds": 600}]


async def test_a_calendar_is_set_and_read_back(counter: Counter) -> None:
    told = await counter.put("/v1/calendars/office", OFFICE)
    shown = await counter.get("/v1/calendars/office")
    assert shown == told
    assert {name: shown[name] for name in OFFICE} == OFFICE
    assert [item["calendar_id"] for item in (await counter.get("/v1/calendars"))["items"]] == ["office"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"timezone": "../etc/passwd"}, "/timezone"),
        ({"week": {"mon": [["09:00", "12:00"], ["11:30", "18:00"]]}}, "/week/mon/1"),
        ({"week": {"mon": [["18:00", "09:00"]]}}, "/week/mon/0"),
        ({"week": {"mon": [["09:00", "25:00"]]}}, "/week/mon/0/1"),
        ({"week": {"monday": [["09:00", "18:00"]]}}, "/week/monday"),
        ({"week": {}}, "/week"),
        ({"week": {"mon": [["09:00"]]}}, "/week/mon/0"),
        ({"holidays": ["2024-02-30"]}, "/holidays/0"),
        ({"holidays": ["1.10.2024"]}, "/holidays/0"),
        ({"holidays": ["2024-09-29"]}, "/holidays/0"),
        ({"workdays": {"2024-13-01": [["09:00", "18:00"]]}}, "/workdays/2024-13-01"),
        ({"workdays": {"2024-09-29": []}}, "/workdays/2024-09-29"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_a_calendar_that_cannot_be_is_refused_with_its_place(
    counter: Counter, change: dict[str, Any], pointer: str
) -> None:
    answer = await counter.desk.call("PUT", "/v1/calendars/c", json={**OFFICE, **change}, store=counter.store)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"calendar": "nowhere"}, "/calendar"),
        ({"limits": []}, "/limits"),
        ({"limits": [*LIMITS, *LIMITS]}, "/limits/1"),
        ({"limits": [{**LIMITS[0], "class": "vip"}]}, "/limits/0/class"),
        ({"limits": [{**LIMITS[0], "seconds": 0}]}, "/limits/0/seconds"),
        ({"warn_at": 1.5}, "/warn_at"),
    ],
)
async def test_a_policy_that_cannot_be_is_refused_with_its_place(
    counter: Counter, change: dict[str, Any], pointer: str
) -> None:
    answer = await counter.desk.call(
        "PUT", "/v1/sla-policies/p", json={"limits": LIMITS, **change}, store=counter.store
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_the_default_policy_is_there_from_the_beginning_and_can_be_changed(counter: Counter) -> None:
    built_in = await counter.get("/v1/sla-policies/default")
    assert built_in["limits"] == [
        {"class": "pre_sale", "kind": "first_response", "seconds": 600},
        {"class": "after_sale", "kind": "first_response", "seconds": 7200},
        {"class": "complex", "kind": "solution", "seconds": 86400},
    ]
    await counter.put("/v1/sla-policies/default", {"limits": LIMITS, "warn_at": 0.5})
    shown = await counter.get("/v1/sla-policies/default")
    assert (shown["limits"], shown["warn_at"], shown["version"]) == (LIMITS, 0.5, 1)
    assert (await counter.desk.get("/v1/sla-policies/other", store=counter.store)).status_code == 404


async def test_a_policy_of_the_future_measures_from_then_on(counter: Counter) -> None:
    soon = counter.clock.now.replace(microsecond=0)
    await counter.put("/v1/sla-policies/default", {"limits": LIMITS, "valid_from": soon.isoformat()})
    later = {"limits": [{**LIMITS[0], "seconds": 60}]}
    await counter.put(
        "/v1/sla-policies/default", {**later, "valid_from": counter.clock.now.replace(year=2090).isoformat()}
    )
    await counter.tell(counter.opened())
    assert [clock["limit_seconds"] for clock in await counter.clocks()] == [600]


async def test_a_stale_change_is_refused(counter: Counter) -> None:
    await counter.put("/v1/calendars/office", OFFICE)
    stale = await counter.desk.call(
        "PUT",
        "/v1/calendars/office",
        json={**OFFICE, "holidays": []},
        headers={"if-match": '"7"'},
        store=counter.store,
    )
    assert stale.status_code == 412


def _day(counter: Counter, minutes: float) -> str:
    then = counter.clock.now + timedelta(minutes=minutes)
    return f"{then.astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d}"


async def test_service_levels_by_class_agent_and_hour(counter: Counter) -> None:
    for n, (agent, minutes) in enumerate([("7", 1), ("7", 3), ("7", 12), ("8", 5)]):
        about = {"conversation_id": f"c-{n}"}
        await counter.tell(counter.opened(-30, **about), counter.replied(minutes - 30, agent, **about))
    await counter.tell(counter.opened(-30, "after_sale", conversation_id="open"))
    days = f"from={_day(counter, -30)}&to={_day(counter, 0)}"
    by_class = (await counter.get(f"/v1/sla?{days}&by=class"))["items"]
    assert by_class == [
        {
            "class": "after_sale",
            "kind": "first_response",
            "met": 0,
            "breached": 0,
            "running": 1,
            "average_seconds": None,
            "p50_seconds": None,
            "p90_seconds": None,
        },
        {
            "class": "pre_sale",
            "kind": "first_response",
            "met": 3,
            "breached": 1,
            "running": 0,
            "average_seconds": 315,
            "p50_seconds": 180,
            "p90_seconds": 720,
        },
    ]
    by_agent = (await counter.get(f"/v1/sla?{days}&by=agent"))["items"]
    assert [(row["agent"], row["met"], row["breached"]) for row in by_agent] == [(None, 0, 0), ("7", 2, 1), ("8", 1, 0)]
    (by_hour,) = {row["hour"] for row in (await counter.get(f"/v1/sla?{days}&by=hour"))["items"]}
    assert len(by_hour) == len("2024-07-01T10")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?from=2024-07-02&to=2024-07-01", 422),
        ("?from=2020-01-01&to=2024-07-01", 422),
        ("?by=mood", 422),
        ("?policy=nobodys", 404),
        ("?from=yesterday", 422),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused(counter: Counter, query: str, status: int) -> None:
    assert (await counter.desk.get(f"/v1/sla{query}", store=counter.store)).status_code == status
