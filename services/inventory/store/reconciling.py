"""A store's day by the ledger, beside what levels and open lines say (INV-11)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain.stock import HOUSE

_HOUSE = ", ".join(f"'{state}'" for state in sorted(HOUSE))
_INTO_HOUSE = (
    f"(CASE WHEN to_state IN ({_HOUSE}) THEN quantity ELSE 0 END"
    f" - CASE WHEN from_state IN ({_HOUSE}) THEN quantity ELSE 0 END)"
)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A SKU's day by the ledger; its present level, and what ledger and open lines say that it should be."""

    sku: str
    opening: int
    receipts: int
    returns: int
    adjustments: int
    shipped: int
    closing: int
    on_hand: int
    on_hand_by_ledger: int
    reserved: int
    reserved_by_lines: int
    short: int
    short_by_lines: int

    def mismatches(self) -> list[tuple[str, int, int]]:
        """(what, expected, found) of all that does not agree."""
        by_flows = self.opening + self.receipts + self.returns + self.adjustments - self.shipped
        checks = (
            ("closing", by_flows, self.closing),
            ("on_hand", self.on_hand_by_ledger, self.on_hand),
            ("reserved", self.reserved_by_lines, self.reserved),
            ("short", self.short_by_lines, self.short),
        )
        return [check for check in checks if check[1] != check[2]]


async def reconcile(
    session: AsyncConnection, store: str, *, start: datetime, end: datetime, after: str | None, limit: int
) -> list[Reconciled]:
    """SKUs that have ever moved, by code (INV-11).

    Levels, ledger and lines are read by one statement, so at one moment: stock moves meanwhile, and between two
    statements every sale would look like a mismatch.
    """
    given = {"store": store, "start": start, "end": end, "after": after, "limit": limit}
    return [Reconciled(row[0], *map(int, row[1:])) for row in await session.execute(text(_RECONCILED), given)]


async def is_reconciled(session: AsyncConnection, store: str, day: str) -> bool:
    """Whether that store day has been reconciled."""
    found = await session.scalar(
        text("SELECT 1 FROM inventory.reconciled_day WHERE store = :store AND day = :day"), {"store": store, "day": day}
    )
    return found is not None


async def mark_reconciled(session: AsyncConnection, store: str, day: str, mismatches: int, now: datetime) -> bool:
    """Remember that a store day has been reconciled; False where somebody else has."""
    done = await session.execute(
        text(
            "INSERT INTO inventory.reconciled_day (store, day, mismatches, checked_at)"
            " VALUES (:store, :day, :mismatches, :now) ON CONFLICT DO NOTHING"
        ),
        {"store": store, "day": day, "mismatches": mismatches, "now": now},
    )
    return done.rowcount > 0


def _in_day(*kinds: str) -> str:
    named = ", ".join(f"'{kind}'" for kind in kinds)
    return f"coalesce(sum({_INTO_HOUSE}) FILTER (WHERE at >= :start AND at < :end AND kind IN ({named})), 0)"


_RECONCILED = f"""
WITH page AS (
    SELECT sku, on_hand, held + allocated AS reserved, short FROM inventory.level
    WHERE store = :store AND is_goods AND has_moved AND (CAST(:after AS text) IS NULL OR sku > :after)
    ORDER BY sku LIMIT :limit
), flows AS (
    SELECT sku, coalesce(sum({_INTO_HOUSE}) FILTER (WHERE at < :start), 0) AS opening,
           {_in_day("received")} AS receipts, {_in_day("returned")} AS returns,
           {_in_day("adjusted", "counted")} AS adjustments, -{_in_day("shipped")} AS shipped,
           coalesce(sum({_INTO_HOUSE}) FILTER (WHERE at < :end), 0) AS closing,
           coalesce(sum({_INTO_HOUSE}), 0) AS on_hand_by_ledger
    FROM inventory.movement WHERE store = :store AND sku IN (SELECT sku FROM page) GROUP BY sku
), open_lines AS (
    SELECT l.sku, sum(l.promised) AS promised, sum(l.short) AS short
    FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)
    WHERE l.store = :store AND l.sku IN (SELECT sku FROM page) AND (l.promised > 0 OR l.short > 0)
      AND r.status IN ('held', 'allocated')
    GROUP BY l.sku
)
SELECT page.sku, f.opening, f.receipts, f.returns, f.adjustments, f.shipped, f.closing, page.on_hand,
       f.on_hand_by_ledger, page.reserved, coalesce(o.promised, 0), page.short, coalesce(o.short, 0)
FROM page JOIN flows f USING (sku) LEFT JOIN open_lines o USING (sku) ORDER BY page.sku
"""
