"""What is told of an order: its events, from its values."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, TypedDict

from pydantic import TypeAdapter

from libs.events import contracts
from services.orders.domain.state import Line, Order, Payment, Refund, Return, Units

_STOCK_LINES = TypeAdapter(tuple[contracts.StockLine, ...])
_LINES = TypeAdapter(tuple[contracts.Line, ...])
"""All lines in one go: half the work of one by one."""


def stock_lines(lines: Iterable[Units]) -> tuple[contracts.StockLine, ...]:
    """Units as stock, shipment and return events carry them."""
    return _STOCK_LINES.validate_python(tuple({"sku": line.sku, "quantity": line.quantity} for line in lines))


@lru_cache(maxsize=64)
def order_lines(lines: tuple[Line, ...]) -> tuple[contracts.Line, ...]:
    """Lines as order events carry them; an order that is placed and paid in one go tells them twice."""
    return _LINES.validate_python(
        tuple(
            {
                "sku": line.sku,
                "quantity": line.quantity,
                "unit_price_cents": line.unit_price_cents,
                "discount_cents": line.discount_cents,
                "cost_cents": line.cost_cents,
            }
            for line in lines
        )
    )


def placed(order: Order) -> contracts.OrderPlaced:
    return contracts.OrderPlaced(
        order_id=order.order_id,
        customer_id=order.customer_id,
        customer_tier=order.customer_tier,
        origin=order.origin,
        channel=order.channel,
        source=order.source,
        campaign=order.campaign,
        visitor_id=order.visitor_id,
        currency=order.currency,
        lines=order_lines(order.lines),
        shipping_cents=order.shipping_cents,
        discount_cents=order.discount_cents,
        total_cents=order.total_cents,
        reservation_id=order.reservation_id,
        placed_at=order.placed_at,
    )


def reviewed(order: Order) -> contracts.OrderReviewed:
    review = order.review
    return contracts.OrderReviewed(
        order_id=order.order_id, decision=review.decision.value, reasons=review.reasons, by=review.by
    )


def amended(before: Order, after: Order, address_changed: bool) -> contracts.OrderAmended:
    return contracts.OrderAmended(
        order_id=after.order_id,
        lines_before=order_lines(before.lines),
        lines_after=order_lines(after.lines),
        address_changed=address_changed,
        items_cents=after.items_cents,
        shipping_cents=after.shipping_cents,
        discount_cents=after.discount_cents,
        total_cents=after.total_cents,
    )


def payment_succeeded(order: Order, payment: Payment) -> contracts.PaymentSucceeded:
    return contracts.PaymentSucceeded(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        method=payment.method,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
    )


def payment_failed(order: Order, payment: Payment) -> contracts.PaymentFailed:
    return contracts.PaymentFailed(
        order_id=order.order_id,
        payment_id=payment.payment_id,
        method=payment.method,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        reason=payment.reason,
    )


def paid(order: Order, completing: Payment, is_first_order: bool) -> contracts.OrderPaid:
    return contracts.OrderPaid(
        order_id=order.order_id,
        customer_id=order.customer_id,
        customer_tier=order.customer_tier,
        origin=order.origin,
        payment_id=completing.payment_id,
        method=completing.method,
        amount_cents=order.paid_cents,
        currency=order.currency,
        total_cents=order.total_cents,
        shipping_cents=order.shipping_cents,
        discount_cents=order.discount_cents,
        lines=order_lines(order.lines),
        channel=order.channel,
        source=order.source,
        campaign=order.campaign,
        visitor_id=order.visitor_id,
        reservation_id=order.reservation_id,
        placed_at=order.placed_at,
        ship_due_at=order.ship_due_at or completing.paid_at,
        is_first_order=is_first_order,
    )


def refund_issued(order_id: str, given: Refund) -> contracts.RefundIssued:
    """The event of a refund; its order may be one that was never seen here."""
    return contracts.RefundIssued(
        refund_id=given.refund_id,
        order_id=order_id,
        return_id=given.return_id,
        amount_cents=given.amount_cents,
        items_cents=given.items_cents,
        currency=given.currency,
        lines=stock_lines(given.lines) or None,
        reason=given.reason or None,
        is_dispute=given.is_dispute,
    )


class _ReturnFields(TypedDict):
    return_id: str
    order_id: str
    lines: tuple[contracts.StockLine, ...]
    reason: str
    kind: Literal["refund", "exchange"]


def return_fields(order: Order, item: Return) -> _ReturnFields:
    return {
        "return_id": item.return_id,
        "order_id": order.order_id,
        "lines": stock_lines(item.lines),
        "reason": item.reason,
        "kind": item.kind,
    }
