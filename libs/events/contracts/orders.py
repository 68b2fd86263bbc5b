"""Events of the orders service, on the topics `orders` and `stores`."""

from typing import Annotated, Literal

from pydantic import Field

from libs.events.contracts.base import (
    Cents,
    Channel,
    Currency,
    CustomerId,
    Event,
    Id,
    Instant,
    Label,
    Labels,
    Lines,
    ReservationId,
    SignedCents,
    StockLines,
    StoreId,
    Text,
)

Method = Annotated[Label, Field(description="alipay, wechat, card ...", examples=["alipay"])]


class OrderPlaced(Event):
    """An order was accepted."""

    TYPE = "order.placed.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    customer_id: CustomerId | None = None
    customer_tier: Label | None = None
    origin: Annotated[Label, Field(description="storefront or the name of a marketplace", examples=["storefront"])]
    channel: Channel | None = None
    source: Label | None = None
    campaign: Id | None = None
    visitor_id: Id | None = None
    currency: Currency
    lines: Lines
    shipping_cents: Cents
    discount_cents: Cents
    total_cents: Cents
    reservation_id: ReservationId | None = None
    placed_at: Instant
    """the event's time"""


class OrderReviewed(Event):
    """An order passed review, or waits for a person (ORD-1)."""

    TYPE = "order.reviewed.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    decision: Literal["approved", "held"]
    reasons: Labels
    by: Label
    """the rule or the person"""


class OrderPaid(Event):
    """The payments of an order have first reached its total (D15)."""

    TYPE = "order.paid.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    customer_id: CustomerId | None = None
    customer_tier: Label | None = None
    origin: Label | None = None
    payment_id: Id
    """the payment that completed it"""
    method: Method
    amount_cents: Cents
    """the sum of the successful payments"""
    currency: Currency
    total_cents: Cents
    shipping_cents: Cents | None = None
    discount_cents: Cents | None = None
    lines: Lines
    channel: Channel | None = None
    source: Label | None = None
    campaign: Id | None = None
    visitor_id: Id | None = None
    reservation_id: ReservationId | None = None
    placed_at: Instant | None = None
    ship_due_at: Instant
    is_first_order: bool
    """informational"""


class _Payment(Event):
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    payment_id: Id
    method: Method
    amount_cents: Cents
    currency: Currency


class PaymentSucceeded(_Payment):
    """Money arrived, whether it was expected or not."""

    TYPE = "payment.succeeded.v1"


class PaymentFailed(_Payment):
    """A try to pay failed."""

    TYPE = "payment.failed.v1"

    reason: Text | None = None


class OrderCancelled(Event):
    """An order ended before it was shipped."""

    TYPE = "order.cancelled.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    reason: Text
    by: Literal["customer", "store", "timeout", "oversell"]
    was_paid: bool
    lines: Lines


class OrderAmended(Event):
    """Lines, address or totals of an order changed; the totals are the new ones."""

    TYPE = "order.amended.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    lines_before: Lines
    lines_after: Lines
    address_changed: bool
    items_cents: SignedCents
    shipping_cents: Cents
    discount_cents: Cents
    total_cents: Cents


class ShipmentCreated(Event):
    """A parcel left."""

    TYPE = "shipment.created.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    shipment_id: Id
    carrier: Label
    tracking_number: Label
    lines: StockLines
    freight_cents: Cents | None = None
    warehouse: Label | None = None
    """where it was taken from; else the one with most on hand (D21)"""
    return_id: Id | None = None
    """the return whose exchange it ships (D20)"""


class ShipmentMoved(Event):
    """The carrier scanned a parcel."""

    TYPE = "shipment.moved.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    shipment_id: Id
    order_id: Id
    status: Literal["moving", "delivered", "exception"]
    place: Text | None = None


class OrderUnfulfillable(Event):
    """A paid order cannot get its stock."""

    TYPE = "order.unfulfillable.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    lines: StockLines
    """the lines that are short, with the units missing"""


class OrderCompleted(Event):
    """The return window of a delivered order is over."""

    TYPE = "order.completed.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id


class OrderDelivered(Event):
    """The last shipment of an order was delivered; once an order (D19)."""

    TYPE = "order.delivered.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    order_id: Id
    shipment_id: Id
    """the last one"""


class _Return(Event):
    TOPIC = "orders"
    KEY = ("order_id",)

    return_id: Id
    order_id: Id
    lines: StockLines
    reason: Text
    """free text or a code; `wrong_goods` and `missing_goods` count against delivery accuracy"""
    kind: Literal["refund", "exchange"]


class ReturnRequested(_Return):
    """A customer wants to send goods back (ORD-6)."""

    TYPE = "return.requested.v1"


class ReturnApproved(_Return):
    """The goods may come back; from now on the units are `returning` (D20)."""

    TYPE = "return.approved.v1"


class ReturnRefused(_Return):
    """The goods may not come back."""

    TYPE = "return.refused.v1"

    refusal: Text | None = None
    """why it was refused"""


class ReturnReceived(_Return):
    """The goods are in the house, not yet inspected."""

    TYPE = "return.received.v1"


class ReturnInspected(_Return):
    """The goods were looked at and go to on hand or to damaged."""

    TYPE = "return.inspected.v1"

    condition: Literal["resellable", "damaged"]
    warehouse: Label | None = None


class RefundIssued(Event):
    """Money went back, with or without a return."""

    TYPE = "refund.issued.v1"
    TOPIC = "orders"
    KEY = ("order_id",)

    refund_id: Id
    order_id: Id
    return_id: Id | None = None
    amount_cents: Cents
    items_cents: Cents
    """the part for goods (D11)"""
    currency: Currency
    lines: StockLines | None = None
    reason: Text | None = None
    is_dispute: bool = False


class StoreChanged(Event):
    """A store was made or changed (D4)."""

    TYPE = "store.changed.v1"
    TOPIC = "stores"
    KEY = ("store",)

    store: StoreId
    name: Label
    timezone: Annotated[Label, Field(description="IANA name", examples=["Asia/Shanghai"])]
    currency: Currency
    language: Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$", examples=["zh"])]
