"""Load, decide, save, tell: the sentence that every handler says."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from libs.events.transaction import Transaction
from libs.service.errors import Conflict, NotFound, Validation, fault
from services.orders import store as db
from services.orders.domain import facts
from services.orders.domain.policies import Policies, policies_of
from services.orders.domain.state import Dated, Decided, Order
from services.orders.domain.timers import Due, timers_of

FUTURE = timedelta(minutes=5)
"""How far a client's clock may be ahead (D5)."""

Guard = Callable[[int], None]
"""Called with the present version before a change: honours `If-Match`."""
Decide = Callable[[Order], Decided]
Begin = Callable[[], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction on the order's store."""


def unguarded(version: int) -> None:
    """Any version will do."""


async def load(tx: Transaction, store: str, order_id: str) -> Order:
    """The order, locked. Raises NotFound."""
    order = await db.load_order(tx.session, store, order_id, lock=True)
    if order is None:
        raise NotFound("there is no such order")
    return order


async def change(tx: Transaction, order_id: str, decide: Decide, *, guard: Guard = unguarded) -> Order:
    """Load, decide, save and tell, for the transaction's store."""
    before = await load(tx, tx.store, order_id)
    guard(before.version)
    return await save(tx, tx.store, before, decide(before))


async def save(tx: Transaction, store: str, before: Order, decided: Decided) -> Order:
    """Write what a decision changed, start and stop its timers, tell what happened; the order as it is now."""
    after, happened = decided
    if after is before:
        return before
    saved = await db.save_order(tx.session, store, before, after)
    await _set_timers(tx, store, before, saved)
    tell(tx, store, happened)
    return saved


def tell(tx: Transaction, store: str, happened: Iterable[Dated], *, import_id: str | None = None) -> None:
    """Have the events published with the commit."""
    for dated in happened:
        tx.emit(dated.event, store=store, time=dated.at, import_id=import_id)


async def _set_timers(tx: Transaction, store: str, before: Order, after: Order) -> None:
    default = Policies()
    old, new = set(timers_of(before, default)), set(timers_of(after, default))
    if old - new:
        await db.disarm_timers(tx.session, [Due(store, kind, after.order_id) for kind in old - new])
    if new - old:
        due = timers_of(after, await policies(tx, store))
        await db.arm_timers(tx.session, {Due(store, kind, after.order_id): due[kind] for kind in new - old})


async def policies(tx: Transaction, store: str) -> Policies:
    """What the store has set, as of now."""
    return policies_of(await db.load_policies(tx.session, store, tx.now))


def not_in_future(at: datetime | None, now: datetime, pointer: str) -> datetime:
    """The time given, or now. Raises Validation for one that lies more than 5 minutes ahead (D5)."""
    if at is not None and at > now + FUTURE:
        raise Validation("a time in the future", errors=[fault(pointer, "future", "more than 5 minutes ahead")])
    return at or now


async def refuse_taken(tx: Transaction, kind: str, key: str) -> None:
    """Raises Conflict when a payment, shipment, return or refund of this id exists."""
    if await db.find_owner(tx.session, tx.store, kind, key) is not None:
        raise Conflict(f"{key} exists with another content")


def tell_quarantined(order: Order, tx: Transaction) -> None:
    """Tell of an order from the future: nobody counts it, everybody can see that it is held back (D5, D64)."""
    name = f"opswire:quarantined:{tx.store}:{order.order_id}:{order.placed_at.isoformat()}"
    event_id = str(uuid5(NAMESPACE_URL, name))
    tx.emit(facts.placed(order), time=order.placed_at, event_id=event_id)
