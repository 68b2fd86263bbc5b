"""The working set of one transaction: locked levels, the promises on them, and what is written about every change.

Decisions change the book through the few moves below, so that a level, its promises and its ledger cannot disagree.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from libs.events.contracts import (
    StockAdjusted,
    StockAllocated,
    StockBackIn,
    StockLine,
    StockMismatched,
    StockOversold,
    StockRanLow,
    StockReserved,
    StockSoldOut,
)
from libs.events.contracts.base import Event
from libs.events.contracts.inventory import ShortOrder
from services.inventory.domain.commands import Cause
from services.inventory.domain.promises import Line, Lock, Reservation, Status
from services.inventory.domain.stock import Edge, Key, Kind, Level, Movement, State, Warehouse, edge_after
from services.inventory.domain.telling import level_event, locked_event, unlocked_event

REMEDIES: Final = ("urgent_restock", "delay_coupon", "priority_shipping", "cancel")
MAX_AFFECTED = 1_000

OpenLine = tuple[Reservation, Line]


class Refusal(NamedTuple):
    """Somebody asked for more of a SKU than he could have: demand that was lost, and what he saw."""

    store: str
    sku: str
    reservation_id: str
    at: datetime
    wanted: int
    available: int
    version: int


class Fact(NamedTuple):
    """An event to be published with the commit, and the command that it came of."""

    store: str
    event: Event
    cause: Cause


@dataclass(slots=True)
class Book:
    """What a transaction has locked and loaded, and what it has decided so far."""

    levels: dict[Key, Level] = field(default_factory=dict)
    reservations: dict[Key, Reservation] = field(default_factory=dict)
    lines_of: dict[Key, dict[str, OpenLine]] = field(default_factory=lambda: defaultdict(dict))
    locks_of: dict[Key, list[Lock]] = field(default_factory=lambda: defaultdict(list))
    moved_since: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(store, sku, warehouse) -> change of on hand recorded so far and dated after the count's `as_of`"""

    movements: list[Movement] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    new_reservations: dict[Key, Reservation] = field(default_factory=dict)
    changed_reservations: dict[Key, Reservation] = field(default_factory=dict)
    changed_lines: dict[tuple[str, str, str], OpenLine] = field(default_factory=dict)
    changed_locks: dict[tuple[str, str, str], Lock] = field(default_factory=dict)
    _by_order: dict[Key, list[Reservation]] = field(default_factory=lambda: defaultdict(list))
    _carts: dict[Key, dict[str, Reservation]] = field(default_factory=lambda: defaultdict(dict))
    _before: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    _touched: dict[Key, Cause] = field(default_factory=dict)
    _restocked: set[tuple[str, str, str]] = field(default_factory=set)
    _oversold: dict[Key, dict[str, int]] = field(default_factory=dict)

    # loading

    def add_level(self, level: Level) -> None:
        """Put a locked level into the book, as the database has it."""
        self.levels[level.key] = level
        self._before[level.key] = level.terms()

    def add_reservation(self, reservation: Reservation) -> None:
        """Put a reservation (or those of its lines that are needed) into the book; lines of known ones are joined."""
        known = self.reservations.get(reservation.key)
        if known is None:
            self.reservations[reservation.key] = known = reservation
            self._index(known)
        else:
            known.lines |= {sku: line for sku, line in reservation.lines.items() if sku not in known.lines}
            known.is_whole = known.is_whole or reservation.is_whole
        for line in known.lines.values():
            self.lines_of[known.store, line.sku].setdefault(known.reservation_id, (known, line))

    def add_lock(self, lock: Lock) -> None:
        """Put a campaign's lock into the book."""
        self.locks_of[lock.store, lock.sku].append(lock)

    def _index(self, reservation: Reservation) -> None:
        store = reservation.store
        if reservation.order_id is not None:
            self._by_order[store, reservation.order_id].append(reservation)
        elif reservation.customer_id is not None:
            self._carts[store, reservation.customer_id][reservation.reservation_id] = reservation

    # reading

    def level(self, store: str, sku: str) -> Level | None:
        """The level of a SKU, None where nobody has heard of it."""
        return self.levels.get((store, sku))

    def of_order(self, store: str, order_id: str) -> list[Reservation]:
        """The reservations of an order, as they were made."""
        return self._by_order.get((store, order_id), [])

    def carts_of(self, store: str, customer_id: str) -> list[Reservation]:
        """A customer's holds without an order (D18)."""
        carts = self._carts.get((store, customer_id), {})
        return [r for r in carts.values() if r.status is Status.HELD and r.order_id is None]

    def open_lines(self, level: Level) -> list[OpenLine]:
        """The promises on a SKU that the book knows of."""
        return [(r, line) for r, line in self.lines_of[level.key].values() if r.is_open]

    def lock_of(self, level: Level, campaign: str | None) -> Lock | None:
        """The campaign's lock on the SKU, while it lasts."""
        if campaign is None:
            return None
        return next((k for k in self.locks_of.get(level.key, ()) if k.campaign == campaign and not k.has_ended), None)

    # writing

    def tell(self, store: str, event: Event, cause: Cause) -> None:
        """Have an event published with the commit."""
        self.facts.append(Fact(store, event, cause))

    def open(self, reservation: Reservation) -> Reservation:
        """Take up a new reservation."""
        self.reservations[reservation.key] = reservation
        self.new_reservations[reservation.key] = reservation
        self._index(reservation)
        return reservation

    def add_line(self, reservation: Reservation, sku: str, quantity: int, *, is_goods: bool = True) -> Line:
        """Give a reservation another SKU."""
        line = Line(sku, quantity, is_goods, position=len(reservation.lines))
        reservation.lines[sku] = line
        self.lines_of[reservation.store, sku][reservation.reservation_id] = (reservation, line)
        self.changed_lines[reservation.store, reservation.reservation_id, sku] = (reservation, line)
        return line

    def set_status(self, reservation: Reservation, status: Status) -> None:
        """Move a reservation on."""
        reservation.status = status
        self.mark(reservation)

    def attach(self, reservation: Reservation, order_id: str) -> None:
        """Give a cart's hold to an order."""
        if reservation.customer_id is not None:
            self._carts[reservation.store, reservation.customer_id].pop(reservation.reservation_id, None)
        reservation.order_id = order_id
        self._by_order[reservation.store, order_id].append(reservation)
        self.mark(reservation)

    def mark(self, reservation: Reservation) -> None:
        """Have the changed head of a reservation saved."""
        if reservation.key not in self.new_reservations:
            self.changed_reservations[reservation.key] = reservation

    def mark_line(self, reservation: Reservation, line: Line) -> None:
        """Have a changed line saved."""
        self.changed_lines[reservation.store, reservation.reservation_id, line.sku] = (reservation, line)

    def mark_lock(self, lock: Lock) -> None:
        """Have a changed lock saved."""
        self.changed_locks[lock.store, lock.campaign, lock.sku] = lock

    def move(
        self,
        level: Level,
        kind: Kind,
        source: State,
        target: State,
        quantity: int,
        cause: Cause,
        *,
        warehouse: str | None = None,
        reason: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Move units between two states: the level and the ledger in one step. Nothing moves for 0 units."""
        if quantity == 0:
            return
        level.shift(source, -quantity)
        level.shift(target, quantity)
        level.has_moved = True
        self._touched[level.key] = cause
        self.movements.append(
            Movement(
                level.store,
                level.sku,
                warehouse,
                at or cause.at,
                kind,
                quantity,
                source,
                target,
                cause.type,
                cause.id,
                cause.by,
                reason,
            )
        )

    def touch(self, level: Level, cause: Cause) -> None:
        """Have a level saved whose description changed."""
        self._touched[level.key] = cause

    def restock(self, level: Level, place: Warehouse, quantity: int) -> None:
        """Change what a warehouse has on hand (the level's own sum is changed by `move`)."""
        place.on_hand += quantity
        self._restocked.add((level.store, level.sku, place.warehouse))

    def absorb(self, level: Level, place: Warehouse, change: int, cause: Cause) -> None:
        """Undo, visibly, a change of on hand that a later count had already seen (D25); told as a correction."""
        if place.counted_as_of is None or cause.at > place.counted_as_of or change == 0:
            return
        undone = -min(change, place.on_hand) if change > 0 else -change
        if undone == 0:
            return
        if undone < 0:
            self.make_free(level, -undone, cause)
        states = (State.OUTSIDE, State.ON_HAND) if undone > 0 else (State.ON_HAND, State.OUTSIDE)
        self.move(level, Kind.COUNTED, *states, abs(undone), cause, warehouse=place.warehouse, reason="already counted")
        self.restock(level, place, undone)
        event = StockAdjusted(
            sku=level.sku, warehouse=place.warehouse, quantity=undone, reason="correction", by=cause.by
        )
        self.tell(level.store, event, cause)

    # promises

    def claim(self, reservation: Reservation, line: Line, quantity: int, cause: Cause) -> None:
        """Promise units to a line: out of its campaign's lock first, then out of what is free (D24)."""
        level = self.levels[reservation.store, line.sku]
        lock = self.lock_of(level, reservation.campaign)
        if lock is not None:
            from_lock = min(lock.locked, quantity)
            self._take_from_lock(lock, from_lock)
            self.move(level, Kind.HELD, State.LOCKED, State.HELD, from_lock, cause)
            line.from_lock += from_lock
            self.move(level, Kind.HELD, State.ON_HAND, State.HELD, quantity - from_lock, cause)
        else:
            self.move(level, Kind.HELD, State.ON_HAND, State.HELD, quantity, cause)
        if reservation.status is Status.ALLOCATED:
            self.move(level, Kind.ALLOCATED, State.HELD, State.ALLOCATED, quantity, cause)
        line.promised += quantity
        self.mark_line(reservation, line)

    def _take_from_lock(self, lock: Lock, quantity: int) -> None:
        if quantity:
            lock.locked -= quantity
            lock.taken += quantity
            self.mark_lock(lock)

    def give_back(self, reservation: Reservation, line: Line, quantity: int, kind: Kind, cause: Cause) -> None:
        """Take promised units back: open stock first, then the lock's, which gets them again while it lasts."""
        level = self.levels[reservation.store, line.sku]
        to_lock = max(0, quantity - (line.promised - line.from_lock))
        line.promised -= quantity
        line.from_lock -= to_lock
        self.mark_line(reservation, line)
        lock = self.lock_of(level, reservation.campaign)
        if lock is None:
            self.move(level, kind, reservation.state, State.ON_HAND, quantity, cause)
            return
        self._take_from_lock(lock, -to_lock)
        self.move(level, kind, reservation.state, State.LOCKED, to_lock, cause)
        self.move(level, kind, reservation.state, State.ON_HAND, quantity - to_lock, cause)

    def owe(self, reservation: Reservation, line: Line, quantity: int, cause: Cause) -> None:
        """Note units that a line should have and cannot get (D22)."""
        if quantity == 0:
            return
        level = self.levels[reservation.store, line.sku]
        self.move(level, Kind.SHORTED, State.OUTSIDE, State.SHORT, quantity, cause)
        line.short += quantity
        self.mark_line(reservation, line)
        orders = self._oversold.setdefault(level.key, {})
        if reservation.order_id is not None:
            orders[reservation.order_id] = orders.get(reservation.order_id, 0) + quantity

    def forgive(self, reservation: Reservation, line: Line, quantity: int, kind: Kind, cause: Cause) -> None:
        """Strike units that a line was owed."""
        if quantity == 0:
            return
        self.move(self.levels[reservation.store, line.sku], kind, State.SHORT, State.OUTSIDE, quantity, cause)
        line.short -= quantity
        self.mark_line(reservation, line)

    def make_free(self, level: Level, quantity: int, cause: Cause) -> None:
        """See to it that so many units are free: locks give first, then promises become short (D22, INV-5).

        The caller has seen to it that there are so many units in the house.
        """
        for lock in self.locks_of.get(level.key, ()):
            taken = min(lock.locked, max(0, quantity - level.free))
            if taken:
                lock.locked -= taken
                self.mark_lock(lock)
                self.move(level, Kind.UNLOCKED, State.LOCKED, State.ON_HAND, taken, cause)
                self.tell(level.store, unlocked_event(lock, taken), cause)
        if level.free >= quantity:
            return
        for reservation, line in sorted(self.open_lines(level), key=lambda o: o[0].yields_before(), reverse=True):
            if level.free >= quantity:
                return
            self._shorten(level, reservation, line, min(line.promised, quantity - level.free), cause)

    def _shorten(self, level: Level, reservation: Reservation, line: Line, quantity: int, cause: Cause) -> None:
        if quantity == 0:
            return
        self.move(level, Kind.SHORTED, reservation.state, State.ON_HAND, quantity, cause)
        from_lock = max(0, quantity - (line.promised - line.from_lock))
        line.promised -= quantity
        line.from_lock -= from_lock
        lock = self.lock_of(level, reservation.campaign)
        if lock is not None and from_lock:
            lock.taken -= from_lock
            self.mark_lock(lock)
        self.owe(reservation, line, quantity, cause)

    def fill(self, level: Level, cause: Cause, *, came_in: bool = False) -> list[OpenLine]:
        """Give free units to those who are short, oldest first; what came in from outside tops up locks too (D22, D24).

        Returns the lines that got units; the caller has nothing to do with them but may look.
        """
        filled = []
        if level.short and level.free:
            waiting = [open_line for open_line in self.open_lines(level) if open_line[1].short]
            for reservation, line in sorted(waiting, key=lambda o: (o[0].ordered_at, o[0].reservation_id)):
                quantity = min(line.short, level.free)
                if quantity:
                    self._fill_line(level, reservation, line, quantity, cause)
                    filled.append((reservation, line))
        if came_in:
            self._top_up_locks(level, cause)
        return filled

    def _fill_line(self, level: Level, reservation: Reservation, line: Line, quantity: int, cause: Cause) -> None:
        self.move(level, Kind.FILLED, State.SHORT, State.OUTSIDE, quantity, cause)
        self.move(level, Kind.FILLED, State.ON_HAND, reservation.state, quantity, cause)
        line.short -= quantity
        line.promised += quantity
        self.mark_line(reservation, line)
        self._tell_filled(reservation, line.sku, quantity, cause)

    def _tell_filled(self, reservation: Reservation, sku: str, quantity: int, cause: Cause) -> None:
        lines = (StockLine(sku=sku, quantity=quantity),)
        event: Event
        if reservation.status is Status.ALLOCATED and reservation.order_id is not None:
            event = StockAllocated(
                reservation_id=reservation.reservation_id, order_id=reservation.order_id, lines=lines
            )
        else:
            event = StockReserved(
                reservation_id=reservation.reservation_id,
                order_id=reservation.order_id,
                campaign=reservation.campaign,
                lines=lines,
                expires_at=reservation.expires_at,
            )
        self.tell(reservation.store, event, cause)

    def _top_up_locks(self, level: Level, cause: Cause) -> None:
        for lock in sorted(self.locks_of.get(level.key, ()), key=lambda k: (k.starts_at, k.campaign)):
            self.lock_more(level, lock, lock.missing, cause)

    def lock_more(self, level: Level, lock: Lock, wanted: int, cause: Cause) -> int:
        """Lock as many of the wanted units as are available, and say how many."""
        quantity = min(wanted, level.available)
        if quantity <= 0:
            return 0
        self.move(level, Kind.LOCKED, State.ON_HAND, State.LOCKED, quantity, cause)
        lock.locked += quantity
        self.mark_lock(lock)
        self.tell(level.store, locked_event(lock, quantity), cause)
        return quantity

    def mismatch(self, level: Level, kind: str, expected: int, found: int, cause: Cause) -> None:
        """Tell that the ledger and the world disagree (INV-11)."""
        self.tell(level.store, StockMismatched(sku=level.sku, kind=kind, expected=expected, found=found), cause)

    # closing

    def close(self) -> list[Level]:
        """Give every changed level its next version, tell levels, edges and oversells; returns the levels to save."""
        saved = []
        for key in sorted(self._touched):
            level, cause = self.levels[key], self._touched[key]
            if level.has_moved and level.terms() != self._before[key]:
                level.version += 1
                self._stamp(level)
                self._tell_level(level, cause)
            self._tell_oversold(level, cause)
            saved.append(level)
        return saved

    def _stamp(self, level: Level) -> None:
        for place in level.warehouses:
            if (level.store, level.sku, place.warehouse) in self._restocked:
                place.version = level.version

    def _tell_level(self, level: Level, cause: Cause) -> None:
        self.tell(level.store, level_event(level), cause)
        before, level.edge = level.edge, edge_of(level)
        if before is not level.edge:
            self.tell(
                level.store, _EDGES[level.edge](sku=level.sku, available=level.available, safety=level.safety), cause
            )

    def _tell_oversold(self, level: Level, cause: Cause) -> None:
        orders = self._oversold.get(level.key)
        if orders is None or level.short == 0:
            return
        affected = [ShortOrder(order_id=order, quantity=n) for order, n in list(orders.items())[:MAX_AFFECTED]]
        self.tell(
            level.store,
            StockOversold(sku=level.sku, short=level.short, affected_orders=tuple(affected), remedy=REMEDIES),
            cause,
        )


_EDGES: dict[Edge, type[StockRanLow] | type[StockSoldOut] | type[StockBackIn]] = {
    Edge.LOW: StockRanLow,
    Edge.SOLD_OUT: StockSoldOut,
    Edge.CLEAR: StockBackIn,
}


def edge_of(level: Level) -> Edge:
    """The warning that stands at this level; SKUs that the catalogue does not know raise none."""
    if not level.is_known:
        return level.edge
    return edge_after(level.edge, level.available, level.safety)
