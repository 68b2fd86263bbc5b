"""A repeated id with other content is a repeat: the first accepted counts, the difference is counted (D1, D64)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.events.codec import Envelope, to_message
from tests.kpi.conftest import KpiService
from tests.kpi.test_questions import order, view

MONDAY = datetime(2024, 7, 1, 2, tzinfo=UTC)


async def topic(kpi: KpiService, name: str, key: str = "demo") -> dict[str, Any]:
    body = (await kpi.get("/v1/completeness", key=key)).json()
    return next(dict(found) for found in body["topics"] if found["topic"] == name)


async def test_a_visit_that_is_repeated_with_other_content_is_counted_as_different(kpi: KpiService) -> None:
    first, other = view("d-1", "v-1", channel="paid"), view("d-1", "v-1", channel="social")
    await kpi.post("/v1/events", [first])
    await kpi.catch_up()
    assert (await topic(kpi, "traffic"))["differing_repeats"] == 0
    await kpi.post("/v1/events", [first])
    await kpi.catch_up()
    assert (await topic(kpi, "traffic"))["differing_repeats"] == 0, "the very same again is no difference"
    await kpi.post("/v1/events", [other])
    await kpi.post("/v1/events", [view("d-2", "v-1"), view("d-2", "v-1", device="phone")])
    await kpi.catch_up()
    assert (await topic(kpi, "traffic"))["differing_repeats"] == 2
    split = (await kpi.get("/v1/kpis/pv", from_="2024-07-01", to="2024-07-01", by="channel")).json()["series"]
    assert [(p["dimensions"]["channel"], p["value"]) for p in split] == [("paid", 2)], "the first accepted counts"
    assert (await topic(kpi, "traffic", key="other"))["differing_repeats"] == 0


async def test_an_order_event_that_is_repeated_with_other_content_is_counted_as_different(kpi: KpiService) -> None:
    await kpi.tell(*order("o-1", None, 100), at=MONDAY, prefix="o")
    await kpi.catch_up()
    await kpi.tell(*order("o-1", None, 100), at=MONDAY, prefix="o")
    await kpi.catch_up()
    assert (await topic(kpi, "orders"))["differing_repeats"] == 0
    placed, paid = order("o-1", None, 200)
    await kpi.tell(placed, at=MONDAY, prefix="o")
    await kpi.catch_up()
    await kpi.tell(placed, paid, at=MONDAY, prefix="o")
    await kpi.catch_up()
    assert (await topic(kpi, "orders"))["differing_repeats"] == 2
    gmv = (await kpi.get("/v1/kpis/gmv", from_="2024-07-01", to="2024-07-01")).json()["series"][0]
    assert gmv["value"] == 100


async def test_the_money_of_an_order_from_the_future_is_counted_once(kpi: KpiService) -> None:
    """A file's order brings its placing and its payment: both are held back, and it is one amount (D64)."""
    ahead = datetime.now(UTC) + timedelta(days=400)
    now = datetime.now(UTC)
    for n, cents in enumerate((7_000, 500)):
        events = order(f"future-{n}", None, cents)
        envelopes = [event.model_copy() for event in events]
        await _tell_ahead(kpi, envelopes, ahead, now, f"future-{n}")
    await kpi.catch_up()
    held = await topic(kpi, "orders")
    assert (held["quarantined"], held["quarantined_cents"]) == (4, 7_500)


async def _tell_ahead(kpi: KpiService, events: list[Any], at: datetime, recorded: datetime, prefix: str) -> None:
    envelopes: list[Envelope[Any]] = [
        Envelope(f"{prefix}-{n}", "/services/orders", "demo", event.subject, at, recorded, event)
        for n, event in enumerate(events)
    ]
    await kpi.runtime.bus.publish([to_message(envelope) for envelope in envelopes])


async def test_dead_letters_are_held_back_with_their_money_until_they_are_accepted(kpi: KpiService) -> None:
    """An order event without a needed field dies; mended under the same id it counts, and is held back no more."""
    before = await topic(kpi, "orders")
    (paid,) = [event for event in order("dead", None, 900) if event.TYPE == "order.paid.v1"]
    now = datetime.now(UTC)
    message = to_message(Envelope("dead-1", "/services/orders", "demo", paid.subject, MONDAY, now, paid))
    broken = message._replace(value=message.value.replace(b'"method"', b'"nothing"'))
    await kpi.runtime.bus.publish([broken])
    await kpi.catch_up()
    held = await topic(kpi, "orders")
    assert held["quarantined"] == before["quarantined"] + 1
    assert held["quarantined_cents"] == before["quarantined_cents"] + 900
    await kpi.runtime.bus.publish([message])
    await kpi.catch_up()
    after = await topic(kpi, "orders")
    assert (after["quarantined"], after["quarantined_cents"]) == (before["quarantined"], before["quarantined_cents"])
