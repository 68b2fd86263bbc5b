"""What people and services want to know about stock: levels with their reasons, the ledger, lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain.stock import Level
from services.inventory.store.book import LEVEL_COLUMNS, level_of

MOST_ITEMS = 100
AVAILABLE = "greatest(0, on_hand - held - allocated - locked - safety_hidden)"


# levels


async def load_level(session: AsyncConnection, store: str, sku: str) -> Level | None:
    """The level of a SKU, not locked."""
    row = (
        await session.execute(
            text(f"SELECT {LEVEL_COLUMNS} FROM inventory.level WHERE store = :store AND sku = :sku AND is_goods"),
            {"store": store, "sku": sku},
        )
    ).one_or_none()
    return None if row is None else level_of(row)


async def list_levels(session: AsyncConnection, store: str, *, after: str | None, limit: int, low: bool) -> list[Level]:
    """Levels by SKU; `low`: only those that are low or sold out (D23)."""
    condition = f" AND has_moved AND ({AVAILABLE} = 0 OR {AVAILABLE} < safety)" if low else ""
    rows = await session.execute(
        text(
            f"SELECT {LEVEL_COLUMNS} FROM inventory.level WHERE store = :store AND is_goods"
            f" AND (CAST(:after AS text) IS NULL OR sku > :after){condition} ORDER BY sku LIMIT :limit"
        ),
        {"store": store, "after": after, "limit": limit},
    )
    return [level_of(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Reasons:
    """What holds a level down: at most 100 items a term, and how many there are."""

    held: Sequence[Row[Any]]
    held_count: int
    allocated: Sequence[Row[Any]]
    allocated_count: int
    locked: Sequence[Row[Any]]
    locked_count: int


async def load_reasons(session: AsyncConnection, store: str, sku: str) -> Reasons:
    """Who was promised units of a SKU, oldest first."""
    held, held_count = await _promises(session, store, sku, "held")
    allocated, allocated_count = await _promises(session, store, sku, "allocated")
    locked = await list_locks(session, store, sku, after=None, limit=MOST_ITEMS)
    locked_count = len(locked) if len(locked) < MOST_ITEMS else await _count_locks(session, store, sku)
    return Reasons(held, held_count, allocated, allocated_count, locked, locked_count)


async def _promises(session: AsyncConnection, store: str, sku: str, status: str) -> tuple[Sequence[Row[Any]], int]:
    rows = await list_promises(session, store, sku, status=status, after=None, limit=MOST_ITEMS)
    if len(rows) < MOST_ITEMS:
        return rows, len(rows)
    total = await session.scalar(text(f"SELECT count(*) {_PROMISED}"), {"store": store, "sku": sku, "status": status})
    return rows, int(total or 0)


_PROMISED = (
    "FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)"
    " WHERE l.store = :store AND l.sku = :sku AND (l.promised > 0 OR l.short > 0) AND l.promised > 0"
    " AND r.status = :status"
)

Since = tuple[datetime, str]


async def list_promises(
    session: AsyncConnection, store: str, sku: str, *, status: str, after: Since | None, limit: int
) -> Sequence[Row[Any]]:
    """Who was promised units of a SKU, oldest first."""
    ordered_at, reservation_id = after or (None, None)
    return (
        await session.execute(
            text(
                f"SELECT r.reservation_id, r.order_id, l.promised AS quantity, r.expires_at, r.ordered_at {_PROMISED}"
                + (" AND (r.ordered_at, r.reservation_id) > (:ordered_at, :reservation_id)" if after else "")
                + " ORDER BY r.ordered_at, r.reservation_id LIMIT :limit"
            ),
            {
                "store": store,
                "sku": sku,
                "status": status,
                "ordered_at": ordered_at,
                "reservation_id": reservation_id,
                "limit": limit,
            },
        )
    ).all()


async def list_locks(
    session: AsyncConnection, store: str, sku: str, *, after: Since | None, limit: int
) -> Sequence[Row[Any]]:
    """The campaigns that have units of a SKU locked, the first to start first."""
    starts_at, campaign = after or (None, None)
    return (
        await session.execute(
            text(
                "SELECT campaign, locked AS quantity, starts_at, ends_at FROM inventory.campaign_lock"
                " WHERE store = :store AND sku = :sku AND NOT has_ended AND locked > 0"
                + (" AND (starts_at, campaign) > (:starts_at, :campaign)" if after else "")
                + " ORDER BY starts_at, campaign LIMIT :limit"
            ),
            {"store": store, "sku": sku, "starts_at": starts_at, "campaign": campaign, "limit": limit},
        )
    ).all()


async def _count_locks(session: AsyncConnection, store: str, sku: str) -> int:
    total = await session.scalar(
        text(
            "SELECT count(*) FROM inventory.campaign_lock"
            " WHERE store = :store AND sku = :sku AND NOT has_ended AND locked > 0"
        ),
        {"store": store, "sku": sku},
    )
    return int(total or 0)


async def load_reservation(session: AsyncConnection, store: str, reservation_id: str) -> Sequence[Row[Any]]:
    """A reservation with its lines, a row each; empty where there is none."""
    return (
        await session.execute(
            text(
                "SELECT r.reservation_id, r.status, r.order_id, r.campaign, r.expires_at, l.sku, l.quantity, l.short,"
                " l.shipped FROM inventory.reservation r LEFT JOIN inventory.reservation_line l"
                " USING (store, reservation_id) WHERE store = :store AND reservation_id = :reservation_id"
                " ORDER BY l.position"
            ),
            {"store": store, "reservation_id": reservation_id},
        )
    ).all()


# the ledger


async def list_movements(
    session: AsyncConnection, store: str, *, sku: str | None, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Ledger entries, newest first."""
    return (
        await session.execute(
            text(
                "SELECT movement_id, sku, warehouse, at, kind, quantity, from_state, to_state, cause_type, cause_id,"
                ' "by", reason FROM inventory.movement WHERE store = :store'
                + (" AND sku = :sku" if sku is not None else "")
                + (" AND movement_id < :before" if before is not None else "")
                + " ORDER BY movement_id DESC LIMIT :limit"
            ),
            {"store": store, "sku": sku, "before": before, "limit": limit},
        )
    ).all()


# timers


async def find_expired_holds(session: AsyncConnection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """(store, reservation) of holds that have run out, oldest first."""
    rows = await session.execute(
        text(
            "SELECT store, reservation_id FROM inventory.reservation WHERE status = 'held' AND expires_at <= :now"
            " ORDER BY expires_at LIMIT :limit"
        ),
        {"now": now, "limit": limit},
    )
    return [(row.store, row.reservation_id) for row in rows]
