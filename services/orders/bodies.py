"""What callers send: strict models at the border, each of which becomes a value of the domain."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from libs.events.contracts import (
    Cents,
    Channel,
    Currency,
    CustomerId,
    Id,
    Instant,
    Label,
    Quantity,
    ReservationId,
    Sku,
    Text,
)
from libs.events.contracts.base import MAX_LINES
from libs.service.privacy import Pseudonyms, mask_text
from libs.service.routes import Body
from services.orders.domain.review import Consignee
from services.orders.domain.state import (
    CancelledBy,
    Line,
    Order,
    Payment,
    Refund,
    Return,
    ReturnStatus,
    Scan,
    Shipment,
    Units,
)
from services.orders.handlers.placing import Asked

FreeText = Annotated[Text, AfterValidator(mask_text)]
"""Phone numbers, mail addresses and ID-card numbers in it are masked at the door (D8)."""
Short = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)]
Address = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=500)]
Zone = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", examples=["Asia/Shanghai"])]


class StoreBody(Body):
    """A store (D4)."""

    name: Label
    timezone: Zone
    currency: Currency
    language: Literal["zh", "en"]


class LineBody(Body):
    """A line of an order."""

    sku: Sku
    quantity: Quantity
    unit_price_cents: Cents
    discount_cents: Cents = 0
    cost_cents: Cents | None = None

    def line(self) -> Line:
        """The line as a value."""
        return Line(self.sku, self.quantity, self.unit_price_cents, self.discount_cents, self.cost_cents)


class UnitsBody(Body):
    """Units of a SKU."""

    sku: Sku
    quantity: Quantity


Lines = Annotated[tuple[LineBody, ...], Field(min_length=1, max_length=MAX_LINES)]
SomeUnits = Annotated[tuple[UnitsBody, ...], Field(min_length=1, max_length=MAX_LINES)]


def lines_of(bodies: tuple[LineBody, ...]) -> tuple[Line, ...]:
    """Lines as values."""
    return tuple(body.line() for body in bodies)


def units_of(bodies: tuple[UnitsBody, ...] | None) -> tuple[Units, ...]:
    """Units as values."""
    return tuple(Units(body.sku, body.quantity) for body in bodies or ())


class ConsigneeBody(Body):
    """Who receives the parcel; what is missing is a reason for review, not an error (D14)."""

    name: Short = ""
    phone: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=40)] = ""
    province: Short = ""
    city: Short = ""
    address: Address = ""

    def consignee(self) -> Consignee:
        """The consignee as a value."""
        return Consignee(self.name, self.phone, self.province, self.city, self.address)


class OrderBody(Body):
    """An order to be placed (D11 to D13)."""

    order_id: Id | None = None
    customer_id: CustomerId | None = None
    customer_tier: Label | None = None
    origin: Label
    channel: Channel | None = None
    source: Label | None = None
    campaign: Id | None = None
    visitor_id: Id | None = None
    currency: Currency
    lines: Lines
    shipping_cents: Cents = 0
    discount_cents: Cents = 0
    items_cents: Cents | None = None
    total_cents: Cents | None = None
    reservation_id: ReservationId | None = None
    consignee: ConsigneeBody | None = None
    placed_at: Instant | None = None
    hold_minutes: Annotated[int, Field(ge=1, le=1_440)] | None = None

    def asked(self, order_id: str, now: datetime, pseudonyms: Pseudonyms, import_id: str | None) -> Asked:
        """What is asked for, with the customer's pseudonym in the place of a phone number or a mail address (D7)."""
        return Asked(
            order=Order(
                order_id=order_id,
                origin=self.origin,
                currency=self.currency,
                lines=lines_of(self.lines),
                placed_at=self.placed_at or now,
                accepted_at=now,
                shipping_cents=self.shipping_cents,
                discount_cents=self.discount_cents,
                customer_id=None if self.customer_id is None else pseudonyms.replace(self.customer_id),
                customer_tier=self.customer_tier,
                channel=self.channel,
                source=self.source,
                campaign=self.campaign,
                visitor_id=self.visitor_id,
                import_id=import_id,
            ),
            consignee=self.consignee.consignee() if self.consignee else None,
            reservation_id=self.reservation_id,
            hold=timedelta(minutes=self.hold_minutes) if self.hold_minutes else None,
            items_cents=self.items_cents,
            total_cents=self.total_cents,
        )


class PaymentBody(Body):
    """Money that came in, or a try that failed."""

    payment_id: Id
    method: Label
    amount_cents: Cents
    currency: Currency
    status: Literal["succeeded", "failed"]
    paid_at: Instant | None = None
    reason: FreeText | None = None

    def payment(self, now: datetime) -> Payment:
        """The payment as a value."""
        return Payment(
            self.payment_id,
            self.method,
            self.amount_cents,
            self.currency,
            self.status,
            self.paid_at or now,
            self.reason,
        )


class CancelBody(Body):
    """Why an order ends, and who ends it."""

    reason: FreeText
    by: Literal["customer", "store", "oversell"] = "store"

    @property
    def who(self) -> CancelledBy:
        """Who cancels."""
        return self.by


class AmendBody(Body):
    """What of an order is to be changed."""

    lines: Lines | None = None
    consignee: ConsigneeBody | None = None


class ReviewBody(Body):
    """What a person decided about an order."""

    decision: Literal["approved", "held"]
    note: FreeText | None = None


class ShipmentBody(Body):
    """A parcel; without lines it has everything that is open."""

    shipment_id: Id | None = None
    carrier: Label
    tracking_number: Label
    lines: SomeUnits | None = None
    warehouse: Label | None = None
    freight_cents: Cents | None = None
    shipped_at: Instant | None = None

    def shipment(self, shipment_id: str, now: datetime) -> Shipment:
        """The parcel as a value."""
        return Shipment(
            shipment_id=shipment_id,
            carrier=self.carrier,
            tracking_number=self.tracking_number,
            lines=units_of(self.lines),
            shipped_at=self.shipped_at or now,
            warehouse=self.warehouse,
            freight_cents=self.freight_cents,
        )


class ScanBody(Body):
    """What a carrier says of a parcel."""

    status: Literal["moving", "delivered", "exception"]
    place: Label | None = None
    at: Instant | None = None

    def scan(self, now: datetime) -> Scan:
        """The scan as a value."""
        return Scan(self.status, self.at or now, self.place)


class ReturnBody(Body):
    """What a customer wants to send back."""

    return_id: Id | None = None
    lines: SomeUnits
    reason: FreeText = ""
    kind: Literal["refund", "exchange"] = "refund"
    at: Instant | None = None

    def asked(self, return_id: str, now: datetime) -> Return:
        """The return as a value."""
        return Return(
            return_id=return_id,
            lines=units_of(self.lines),
            reason=self.reason,
            kind=self.kind,
            status=ReturnStatus.REQUESTED,
            requested_at=self.at or now,
        )


class StepBody(Body):
    """A step of a return, and when it was taken."""

    at: Instant | None = None
    reason: FreeText | None = None


class InspectBody(Body):
    """In what state the goods are."""

    condition: Literal["resellable", "damaged"]
    at: Instant | None = None


class ExchangeBody(Body):
    """What is sent instead."""

    lines: Lines


class ReturnRefundBody(Body):
    """Money given back for goods."""

    refund_id: Id | None = None
    amount_cents: Annotated[int, Field(ge=1, le=10**14)]
    items_cents: Cents | None = None
    reason: FreeText | None = None
    is_dispute: bool = False
    issued_at: Instant | None = None


class RefundBody(ReturnRefundBody):
    """Money given back without a return (D70)."""

    lines: SomeUnits | None = None


def refund_of(body: ReturnRefundBody, refund_id: str, now: datetime, return_id: str | None = None) -> Refund:
    """The refund as a value; its currency and share of goods come from the order."""
    return Refund(
        refund_id=refund_id,
        amount_cents=body.amount_cents,
        items_cents=0,
        currency="",
        issued_at=body.issued_at or now,
        reason=body.reason or "",
        return_id=return_id,
        lines=units_of(body.lines) if isinstance(body, RefundBody) else (),
        is_dispute=body.is_dispute,
    )
