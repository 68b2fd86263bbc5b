"""A flood of a store's bad events is an incident of that store (D52)."""

from datetime import datetime
from typing import Any

from libs.events.bus import Record
from libs.events.codec import Envelope, to_message
from libs.events.contracts import StockRanLow
from libs.events.dead_letters import dead_letter
from services.alerts.handlers.parking import DeadLetters
from services.alerts.tables import SHARED
from tests.alerts.conftest import Clock, items
from tests.support.desk import Desk


async def bury(desk: Desk, at: datetime, reason: str, *, store: str = "demo", consumer: str = "kpi") -> None:
    event = StockRanLow(sku="A001", available=9, safety=10)
    envelope: Envelope[Any] = Envelope("e-1", "/test", store, event.subject, at, at, event)
    message = to_message(envelope)
    record = Record("inventory", 0, 7, message.key, message.value, message.headers)
    await desk.runtime.bus.publish([dead_letter(record, consumer=consumer, reason=reason, at=at)])


def letters(desk: Desk) -> DeadLetters:
    return DeadLetters(desk.runtime.bus, desk.runtime.worker, SHARED.events.position)


async def test_what_is_parked_is_one_incident_that_names_topic_type_and_consumer(shop: Desk, clock: Clock) -> None:
    for _ in range(3):
        await bury(shop, clock.now, "parked")
    assert [await letters(shop).look() for _ in range(2)] == [3, 0]
    await bury(shop, clock.now, "parked")
    await letters(shop).look()
    (incident,) = await items(shop, "/v1/incidents?rule=technical")
    assert incident["about"] == {"topic": "inventory", "type": "stock.ran_low.v1", "consumer": "kpi"}
    assert "stock.ran_low.v1" in incident["title"]
    assert len(incident["alerts"]) == 1
    assert await items(shop, "/v1/incidents", store="other") == []


async def test_a_single_dead_letter_and_an_unknown_store_are_none(shop: Desk, clock: Clock) -> None:
    await bury(shop, clock.now, "sku is missing")
    await bury(shop, clock.now, "parked", store="nobody")
    assert await letters(shop).look() == 2
    assert await items(shop, "/v1/incidents") == []


async def test_two_consumers_that_park_the_same_are_two_incidents(shop: Desk, clock: Clock) -> None:
    for consumer in ("kpi", "reporting"):
        await bury(shop, clock.now, "parked", consumer=consumer)
    await letters(shop).look()
    assert len(await items(shop, "/v1/incidents")) == 2
