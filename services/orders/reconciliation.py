"""Payments and refunds against orders (ORD-3): what does not fit is listed, with what was expected and found."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

GREATEST_LIST = 1_000


LISTS = ("paid_without_order", "paid_other_amount", "refund_without_return")
"""The three lists of ORD-3; every kind of difference belongs to one."""
_LIST_OF = {
    "payment_without_order": "paid_without_order",
    "paid_in_part": "paid_other_amount",
    "other_amount_paid": "paid_other_amount",
    "cancelled_order_paid": "paid_other_amount",
    "refund_without_order": "refund_without_return",
    "refunded_more_than_paid": "refund_without_return",
    "refund_without_return": "refund_without_return",
}


async def reconcile(session: AsyncConnection, store: str, start: datetime, end: datetime) -> dict[str, Any]:
    """The differences of one day, `[start, end)`, at most 1,000 of each list with their count, and the day's sums."""
    given = {"store": store, "start": start, "end": end, "most": GREATEST_LIST}
    found = (await session.execute(text(_DIFFERENCES), given)).all()
    sums = (await session.execute(text(_SUMS), given)).one()
    items = [{name: getattr(row, name) for name in _SHOWN} for row in found]
    lists = {name: [item for item in items if _LIST_OF[item["kind"]] == name] for name in LISTS}
    counts = {row.kind: row.of_kind for row in found}
    return {
        **lists,
        "items": items,
        "item_count": sum(counts.values()),
        "counts": {name: sum(n for kind, n in counts.items() if _LIST_OF[kind] == name) for name in LISTS},
        "payments": sums.payments,
        "payments_cents": sums.payments_cents,
        "refunds": sums.refunds,
        "refunds_cents": sums.refunds_cents,
    }


_SHOWN = ("kind", "order_id", "payment_id", "refund_id", "expected_cents", "found_cents")

_DIFFERENCES = """
WITH paid AS (
    SELECT DISTINCT order_id FROM orders.payments
    WHERE store = :store AND status = 'succeeded' AND paid_at >= :start AND paid_at < :end
), differences AS (
    SELECT 'payment_without_order' AS kind, s.order_id, s.payment_id, NULL AS refund_id, 0 AS expected_cents,
           s.amount_cents AS found_cents
    FROM orders.stray_payments s LEFT JOIN orders.payments p USING (store, payment_id)
    WHERE s.store = :store AND s.paid_at >= :start AND s.paid_at < :end AND p.payment_id IS NULL
    UNION ALL
    SELECT CASE WHEN o.status = 'cancelled' THEN 'cancelled_order_paid'
                WHEN o.paid_at IS NULL THEN 'paid_in_part' ELSE 'other_amount_paid' END,
           o.order_id, NULL, NULL,
           CASE WHEN o.status = 'cancelled' THEN o.refunded_cents ELSE o.total_cents END, o.paid_cents
    FROM paid JOIN orders.orders o ON o.store = :store AND o.order_id = paid.order_id
    WHERE o.paid_cents <> CASE WHEN o.status = 'cancelled' THEN o.refunded_cents ELSE o.total_cents END
    UNION ALL
    SELECT CASE WHEN o.order_id IS NULL THEN 'refund_without_order'
                WHEN o.refunded_cents > o.paid_cents THEN 'refunded_more_than_paid' ELSE 'refund_without_return' END,
           r.order_id, NULL, r.refund_id, CASE WHEN o.refunded_cents > o.paid_cents THEN o.paid_cents ELSE 0 END,
           CASE WHEN o.refunded_cents > o.paid_cents THEN o.refunded_cents ELSE r.amount_cents END
    FROM orders.refunds r LEFT JOIN orders.orders o USING (store, order_id)
    WHERE r.store = :store AND r.issued_at >= :start AND r.issued_at < :end
      AND (o.order_id IS NULL OR o.refunded_cents > o.paid_cents OR (r.return_id IS NULL AND o.status <> 'cancelled'))
), numbered AS (
    SELECT *, count(*) OVER (PARTITION BY kind) AS of_kind,
           row_number() OVER (PARTITION BY kind ORDER BY order_id, refund_id) AS place FROM differences
)
SELECT * FROM numbered WHERE place <= :most ORDER BY order_id, kind, refund_id
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
