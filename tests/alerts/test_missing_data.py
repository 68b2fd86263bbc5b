"""A silent or late topic is data missing, named, and never a fallen figure (D27, D38, D40)."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from libs.events.bus import Record
from libs.events.codec import Envelope, to_message
from libs.events.contracts import PageViewed
from services.alerts.app import build
from services.alerts.domain import silence
from services.alerts.handlers import silence as watching
from services.alerts.handlers.pulsing import read_pulse
from services.alerts.handlers.silence import Watch
from services.alerts.settings import AlertsSettings
from tests.alerts.catalogue import USUAL, measured, placed, weeks
from tests.alerts.stories import BEGAN, DAY, HOUR, MINUTE, Teller, Told, told
from tests.support.desk import desk_of

DROPPED = {"uv": 500, "orders_placed_here": 2}


@pytest.fixture(scope="module")
async def teller(database: str) -> AsyncIterator[Teller]:
    settings = AlertsSettings(database_url=SecretStr(database), webhook_allow="127.0.0.1")
    async with desk_of(build(settings), ["alerts:read", "alerts:write"]) as desk:
        yield await Teller.of(desk)


async def beats(teller: Teller, until: datetime, *, without: str = "") -> None:
    """All owners but one say that their topic is complete."""
    topics = {topic for consumer in teller.desk.runtime.consumers for topic in consumer.reactions.topics}
    for topic in sorted(topics - {without}):
        await teller.beat(topic, until)


def look(teller: Teller, began: timedelta = -HOUR) -> Any:
    """A watch that has been looking for an hour."""
    watch = Watch(teller.desk.runtime.worker, teller.desk.runtime.consumers)
    watch._began = BEGAN + began
    return watch.look()


async def visits(teller: Teller, store: str, *times: timedelta) -> None:
    """Page views at these times."""
    view = PageViewed(visitor_id="v-1", url_path="/", page_kind="home")
    await teller.tell(store, [Told(view, at) for at in times])


async def test_only_the_orders_relay_stops_and_the_missing_topic_is_named(teller: Teller) -> None:
    await teller.open("stopped")
    await teller.tell("stopped", told(placed(), at=-MINUTE))
    await beats(teller, BEGAN)
    await look(teller)
    assert await teller.incidents("stopped") == []
    teller.now = BEGAN + 3 * MINUTE
    await beats(teller, teller.now, without="orders")
    await look(teller)
    await look(teller)
    (incident,) = await teller.incidents("stopped", "data_missing")
    assert (incident["about"], incident["severity"]) == ({"topic": "orders"}, "critical")
    assert incident["figures"]["what"] == "late"
    assert "orders" in incident["title"]
    await beats(teller, teller.now)
    await look(teller)
    (incident,) = await teller.incidents("stopped", "data_missing")
    assert incident["recovered_at"] is not None


async def test_without_the_look_at_lags_the_stopped_relay_would_go_unnamed(
    teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the test above: its guarding line taken out."""

    async def none_late(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(watching, "_late", none_late)
    await teller.open("unnamed")
    await teller.tell("unnamed", told(placed(), at=-MINUTE))
    teller.now = BEGAN + 3 * MINUTE
    await beats(teller, teller.now, without="orders")
    await look(teller)
    assert await teller.incidents("unnamed") == []


async def test_an_hour_without_events_is_nothing_while_the_relays_are_alive(teller: Teller) -> None:
    await teller.open("quiet")
    await teller.tell("quiet", told(placed(), at=-MINUTE))
    teller.now = BEGAN + HOUR
    await beats(teller, teller.now)
    await look(teller)
    assert await teller.incidents("quiet") == []


async def test_hours_that_are_measured_no_more_are_missing_data_though_every_topic_is_there(teller: Teller) -> None:
    await teller.open("uncounted")
    await teller.tell("uncounted", [*told(placed(), at=-MINUTE), measured(-HOUR, USUAL)])
    for minutes, missing in ((9, 0), (11, 1)):
        teller.now = BEGAN + minutes * MINUTE
        await beats(teller, teller.now)
        await look(teller)
        assert len(await teller.incidents("uncounted", "data_missing")) == missing
    (incident,) = await teller.incidents("uncounted", "data_missing")
    assert incident["about"] == {"topic": "kpi"}
    await teller.tell("uncounted", [measured(timedelta(0), USUAL)])
    teller.now = BEGAN + 12 * MINUTE
    await look(teller)
    (incident,) = await teller.incidents("uncounted", "data_missing")
    assert incident["recovered_at"] is not None


async def test_after_a_start_topics_have_their_time_to_prove_themselves(teller: Teller) -> None:
    await teller.open("started")
    await teller.tell("started", told(placed(), at=-MINUTE))
    teller.now = BEGAN + MINUTE
    await look(teller, began=timedelta(0))
    assert await teller.incidents("started") == []


async def _weeks_of_traffic(teller: Teller, store: str) -> None:
    """A visit every five minutes around this hour of the week, and nothing for 20 minutes once."""
    minutes = [timedelta(minutes=m) for m in range(-180, 180, 5) if not 0 < m < 20]
    for week in (4, 3, 2, 1):
        await visits(teller, store, *(minute - week * 7 * DAY for minute in minutes))


async def test_a_storefront_that_falls_silent_is_missing_data_and_no_drop(teller: Teller) -> None:
    await teller.open("silent")
    await _weeks_of_traffic(teller, "silent")
    await visits(teller, "silent", -2 * HOUR, -61 * MINUTE)
    teller.now = BEGAN - 32 * MINUTE
    await beats(teller, teller.now)
    await look(teller)
    assert await teller.incidents("silent") == [], "under 30 minutes are nothing"
    teller.now = BEGAN + 2 * MINUTE
    await beats(teller, teller.now)
    await look(teller)
    (incident,) = await teller.incidents("silent")
    assert (incident["rule"], incident["about"]) == ("data_missing", {"topic": "traffic"})
    assert (incident["figures"]["what"], incident["figures"]["usual_minutes"]) == ("silent", 57)
    await teller.tell("silent", [*weeks(USUAL), measured(timedelta(0), DROPPED)])
    assert [i["rule"] for i in await teller.incidents("silent")] == ["data_missing"]


async def test_the_same_figures_with_traffic_flowing_are_a_drop(teller: Teller) -> None:
    """The twin: what keeps the drop quiet above is the silence alone."""
    await teller.open("flowing")
    await _weeks_of_traffic(teller, "flowing")
    await visits(teller, "flowing", *(timedelta(minutes=m) for m in range(-120, 1, 5)))
    await teller.tell("flowing", [*weeks(USUAL), measured(timedelta(0), DROPPED)])
    rules = {alert["rule"] for i in await teller.incidents("flowing") for alert in i["alerts"]}
    assert rules == {"conversion_drop", "traffic_drop"}


async def test_a_young_store_is_not_judged_by_its_silence(teller: Teller) -> None:
    await teller.open("young")
    await visits(teller, "young", -DAY)
    teller.now = BEGAN
    await beats(teller, teller.now)
    await look(teller)
    assert await teller.incidents("young") == []


def test_gaps_are_counted_over_the_hours() -> None:
    hour = BEGAN
    bits = {hour - HOUR: 1 << 50, hour: 1 << 5 | 1 << 40, hour + HOUR: 1 << 10}
    assert silence.longest_gap(bits, hour, hour + HOUR, hour + 2 * HOUR) == 34
    assert silence.longest_gap(bits, hour, hour + HOUR) == 34
    assert silence.longest_gap(bits, hour + 41 * MINUTE, hour + HOUR) == 19
    assert silence.last_minute(bits, hour + 30 * MINUTE) == hour + 6 * MINUTE
    assert silence.last_minute({}, hour) is None


def test_pulses_are_read_from_the_headers_alone() -> None:
    view = PageViewed(visitor_id="v-1", url_path="/", page_kind="home")
    envelope: Envelope[Any] = Envelope(
        id="e", source="/s", store="demo", subject="v-1", time=BEGAN, recorded_time=BEGAN, data=view
    )
    message = to_message(envelope)
    pulse = read_pulse(Record("traffic", 0, 0, message.key, b"not looked at", message.headers))
    assert (pulse.store, pulse.id, pulse.time, pulse.type) == ("demo", "e", BEGAN, PageViewed.TYPE)
