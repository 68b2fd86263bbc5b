"""How SKUs sell: slow movers and what should be ordered again (INV-8, INV-9)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain.policy import EVERY_CATEGORY
from services.inventory.store.reads import AVAILABLE

SALES_DAYS = 7


async def list_slow_movers(
    session: AsyncConnection, store: str, *, before: datetime, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """SKUs with stock of which nothing was sold since `before`, and whose first movement is older (INV-9)."""
    return (
        await session.execute(
            text(
                "SELECT l.sku, s.title, l.on_hand, l.last_sold_at, first.at AS first_stocked_at, s.cost_cents"
                " FROM inventory.level l LEFT JOIN inventory.sku s USING (store, sku) CROSS JOIN LATERAL"
                " (SELECT m.at FROM inventory.movement m WHERE m.store = l.store AND m.sku = l.sku"
                " ORDER BY m.movement_id LIMIT 1) AS first WHERE l.store = :store AND l.is_goods AND l.on_hand > 0"
                " AND coalesce(l.last_sold_at, first.at) <= :before"
                " AND (CAST(:after AS text) IS NULL OR l.sku > :after) ORDER BY l.sku LIMIT :limit"
            ),
            {"store": store, "before": before, "after": after, "limit": limit},
        )
    ).all()


_SOLD = (
    "CASE WHEN kind = 'shipped' AND from_state IN ('on_hand', 'outside') THEN quantity"
    " WHEN to_state = 'allocated' THEN quantity WHEN from_state = 'allocated' AND kind <> 'shipped' THEN -quantity"
    " ELSE 0 END"
)
"""Units that orders came to own, less those that they gave up again; with those that left without a promise."""


async def list_sales(
    session: AsyncConnection,
    store: str,
    *,
    now: datetime,
    lead_days: Mapping[str, int],
    every: bool,
    after: str | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Goods that sold in the last 7 days and will not last until their supplier delivers (`every`: all of them).

    `lead_days` by category are for SKUs that have none of their own.
    """
    return (
        await session.execute(
            text(
                f"WITH moved AS (SELECT sku, sum({_SOLD}) AS units FROM inventory.movement WHERE store = :store"
                " AND at > :since AND at <= :now AND kind IN ('allocated', 'filled', 'shorted', 'released', 'shipped')"
                " GROUP BY sku), sold AS (SELECT l.sku, s.title,"
                f" {AVAILABLE} AS available, l.short, l.safety, moved.units, coalesce(s.lead_days, named.days,"
                " CAST(:usual AS int)) AS lead_days FROM moved JOIN inventory.level l ON l.store = :store"
                " AND l.sku = moved.sku LEFT JOIN inventory.sku s ON s.store = l.store AND s.sku = l.sku"
                " LEFT JOIN unnest(CAST(:categories AS text[]), CAST(:days AS int[])) AS named(category, days)"
                " ON named.category = s.category WHERE moved.units > 0 AND l.is_goods"
                " AND (CAST(:after AS text) IS NULL OR l.sku > :after))"
                f" SELECT * FROM sold WHERE :every OR available * {SALES_DAYS} < units * lead_days"
                " ORDER BY sku LIMIT :limit"
            ),
            {
                "store": store,
                "now": now,
                "since": now - timedelta(days=SALES_DAYS),
                "usual": lead_days[EVERY_CATEGORY],
                "categories": list(lead_days),
                "days": list(lead_days.values()),
                "every": every,
                "after": after,
                "limit": limit,
            },
        )
    ).all()
