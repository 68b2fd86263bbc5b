"""Levels, locks and lines as they travel in events."""

from collections.abc import Iterable

from libs.events.contracts import StockLevel, StockLine, StockLocked, StockUnlocked
from libs.events.contracts.inventory import WarehouseLevel
from services.inventory.domain.commands import Piece
from services.inventory.domain.promises import Lock
from services.inventory.domain.stock import Level


def level_event(level: Level) -> StockLevel:
    """The level as it travels (D21)."""
    return StockLevel(
        sku=level.sku,
        version=level.version,
        on_hand=level.on_hand,
        held=level.held,
        allocated=level.allocated,
        locked=level.locked,
        short=level.short,
        returning=level.returning,
        damaged=level.damaged,
        safety=level.safety,
        safety_hidden=level.safety_hidden,
        available=level.available,
        warehouses=tuple(
            WarehouseLevel(warehouse=w.warehouse, on_hand=w.on_hand, returning=w.returning, damaged=w.damaged)
            for w in level.warehouses
        ),
    )


def locked_event(lock: Lock, quantity: int) -> StockLocked:
    """So many units more are locked; how the lock stands now."""
    return StockLocked(
        sku=lock.sku,
        campaign=lock.campaign,
        quantity=quantity,
        wanted=lock.wanted,
        locked=lock.locked,
        taken=lock.taken,
        starts_at=lock.starts_at,
        ends_at=lock.ends_at,
    )


def unlocked_event(lock: Lock, quantity: int) -> StockUnlocked:
    """So many units are locked no longer; how the lock stands now."""
    return StockUnlocked(
        sku=lock.sku,
        campaign=lock.campaign,
        quantity=quantity,
        wanted=lock.wanted,
        locked=lock.locked,
        taken=lock.taken,
        starts_at=lock.starts_at,
        ends_at=lock.ends_at,
        has_ended=lock.has_ended,
    )


def stock_lines(pieces: Iterable[Piece]) -> tuple[StockLine, ...]:
    """Pieces as they travel."""
    return tuple(StockLine(sku=sku, quantity=quantity) for sku, quantity in pieces)
