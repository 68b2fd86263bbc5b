"""Goods that come back (ORD-6): pure decisions `(order, step, time) -> (order, what happened)`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from libs.events import contracts
from libs.events.contracts.base import MAX_LINES
from libs.service.errors import Validation, WrongState, fault
from services.orders.domain import facts, money
from services.orders.domain.life import demand, refund
from services.orders.domain.shipping import refuse_excess, take_units
from services.orders.domain.state import (
    RETURNABLE,
    Dated,
    Decided,
    Hold,
    Line,
    Order,
    Refund,
    Return,
    ReturnStatus,
    Units,
    sum_units,
)


def find_return(order: Order, return_id: str) -> Return:
    """The order's return of that id, which exists."""
    return next(item for item in order.returns if item.return_id == return_id)


def request_return(order: Order, asked: Return) -> Decided:
    """A customer wants to send shipped units back (ORD-6); never more than were shipped and are not yet coming back."""
    demand(order.status in RETURNABLE, order)
    coming = sum_units(
        units
        for item in order.returns
        if item.status not in (ReturnStatus.REFUSED, ReturnStatus.EXCHANGED)
        for units in item.lines
    )
    room = sum_units(Units(line.sku, line.shipped) for line in order.lines)
    left = {sku: quantity - (room[sku] - coming[sku]) for sku, quantity in sum_units(asked.lines).items()}
    refuse_excess(left, asked.lines)
    return _with_return(order, asked), (
        Dated(contracts.ReturnRequested(**facts.return_fields(order, asked)), asked.requested_at),
    )


def approve_return(order: Order, return_id: str, *, at: datetime) -> Decided:
    """From now on the units are `returning` in stock (D20)."""
    item = _step(order, return_id, ReturnStatus.REQUESTED)
    approved = replace(item, status=ReturnStatus.APPROVED, approved_at=at)
    return _with_return(order, approved), (Dated(contracts.ReturnApproved(**facts.return_fields(order, approved)), at),)


def refuse_return(order: Order, return_id: str, *, refusal: str | None, at: datetime) -> Decided:
    """The store's policy does not take the goods back."""
    item = _step(order, return_id, ReturnStatus.REQUESTED)
    refused = replace(item, status=ReturnStatus.REFUSED, refused_at=at, closed_at=at, refusal=refusal)
    return _with_return(order, refused), (
        Dated(contracts.ReturnRefused(**facts.return_fields(order, refused), refusal=refusal), at),
    )


def receive_return(order: Order, return_id: str, *, at: datetime) -> Decided:
    """The parcel is back in the house."""
    item = _step(order, return_id, ReturnStatus.APPROVED)
    received = replace(item, status=ReturnStatus.RECEIVED, received_at=at)
    lines = take_units(order.lines, item.lines, room=_out, add=_back)
    after = _with_return(replace(order, lines=lines), received)
    return after, (Dated(contracts.ReturnReceived(**facts.return_fields(order, received)), at),)


def _out(line: Line) -> int:
    return line.shipped - line.returned


def _back(line: Line, quantity: int) -> Line:
    return line.moved(returned=quantity)


def inspect_return(
    order: Order, return_id: str, condition: Literal["resellable", "damaged"], *, at: datetime
) -> Decided:
    """Resellable units go back on sale, damaged ones do not; one that was refunded at once is closed by it."""
    item = _step(order, return_id, ReturnStatus.RECEIVED)
    status = ReturnStatus.REFUNDED if item.refund_id else ReturnStatus.INSPECTED
    inspected = replace(item, status=status, inspected_at=at, condition=condition)
    return _with_return(order, inspected), (
        Dated(contracts.ReturnInspected(**facts.return_fields(order, inspected), condition=condition), at),
    )


def refund_return(
    order: Order, return_id: str, given: Refund, *, at_once: bool = False, is_fact: bool = False
) -> Decided:
    """Give the money back: after inspection, or from approval on where policy refunds at once (ORD-6, D20)."""
    item = find_return(order, return_id)
    before_inspection = (ReturnStatus.APPROVED, ReturnStatus.RECEIVED) if at_once else ()
    if item.refund_id is not None or item.status not in (ReturnStatus.INSPECTED, *before_inspection):
        raise _wrong_return(item, at_once)
    is_inspected = item.status is ReturnStatus.INSPECTED
    closed = replace(
        item,
        status=ReturnStatus.REFUNDED if is_inspected else item.status,
        refund_id=given.refund_id,
        closed_at=given.issued_at,
    )
    return refund(_with_return(order, closed), given, is_fact=is_fact)


def exchange_return(order: Order, return_id: str, lines: Sequence[Line], *, hold: Hold | None, at: datetime) -> Decided:
    """Other goods for those that came back: they are shipped on the same order, whose totals change (D20)."""
    item = _step(order, return_id, ReturnStatus.INSPECTED)
    closed = replace(item, status=ReturnStatus.EXCHANGED, closed_at=at)
    kept = take_units(order.lines, item.lines, room=lambda line: line.returned, add=_without)
    exchanged = replace(order, lines=(*(line for line in kept if line.quantity), *lines), hold=hold or order.hold)
    if len(exchanged.lines) > MAX_LINES:
        raise Validation("too many lines", errors=[fault("/lines", "too_long", f"more than {MAX_LINES} on one order")])
    money.check_amounts(exchanged.lines, discount=order.discount_cents, shipping=order.shipping_cents)
    after = _with_return(exchanged, closed)
    return after, (Dated(facts.amended(order, after, address_changed=False), at),)


def _without(line: Line, quantity: int) -> Line:
    """The line without units that were exchanged, with its share of the line's discount."""
    discount = line.discount_cents * quantity // line.quantity
    return replace(
        line,
        quantity=line.quantity - quantity,
        shipped=line.shipped - quantity,
        returned=line.returned - quantity,
        discount_cents=line.discount_cents - discount,
    )


RETURN_STEPS: Mapping[ReturnStatus, tuple[str, ...]] = {
    ReturnStatus.REQUESTED: ("approve", "refuse"),
    ReturnStatus.APPROVED: ("receive",),
    ReturnStatus.RECEIVED: ("inspect",),
    ReturnStatus.INSPECTED: ("refund", "exchange"),
}


def _step(order: Order, return_id: str, needed: ReturnStatus) -> Return:
    item = find_return(order, return_id)
    if item.status is not needed:
        raise _wrong_return(item)
    return item


def _wrong_return(item: Return, at_once: bool = False) -> WrongState:
    refundable = ("refund",) if at_once and item.refund_id is None and item.status in RETURN_STEPS else ()
    return WrongState(item.status.value, (*RETURN_STEPS.get(item.status, ()), *refundable))


def _with_return(order: Order, item: Return) -> Order:
    if all(other.return_id != item.return_id for other in order.returns):
        return replace(order, returns=(*order.returns, item))
    return replace(order, returns=tuple(item if o.return_id == item.return_id else o for o in order.returns))
