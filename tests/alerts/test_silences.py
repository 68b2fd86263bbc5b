"""Silences and inhibition: nobody is told, everything is written down, and what still holds is told later (D67)."""

from datetime import timedelta
from typing import Any

import pytest

from libs.events.contracts import NotificationFolded, PolicyChanged, StockBackIn, StockRanLow, StockSoldOut
from services.alerts import invariants
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.escalating import keep_time
from services.alerts.handlers.finding import found, recovered
from services.alerts.handlers.muting import end_mutes
from services.alerts.rules import RULE
from tests.alerts.conftest import Clock, items, put
from tests.support.desk import Desk

HOOK = {"kind": "webhook", "url": "http://127.0.0.1:9/hook", "secret": "whsec_" + "QUJD" * 8, "language": "en"}
DROP = RULE["conversion_drop"]


@pytest.fixture(autouse=True)
async def sound(shop: Desk) -> Any:
    """Somebody wants to be told; and what must always hold about incidents still holds at the end."""
    await put(shop, "/v1/channels/ops", HOOK)
    yield
    async with shop.runtime.engine.connect() as session:
        assert await invariants.violations(session) == []


async def silence(desk: Desk, clock: Clock, **change: Any) -> Any:
    body = {
        "rules": ["low_stock"],
        "about": {},
        "starts_at": clock.now.isoformat(),
        "ends_at": (clock.now + timedelta(hours=2)).isoformat(),
        "reason": "盘点",
        **change,
    }
    return await desk.call("POST", "/v1/silences", json=body)


async def ledger(desk: Desk) -> list[tuple[str, str, str]]:
    """(type, status, reason without its id) of the messages, oldest first."""
    rows = await items(desk, "/v1/notifications?limit=200")
    return [(row["type"], row["status"], row["reason"].partition(":")[0]) for row in reversed(rows)]


async def low(desk: Desk, clock: Clock, sku: str = "A001") -> None:
    await desk.tell(StockRanLow(sku=sku, available=9, safety=10), at=clock.now)


async def one(desk: Desk, query: str = "") -> dict[str, Any]:
    (incident,) = await items(desk, f"/v1/incidents{query}")
    return incident


async def test_a_silence_is_made_shown_lifted_and_told(shop: Desk, clock: Clock) -> None:
    made = await silence(shop, clock, about={"sku": "A001"})
    assert (made.status_code, made.json()["status"]) == (201, "active")
    path = f"/v1/silences/{made.json()['silence_id']}"
    (shown,) = await items(shop, "/v1/silences")
    assert (shown["rules"], shown["about"], shown["reason"]) == (["low_stock"], {"sku": "A001"}, "盘点")
    assert await items(shop, "/v1/silences", store="other") == []
    clock.turn(minutes=1)
    assert [(await shop.call("DELETE", path)).status_code for _ in range(2)] == [204, 204]
    assert (await shop.get(path)).status_code == 404
    told = [event for event in await shop.emitted() if isinstance(event, PolicyChanged)]
    assert [(event.kind, event.after is None) for event in told] == [("silence", False), ("silence", True)]


async def test_what_is_silenced_is_written_down_and_told_to_nobody(shop: Desk, clock: Clock) -> None:
    await silence(shop, clock)
    await low(shop, clock)
    incident = await one(shop)
    assert await ledger(shop) == [("incident.opened", "silenced", "silence")]
    assert [(n["status"], n["attempts"]) for n in incident["notifications"]] == [("silenced", 0)]
    assert [entry["kind"] for entry in incident["timeline"]] == ["opened", "silenced"]
    assert incident["muted"].startswith("silence:")


async def test_what_still_holds_when_the_silence_ends_is_told_then_once(shop: Desk, clock: Clock) -> None:
    await silence(shop, clock)
    await low(shop, clock)
    clock.turn(hours=1, minutes=59)
    assert await end_mutes(shop.runtime.worker) == 0
    clock.turn(minutes=1)
    assert [await end_mutes(shop.runtime.worker) for _ in range(2)] == [1, 0]
    assert await ledger(shop) == [
        ("incident.opened", "silenced", "silence"),
        ("incident.opened", "pending", "route"),
    ]
    assert (await one(shop))["muted"] is None


async def test_lifting_a_silence_lets_people_know(shop: Desk, clock: Clock) -> None:
    made = await silence(shop, clock)
    await low(shop, clock)
    clock.turn(minutes=1)
    await shop.call("DELETE", f"/v1/silences/{made.json()['silence_id']}")
    assert await end_mutes(shop.runtime.worker) == 1


async def test_what_is_over_before_the_silence_ends_is_never_told(shop: Desk, clock: Clock) -> None:
    await silence(shop, clock)
    await low(shop, clock)
    clock.turn(minutes=5)
    await shop.tell(StockBackIn(sku="A001", available=50, safety=10), at=clock.now)
    clock.turn(hours=3)
    assert await end_mutes(shop.runtime.worker) == 0
    assert await ledger(shop) == [("incident.opened", "silenced", "silence")]


async def test_a_silence_is_about_what_it_names_and_its_hours(shop: Desk, clock: Clock) -> None:
    start = clock.now + timedelta(hours=1)
    await silence(shop, clock, about={"sku": "A001"}, starts_at=start.isoformat())
    await low(shop, clock, "A001")
    clock.turn(hours=1)
    await low(shop, clock, "A002")
    clock.turn(minutes=1)
    await silence(shop, clock, rules=["*"], about={"sku": "A003"})
    await low(shop, clock, "A003")
    assert [status for _, status, _ in await ledger(shop)] == ["pending", "pending", "silenced"]


async def test_a_silenced_incident_does_not_go_up(shop: Desk, clock: Clock) -> None:
    await silence(shop, clock)
    await low(shop, clock)
    clock.turn(hours=1)
    await keep_time(shop.runtime.worker)
    assert (await one(shop))["level"] == 0
    clock.turn(hours=1)
    await keep_time(shop.runtime.worker)
    assert (await one(shop))["level"] == 1


NO_SILENCES: list[tuple[dict[str, Any], str]] = [
    ({"rules": ["no_such"]}, "/rules/0"),
    ({"rules": []}, "/rules"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, ""),
    ({"starts_at": None, "ends_at": "2020-01-01T00:00:00Z"}, "/ends_at"),
    ({"reason": ""}, "/reason"),
    ({"about": {"sku": 1}}, "/about/sku"),
]


async def test_a_silence_that_cannot_be_is_refused(shop: Desk, clock: Clock) -> None:
    for change, pointer in NO_SILENCES:
        refused = await silence(shop, clock, **change)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


# inhibition


async def drop(desk: Desk, clock: Clock, **about: str) -> None:
    clock.turn(seconds=1)
    async with desk.runtime.worker.begin() as tx:
        await found(Finding(DROP, about, {"ratio": "1%"}, clock.now), "demo", tx)


async def sold_out(desk: Desk, clock: Clock, sku: str = "A001") -> None:
    await desk.tell(StockSoldOut(sku=sku, available=0, safety=10), at=clock.now)


async def test_sold_out_keeps_the_conversion_of_the_same_sku_quiet_and_says_so(shop: Desk, clock: Clock) -> None:
    await sold_out(shop, clock)
    await drop(shop, clock, sku="A001")
    await drop(shop, clock, sku="A002")
    await drop(shop, clock, channel="paid")
    quiet = await one(shop, "?rule=conversion_drop&sku=A001")
    cause = await one(shop, "?rule=sold_out")
    assert quiet["muted"] == f"incident:{cause['incident_id']}"
    assert [(entry["kind"], entry["text"]) for entry in quiet["timeline"]][1] == ("inhibited", "sold_out A001")
    assert [status for _, status, _ in await ledger(shop)] == ["pending", "inhibited", "pending", "pending"]


async def test_when_goods_are_back_and_conversion_is_not_people_are_told(shop: Desk, clock: Clock) -> None:
    await sold_out(shop, clock)
    await drop(shop, clock, sku="A001")
    assert await end_mutes(shop.runtime.worker) == 0
    clock.turn(minutes=5)
    await shop.tell(StockBackIn(sku="A001", available=50, safety=10), at=clock.now)
    assert await end_mutes(shop.runtime.worker) == 1
    assert (await one(shop, "?rule=conversion_drop"))["muted"] is None


async def test_what_is_silenced_and_explained_waits_for_both(shop: Desk, clock: Clock) -> None:
    await silence(shop, clock, rules=["conversion_drop"])
    await sold_out(shop, clock)
    await drop(shop, clock, sku="A001")
    clock.turn(hours=3)
    assert await end_mutes(shop.runtime.worker) == 0
    cause = await one(shop, "?rule=sold_out")
    assert (await one(shop, "?rule=conversion_drop"))["muted"] == f"incident:{cause['incident_id']}"
    await shop.tell(StockBackIn(sku="A001", available=50, safety=10), at=clock.now)
    assert await end_mutes(shop.runtime.worker) == 1


async def test_when_both_are_over_the_conversion_was_never_told(shop: Desk, clock: Clock) -> None:
    await sold_out(shop, clock)
    await drop(shop, clock, sku="A001")
    async with shop.runtime.worker.begin() as tx:
        await recovered("demo", matter_key(DROP, {"sku": "A001"}), [DROP.id], clock.now, tx)
    clock.turn(seconds=1)
    await shop.tell(StockBackIn(sku="A001", available=50, safety=10), at=clock.now)
    assert await end_mutes(shop.runtime.worker) == 0
    assert [status for _, status, _ in await ledger(shop)] == ["pending", "inhibited", "pending"]


async def test_a_missing_cause_wakes_nobody_while_another_incident_explains_it(shop: Desk, clock: Clock) -> None:
    await sold_out(shop, clock)
    await drop(shop, clock, sku="A001")
    await shop.call("POST", f"/v1/incidents/{(await one(shop, '?rule=sold_out'))['incident_id']}/acknowledge")
    clock.turn(days=2)
    await keep_time(shop.runtime.worker)
    assert (await one(shop, "?rule=cause_missing"))["level"] == 0
    assert [status for _, status, _ in await ledger(shop)] == ["pending", "inhibited", "inhibited"]


async def test_a_folded_message_is_told_as_folded(shop: Desk, clock: Clock) -> None:
    await low(shop, clock)
    clock.turn(minutes=5)
    await low(shop, clock)
    (folded,) = [event for event in await shop.emitted() if isinstance(event, NotificationFolded)]
    assert (folded.channel, folded.attempt) == ("ops", 0)
