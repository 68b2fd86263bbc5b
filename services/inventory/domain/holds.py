"""Holds: reserve all lines or none, release, allocate, expire (INV-4, D12, D16, D18, D24)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from libs.events.contracts import StockAllocated, StockRefused, StockReleased, StockReserved
from libs.events.contracts.inventory import RefusedLine
from libs.service.errors import Conflict, NotFound, OutOfStock, Problem, Validation, WrongState, fault
from services.inventory.domain.book import Book, Refusal
from services.inventory.domain.commands import (
    Allocate,
    Cause,
    Expire,
    Outcome,
    Piece,
    Release,
    ReleaseReason,
    Reserve,
    Standing,
    summed,
)
from services.inventory.domain.promises import Line, Reservation, Shortage, Status
from services.inventory.domain.stock import Kind, Level, State
from services.inventory.domain.telling import stock_lines

POSSIBLE: Mapping[Status, Sequence[str]] = {Status.HELD: ("allocate", "release"), Status.ALLOCATED: ("release",)}


def reserve(book: Book, command: Reserve, now: datetime) -> Outcome | Problem:
    """Hold every line or none. A repeated id answers with the present state; a refused one stays refused (D12)."""
    known = book.reservations.get((command.store, command.reservation_id))
    if known is not None:
        return _again(book, known, command, now)
    wanted = summed(command.pieces)
    unknown = [sku for sku in wanted if not _is_known(book.level(command.store, sku))]
    if unknown:
        return _unknown_skus(command, unknown)
    given_up = _given_up(book, command)
    reservation = _new(command)
    short = shortages(book, reservation, wanted, now, given_up)
    if short and not command.backorder:
        return refuse(book, reservation, command, wanted, short)
    given_up = [old for old in given_up if old.is_open]
    for old in given_up:
        reason: ReleaseReason = "amended" if old.reservation_id == command.replaces else "replaced"
        end(book, old, Status.RELEASED, reason, command.cause)
    grant(book, reservation, wanted, missing(book, reservation, wanted) if short else {}, command.cause)
    if command.allocate:
        allocate_held(book, reservation, command.cause)
    for old in given_up:
        refill(book, old, command.cause)
    return standing(reservation)


def _is_known(level: Level | None) -> bool:
    return level is not None and level.is_known


def _new(command: Reserve) -> Reservation:
    return Reservation(
        store=command.store,
        reservation_id=command.reservation_id,
        status=Status.HELD,
        ordered_at=command.cause.at,
        order_id=command.order,
        customer_id=command.customer_id,
        campaign=command.campaign,
        expires_at=command.expires_at,
    )


def _unknown_skus(command: Reserve, unknown: Sequence[str]) -> Problem:
    places = {sku: n for n, (sku, _) in reversed(list(enumerate(command.pieces)))}
    errors = [fault(f"/lines/{places[sku]}/sku", "sku_unknown", f"no SKU {sku} in the catalogue") for sku in unknown]
    return Validation("a SKU is not in the catalogue", errors=errors)


def _given_up(book: Book, command: Reserve) -> list[Reservation]:
    """Holds whose place the new one takes: the one it replaces, and the customer's holds without an order (D18)."""
    given_up = []
    if command.replaces is not None:
        old = book.reservations.get((command.store, command.replaces))
        if old is not None and old.is_open and old.order_id == command.order:
            given_up.append(old)
    if command.customer_id is not None:
        given_up += [r for r in book.carts_of(command.store, command.customer_id) if r not in given_up]
    return given_up


def shortages(
    book: Book,
    reservation: Reservation,
    wanted: Mapping[str, int],
    now: datetime,
    given_up: Sequence[Reservation] = (),
) -> list[Shortage]:
    """The SKUs of which the reservation cannot have all it wants, once expired holds on them are swept (D18)."""
    short = _short(book, reservation, wanted, given_up)
    swept = [sweep(book, book.levels[reservation.store, s.sku], now) for s in short]
    return _short(book, reservation, wanted, given_up) if any(swept) else short


def sweep(book: Book, level: Level, now: datetime) -> bool:
    """Take back the expired holds on a SKU that the book knows of; whether there were any."""
    due = [r for r, _ in book.open_lines(level) if r.is_whole and r.has_expired(now)]
    for reservation in due:
        expire_if_due(book, reservation, now)
    return bool(due)


def _short(
    book: Book, reservation: Reservation, wanted: Mapping[str, int], given_up: Sequence[Reservation]
) -> list[Shortage]:
    short = []
    for sku, quantity in wanted.items():
        level = book.levels[reservation.store, sku]
        if level.is_goods:
            reachable = _reachable(book, reservation, level, given_up)
            if reachable < quantity:
                short.append(Shortage(sku, quantity, reachable))
    return short


def _reachable(book: Book, reservation: Reservation, level: Level, given_up: Sequence[Reservation]) -> int:
    lock = book.lock_of(level, reservation.campaign)
    free, locked = level.free, lock.locked if lock else 0
    for old in given_up:
        line = old.lines.get(level.sku)
        if line is None:
            continue
        if book.lock_of(level, old.campaign) is None:
            free += line.promised
        else:
            free += line.promised - line.from_lock
            locked += line.from_lock if old.campaign == reservation.campaign else 0
    return max(0, free - level.safety_hidden) + locked


def missing(book: Book, reservation: Reservation, wanted: Mapping[str, int]) -> dict[str, int]:
    """What an order that is not refused cannot get of each SKU; withheld units are for it too (D22)."""
    return {sku: quantity - obtainable(book, reservation, sku, quantity) for sku, quantity in wanted.items()}


def obtainable(book: Book, reservation: Reservation, sku: str, quantity: int) -> int:
    """How many of so many units there are: in its campaign's lock and free."""
    level = book.levels[reservation.store, sku]
    lock = book.lock_of(level, reservation.campaign)
    return min(quantity, level.free + (lock.locked if lock else 0))


def refuse(
    book: Book, reservation: Reservation, command: Reserve, wanted: Mapping[str, int], short: Sequence[Shortage]
) -> Problem:
    """Refuse as a whole, for good, and say so."""
    reservation.status = Status.REFUSED
    reservation.refusal = tuple(short)
    reservation.lines = {sku: Line(sku, quantity) for sku, quantity in wanted.items()}
    book.open(reservation)
    for s in short:
        version = book.levels[reservation.store, s.sku].version
        book.refusals.append(
            Refusal(reservation.store, s.sku, reservation.reservation_id, command.cause.at, *s[1:], version)
        )
    lines = tuple(RefusedLine(sku=s.sku, wanted=s.wanted, available=s.available) for s in short)
    event = StockRefused(reservation_id=reservation.reservation_id, order_id=reservation.order_id, lines=lines)
    book.tell(reservation.store, event, command.cause)
    return out_of_stock(reservation, command.pieces)


def out_of_stock(reservation: Reservation, pieces: Sequence[Piece]) -> OutOfStock:
    """The refusal as a problem: one error a short SKU, at its first line (D24)."""
    places = {sku: n for n, (sku, _) in reversed(list(enumerate(pieces)))}
    errors = [
        fault(
            f"/lines/{places.get(s.sku, 0)}/quantity",
            "short",
            f"wanted {s.wanted}, available {s.available}",
            sku=s.sku,
            wanted=s.wanted,
            available=s.available,
        )
        for s in reservation.refusal
    ]
    total = len(reservation.lines)
    return OutOfStock(f"{total - len(errors)} of {total} lines can be held", errors=errors)


def grant(
    book: Book, reservation: Reservation, wanted: Mapping[str, int], lacking: Mapping[str, int], cause: Cause
) -> None:
    """Promise what is wanted, except for what is lacking, which the reservation is owed."""
    book.open(reservation)
    held = []
    for sku, quantity in wanted.items():
        level = book.levels[reservation.store, sku]
        line = book.add_line(reservation, sku, quantity, is_goods=level.is_goods)
        if not level.is_goods:
            continue
        short = lacking.get(sku, 0)
        if quantity > short:
            book.claim(reservation, line, quantity - short, cause)
            held.append(Piece(sku, quantity - short))
        book.owe(reservation, line, short, cause)
    event = StockReserved(
        reservation_id=reservation.reservation_id,
        order_id=reservation.order_id,
        campaign=reservation.campaign,
        lines=stock_lines(held),
        expires_at=reservation.expires_at,
    )
    book.tell(reservation.store, event, cause)


def _again(book: Book, known: Reservation, command: Reserve, now: datetime) -> Outcome | Problem:
    """The same id again: the present state, a cart's hold taken over by an order, or another body (D2, D12)."""
    if known.pieces != summed(command.pieces) or known.campaign != command.campaign:
        return Conflict(f"reservation {known.reservation_id} exists with other lines")
    if command.order is not None and known.order_id not in (None, command.order):
        return Conflict(f"reservation {known.reservation_id} belongs to another order")
    expire_if_due(book, known, now)
    if known.status is Status.REFUSED:
        return out_of_stock(known, command.pieces)
    if known.status is Status.HELD and command.order is not None:
        if known.order_id is None:
            book.attach(known, command.order)
            known.expires_at = command.expires_at
        if command.allocate:
            allocate_held(book, known, command.cause)
    return standing(known)


def standing(reservation: Reservation) -> Standing:
    """The reservation as it is now, for an answer."""
    return Standing(
        reservation.reservation_id,
        reservation.status,
        tuple(Piece(sku, line.quantity) for sku, line in reservation.lines.items()),
        reservation.expires_at,
        reservation.order_id,
        tuple(Piece(sku, line.short) for sku, line in reservation.lines.items() if line.short),
    )


def release(book: Book, command: Release, now: datetime) -> Outcome | Problem:
    """Give back what is still held; what has ended already stays as it is (D83)."""
    reservation = book.reservations.get((command.store, command.reservation_id))
    if reservation is None:
        return NotFound("no such reservation")
    expire_if_due(book, reservation, now)
    if reservation.is_open:
        end(book, reservation, Status.RELEASED, command.reason, command.cause)
        refill(book, reservation, command.cause)
    return standing(reservation)


def allocate(book: Book, command: Allocate, now: datetime) -> Outcome | Problem:
    """Give held units to the paid order, unless the hold has run out: one of the two wins (D16)."""
    reservation = book.reservations.get((command.store, command.reservation_id))
    if reservation is None:
        return NotFound("no such reservation")
    if reservation.order_id not in (None, command.order):
        return Conflict(f"reservation {reservation.reservation_id} belongs to another order")
    expire_if_due(book, reservation, now)
    if reservation.status is Status.HELD:
        if reservation.order_id is None:
            book.attach(reservation, command.order)
        allocate_held(book, reservation, command.cause)
    if reservation.status is not Status.ALLOCATED:
        return WrongState(reservation.status, POSSIBLE.get(reservation.status, ()))
    return standing(reservation)


def allocate_held(book: Book, reservation: Reservation, cause: Cause) -> None:
    """Move every held unit of the reservation to allocated, and tell."""
    given = []
    for line in reservation.lines.values():
        if line.promised:
            level = book.levels[reservation.store, line.sku]
            book.move(level, Kind.ALLOCATED, reservation.state, State.ALLOCATED, line.promised, cause)
            note_sale(level, cause)
            given.append(Piece(line.sku, line.promised))
    book.set_status(reservation, Status.ALLOCATED)
    reservation.expires_at = None
    if reservation.order_id is not None:
        event = StockAllocated(
            reservation_id=reservation.reservation_id, order_id=reservation.order_id, lines=stock_lines(given)
        )
        book.tell(reservation.store, event, cause)


def note_sale(level: Level, cause: Cause) -> None:
    """Remember when the SKU last sold (INV-9)."""
    if level.last_sold_at is None or level.last_sold_at < cause.at:
        level.last_sold_at = cause.at


def expire(book: Book, command: Expire, now: datetime) -> Outcome | Problem:
    """Take the hold back, if it has really run out and nobody was quicker (D18)."""
    reservation = book.reservations.get((command.store, command.reservation_id))
    if reservation is None:
        return NotFound("no such reservation")
    expire_if_due(book, reservation, now)
    return standing(reservation)


def expire_if_due(book: Book, reservation: Reservation, now: datetime) -> None:
    """Take back a hold whose time is over."""
    if reservation.has_expired(now):
        cause = Cause("reservation", reservation.reservation_id, now, "rule:hold")
        end(book, reservation, Status.EXPIRED, "expired", cause)
        refill(book, reservation, cause)


def end(book: Book, reservation: Reservation, status: Status, reason: ReleaseReason, cause: Cause) -> None:
    """Take back what an open reservation still holds and strike what it is owed. The caller refills."""
    kind = Kind.EXPIRED if status is Status.EXPIRED else Kind.RELEASED
    given = []
    for line in reservation.lines.values():
        if line.promised:
            given.append(Piece(line.sku, line.promised))
            book.give_back(reservation, line, line.promised, kind, cause)
        book.forgive(reservation, line, line.short, kind, cause)
    book.set_status(reservation, status)
    event = StockReleased(
        reservation_id=reservation.reservation_id,
        order_id=reservation.order_id,
        lines=stock_lines(given),
        reason=reason,
    )
    book.tell(reservation.store, event, cause)


def refill(book: Book, reservation: Reservation, cause: Cause) -> None:
    """Let those who are short have what the reservation gave back."""
    for line in reservation.lines.values():
        if line.is_goods:
            book.fill(book.levels[reservation.store, line.sku], cause)
