"""Events of the inventory service, on the topics `inventory` and `catalog`."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from libs.events.contracts.base import (
    MAX_LINES,
    Cents,
    Count,
    Event,
    Id,
    Instant,
    Label,
    Quantity,
    ReservationId,
    SignedUnits,
    Sku,
    SkuKind,
    StockLines,
    Units,
    Url,
    Value,
    Version,
)

Warehouse = Annotated[Label, Field(examples=["main"])]


class RefusedLine(Value):
    """A line that could not be held."""

    sku: Sku
    wanted: Quantity
    available: Units


class CountDifference(Value):
    """A line of a count that differs from the ledger, or that could not be compared."""

    sku: Sku
    expected: SignedUnits
    counted: Units
    difference: SignedUnits
    status: Literal["applied", "stale", "unknown_sku"] = "applied"


class WarehouseLevel(Value):
    """What one warehouse has."""

    warehouse: Warehouse
    on_hand: Units
    returning: Units
    damaged: Units


class ShortOrder(Value):
    """An order that cannot get its units."""

    order_id: Id
    quantity: Quantity
    """units short"""


class SkuFields(Value):
    """The fields of a SKU that changed; one that is missing had, or has, no value."""

    kind: SkuKind | None = None
    title: Label | None = None
    category: Label | None = None
    price_cents: Cents | None = None
    cost_cents: Cents | None = None
    safety: Units | None = None
    lead_days: Count | None = None
    image_url: Url | None = None


class _StockOfSku(Event):
    TOPIC = "inventory"
    KEY = ("sku",)

    sku: Sku


class StockReceived(_StockOfSku):
    """Goods came in."""

    TYPE = "stock.received.v1"

    warehouse: Warehouse
    quantity: Quantity
    receipt_id: Id
    cost_cents: Cents | None = None
    """the cost of one unit"""


class _Reservation(Event):
    TOPIC = "inventory"
    KEY = ("reservation_id",)

    reservation_id: ReservationId


class StockReserved(_Reservation):
    """Units are held for an order, a cart or a campaign's buyer."""

    TYPE = "stock.reserved.v1"

    order_id: Id | None = None
    campaign: Id | None = None
    lines: StockLines
    expires_at: Instant | None = None


class StockRefused(_Reservation):
    """A hold was refused as a whole."""

    TYPE = "stock.refused.v1"

    order_id: Id | None = None
    lines: Annotated[tuple[RefusedLine, ...], Strict(False), Field(max_length=MAX_LINES)]


class StockReleased(_Reservation):
    """Held units are free again."""

    TYPE = "stock.released.v1"

    order_id: Id | None = None
    lines: StockLines
    reason: Literal["cancelled", "expired", "amended", "released", "replaced"]


class StockAllocated(_Reservation):
    """The paid order owns the units now."""

    TYPE = "stock.allocated.v1"

    order_id: Id
    lines: StockLines


class StockShipped(Event):
    """Units left the house with an order."""

    TYPE = "stock.shipped.v1"
    TOPIC = "inventory"
    KEY = ("order_id",)

    order_id: Id
    lines: StockLines
    shipment_id: Id | None = None
    warehouse: Warehouse | None = None


class StockReturned(Event):
    """Returned units are on hand or damaged."""

    TYPE = "stock.returned.v1"
    TOPIC = "inventory"
    KEY = ("order_id",)

    order_id: Id
    lines: StockLines
    condition: Literal["resellable", "damaged"]
    return_id: Id | None = None
    warehouse: Warehouse | None = None


class StockAdjusted(_StockOfSku):
    """A correction with its reason; one that a count made names the count (INV-10)."""

    TYPE = "stock.adjusted.v1"

    warehouse: Warehouse
    quantity: SignedUnits
    reason: Literal["damaged", "lost", "found", "correction", "unmatched_return", "write_off"]
    by: Label
    count_id: Id | None = None
    adjustment_id: Id | None = None


class StockCounted(Event):
    """A count was compared with the ledger."""

    TYPE = "stock.counted.v1"
    TOPIC = "inventory"
    KEY = ("count_id",)

    count_id: Id
    warehouse: Warehouse
    as_of: Instant
    source: Literal["erp", "person"]
    item_count: Count
    difference_count: Count | None = None
    """how many differ; `differences` may list fewer of them"""
    differences: Annotated[tuple[CountDifference, ...], Strict(False), Field(max_length=5_000)]


class StockLevel(_StockOfSku):
    """The level of a SKU after a commit that changed it; one a SKU and commit, version + 1 each."""

    TYPE = "stock.level.v1"

    version: Version
    on_hand: Units
    held: Units
    allocated: Units
    locked: Units
    short: Units
    returning: Units
    damaged: Units
    safety: Units
    safety_hidden: Units
    available: Units
    """max(0, on_hand - held - allocated - locked - safety_hidden)"""
    warehouses: Annotated[tuple[WarehouseLevel, ...], Strict(False), Field(max_length=1_000)]


class _StockEdge(_StockOfSku):
    available: Units
    safety: Units


class StockRanLow(_StockEdge):
    """Available fell under the safety level (INV-3, D23)."""

    TYPE = "stock.ran_low.v1"


class StockSoldOut(_StockEdge):
    """Available reached zero (INV-3, D23)."""

    TYPE = "stock.sold_out.v1"


class StockBackIn(_StockEdge):
    """Available is clearly above the safety level again (D23)."""

    TYPE = "stock.back_in.v1"


class StockMismatched(_StockOfSku):
    """Stock or reconciliation found something other than expected (INV-11)."""

    TYPE = "stock.mismatched.v1"

    kind: Annotated[Label, Field(examples=["write_off_beyond_on_hand"])]
    expected: SignedUnits
    found: SignedUnits


class StockOversold(_StockOfSku):
    """Promises exceed what is there: which orders are short, and what may be done (INV-5)."""

    TYPE = "stock.oversold.v1"

    short: Quantity
    """units of this SKU that are short now"""
    affected_orders: Annotated[tuple[ShortOrder, ...], Strict(False), Field(max_length=1_000)]
    """the latest are short first, storefront holds last"""
    remedy: Annotated[
        tuple[Literal["urgent_restock", "delay_coupon", "priority_shipping", "cancel"], ...], Strict(False)
    ]
    """what is proposed, the first best"""


class _CampaignStock(_StockOfSku):
    campaign: Id
    quantity: Quantity
    wanted: Units | None = None
    """what the campaign asked for in all"""
    locked: Units | None = None
    """what is locked for it now"""
    taken: Units | None = None
    """what its orders have taken out of the lock"""
    starts_at: Instant | None = None
    ends_at: Instant | None = None


class StockLocked(_CampaignStock):
    """Units are set aside for a campaign (INV-7)."""

    TYPE = "stock.locked.v1"


class StockUnlocked(_CampaignStock):
    """What a campaign did not sell is open stock again, or a correction took what was locked for it."""

    TYPE = "stock.unlocked.v1"

    has_ended: bool | None = None
    """whether the lock is over; else receipts top it up again"""


class _SkuEvent(Event):
    TOPIC = "catalog"
    KEY = ("sku",)

    sku: Sku


class _SkuListing(_SkuEvent):
    kind: SkuKind
    title: Label
    category: Label | None = None
    image_url: Url | None = None
    price_cents: Cents
    cost_cents: Cents | None = None
    safety: Units | None = None
    lead_days: Count | None = None


class SkuListed(_SkuListing):
    """A SKU is on sale."""

    TYPE = "sku.listed.v1"


class SkuDelisted(_SkuListing):
    """A SKU is no longer on sale."""

    TYPE = "sku.delisted.v1"


class SkuChanged(_SkuEvent):
    """Fields of a SKU changed."""

    TYPE = "sku.changed.v1"

    before: SkuFields
    after: SkuFields
    by: Label | None = None
