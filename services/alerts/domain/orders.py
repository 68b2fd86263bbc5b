"""As much of an order as rules about its money and its parcels need (ORD-3, ORD-4). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from libs.events.contracts import (
    Event,
    OrderAmended,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    PaymentSucceeded,
    RefundIssued,
    ReturnRequested,
    ShipmentCreated,
)


@dataclass(frozen=True, slots=True)
class Followed:
    """An order as its events tell it."""

    total_cents: int | None = None
    paid_cents: int = 0
    refunded_cents: int = 0
    bare_refund_cents: int = 0
    """refunded without a return, after it was shipped"""
    was_paid: bool = False
    is_cancelled: bool = False
    has_return: bool = False
    lines: Mapping[str, int] = field(default_factory=dict)
    shipped: Mapping[str, int] = field(default_factory=dict)
    parcels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """shipment -> its carrier and tracking number"""


def follow(order: Followed, event: Event) -> Followed:
    """The order after an event; events that say nothing of money or goods leave it as it was."""
    match event:
        case OrderPlaced():
            return replace(order, total_cents=event.total_cents, lines=_units(event.lines))
        case OrderAmended():
            return replace(order, total_cents=event.total_cents, lines=_units(event.lines_after))
        case OrderPaid():
            return replace(order, was_paid=True, total_cents=event.total_cents, lines=_units(event.lines))
        case PaymentSucceeded():
            return replace(order, paid_cents=order.paid_cents + event.amount_cents)
        case OrderCancelled():
            return replace(order, is_cancelled=True, was_paid=event.was_paid)
        case ReturnRequested():
            return replace(order, has_return=True)
        case ShipmentCreated():
            parcel = {"carrier": event.carrier, "tracking_number": event.tracking_number}
            parcels = {**order.parcels, event.shipment_id: parcel}
            return replace(order, shipped=_units(event.lines, order.shipped), parcels=parcels)
        case RefundIssued():
            return _refunded(order, event)
    return order


def _refunded(order: Followed, event: RefundIssued) -> Followed:
    is_bare = event.return_id is None and not order.has_return and bool(order.shipped) and not order.is_cancelled
    return replace(
        order,
        refunded_cents=order.refunded_cents + event.amount_cents,
        bare_refund_cents=order.bare_refund_cents + (event.amount_cents if is_bare else 0),
    )


def _units(lines: Iterable[Any], before: Mapping[str, int] | None = None) -> dict[str, int]:
    units = dict(before or {})
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    return units


def open_lines(order: Followed, services: frozenset[str] = frozenset()) -> dict[str, int]:
    """SKU -> units still to be shipped; `services` are SKUs that never are."""
    rest = {sku: units - order.shipped.get(sku, 0) for sku, units in order.lines.items() if sku not in services}
    return {sku: units for sku, units in rest.items() if units > 0}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Money that does not fit its order."""

    kind: str
    expected_cents: int
    found_cents: int


def mismatch(order: Followed) -> Mismatch | None:
    """What does not fit (ORD-3, D15, D17); None where all does, or the order is not known."""
    if order.total_cents is None:
        return None
    if order.refunded_cents > order.paid_cents:
        return Mismatch("refunded_more_than_paid", order.paid_cents, order.refunded_cents)
    if order.is_cancelled and not order.was_paid:
        if order.paid_cents > order.refunded_cents:
            return Mismatch("cancelled_order_paid", order.refunded_cents, order.paid_cents)
        return None
    if order.paid_cents - order.refunded_cents > order.total_cents:
        return Mismatch("other_amount_paid", order.total_cents, order.paid_cents - order.refunded_cents)
    if order.bare_refund_cents:
        return Mismatch("refund_without_return", 0, order.bare_refund_cents)
    return None
