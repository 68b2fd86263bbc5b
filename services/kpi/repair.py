"""Putting right what a rebuild found wrong, and nothing else.

Under the locks of all positions, which hold the consumers for a moment. What a figure lacks is added to it, so what
was counted since stays; a row of an entity is replaced unless it has changed since it was compared. Measured figures
get a correction whose cause is `rebuild:ID` (D36); nothing else is told.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from libs.events.transaction import Transactions
from services.kpi.comparing import Findings, difference, live_row, where
from services.kpi.engine import StoredDay
from services.kpi.entities.leaf import LeafKey
from services.kpi.entities.order import Member
from services.kpi.figures import Cells
from services.kpi.ledger import RowKey
from services.kpi.marks import save_marks
from services.kpi.memory import Memory
from services.kpi.recording import change_figures, load_changes, load_values, write_corrections
from services.kpi.rows import PostgresRows, driver, lock_stores
from services.kpi.states import decode_day
from services.kpi.store import minute_of

CONSUMER: Final = "kpi"


async def repair(transactions: Transactions, found: Findings, rebuild_id: str) -> list[RowKey]:
    """Put right what differs; tables and keys of what was."""
    async with transactions.begin() as tx:
        connection = await driver(tx.session)
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.execute("SET LOCAL lock_timeout = '60s'")
        await connection.execute(_LOCK_POSITIONS, CONSUMER)
        await lock_stores(connection, {str(key[1]): True for key in found.differing})
        repaired = []
        for key in found.differing:
            if key[0] != "figure" and await live_row(connection, key) == found.live.get(key):
                await _replace(connection, found, key)
                repaired.append(key)
        await _repair_figures(connection, found.wrong, rebuild_id, tx.now)
    return [*repaired, *(("figure", *cell) for cell in sorted(found.wrong))]


async def _repair_figures(connection: Any, wrong: Cells, rebuild_id: str, now: datetime) -> None:
    """Put values right; their history too, where it does not add up to the value that is right."""
    if not wrong:
        return
    cells = sorted(wrong)
    live, history = await load_values(connection, cells), await load_changes(connection, cells)
    untold = {
        cell: change
        for cell in cells
        if (change := difference(_sum(live.get(cell, {}), wrong[cell]), history.get(cell, {})))
    }
    measured = {
        tuple(row)
        for row in await connection.fetch(_MEASURED, *_columns({(c.store, c.grain, c.bucket) for c in cells}))
    }
    late = {cell: wrong[cell] for cell in cells if (cell.store, cell.grain, cell.bucket) in measured}
    if late:
        await write_corrections(connection, late, {cell: [f"rebuild:{rebuild_id}"] for cell in late}, now)
    await change_figures(connection, wrong, untold, minute_of(now))


def _sum(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {number: one.get(number, 0) + other.get(number, 0) for number in one.keys() | other.keys()}


async def _replace(connection: Any, found: Findings, key: RowKey) -> None:
    """Take the row away, and put the one there that should be, if there should be any."""
    table = str(key[0])
    await connection.execute(f"DELETE FROM kpi.{table} WHERE {where(table)}", *key[1:])
    if key not in found.expected:
        return
    if table == "document":
        plain = msgspec.json.encode(msgspec.msgpack.decode(found.expected[key])).decode()
        await connection.execute(_SAVE_DOCUMENT, *key[1:], plain)
    else:
        await save_marks(connection, found.marks.only(key))
        await _save_entity(PostgresRows(connection), found.entities, key)


async def _save_entity(rows: PostgresRows, memory: Memory, key: RowKey) -> None:
    table, store, name = map(str, key[:3])
    if table == "visitor_day":
        state, ids = memory.days[store, name][int(key[3])]
        await rows.save_visitor_days({(store, name): {int(key[3]): StoredDay(decode_day(state), ids)}})
    elif table == "orders":
        await rows.save_orders(await memory.orders([(store, name)]))
    elif table == "customer":
        await rows.save_customers(await memory.customers([(store, name)]))
    elif table == "sku":
        await rows.save_skus(await memory.skus([(store, name)]))
    elif table == "leaf":
        await rows.save_leaves(await memory.leaves([LeafKey(store, name, str(key[3]))]))
    elif table == "buyer":
        await rows.save_buyers(await memory.buyers([Member(store, name, str(key[3]), int(key[4]))]))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*sorted(rows), strict=True)]


_LOCK_POSITIONS: Final = "SELECT FROM kpi.position WHERE consumer = $1 ORDER BY topic, partition FOR UPDATE"
_MEASURED: Final = """
SELECT b.store, b.grain, b.bucket FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (store, grain, bucket)
JOIN kpi.bucket b ON b.store = k.store AND b.grain = k.grain AND b.bucket = k.bucket
WHERE b.measured_at IS NOT NULL
"""
_SAVE_DOCUMENT: Final = """
INSERT INTO kpi.document (store, kind, id, us, recorded_us, event_id, body)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)
"""
