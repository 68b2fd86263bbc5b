"""What people and services want to know about stock: levels with their reasons, the ledger, lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain.commands import Compared, Count
from services.inventory.domain.stock import HOUSE, Level
from services.inventory.store.book import LEVEL_COLUMNS, level_of

MOST_ITEMS = 100
_AVAILABLE = "greatest(0, on_hand - held - allocated - locked - safety_hidden)"
_HOUSE = ", ".join(f"'{state}'" for state in sorted(HOUSE))
_INTO_HOUSE = (
    f"(CASE WHEN to_state IN ({_HOUSE}) THEN quantity ELSE 0 END"
    f" - CASE WHEN from_state IN ({_HOUSE}) THEN quantity ELSE 0 END)"
)


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
    condition = f" AND has_moved AND ({_AVAILABLE} = 0 OR {_AVAILABLE} < safety)" if low else ""
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
    locked = (
        await session.execute(
            text(
                "SELECT campaign, locked AS quantity, ends_at, count(*) OVER () AS total FROM inventory.campaign_lock"
                " WHERE store = :store AND sku = :sku AND NOT has_ended AND locked > 0"
                " ORDER BY starts_at, campaign LIMIT :most"
            ),
            {"store": store, "sku": sku, "most": MOST_ITEMS},
        )
    ).all()
    return Reasons(held, held_count, allocated, allocated_count, locked, locked[0].total if locked else 0)


async def _promises(session: AsyncConnection, store: str, sku: str, status: str) -> tuple[Sequence[Row[Any]], int]:
    rows = (
        await session.execute(
            text(
                "SELECT r.reservation_id, r.order_id, l.promised AS quantity, r.expires_at, count(*) OVER () AS total"
                " FROM inventory.reservation_line l JOIN inventory.reservation r USING (store, reservation_id)"
                " WHERE l.store = :store AND l.sku = :sku AND (l.promised > 0 OR l.short > 0) AND l.promised > 0"
                " AND r.status = :status ORDER BY r.ordered_at, r.reservation_id LIMIT :most"
            ),
            {"store": store, "sku": sku, "status": status, "most": MOST_ITEMS},
        )
    ).all()
    return rows, rows[0].total if rows else 0


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
    """SKUs that have ever moved, by code (INV-11)."""
    levels = (
        await session.execute(
            text(
                "SELECT sku, on_hand, held + allocated AS reserved, short FROM inventory.level WHERE store = :store"
                " AND is_goods AND has_moved AND (CAST(:after AS text) IS NULL OR sku > :after)"
                " ORDER BY sku LIMIT :limit"
            ),
            {"store": store, "after": after, "limit": limit},
        )
    ).all()
    of_page = {"store": store, "skus": [level.sku for level in levels]}
    days = await session.execute(text(_DAYS), {**of_page, "start": start, "end": end})
    day_of = {row[0]: tuple(int(value) for value in row[1:]) for row in days}
    lines = await session.execute(text(_OPEN_LINES), of_page)
    open_of = {row.sku: (int(row.promised), int(row.short)) for row in lines}
    return [_reconciled(level, day_of[level.sku], open_of.get(level.sku, (0, 0))) for level in levels]


def _reconciled(level: Row[Any], day: Sequence[int], lines: tuple[int, int]) -> Reconciled:
    opening, receipts, returns, adjustments, shipped, closing, on_hand_by_ledger = day
    return Reconciled(
        sku=level.sku,
        opening=opening,
        receipts=receipts,
        returns=returns,
        adjustments=adjustments,
        shipped=shipped,
        closing=closing,
        on_hand=level.on_hand,
        on_hand_by_ledger=on_hand_by_ledger,
        reserved=level.reserved,
        reserved_by_lines=lines[0],
        short=level.short,
        short_by_lines=lines[1],
    )


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


_DAYS = (
    f"SELECT sku, coalesce(sum({_INTO_HOUSE}) FILTER (WHERE at < :start), 0), {_in_day('received')},"
    f" {_in_day('returned')}, {_in_day('adjusted', 'counted')}, -{_in_day('shipped')},"
    f" coalesce(sum({_INTO_HOUSE}) FILTER (WHERE at < :end), 0), coalesce(sum({_INTO_HOUSE}), 0)"
    " FROM inventory.movement WHERE store = :store AND sku = ANY(CAST(:skus AS text[])) GROUP BY sku"
)
_OPEN_LINES = (
    "SELECT l.sku, sum(l.promised) AS promised, sum(l.short) AS short FROM inventory.reservation_line l"
    " JOIN inventory.reservation r USING (store, reservation_id) WHERE l.store = :store"
    " AND l.sku = ANY(CAST(:skus AS text[])) AND (l.promised > 0 OR l.short > 0)"
    " AND r.status IN ('held', 'allocated') GROUP BY l.sku"
)


# lists


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
                " AND coalesce(l.last_sold_at, first.at) < :before"
                " AND (CAST(:after AS text) IS NULL OR l.sku > :after) ORDER BY l.sku LIMIT :limit"
            ),
            {"store": store, "before": before, "after": after, "limit": limit},
        )
    ).all()


SALES_WINDOW = timedelta(days=7)


async def list_sales(
    session: AsyncConnection, store: str, *, now: datetime, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Goods that sold in the last 7 days, with units and present stock (INV-8)."""
    return (
        await session.execute(
            text(
                f"WITH sold AS (SELECT sku, sum(quantity) AS units FROM inventory.movement WHERE store = :store"
                " AND at > :since AND at <= :now AND kind = 'allocated' GROUP BY sku)"
                f" SELECT l.sku, s.title, {_AVAILABLE} AS available, l.short, l.safety, s.lead_days, sold.units"
                " FROM sold JOIN inventory.level l ON l.store = :store AND l.sku = sold.sku"
                " LEFT JOIN inventory.sku s ON s.store = l.store AND s.sku = l.sku"
                " WHERE (CAST(:after AS text) IS NULL OR l.sku > :after) ORDER BY l.sku LIMIT :limit"
            ),
            {"store": store, "now": now, "since": now - SALES_WINDOW, "after": after, "limit": limit},
        )
    ).all()


# counts


async def save_count(session: AsyncConnection, count: Count, compared: Compared, now: datetime) -> None:
    """Keep a count and its lines; stale ones are tasks for a person."""
    await session.execute(
        text(
            'INSERT INTO inventory.stock_count (store, count_id, warehouse, as_of, source, "by", item_count,'
            " difference_count, recorded_at) VALUES (:store, :count_id, :warehouse, :as_of, :source, :by, :item_count,"
            " :difference_count, :now)"
        ),
        {
            "store": count.store,
            "count_id": count.count_id,
            "warehouse": count.warehouse,
            "as_of": count.as_of,
            "source": count.source,
            "by": count.cause.by,
            "item_count": len(compared.lines),
            "difference_count": len(compared.differences),
            "now": now,
        },
    )
    if compared.differences:
        await session.execute(
            text(
                "INSERT INTO inventory.stock_count_line (store, count_id, sku, expected, counted, difference, status)"
                " SELECT :store, :count_id, * FROM unnest(CAST(:skus AS text[]), CAST(:expected AS bigint[]),"
                " CAST(:counted AS bigint[]), CAST(:difference AS bigint[]), CAST(:status AS text[]))"
            ),
            {
                "store": count.store,
                "count_id": count.count_id,
                "skus": [line.sku for line in compared.differences],
                "expected": [line.expected for line in compared.differences],
                "counted": [line.counted for line in compared.differences],
                "difference": [line.difference for line in compared.differences],
                "status": [line.status for line in compared.differences],
            },
        )


async def list_count_tasks(session: AsyncConnection, store: str, *, limit: int) -> Sequence[Row[Any]]:
    """Count lines that a person must look at, newest count first (INV-10)."""
    return (
        await session.execute(
            text(
                "SELECT l.count_id, l.sku, l.expected, l.counted, l.difference, l.status, c.as_of, c.warehouse"
                " FROM inventory.stock_count_line l JOIN inventory.stock_count c USING (store, count_id)"
                " WHERE l.store = :store AND l.status <> 'applied'"
                " ORDER BY c.recorded_at DESC, l.count_id, l.sku LIMIT :limit"
            ),
            {"store": store, "limit": limit},
        )
    ).all()


# campaigns and timers


@dataclass(frozen=True, slots=True)
class LockRow:
    """A campaign's lock on one SKU."""

    sku: str
    wanted: int
    locked: int
    taken: int
    starts_at: datetime
    ends_at: datetime
    has_ended: bool


async def load_campaign(session: AsyncConnection, store: str, campaign: str) -> list[LockRow]:
    """The locks of a campaign, by SKU."""
    rows = await session.execute(
        text(
            "SELECT sku, wanted, locked, taken, starts_at, ends_at, has_ended FROM inventory.campaign_lock"
            " WHERE store = :store AND campaign = :campaign ORDER BY sku"
        ),
        {"store": store, "campaign": campaign},
    )
    return [LockRow(*row) for row in rows]


async def load_burn_down(session: AsyncConnection, store: str, campaign: str) -> Sequence[Row[Any]]:
    """Units that a campaign's reservations asked for, by hour and SKU, those given back left out."""
    return (
        await session.execute(
            text(
                "SELECT date_trunc('hour', r.ordered_at) AS hour, l.sku, sum(l.quantity) AS units"
                " FROM inventory.reservation r JOIN inventory.reservation_line l USING (store, reservation_id)"
                " WHERE r.store = :store AND r.campaign = :campaign AND r.status IN ('held', 'allocated')"
                " GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            {"store": store, "campaign": campaign},
        )
    ).all()


async def find_ending_locks(session: AsyncConnection, now: datetime) -> list[tuple[str, str, str]]:
    """(store, campaign, sku) of locks whose time is over."""
    rows = await session.execute(
        text(
            "SELECT store, campaign, sku FROM inventory.campaign_lock WHERE NOT has_ended AND ends_at <= :now"
            " ORDER BY store, sku, campaign LIMIT 1000"
        ),
        {"now": now},
    )
    return [(row.store, row.campaign, row.sku) for row in rows]


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
