"""What orders do to stock: accept, pay, cancel, amend, ship, return, complete (INV-1, INV-5, D13 to D20)."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from libs.events.contracts import StockReleased, StockReserved, StockReturned, StockShipped
from libs.service.errors import Problem
from services.inventory.domain.book import Book, OpenLine
from services.inventory.domain.commands import (
    AcceptOutside,
    Amend,
    AwaitReturn,
    Cancel,
    Cause,
    Complete,
    Done,
    Outcome,
    Pay,
    Piece,
    Reserve,
    Ship,
    TakeBack,
    summed,
)
from services.inventory.domain.holds import (
    allocate_held,
    end,
    expire_if_due,
    grant,
    missing,
    note_sale,
    obtainable,
    refill,
    refuse,
    shortages,
)
from services.inventory.domain.promises import Line, Reservation, Status
from services.inventory.domain.stock import DEFAULT_WAREHOUSE, Kind, Level, State, Warehouse
from services.inventory.domain.telling import stock_lines


def first_reservation_id(order_id: str) -> str:
    """The id of an order's first hold (D12)."""
    return f"{order_id}~0"


def next_reservation_id(order_id: str, taken: Iterable[str]) -> str:
    """The first id of an order's own holds, `{order_id}~{n}`, behind those that were used (D12)."""
    prefix = f"{order_id}~"
    numbers = [int(r[len(prefix) :]) for r in taken if r.startswith(prefix) and r[len(prefix) :].isdecimal()]
    return f"{prefix}{max(numbers) + 1 if numbers else 0}"


def accept_outside(book: Book, command: AcceptOutside, now: datetime) -> Outcome | Problem:
    """Give an order that cannot be refused what there is, hidden units included; the rest is short (D22)."""
    if book.of_order(command.store, command.order):
        return Done()
    reservation = Reservation(
        store=command.store,
        reservation_id=command.reservation_id,
        status=Status.HELD,
        ordered_at=command.cause.at,
        order_id=command.order,
        campaign=command.campaign,
        is_outside=True,
    )
    wanted = summed(command.pieces)
    grant(book, reservation, wanted, missing(book, reservation, wanted), command.cause)
    return Done()


def pay(book: Book, command: Pay, now: datetime) -> Outcome | Problem:
    """Allocate the order's hold; where the synchronous call did not come through, hold anew or refuse (D16)."""
    mine = book.of_order(command.store, command.order)
    for reservation in mine:
        expire_if_due(book, reservation, now)
    standing = [r for r in mine if r.is_open]
    for reservation in standing:
        if reservation.status is Status.HELD:
            allocate_held(book, reservation, command.cause)
    if not standing and not any(r.status is Status.REFUSED for r in mine):
        _hold_anew(book, command, mine, now)
    return Done()


def _hold_anew(book: Book, command: Pay, earlier: list[Reservation], now: datetime) -> None:
    reservation = Reservation(
        store=command.store,
        reservation_id=next_reservation_id(command.order, (r.reservation_id for r in earlier)),
        status=Status.HELD,
        ordered_at=command.cause.at,
        order_id=command.order,
        campaign=command.campaign,
    )
    wanted = summed(command.pieces)
    short = shortages(book, reservation, wanted, now)
    if short:
        wish = Reserve(command.store, command.cause, reservation.reservation_id, command.pieces, None, command.order)
        refuse(book, reservation, wish, wanted, short)
        return
    grant(book, reservation, wanted, {}, command.cause)
    allocate_held(book, reservation, command.cause)


def cancel(book: Book, command: Cancel, now: datetime) -> Outcome | Problem:
    """Give back everything that the order still holds."""
    for reservation in book.of_order(command.store, command.order):
        if reservation.is_open:
            end(book, reservation, Status.RELEASED, "cancelled", command.cause)
            refill(book, reservation, command.cause)
    return Done()


def amend(book: Book, command: Amend, now: datetime) -> Outcome | Problem:
    """Bring the order's holds to its new lines; nothing to do where a call has done so before."""
    mine = [r for r in book.of_order(command.store, command.order) if r.is_open]
    if not mine:
        return Done()
    wanted, present = summed(command.pieces), _present(mine)
    given = [Piece(sku, n) for sku in present if (n := _shrink(book, mine, sku, present, wanted, command.cause))]
    taken = [Piece(sku, n) for sku in wanted if (n := _grow(book, mine[-1], sku, present, wanted, command.cause))]
    _tell_amended(book, mine[-1], given, taken, command.cause)
    for piece in given:
        book.fill(book.levels[command.store, piece.sku], command.cause)
    return Done()


def _present(reservations: Iterable[Reservation]) -> dict[str, int]:
    return summed([Piece(sku, quantity) for r in reservations for sku, quantity in r.pieces.items()])


def _shrink(
    book: Book,
    mine: list[Reservation],
    sku: str,
    present: Mapping[str, int],
    wanted: Mapping[str, int],
    cause: Cause,
) -> int:
    """Take back what is too much of a SKU, what is short first; returns the promised units given back."""
    surplus, given = present[sku] - wanted.get(sku, 0), 0
    for reservation in mine:
        line = reservation.lines.get(sku)
        if line is None or surplus <= 0:
            continue
        owed = min(surplus, line.short)
        book.forgive(reservation, line, owed, Kind.RELEASED, cause)
        back = min(surplus - owed, line.promised)
        if back:
            book.give_back(reservation, line, back, Kind.RELEASED, cause)
        off = owed + back if line.is_goods else min(surplus, line.quantity)
        line.quantity -= off
        book.mark_line(reservation, line)
        surplus -= off
        given += back
    return given


def _grow(
    book: Book,
    reservation: Reservation,
    sku: str,
    present: Mapping[str, int],
    wanted: Mapping[str, int],
    cause: Cause,
) -> int:
    """Promise what an amended line has more, as far as there is any; returns the units promised."""
    more = wanted[sku] - present.get(sku, 0)
    if more <= 0:
        return 0
    level = book.levels[reservation.store, sku]
    line = reservation.lines.get(sku)
    if line is None:
        line = book.add_line(reservation, sku, 0, is_goods=level.is_goods)
    line.quantity += more
    book.mark_line(reservation, line)
    if not level.is_goods:
        return 0
    got = obtainable(book, reservation, sku, more)
    if got:
        book.claim(reservation, line, got, cause)
    book.owe(reservation, line, more - got, cause)
    return got


def _tell_amended(book: Book, reservation: Reservation, given: list[Piece], taken: list[Piece], cause: Cause) -> None:
    name, order = reservation.reservation_id, reservation.order_id
    if given:
        released = StockReleased(reservation_id=name, order_id=order, lines=stock_lines(given), reason="amended")
        book.tell(reservation.store, released, cause)
    if taken:
        reserved = StockReserved(
            reservation_id=name, order_id=order, lines=stock_lines(taken), expires_at=reservation.expires_at
        )
        book.tell(reservation.store, reserved, cause)


# Parcels


def ship(book: Book, command: Ship, now: datetime) -> Outcome | Problem:
    """Units leave the house: the order's own first; what it was not promised is a mismatch, never a negative level."""
    shipped = []
    for sku, quantity in summed(command.pieces).items():
        level = book.levels[command.store, sku]
        if not level.is_goods:
            continue
        left = quantity
        for reservation, line in _lines(book, command.store, command.order, sku):
            left -= _ship_promised(book, level, reservation, line, left, command)
            left -= _ship_short(book, level, reservation, line, left, command)
        if left:
            reservation, line = _line_of_record(book, command.store, command.order, sku, left, command.cause)
            _ship_unpromised(book, level, left, command)
            line.shipped += left
            book.mark_line(reservation, line)
        note_sale(level, command.cause)
        if level.short:
            book.fill(level, command.cause)
        shipped.append(Piece(sku, quantity))
    if shipped:
        event = StockShipped(
            order_id=command.order,
            lines=stock_lines(shipped),
            shipment_id=command.shipment_id,
            warehouse=command.warehouse,
        )
        book.tell(command.store, event, command.cause)
    return Done()


def _lines(book: Book, store: str, order_id: str, sku: str) -> Iterator[OpenLine]:
    for reservation in book.of_order(store, order_id):
        line = reservation.lines.get(sku)
        if line is not None:
            yield reservation, line


def _line_of_record(book: Book, store: str, order_id: str, sku: str, quantity: int, cause: Cause) -> OpenLine:
    """A line that remembers what became of units of the order that it was never promised."""
    for reservation, line in _lines(book, store, order_id, sku):
        if reservation.status is not Status.REFUSED:
            return reservation, line
    mine = book.of_order(store, order_id)
    keeper = next((r for r in mine if r.status is Status.ALLOCATED), None) or book.open(
        Reservation(
            store=store,
            reservation_id=next_reservation_id(order_id, (r.reservation_id for r in mine)),
            status=Status.ALLOCATED,
            ordered_at=cause.at,
            order_id=order_id,
            is_outside=True,
        )
    )
    return keeper, book.add_line(keeper, sku, quantity)


def _ship_promised(book: Book, level: Level, reservation: Reservation, line: Line, wanted: int, command: Ship) -> int:
    quantity = min(wanted, line.promised)
    if quantity == 0:
        return 0
    line.promised -= quantity
    line.from_lock -= min(line.from_lock, quantity)
    line.shipped += quantity
    line.warehouse = _dispatch(book, level, reservation.state, quantity, command)
    book.mark_line(reservation, line)
    return quantity


def _ship_short(book: Book, level: Level, reservation: Reservation, line: Line, wanted: int, command: Ship) -> int:
    quantity = min(wanted, line.short)
    if quantity == 0:
        return 0
    book.forgive(reservation, line, quantity, Kind.SHIPPED, command.cause)
    _ship_unpromised(book, level, quantity, command)
    line.shipped += quantity
    return quantity


def _ship_unpromised(book: Book, level: Level, quantity: int, command: Ship) -> None:
    """Free units leave as far as there are any; units that the ledger does not know came from outside (INV-11)."""
    known = min(quantity, level.free)
    place = command.warehouse or _default_place(level)
    if known:
        place = _dispatch(book, level, State.ON_HAND, known, command)
    if quantity > known:
        book.move(level, Kind.SHIPPED, State.OUTSIDE, State.SHIPPED, quantity - known, command.cause, warehouse=place)
        book.mismatch(level, "shipped_beyond_on_hand", known, quantity, command.cause)


def _default_place(level: Level) -> str:
    places = level.fullest()
    return places[0].warehouse if places else DEFAULT_WAREHOUSE


def _dispatch(book: Book, level: Level, source: State, quantity: int, command: Ship) -> str:
    """Take units from the warehouse asked for, then from those with most on hand (D21); returns the last one."""
    left, last = quantity, command.warehouse or DEFAULT_WAREHOUSE
    for place in level.fullest(command.warehouse):
        taken = min(left, place.on_hand)
        if taken:
            book.move(level, Kind.SHIPPED, source, State.SHIPPED, taken, command.cause, warehouse=place.warehouse)
            book.restock(level, place, -taken)
            book.absorb(level, place, -taken, command.cause)
            left, last = left - taken, place.warehouse
        if left == 0:
            break
    return last


# Returns


def await_return(book: Book, command: AwaitReturn, now: datetime) -> Outcome | Problem:
    """The units of an approved return are on their way back (D20, D76)."""
    for sku, quantity in summed(command.pieces).items():
        level = book.levels[command.store, sku]
        if not level.is_goods:
            continue
        left = quantity
        for reservation, line in _lines(book, command.store, command.order, sku):
            left -= _recall(book, level, reservation, line, left, command.cause)
        if left:
            reservation, line = _line_of_record(book, command.store, command.order, sku, left, command.cause)
            _send_back(book, level, line, State.OUTSIDE, left, command.cause)
            book.mark_line(reservation, line)
    return Done()


def _recall(book: Book, level: Level, reservation: Reservation, line: Line, wanted: int, cause: Cause) -> int:
    from_shipped = min(wanted, line.shipped)
    from_sold = min(wanted - from_shipped, line.sold)
    if from_shipped + from_sold == 0:
        return 0
    line.shipped -= from_shipped
    line.sold -= from_sold
    _send_back(book, level, line, State.SHIPPED, from_shipped, cause)
    _send_back(book, level, line, State.SOLD, from_sold, cause)
    book.mark_line(reservation, line)
    return from_shipped + from_sold


def _send_back(book: Book, level: Level, line: Line, source: State, quantity: int, cause: Cause) -> None:
    place = level.warehouse(line.warehouse or _default_place(level))
    book.move(level, Kind.RETURNING, source, State.RETURNING, quantity, cause, warehouse=place.warehouse)
    place.returning += quantity
    line.returning += quantity


def take_back(book: Book, command: TakeBack, now: datetime) -> Outcome | Problem:
    """The units of an inspected return are sellable again, or damaged (D20)."""
    back = []
    for sku, quantity in summed(command.pieces).items():
        level = book.levels[command.store, sku]
        if not level.is_goods:
            continue
        left = quantity
        for reservation, line in _lines(book, command.store, command.order, sku):
            left -= _unpack(book, level, reservation, line, left, command)
        if left:
            place = level.warehouse(command.warehouse or _default_place(level))
            _shelve(book, level, place, State.OUTSIDE, left, command)
        book.fill(level, command.cause, came_in=True)
        back.append(Piece(sku, quantity))
    if back:
        event = StockReturned(
            order_id=command.order,
            lines=stock_lines(back),
            condition=command.condition,
            return_id=command.return_id,
            warehouse=command.warehouse,
        )
        book.tell(command.store, event, command.cause)
    return Done()


def _unpack(book: Book, level: Level, reservation: Reservation, line: Line, wanted: int, command: TakeBack) -> int:
    quantity = min(wanted, line.returning)
    if quantity == 0:
        return 0
    left = quantity
    for place in sorted(level.warehouses, key=lambda w: (w.warehouse != line.warehouse, w.warehouse)):
        taken = min(left, place.returning)
        if taken:
            place.returning -= taken
            target = level.warehouse(command.warehouse or place.warehouse)
            _shelve(book, level, target, State.RETURNING, taken, command)
            left -= taken
    line.returning -= quantity
    line.returned += quantity
    book.mark_line(reservation, line)
    return quantity


def _shelve(book: Book, level: Level, place: Warehouse, source: State, quantity: int, command: TakeBack) -> None:
    target = State.ON_HAND if command.condition == "resellable" else State.DAMAGED
    book.move(level, Kind.RETURNED, source, target, quantity, command.cause, warehouse=place.warehouse)
    if target is State.DAMAGED:
        place.damaged += quantity
        return
    book.restock(level, place, quantity)
    book.absorb(level, place, quantity, command.cause)


def complete(book: Book, command: Complete, now: datetime) -> Outcome | Problem:
    """What the order's customer has kept is sold (D76)."""
    for reservation in book.of_order(command.store, command.order):
        for line in reservation.lines.values():
            if line.shipped:
                level = book.levels[command.store, line.sku]
                book.move(
                    level, Kind.SOLD, State.SHIPPED, State.SOLD, line.shipped, command.cause, warehouse=line.warehouse
                )
                line.sold += line.shipped
                line.shipped = 0
                book.mark_line(reservation, line)
    return Done()
