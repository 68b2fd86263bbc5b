"""Counts, and what of them a person must look at (INV-10)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain.commands import Compared, Count

_HEAD = 'count_id, warehouse, as_of, source, "by", item_count, difference_count, recorded_at'
_TASK = (
    "l.count_id, l.sku, c.warehouse, c.as_of, l.expected, l.counted, l.difference, l.status, l.recorded_at,"
    " l.resolved_at, l.resolved_by, l.note"
)
_TASKS = (
    f"SELECT {_TASK} FROM inventory.stock_count_line l JOIN inventory.stock_count c USING (store, count_id)"
    " WHERE l.store = :store AND l.status <> 'applied'"
)


async def save_count(session: AsyncConnection, count: Count, compared: Compared, now: datetime) -> None:
    """Keep a count and its lines; stale ones are tasks for a person, done by the next count that is taken over."""
    await session.execute(
        text(
            f"INSERT INTO inventory.stock_count (store, {_HEAD}) VALUES (:store, :count_id, :warehouse, :as_of,"
            " :source, :by, :item_count, :difference_count, :now)"
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
    await _save_lines(session, count, compared, now)
    await _close_tasks(session, count, compared, now)


async def _save_lines(session: AsyncConnection, count: Count, compared: Compared, now: datetime) -> None:
    if not compared.differences:
        return
    await session.execute(
        text(
            "INSERT INTO inventory.stock_count_line (store, count_id, recorded_at, sku, expected, counted, difference,"
            " status) SELECT :store, :count_id, :now, * FROM unnest(CAST(:skus AS text[]), CAST(:expected AS bigint[]),"
            " CAST(:counted AS bigint[]), CAST(:difference AS bigint[]), CAST(:status AS text[]))"
        ),
        {
            "store": count.store,
            "count_id": count.count_id,
            "now": now,
            "skus": [line.sku for line in compared.differences],
            "expected": [line.expected for line in compared.differences],
            "counted": [line.counted for line in compared.differences],
            "difference": [line.difference for line in compared.differences],
            "status": [line.status for line in compared.differences],
        },
    )


async def _close_tasks(session: AsyncConnection, count: Count, compared: Compared, now: datetime) -> None:
    await session.execute(
        text(
            "UPDATE inventory.stock_count_line AS l SET resolved_at = :now, resolved_by = :by"
            " FROM inventory.stock_count c WHERE l.store = :store AND l.sku = ANY(CAST(:skus AS text[]))"
            " AND l.status <> 'applied' AND l.resolved_at IS NULL AND (c.store, c.count_id) = (l.store, l.count_id)"
            " AND c.warehouse = :warehouse AND c.as_of <= :as_of"
        ),
        {
            "store": count.store,
            "warehouse": count.warehouse,
            "as_of": count.as_of,
            "skus": [line.sku for line in compared.lines if line.status == "applied"],
            "by": f"count:{count.count_id}",
            "now": now,
        },
    )


async def list_counts(
    session: AsyncConnection, store: str, *, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Row[Any]]:
    """Counts, the one taken over last first."""
    recorded_at, count_id = before or (None, None)
    return (
        await session.execute(
            text(
                f"SELECT {_HEAD} FROM inventory.stock_count WHERE store = :store"
                + (" AND (recorded_at, count_id) < (:recorded_at, :count_id)" if before else "")
                + " ORDER BY recorded_at DESC, count_id DESC LIMIT :limit"
            ),
            {"store": store, "recorded_at": recorded_at, "count_id": count_id, "limit": limit},
        )
    ).all()


async def load_count(session: AsyncConnection, store: str, count_id: str) -> Row[Any] | None:
    """One count."""
    return (
        await session.execute(
            text(f"SELECT {_HEAD} FROM inventory.stock_count WHERE store = :store AND count_id = :count_id"),
            {"store": store, "count_id": count_id},
        )
    ).one_or_none()


async def list_count_lines(
    session: AsyncConnection, store: str, count_id: str, *, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """The lines of a count that differed or could not be compared, by SKU."""
    return (
        await session.execute(
            text(
                "SELECT sku, expected, counted, difference, status FROM inventory.stock_count_line"
                " WHERE store = :store AND count_id = :count_id AND (CAST(:after AS text) IS NULL OR sku > :after)"
                " ORDER BY sku LIMIT :limit"
            ),
            {"store": store, "count_id": count_id, "after": after, "limit": limit},
        )
    ).all()


TaskKey = tuple[datetime, str, str]


async def list_tasks(
    session: AsyncConnection, store: str, *, is_open: bool, before: TaskKey | None, limit: int
) -> Sequence[Row[Any]]:
    """Count lines that a person must look at (or has), newest first."""
    recorded_at, count_id, sku = before or (None, None, None)
    return (
        await session.execute(
            text(
                f"{_TASKS} AND l.resolved_at IS {'NULL' if is_open else 'NOT NULL'}"
                + (" AND (l.recorded_at, l.count_id, l.sku) < (:recorded_at, :count_id, :sku)" if before else "")
                + " ORDER BY l.recorded_at DESC, l.count_id DESC, l.sku DESC LIMIT :limit"
            ),
            {"store": store, "recorded_at": recorded_at, "count_id": count_id, "sku": sku, "limit": limit},
        )
    ).all()


async def load_task(session: AsyncConnection, store: str, count_id: str, sku: str) -> Row[Any] | None:
    """One such line, locked."""
    return (
        await session.execute(
            text(f"{_TASKS} AND l.count_id = :count_id AND l.sku = :sku FOR UPDATE OF l"),
            {"store": store, "count_id": count_id, "sku": sku},
        )
    ).one_or_none()


async def resolve_task(
    session: AsyncConnection, store: str, count_id: str, sku: str, *, by: str, note: str | None, now: datetime
) -> None:
    """A person has dealt with it."""
    await session.execute(
        text(
            "UPDATE inventory.stock_count_line SET resolved_at = :now, resolved_by = :by, note = :note"
            " WHERE store = :store AND count_id = :count_id AND sku = :sku AND resolved_at IS NULL"
        ),
        {"store": store, "count_id": count_id, "sku": sku, "by": by, "note": note, "now": now},
    )
