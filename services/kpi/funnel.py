"""The funnel (KPI-2, D39): distinct visitors who did each step in the range, in any order, and their rate of the visit.

Counted from the visitors' own days, so that a visitor who came on many days is one. Orders count where their origin has
its traffic here and they name their visitor; by channel and the like a visitor belongs to his first touch in the range.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from libs.events.transaction import Transaction
from libs.service.errors import Validation, fault
from services.kpi.answers import half_up
from services.kpi.asking import Days
from services.kpi.calendar import Calendar
from services.kpi.entities.visitor import CART, CHECKOUT, PRODUCT, Day, Profile, counted, first_touch, visit_profile
from services.kpi.handlers import load_shops
from services.kpi.rows import driver
from services.kpi.states import decode_day, decode_order

STEPS = ("visit", "product", "cart", "checkout", "order", "paid")
VISIT, ORDER, PAID = 1 << 0, 1 << 4, 1 << 5
_SEEN = ((PRODUCT, 1 << 1), (CART, 1 << 2), (CHECKOUT, 1 << 3))
SPLITS = ("channel", "source", "campaign", "device")
"""What a funnel may be split by, in the order of a visitor's profile; and by `sku`."""
SKU = "sku"
MOST_DAYS = 92
_UNKNOWN: Profile = (None, None, None, None)


@dataclass(slots=True)
class Walker:
    """One visitor in the range: the steps he did, as bits, and his first touch."""

    steps: int = 0
    touch: Profile = _UNKNOWN


@dataclass(slots=True)
class Funnel:
    """Gathers visitors, one day or order at a time; the days of a visitor come in order."""

    walkers: dict[str, Walker] = field(default_factory=dict)
    of_skus: dict[str, dict[str, int]] | None = None
    """SKU -> visitor -> the steps he did with it, where the funnel is split by SKU"""

    def see(self, visitor: str, day: Day) -> None:
        """A day of this visitor."""
        if not day.hours:
            return
        walker = self.walkers.get(visitor)
        if walker is None:
            walker = self.walkers[visitor] = Walker(touch=first_touch([day]) or _UNKNOWN)
        flags = 0
        for hour in day.hours:
            flags |= hour.flags
        walker.steps |= VISIT
        walker.steps |= _steps(flags)
        if self.of_skus is not None:
            for sku in day.skus:
                self._walk(sku.sku, visitor, VISIT | _steps(sku.flags))

    def buy(self, visitor: str, step: int, skus: Iterable[str] = ()) -> None:
        """An order of this visitor was placed, or paid."""
        self.walkers.setdefault(visitor, Walker()).steps |= step
        for sku in skus if self.of_skus is not None else ():
            self._walk(sku, visitor, step)

    def _walk(self, sku: str, visitor: str, steps: int) -> None:
        walkers = (self.of_skus if self.of_skus is not None else {}).setdefault(sku, {})
        walkers[visitor] = walkers.get(visitor, 0) | steps

    def count(self) -> list[int]:
        """Visitors by step."""
        return _count([walker.steps for walker in self.walkers.values()])

    def count_by(self, name: str) -> dict[str, list[int]]:
        """The same by the values of a dimension; those without one are left out."""
        if self.of_skus is not None:
            return {sku: _count(list(walkers.values())) for sku, walkers in sorted(self.of_skus.items())}
        groups: dict[str, list[int]] = {}
        index = SPLITS.index(name) + 1
        for walker in self.walkers.values():
            value = visit_profile(walker.touch)[index]
            if value is not None:
                groups.setdefault(value, []).append(walker.steps)
        return {value: _count(walkers) for value, walkers in sorted(groups.items())}


def _steps(flags: int) -> int:
    return sum(step for flag, step in _SEEN if flags & flag)


def _count(walkers: Sequence[int]) -> list[int]:
    return [sum(steps >> number & 1 for steps in walkers) for number in range(len(STEPS))]


def steps_json(counts: Sequence[int]) -> list[dict[str, Any]]:
    """The steps as answered."""
    return [
        {"step": step, "visitors": visitors, "rate": half_up(visitors, counts[0])}
        for step, visitors in zip(STEPS, counts, strict=True)
    ]


def check_split(by: str | None, days: Days) -> None:
    """Raises Validation for a dimension that visitors do not have, or too many days."""
    if by and by not in (*SPLITS, SKU):
        message = f"a funnel is kept by one of {', '.join((*SPLITS, SKU))}"
        raise Validation(message, errors=[fault("/by", "not_kept", message)])
    if (days.last - days.first).days >= MOST_DAYS:
        raise Validation("too long", errors=[fault("/from", "range", f"at most {MOST_DAYS} days")])


async def read_funnel(days: Days, calendar: Calendar, tx: Transaction, by: str | None = None) -> Funnel:
    """The funnel of the transaction's store over these days."""
    funnel = Funnel(of_skus={} if by == SKU else None)
    await _see_visitors(funnel, days, tx)
    await _see_orders(funnel, days, calendar, tx)
    return funnel


async def _see_visitors(funnel: Funnel, days: Days, tx: Transaction) -> None:
    rows = await tx.session.stream(
        text(
            "SELECT visitor, state FROM kpi.visitor_day WHERE store = :store AND day BETWEEN :first AND :last"
            " ORDER BY day"
        ),
        {"store": tx.store, "first": days.first.toordinal(), "last": days.last.toordinal()},
    )
    async for visitor, state in rows:
        funnel.see(visitor, counted(decode_day(state)))


async def _see_orders(funnel: Funnel, days: Days, calendar: Calendar, tx: Transaction) -> None:
    first = calendar.day_start(days.first.toordinal()) * 1_000_000
    after = calendar.day_start(days.last.toordinal() + 1) * 1_000_000
    shop = (await load_shops(await driver(tx.session), [tx.store]))[tx.store]
    rows = await tx.session.stream(
        text(
            "SELECT visitor, placed_us, paid_us, state FROM kpi.orders WHERE store = :store AND visitor IS NOT NULL"
            " AND (placed_us >= :first AND placed_us < :after OR paid_us >= :first AND paid_us < :after)"
        ),
        {"store": tx.store, "first": first, "after": after},
    )
    async for visitor, placed_us, paid_us, state in rows:
        order = decode_order(state)
        said = order.placed.said if order.placed else order.paid.said if order.paid else None
        placed_at = paid_us if placed_us is None else placed_us
        if said is None or not shop.has_traffic_of(said.origin, placed_at):
            continue
        if placed_us is not None and first <= placed_us < after:
            funnel.buy(visitor, ORDER, order.skus)
        if paid_us is not None and first <= paid_us < after:
            funnel.buy(visitor, PAID, order.skus)
