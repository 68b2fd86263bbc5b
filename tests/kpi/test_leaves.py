"""Leaves are what was said of them: shuffled, cut into other batches and repeated, states and figures are the same."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.codec import Envelope
from libs.events.contracts import BY_TYPE
from libs.events.contracts.base import Event
from services.kpi import engine
from services.kpi.calendar import calendar_of
from services.kpi.engine import Shop, fold
from services.kpi.entities.leaf import LeafKey, latest
from services.kpi.facts import facts_of
from services.kpi.figures import Cells
from services.kpi.leaves import LEAVES
from services.kpi.memory import Memory
from tests.kpi.brute import flat

START = datetime(2024, 11, 2, 14, tzinfo=UTC)  # the day before clocks go back in New York
SHOPS = {"demo": Shop(calendar_of("America/New_York"), currency="USD")}
COUNTED = ("conversations", "first_responses", "complaints", "ad_spend", "entered_costs", "count_lines", "askers")


def fact(event_type: str, **data: Any) -> Event:
    return BY_TYPE[event_type].model_validate(data)


def conversation(name: str, step: int) -> Event:
    """One of the things that are said of a conversation."""
    about = {"conversation_id": name}
    started = {"started_at": START.isoformat(), "due_at": START.isoformat(), "elapsed_seconds": step * 60}
    measured = {"policy": "default", "class": "pre_sale", "agent_id": f"a-{step % 2}", "version": step + 1, **started}
    said: list[Event] = [
        fact("conversation.opened.v1", customer_id="c-1", topic_class="pre_sale", subject="", via="chat", **about),
        fact("conversation.classed.v1", topic_class="after_sale", by="li", **about),
        fact("conversation.assigned.v1", agent_id="a-9", by="li", **about),
        fact("conversation.resolved.v1", by="li", **about),
        fact("conversation.reopened.v1", by="li", **about),
        fact("message.replied.v1", message_id="m", agent_id="a-3", **about),
        fact("message.replied.v1", message_id="m", is_automatic=True, **about),
        fact("rating.given.v1", score=1 + step % 5, **about),
        fact("clock.measured.v1", kind="first_response", state="running", **measured, **about),
        fact(
            "clock.measured.v1", kind="first_response", state="met", stopped_at=START.isoformat(), **measured, **about
        ),
        fact("clock.measured.v1", kind="solution", state="met", stopped_at=START.isoformat(), **measured, **about),
    ]
    return said[step % len(said)]


def brought(number: int, step: int) -> Event:
    """One of the things that people and other services report."""
    ad = {"channel": "paid", "campaign": "x", "impressions": step * 9, "clicks": step, "spend_cents": step * 100}
    cost = {"category": "staff", "amount_cents": step * 31 - 40, "currency": "USD", "by": "li"}
    complaint = {"complaint_id": f"q-{number}", "customer_id": "c-1", "sku": "A1", "kind": "quality"}
    said: list[Event] = [
        fact("ad.spent.v1", day="2024-11-03", currency="USD", **ad),
        fact("ad.spent.v1", hour="2024-11-03T01-05:00", currency="EUR", **ad),
        fact("cost.entered.v1", month="2024-11", **cost),
        fact("cost.entered.v1", day="2024-11-03", campaign="x", **cost),
        fact("complaint.filed.v1", **complaint),
        fact("complaint.resolved.v1", outcome="ok", **complaint),
        fact(
            "stock.counted.v1",
            count_id=f"n-{number}",
            warehouse="main",
            as_of=START.isoformat(),
            source="erp",
            item_count=5,
            difference_count=step % 6,
            differences=[],
        ),
    ]
    return said[step % len(said)]


SAID = st.lists(
    st.tuples(st.booleans(), st.integers(0, 1), st.integers(0, 40), st.integers(0, 60 * 60)), min_size=1, max_size=25
)


def envelopes(drawn: Sequence[tuple[bool, int, int, int]]) -> list[Envelope[Any]]:
    made = []
    for n, (is_talk, number, step, minute) in enumerate(drawn):
        event = conversation(f"t-{number}", step) if is_talk else brought(number, step)
        time = START + timedelta(minutes=minute)
        made.append(Envelope(f"e{n:02d}", "/tests", "demo", event.subject, time, time, event))
    return made


async def run(batches: Sequence[Sequence[Envelope[Any]]]) -> tuple[Memory, Cells]:
    rows, whole = Memory(), Cells()
    for batch in batches:
        outcome = await fold(facts_of(batch).batch, rows, SHOPS)
        engine._add_cells(whole, outcome.cells)
    return rows, whole


def without_zeros(cells: Cells) -> Cells:
    return {cell: kept for cell, vector in cells.items() if (kept := {n: v for n, v in vector.items() if v})}


def cut(said: Sequence[Envelope[Any]], seed: int) -> list[list[Envelope[Any]]]:
    dice = random.Random(seed)
    mixed = [*said, *dice.choices(list(said), k=3)]
    dice.shuffle(mixed)
    return [mixed[at : at + 4] for at in range(0, len(mixed), 4)]


@settings(max_examples=40, deadline=None)
@given(SAID, st.integers(0, 10**6))
def test_order_batches_and_repeats_change_neither_states_nor_figures(
    drawn: list[tuple[bool, int, int, int]], seed: int
) -> None:
    said = envelopes(drawn)
    once, figures = asyncio.run(run([said]))
    again, same = asyncio.run(run(cut(said, seed)))
    assert dict(once.states()) == dict(again.states())
    assert without_zeros(figures) == without_zeros(same)


def test_every_kind_of_leaf_is_met_by_what_is_drawn() -> None:
    said = envelopes([(bool(step % 2), 0, step // 2, step) for step in range(60)])
    kinds = {key.kind for key in facts_of(said).batch.leaves}
    assert kinds == {leaf.kind for leaf in LEAVES}
    figures = {key[4] for key in flat(asyncio.run(run([said]))[1])}
    assert set(COUNTED) <= figures


def test_the_hour_that_is_repeated_on_a_daylight_saving_day_is_an_hour_of_its_own() -> None:
    calendar = SHOPS["demo"].calendar
    first, second = (
        fact("ad.spent.v1", channel="paid", hour=hour, impressions=1, clicks=1, spend_cents=cents, currency="USD")
        for hour, cents in (("2024-11-03T01", 100), ("2024-11-03T01-05:00", 7))
    )
    said = [Envelope(f"e{n}", "/t", "demo", "paid", START, START, one) for n, one in enumerate((first, second))]
    figures = flat(asyncio.run(run([said]))[1])
    hours = {
        calendar.bucket_at("hour", key[2]).key: value
        for key, value in figures.items()
        if key[0] == "hour" and key[1] == "" and key[4] == "ad_spend"
    }
    assert hours == {"2024-11-03T01": 100, "2024-11-03T01-05:00": 7}
    assert figures["day", "", calendar.day_start(date(2024, 11, 3).toordinal()), "", "ad_spend"] == 107


def test_a_months_cost_is_spread_over_its_days_to_the_last_cent() -> None:
    cost = fact("cost.entered.v1", category="staff", month="2024-11", amount_cents=-1001, currency="USD", by="li")
    figures = flat(asyncio.run(run([[Envelope("e", "/t", "demo", "staff", START, START, cost)]]))[1])
    days = [value for key, value in figures.items() if key[0] == "day" and key[4] == "entered_costs" and key[1] == ""]
    assert (len(days), sum(days), min(days), max(days)) == (30, -1001, -34, -33)


def test_the_greatest_time_then_acceptance_then_id_wins() -> None:
    """The twin of the property: what merges by arrival would not survive it."""
    one, other = ((2, 1, "a"), "x"), ((1, 9, "z"), "y")
    assert latest(latest(None, *one), *other) == latest(latest(None, *other), *one) == one
    assert LeafKey("s", "k", "i").kind == "k"
