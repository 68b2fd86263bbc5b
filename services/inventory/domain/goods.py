"""Goods in, corrections, counts, campaign locks (INV-7, INV-10, D22, D25, D56, D58)."""

from datetime import datetime

from libs.events.contracts import StockAdjusted, StockCounted, StockReceived
from libs.events.contracts.inventory import CountDifference
from libs.service.errors import NotFound, Problem, Validation, fault
from services.inventory.domain.book import Book
from services.inventory.domain.commands import (
    Adjust,
    Adjusted,
    Cause,
    Compared,
    Count,
    Counted,
    Describe,
    Difference,
    Done,
    LockedStock,
    LockStock,
    Outcome,
    Receive,
    Unlock,
)
from services.inventory.domain.promises import Lock
from services.inventory.domain.stock import Kind, Level, State, Warehouse
from services.inventory.domain.telling import unlocked_event

MAX_TOLD_DIFFERENCES = 5_000


def receive(book: Book, command: Receive, now: datetime) -> Outcome | Problem:
    """Goods come in; those who are short get theirs first, then the locks (D22, D24)."""
    level = book.level(command.store, command.sku)
    if level is None or not level.is_known or not level.is_goods:
        return _not_stocked(command.sku, level)
    place = level.warehouse(command.warehouse)
    _put(book, level, place, Kind.RECEIVED, command.quantity, command.cause)
    event = StockReceived(
        sku=command.sku,
        warehouse=command.warehouse,
        quantity=command.quantity,
        receipt_id=command.cause.id,
        cost_cents=command.cost_cents,
    )
    book.tell(command.store, event, command.cause)
    book.absorb(level, place, command.quantity, command.cause)
    book.fill(level, command.cause, came_in=True)
    return Done()


def _not_stocked(sku: str, level: Level | None) -> Problem:
    if level is not None and level.is_known:
        return Validation("a service has no stock", errors=[fault("/sku", "sku_service", f"{sku} is a service")])
    return Validation(
        "the SKU is not in the catalogue", errors=[fault("/sku", "sku_unknown", f"no SKU {sku} in the catalogue")]
    )


def _put(
    book: Book, level: Level, place: Warehouse, kind: Kind, quantity: int, cause: Cause, reason: str | None = None
) -> None:
    book.move(level, kind, State.OUTSIDE, State.ON_HAND, quantity, cause, warehouse=place.warehouse, reason=reason)
    book.restock(level, place, quantity)


def adjust(book: Book, command: Adjust, now: datetime) -> Outcome | Problem:
    """Correct a level; beyond what is there, take what is there and tell of the mismatch (D56, D58)."""
    level = book.level(command.store, command.sku)
    if level is None or not level.is_known or not level.is_goods:
        return _not_stocked(command.sku, level)
    place = level.warehouse(command.warehouse)
    applied = _take_off(book, level, place, command) if command.quantity < 0 else _add_on(book, level, place, command)
    if applied != command.quantity:
        book.mismatch(level, f"{command.reason}_beyond_on_hand", command.quantity, applied, command.cause)
    if applied:
        event = StockAdjusted(
            sku=command.sku,
            warehouse=command.warehouse,
            quantity=applied,
            reason=command.reason,
            by=command.cause.by,
            adjustment_id=command.cause.id,
        )
        book.tell(command.store, event, command.cause)
    book.absorb(level, place, applied, command.cause)
    book.fill(level, command.cause, came_in=applied > 0)
    return Adjusted(applied)


def _take_off(book: Book, level: Level, place: Warehouse, command: Adjust) -> int:
    quantity = min(-command.quantity, place.on_hand)
    is_damage = command.reason == "damaged"
    target = State.DAMAGED if is_damage else State.OUTSIDE
    _take(book, level, place, Kind.ADJUSTED, target, quantity, command.cause, command.reason)
    if is_damage:
        place.damaged += quantity
    return -quantity


def _take(
    book: Book,
    level: Level,
    place: Warehouse,
    kind: Kind,
    target: State,
    quantity: int,
    cause: Cause,
    reason: str | None = None,
    at: datetime | None = None,
) -> None:
    book.make_free(level, quantity, cause)
    book.move(level, kind, State.ON_HAND, target, quantity, cause, warehouse=place.warehouse, reason=reason, at=at)
    book.restock(level, place, -quantity)


def _add_on(book: Book, level: Level, place: Warehouse, command: Adjust) -> int:
    if command.reason != "damaged":
        _put(book, level, place, Kind.ADJUSTED, command.quantity, command.cause, command.reason)
        return command.quantity
    quantity = min(command.quantity, place.damaged)
    book.move(
        level,
        Kind.ADJUSTED,
        State.DAMAGED,
        State.ON_HAND,
        quantity,
        command.cause,
        warehouse=place.warehouse,
        reason=command.reason,
    )
    place.damaged -= quantity
    book.restock(level, place, quantity)
    return quantity


def count(book: Book, command: Count, now: datetime) -> Outcome | Problem:
    """Compare a count with the ledger as it was at `as_of`, and correct what differs (INV-10, D25)."""
    lines = tuple(_compare(book, command, item) for item in command.items)
    compared = Compared(lines)
    told = [
        CountDifference(sku=d.sku, expected=d.expected, counted=d.counted, difference=d.difference, status=d.status)
        for d in compared.differences[:MAX_TOLD_DIFFERENCES]
    ]
    event = StockCounted(
        count_id=command.count_id,
        warehouse=command.warehouse,
        as_of=command.as_of,
        source=command.source,
        item_count=len(lines),
        difference_count=len(compared.differences),
        differences=tuple(told),
    )
    book.tell(command.store, event, command.cause)
    return compared


def _compare(book: Book, command: Count, item: Counted) -> Difference:
    level = book.level(command.store, item.sku)
    if level is None or not level.is_known or not level.is_goods:
        return Difference(item.sku, 0, item.on_hand, item.on_hand, "unknown_sku")
    place = level.warehouse(command.warehouse)
    expected = place.on_hand - book.moved_since.get((command.store, item.sku, command.warehouse), 0)
    difference = item.on_hand - expected
    if item.version is not None and place.version > item.version:
        return Difference(item.sku, expected, item.on_hand, difference, "stale")
    _correct(book, command, level, place, difference)
    if place.counted_as_of is None or place.counted_as_of < command.as_of:
        place.counted_as_of = command.as_of
        book.touch(level, command.cause)
    return Difference(item.sku, expected, item.on_hand, difference, "applied")


def _correct(book: Book, command: Count, level: Level, place: Warehouse, difference: int) -> None:
    if difference == 0:
        return
    applied = max(difference, -place.on_hand)
    if applied > 0:
        book.move(
            level,
            Kind.COUNTED,
            State.OUTSIDE,
            State.ON_HAND,
            applied,
            command.cause,
            warehouse=place.warehouse,
            at=command.as_of,
        )
        book.restock(level, place, applied)
    else:
        _take(book, level, place, Kind.COUNTED, State.OUTSIDE, -applied, command.cause, reason=None, at=command.as_of)
    if applied != difference:
        book.mismatch(level, "counted_beyond_on_hand", difference, applied, command.cause)
    if applied:
        event = StockAdjusted(
            sku=level.sku,
            warehouse=place.warehouse,
            quantity=applied,
            reason="correction",
            by=command.cause.by,
            count_id=command.count_id,
        )
        book.tell(level.store, event, command.cause)
    book.fill(level, command.cause, came_in=applied > 0)


def lock_stock(book: Book, command: LockStock, now: datetime) -> Outcome | Problem:
    """Lock what there is of the wanted units; the rest follows from receipts (INV-7, D24)."""
    level = book.level(command.store, command.sku)
    if level is None or not level.is_known or not level.is_goods:
        return _not_stocked(command.sku, level)
    lock = book.lock_of(level, command.campaign)
    if lock is None:
        lock = Lock(
            command.store, command.campaign, command.sku, command.quantity, 0, 0, command.starts_at, command.ends_at
        )
        book.add_lock(lock)
        book.mark_lock(lock)
        book.lock_more(level, lock, command.quantity, command.cause)
    return LockedStock(command.sku, lock.wanted, lock.locked)


def unlock(book: Book, command: Unlock, now: datetime) -> Outcome | Problem:
    """End a campaign's lock; what is left goes back to open stock."""
    level = book.level(command.store, command.sku)
    lock = book.lock_of(level, command.campaign) if level is not None else None
    if level is None or lock is None:
        return NotFound("no such lock")
    left = lock.locked
    lock.locked, lock.has_ended = 0, True
    book.mark_lock(lock)
    if left:
        book.move(level, Kind.UNLOCKED, State.LOCKED, State.ON_HAND, left, command.cause)
        book.tell(command.store, unlocked_event(lock, left), command.cause)
        book.fill(level, command.cause)
    return LockedStock(command.sku, lock.wanted, left)


def describe(book: Book, command: Describe, now: datetime) -> Outcome | Problem:
    """Take over what the catalogue and the policies say: the edges follow (D23)."""
    level = book.levels[command.store, command.sku]
    level.safety, level.safety_hidden = command.safety, command.safety_hidden
    level.is_goods, level.is_known = command.is_goods, True
    book.touch(level, command.cause)
    return Done()
