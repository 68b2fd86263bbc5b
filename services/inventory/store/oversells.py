"""Orders that cannot get their units, and what was done for their customers (INV-5)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_COMPENSATION = 'compensation_id, order_id, sku, remedy, amount_cents, note, "by", recorded_at'


async def list_short(session: AsyncConnection, store: str, *, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """SKUs that are short, by code."""
    return (
        await session.execute(
            text(
                "SELECT l.sku, s.title, l.short, l.on_hand, s.lead_days FROM inventory.level l"
                " LEFT JOIN inventory.sku s USING (store, sku) WHERE l.store = :store AND l.short > 0"
                " AND (CAST(:after AS text) IS NULL OR l.sku > :after) ORDER BY l.sku LIMIT :limit"
            ),
            {"store": store, "after": after, "limit": limit},
        )
    ).all()


async def list_short_orders(
    session: AsyncConnection, store: str, skus: Sequence[str], *, most: int
) -> Sequence[Row[Any]]:
    """Who is short of these SKUs: the latest order first, storefront holds last; at most so many a SKU."""
    return (
        await session.execute(
            text(
                "SELECT o.* FROM unnest(CAST(:skus AS text[])) AS w(sku) CROSS JOIN LATERAL (SELECT l.sku, r.order_id,"
                " r.reservation_id, r.status, r.ordered_at, l.short AS quantity, count(*) OVER () AS total"
                " FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)"
                " WHERE l.store = :store AND l.sku = w.sku AND (l.promised > 0 OR l.short > 0) AND l.short > 0"
                " AND r.status IN ('held', 'allocated')"
                " ORDER BY (r.status = 'held' AND NOT r.is_outside), r.ordered_at DESC, r.reservation_id DESC"
                " LIMIT :most) AS o"
            ),
            {"store": store, "skus": list(skus), "most": most},
        )
    ).all()


async def has_line(session: AsyncConnection, store: str, order_id: str, sku: str) -> bool:
    """Whether the order ever wanted that SKU of us."""
    found = await session.scalar(
        text(
            "SELECT 1 FROM inventory.reservation r JOIN inventory.reservation_line l USING (store, reservation_id)"
            " WHERE store = :store AND r.order_id = :order_id AND l.sku = :sku LIMIT 1"
        ),
        {"store": store, "order_id": order_id, "sku": sku},
    )
    return found is not None


async def save_compensation(session: AsyncConnection, store: str, now: datetime, **given: Any) -> None:
    """Keep what was done for a customer."""
    await session.execute(
        text(
            f"INSERT INTO inventory.compensation (store, {_COMPENSATION}) VALUES (:store, :compensation_id, :order_id,"
            " :sku, :remedy, :amount_cents, :note, :by, :now)"
        ),
        {"store": store, "now": now, **given},
    )


async def compensations_of(session: AsyncConnection, store: str, order_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """What was done for the customers of these orders."""
    return (
        await session.execute(
            text(
                f"SELECT {_COMPENSATION} FROM inventory.compensation WHERE store = :store"
                " AND order_id = ANY(CAST(:order_ids AS text[])) ORDER BY recorded_at, compensation_id"
            ),
            {"store": store, "order_ids": list(order_ids)},
        )
    ).all()


async def list_compensations(
    session: AsyncConnection, store: str, *, sku: str | None, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Row[Any]]:
    """What was done, newest first."""
    recorded_at, compensation_id = before or (None, None)
    return (
        await session.execute(
            text(
                f"SELECT {_COMPENSATION} FROM inventory.compensation WHERE store = :store"
                + (" AND sku = :sku" if sku is not None else "")
                + (" AND (recorded_at, compensation_id) < (:recorded_at, :compensation_id)" if before else "")
                + " ORDER BY recorded_at DESC, compensation_id DESC LIMIT :limit"
            ),
            {
                "store": store,
                "sku": sku,
                "recorded_at": recorded_at,
                "compensation_id": compensation_id,
                "limit": limit,
            },
        )
    ).all()
