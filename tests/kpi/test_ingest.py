"""What is on its way to the bus holds the beats back, is bounded, and is never answered before it is there."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.events.bus import BusUnavailable, Message
from libs.service.errors import Overloaded
from services.kpi.ingest import MOST_IN_FLIGHT, SETTLE, Batch, InFlight, Letter, Reader, TrafficDoor

NOW = datetime(2024, 7, 1, 2, tzinfo=UTC)
BODY = b'[{"type":"page.viewed","time":"2024-07-01T10:00:00Z","visitor_id":"v","url_path":"/","page_kind":"home"}]'


class Clock:
    """A clock that is set by hand."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


class SlowBus:
    """Acknowledges when told to; everything else of a bus is not needed here."""

    def __init__(self) -> None:
        self.acknowledged = asyncio.Event()
        self.published: list[Message] = []
        self.error: Exception | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        await self.acknowledged.wait()
        if self.error is not None:
            raise self.error
        self.published += messages


def letter(received: datetime = NOW) -> Letter:
    return Letter("demo", received, {"content-type": "application/json"}, BODY)


def door(bus: Any, clock: Clock) -> TrafficDoor:
    return TrafficDoor(bus, lambda: Reader(lambda name: name), InFlight(clock))


def test_beats_stay_a_second_behind_the_clock() -> None:
    assert InFlight(Clock()).until(NOW) == NOW - SETTLE


async def test_beats_wait_for_the_oldest_call_that_is_not_answered() -> None:
    clock, bus = Clock(), SlowBus()
    traffic = door(bus, clock)
    first = asyncio.ensure_future(traffic.publish(traffic.read(letter()), NOW))
    await asyncio.sleep(0)
    clock.now = NOW + timedelta(seconds=5)
    second = asyncio.ensure_future(traffic.publish(traffic.read(letter(clock.now)), clock.now))
    await asyncio.sleep(0)
    assert traffic.in_flight.until(clock.now) == NOW
    assert not first.done()
    bus.acknowledged.set()
    await asyncio.gather(first, second)
    assert traffic.in_flight.until(clock.now) == clock.now - SETTLE
    assert len(bus.published) == 2


async def test_a_bus_that_is_away_is_told_as_overload_and_holds_nothing_back_for_ever() -> None:
    clock, bus = Clock(), SlowBus()
    bus.error = BusUnavailable("away")
    bus.acknowledged.set()
    traffic = door(bus, clock)
    with pytest.raises(Overloaded):
        await traffic.publish(traffic.read(letter()), NOW)
    clock.now = NOW + timedelta(minutes=1)
    assert traffic.in_flight.until(clock.now) == clock.now - SETTLE


async def test_more_than_the_bus_takes_is_refused_at_once() -> None:
    in_flight = InFlight(Clock())
    with in_flight.holding(MOST_IN_FLIGHT, NOW):
        with pytest.raises(Overloaded):
            with in_flight.holding(1, NOW):
                raise AssertionError("let in")
    with in_flight.holding(MOST_IN_FLIGHT + 1, NOW):
        pass


async def test_a_call_that_is_given_up_lets_the_beats_go_on() -> None:
    clock, bus = Clock(), SlowBus()
    traffic = door(bus, clock)
    call = asyncio.ensure_future(traffic.publish(traffic.read(letter()), NOW))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    clock.now = NOW + timedelta(seconds=10)
    assert traffic.in_flight.until(clock.now) == clock.now - SETTLE


async def test_nothing_to_publish_asks_no_bus() -> None:
    traffic = door(SlowBus(), Clock())
    await traffic.publish(Batch((), (), ()), NOW)
