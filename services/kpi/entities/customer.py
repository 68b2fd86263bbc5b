"""A customer: his paid orders in time, where each of them stands among them (KPI-3), and what he asked (SRV-7)."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from services.kpi.figures import EVERY_GRAIN, NUMBERS, Contribution, Place, Vector

_DAY_US: Final = 86_400 * 1_000_000
COHORT_US: Final = 30 * _DAY_US
"""A customer of a cohort repurchased if another order was paid within this time of his first."""


ASKED_US: Final = _DAY_US
"""An asker bought if an order of his was paid within this time after he asked."""


class Ask(NamedTuple):
    """That he opened a conversation: he is an asker of its moment, class and agent."""

    us: int
    conversation: str
    topic_class: str
    agent: str | None


class Customer(msgspec.Struct, array_like=True):
    """His paid orders: (time of payment, order id, amount, currency), in order; and what he asked, in order."""

    paid: list[tuple[int, str, int, str]] = []
    asks: list[Ask] = []


class Standing(NamedTuple):
    """Where a paid order stands among its customer's."""

    first: bool
    within_365d: bool
    """whether he had paid another in the 365 days before"""
    within_30d: bool


PaidOrder = tuple[int, str, int, str]


def merge(old: Customer | None, left: Iterable[PaidOrder], joined: Iterable[PaidOrder]) -> Customer:
    """The customer without the orders that left him and with those that joined him."""
    orders = {order[1]: order for order in (old.paid if old else ())}
    for order in left:
        orders.pop(order[1], None)
    orders.update({order[1]: order for order in joined})
    return Customer(sorted(orders.values()), old.asks if old else [])


def merge_asks(old: Customer | None, left: Iterable[Ask], joined: Iterable[Ask]) -> Customer:
    """The customer without the questions that are no longer his, or have changed, and with those that are."""
    asks = {ask.conversation: ask for ask in (old.asks if old else ())}
    for ask in left:
        asks.pop(ask.conversation, None)
    asks.update({ask.conversation: ask for ask in joined})
    return Customer(old.paid if old else [], sorted(asks.values(), key=lambda ask: (ask.us, ask.conversation)))


def standings(customer: Customer) -> dict[str, Standing]:
    """order id -> where it stands; ties in time by the order's id."""
    found: dict[str, Standing] = {}
    before: int | None = None
    for us, order_id, _, _ in customer.paid:
        found[order_id] = Standing(
            first=before is None,
            within_365d=before is not None and us - before <= 365 * _DAY_US,
            within_30d=before is not None and us - before <= 30 * _DAY_US,
        )
        before = us
    return found


def contribution(store: str, customer: Customer | None, second_of: Callable[[str, int], int]) -> Contribution:
    """The cohort of his first paid order and whether he came back within 30 days; where he is an asker."""
    if customer is None:
        return {}
    made = _asked(store, customer, second_of) if customer.asks else {}
    if not customer.paid:
        return made
    first = customer.paid[0][0]
    vector = {NUMBERS["cohort_customers"]: 1}
    if len(customer.paid) > 1 and customer.paid[1][0] - first <= COHORT_US:
        vector[NUMBERS["cohort_repurchased_30d"]] = 1
    return {**made, Place(store, EVERY_GRAIN, second_of("hour", first), ("total",)): vector}


def _asked(store: str, customer: Customer, second_of: Callable[[str, int], int]) -> Contribution:
    """One asker a bucket, class and agent, however often he asked there."""
    made: dict[Place, Vector] = {}
    for ask in customer.asks:
        profiles = [("total",), ("class", ask.topic_class), *([("agent", ask.agent)] if ask.agent else [])]
        paid = any(ask.us <= order[0] <= ask.us + ASKED_US for order in customer.paid)
        for grain in ("hour", "day", "week", "month"):
            for profile in profiles:
                vector = made.setdefault(Place(store, grain, second_of(grain, ask.us), profile), {NUMBERS["askers"]: 1})
                if paid:
                    vector[NUMBERS["askers_who_paid"]] = 1
    return made
