"""Goods that come back, step by step (ORD-6)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.orders import store as db
from services.orders.domain import returns
from services.orders.domain.state import Decided, Hold, Line, Order, Refund, Return, ReturnStatus
from services.orders.handlers.common import Guard, change, load, not_in_future, policies, refuse_taken, save
from services.orders.handlers.paying import with_goods_share
from services.orders.handlers.placing import Wish, marked, wish

Step = Callable[[Order], Decided]


async def request(order_id: str, asked: Return, tx: Transaction, *, guard: Guard) -> Order:
    """A customer wants to send something back."""
    not_in_future(asked.requested_at, tx.now, "/at")
    await refuse_taken(tx, "returns", asked.return_id)
    return await change(tx, order_id, lambda order: returns.request_return(order, asked), guard=guard)


async def step(return_id: str, decide: Step, tx: Transaction, *, guard: Guard) -> Order:
    """One step of a return: `decide` is approve, refuse, receive or inspect. Raises NotFound, WrongState."""
    return await change(tx, await order_of(return_id, tx), decide, guard=guard)


async def order_of(return_id: str, tx: Transaction) -> str:
    """The order of a return. Raises NotFound."""
    order_id = await db.find_owner(tx.session, tx.store, "returns", return_id)
    if order_id is None:
        raise NotFound("there is no such return")
    return order_id


def approve(return_id: str, at: datetime) -> Step:
    """The goods may come back."""
    return lambda order: returns.approve_return(order, return_id, at=at)


def refuse(return_id: str, reason: str | None, at: datetime) -> Step:
    """They may not."""
    return lambda order: returns.refuse_return(order, return_id, refusal=reason, at=at)


def receive(return_id: str, at: datetime) -> Step:
    """They are back in the house."""
    return lambda order: returns.receive_return(order, return_id, at=at)


def inspect(return_id: str, condition: Literal["resellable", "damaged"], at: datetime) -> Step:
    """They were looked at."""
    return lambda order: returns.inspect_return(order, return_id, condition, at=at)


async def refund(return_id: str, given: Refund, items_cents: int | None, tx: Transaction, *, guard: Guard) -> Order:
    """Give the money back, after inspection unless the store refunds at once (D20)."""
    not_in_future(given.issued_at, tx.now, "/issued_at")
    await refuse_taken(tx, "refunds", given.refund_id)
    before = await load(tx, tx.store, await order_of(return_id, tx))
    guard(before.version)
    at_once = (await policies(tx, tx.store)).refund_at_once
    priced = with_goods_share(before, given, items_cents)
    return await save(tx, tx.store, before, returns.refund_return(before, return_id, priced, at_once=at_once))


async def check_exchange(return_id: str, lines: Sequence[Line], guard: Guard, reads: Transaction) -> Wish:
    """Whether the goods can be exchanged, and the stock to get before. Raises NotFound, WrongState, Validation."""
    order = await db.load_order(reads.session, reads.store, await order_of(return_id, reads))
    assert order is not None, "a return belongs to an order"
    guard(order.version)
    returns.exchange_return(order, return_id, lines, hold=None, at=reads.now)
    return wish(order, lines, (await policies(reads, reads.store)).hold)


async def exchange(return_id: str, lines: Sequence[Line], hold: Hold, tx: Transaction, *, guard: Guard) -> Order:
    """Ship other goods on the same order instead (D20)."""
    lines = await marked(lines, tx)
    return await step(
        return_id,
        lambda order: returns.exchange_return(order, return_id, lines, hold=hold, at=tx.now),
        tx,
        guard=guard,
    )


def status_of(order: Order, return_id: str) -> ReturnStatus:
    """How far the return is."""
    return returns.find_return(order, return_id).status
