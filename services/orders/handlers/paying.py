"""Money and the stock that it buys: the payment commits first, then the hold becomes the order's own (D15 to D17)."""

from dataclasses import dataclass, replace

from libs.events.transaction import Transaction
from libs.service.errors import Conflict, OutOfStock, Problem, Validation
from libs.service.logging import get_logger
from services.orders import store as db
from services.orders.domain import life
from services.orders.domain.state import FINAL, Decided, Hold, HoldState, Order, Payment, Refund, Status, Units
from services.orders.handlers.common import Begin, Guard, change, load, not_in_future, policies, refuse_taken, save
from services.orders.stock import HoldRequest, Stock, missing_units

ALLOCATE_TRIES = 3


async def pay(order_id: str, payment: Payment, tx: Transaction, *, guard: Guard) -> Order:
    """Record a payment; the order is paid once its successes reach the total. Raises NotFound, Conflict, Validation."""
    not_in_future(payment.paid_at, tx.now, "/paid_at")
    await refuse_taken(tx, "payments", payment.payment_id)
    before = await load(tx, tx.store, order_id)
    guard(before.version)
    promise = (await policies(tx, tx.store)).ship_promise
    buyers = await db.find_buyers(tx.session, tx.store, [before.customer_id] if before.customer_id else [])
    return await save(tx, tx.store, before, life.pay(before, payment, promise=promise, is_first_order=not buyers))


async def note_stray(order_id: str, payment: Payment, tx: Transaction) -> None:
    """Money came in for an order that is not there: the caller is told so, and the day's reconciliation too (ORD-3)."""
    if payment.status == "succeeded":
        await db.note_stray_payment(tx.session, tx.store, order_id, payment)


def needs_stock(order: Order) -> bool:
    """Whether a hold waits to become the order's own."""
    return order.status is Status.PAID and order.hold is not None and order.hold.state is not HoldState.ALLOCATED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What inventory decided about a paid order; `short` names what it cannot have, when it cannot."""

    hold: Hold
    short: tuple[Units, ...] | None = None


async def settle(order: Order, store: str, stock: Stock, begin: Begin) -> Order | None:
    """Make the hold of a paid order its own, anew if it ran out; the order if that changed it.

    With inventory away, or of another opinion, nothing changes: `order.paid` does the same later.
    """
    try:
        outcome = await _allocate(order, store, stock)
    except Problem as problem:
        get_logger(__name__).warning("stock is left to the event", order_id=order.order_id, reason=problem.code)
        return None
    if outcome is None:
        return None
    async with begin() as tx:
        before = await load(tx, store, order.order_id)
        after = await save(tx, store, before, _decide(before, outcome, tx))
    if after.status in FINAL and outcome.short is None:
        await stock.release(store, outcome.hold.reservation_id)
    return after


def _decide(order: Order, outcome: Outcome, tx: Transaction) -> Decided:
    if outcome.short is not None:
        return life.fall_short(order, outcome.hold, outcome.short, now=tx.now)
    return life.allocate(order, outcome.hold)


async def _allocate(order: Order, store: str, stock: Stock) -> Outcome | None:
    """Allocate the present hold; where it ran out, hold and allocate anew under the next id.

    None when the present hold has become the order's own (`stock.allocated` writes that down), or nothing is decided.
    """
    assert order.hold is not None, "needs_stock was asked"
    reservation = await stock.allocate(store, order.hold.reservation_id, order.order_id)
    if reservation.status == "allocated":
        return None
    for attempt in range(order.hold.attempt + 1, order.hold.attempt + 1 + ALLOCATE_TRIES):
        hold = Hold(f"{order.order_id}~{attempt}", attempt)
        try:
            reservation = await stock.hold(store, _request(order, hold))
        except OutOfStock as refused:
            return Outcome(hold, missing_units(refused))
        except (Conflict, Validation):
            continue
        if reservation.status == "allocated":
            return Outcome(hold)
    return None


def _request(order: Order, hold: Hold) -> HoldRequest:
    return HoldRequest(
        reservation_id=hold.reservation_id,
        order_id=order.order_id,
        lines=tuple(Units(line.sku, line.open) for line in order.lines),
        ttl_seconds=60,
        customer_id=order.customer_id,
        campaign=order.campaign,
        allocate=True,
    )


async def refund(order_id: str, given: Refund, items_cents: int | None, tx: Transaction, *, guard: Guard) -> Order:
    """Give money back without a return (D70)."""
    not_in_future(given.issued_at, tx.now, "/issued_at")
    await refuse_taken(tx, "refunds", given.refund_id)
    return await change(
        tx, order_id, lambda order: life.refund(order, with_goods_share(order, given, items_cents)), guard=guard
    )


def with_goods_share(order: Order, given: Refund, items_cents: int | None) -> Refund:
    """The refund in the order's currency, with the share of goods that the caller named, or the default (D11)."""
    share = life.goods_share(order, given.amount_cents) if items_cents is None else items_cents
    return replace(given, items_cents=share, currency=order.currency)


async def backorder(order_id: str, tx: Transaction, *, guard: Guard) -> Order:
    """Let an order that cannot be fulfilled wait for stock (D82)."""
    return await change(tx, order_id, lambda order: life.backorder(order, now=tx.now), guard=guard)


async def try_backorder(order: Order, store: str, stock: Stock, begin: Begin) -> None:
    """Ask inventory for the stock of a backordered order; once it has all, the order is paid again.

    Inventory keeps the wish, so asking again only tells how far it has come. Raises Overloaded.
    """
    assert order.hold is not None, "only storefront orders become unfulfillable"
    hold = order.hold
    if hold.state is not HoldState.WAITING:
        hold = Hold(order.next_reservation_id, order.next_attempt, state=HoldState.WAITING)
    reservation = await stock.hold(store, replace(_request(order, hold), backorder=True))
    async with begin() as tx:
        before = await load(tx, store, order.order_id)
        if reservation.status == "allocated" and not reservation.is_short:
            after = await save(tx, store, before, life.allocate(before, hold))
        else:
            after = await save(tx, store, before, life.await_stock(before, hold))
    if after.status in FINAL:
        await stock.release(store, hold.reservation_id)
