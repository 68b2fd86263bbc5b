"""Backfills: opened, filled by events with their id, ended; then what they touched is measured once (D6, D63)."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import text

from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.kpi.figures import Cell, Cells
from services.kpi.recording import write_corrections


async def open_import(import_id: str, tx: Transaction) -> None:
    """Open a backfill of the transaction's store; opening it again changes nothing, also after its end."""
    await tx.session.execute(
        text(
            "INSERT INTO kpi.import (store, import_id, opened_at) VALUES (:store, :import_id, :now)"
            " ON CONFLICT DO NOTHING"
        ),
        {"store": tx.store, "import_id": import_id, "now": tx.now},
    )


async def end_import(import_id: str, tx: Transaction) -> datetime:
    """End it; what it touched is measured when everything accepted up to now has been applied. Raises NotFound.

    Ending it again changes nothing and gives the time of its end.
    """
    ended_at = await tx.session.scalar(
        text(
            "UPDATE kpi.import SET ended_at = coalesce(ended_at, :now) WHERE store = :store AND import_id = :import_id"
            " RETURNING ended_at"
        ),
        {"store": tx.store, "import_id": import_id, "now": tx.now},
    )
    if ended_at is None:
        raise NotFound("there is no such import")
    assert isinstance(ended_at, datetime)
    return ended_at


async def settled_imports(connection: Any, store: str, until: datetime) -> list[str]:
    """Ended imports whose every event has been applied, still to be closed."""
    rows = await connection.fetch(
        "SELECT import_id FROM kpi.import WHERE store = $1 AND ended_at <= $2 AND measured_at IS NULL", store, until
    )
    return [row[0] for row in rows]


async def close_imports(connection: Any, store: str, settled: Collection[str], now: datetime) -> None:
    """Their buckets have been measured: tell what they changed of buckets that had been measured before them."""
    for import_id in sorted(settled):
        changed = await _gathered(connection, store, import_id)
        if changed:
            causes = {cell: [f"import:{import_id}"] for cell in changed}
            await write_corrections(connection, changed, causes, now, applied=True)
    names = sorted(settled)
    for table in ("import_change", "import_bucket"):
        await connection.execute(f"DELETE FROM kpi.{table} WHERE store = $1 AND import_id = ANY($2)", store, names)
    await connection.execute(
        "UPDATE kpi.import SET measured_at = $3 WHERE store = $1 AND import_id = ANY($2)", store, names, now
    )


async def _gathered(connection: Any, store: str, import_id: str) -> Cells:
    found: defaultdict[Cell, dict[int, int]] = defaultdict(dict)
    rows = await connection.fetch(
        "SELECT store, grain, by, bucket, value, number, change FROM kpi.import_change"
        " WHERE store = $1 AND import_id = $2 AND change <> 0",
        store,
        import_id,
    )
    for *cell, number, change in rows:
        found[Cell(*cell)][number] = change
    return dict(found)
