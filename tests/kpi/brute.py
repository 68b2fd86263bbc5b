"""The figures once more, from the plain set of events, by loops over everything: slow, short, and nothing shared.

Only the calendar and the names of measures come from the product.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.kpi.calendar import Calendar
from services.kpi.entities.visitor import Visit
from services.kpi.figures import Cell, measure_of

HALF_HOUR = 30 * 60 * 1_000_000
WEEK = 7 * 86_400 * 1_000_000
DAY = 86_400 * 1_000_000
VIEW, CART, FAVORITE, CHECKOUT, PRODUCT = 1, 2, 4, 8, 16


@dataclass
class Sale:
    """An order as the brute force sees it."""

    order_id: str
    placed: int
    total: int
    lines: list[tuple[str, int, int]]
    """(sku, quantity, amount)"""
    visitor: str | None = None
    customer: str | None = None
    channel: str | None = None
    origin: str = "storefront"
    paid: int | None = None
    refunds: list[tuple[int, int]] = field(default_factory=list)
    """(time, items)"""


Figures = dict[tuple[str, str, int, str, str], int]
"""(grain, by, bucket, value, measure) -> value"""


def flat(cells: dict[Cell, dict[int, int]]) -> Figures:
    """The engine's cells in the shape of the brute force; currencies are left off."""
    return {
        (cell.grain, cell.by, cell.bucket, cell.value, measure_of(number)[0]): value
        for cell, vector in cells.items()
        for number, value in vector.items()
        if value
    }


def count(calendar: Calendar, visits: dict[str, list[Visit]], sales: Sequence[Sale]) -> Figures:
    figures: dict[tuple[str, str, int, str, str], int] = defaultdict(int)
    for visitor, events in visits.items():
        placed = [s.placed for s in sales if s.visitor == visitor and s.origin == "storefront"]
        for grain in ("hour", "day", "week", "month"):
            _count_visitor(figures, calendar, list(set(events)), placed, grain)
    _count_sales(figures, calendar, visits, sales)
    return {key: value for key, value in figures.items() if value}


def _count_visitor(
    figures: dict[tuple[str, str, int, str, str], int],
    calendar: Calendar,
    events: list[Visit],
    placed: list[int],
    grain: str,
) -> None:
    for event in events:
        if event.excluded:
            name = "excluded_bots" if event.excluded == 1 else "excluded_staff"
            figures[grain, "", calendar.second(grain, event.us), "", name] += 1
    events = sorted((e for e in events if not e.excluded), key=lambda e: (e.us, e.id))
    sessions = sessions_of(events)
    for bucket in {calendar.second(grain, e.us) for e in events}:
        inside = [e for e in events if calendar.second(grain, e.us) == bucket]
        day = calendar.second("day", inside[0].us)
        touch = next(e for e in events if calendar.second("day", e.us) == day) if grain == "hour" else inside[0]
        begun = [s for s in sessions if calendar.second(grain, s[0].us) == bucket]
        values = {
            **_visited(inside),
            "checkout_visitors": int(any(e.flags & CHECKOUT for e in inside)),
            "sessions": len(begun),
            "bounces": sum(sum(e.flags & VIEW for e in s) == 1 for s in begun),
            "sessions_converted": sum(any(s[0].us <= p <= s[-1].us + HALF_HOUR for p in placed) for s in begun),
        }
        for by, value in _visit_views(touch):
            for name, number in values.items():
                figures[grain, by, bucket, value, name] += number
        if grain != "hour":
            for sku in {sku for e in inside for sku in e.skus}:
                for by, value in (("sku", sku), ("channel,sku", f"{touch.profile[0] or 'direct'}\x1f{sku}")):
                    for name, number in _visited([e for e in inside if sku in e.skus]).items():
                        figures[grain, by, bucket, value, name] += number


def _visited(events: list[Visit]) -> dict[str, int]:
    return {
        "uv": 1,
        "pv": sum(e.flags & VIEW for e in events),
        "cart_adds": sum(bool(e.flags & CART) for e in events),
        "cart_visitors": int(any(e.flags & CART for e in events)),
        "favorites": sum(bool(e.flags & FAVORITE) for e in events),
        "favorite_visitors": int(any(e.flags & FAVORITE for e in events)),
        "fav_or_cart_visitors": int(any(e.flags & (FAVORITE | CART) for e in events)),
        "product_visitors": int(any(e.flags & PRODUCT for e in events)),
    }


def sessions_of(events: Sequence[Visit]) -> list[list[Visit]]:
    """Runs of (sorted) events less than 30 minutes apart."""
    sessions: list[list[Visit]] = [[events[0]]] if events else []
    for before, event in pairwise(events):
        if event.us - before.us >= HALF_HOUR:
            sessions.append([])
        sessions[-1].append(event)
    return sessions


def _visit_views(touch: Visit) -> Iterable[tuple[str, str]]:
    channel, source, campaign, device = touch.profile
    channel = channel or "direct"
    yield "", ""
    yield "channel", channel
    for name, value in (("source", source), ("campaign", campaign), ("device", device)):
        if value is not None:
            yield name, value
            names = sorted(("channel", name))
            yield ",".join(names), "\x1f".join(channel if n == "channel" else value for n in names)


def _touch(sale: Sale, visits: dict[str, list[Visit]]) -> tuple[str, str | None]:
    """Channel and source of an order."""
    if sale.channel is not None:
        return sale.channel, None
    events = sorted((e for e in set(visits.get(sale.visitor or "", [])) if not e.excluded), key=lambda e: (e.us, e.id))
    touches = [s[0] for s in sessions_of(events) if sale.placed - WEEK <= s[0].us <= sale.placed]
    named = [t.profile for t in touches if t.profile[0] not in (None, "direct")]
    return (named[-1][0] or "", named[-1][1]) if named else ("direct", None)


def _count_sales(
    figures: dict[tuple[str, str, int, str, str], int],
    calendar: Calendar,
    visits: dict[str, list[Visit]],
    sales: Sequence[Sale],
) -> None:
    buyers: set[tuple[str, str, int, str, str]] = set()
    for sale in sales:
        channel, source = _touch(sale, visits)
        paid_before = [
            (s.paid, s.order_id)
            for s in sales
            if sale.paid is not None
            and s.paid is not None
            and s.customer is not None
            and s.customer == sale.customer
            and (s.paid, s.order_id) < (sale.paid, sale.order_id)
        ]
        kind = None if sale.customer is None or sale.paid is None else ("returning" if paid_before else "new")
        skus = {sku for sku, _, _ in sale.lines}
        whole = [
            ("", ""),
            ("channel", channel),
            ("origin", sale.origin),
            ("channel,origin", f"{channel}\x1f{sale.origin}"),
        ]
        if source is not None:
            whole += [("source", source), ("channel,source", f"{channel}\x1f{source}")]
        if kind is not None:
            whole += [("customer_kind", kind), ("channel,customer_kind", f"{channel}\x1f{kind}")]
        goods = [(sku, [("sku", sku), ("channel,sku", f"{channel}\x1f{sku}")]) for sku in skus]

        def book(us: int, name: str, number: int, by_sku: dict[str, int] | None = None) -> None:
            for grain in ("hour", "day", "week", "month"):
                bucket = calendar.second(grain, us)
                for by, value in whole:  # noqa: B023 - called at once
                    figures[grain, by, bucket, value, name] += number
                for sku, views in goods:  # noqa: B023 - called at once
                    for by, value in views:
                        figures[grain, by, bucket, value, name] += number if by_sku is None else by_sku.get(sku, 0)

        amounts = {sku: sum(a for s, _, a in sale.lines if s == sku) for sku in skus}
        units = {sku: sum(q for s, q, _ in sale.lines if s == sku) for sku in skus}
        book(sale.placed, "orders_placed", 1)
        book(sale.placed, "gmv", sale.total, amounts)
        if sale.origin == "storefront":
            book(sale.placed, "orders_placed_here", 1)
        for us, items in sale.refunds:
            shares = {sku: items if len(skus) == 1 else -1 for sku in skus}
            book(us, "refunds", 1)
            book(us, "refund_items_amount", items, shares)
            book(us, "refund_amount", items, shares)
        if sale.paid is None:
            continue
        book(sale.placed, "orders_placed_paid", 1)
        book(sale.paid, "orders_paid", 1)
        book(sale.paid, "units_paid", sum(units.values()), units)
        book(sale.paid, "paid_amount", sale.total, amounts)
        book(sale.paid, "items_amount", sum(amounts.values()), amounts)
        for _, items in sale.refunds:
            shares = {sku: items if len(skus) == 1 else -1 for sku in skus}
            book(sale.paid, "refund_items_amount_order_day", items, shares)
            book(sale.paid, "refund_amount_order_day", items, shares)
        book(sale.paid, "orders_due_to_ship", 0)
        if kind is None:
            continue
        book(sale.paid, "first_orders" if kind == "new" else "returning_orders", 1)
        book(sale.paid, "first_orders_amount" if kind == "new" else "returning_amount", sale.total, amounts)
        for days in (365, 30):
            if any(us >= sale.paid - days * DAY for us, _ in paid_before):
                book(sale.paid, f"returning_orders_{days}d", 1)
        for grain in ("hour", "day", "week", "month"):
            bucket = calendar.second(grain, sale.paid)
            for by, value in [*whole, *([v for _, views in goods for v in views] if grain != "hour" else ())]:
                buyers.add((grain, by, bucket, value, sale.customer or ""))
                if sale.origin == "storefront":
                    buyers.add((grain, by, bucket, value, f"\n{sale.customer}"))
    for grain, by, bucket, value, who in buyers:
        figures[grain, by, bucket, value, "buyers_paid_here" if who.startswith("\n") else "buyers_paid"] += 1
    _count_cohorts(figures, calendar, sales)


def _count_cohorts(
    figures: dict[tuple[str, str, int, str, str], int], calendar: Calendar, sales: Sequence[Sale]
) -> None:
    for customer in {s.customer for s in sales if s.customer is not None}:
        paid = sorted(s.paid for s in sales if s.customer == customer and s.paid is not None)
        for grain in ("hour", "day", "week", "month"):
            if paid:
                bucket = calendar.second(grain, paid[0])
                figures[grain, "", bucket, "", "cohort_customers"] += 1
                figures[grain, "", bucket, "", "cohort_repurchased_30d"] += any(
                    p - paid[0] <= 30 * DAY for p in paid[1:]
                )
