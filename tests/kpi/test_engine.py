"""The engine against brute force: shuffled, cut into other batches, repeated, the earliest event last (KPI rule 1)."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.contracts import OrderPaid, OrderPlaced, RefundIssued
from libs.events.contracts.base import Event, Line
from services.kpi import engine
from services.kpi.calendar import Calendar, calendar_of
from services.kpi.engine import Batch, Shop, fold
from services.kpi.entities import touch, visitor
from services.kpi.entities.fact import Fact
from services.kpi.entities.visitor import CART, CHECKOUT, FAVORITE, PRODUCT, VIEW, Visit
from services.kpi.figures import Cells
from services.kpi.memory import Memory
from tests.kpi.brute import DAY, Figures, Sale, count, flat

STORE = "demo"
ZONES = ("Asia/Shanghai", "America/New_York")
JULY = int(datetime(2024, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000
AUTUMN = int(datetime(2024, 11, 2, tzinfo=UTC).timestamp()) * 1_000_000  # clocks go back in New York a day later
MINUTE = 60_000_000


@dataclass(frozen=True)
class Happened:
    """One event and what it is about: a visitor or an order."""

    about: str
    visit: Visit | None = None
    fact: Fact | None = None


def visit(
    visitor_id: str,
    us: int,
    event_id: str,
    flags: int = VIEW,
    channel: str | None = None,
    skus: tuple[str, ...] = (),
    **more: str,
) -> Happened:
    key = blake2b(event_id.encode(), digest_size=8).digest()
    profile = (channel, more.get("source"), more.get("campaign"), more.get("device"))
    excluded = {"bot": 1, "staff": 2}.get(more.get("who", ""), 0)
    return Happened(visitor_id, Visit(us, event_id, key, flags, skus, profile, excluded))


def events_of(sale: Sale) -> list[Happened]:
    lines = tuple(Line(sku=s, quantity=q, unit_price_cents=a // q) for s, q, a in sale.lines)
    common: dict[str, Any] = {
        "order_id": sale.order_id,
        "customer_id": sale.customer,
        "visitor_id": sale.visitor,
        "channel": sale.channel,
    }
    told: list[tuple[int, Event]] = [
        (
            sale.placed,
            OrderPlaced(
                **common,
                origin=sale.origin,
                currency="CNY",
                lines=lines,
                shipping_cents=sale.total - sum(a for _, _, a in sale.lines),
                discount_cents=0,
                total_cents=sale.total,
                placed_at=datetime.fromtimestamp(0, UTC),
            ),
        )
    ]
    if sale.paid is not None:
        paid = OrderPaid(
            **common,
            payment_id=f"p-{sale.order_id}",
            method="card",
            amount_cents=sale.total,
            currency="CNY",
            total_cents=sale.total,
            lines=lines,
            discount_cents=0,
            ship_due_at=datetime.fromtimestamp(sale.paid / 1e6, UTC) + timedelta(days=900),
            is_first_order=False,
        )
        told.append((sale.paid, paid))
    for number, (us, items) in enumerate(sale.refunds):
        refund = RefundIssued(
            refund_id=f"r-{number}", order_id=sale.order_id, amount_cents=items, items_cents=items, currency="CNY"
        )
        told.append((us, refund))
    return [
        Happened(sale.order_id, fact=Fact(us, us, f"{sale.order_id}-{number}", event))
        for number, (us, event) in enumerate(told)
    ]


async def run(batches: Sequence[Sequence[Happened]], calendar: Calendar) -> tuple[Memory, Cells]:
    rows, whole = Memory(), Cells()
    for happened in batches:
        batch = Batch()
        for one in happened:
            if one.visit is not None:
                batch.visits[STORE, one.about].append(one.visit)
            if one.fact is not None:
                batch.orders[STORE, one.about].append(one.fact)
        outcome = await fold(batch, rows, {STORE: Shop(calendar)})
        engine._add_cells(whole, outcome.cells)
    return rows, whole


def result(batches: Sequence[Sequence[Happened]], calendar: Calendar) -> Figures:
    figures = flat(asyncio.run(run(batches, calendar))[1])
    return {key: value for key, value in figures.items() if key[4] != "orders_due_to_ship"}


def expected(happened: Sequence[Happened], sales: Sequence[Sale], calendar: Calendar) -> Figures:
    visits: dict[str, list[Visit]] = {}
    for one in happened:
        if one.visit is not None:
            visits.setdefault(one.about, []).append(one.visit)
    return count(calendar, visits, sales)


def cut(happened: Sequence[Happened], seed: int, *, repeats: bool) -> list[list[Happened]]:
    """Shuffled, with repeats of visits (orders are deduplicated before the engine), in batches of other sizes."""
    dice = random.Random(seed)
    mixed = list(happened)
    if repeats:
        mixed += dice.choices([one for one in happened if one.visit] or [happened[0]], k=3) if happened else []
        mixed = [one for n, one in enumerate(mixed) if one.visit or one not in mixed[:n]]
    dice.shuffle(mixed)
    batches = []
    while mixed:
        size = dice.randint(1, 6)
        batches.append(mixed[:size])
        mixed = mixed[size:]
    return batches


CHANNELS = st.sampled_from([None, "paid", "social", "direct", "natural_search"])
FLAGS = st.sampled_from([VIEW, VIEW | PRODUCT, CART, FAVORITE, CHECKOUT, 0])
WHEN = st.one_of(
    st.integers(0, 40 * 24 * 60).map(lambda minutes: minutes * MINUTE),
    st.integers(0, 40).flatmap(lambda day: st.integers(-40, 40).map(lambda m: day * DAY + m * MINUTE)),
)
VISITS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        WHEN,
        FLAGS,
        CHANNELS,
        st.lists(st.sampled_from(["A1", "A2"]), max_size=2, unique=True).map(tuple),
        st.sampled_from([None, "douyin", "baidu"]),
        st.sampled_from(["", "", "", "bot", "staff"]),
    ),
    max_size=14,
)
SALES = st.lists(
    st.tuples(
        WHEN,
        st.sampled_from([None, "a", "b"]),
        st.sampled_from([None, "c1", "c2"]),
        CHANNELS,
        st.sampled_from(["storefront", "tmall"]),
        st.sampled_from([None, 0, 90 * MINUTE, 3 * DAY]),
        st.sampled_from([["A1"], ["A1", "A2"]]),
        st.sampled_from([None, None, 2 * DAY]),
    ),
    max_size=6,
)


def made_visits(
    start: int, drawn: Sequence[tuple[str, int, int, str | None, tuple[str, ...], str | None, str]]
) -> list[Happened]:
    made = []
    for number, (who, when, flags, channel, skus, source, kind) in enumerate(drawn):
        more = {"who": kind, **({"source": source} if source else {})}
        made.append(visit(who, start + when, f"e{number:02d}", flags, channel, skus, **more))
    return made


def made_sales(
    start: int, drawn: Sequence[tuple[int, str | None, str | None, str | None, str, int | None, list[str], int | None]]
) -> list[Sale]:
    sales = []
    for number, (when, who, customer, channel, origin, paid, skus, refund) in enumerate(drawn):
        lines = [(sku, 2, 1000) for sku in skus]
        placed = start + when
        sale = Sale(f"o{number}", placed, 1000 * len(skus) + 50, lines, who, customer, channel, origin)
        sale.paid = None if paid is None else placed + paid
        sale.refunds = [(placed + refund, 300)] if refund and len(skus) == 1 else []
        sales.append(sale)
    return sales


@settings(max_examples=150, deadline=None)
@given(VISITS, SALES, st.integers(0, 10**6), st.sampled_from(ZONES), st.sampled_from([JULY, AUTUMN]))
def test_figures_are_a_function_of_the_set_of_events(
    visits: list[tuple[str, int, int, str | None, tuple[str, ...], str | None, str]],
    sold: list[tuple[int, str | None, str | None, str | None, str, int | None, list[str], int | None]],
    seed: int,
    zone: str,
    start: int,
) -> None:
    calendar = calendar_of(zone)
    sales = made_sales(start, sold)
    happened = [*made_visits(start, visits), *(event for sale in sales for event in events_of(sale))]
    assert result(cut(happened, seed, repeats=True), calendar) == expected(happened, sales, calendar)


@settings(max_examples=40, deadline=None)
@given(VISITS, SALES, st.integers(0, 10**6))
def test_entity_states_are_the_same_in_whatever_order_events_come(
    visits: list[tuple[str, int, int, str | None, tuple[str, ...], str | None, str]],
    sold: list[tuple[int, str | None, str | None, str | None, str, int | None, list[str], int | None]],
    seed: int,
) -> None:
    calendar = calendar_of(ZONES[0])
    happened = [*made_visits(JULY, visits), *(e for sale in made_sales(JULY, sold) for e in events_of(sale))]
    once, _ = asyncio.run(run([happened], calendar))
    again, _ = asyncio.run(run(cut(happened, seed, repeats=True), calendar))
    assert dict(once.states()) == dict(again.states())


def month_of_one_visitor(calendar: Calendar) -> list[Happened]:
    """On all 31 days of July, through two channels, three pages a day, one of two SKUs."""
    happened = []
    for day in range(31):
        noon = JULY + day * DAY + 4 * 3_600_000_000
        channel = "paid" if day % 3 else "social"
        happened += [
            visit("v", noon + page * MINUTE, f"d{day}-{page}", VIEW | PRODUCT, channel, (f"A{day % 2}",), source="s")
            for page in range(3)
        ]
    return happened


@pytest.mark.parametrize("seed", range(3))
def test_one_visitor_on_all_31_days_is_one_visitor_of_the_month(seed: int) -> None:
    calendar = calendar_of("Asia/Shanghai")
    happened = month_of_one_visitor(calendar)
    figures = result(cut(happened, seed, repeats=True), calendar)
    july = calendar.named("2024-07").second
    assert figures == expected(happened, [], calendar)
    assert figures["month", "", july, "", "uv"] == 1
    assert figures["month", "", july, "", "pv"] == 93
    assert sum(v for k, v in figures.items() if k[0] == "day" and k[1] == "" and k[4] == "uv") == 31


def test_the_earliest_event_coming_last_moves_the_views_to_its_channel() -> None:
    calendar = calendar_of("Asia/Shanghai")
    happened = month_of_one_visitor(calendar)
    late = visit("v", JULY + 3_600_000_000, "late", VIEW, "referral")
    before, after = result([happened], calendar), result([happened, [late]], calendar)
    day, july = calendar.named("2024-07-01").second, calendar.named("2024-07").second
    assert before["day", "channel", day, "social", "pv"] == 3
    assert ("day", "channel", day, "social", "pv") not in after
    assert after["day", "channel", day, "referral", "pv"] == 4
    assert after["month", "channel", july, "referral", "pv"] == 94
    assert after == expected([*happened, late], [], calendar)


def test_the_correction_names_the_late_event() -> None:
    calendar = calendar_of("Asia/Shanghai")
    happened = month_of_one_visitor(calendar)

    async def causes() -> list[str]:
        rows, batch = Memory(), Batch()
        batch.visits[STORE, "v"] = [one.visit for one in happened if one.visit]
        await fold(batch, rows, {STORE: Shop(calendar)})
        late = Batch()
        late.visits[STORE, "v"] = [
            one.visit for one in [visit("v", JULY + MINUTE, "late", VIEW, "referral")] if one.visit
        ]
        outcome = await fold(late, rows, {STORE: Shop(calendar)})
        return [cause for change in outcome.changes for cause in change.causes]

    assert asyncio.run(causes()) == ["late"]


def test_the_row_of_a_machine_stops_growing_and_its_repeats_are_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = calendar_of("Asia/Shanghai")
    monkeypatch.setattr(engine, "CROWDED", 5)
    happened = [visit("bot", JULY + n * MINUTE, f"b{n}") for n in range(40)]
    batches = [happened[:10], happened[5:30], happened[20:], happened]
    rows, cells = asyncio.run(run(batches, calendar))
    assert flat(cells) == expected(happened, [], calendar)
    assert len(rows.days[STORE, "bot"].popitem()[1][1]) == 10 * 8


def test_over_the_limit_a_visitors_day_is_a_machines_and_counts_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = calendar_of("Asia/Shanghai")
    monkeypatch.setattr(visitor, "MACHINE", 5)
    happened = [visit("v", JULY + n * MINUTE, f"b{n}") for n in range(6)]
    person = visit("v", JULY + DAY, "next-day")
    below, above = result([happened[:5], [person]], calendar), result([happened[:5], [person], happened[5:]], calendar)
    first, july = calendar.second("day", JULY), calendar.named("2024-07").second
    assert below["month", "", july, "", "pv"] == 6
    assert above["month", "", july, "", "pv"] == 1
    assert ("day", "", first, "", "uv") not in above
    assert above["day", "", first, "", "excluded_bots"] == 6
    assert result([[*happened, person]], calendar) == above


def test_a_late_touch_moves_the_order_to_its_channel() -> None:
    calendar = calendar_of("Asia/Shanghai")
    sale = Sale("o1", JULY + 6 * DAY, 1000, [("A1", 1, 1000)], visitor="v", paid=JULY + 6 * DAY)
    touch_ = visit("v", JULY + DAY, "t", VIEW, "social")
    figures = result([events_of(sale), [touch_]], calendar)
    assert figures["day", "channel", calendar.second("day", sale.placed), "social", "orders_paid"] == 1
    assert figures == expected([touch_], [sale], calendar)


def test_a_purchase_that_becomes_known_late_makes_the_other_one_a_repeat() -> None:
    calendar = calendar_of("Asia/Shanghai")
    first = Sale("o1", JULY, 1000, [("A1", 1, 1000)], customer="c", paid=JULY)
    second = Sale("o2", JULY + 9 * DAY, 1000, [("A1", 1, 1000)], customer="c", paid=JULY + 9 * DAY)
    figures = result([events_of(second), events_of(first)], calendar)
    month = calendar.named("2024-07").second
    assert figures["month", "customer_kind", month, "new", "orders_paid"] == 1
    assert figures["month", "", month, "", "first_orders"] == 1
    assert figures["month", "", month, "", "cohort_repurchased_30d"] == 1
    assert figures == expected([], [first, second], calendar)


# sabotage twins: the same comparison with the guarding line taken out must fail


def breaks(happened: Sequence[Happened], sales: Sequence[Sale], batches: Sequence[Sequence[Happened]]) -> bool:
    calendar = calendar_of("Asia/Shanghai")
    return result(batches, calendar) != expected(happened, sales, calendar)


def test_without_dedup_in_the_visitors_row_a_repeat_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    happened = month_of_one_visitor(calendar_of("Asia/Shanghai"))
    monkeypatch.setattr(engine, "_known", lambda *_: False)
    assert breaks(happened, [], [happened, happened[:2]])


def test_without_the_first_touch_the_earliest_event_coming_last_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened = month_of_one_visitor(calendar_of("Asia/Shanghai"))
    late = visit("v", JULY + MINUTE, "late", VIEW, "referral")
    monkeypatch.setattr(visitor, "first_touch", lambda days: next(d.hours[-1].profile for d in days if d.hours))
    assert breaks([*happened, late], [], [happened, [late]])


def test_without_dependents_a_late_touch_leaves_the_order_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    sale = Sale("o1", JULY + 6 * DAY, 1000, [("A1", 1, 1000)], visitor="v", paid=JULY + 6 * DAY)
    late = visit("v", JULY + DAY, "t", VIEW, "social")

    async def nobody(self: object) -> None:
        return None

    monkeypatch.setattr(engine._Work, "_moved_by_touches", nobody)
    assert breaks([late], [sale], [events_of(sale), [late]])


def test_without_its_neighbours_a_session_over_midnight_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = JULY + 16 * 3_600_000_000
    happened = [visit("v", midnight - 10 * MINUTE, "x"), visit("v", midnight + 10 * MINUTE, "y")]
    assert not breaks(happened, [], [happened[1:], happened[:1]])
    monkeypatch.setattr(visitor, "affected", lambda days, *_: set(days))
    assert breaks(happened, [], [happened[1:], happened[:1]])


def test_a_direct_touch_does_not_take_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sale = Sale("o1", JULY + 3 * DAY, 1000, [("A1", 1, 1000)], visitor="v")
    touches = [visit("v", JULY + DAY, "t", VIEW, "social"), visit("v", JULY + 2 * DAY, "u", VIEW, "direct")]
    batches = [touches, events_of(sale)]
    assert not breaks(touches, [sale], batches)
    monkeypatch.setattr(touch, "DIRECT", touch.Attribution("none", None, None))
    assert breaks(touches, [sale], batches)
