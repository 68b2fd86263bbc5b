"""What must always hold about orders, asked of the database as it is (ORD-7, D11, D15 to D17, D62)."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.invariants import Violation, broken, shared_checks

_LINES = """
SELECT o.store, o.order_id, l.sku, sum(l.quantity) AS quantity, sum(coalesce(l.shipped, 0)) AS shipped,
       sum(coalesce(l.returned, 0)) AS returned
FROM orders.orders o CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
     AS l(sku text, quantity bigint, shipped bigint, returned bigint)
GROUP BY o.store, o.order_id, l.sku
"""
_UNITS = "CROSS JOIN LATERAL jsonb_to_recordset(s.lines) AS l(sku text, quantity bigint)"

_CHECKS = {
    "what was paid is the sum of the payments": """
        SELECT o.store, o.order_id, coalesce(p.cents, 0), o.paid_cents FROM orders.orders o
        LEFT JOIN (SELECT store, order_id, sum(amount_cents) AS cents FROM orders.payments
                   WHERE status = 'succeeded' GROUP BY store, order_id) AS p USING (store, order_id)
        WHERE coalesce(p.cents, 0) <> o.paid_cents
    """,
    "what was refunded is the sum of the refunds": """
        SELECT o.store, o.order_id, coalesce(r.cents, 0), o.refunded_cents FROM orders.orders o
        LEFT JOIN (SELECT store, order_id, sum(amount_cents) AS cents FROM orders.refunds
                   GROUP BY store, order_id) AS r USING (store, order_id)
        WHERE coalesce(r.cents, 0) <> o.refunded_cents
    """,
    "the items are the sum of the lines": """
        SELECT o.store, o.order_id, l.cents, o.items_cents FROM orders.orders o
        CROSS JOIN LATERAL (SELECT coalesce(sum(quantity * unit_price_cents - coalesce(discount_cents, 0)), 0) AS cents
         FROM jsonb_to_recordset(o.lines) AS x(quantity bigint, unit_price_cents bigint, discount_cents bigint)) AS l
        WHERE l.cents <> o.items_cents
    """,
    "what was shipped is the sum of the parcels": f"""
        WITH sent AS (SELECT store, order_id, sku, sum(quantity) AS units FROM (
                        SELECT s.store, s.order_id, l.sku, l.quantity FROM orders.shipments s {_UNITS}
                        UNION ALL
                        SELECT s.store, s.order_id, l.sku, -l.quantity FROM orders.returns s {_UNITS}
                        WHERE s.status = 'exchanged') AS moves GROUP BY store, order_id, sku),
             lines AS ({_LINES})
        SELECT store, order_id || ' ' || sku, coalesce(sent.units, 0), coalesce(lines.shipped, 0)
        FROM sent FULL JOIN lines USING (store, order_id, sku)
        WHERE coalesce(sent.units, 0) <> coalesce(lines.shipped, 0)
    """,
    "what came back is the sum of the returns": f"""
        WITH back AS (SELECT s.store, s.order_id, l.sku, sum(l.quantity) AS units FROM orders.returns s {_UNITS}
                      WHERE s.received_at IS NOT NULL AND s.status <> 'exchanged'
                      GROUP BY s.store, s.order_id, l.sku),
             lines AS ({_LINES})
        SELECT store, order_id || ' ' || sku, coalesce(back.units, 0), coalesce(lines.returned, 0)
        FROM back FULL JOIN lines USING (store, order_id, sku)
        WHERE coalesce(back.units, 0) <> coalesce(lines.returned, 0)
    """,
    "no line ships more than it has": f"""
        SELECT store, order_id || ' ' || sku, quantity, shipped FROM ({_LINES}) AS l
        WHERE shipped > quantity OR returned > shipped OR returned < 0
    """,
    "a status has its moment": """
        SELECT store, order_id, 'the moment it became ' || status, 'none' FROM orders.orders WHERE CASE status
         WHEN 'placed' THEN paid_at IS NOT NULL
         WHEN 'cancelled' THEN cancelled_at IS NULL
         WHEN 'delivered' THEN paid_at IS NULL OR delivered_at IS NULL
         WHEN 'completed' THEN delivered_at IS NULL OR completed_at IS NULL
         ELSE paid_at IS NULL END
    """,
    "a paid order of the storefront owns its units": """
        SELECT store, order_id, 'allocated', coalesce(hold ->> 'state', 'no hold') FROM orders.orders
        WHERE origin = 'storefront' AND status = 'paid' AND coalesce(hold ->> 'state', '') <> 'allocated'
    """,
    "an unpaid order has its time limit": """
        SELECT o.store, o.order_id, 1, 0 FROM orders.orders o
        LEFT JOIN orders.timers t ON (t.store, t.order_id, t.kind) = (o.store, o.order_id, 'unpaid')
        WHERE o.status = 'placed' AND t.kind IS NULL
         AND NOT (o.import_id IS NOT NULL AND o.accepted_at - o.placed_at > interval '1 hour')
    """,
    "a backordered order asks for its stock": """
        SELECT o.store, o.order_id, 1, 0 FROM orders.orders o
        LEFT JOIN orders.timers t ON (t.store, t.order_id, t.kind) = (o.store, o.order_id, 'backorder')
        WHERE o.backordered_at IS NOT NULL AND t.kind IS NULL
    """,
    "personal data belongs to an order": """
        SELECT c.store, c.order_id, 'an order', 'none' FROM orders.consignees c
        LEFT JOIN orders.orders o USING (store, order_id) WHERE o.order_id IS NULL
    """,
}

INVARIANTS = (*shared_checks("orders"), *_CHECKS)


async def violations(session: AsyncConnection) -> list[Violation]:
    """Every broken invariant of every store."""
    return await broken(session, {**shared_checks("orders"), **_CHECKS})


async def promised(session: AsyncConnection) -> Mapping[tuple[str, str, str], int]:
    """(store, order, SKU) -> units that orders count on: what inventory must hold for them, own to them or owe them."""
    rows = await session.execute(text(_PROMISED))
    return {(row.store, row.order_id, row.sku): int(row.units) for row in rows}


_PROMISED = """
SELECT o.store, o.order_id, l.sku, sum(l.quantity - coalesce(l.shipped, 0)) AS units
FROM orders.orders o CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
     AS l(sku text, quantity bigint, shipped bigint, kind text)
WHERE coalesce(l.kind, 'goods') = 'goods' AND l.quantity > coalesce(l.shipped, 0) AND CASE
 WHEN o.status = 'placed' AND o.origin = 'storefront'
  THEN o.hold ->> 'state' = 'held' AND CAST(o.hold ->> 'expires_at' AS timestamptz) > now()
 WHEN o.status = 'paid_unfulfillable' THEN o.hold ->> 'state' = 'waiting'
 ELSE o.status NOT IN ('cancelled', 'completed') END
GROUP BY o.store, o.order_id, l.sku
"""
