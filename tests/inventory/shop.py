"""A store's stock in memory: runs commands through real books, and says what is broken afterwards."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from libs.events.contracts.base import Event
from libs.service.errors import Problem
from services.inventory.domain import commands as c
from services.inventory.domain.book import Book
from services.inventory.domain.decide import decide
from services.inventory.domain.promises import Lock, Reservation, Status
from services.inventory.domain.stock import HOUSE, Level, Movement, State

STORE = "demo"
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


def cause(name: str = "x", at: datetime = NOON, kind: str = "test") -> c.Cause:
    return c.Cause(kind, name, at, "tester")


@dataclass
class Shop:
    """What the database would hold."""

    levels: dict[str, Level] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    locks: list[Lock] = field(default_factory=list)
    ledger: list[Movement] = field(default_factory=list)
    sums: Counter[tuple[str, State]] = field(default_factory=Counter)
    events: list[Event] = field(default_factory=list)
    now: datetime = NOON

    def stocked(self, sku: str, quantity: int, *, safety: int = 0, warehouse: str = "main") -> "Shop":
        """Take a SKU into the catalogue and receive units of it."""
        self.do(c.Describe(STORE, cause(), sku, safety, 0))
        if quantity:
            self.do(c.Receive(STORE, cause(f"r-{sku}", self.now), sku, warehouse, quantity))
        self.events.clear()
        return self

    def do(self, *commands: c.Command) -> c.Outcome | Problem:
        """Apply commands in one transaction; the outcome of the last one."""
        return self.apply(commands)[-1]

    def apply(self, commands: Sequence[c.Command]) -> list[c.Outcome | Problem]:
        """Apply commands in one transaction."""
        book = self._book(commands)
        outcomes = [decide(book, command, self.now) for command in commands]
        for level in book.close():
            self.levels[level.sku] = level
        for reservation in (book.new_reservations | book.changed_reservations).values():
            self.reservations[reservation.reservation_id] = reservation
        for reservation, line in book.changed_lines.values():
            self.reservations[reservation.reservation_id].lines[line.sku] = line
        changed = {(k.campaign, k.sku): k for k in book.changed_locks.values()}
        self.locks = [k for k in self.locks if (k.campaign, k.sku) not in changed] + list(changed.values())
        self.ledger += book.movements
        for m in book.movements:
            self.sums[m.sku, m.from_state] -= m.quantity
            self.sums[m.sku, m.to_state] += m.quantity
        self.events += [fact.event for fact in book.facts]
        assert not broken(self), broken(self)
        return outcomes

    def _book(self, commands: Sequence[c.Command]) -> Book:
        book = Book()
        for level in self.levels.values():
            book.add_level(replace(level, warehouses=[replace(w) for w in level.warehouses]))
        for sku in {sku for command in commands if command.creates_levels for sku in command.skus}:
            if sku not in self.levels:
                book.add_level(Level(STORE, sku, is_known=False))
        for reservation in sorted(self.reservations.values(), key=lambda r: r.reservation_id):
            lines = {sku: replace(line) for sku, line in reservation.lines.items()}
            book.add_reservation(replace(reservation, lines=lines))
        for lock in self.locks:
            book.add_lock(replace(lock))
        for command in commands:
            if isinstance(command, c.Count):
                self._since(book, command)
        return book

    def _since(self, book: Book, count: c.Count) -> None:
        for m in self.ledger:
            if m.warehouse == count.warehouse and m.at > count.as_of:
                change = m.quantity * ((m.to_state in HOUSE) - (m.from_state in HOUSE))
                key = (m.store, m.sku, m.warehouse)
                book.moved_since[key] = book.moved_since.get(key, 0) + change

    # asking for things

    def reserve(self, name: str, *pieces: tuple[str, int], ttl: int = 900, **more: object) -> c.Outcome | Problem:
        """Hold these lines."""
        return self.do(
            c.Reserve(
                STORE,
                cause(name, self.now, "reservation"),
                name,
                tuple(c.Piece(*p) for p in pieces),
                self.now + timedelta(seconds=ttl),
                **more,  # type: ignore[arg-type]
            )
        )

    def outside(self, order: str, *pieces: tuple[str, int]) -> None:
        """An order comes in from a marketplace."""
        self.do(self.outside_order(order, *pieces))

    def outside_order(self, order: str, *pieces: tuple[str, int]) -> c.AcceptOutside:
        return c.AcceptOutside(
            STORE, cause(order, self.now, "order"), order, tuple(c.Piece(*p) for p in pieces), f"{order}~0"
        )

    def told(self, kind: type[Event]) -> list[Event]:
        """Events of one type so far."""
        return [event for event in self.events if type(event) is kind]

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def broken(shop: Shop) -> list[str]:
    """Every invariant that does not hold (P1, INV-6, D22, D57)."""
    return [line for level in shop.levels.values() for line in _broken_level(shop, level)]


def _broken_level(shop: Shop, level: Level) -> list[str]:
    found = []
    promised = level.held + level.allocated + level.locked
    if promised > level.on_hand:
        found.append(f"{level.sku}: promised {promised} of {level.on_hand}")
    terms = {
        State.ON_HAND: level.free,
        State.HELD: level.held,
        State.ALLOCATED: level.allocated,
        State.LOCKED: level.locked,
        State.SHORT: level.short,
        State.RETURNING: level.returning,
        State.DAMAGED: level.damaged,
    }
    lines = [(r, line) for r in shop.reservations.values() for line in r.lines.values() if line.sku == level.sku]
    terms |= {
        State.SHIPPED: sum(line.shipped for _, line in lines),
        State.SOLD: sum(line.sold for _, line in lines),
    }
    for state, value in terms.items():
        ledger = shop.sums[level.sku, state]
        if ledger != value or value < 0:
            found.append(f"{level.sku}: {state} is {value}, the ledger says {ledger}")
    expected = {
        "held": (sum(x.promised for r, x in lines if r.status is Status.HELD), level.held),
        "allocated": (sum(x.promised for r, x in lines if r.status is Status.ALLOCATED), level.allocated),
        "ended": (sum(x.promised + x.short for r, x in lines if not r.is_open), 0),
        "short": (sum(x.short for _, x in lines), level.short),
        "line returning": (sum(x.returning for _, x in lines), level.returning),
        "locks": (sum(k.locked for k in shop.locks if k.sku == level.sku), level.locked),
        "warehouses": (sum(w.on_hand for w in level.warehouses), level.on_hand),
        "warehouse returning": (sum(w.returning for w in level.warehouses), level.returning),
        "warehouse damaged": (sum(w.damaged for w in level.warehouses), level.damaged),
        "waiting beside free units": (min(level.short, level.free), 0),
    }
    found += [f"{level.sku}: {name} {a} != {b}" for name, (a, b) in expected.items() if a != b]
    found += [f"{level.sku}: from_lock" for _, x in lines if not 0 <= x.from_lock <= x.promised]
    found += [f"{level.sku}: negative in {w}" for w in level.warehouses if min(w.on_hand, w.returning, w.damaged) < 0]
    return found
