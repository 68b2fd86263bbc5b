"""What was promised: reservations with their lines, and stock locked for campaigns (INV-5, INV-7, D18, D22)."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.inventory.domain.stock import Key, State


class Status(StrEnum):
    """Where a reservation is. Refused, released and expired are final."""

    HELD = "held"
    ALLOCATED = "allocated"
    RELEASED = "released"
    EXPIRED = "expired"
    REFUSED = "refused"


class Shortage(NamedTuple):
    """A SKU of which not enough could be promised."""

    sku: str
    wanted: int
    available: int


@dataclass(slots=True)
class Line:
    """One SKU of a reservation: what was asked for, and where its units are now.

    `promised` units are in the house (held or allocated, as the reservation is); `from_lock` of them came out of the
    campaign's lock. `returned` units came back and were inspected. `position` is its place in the reservation.
    """

    sku: str
    quantity: int
    is_goods: bool = True
    promised: int = 0
    from_lock: int = 0
    short: int = 0
    shipped: int = 0
    sold: int = 0
    returning: int = 0
    returned: int = 0
    warehouse: str | None = None
    position: int = 0


@dataclass(slots=True)
class Reservation:
    """A promise of units to a cart or an order, all lines together.

    `ordered_at` says who came first when there is not enough; `is_outside` orders were sold elsewhere and are facts.
    """

    store: str
    reservation_id: str
    status: Status
    ordered_at: datetime
    order_id: str | None = None
    customer_id: str | None = None
    campaign: str | None = None
    is_outside: bool = False
    expires_at: datetime | None = None
    lines: dict[str, Line] = field(default_factory=dict)
    refusal: tuple[Shortage, ...] = ()
    is_whole: bool = True
    """Whether all of its lines are loaded; else only some, to be filled or shortened, and its head stays as it is."""

    @property
    def key(self) -> Key:
        return self.store, self.reservation_id

    @property
    def is_open(self) -> bool:
        """Whether it may still hold units."""
        return self.status in (Status.HELD, Status.ALLOCATED)

    @property
    def state(self) -> State:
        """Where its promised units are."""
        return State.ALLOCATED if self.status is Status.ALLOCATED else State.HELD

    @property
    def pieces(self) -> dict[str, int]:
        """What was asked for."""
        return {sku: line.quantity for sku, line in self.lines.items()}

    def has_expired(self, now: datetime) -> bool:
        """Whether its hold has run out, swept or not."""
        return self.status is Status.HELD and self.expires_at is not None and self.expires_at <= now

    def yields_before(self) -> tuple[bool, datetime, str]:
        """Sort key, greatest first, for who loses units: the latest order first, storefront holds last (INV-5)."""
        is_storefront_hold = self.status is Status.HELD and not self.is_outside
        return not is_storefront_hold, self.ordered_at, self.reservation_id


@dataclass(slots=True)
class Lock:
    """Units of a SKU set aside for a campaign: `locked` are left, `taken` went to its orders (INV-7)."""

    store: str
    campaign: str
    sku: str
    wanted: int
    locked: int
    taken: int
    starts_at: datetime
    ends_at: datetime
    has_ended: bool = False

    @property
    def missing(self) -> int:
        """Units that the campaign asked for and has not got yet."""
        return 0 if self.has_ended else max(0, self.wanted - self.locked - self.taken)
