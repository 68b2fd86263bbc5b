"""What WooCommerce says: whole orders, each time one is saved. Topics: `order.created|updated|restored|deleted`.

https://woocommerce.github.io/woocommerce-rest-api-docs/#order-properties
"""

from typing import Any

from services.orders.domain.imports import MoneyBack, Parcel, Sale
from services.orders.domain.news import Ending, News
from services.orders.domain.review import Consignee
from services.orders.domain.state import Line, Order, Refund, Units
from services.orders.hooks.reading import (
    Amount,
    Code,
    Gmt,
    Payload,
    Shop,
    at_least,
    balanced,
    consignee,
    label,
    minor_units,
    priced_line,
)

_DRAFTS = frozenset({"auto-draft", "checkout-draft", "draft", "trash"})


class _Line(Payload):
    id: int
    sku: Code = ""
    product_id: int = 0
    variation_id: int = 0
    quantity: int
    subtotal: Amount
    total: Amount


class _Address(Payload):
    first_name: Code = ""
    last_name: Code = ""
    address_1: Code = ""
    address_2: Code = ""
    city: Code = ""
    state: Code = ""
    phone: Code = ""


class _Refund(Payload):
    id: int
    reason: Code = ""
    total: Amount


class _Order(Payload):
    id: int
    status: str
    currency: Code = ""
    date_created_gmt: Gmt
    date_modified_gmt: Gmt | None = None
    date_paid_gmt: Gmt | None = None
    date_completed_gmt: Gmt | None = None
    total: Amount
    customer_id: int = 0
    payment_method: Code = ""
    billing: _Address = _Address()
    shipping: _Address = _Address()
    line_items: tuple[_Line, ...]
    refunds: tuple[_Refund, ...] = ()


def read(topic: str, decoded: Any, shop: Shop) -> News | None:
    """The news in a message; None where it says nothing of an order. Raises ValueError for one that is broken."""
    resource, _, event = topic.partition(".")
    if resource != "order":
        return None
    if event == "deleted":
        return _deleted(decoded, shop)
    told = _Order.model_validate(decoded)
    return None if told.status in _DRAFTS else _news(told, shop)


def _deleted(decoded: dict[str, Any], shop: Shop) -> News:
    return News(shop.order_id(decoded.get("id")), shop.now, ending=Ending(shop.now, "deleted", "store"))


def _news(told: _Order, shop: Shop) -> News:
    order = _order(told, shop)
    told_at = at_least(told.date_modified_gmt, told.date_created_gmt)
    is_over = told.status == "cancelled"
    return News(
        order_id=order.order_id,
        told_at=told_at,
        sale=Sale(
            order=order,
            consignee=_consignee(told),
            paid_at=None if told.date_paid_gmt is None else at_least(told.date_paid_gmt, order.placed_at),
            method=label(told.payment_method, "woocommerce"),
            parcels=_parcels(told, order, shop),
            teller="woocommerce",
        ),
        is_edit=True,
        ending=Ending(told_at, "cancelled", "store") if is_over else None,
        back=tuple(_refund(refund, told, order, shop) for refund in told.refunds if refund.total != 0),
    )


def _order(told: _Order, shop: Shop) -> Order:
    currency = told.currency or shop.currency
    order = Order(
        order_id=shop.order_id(told.id),
        origin=shop.kind,
        currency=currency,
        lines=tuple(_line(line, currency, shop) for line in told.line_items if line.quantity > 0),
        placed_at=told.date_created_gmt,
        accepted_at=shop.now,
        customer_id=shop.named(told.customer_id) if told.customer_id else None,
    )
    return balanced(order, minor_units(told.total, currency))


def _line(line: _Line, currency: str, shop: Shop) -> Line:
    """`subtotal` is before, `total` after discounts; both are of the whole line."""
    sku = shop.sku(line.sku, line.variation_id, line.product_id, line.id)
    return priced_line(sku, line.quantity, minor_units(line.subtotal, currency), minor_units(line.total, currency))


def _consignee(told: _Order) -> Consignee | None:
    """The shipping address, or the billing one where there is no other."""
    to = told.shipping if told.shipping.address_1 else told.billing
    if not to.address_1:
        return None
    name = f"{to.first_name} {to.last_name}"
    return consignee(name, to.phone or told.billing.phone, to.state, to.city, (to.address_1, to.address_2))


def _parcels(told: _Order, order: Order, shop: Shop) -> tuple[Parcel, ...]:
    """A completed order has left the house; WooCommerce knows no parcels."""
    if told.date_completed_gmt is None or told.status not in ("completed", "refunded"):
        return ()
    lines = tuple(Units(line.sku, line.quantity) for line in order.lines)
    return (Parcel("unknown", order.order_id, lines, at_least(told.date_completed_gmt, order.placed_at)),)


def _refund(told: _Refund, of: _Order, order: Order, shop: Shop) -> MoneyBack:
    """WooCommerce writes refunds as negative totals, and does not say when."""
    refund = Refund(
        refund_id=shop.named(told.id),
        amount_cents=abs(minor_units(told.total, order.currency)),
        items_cents=0,
        currency=order.currency,
        issued_at=at_least(of.date_modified_gmt, order.placed_at),
        reason=label(told.reason, "refunded"),
    )
    return MoneyBack(order.order_id, refund)


def dedup_key(topic: str, decoded: Any) -> str | None:
    """Delivery ids of WooCommerce can collide: a repeat is the same resource, modified at the same time."""
    if not isinstance(decoded, dict) or not isinstance(decoded.get("id"), int):
        return None
    return f"{topic}:{decoded['id']}:{str(decoded.get('date_modified_gmt', ''))[:40]}"
