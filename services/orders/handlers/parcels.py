"""Cancelling, reviewing, shipping, scanning."""

from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.orders import store as db
from services.orders.domain import life, shipping
from services.orders.domain.state import CancelledBy, Decision, Order, Scan, Shipment
from services.orders.handlers.common import Guard, change, not_in_future, refuse_taken


async def cancel(order_id: str, reason: str, by: CancelledBy, tx: Transaction, *, guard: Guard) -> Order:
    """End an order of which nothing was shipped."""
    return await change(tx, order_id, lambda order: life.cancel(order, reason=reason, by=by, at=tx.now), guard=guard)


async def review(
    order_id: str, decision: Decision, *, by: str, note: str | None, tx: Transaction, guard: Guard
) -> Order:
    """A person decides about a held order (ORD-1)."""
    return await change(
        tx, order_id, lambda order: life.review(order, decision, by=by, now=tx.now, note=note), guard=guard
    )


async def ship(order_id: str, shipment: Shipment, tx: Transaction, *, guard: Guard) -> Order:
    """Send a parcel; without lines, everything that is open (ORD-4)."""
    not_in_future(shipment.shipped_at, tx.now, "/shipped_at")
    await refuse_taken(tx, "shipments", shipment.shipment_id)
    return await change(
        tx, order_id, lambda order: shipping.ship(order, shipping.with_lines(order, shipment)), guard=guard
    )


async def scan(shipment_id: str, seen: Scan, tx: Transaction, *, guard: Guard) -> Order:
    """Move a parcel. Raises NotFound."""
    not_in_future(seen.at, tx.now, "/at")
    order_id = await db.find_owner(tx.session, tx.store, "shipments", shipment_id)
    if order_id is None:
        raise NotFound("there is no such shipment")
    return await change(tx, order_id, lambda order: shipping.scan(order, shipment_id, seen), guard=guard)
