"""What an order is: values, and what follows from them.

Decisions about it are in `life.py`, `shipping.py` and `returns.py`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from libs.events.contracts import Channel, Event
from services.orders.domain import money

STOREFRONT = "storefront"


class Status(StrEnum):
    """Where an order stands. Review and money stand beside it."""

    PLACED = "placed"
    PAID = "paid"
    PARTLY_SHIPPED = "partly_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    PAID_UNFULFILLABLE = "paid_unfulfillable"


FINAL = frozenset({Status.COMPLETED, Status.CANCELLED})
SHIPPABLE = frozenset({Status.PAID, Status.PARTLY_SHIPPED, Status.SHIPPED, Status.DELIVERED})
CANCELLABLE = frozenset({Status.PLACED, Status.PAID, Status.PAID_UNFULFILLABLE})
AMENDABLE = frozenset({Status.PLACED, Status.PAID, Status.PAID_UNFULFILLABLE})
REVIEWABLE = frozenset({Status.PLACED, Status.PAID, Status.PAID_UNFULFILLABLE, Status.PARTLY_SHIPPED})
RETURNABLE = frozenset({Status.PARTLY_SHIPPED, Status.SHIPPED, Status.DELIVERED})


CancelledBy = Literal["customer", "store", "timeout", "oversell"]


class HoldState(StrEnum):
    """What an order's reservation in inventory is worth."""

    HELD = "held"
    LAPSED = "lapsed"
    ALLOCATED = "allocated"
    REFUSED = "refused"
    WAITING = "waiting"


class Decision(StrEnum):
    """The outcome of the review (ORD-1)."""

    APPROVED = "approved"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order: what was bought, what of it has left the house and what has come back."""

    sku: str
    quantity: int
    unit_price_cents: int
    discount_cents: int = 0
    cost_cents: int | None = None
    kind: Literal["goods", "service"] = "goods"
    shipped: int = 0
    returned: int = 0

    @property
    def open(self) -> int:
        """Units still to be shipped."""
        return self.quantity - self.shipped

    def moved(self, *, shipped: int = 0, returned: int = 0) -> "Line":
        """The line with more units shipped, or returned."""
        return Line(
            self.sku,
            self.quantity,
            self.unit_price_cents,
            self.discount_cents,
            self.cost_cents,
            self.kind,
            self.shipped + shipped,
            self.returned + returned,
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """The reservation that keeps an order's units; `attempt` counts the reservations made for it."""

    reservation_id: str
    attempt: int = 0
    expires_at: datetime | None = None
    state: HoldState = HoldState.HELD


@dataclass(frozen=True, slots=True)
class Review:
    """Whether the order may be shipped, and why not."""

    decision: Decision
    reasons: tuple[str, ...] = ()
    by: str = "rule"
    at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that came in, or failed to."""

    payment_id: str
    method: str
    amount_cents: int
    currency: str
    status: Literal["succeeded", "failed"]
    paid_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Units:
    """A number of units of one SKU."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a carrier said of a parcel."""

    status: Literal["moving", "delivered", "exception"]
    at: datetime
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Shipment:
    """A parcel: its lines, and where it is."""

    shipment_id: str
    carrier: str
    tracking_number: str
    lines: tuple[Units, ...]
    shipped_at: datetime
    warehouse: str | None = None
    freight_cents: int | None = None
    status: Literal["created", "moving", "delivered", "exception"] = "created"
    scans: tuple[Scan, ...] = ()
    delivered_at: datetime | None = None


class ReturnStatus(StrEnum):
    """How far a return has come (ORD-6)."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    RECEIVED = "received"
    INSPECTED = "inspected"
    REFUNDED = "refunded"
    EXCHANGED = "exchanged"


@dataclass(frozen=True, slots=True)
class Return:
    """Goods on their way back, each step with its time."""

    return_id: str
    lines: tuple[Units, ...]
    reason: str
    kind: Literal["refund", "exchange"]
    status: ReturnStatus
    requested_at: datetime
    approved_at: datetime | None = None
    refused_at: datetime | None = None
    received_at: datetime | None = None
    inspected_at: datetime | None = None
    closed_at: datetime | None = None
    condition: Literal["resellable", "damaged"] | None = None
    refund_id: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back."""

    refund_id: str
    amount_cents: int
    items_cents: int
    currency: str
    issued_at: datetime
    reason: str = ""
    return_id: str | None = None
    lines: tuple[Units, ...] = ()
    is_dispute: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An order with everything that has happened to it."""

    order_id: str
    origin: str
    currency: str
    lines: tuple[Line, ...]
    placed_at: datetime
    accepted_at: datetime
    shipping_cents: int = 0
    discount_cents: int = 0
    customer_id: str | None = None
    customer_tier: str | None = None
    channel: Channel | None = None
    source: str | None = None
    campaign: str | None = None
    visitor_id: str | None = None
    status: Status = Status.PLACED
    review: Review = Review(Decision.APPROVED)
    hold: Hold | None = None
    payments: tuple[Payment, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    returns: tuple[Return, ...] = ()
    refunds: tuple[Refund, ...] = ()
    paid_at: datetime | None = None
    ship_due_at: datetime | None = None
    delivered_at: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancelled_by: CancelledBy | None = None
    cancel_reason: str | None = None
    backordered_at: datetime | None = None
    import_id: str | None = None
    version: int = 1

    @property
    def items_cents(self) -> int:
        """Goods and services after the discounts of the lines (D11)."""
        return money.items_cents(self.lines)

    @property
    def total_cents(self) -> int:
        """What the customer owes."""
        return money.total_cents(self.items_cents, self.discount_cents, self.shipping_cents)

    @property
    def paid_cents(self) -> int:
        """Sum of all successful payments, more than the total included."""
        return sum(p.amount_cents for p in self.payments if p.status == "succeeded")

    @property
    def refunded_cents(self) -> int:
        """Sum of all refunds."""
        return sum(refund.amount_cents for refund in self.refunds)

    @property
    def refundable_cents(self) -> int:
        """What was paid and not given back."""
        return self.paid_cents - self.refunded_cents

    @property
    def is_storefront(self) -> bool:
        """Whether the order was held in stock before it was accepted; all others are facts (INV-5)."""
        return self.origin == STOREFRONT

    @property
    def is_shippable(self) -> bool:
        """Whether something of it may leave the house now: paid, approved (D14), and with open units."""
        is_approved = self.review.decision is Decision.APPROVED
        return is_approved and self.status in SHIPPABLE and any(line.open for line in self.lines)

    @property
    def is_all_shipped(self) -> bool:
        """Services (postage, fees) do not keep an order open, unless it has nothing else (D9)."""
        goods = [line for line in self.lines if line.kind == "goods"] or self.lines
        return all(line.open == 0 for line in goods)

    @property
    def is_all_delivered(self) -> bool:
        """Whether everything was shipped and every parcel has arrived."""
        return self.is_all_shipped and all(shipment.delivered_at is not None for shipment in self.shipments)

    @property
    def open_units(self) -> tuple[Units, ...]:
        """Everything that is still to be shipped, one entry a SKU."""
        units = sum_units(Units(line.sku, line.open) for line in self.lines)
        return tuple(Units(sku, quantity) for sku, quantity in units.items() if quantity)

    @property
    def reservation_id(self) -> str | None:
        """The reservation that keeps its units, or did."""
        return self.hold.reservation_id if self.hold else None

    @property
    def hold_expires_at(self) -> datetime | None:
        """Until when its units are kept for payment; None when they are its own, or are not kept."""
        is_held = self.hold is not None and self.hold.state is HoldState.HELD
        return self.hold.expires_at if self.hold and is_held and self.status is Status.PLACED else None

    def looks_like(self, other: "Order") -> bool:
        """Whether nobody outside could tell the two apart: only what the hold is worth inside may differ."""
        seen, seen_other = ((o.reservation_id, o.hold_expires_at) for o in (self, other))
        return seen == seen_other and replace(self, hold=None) == replace(other, hold=None)

    @property
    def next_reservation_id(self) -> str:
        """The name of the next reservation for this order (D12)."""
        return f"{self.order_id}~{self.next_attempt}"

    @property
    def next_attempt(self) -> int:
        """Its number; the first of an outside order is inventory's own."""
        if self.hold is not None:
            return self.hold.attempt + 1
        return 0 if self.is_storefront else 1


@dataclass(frozen=True, slots=True)
class Dated:
    """An event and when it happened."""

    event: Event
    at: datetime


Decided = tuple[Order, tuple[Dated, ...]]
"""The order after a decision, and what happened."""


def sum_units(lines: Iterable[Units]) -> Counter[str]:
    """Units per SKU."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return units
