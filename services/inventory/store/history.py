"""Who asked for units of a SKU, when, and what each saw: to understand an oversell, or one that just did not happen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_FREE = "(CASE WHEN to_state = 'on_hand' THEN quantity WHEN from_state = 'on_hand' THEN -quantity ELSE 0 END)"


class Point(NamedTuple):
    """Where a reader stands: everything at or behind these ids has been read; so many units were free there."""

    movement_id: int
    refusal_id: int
    free: int


NEWEST = 2**62


async def start_of(session: AsyncConnection, store: str, sku: str, until: datetime | None) -> Point:
    """Where reading back begins: at the present, or before `until`."""
    row = (
        await session.execute(
            text(
                "WITH start AS (SELECT coalesce(max(movement_id), 0) + 1 AS id FROM inventory.movement"
                " WHERE store = :store AND sku = :sku"
                " AND (CAST(:until AS timestamptz) IS NULL OR recorded_at < :until))"
                " SELECT start.id, l.on_hand - l.held - l.allocated - l.locked - coalesce((SELECT"
                f" sum({_FREE}) FROM inventory.movement m WHERE m.store = :store AND m.sku = :sku"
                " AND m.movement_id >= start.id), 0) AS free, (SELECT coalesce(max(refusal_id), 0) + 1"
                " FROM inventory.refusal WHERE store = :store AND sku = :sku AND (CAST(:until AS timestamptz) IS NULL"
                " OR recorded_at < :until)) AS refused FROM start, inventory.level l"
                " WHERE l.store = :store AND l.sku = :sku"
            ),
            {"store": store, "sku": sku, "until": until},
        )
    ).one()
    return Point(int(row.id), int(row.refused), int(row.free))


async def movements_before(
    session: AsyncConnection, store: str, sku: str, *, before: int, since: datetime | None, limit: int
) -> Sequence[Row[Any]]:
    """Ledger entries of a SKU with the reservation behind each, newest first; `free` is by how many it changed that."""
    return (
        await session.execute(
            text(
                "SELECT m.movement_id, m.at, m.recorded_at, m.kind, m.quantity, m.from_state, m.to_state, m.warehouse,"
                f' m.cause_type, m.cause_id, m."by", {_FREE} AS free, r.reservation_id, coalesce(r.order_id,'
                " CASE WHEN m.cause_type = 'order' THEN m.cause_id END) AS order_id, r.customer_id, r.campaign"
                " FROM inventory.movement m LEFT JOIN inventory.reservation r ON r.store = m.store"
                " AND m.cause_type = 'reservation' AND r.reservation_id = m.cause_id"
                " WHERE m.store = :store AND m.sku = :sku AND m.movement_id < :before"
                " AND (CAST(:since AS timestamptz) IS NULL OR m.recorded_at >= :since)"
                " ORDER BY m.movement_id DESC LIMIT :limit"
            ),
            {"store": store, "sku": sku, "before": before, "since": since, "limit": limit},
        )
    ).all()


async def refusals_before(
    session: AsyncConnection,
    store: str,
    sku: str | None,
    *,
    before: int,
    since: datetime | None,
    until: datetime | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Who was refused units (of a SKU), newest first."""
    return (
        await session.execute(
            text(
                "SELECT f.refusal_id, f.sku, f.at, f.recorded_at, f.wanted, f.available, f.version, f.reservation_id,"
                " r.order_id, r.customer_id, r.campaign FROM inventory.refusal f LEFT JOIN inventory.reservation r"
                " USING (store, reservation_id) WHERE f.store = :store AND f.refusal_id < :before"
                + (" AND f.sku = :sku" if sku is not None else "")
                + " AND (CAST(:since AS timestamptz) IS NULL OR f.recorded_at >= :since)"
                " AND (CAST(:until AS timestamptz) IS NULL OR f.recorded_at < :until)"
                " ORDER BY f.refusal_id DESC LIMIT :limit"
            ),
            {"store": store, "sku": sku, "before": before, "since": since, "until": until, "limit": limit},
        )
    ).all()


async def sum_refusals(
    session: AsyncConnection, store: str, *, since: datetime, until: datetime, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Lost demand by SKU: how often units were refused, and how many were asked for in vain."""
    return (
        await session.execute(
            text(
                "SELECT f.sku, count(*) AS refusals, sum(f.wanted) AS wanted, sum(f.wanted - f.available) AS lacking,"
                " max(f.at) AS last_at FROM inventory.refusal f WHERE f.store = :store AND f.at >= :since"
                " AND f.at < :until AND (CAST(:after AS text) IS NULL OR f.sku > :after)"
                " GROUP BY f.sku ORDER BY f.sku LIMIT :limit"
            ),
            {"store": store, "since": since, "until": until, "after": after, "limit": limit},
        )
    ).all()
