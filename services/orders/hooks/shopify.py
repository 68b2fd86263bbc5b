"""What Shopify says: orders, refunds and fulfillments, as news. Topics: `orders/*`, `refunds/create`, `fulfillments/*`.

https://shopify.dev/docs/api/admin-rest/latest/resources/order
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from services.orders.domain.imports import GoodsBack, MoneyBack, Parcel, Sale
from services.orders.domain.news import Ending, News, Seen
from services.orders.domain.review import Consignee
from services.orders.domain.state import CancelledBy, Line, Order, Refund, Scan, Units
from services.orders.hooks.reading import (
    Amount,
    Code,
    Moment,
    Payload,
    Shop,
    at_least,
    balanced,
    consignee,
    label,
    minor_units,
)

EDITS = frozenset({"orders/updated", "orders/edited"})
_PAID = frozenset({"paid", "partially_refunded", "refunded"})


class _Allocation(Payload):
    amount: Amount


class _Line(Payload):
    id: int
    sku: Code = ""
    variant_id: int | None = None
    quantity: int
    current_quantity: int | None = None
    price: Amount
    total_discount: Amount = Decimal(0)
    discount_allocations: tuple[_Allocation, ...] | None = None

    @property
    def left(self) -> int:
        """How many are left after edits."""
        return self.quantity if self.current_quantity is None else self.current_quantity


class _Address(Payload):
    name: Code = ""
    first_name: Code = ""
    last_name: Code = ""
    phone: Code = ""
    province: Code = ""
    city: Code = ""
    address1: Code = ""
    address2: Code = ""


class _Customer(Payload):
    id: int


class _Fulfillment(Payload):
    id: int
    order_id: int | None = None
    created_at: Moment
    updated_at: Moment | None = None
    status: str | None = None
    tracking_number: Code = ""
    tracking_company: Code = ""
    shipment_status: str | None = None
    line_items: tuple[_Line, ...] = ()


class _Money(Payload):
    amount: Amount
    kind: str
    status: str


class _RefundLine(Payload):
    quantity: int
    restock_type: str = "no_restock"
    subtotal: Amount = Decimal(0)
    line_item: _Line


class _Refund(Payload):
    id: int
    order_id: int
    created_at: Moment
    note: Code = ""
    refund_line_items: tuple[_RefundLine, ...] = ()
    transactions: tuple[_Money, ...] = ()


class _Order(Payload):
    id: int
    created_at: Moment
    updated_at: Moment | None = None
    cancelled_at: Moment | None = None
    cancel_reason: str | None = None
    currency: Code = ""
    financial_status: str | None = None
    total_price: Amount
    current_total_price: Amount | None = None
    total_discounts: Amount = Decimal(0)
    payment_gateway_names: tuple[str, ...] = ()
    customer: _Customer | None = None
    shipping_address: _Address | None = None
    line_items: tuple[_Line, ...]
    fulfillments: tuple[_Fulfillment, ...] = ()
    refunds: tuple[_Refund, ...] = ()


def read(topic: str, decoded: Any, shop: Shop) -> News | None:
    """The news in a message; None for a topic that says nothing of orders. Raises ValueError for one that is broken."""
    resource = topic.partition("/")[0]
    if topic == "orders/delete" or resource not in ("orders", "refunds", "fulfillments"):
        return None
    if resource == "refunds":
        return _refund_news(_Refund.model_validate(decoded), shop)
    if resource == "fulfillments":
        return _fulfillment_news(_Fulfillment.model_validate(decoded), shop)
    if "line_items" not in decoded:
        return None
    return _order_news(_Order.model_validate(decoded), shop, is_edit=topic in EDITS)


# orders


def _order_news(told: _Order, shop: Shop, *, is_edit: bool) -> News:
    order = _order(told, shop, is_edit=is_edit)
    told_at = at_least(told.updated_at, told.created_at)
    return News(
        order_id=order.order_id,
        told_at=told_at,
        sale=Sale(
            order=order,
            consignee=_consignee(told.shipping_address),
            paid_at=told_at if told.financial_status in _PAID else None,
            method=label(next(iter(told.payment_gateway_names), None), "shopify"),
            parcels=tuple(_parcel(f, shop) for f in told.fulfillments if f.status != "cancelled"),
            teller="shopify",
        ),
        is_edit=is_edit,
        ending=_ending(told),
        back=tuple(back for refund in told.refunds if (back := _back(refund, order.currency, shop)) is not None),
        seen=tuple(seen for f in told.fulfillments for seen in _seen(f)),
    )


def _order(told: _Order, shop: Shop, *, is_edit: bool) -> Order:
    currency = told.currency or shop.currency
    is_changed = is_edit and _is_changed(told)
    sold = [(line, line.left if is_changed else line.quantity) for line in told.line_items]
    lines = tuple(_line(line, quantity, currency, shop) for line, quantity in sold if quantity > 0)
    of_order = minor_units(told.total_discounts, currency) - sum(line.discount_cents for line in lines)
    order = Order(
        order_id=shop.order_id(told.id),
        origin=shop.kind,
        currency=currency,
        lines=lines,
        placed_at=told.created_at,
        accepted_at=shop.now,
        discount_cents=0 if is_changed else max(0, of_order),
        customer_id=None if told.customer is None else shop.named(told.customer.id),
    )
    total = told.current_total_price if is_changed else None
    return balanced(order, minor_units(told.total_price if total is None else total, currency))


def _is_changed(told: _Order) -> bool:
    """Whether an edit left other quantities than were bought; an order of which nothing is left keeps its lines."""
    return any(line.left != line.quantity for line in told.line_items) and any(line.left for line in told.line_items)


def _line(line: _Line, quantity: int, currency: str, shop: Shop) -> Line:
    price = minor_units(line.price, currency)
    return Line(_sku(line, shop), quantity, price, min(_discount(line, currency), price * quantity))


def _discount(line: _Line, currency: str) -> int:
    """What was taken off the line, its share of the order's discounts included."""
    allocated = line.discount_allocations
    if allocated is None:
        return minor_units(line.total_discount, currency)
    return sum(minor_units(one.amount, currency) for one in allocated)


def _sku(line: _Line, shop: Shop) -> str:
    return shop.sku(line.sku, line.variant_id, line.id)


def _consignee(address: _Address | None) -> Consignee | None:
    if address is None:
        return None
    name = address.name or f"{address.first_name} {address.last_name}"
    return consignee(name, address.phone, address.province, address.city, (address.address1, address.address2))


_CANCELLED_BY: dict[str, CancelledBy] = {"customer": "customer", "inventory": "oversell"}


def _ending(told: _Order) -> Ending | None:
    if told.cancelled_at is None:
        return None
    reason = label(told.cancel_reason, "cancelled")
    return Ending(told.cancelled_at, reason, _CANCELLED_BY.get(reason, "store"))


# parcels


def _parcel(told: _Fulfillment, shop: Shop) -> Parcel:
    lines = tuple(Units(_sku(line, shop), line.quantity) for line in told.line_items if line.quantity > 0)
    return Parcel(label(told.tracking_company, "unknown"), _number(told), lines, told.created_at)


def _number(told: _Fulfillment) -> str:
    return label(told.tracking_number, f"shopify:{told.id}")


_STATUS: dict[str, Literal["moving", "delivered", "exception"]] = {
    "in_transit": "moving",
    "out_for_delivery": "moving",
    "delivered": "delivered",
    "attempted_delivery": "exception",
    "failure": "exception",
}


def _seen(told: _Fulfillment) -> Sequence[Seen]:
    status = _STATUS.get(told.shipment_status or "")
    if status is None:
        return ()
    return (Seen(_number(told), Scan(status, at_least(told.updated_at, told.created_at))),)


def _fulfillment_news(told: _Fulfillment, shop: Shop) -> News:
    if told.order_id is None:
        raise ValueError("a fulfillment of no order")
    return News(
        order_id=shop.order_id(told.order_id),
        told_at=at_least(told.updated_at, told.created_at),
        parcels=() if told.status == "cancelled" else (_parcel(told, shop),),
        seen=tuple(_seen(told)),
    )


# money and goods that went back


def _refund_news(told: _Refund, shop: Shop) -> News:
    back = _back(told, "", shop)
    return News(
        order_id=shop.order_id(told.order_id),
        told_at=told.created_at,
        back=() if back is None else (back,),
    )


def _back(told: _Refund, currency: str, shop: Shop) -> GoodsBack | MoneyBack | None:
    """Goods that were put back on the shelf came back; else it is money alone; neither: nothing happened here."""
    refund = _money(told, currency or shop.currency, shop)
    lines = _returned(told.refund_line_items, shop)
    order_id = shop.order_id(told.order_id)
    if lines:
        return GoodsBack(
            order_id=order_id,
            return_id=f"{shop.named(told.id)}:return",
            at=told.created_at,
            lines=lines,
            reason=refund.reason,
            condition="resellable",
            refund=refund if refund.amount_cents > 0 else None,
        )
    return MoneyBack(order_id, refund) if refund.amount_cents > 0 else None


def _money(told: _Refund, currency: str, shop: Shop) -> Refund:
    paid = sum((t.amount for t in told.transactions if t.kind == "refund" and t.status == "success"), Decimal(0))
    return Refund(
        refund_id=shop.named(told.id),
        amount_cents=max(0, minor_units(paid, currency)),
        items_cents=0,
        currency=currency,
        issued_at=told.created_at,
        reason=label(told.note, "refunded"),
    )


def _returned(lines: Sequence[_RefundLine], shop: Shop) -> tuple[Units, ...]:
    back = [line for line in lines if line.restock_type == "return" and line.quantity > 0]
    return tuple(Units(_sku(line.line_item, shop), line.quantity) for line in back)
