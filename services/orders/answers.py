"""What callers get: orders and their parts as they go over the wire. Personal data is masked unless it is asked for."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from services.orders.domain.exceptions import exceptions
from services.orders.domain.review import Consignee
from services.orders.domain.state import (
    Line,
    Order,
    Payment,
    Refund,
    Return,
    Shipment,
    Units,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """An order with what may be shown of its consignee."""

    store: str
    order: Order
    consignee: Consignee | None


def order_body(shown: Shown) -> dict[str, Any]:
    """A whole order."""
    order = shown.order
    return {
        "order_id": order.order_id,
        "store": shown.store,
        "status": order.status,
        "review": _review(order),
        "exceptions": [{"kind": one.kind, "options": one.options} for one in exceptions(order)],
        "reservation_id": order.reservation_id,
        "hold_expires_at": order.hold_expires_at,
        "origin": order.origin,
        "customer_id": order.customer_id,
        "customer_tier": order.customer_tier,
        "channel": order.channel,
        "source": order.source,
        "campaign": order.campaign,
        "visitor_id": order.visitor_id,
        "currency": order.currency,
        "items_cents": order.items_cents,
        "shipping_cents": order.shipping_cents,
        "discount_cents": order.discount_cents,
        "total_cents": order.total_cents,
        "paid_cents": order.paid_cents,
        "refunded_cents": order.refunded_cents,
        "lines": [_line(line) for line in order.lines],
        "consignee": None if shown.consignee is None else asdict(shown.consignee),
        "placed_at": order.placed_at,
        **_milestones(order),
        "version": order.version,
        "payments": [payment_body(payment) for payment in order.payments],
        "shipments": [shipment_body(shipment) for shipment in order.shipments],
        "returns": [return_body(item) for item in order.returns],
        "refunds": [refund_body(refund) for refund in order.refunds],
    }


def _review(order: Order) -> dict[str, Any]:
    review = order.review
    return {
        "decision": review.decision,
        "reasons": review.reasons,
        "by": review.by,
        "at": review.at,
        "note": review.note,
    }


def _milestones(order: Order) -> dict[str, Any]:
    return {
        "paid_at": order.paid_at,
        "ship_due_at": order.ship_due_at,
        "delivered_at": order.delivered_at,
        "completed_at": order.completed_at,
        "backordered_at": order.backordered_at,
        "cancelled_at": order.cancelled_at,
        "cancelled_by": order.cancelled_by,
        "cancel_reason": order.cancel_reason,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "sku": line.sku,
        "quantity": line.quantity,
        "unit_price_cents": line.unit_price_cents,
        "discount_cents": line.discount_cents,
        "shipped": line.shipped,
        "returned": line.returned,
    }


def payment_body(payment: Payment) -> dict[str, Any]:
    """A payment."""
    return asdict(payment)


def shipment_body(shipment: Shipment) -> dict[str, Any]:
    """A parcel with its scans."""
    return {
        "shipment_id": shipment.shipment_id,
        "status": shipment.status,
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "lines": _units(shipment.lines),
        "warehouse": shipment.warehouse,
        "freight_cents": shipment.freight_cents,
        "shipped_at": shipment.shipped_at,
        "delivered_at": shipment.delivered_at,
        "scans": [{"status": scan.status, "at": scan.at, "place": scan.place} for scan in shipment.scans],
    }


def return_body(item: Return) -> dict[str, Any]:
    """A return with the time of each step."""
    return {
        "return_id": item.return_id,
        "status": item.status,
        "kind": item.kind,
        "reason": item.reason,
        "lines": _units(item.lines),
        "condition": item.condition,
        "refund_id": item.refund_id,
        "refusal": item.refusal,
        "requested_at": item.requested_at,
        "approved_at": item.approved_at,
        "refused_at": item.refused_at,
        "received_at": item.received_at,
        "inspected_at": item.inspected_at,
        "closed_at": item.closed_at,
    }


def refund_body(refund: Refund) -> dict[str, Any]:
    """A refund."""
    return {
        "refund_id": refund.refund_id,
        "return_id": refund.return_id,
        "amount_cents": refund.amount_cents,
        "items_cents": refund.items_cents,
        "currency": refund.currency,
        "lines": _units(refund.lines),
        "reason": refund.reason,
        "is_dispute": refund.is_dispute,
        "issued_at": refund.issued_at,
    }


def _units(units: Iterable[Units]) -> list[dict[str, Any]]:
    return [{"sku": one.sku, "quantity": one.quantity} for one in units]
