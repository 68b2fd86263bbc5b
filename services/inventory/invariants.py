"""What must always hold about stock, asked of the database as it is (P1, INV-6, INV-11, D22, D57)."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.invariants import Violation, broken, shared_checks

_LEDGER = " UNION ALL ".join(
    f"SELECT store, sku, {side} AS state, {sign}quantity AS quantity FROM inventory.movement"
    for side, sign in (("to_state", ""), ("from_state", "-"))
)

_CHECKS = {
    "promises do not exceed what is on hand": """
        SELECT store, sku, on_hand, held + allocated + locked FROM inventory.level
        WHERE held + allocated + locked > on_hand
    """,
    "no level is negative": """
        SELECT store, sku, 0, least(on_hand, held, allocated, locked, short, "returning", damaged) FROM inventory.level
        WHERE least(on_hand, held, allocated, locked, short, "returning", damaged) < 0
    """,
    "a level is the sum of its ledger": f"""
        WITH ledger AS (SELECT store, sku, state, sum(quantity) AS units FROM ({_LEDGER}) AS m
                        WHERE state NOT IN ('outside', 'shipped', 'sold') GROUP BY store, sku, state),
             stated AS (SELECT l.store, l.sku, s.state, s.units FROM inventory.level l CROSS JOIN LATERAL (VALUES
                        ('on_hand', on_hand - held - allocated - locked), ('held', held), ('allocated', allocated),
                        ('locked', locked), ('short', short), ('returning', "returning"), ('damaged', damaged)
                        ) AS s(state, units))
        SELECT store, sku || ' ' || state, coalesce(ledger.units, 0), coalesce(stated.units, 0)
        FROM ledger FULL JOIN stated USING (store, sku, state)
        WHERE coalesce(ledger.units, 0) <> coalesce(stated.units, 0)
    """,
    "what left the house is with the orders": f"""
        WITH ledger AS (SELECT store, sku, state, sum(quantity) AS units FROM ({_LEDGER}) AS m
                        WHERE state IN ('shipped', 'sold') GROUP BY store, sku, state),
             lines AS (SELECT l.store, l.sku, s.state, sum(s.units) AS units FROM inventory.reservation_line l
                       CROSS JOIN LATERAL (VALUES ('shipped', l.shipped), ('sold', l.sold)) AS s(state, units)
                       GROUP BY l.store, l.sku, s.state)
        SELECT store, sku || ' ' || state, coalesce(ledger.units, 0), coalesce(lines.units, 0)
        FROM ledger FULL JOIN lines USING (store, sku, state)
        WHERE coalesce(ledger.units, 0) <> coalesce(lines.units, 0)
    """,
    "what came in and did not go out is there": f"""
        WITH ledger AS (SELECT store, sku, -sum(quantity) AS units FROM ({_LEDGER}) AS m
                        WHERE state = 'outside' GROUP BY store, sku),
             gone AS (SELECT store, sku, sum(shipped + sold) AS units FROM inventory.reservation_line
                      GROUP BY store, sku),
             there AS (SELECT v.store, v.sku, on_hand + short + "returning" + damaged + coalesce(gone.units, 0) AS units
                       FROM inventory.level v LEFT JOIN gone USING (store, sku))
        SELECT store, sku, coalesce(ledger.units, 0), coalesce(there.units, 0)
        FROM ledger FULL JOIN there USING (store, sku) WHERE coalesce(ledger.units, 0) <> coalesce(there.units, 0)
    """,
    "reserved is the sum of the open lines": """
        WITH open AS (SELECT l.store, l.sku,
                        coalesce(sum(l.promised) FILTER (WHERE r.status = 'held'), 0) AS held,
                        coalesce(sum(l.promised) FILTER (WHERE r.status = 'allocated'), 0) AS allocated,
                        coalesce(sum(l.short) FILTER (WHERE r.status IN ('held', 'allocated')), 0) AS short,
                        coalesce(sum(l."returning"), 0) AS "returning"
                      FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)
                      GROUP BY l.store, l.sku),
             pairs AS (SELECT v.store, v.sku, s.term, s.lines, s.level FROM
                       (SELECT coalesce(o.store, v.store) AS store, coalesce(o.sku, v.sku) AS sku,
                          coalesce(o.held, 0) AS o_held, coalesce(o.allocated, 0) AS o_allocated,
                          coalesce(o.short, 0) AS o_short, coalesce(o."returning", 0) AS o_returning,
                          coalesce(v.held, 0) AS held, coalesce(v.allocated, 0) AS allocated,
                          coalesce(v.short, 0) AS short, coalesce(v."returning", 0) AS "returning"
                        FROM open o FULL JOIN inventory.level v ON (o.store, o.sku) = (v.store, v.sku)) AS v
                       CROSS JOIN LATERAL (VALUES ('held', o_held, held), ('allocated', o_allocated, allocated),
                         ('short', o_short, short), ('returning', o_returning, "returning")) AS s(term, lines, level))
        SELECT store, sku || ' ' || term, lines, level FROM pairs WHERE lines <> level
    """,
    "an ended reservation holds nothing": """
        SELECT l.store, l.reservation_id || ' ' || l.sku, 0, l.promised + l.short
        FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)
        WHERE r.status NOT IN ('held', 'allocated') AND l.promised + l.short > 0
    """,
    "locked is the sum of the campaigns' locks": """
        WITH locks AS (SELECT store, sku, sum(locked) AS locked FROM inventory.campaign_lock GROUP BY store, sku)
        SELECT store, sku, coalesce(k.locked, 0), v.locked FROM inventory.level v
        LEFT JOIN locks k USING (store, sku) WHERE coalesce(k.locked, 0) <> v.locked
    """,
    "a level is the sum of its warehouses": """
        SELECT v.store, v.sku || ' ' || s.term, s.places, s.level FROM inventory.level v
        CROSS JOIN LATERAL (SELECT coalesce(sum((w->>'on_hand')::bigint), 0) AS on_hand,
          coalesce(sum((w->>'returning')::bigint), 0) AS "returning",
          coalesce(sum((w->>'damaged')::bigint), 0) AS damaged
          FROM jsonb_array_elements(v.warehouses) AS w) AS p
        CROSS JOIN LATERAL (VALUES ('on_hand', p.on_hand, v.on_hand), ('returning', p."returning", v."returning"),
          ('damaged', p.damaged, v.damaged)) AS s(term, places, level)
        WHERE s.places <> s.level
    """,
    "nobody is short while units are free": """
        SELECT store, sku, 0, short FROM inventory.level
        WHERE short > 0 AND on_hand > held + allocated + locked
    """,
}


INVARIANTS = (*shared_checks("inventory"), *_CHECKS)


async def violations(session: AsyncConnection) -> list[Violation]:
    """Every broken invariant of every store."""
    return await broken(session, {**shared_checks("inventory"), **_CHECKS})


async def promised(session: AsyncConnection) -> Mapping[tuple[str, str, str], int]:
    """(store, order, SKU) -> units that open reservations of orders hold, own or are owed: inventory's side."""
    rows = await session.execute(text(_PROMISED))
    return {(row.store, row.order_id, row.sku): int(row.units) for row in rows}


async def services(session: AsyncConnection) -> set[tuple[str, str]]:
    """(store, SKU) of everything that has no stock: whoever ordered it before that was known is promised no unit."""
    rows = await session.execute(text("SELECT store, sku FROM inventory.level WHERE NOT is_goods"))
    return {(row.store, row.sku) for row in rows}


_PROMISED = """
SELECT r.store, r.order_id, l.sku, sum(l.promised + l.short) AS units
FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)
WHERE r.order_id IS NOT NULL AND r.status IN ('held', 'allocated') AND l.promised + l.short > 0
 AND (r.status = 'allocated' OR r.expires_at IS NULL OR r.expires_at > now())
GROUP BY r.store, r.order_id, l.sku
"""
