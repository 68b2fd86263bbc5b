"""What people and files report of a day or an hour: ad spend, costs, stock counts. The latest report counts (D10)."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from libs.events.contracts import AdSpent, CostEntered, StockCounted
from services.kpi.calendar import span_days
from services.kpi.entities.fact import Fact, Stamp
from services.kpi.entities.leaf import Ground, Leaf, earliest, key_of, latest
from services.kpi.entities.order import spread
from services.kpi.figures import EVERY_GRAIN, FROM_DAY, NUMBERS, Contribution, Place, Vector, number_of

AD_KEY: Final = ("channel", "source", "campaign", "plan", "sku", "creative", "day", "hour")
"""What tells one ad's day or hour from another's."""
COST_KEY: Final = ("category", "day", "month", "sku", "campaign")
FEES: Final = "platform_fee"


class Report(msgspec.Struct, array_like=True, gc=False):
    """An ad's day or hour."""

    channel: str
    source: str | None
    campaign: str | None
    plan: str | None
    sku: str | None
    day: int | None
    """proleptic ordinal; None where it is of an hour"""
    hour: str | None
    impressions: int
    clicks: int
    spend: int
    currency: str


class Ad(msgspec.Struct, array_like=True):
    """The report that counts."""

    said: tuple[Stamp, Report] | None = None


def merge_ad(old: Ad | None, facts: Sequence[Fact]) -> Ad:
    """The latest by (time, recordedtime, id), whatever the order of arrival."""
    said = old.said if old else None
    for fact in facts:
        if isinstance(fact.event, AdSpent):
            said = latest(said, fact.stamp, _report(fact.event))
    return Ad(said)


def _report(event: AdSpent) -> Report:
    return Report(
        event.channel,
        event.source,
        event.campaign,
        event.plan,
        event.sku,
        None if event.day is None else event.day.toordinal(),
        event.hour,
        event.impressions,
        event.clicks,
        event.spend_cents,
        event.currency,
    )


def count_ad(state: Ad, ground: Ground) -> Contribution:
    """A day's report counts from the day up, an hour's in its hour too."""
    if state.said is None:
        return {}
    report = state.said[1]
    profile = ("ad", report.channel, report.source, report.campaign, report.sku, report.plan)
    vector: Vector = {number_of("ad_spend", report.currency): report.spend}
    for name, value in (("impressions", report.impressions), ("clicks", report.clicks)):
        vector[NUMBERS[name]] = value
        if report.currency != ground.currency:
            vector[number_of(name, report.currency)] = value
    if report.day is not None:
        return {Place(ground.store, FROM_DAY, ground.calendar.day_start(report.day), profile): vector}
    try:
        second = ground.calendar.named(str(report.hour)).second
    except ValueError:  # an hour that its store does not have; the front door refuses it
        return {}
    return {Place(ground.store, EVERY_GRAIN, second, profile): vector}


class Expense(msgspec.Struct, array_like=True, gc=False):
    """A cost of some days, from the first to the day after the last."""

    category: str
    first: int
    after: int
    amount: int
    currency: str
    sku: str | None
    campaign: str | None


class Cost(msgspec.Struct, array_like=True):
    """The entry that counts."""

    said: tuple[Stamp, Expense] | None = None


def merge_cost(old: Cost | None, facts: Sequence[Fact]) -> Cost:
    """The latest by (time, recordedtime, id)."""
    said = old.said if old else None
    for fact in facts:
        if isinstance(fact.event, CostEntered):
            said = latest(said, fact.stamp, _expense(fact.event))
    return Cost(said)


def _expense(event: CostEntered) -> Expense:
    day = event.day or date.fromisoformat(f"{event.month}-01")
    first, after = span_days("day" if event.day else "month", day.toordinal())
    return Expense(event.category, first, after, event.amount_cents, event.currency, event.sku, event.campaign)


def count_cost(state: Cost, ground: Ground) -> Contribution:
    """A month's cost is spread evenly over its days."""
    if state.said is None:
        return {}
    cost = state.said[1]
    number = number_of("platform_fees" if cost.category == FEES else "entered_costs", cost.currency)
    sign = -1 if cost.amount < 0 else 1
    parts = spread(abs(cost.amount), [1] * (cost.after - cost.first))
    starts = (ground.calendar.day_start(day) for day in range(cost.first, cost.after))
    made: Contribution = {}
    for start, part in zip(starts, parts, strict=True):
        place = Place(ground.store, FROM_DAY, start, ("cost", cost.campaign, cost.sku))
        made[place] = {number: made.get(place, {}).get(number, 0) + sign * part}
    return made


class Count(msgspec.Struct, array_like=True):
    """A stock count: (lines, lines that differ)."""

    said: tuple[Stamp, tuple[int, int]] | None = None


def merge_count(old: Count | None, facts: Sequence[Fact]) -> Count:
    """The first that was said of it."""
    said = old.said if old else None
    for fact in facts:
        event = fact.event
        if isinstance(event, StockCounted):
            named = len(event.differences) if event.difference_count is None else event.difference_count
            said = earliest(said, fact.stamp, (event.item_count, min(named, event.item_count)))
    return Count(said)


def count_count(state: Count, ground: Ground) -> Contribution:
    """Lines, and those without a difference (KPI-10)."""
    if state.said is None:
        return {}
    stamp, (lines, differing) = state.said
    vector = {NUMBERS["count_lines"]: lines, NUMBERS["count_lines_exact"]: lines - differing}
    return {Place(ground.store, EVERY_GRAIN, ground.calendar.second("hour", stamp[0]), ("total",)): vector}


AD: Final = Leaf("ad", (AdSpent,), lambda event: key_of(event, AD_KEY), Ad, merge_ad, count_ad)
COST: Final = Leaf("cost", (CostEntered,), lambda event: key_of(event, COST_KEY), Cost, merge_cost, count_cost)
COUNT: Final = Leaf("count", (StockCounted,), lambda event: str(event.count_id), Count, merge_count, count_count)
