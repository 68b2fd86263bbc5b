"""Deadlines are rows: they outlive whoever fires them, fire once, and wait until all before them is known (D40)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from libs.events.contracts import OrderReviewed, PolicyChanged
from services.alerts.app import build
from services.alerts.handlers import deadlines
from services.alerts.handlers.deadlines import Clockwork
from services.alerts.settings import AlertsSettings
from tests.alerts.catalogue import HELD, level, paid, placed, scanned, shipped
from tests.alerts.stories import BEGAN, DAY, HOUR, MINUTE, Teller, Told, Until, told
from tests.support.desk import desk_of

APPROVED = OrderReviewed(order_id="o-1", decision="approved", reasons=(), by="li")


@pytest.fixture(scope="module")
async def teller(database: str) -> AsyncIterator[Teller]:
    settings = AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1")
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as desk:
        yield await Teller.of(desk)


async def test_a_deadline_waits_for_the_topic_and_fires_with_its_true_time(teller: Teller) -> None:
    await teller.open("waits")
    await teller.tell("waits", told(HELD))
    teller.now = BEGAN + 40 * MINUTE
    await teller.beat("orders", BEGAN + 29 * MINUTE)
    await teller.clockwork.tick()
    assert await teller.incidents("waits") == [], "an approval may still be on its way"
    await teller.beat("orders", BEGAN + 31 * MINUTE)
    await teller.clockwork.tick()
    (incident,) = await teller.incidents("waits", "review_overdue")
    assert incident["opened_at"] == "2024-07-01T10:30:00+08:00"


async def test_an_approval_that_was_on_its_way_is_no_breach(teller: Teller) -> None:
    await teller.open("on-its-way")
    await teller.tell("on-its-way", told(HELD))
    teller.now = BEGAN + 40 * MINUTE
    await teller.clockwork.tick()
    await teller.tell("on-its-way", [Told(APPROVED, 20 * MINUTE, late=20 * MINUTE), Until(HOUR)])
    assert await teller.incidents("on-its-way") == []


async def test_a_breach_ends_when_it_is_done_after_all(teller: Teller) -> None:
    await teller.open("after-all")
    await teller.tell("after-all", [*told(HELD), Until(31 * MINUTE), *told(APPROVED, at=50 * MINUTE)])
    (incident,) = await teller.incidents("after-all", "review_overdue")
    assert incident["recovered_at"] == "2024-07-01T10:50:00+08:00"


async def test_a_deadline_whose_firing_dies_is_fired_by_the_next(
    teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teller.open("dies")
    await teller.tell("dies", told(HELD))
    teller.now = BEGAN + 31 * MINUTE
    await teller.beat("orders", teller.now)

    async def die(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(deadlines, "fire", die)
        with pytest.raises(ConnectionResetError):
            await teller.clockwork.tick()
    await teller.clockwork.tick()
    assert len(await teller.incidents("dies", "review_overdue")) == 1


async def test_two_processes_fire_a_deadline_once(teller: Teller) -> None:
    await teller.open("two")
    held = [HELD.model_copy(update={"order_id": f"o-{n}"}) for n in range(30)]
    await teller.tell("two", told(*held))
    teller.now = BEGAN + 31 * MINUTE
    await teller.beat("orders", teller.now)
    other = Clockwork(teller.desk.runtime.worker, teller.desk.runtime.stores, teller.watch)
    fired = await asyncio.gather(teller.clockwork.tick(), other.tick())
    assert sum(fired) == 30
    incidents = await teller.incidents("two", "review_overdue")
    assert len({incident["about"]["order_id"] for incident in incidents}) == len(incidents) == 30


async def test_a_backfill_starts_no_clock(teller: Teller) -> None:
    await teller.open("backfill")
    steps = [Told(event, -30 * DAY, import_id="i-1", late=30 * DAY) for event in (placed(), paid(), HELD)]
    await teller.tell("backfill", [*steps, Until(HOUR)])
    assert await teller.incidents("backfill") == []


async def test_an_order_shipped_in_parts_is_due_until_its_last_line_left(teller: Teller) -> None:
    await teller.open("parts")
    order = placed(quantity=2)
    due = paid(due=HOUR)
    whole = due.model_copy(update={"lines": order.lines})
    await teller.tell("parts", [*told(order, whole), *told(shipped(), at=MINUTE), Until(HOUR + MINUTE)])
    assert len(await teller.incidents("parts", "shipment_overdue")) == 1


async def test_a_parcel_that_moves_again_recovers_and_is_watched_on(teller: Teller) -> None:
    await teller.open("parcel")
    await teller.tell("parcel", [*told(placed(), paid(), shipped()), Until(2 * DAY + MINUTE)])
    await teller.tell("parcel", told(scanned("moving"), at=2 * DAY + HOUR))
    (incident,) = await teller.incidents("parcel", "parcel_stalled")
    assert incident["recovered_at"] is not None
    await teller.tell("parcel", [Until(4 * DAY + 2 * HOUR)])
    (incident,) = await teller.incidents("parcel", "parcel_stalled")
    assert [alert["reason"] for alert in incident["alerts"]][:2] == ["first", "repeated"]


async def test_another_hour_of_the_day_holds_from_the_next_time_on(teller: Teller) -> None:
    """By the store's policy, or by the rule's own number (D43)."""
    for store, path, body in (
        ("policy", "/v1/policies/count_deadline", {"value": "10:30"}),
        ("rule", "/v1/rules/count_missing", {"parameters": {"hour": 10.5}}),
    ):
        await teller.open(store)
        teller.now = BEGAN - HOUR
        teller.desk.runtime.api.clock = lambda: teller.now
        await teller.tell(store, [*told(level(available=5), at=-DAY), Until(-HOUR)])
        answer = await teller.call("PUT", path, store, json=body)
        assert answer.status_code == 200, answer.text
        changed = [event for event in await teller.desk.emitted() if isinstance(event, PolicyChanged)][-1]
        await teller.tell(store, [*told(changed, at=-HOUR), Until(31 * MINUTE)])
        (incident,) = await teller.incidents(store, "count_missing")
        assert incident["figures"]["deadline"] == "10:30"
