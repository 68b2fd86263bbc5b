"""Payments and refunds against orders (ORD-3): what does not fit is listed, with what was expected and found."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

GREATEST_LIST = 1_000


async def reconcile(session: AsyncConnection, store: str, start: datetime, end: datetime) -> dict[str, Any]:
    """The differences of one day, `[start, end)`, at most 1,000 with their count, and the sums of the day."""
    given = {"store": store, "start": start, "end": end}
    found = [dict(row._mapping) for row in await session.execute(text(_DIFFERENCES), given)]
    sums = (await session.execute(text(_SUMS), given)).one()
    return {
        "items": found[:GREATEST_LIST],
        "item_count": len(found),
        "payments": sums.payments,
        "payments_cents": sums.payments_cents,
        "refunds": sums.refunds,
        "refunds_cents": sums.refunds_cents,
    }


_DIFFERENCES = """
WITH paid AS (
    SELECT DISTINCT order_id FROM orders.payments
    WHERE store = :store AND status = 'succeeded' AND paid_at >= :start AND paid_at < :end
)
SELECT 'payment_without_order' AS kind, p.order_id, NULL AS refund_id, 0 AS expected_cents,
       p.amount_cents AS found_cents
FROM orders.payments p LEFT JOIN orders.orders o USING (store, order_id)
WHERE p.store = :store AND p.status = 'succeeded' AND p.paid_at >= :start AND p.paid_at < :end AND o.order_id IS NULL
UNION ALL
SELECT CASE WHEN o.status = 'cancelled' THEN 'cancelled_order_paid'
            WHEN o.paid_at IS NULL THEN 'paid_in_part' ELSE 'other_amount_paid' END,
       o.order_id, NULL, CASE WHEN o.status = 'cancelled' THEN o.refunded_cents ELSE o.total_cents END, o.paid_cents
FROM paid JOIN orders.orders o ON o.store = :store AND o.order_id = paid.order_id
WHERE o.paid_cents <> CASE WHEN o.status = 'cancelled' THEN o.refunded_cents ELSE o.total_cents END
UNION ALL
SELECT CASE WHEN o.order_id IS NULL THEN 'refund_without_order'
            WHEN o.refunded_cents > o.paid_cents THEN 'refunded_more_than_paid' ELSE 'refund_without_return' END,
       r.order_id, r.refund_id, CASE WHEN o.refunded_cents > o.paid_cents THEN o.paid_cents ELSE 0 END,
       CASE WHEN o.refunded_cents > o.paid_cents THEN o.refunded_cents ELSE r.amount_cents END
FROM orders.refunds r LEFT JOIN orders.orders o USING (store, order_id)
WHERE r.store = :store AND r.issued_at >= :start AND r.issued_at < :end
  AND (o.order_id IS NULL OR o.refunded_cents > o.paid_cents OR (r.return_id IS NULL AND o.status <> 'cancelled'))
ORDER BY order_id, kind, refund_id
"""

_SUMS = """
SELECT
    (SELECT count(*) FROM orders.payments
     WHERE store = :store AND status = 'succeeded' AND paid_at >= :start AND paid_at < :end) AS payments,
    (SELECT coalesce(sum(amount_cents), 0)::bigint FROM orders.payments
     WHERE store = :store AND status = 'succeeded' AND paid_at >= :start AND paid_at < :end) AS payments_cents,
    (SELECT count(*) FROM orders.refunds
     WHERE store = :store AND issued_at >= :start AND issued_at < :end) AS refunds,
    (SELECT coalesce(sum(amount_cents), 0)::bigint FROM orders.refunds
     WHERE store = :store AND issued_at >= :start AND issued_at < :end) AS refunds_cents
"""
