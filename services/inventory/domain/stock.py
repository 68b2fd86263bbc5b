"""A SKU's level, its states and edges, and the movements between them (INV-3, INV-6, D21 to D26, D76)."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

DEFAULT_WAREHOUSE = "main"

Key = tuple[str, str]
"""(store, sku)"""


class State(StrEnum):
    """Where a unit can be. `ON_HAND` is the free part of what is in the house; `SHORT` is owed, not there."""

    OUTSIDE = "outside"
    ON_HAND = "on_hand"
    HELD = "held"
    ALLOCATED = "allocated"
    LOCKED = "locked"
    SHORT = "short"
    SHIPPED = "shipped"
    SOLD = "sold"
    RETURNING = "returning"
    DAMAGED = "damaged"


HOUSE = frozenset({State.ON_HAND, State.HELD, State.ALLOCATED, State.LOCKED})
"""The states whose units are sellable goods in the house: they add up to `on_hand` of the level."""


class Kind(StrEnum):
    """Why units moved."""

    RECEIVED = "received"
    HELD = "held"
    RELEASED = "released"
    EXPIRED = "expired"
    ALLOCATED = "allocated"
    SHIPPED = "shipped"
    RETURNED = "returned"
    RETURNING = "returning"
    SOLD = "sold"
    ADJUSTED = "adjusted"
    COUNTED = "counted"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    SHORTED = "shorted"
    FILLED = "filled"


class Edge(StrEnum):
    """The last warning that stands (D23)."""

    CLEAR = "clear"
    LOW = "low"
    SOLD_OUT = "sold_out"


class Movement(NamedTuple):
    """One ledger entry: `quantity` (above 0) units leave one state and enter another (INV-6)."""

    store: str
    sku: str
    warehouse: str | None
    at: datetime
    kind: Kind
    quantity: int
    from_state: State
    to_state: State
    cause_type: str
    cause_id: str
    by: str
    reason: str | None


@dataclass(slots=True)
class Warehouse:
    """A SKU's units in one warehouse. `version` is the level's when `on_hand` last changed here (D25)."""

    warehouse: str
    on_hand: int = 0
    returning: int = 0
    damaged: int = 0
    version: int = 0
    counted_as_of: datetime | None = None


@dataclass(slots=True)
class Level:
    """A SKU's units by state. Promises never exceed what is there: held + allocated + locked <= on_hand (P1, D22)."""

    store: str
    sku: str
    version: int = 0
    on_hand: int = 0
    held: int = 0
    allocated: int = 0
    locked: int = 0
    short: int = 0
    returning: int = 0
    damaged: int = 0
    safety: int = 10
    safety_hidden: int = 0
    edge: Edge = Edge.CLEAR
    is_known: bool = True
    is_goods: bool = True
    has_moved: bool = False
    last_sold_at: datetime | None = None
    warehouses: list[Warehouse] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return self.store, self.sku

    @property
    def free(self) -> int:
        """Units in the house that nobody has been promised."""
        return self.on_hand - self.held - self.allocated - self.locked

    @property
    def available(self) -> int:
        """What a storefront may still promise (D22)."""
        return max(0, self.free - self.safety_hidden)

    @property
    def state(self) -> str:
        """`unstocked`, `sold_out`, `low` or `in_stock`, as a reader sees it now."""
        if not self.has_moved:
            return "unstocked"
        if self.available == 0:
            return "sold_out"
        return "low" if self.available < self.safety else "in_stock"

    def warehouse(self, name: str) -> Warehouse:
        """The SKU's units in that warehouse; a new, empty one where there were none yet."""
        for one in self.warehouses:
            if one.warehouse == name:
                return one
        new = Warehouse(name)
        self.warehouses.append(new)
        return new

    def fullest(self, first: str | None = None) -> list[Warehouse]:
        """Warehouses in the order in which units are taken: the one asked for, then those with most on hand (D21)."""
        return sorted(self.warehouses, key=lambda w: (w.warehouse != first, -w.on_hand, w.warehouse))

    def shift(self, state: State, quantity: int) -> None:
        """Add units to a state (or take them, below 0)."""
        if state in HOUSE:
            self.on_hand += quantity
        term = _TERMS.get(state)
        if term is not None:
            setattr(self, term, getattr(self, term) + quantity)

    def terms(self) -> tuple[int, ...]:
        """Everything that a level event tells, to see whether anything changed."""
        return (
            self.on_hand,
            self.held,
            self.allocated,
            self.locked,
            self.short,
            self.returning,
            self.damaged,
            self.safety,
            self.safety_hidden,
            self.is_known,
        )


_TERMS = {
    State.HELD: "held",
    State.ALLOCATED: "allocated",
    State.LOCKED: "locked",
    State.SHORT: "short",
    State.RETURNING: "returning",
    State.DAMAGED: "damaged",
}


def rearm_at(safety: int) -> int:
    """The available units at which a warning is taken back and may be raised again (D23)."""
    return safety + max(1, -(-safety // 10))


def edge_after(edge: Edge, available: int, safety: int) -> Edge:
    """The warning that stands at so many available units: raised at once, taken back only at `rearm_at` (INV-3)."""
    if available == 0:
        return Edge.SOLD_OUT
    if available < safety:
        return edge if edge is Edge.SOLD_OUT else Edge.LOW
    if edge is not Edge.CLEAR and available < rearm_at(safety):
        return edge
    return Edge.CLEAR
