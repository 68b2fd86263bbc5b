"""How orders reacts to what other services tell, and what it does when a time has come."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import Reactions, on, on_batch
from libs.events.contracts import (
    PolicyChanged,
    SkuChanged,
    SkuDelisted,
    SkuListed,
    StockAllocated,
    StockRefused,
    StockReleased,
)
from libs.events.transaction import Transaction, Transactions
from libs.service.errors import Problem
from libs.service.logging import get_logger
from services.orders import store as db
from services.orders.domain import life
from services.orders.domain.policies import KINDS
from services.orders.domain.state import Decided, Hold, Order, Status, Units
from services.orders.domain.timers import Due, Timer
from services.orders.handlers.common import load, policies, save
from services.orders.handlers.paying import try_backorder
from services.orders.stock import Stock

# stock


async def follow_stock(envelopes: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Take over what became of the holds of storefront orders; most stock events are about none of these."""
    about = {(e.store, key) for e in envelopes for key in (e.data.reservation_id, e.data.order_id) if key}
    waiting = await db.find_waiting_on(tx.session, sorted(about))
    for envelope in envelopes:
        order_id = waiting.get((envelope.store, envelope.data.reservation_id))
        order_id = order_id or waiting.get((envelope.store, envelope.data.order_id or ""))
        if order_id is not None:
            await _follow(envelope, order_id, tx)


async def _follow(envelope: Envelope[Any], order_id: str, tx: Transaction) -> None:
    before = await load(tx, envelope.store, order_id)
    if before.status is Status.PAID_UNFULFILLABLE and isinstance(envelope.data, StockAllocated):
        await db.wake_timers(tx.session, [Due(envelope.store, Timer.BACKORDER, order_id)], tx.now)
        return
    tx.cause = envelope
    await save(tx, envelope.store, before, _stock_decision(before, envelope, tx))
    tx.cause = None


def _stock_decision(order: Order, envelope: Envelope[Any], tx: Transaction) -> Decided:
    told = envelope.data
    if isinstance(told, StockReleased):
        return life.lapse(order, told.reservation_id) if told.reason == "expired" else (order, ())
    hold = _hold_of(order, told.reservation_id)
    if isinstance(told, StockAllocated):
        return life.allocate(order, hold)
    short = [Units(line.sku, line.wanted - line.available) for line in told.lines if line.wanted > line.available]
    return life.fall_short(order, hold, short, now=tx.now)


def _hold_of(order: Order, reservation_id: str) -> Hold:
    """A reservation of the order, by its name."""
    if order.hold is not None and order.hold.reservation_id == reservation_id:
        return order.hold
    number = reservation_id.removeprefix(f"{order.order_id}~")
    return Hold(reservation_id, int(number) if number.isdecimal() else -1)


# catalogue and policies


async def learn_skus(envelopes: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Remember which SKUs there are, and which are services (D9, D13)."""
    kinds = {}
    for envelope in envelopes:
        told = envelope.data
        kind = told.after.kind if isinstance(told, SkuChanged) else told.kind
        if kind is not None:
            kinds[envelope.store, told.sku] = kind
    await db.save_skus(tx.session, kinds)


async def learn_policy(envelope: Envelope[PolicyChanged], tx: Transaction) -> None:
    """Remember what a store sets about its orders (D43)."""
    told = envelope.data
    if told.kind not in KINDS:
        return
    value = told.after.get("value") if isinstance(told.after, dict) else told.after
    await db.save_policy(
        tx.session,
        envelope.store,
        told.kind,
        value,
        valid_from=told.valid_from,
        decided=(envelope.time, envelope.id),
    )


# time

LEASE = timedelta(seconds=30)
CLAIM = 200


async def run_timers(worker: Transactions, stock: Stock) -> None:
    """Do what has come due. One that fails for now comes due again when its lease ends."""
    while True:
        async with worker.begin() as tx:
            due = await db.claim_timers(tx.session, tx.now, lease=LEASE, limit=CLAIM)
        for one in due:
            await _run(one, worker, stock)
        if len(due) < CLAIM:
            return


async def _run(due: Due, worker: Transactions, stock: Stock) -> None:
    if due.kind is Timer.BACKORDER:
        await _ask_for_stock(due, worker, stock)
        return
    async with worker.begin() as tx:
        before = await load(tx, due.store, due.order_id)
        window = (await policies(tx, due.store)).return_window
        if due.kind is Timer.UNPAID:
            decided = life.time_out(before, now=tx.now)
        else:
            decided = life.complete(before, window=window, now=tx.now)
        await save(tx, due.store, before, decided)


async def _ask_for_stock(due: Due, worker: Transactions, stock: Stock) -> None:
    async with worker.begin(read_only=True) as tx:
        order = await db.load_order(tx.session, due.store, due.order_id)
    if order is None or order.backordered_at is None:
        return
    try:
        await try_backorder(order, due.store, stock, worker.begin)
    except Problem as problem:
        get_logger(__name__).warning("backorder will ask again", order_id=order.order_id, reason=problem.code)


async def forget_personal_data(worker: Transactions) -> None:
    """Delete consignees whose time is over."""
    async with worker.begin() as tx:
        await db.forget_consignees(tx.session, tx.now)


REACTIONS = Reactions(
    on_batch((StockAllocated, StockRefused, StockReleased), follow_stock),
    on_batch((SkuListed, SkuDelisted, SkuChanged), learn_skus),
    on(PolicyChanged, learn_policy),
)
