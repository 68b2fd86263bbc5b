"""What files tell of orders that were sold elsewhere: facts, each taken in once, whatever was known before (D1, D54).

Pure: a sale, a return or a refund and the order as it is known give the order as it is then, and what happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from libs.service.errors import NotFound
from services.orders.domain import facts, life, returns, shipping
from services.orders.domain.review import Consignee, Limits, reasons_to_hold
from services.orders.domain.state import (
    Dated,
    Decided,
    Decision,
    Order,
    Payment,
    Refund,
    Return,
    ReturnStatus,
    Shipment,
    Status,
    Units,
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What left with one tracking number."""

    carrier: str
    tracking_number: str
    lines: tuple[Units, ...]
    shipped_at: datetime


@dataclass(frozen=True, slots=True)
class Sale:
    """An order as a file tells of it: `order` is what was placed, the rest what has become of it."""

    order: Order
    consignee: Consignee | None = None
    paid_at: datetime | None = None
    method: str = "import"
    parcels: tuple[Parcel, ...] = ()
    teller: str = "import"
    """Who is said to have let it pass, when it has left the house elsewhere."""


@dataclass(frozen=True, slots=True)
class GoodsBack:
    """Goods that came back and were looked at, and the money that was given for them."""

    order_id: str
    return_id: str
    at: datetime
    lines: tuple[Units, ...]
    reason: str
    condition: Literal["resellable", "damaged"]
    refund: Refund | None = None
    items_cents: int | None = None


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """Money that went back without goods."""

    order_id: str
    refund: Refund
    items_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What has to be known besides the order."""

    promise: timedelta
    limits: Limits
    unknown_skus: Sequence[str] = ()
    is_first_order: bool = False


def take_sale(known: Order | None, sale: Sale, around: Circumstances) -> Decided:
    """Place the order unless it is known, pay and ship what the file says; never back, never twice (ORD-7)."""
    order, happened = (known, ()) if known is not None else _place(sale, around)
    order, paid = take_payment(order, sale.paid_at, sale.method, around)
    order, shipped = take_parcels(order, sale.parcels, sale.teller)
    return order, (*happened, *paid, *shipped)


def _place(sale: Sale, around: Circumstances) -> Decided:
    """What has been shipped elsewhere needs no review."""
    reasons: Sequence[str] = ()
    if not sale.parcels:
        order = sale.order
        reasons = reasons_to_hold(
            order.lines, order.total_cents, sale.consignee, unknown_skus=around.unknown_skus, limits=around.limits
        )
    return life.place(sale.order, reasons, reviewed_at=sale.order.placed_at)


def take_payment(order: Order, paid_at: datetime | None, method: str, around: Circumstances) -> Decided:
    """What is still owed was paid, if it says when; known of a cancelled order too (D17), and never twice (ORD-7)."""
    payment_id = f"{order.order_id}:paid"
    is_known = order.paid_at is not None or any(p.payment_id == payment_id for p in order.payments)
    if paid_at is None or is_known:
        return order, ()
    due = max(0, order.total_cents - order.paid_cents)
    payment = Payment(payment_id, method, due, order.currency, "succeeded", paid_at)
    return life.pay(order, payment, promise=around.promise, is_first_order=around.is_first_order)


def take_parcels(order: Order, parcels: Sequence[Parcel], teller: str) -> Decided:
    """What has left the house elsewhere: one shipment a tracking number, whatever the review says."""
    happened: tuple[Dated, ...] = ()
    sent = {shipment.tracking_number for shipment in order.shipments}
    for parcel in parcels:
        if parcel.tracking_number in sent or order.status is Status.CANCELLED:
            continue
        order, told = _let_pass(order, teller, parcel.shipped_at)
        order, more = shipping.ship(order, _shipment(order, parcel))
        happened = (*happened, *told, *more)
    return order, happened


def _let_pass(order: Order, by: str, at: datetime) -> Decided:
    """It has left the house elsewhere: nobody has to look at it any more."""
    if order.review.decision is Decision.APPROVED:
        return order, ()
    return life.review(order, Decision.APPROVED, by=by, now=at)


def _shipment(order: Order, parcel: Parcel) -> Shipment:
    number = len(order.shipments) + 1
    return Shipment(
        f"{order.order_id}:s{number}", parcel.carrier, parcel.tracking_number, parcel.lines, parcel.shipped_at
    )


def take_goods_back(order: Order | None, back: GoodsBack) -> Decided:
    """All steps of a return at once. Raises NotFound, WrongState, Validation."""
    if order is None:
        raise NotFound(f"there is no order {back.order_id}")
    if any(item.return_id == back.return_id for item in order.returns):
        return order, ()
    asked = Return(back.return_id, back.lines, back.reason, "refund", ReturnStatus.REQUESTED, back.at)
    order, requested = returns.request_return(order, asked)
    order, approved = returns.approve_return(order, back.return_id, at=back.at)
    order, received = returns.receive_return(order, back.return_id, at=back.at)
    order, inspected = returns.inspect_return(order, back.return_id, back.condition, at=back.at)
    happened = (*requested, *approved, *received, *inspected)
    if back.refund is None:
        return order, happened
    given = _priced(order, back.refund, back.items_cents)
    order, refunded = returns.refund_return(order, back.return_id, given, is_fact=True)
    return order, (*happened, *refunded)


def take_money_back(order: Order | None, back: MoneyBack) -> tuple[Order | None, tuple[Dated, ...]]:
    """A refund without goods; of an order that was never seen here, it is told all the same (D51)."""
    if order is None:
        share = back.refund.amount_cents if back.items_cents is None else back.items_cents
        given = replace(back.refund, items_cents=share)
        return None, (Dated(facts.refund_issued(back.order_id, given), given.issued_at),)
    if any(refund.refund_id == back.refund.refund_id for refund in order.refunds):
        return order, ()
    return life.refund(order, _priced(order, back.refund, back.items_cents), is_fact=True)


def _priced(order: Order, refund: Refund, items_cents: int | None) -> Refund:
    share = life.goods_share(order, refund.amount_cents) if items_cents is None else items_cents
    return replace(refund, items_cents=share, currency=order.currency)
