"""What can be asked of stock, and what comes of it. Every command says which rows it needs before it is decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from services.inventory.domain.promises import Status
from services.inventory.domain.stock import Level

AdjustmentReason = Literal["damaged", "lost", "found", "correction", "unmatched_return", "write_off"]
Condition = Literal["resellable", "damaged"]
ReleaseReason = Literal["cancelled", "expired", "amended", "released", "replaced"]


class Piece(NamedTuple):
    """A number of units of a SKU."""

    sku: str
    quantity: int


def summed(pieces: Sequence[Piece]) -> dict[str, int]:
    """Units a SKU, in order of first mention: a SKU on two lines is one wish (D24)."""
    if len(pieces) == 1:
        return dict(pieces)
    total: dict[str, int] = {}
    for sku, quantity in pieces:
        total[sku] = total.get(sku, 0) + quantity
    return total


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a command was given: kept with every movement that comes of it.

    `at` is when it happened, `trigger` whatever the giver wants back with the events (the domain does not look at it).
    """

    type: str
    id: str
    at: datetime
    by: str
    import_id: str | None = None
    trigger: object = None


@dataclass(frozen=True, slots=True)
class Command:
    """Something asked of one store's stock."""

    store: str
    cause: Cause

    may_free: ClassVar[bool] = False
    may_take: ClassVar[bool] = False
    """Whether promised units may be lost: then the promises on its SKUs must be known."""
    creates_levels: ClassVar[bool] = False
    """Whether SKUs that nobody has heard of get a level (D13)."""
    brings_in: ClassVar[bool] = False
    """Whether units come into the house: then locks that are not full must be known (D24)."""

    def frees(self, level: Level) -> bool:
        """Whether units of this SKU may become free: then those who are short of it must be known."""
        return self.may_free

    @property
    def skus(self) -> Sequence[str]:
        """SKUs to lock, besides those of the reservations below."""
        return ()

    @property
    def wishes(self) -> "Sequence[Piece]":
        """What it may be refused for want of stock: expired holds on these SKUs must be known, to be swept (D18)."""
        return ()

    @property
    def reservation_ids(self) -> Sequence[str]:
        return ()

    @property
    def order_id(self) -> str | None:
        """An order all of whose reservations are needed."""
        return None

    @property
    def cart_of(self) -> str | None:
        """A customer whose holds without an order are needed."""
        return None


@dataclass(frozen=True, slots=True)
class _OfSku(Command):
    sku: str

    @property
    def skus(self) -> Sequence[str]:
        return (self.sku,)


@dataclass(frozen=True, slots=True)
class _OfOrder(Command):
    order: str

    @property
    def order_id(self) -> str | None:
        return self.order


@dataclass(frozen=True, slots=True)
class _OfOrderLines(_OfOrder):
    pieces: tuple[Piece, ...]

    creates_levels: ClassVar[bool] = True

    @property
    def skus(self) -> Sequence[str]:
        return [piece.sku for piece in self.pieces]


# Goods in, corrections, counts


@dataclass(frozen=True, slots=True)
class Receive(_OfSku):
    """Goods came in."""

    warehouse: str
    quantity: int
    cost_cents: int | None = None

    brings_in: ClassVar[bool] = True
    may_free: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Adjust(_OfSku):
    """A correction by a signed number of units; `damaged` moves them to damaged, or back when above 0 (D56)."""

    warehouse: str
    quantity: int
    reason: AdjustmentReason

    brings_in: ClassVar[bool] = True
    may_free: ClassVar[bool] = True
    may_take: ClassVar[bool] = True


class Counted(NamedTuple):
    """One line of a count. With `version`, it is only valid if nothing moved since that version of the level."""

    sku: str
    on_hand: int
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Count(Command):
    """Somebody counted: an assertion about what was on hand at `as_of` (INV-10, D25)."""

    count_id: str
    warehouse: str
    as_of: datetime
    source: Literal["erp", "person"]
    items: tuple[Counted, ...]

    brings_in: ClassVar[bool] = True
    may_free: ClassVar[bool] = True
    may_take: ClassVar[bool] = True

    @property
    def skus(self) -> Sequence[str]:
        return [item.sku for item in self.items]


# Holds


@dataclass(frozen=True, slots=True)
class Reserve(Command):
    """Hold all lines or none (INV-4). `allocate` gives the units to the order at once; `replaces` names a hold of the
    same order that the new one takes the place of; `backorder` takes what there is and waits for the rest."""

    reservation_id: str
    pieces: tuple[Piece, ...]
    expires_at: datetime | None
    order: str | None = None
    customer_id: str | None = None
    campaign: str | None = None
    allocate: bool = False
    replaces: str | None = None
    backorder: bool = False

    may_free: ClassVar[bool] = True

    @property
    def skus(self) -> Sequence[str]:
        return [piece.sku for piece in self.pieces]

    @property
    def wishes(self) -> Sequence[Piece]:
        return self.pieces

    @property
    def reservation_ids(self) -> Sequence[str]:
        return (self.reservation_id, self.replaces) if self.replaces else (self.reservation_id,)

    @property
    def cart_of(self) -> str | None:
        return self.customer_id


@dataclass(frozen=True, slots=True)
class _OfReservation(Command):
    reservation_id: str

    @property
    def reservation_ids(self) -> Sequence[str]:
        return (self.reservation_id,)


@dataclass(frozen=True, slots=True)
class Release(_OfReservation):
    """Give back what a reservation still holds."""

    reason: ReleaseReason = "released"

    may_free: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Allocate(_OfReservation):
    """The paid order owns the held units now."""

    order: str


@dataclass(frozen=True, slots=True)
class Expire(_OfReservation):
    """Take back a hold that has run out."""

    may_free: ClassVar[bool] = True


# What happens to orders


@dataclass(frozen=True, slots=True)
class AcceptOutside(_OfOrderLines):
    """An order sold elsewhere: a fact. It gets what there is; the rest is short (INV-5, D22)."""

    reservation_id: str
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class Pay(_OfOrderLines):
    """An order was paid: its hold is allocated, or taken anew when it had run out (D16)."""

    campaign: str | None = None

    @property
    def wishes(self) -> Sequence[Piece]:
        return self.pieces


@dataclass(frozen=True, slots=True)
class Cancel(_OfOrder):
    """An order was cancelled: everything that it still holds is free again."""

    may_free: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Amend(_OfOrderLines):
    """An order's lines are now these."""

    may_free: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Ship(_OfOrderLines):
    """A parcel left with these units."""

    shipment_id: str
    warehouse: str | None = None

    def frees(self, level: Level) -> bool:
        """Only where a count has seen the shelf without these units already (D25)."""
        return any(w.counted_as_of is not None and w.counted_as_of >= self.cause.at for w in level.warehouses)


@dataclass(frozen=True, slots=True)
class AwaitReturn(_OfOrderLines):
    """A return was approved: its units are on their way back (D20)."""

    return_id: str


@dataclass(frozen=True, slots=True)
class TakeBack(_OfOrderLines):
    """A return was inspected: its units are on hand or damaged (D20)."""

    return_id: str
    condition: Condition
    warehouse: str | None = None

    brings_in: ClassVar[bool] = True
    may_free: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Complete(_OfOrder):
    """The return window of an order is over: what was shipped is sold (D76)."""


# Campaigns and policy


@dataclass(frozen=True, slots=True)
class LockStock(_OfSku):
    """Set units aside for a campaign; what is missing comes from receipts (INV-7, D24)."""

    campaign: str
    quantity: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Unlock(_OfSku):
    """A campaign ended, or gives its stock back: what is left is open stock again (D56)."""

    campaign: str

    may_free: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Describe(_OfSku):
    """What the catalogue and the policies say about a SKU."""

    safety: int
    safety_hidden: int
    is_goods: bool = True

    creates_levels: ClassVar[bool] = True


# What comes of them


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, or there was nothing to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A reservation as it stands after the command."""

    reservation_id: str
    status: Status
    pieces: tuple[Piece, ...]
    expires_at: datetime | None
    order_id: str | None = None
    short: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Adjusted:
    """How many units really moved; fewer than asked for where there were not that many (D58)."""

    applied: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What a count found about one SKU."""

    sku: str
    expected: int
    counted: int
    difference: int
    status: Literal["applied", "stale", "unknown_sku"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A count, line by line."""

    lines: tuple[Difference, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The lines that people want to see."""
        return tuple(line for line in self.lines if line.difference or line.status != "applied")


@dataclass(frozen=True, slots=True)
class LockedStock:
    """How much of a lock could be set aside."""

    sku: str
    wanted: int
    locked: int


Outcome = Done | Standing | Adjusted | Compared | LockedStock
