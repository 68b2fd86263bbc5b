"""The life of an order: pure decisions `(order, command, time) -> (order, what happened)` (ORD-1 to ORD-7).

An order never skips a step and never goes back: a step that its state does not allow raises `WrongState`, which names
the state and what is possible from it. Time comes in as an argument, amounts are integer minor units. Parcels are in
`shipping.py`, goods that come back in `returns.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from libs.events import contracts
from libs.service.errors import Validation, WrongState, fault
from services.orders.domain import facts, money
from services.orders.domain.state import (
    AMENDABLE,
    CANCELLABLE,
    FINAL,
    RETURNABLE,
    REVIEWABLE,
    CancelledBy,
    Dated,
    Decided,
    Decision,
    Hold,
    HoldState,
    Line,
    Order,
    Payment,
    Refund,
    ReturnStatus,
    Review,
    Status,
    Units,
)

# what is possible


def possible(order: Order) -> tuple[str, ...]:
    """The steps that the order's state allows."""
    steps = {
        "pay": order.status is Status.PLACED,
        "review": order.review.decision is Decision.HELD and order.status in REVIEWABLE,
        "amend": order.status in AMENDABLE,
        "ship": order.is_shippable,
        "scan": any(shipment.delivered_at is None for shipment in order.shipments),
        "return": order.status in RETURNABLE,
        "backorder": order.status is Status.PAID_UNFULFILLABLE and order.backordered_at is None,
        "refund": order.refundable_cents > 0,
        "cancel": order.status in CANCELLABLE,
    }
    return tuple(step for step, is_possible in steps.items() if is_possible)


def demand(is_allowed: bool, order: Order, detail: str = "") -> None:
    """Raise WrongState unless the step is allowed."""
    if not is_allowed:
        raise WrongState(order.status.value, possible(order), detail)


# placing, review, amendment


def place(order: Order, reasons: Sequence[str], *, reviewed_at: datetime) -> Decided:
    """Accept a new order; `reasons` to hold it come from the review by rule (ORD-1, D14)."""
    review = Review(Decision.HELD if reasons else Decision.APPROVED, tuple(reasons), at=reviewed_at)
    placed = replace(order, review=review)
    return placed, (Dated(facts.placed(placed), placed.placed_at), Dated(facts.reviewed(placed), reviewed_at))


def review(order: Order, decision: Decision, *, by: str, now: datetime, note: str | None = None) -> Decided:
    """A person lets a held order pass, or holds one of which something is still in the house (ORD-1).

    Saying it again changes nothing.
    """
    demand(order.status in REVIEWABLE, order)
    if order.review.decision is decision:
        return order, ()
    reviewed = replace(order, review=Review(decision, order.review.reasons, by, now, note))
    return reviewed, (Dated(facts.reviewed(reviewed), now),)


def amend(
    order: Order,
    lines: Sequence[Line] | None,
    *,
    address_changed: bool,
    reasons: Sequence[str],
    now: datetime,
    hold: Hold | None = None,
) -> Decided:
    """Change the lines or the address of an order of which nothing has been shipped.

    `hold` is the reservation of the new lines, `reasons` those of a new review by rule; with other goods an order that
    could not be fulfilled is paid again (ORD-2). What was paid must still fit: an unpaid order stays unpaid, a paid one
    is not owed more. Raises WrongState, Validation.
    """
    demand(order.status in AMENDABLE, order)
    amended = replace(order, lines=tuple(lines or order.lines), hold=hold or order.hold)
    if hold is not None and order.status is Status.PAID_UNFULFILLABLE:
        amended = replace(amended, status=Status.PAID, backordered_at=None)
    money.check_amounts(amended.lines, discount=order.discount_cents, shipping=order.shipping_cents)
    _check_paid(amended)
    events = [Dated(facts.amended(order, amended, address_changed), now)]
    if tuple(reasons) != order.review.reasons:
        decision = Decision.HELD if reasons else Decision.APPROVED
        amended = replace(amended, review=Review(decision, tuple(reasons), at=now))
        events.append(Dated(facts.reviewed(amended), now))
    return amended, tuple(events)


def _check_paid(amended: Order) -> None:
    paid, total = amended.paid_cents, amended.total_cents
    if amended.status is not Status.PLACED and total > paid:
        raise Validation("more than was paid", errors=[fault("/lines", "amount", f"the total {total} is over {paid}")])
    if amended.status is Status.PLACED and paid > 0 and total <= paid:
        raise Validation("less than was paid", errors=[fault("/lines", "amount", f"the total {total} is under {paid}")])


# money


def pay(order: Order, payment: Payment, *, promise: timedelta, is_first_order: bool) -> Decided:
    """Record a payment, or a failed try. The order is paid once its successes first reach the total (D15).

    `promise` is how long after payment the store ships. Money for a cancelled order is kept and pays nothing (D17).
    """
    if payment.currency != order.currency:
        message = f"the order is in {order.currency}"
        raise Validation("the payment has another currency", errors=[fault("/currency", "currency", message)])
    received = replace(order, payments=(*order.payments, payment))
    if payment.status == "failed":
        return received, (Dated(facts.payment_failed(order, payment), payment.paid_at),)
    succeeded = Dated(facts.payment_succeeded(order, payment), payment.paid_at)
    if order.status is not Status.PLACED or received.paid_cents < order.total_cents:
        return received, (succeeded,)
    paid = replace(received, status=Status.PAID, paid_at=payment.paid_at, ship_due_at=payment.paid_at + promise)
    return paid, (succeeded, Dated(facts.paid(paid, payment, is_first_order), payment.paid_at))


def refund(order: Order, given: Refund, *, is_fact: bool = False) -> Decided:
    """Give money back without a return (D70); all of it ends an order that cannot be fulfilled as cancelled (D16).

    Not more than was paid, unless it is a fact that happened elsewhere.
    """
    _check_refund(order, given, is_fact)
    refunded = replace(order, refunds=(*order.refunds, given))
    events = (Dated(facts.refund_issued(order.order_id, given), given.issued_at),)
    if refunded.status is not Status.PAID_UNFULFILLABLE or refunded.refunded_cents < refunded.paid_cents:
        return refunded, events
    cancelled, more = cancel(refunded, reason="unfulfillable", by="store", at=given.issued_at)
    return cancelled, events + more


def _check_refund(order: Order, given: Refund, is_fact: bool) -> None:
    left = order.refundable_cents
    if given.amount_cents > left and not is_fact:
        if left == 0:
            raise WrongState(order.status.value, possible(order), "there is no money to give back")
        error = fault("/amount_cents", "amount", f"{left} of what was paid is left")
        raise Validation("more than was paid", errors=[error])
    if given.items_cents > given.amount_cents:
        error = fault("/items_cents", "amount", "more than the amount")
        raise Validation("more goods than money", errors=[error])


def goods_share(order: Order, amount_cents: int) -> int:
    """`items_cents` of a refund where the caller does not say: the goods not yet refunded, at most the amount (D11)."""
    goods = order.items_cents - order.discount_cents - sum(refund.items_cents for refund in order.refunds)
    return max(0, min(amount_cents, goods))


# the end of an order


def cancel(order: Order, *, reason: str, by: CancelledBy, at: datetime) -> Decided:
    """End an order of which nothing has been shipped. What was paid stays to be refunded."""
    demand(order.status in CANCELLABLE, order)
    cancelled = replace(
        order, status=Status.CANCELLED, cancelled_at=at, cancelled_by=by, cancel_reason=reason, backordered_at=None
    )
    event = contracts.OrderCancelled(
        order_id=order.order_id,
        reason=reason,
        by=by,
        was_paid=order.paid_at is not None,
        lines=facts.order_lines(order.lines),
    )
    return cancelled, (Dated(event, at),)


def time_out(order: Order, *, now: datetime) -> Decided:
    """Cancel an order that nobody paid (D17); one that has moved on stays as it is."""
    if order.status is not Status.PLACED:
        return order, ()
    return cancel(order, reason="unpaid", by="timeout", at=now)


def complete(order: Order, *, window: timedelta, now: datetime) -> Decided:
    """Close a delivered order once its return window is over and nothing of it is on its way."""
    if not is_completable(order) or now < completion_due(order, window):
        return order, ()
    completed = replace(order, status=Status.COMPLETED, completed_at=now)
    return completed, (Dated(contracts.OrderCompleted(order_id=order.order_id), now),)


def is_completable(order: Order) -> bool:
    """Whether time alone is missing to complete the order."""
    is_settled = all(
        item.status in (ReturnStatus.REFUSED, ReturnStatus.REFUNDED, ReturnStatus.EXCHANGED) for item in order.returns
    )
    return order.status is Status.DELIVERED and is_settled and order.is_all_delivered


def completion_due(order: Order, window: timedelta) -> datetime:
    """When the return window of a delivered order ends."""
    return (order.delivered_at or order.placed_at) + window


# stock


def lapse(order: Order, reservation_id: str) -> Decided:
    """The hold ran out: the order stays, without it (D17)."""
    hold = order.hold
    if hold is None or hold.reservation_id != reservation_id or hold.state is not HoldState.HELD:
        return order, ()
    return replace(order, hold=replace(hold, state=HoldState.LAPSED, expires_at=None)), ()


def allocate(order: Order, hold: Hold) -> Decided:
    """The paid order owns its units now; a backordered one is paid again (D82)."""
    if _is_settled(order, hold):
        return order, ()
    settled = replace(order, hold=replace(hold, state=HoldState.ALLOCATED, expires_at=None))
    if order.status is Status.PAID_UNFULFILLABLE:
        settled = replace(settled, status=Status.PAID, backordered_at=None)
    return settled, ()


def fall_short(order: Order, hold: Hold, short: Sequence[Units], *, now: datetime) -> Decided:
    """A paid order cannot get its units: it waits for a refund or a backorder (D16). Told once.

    A refusal to an order that has its units, or needs none yet, was the answer to a change that did not come about.
    """
    if _is_settled(order, hold) or order.status is not Status.PAID:
        return order, ()
    refused = replace(order, hold=replace(hold, state=HoldState.REFUSED, expires_at=None))
    event = contracts.OrderUnfulfillable(order_id=order.order_id, lines=facts.stock_lines(short))
    return replace(refused, status=Status.PAID_UNFULFILLABLE), (Dated(event, now),)


def _is_settled(order: Order, hold: Hold) -> bool:
    """Whether the order's present hold is worth at least what is known of this one: late news changes nothing.

    An order that owns its units gets others by an amendment or an exchange alone, which write that down themselves.
    """
    present = order.hold
    if present is None or hold.attempt < present.attempt or order.status in FINAL:
        return True
    return present.state is HoldState.ALLOCATED or (
        present.state is HoldState.REFUSED and hold.attempt == present.attempt
    )


def backorder(order: Order, *, now: datetime) -> Decided:
    """Let an order that cannot be fulfilled wait for stock (D82)."""
    demand(order.status is Status.PAID_UNFULFILLABLE and order.backordered_at is None, order)
    return replace(order, backordered_at=now), ()


def await_stock(order: Order, hold: Hold) -> Decided:
    """Inventory knows of the backorder: what comes in goes to it, oldest first."""
    if order.backordered_at is None or order.hold == hold:
        return order, ()
    return replace(order, hold=replace(hold, state=HoldState.WAITING)), ()
