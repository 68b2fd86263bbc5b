"""What callers send: strict models at the border, each of which becomes a command of the domain."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from libs.events.contracts.base import (
    MAX_LINES,
    Cents,
    CustomerId,
    Id,
    Instant,
    Label,
    Quantity,
    ReservationId,
    Sku,
    SkuKind,
    Units,
    Url,
    Version,
)
from libs.service.errors import Validation, fault
from libs.service.routes import Body, MaskedText
from services.inventory.domain import commands as c
from services.inventory.domain.stock import DEFAULT_WAREHOUSE
from services.inventory.handlers.catalogue import SkuWish

FUTURE = timedelta(minutes=5)
MOST_ITEMS = 100_000
HOLD_SECONDS = 900

Warehouse = Annotated[Label, Field(examples=["main"])]
Note = Annotated[MaskedText, Field(min_length=1, max_length=2000)]
SignedQuantity = Annotated[int, Field(ge=-(10**9), le=10**9, description="units, signed, not 0")]


def happened_at(given: datetime | None, now: datetime, pointer: str = "/occurred_at") -> datetime:
    """When it happened: now, unless the caller says. Raises Validation for the future (D5)."""
    if given is None:
        return now
    if given > now + FUTURE:
        raise Validation(
            f"{pointer.rpartition('/')[2]} is in the future", errors=[fault(pointer, "future", "more than 5 min ahead")]
        )
    return given


class SkuBody(Body):
    """What the catalogue says about a SKU."""

    kind: SkuKind = "goods"
    title: Label | None = None
    category: Label | None = None
    price_cents: Cents = 0
    cost_cents: Cents | None = None
    safety: Units | None = None
    lead_days: Annotated[int, Field(ge=0, le=3650)] | None = None
    image_url: Url | None = None
    listed: bool = True
    occurred_at: Instant | None = None

    def wish(self, sku: str, now: datetime, where: str = "") -> SkuWish:
        """The SKU as it is to be."""
        return SkuWish(
            sku,
            self.kind,
            self.title or sku,
            self.category,
            self.price_cents,
            self.cost_cents,
            self.safety,
            self.lead_days,
            self.image_url,
            self.listed,
            happened_at(self.occurred_at, now, f"{where}/occurred_at"),
        )


class NamedSkuBody(SkuBody):
    """A SKU in a list."""

    sku: Sku


class PieceBody(Body):
    """Units of a SKU."""

    sku: Sku
    quantity: Quantity


Pieces = Annotated[list[PieceBody], Field(min_length=1, max_length=MAX_LINES)]


def pieces_of(lines: Sequence[PieceBody]) -> tuple[c.Piece, ...]:
    """Lines as the domain knows them."""
    return tuple(c.Piece(line.sku, line.quantity) for line in lines)


class ReservationBody(Body):
    """A wish to hold all lines or none.

    `allocate` gives the units to the order at once; `replaces` names a hold of the order that this one takes the place
    of; `backorder` takes what there is and waits for the rest.
    """

    reservation_id: ReservationId | None = None
    order_id: Id | None = None
    customer_id: CustomerId | None = None
    campaign: Id | None = None
    lines: Pieces
    ttl_seconds: Annotated[int, Field(ge=1, le=86_400)] = HOLD_SECONDS
    allocate: bool = False
    replaces: ReservationId | None = None
    backorder: bool = False

    def command(self, store: str, name: str, customer_id: str | None, cause: c.Cause) -> c.Reserve:
        """The wish, with its customer's reference as it is kept. Raises Validation."""
        if self.order_id is None and (self.allocate or self.backorder):
            raise Validation("order_id is needed", errors=[fault("/order_id", "missing", "who is to own the units?")])
        return c.Reserve(
            store,
            cause,
            name,
            pieces_of(self.lines),
            cause.at + timedelta(seconds=self.ttl_seconds),
            self.order_id,
            customer_id,
            self.campaign,
            self.allocate,
            self.replaces,
            self.backorder,
        )


class AllocationBody(Body):
    """Which order owns the units now."""

    order_id: Id


class ReleaseBody(Body):
    """Nothing has to be said."""


class ReceiptBody(Body):
    """Goods that came in."""

    receipt_id: Id | None = None
    sku: Sku
    warehouse: Warehouse = DEFAULT_WAREHOUSE
    quantity: Quantity
    cost_cents: Cents | None = None
    occurred_at: Instant | None = None

    @property
    def name(self) -> str | None:
        return self.receipt_id

    def command(self, store: str, cause: c.Cause) -> c.Receive:
        """The receipt as a command."""
        return c.Receive(store, cause, self.sku, self.warehouse, self.quantity, self.cost_cents)


_SIGNS: dict[str, int] = {"lost": -1, "write_off": -1, "found": 1, "unmatched_return": 1}


class AdjustmentBody(Body):
    """A correction (D56)."""

    adjustment_id: Id | None = None
    sku: Sku
    warehouse: Warehouse = DEFAULT_WAREHOUSE
    quantity: SignedQuantity
    reason: c.AdjustmentReason
    occurred_at: Instant | None = None

    @property
    def name(self) -> str | None:
        return self.adjustment_id

    def command(self, store: str, cause: c.Cause, where: str = "") -> c.Adjust:
        """The adjustment as a command. Raises Validation for a sign that the reason does not have."""
        sign = _SIGNS.get(self.reason)
        if self.quantity == 0 or (sign is not None and self.quantity * sign < 0):
            wanted = {None: "not 0", -1: f"{self.reason} is below 0", 1: f"{self.reason} is above 0"}[sign]
            raise Validation(f"quantity: {wanted}", errors=[fault(f"{where}/quantity", "sign", wanted)])
        return c.Adjust(store, cause, self.sku, self.warehouse, self.quantity, self.reason)


def _how_many(body: object) -> str:
    return "many" if isinstance(body, list | tuple) else "one"


Receipts = Annotated[
    Annotated[ReceiptBody, Tag("one")]
    | Annotated[list[ReceiptBody], Field(min_length=1, max_length=MAX_LINES), Tag("many")],
    Discriminator(_how_many),
]
Adjustments = Annotated[
    Annotated[AdjustmentBody, Tag("one")]
    | Annotated[list[AdjustmentBody], Field(min_length=1, max_length=MAX_LINES), Tag("many")],
    Discriminator(_how_many),
]
NamedSkus = Annotated[list[NamedSkuBody], Field(min_length=1, max_length=MAX_LINES)]


class CountedBody(Body):
    """One line of a count."""

    sku: Sku
    on_hand: Units
    version: Version | None = None


class CountBody(Body):
    """A count, whole or of some SKUs (INV-10)."""

    count_id: Id | None = None
    warehouse: Warehouse = DEFAULT_WAREHOUSE
    as_of: Instant
    source: Literal["erp", "person"] = "person"
    items: Annotated[list[CountedBody], Field(min_length=1, max_length=MOST_ITEMS)]

    def command(self, store: str, count_id: str, cause: c.Cause) -> c.Count:
        """The count as a command. Raises Validation for a SKU that is counted twice, and for the future."""
        as_of = happened_at(self.as_of, cause.at, "/as_of")
        seen: dict[str, int] = {}
        for n, item in enumerate(self.items):
            if item.sku in seen:
                message = f"{item.sku} is counted twice, in items {seen[item.sku]} and {n}"
                raise Validation(message, errors=[fault(f"/items/{n}/sku", "duplicate", message)])
            seen[item.sku] = n
        items = tuple(c.Counted(item.sku, item.on_hand, item.version) for item in self.items)
        return c.Count(store, cause, count_id, self.warehouse, as_of, self.source, items)


class CampaignLockBody(Body):
    """Stock to be set aside for a campaign (INV-7)."""

    campaign: Id
    lines: Pieces
    starts_at: Instant
    ends_at: Instant

    def commands(self, store: str, cause: c.Cause) -> list[c.LockStock]:
        """A command a SKU. Raises Validation for a campaign that is over or ends before it starts."""
        if self.ends_at <= self.starts_at or self.ends_at <= cause.at:
            message = "ends_at is behind us, or not after starts_at"
            raise Validation(message, errors=[fault("/ends_at", "order", message)])
        return [
            c.LockStock(store, cause, sku, self.campaign, quantity, self.starts_at, self.ends_at)
            for sku, quantity in c.summed(pieces_of(self.lines)).items()
        ]
