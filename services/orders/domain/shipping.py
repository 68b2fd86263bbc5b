"""Parcels (ORD-4, ORD-5): pure decisions `(order, command) -> (order, what happened)`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from libs.events import contracts
from libs.service.errors import Validation, fault
from services.orders.domain import facts
from services.orders.domain.life import demand
from services.orders.domain.state import (
    Dated,
    Decided,
    Decision,
    Line,
    Order,
    ReturnStatus,
    Scan,
    Shipment,
    Status,
    Units,
    sum_units,
)


def ship(order: Order, shipment: Shipment) -> Decided:
    """Send a parcel with some of the open lines (ORD-4). A held order is not shipped (D14)."""
    demand(
        order.is_shippable,
        order,
        "" if order.review.decision is Decision.APPROVED else "the order is held for review",
    )
    lines = take_units(
        order.lines,
        shipment.lines,
        room=lambda line: line.open,
        add=lambda line, quantity: line.moved(shipped=quantity),
    )
    shipped = replace(order, lines=lines, shipments=(*order.shipments, shipment))
    event = contracts.ShipmentCreated(
        order_id=order.order_id,
        shipment_id=shipment.shipment_id,
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        lines=facts.stock_lines(shipment.lines),
        freight_cents=shipment.freight_cents,
        warehouse=shipment.warehouse,
        return_id=_exchange_of(order),
    )
    return _advance(shipped), (Dated(event, shipment.shipped_at),)


def _exchange_of(order: Order) -> str | None:
    """The return whose exchange a parcel carries: once everything has left, only exchanges open an order anew (D20)."""
    if order.status not in (Status.SHIPPED, Status.DELIVERED):
        return None
    exchanged = [item for item in order.returns if item.status is ReturnStatus.EXCHANGED]
    return exchanged[-1].return_id if exchanged else None


def with_lines(order: Order, shipment: Shipment) -> Shipment:
    """The shipment with everything that is open, where it names no lines."""
    return shipment if shipment.lines else replace(shipment, lines=order.open_units)


def scan(order: Order, shipment_id: str, seen: Scan) -> Decided:
    """Move a parcel (ORD-7).

    A repeated scan does not move it twice, and nothing moves it once it is delivered.
    """
    shipment = next(s for s in order.shipments if s.shipment_id == shipment_id)
    if shipment.delivered_at is not None or seen in shipment.scans:
        return order, ()
    moved = replace(
        shipment,
        status=_latest_status((*shipment.scans, seen)),
        scans=(*shipment.scans, seen),
        delivered_at=seen.at if seen.status == "delivered" else None,
    )
    shipments = tuple(moved if s.shipment_id == shipment_id else s for s in order.shipments)
    event = contracts.ShipmentMoved(
        shipment_id=shipment_id, order_id=order.order_id, status=seen.status, place=seen.place
    )
    after = _advance(replace(order, shipments=shipments))
    return after, (Dated(event, seen.at), *_delivered_now(order, after, shipment_id))


def _latest_status(scans: Sequence[Scan]) -> Literal["moving", "delivered", "exception"]:
    delivered = [scan for scan in scans if scan.status == "delivered"]
    return delivered[0].status if delivered else max(scans, key=lambda scan: scan.at).status


def _delivered_now(before: Order, after: Order, shipment_id: str) -> tuple[Dated, ...]:
    """`order.delivered` once, with the last parcel (D19)."""
    if before.delivered_at is not None or after.delivered_at is None:
        return ()
    event = contracts.OrderDelivered(order_id=after.order_id, shipment_id=shipment_id)
    return (Dated(event, after.delivered_at),)


def _advance(order: Order) -> Order:
    """The status that parcels have brought the order to; never back (ORD-7)."""
    if order.status in (Status.DELIVERED, Status.COMPLETED):
        return order
    if order.is_all_delivered:
        last = max(s.delivered_at for s in order.shipments if s.delivered_at is not None)
        return replace(order, status=Status.DELIVERED, delivered_at=last)
    if order.is_all_shipped or order.status is Status.SHIPPED:
        return replace(order, status=Status.SHIPPED)
    return replace(order, status=Status.PARTLY_SHIPPED)


def take_units(
    lines: Iterable[Line],
    wanted: Iterable[Units],
    *,
    room: Callable[[Line], int],
    add: Callable[[Line, int], Line],
) -> tuple[Line, ...]:
    """Spread the wanted units over the order's lines, first line first; Validation where there are not so many."""
    left = sum_units(wanted)
    taken = []
    for line in lines:
        quantity = min(room(line), left.get(line.sku, 0))
        left[line.sku] = left.get(line.sku, 0) - quantity
        taken.append(add(line, quantity) if quantity else line)
    refuse_excess(left, wanted)
    return tuple(taken)


def refuse_excess(left: Mapping[str, int], wanted: Iterable[Units]) -> None:
    errors = [
        fault(f"/lines/{n}/quantity", "quantity", f"{left[units.sku]} more of {units.sku} than the order has open")
        for n, units in enumerate(wanted)
        if left.get(units.sku, 0) > 0
    ]
    if errors:
        raise Validation("more than the order has open", errors=errors)
