"""A customer: his paid orders in time, and where each of them stands among them (KPI-3)."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from services.kpi.figures import EVERY_GRAIN, NUMBERS, Contribution, Place

_DAY_US: Final = 86_400 * 1_000_000
COHORT_US: Final = 30 * _DAY_US
"""A customer of a cohort repurchased if another order was paid within this time of his first."""


class Customer(msgspec.Struct, array_like=True):
    """His paid orders: (time of payment, order id, amount, currency), in order."""

    paid: list[tuple[int, str, int, str]] = []


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
    return Customer(sorted(orders.values()))


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


def contribution(store: str, customer: Customer | None, hour_of: Callable[[int], int]) -> Contribution:
    """The cohort of his first paid order, and whether he came back within 30 days."""
    if customer is None or not customer.paid:
        return {}
    first = customer.paid[0][0]
    vector = {NUMBERS["cohort_customers"]: 1}
    if len(customer.paid) > 1 and customer.paid[1][0] - first <= COHORT_US:
        vector[NUMBERS["cohort_repurchased_30d"]] = 1
    return {Place(store, EVERY_GRAIN, hour_of(first), ("total",)): vector}
