"""What keeps an order from going on, and what the customer can be offered (ORD-2)."""

from dataclasses import dataclass
from typing import Literal

from services.orders.domain.state import Decision, Order, Status

Kind = Literal["out_of_stock", "bad_address", "payment_problem"]
_ADDRESS = frozenset({"consignee_missing", "phone_invalid", "address_incomplete"})


@dataclass(frozen=True, slots=True)
class OrderException:
    """A problem to be put to the customer, with the choices that he has: all of them are calls of this service."""

    kind: Kind
    options: tuple[str, ...]


def exceptions(order: Order) -> tuple[OrderException, ...]:
    """What is wrong with an order now; empty for one that goes its way."""
    found: list[OrderException] = []
    if order.status is Status.PAID_UNFULFILLABLE:
        wait = () if order.backordered_at else ("backorder",)
        found.append(OrderException("out_of_stock", ("change_goods", *wait, "refund")))
    is_held = order.review.decision is Decision.HELD and order.status in (Status.PLACED, Status.PAID)
    if is_held and _ADDRESS & set(order.review.reasons):
        ways_out = "refund" if order.paid_at else "cancel"
        found.append(OrderException("bad_address", ("correct_address", ways_out)))
    if _has_payment_problem(order):
        settled = ("pay_again", "cancel") if order.status is Status.PLACED else ("refund",)
        found.append(OrderException("payment_problem", settled))
    return tuple(found)


def _has_payment_problem(order: Order) -> bool:
    """Money that failed or is not enough, more than was asked for, or for an order that is no more."""
    if order.status is Status.PLACED:
        return bool(order.payments)
    owed = 0 if order.status is Status.CANCELLED else order.total_cents
    return order.paid_cents - order.refunded_cents > owed
