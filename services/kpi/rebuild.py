"""Rebuild and proof: the figures once more from the journal, compared row by row, repaired where they differ (P4).

One REPEATABLE READ transaction reads journal and live rows at the same point while traffic flows. Identical: done.
Different: under the locks of all positions, which hold the consumers for a moment, the journal's rest is replayed, the
suspect rows are compared again, and those that still differ are put right; measured figures get a correction whose
cause is `rebuild:ID` (D36). Nothing else is touched, nothing else is told.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from time import monotonic
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.failures import Verdict, decide
from libs.events.ids import uuid7
from libs.events.journal import unpack
from libs.events.locks import lock_number
from libs.events.transaction import Transaction, Transactions
from services.kpi.calendar import calendar_of
from services.kpi.engine import Shop, StoredDay
from services.kpi.entities.leaf import LeafKey
from services.kpi.entities.order import Member
from services.kpi.entities.sku import Sku
from services.kpi.figures import Cell, Cells
from services.kpi.leaves import decode as decode_leaf
from services.kpi.marks import Marks, save_marks
from services.kpi.recording import change_figures, load_changes, load_values, write_corrections
from services.kpi.replay import Replay, RowKey
from services.kpi.rows import PostgresRows, driver, lock_stores
from services.kpi.states import (
    canonical,
    canonical_ids,
    canonical_vector,
    decode_customer,
    decode_day,
    decode_members,
    decode_order,
    decode_sku,
    decode_vector,
    digest,
    encode,
    row_hash,
)
from services.kpi.store import minute_of

CONSUMER: Final = "kpi"
_LOCK: Final = lock_number("kpi.rebuild")
_AT_ONCE: Final = 2_000
MOST_SHOWN: Final = 100
"""Rows that a report names; the rest is counted."""


@dataclass(slots=True)
class Report:
    """What a rebuild found. `differing` are rows by table and key; empty when live and rebuilt were identical."""

    rebuild_id: str
    events: int = 0
    seconds: float = 0.0
    live_digest: str = ""
    rebuilt_digest: str = ""
    differing: list[RowKey] = field(default_factory=list)
    repaired: list[RowKey] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        return self.live_digest == self.rebuilt_digest


# asked for and carried out


async def ask(tx: Transaction) -> str:
    """Have a rebuild made by the service's loop; its id is returned at once. One that waits serves everybody."""
    waiting = await tx.session.scalar(
        text("SELECT rebuild_id FROM kpi.rebuild WHERE status = 'running' AND events = 0 ORDER BY asked_at LIMIT 1")
    )
    if waiting is not None:
        return str(waiting)
    rebuild_id = uuid7(tx.now)
    await tx.session.execute(
        text("INSERT INTO kpi.rebuild (rebuild_id, status, asked_at) VALUES (:id, 'running', :now)"),
        {"id": rebuild_id, "now": tx.now},
    )
    return rebuild_id


async def load_report(rebuild_id: str, session: AsyncConnection) -> dict[str, Any] | None:
    """A rebuild as it is answered; None if there is none with this id."""
    row = (
        await session.execute(text("SELECT * FROM kpi.rebuild WHERE rebuild_id = :id"), {"id": rebuild_id})
    ).one_or_none()
    if row is None:
        return None
    shown: dict[str, Any] = {
        "rebuild_id": row.rebuild_id,
        "status": row.status,
        "events": row.events,
        "total": row.total,
    }
    if row.status == "failed":
        shown["error"] = row.error
    if row.status == "done":
        shown |= {
            "seconds": round(row.seconds, 3),
            "live_digest": row.live_digest,
            "rebuilt_digest": row.rebuilt_digest,
            "identical": row.live_digest == row.rebuilt_digest,
            "repaired": row.repaired,
        }
    return shown


async def carry_out(transactions: Transactions) -> int:
    """Carry out the rebuilds that were asked for; how many. Those that a crash interrupted begin anew."""
    async with transactions.begin(read_only=True) as tx:
        rows = await tx.session.execute(
            text("SELECT rebuild_id FROM kpi.rebuild WHERE status = 'running' ORDER BY asked_at")
        )
        waiting = [row.rebuild_id for row in rows]
    for rebuild_id in waiting:
        try:
            report = await rebuild(transactions, rebuild_id)
        except Exception as error:
            if decide(error) is Verdict.RETRY:
                raise
            await _finish(transactions, rebuild_id, {"status": "failed", "error": type(error).__name__})
            raise
        if report is not None:
            await _finish(transactions, rebuild_id, _done(report))
    return len(waiting)


def _done(report: Report) -> dict[str, Any]:
    repaired = ["/".join(map(str, key)) for key in report.repaired]
    return {
        "status": "done",
        "events": report.events,
        "seconds": report.seconds,
        "live_digest": report.live_digest,
        "rebuilt_digest": report.rebuilt_digest,
        "repaired": msgspec.json.encode({"count": len(repaired), "rows": repaired[:MOST_SHOWN]}).decode(),
    }


async def _finish(transactions: Transactions, rebuild_id: str, values: Mapping[str, Any]) -> None:
    changes = ", ".join(
        f"{name} = {'CAST(:repaired AS jsonb)' if name == 'repaired' else ':' + name}" for name in values
    )
    async with transactions.begin() as tx:
        await tx.session.execute(
            text(f"UPDATE kpi.rebuild SET {changes}, finished_at = :now WHERE rebuild_id = :id"),
            {**values, "now": tx.now, "id": rebuild_id},
        )


# one rebuild


async def rebuild(transactions: Transactions, rebuild_id: str, *, seed: int = 0) -> Report | None:
    """Replay, compare, repair. None when another process is at it."""
    started = monotonic()
    async with transactions.engine.connect() as plain:
        session = await plain.execution_options(isolation_level="REPEATABLE READ")
        connection = await _begin(session, transactions.role)
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return None
        try:
            report = Report(rebuild_id)
            replay = Replay(await _shops(connection), seed)
            applied = await _replay(connection, replay, {}, _progress(transactions, rebuild_id))
            await _compare(connection, replay, report)
        finally:
            await connection.fetchval("SELECT pg_advisory_unlock($1)", _LOCK)
        await session.rollback()
    report.events = replay.events
    if report.differing:
        await _repair(transactions, replay, applied, report)
    report.seconds = monotonic() - started
    return report


async def _begin(session: AsyncConnection, role: str) -> Any:
    await session.execute(text("SELECT set_config('role', :role, true)"), {"role": role})
    connection = await driver(session)
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    await connection.execute("SET LOCAL statement_timeout = 0")
    return connection


async def _shops(connection: Any) -> dict[str, Shop]:
    """Every store, without what its policies say: that is replayed."""
    rows = await connection.fetch("SELECT store, timezone, currency FROM access.stores")
    return {store: Shop(calendar_of(zone), currency=currency) for store, zone, currency in rows}


Progress = Callable[[int, int], Any]
_TURN: Final = 500
"""Rows compared between two turns of the event loop, so that events and calls go on meanwhile."""

Applied = dict[tuple[str, int], int]
"""(topic, partition) -> last offset that was replayed."""


def _progress(transactions: Transactions, rebuild_id: str) -> Progress:
    async def tell(events: int, total: int) -> None:
        async with transactions.begin() as tx:
            await tx.session.execute(
                text("UPDATE kpi.rebuild SET events = :events, total = :total WHERE rebuild_id = :id"),
                {"events": events, "total": total, "id": rebuild_id},
            )

    return tell


async def _replay(connection: Any, replay: Replay, applied: Applied, progress: Progress | None) -> Applied:
    """Replay the segments of the journal that lie beyond what was applied."""
    reached = dict(applied)
    columns = [[key[0] for key in applied], [key[1] for key in applied], list(applied.values())]
    total = await connection.fetchval("SELECT coalesce(sum(events), 0) FROM kpi.journal") if progress else 0
    told = monotonic()
    async for topic, partition, last, payload in connection.cursor(_SEGMENTS, *columns, prefetch=4):
        await replay.take(unpack(topic, partition, payload))
        reached[topic, partition] = last
        if progress is not None and monotonic() - told > 1:
            told = monotonic()
            await progress(replay.events, int(total))
    await replay.flush()
    return reached


async def _compare(connection: Any, replay: Replay, report: Report) -> None:
    expected: dict[RowKey, bytes] = {}
    for number, (key, value) in enumerate(replay.rows()):
        expected[key] = row_hash(key, value)
        if number % _TURN == 0:
            await asyncio.sleep(0)
    report.rebuilt_digest = digest(expected.values())
    live: list[bytes] = []
    async for key, value in live_rows(connection):
        hashed = row_hash(key, value)
        live.append(hashed)
        if len(live) % _TURN == 0:
            await asyncio.sleep(0)
        if expected.pop(key, None) != hashed:
            report.differing.append(key)
    report.live_digest = digest(live)
    report.differing += expected  # rows that are missing


async def live_rows(connection: Any) -> AsyncIterator[tuple[RowKey, bytes]]:
    """Every row of entities and figures in canonical bytes; figures summed over their shards."""
    for table, (sql, read) in _TABLES.items():
        async for row in connection.cursor(sql, prefetch=_AT_ONCE):
            found = read(row)
            if found is not None:
                yield (table, *found[0]), found[1]
    async for cell, vector in _live_figures(connection):
        if vector:
            yield ("figure", *cell), canonical_vector(vector)


async def _live_figures(connection: Any) -> AsyncIterator[tuple[Cell, dict[int, int]]]:
    """Every cell with the sum of its shards."""
    current: Cell | None = None
    whole: dict[int, int] = {}
    async for *key, measures in connection.cursor(_FIGURES, prefetch=_AT_ONCE):
        cell = Cell(*key)
        if current is not None and cell != current:
            yield current, _without_zeros(whole)
            whole = {}
        current = cell
        for number, value in decode_vector(measures).items():
            whole[number] = whole.get(number, 0) + value
    if current is not None:
        yield current, _without_zeros(whole)


def _without_zeros(vector: Mapping[int, int]) -> dict[int, int]:
    return {number: value for number, value in vector.items() if value}


# repair


async def _repair(transactions: Transactions, replay: Replay, applied: Applied, report: Report) -> None:
    async with transactions.begin() as tx:
        connection = await driver(tx.session)
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.execute("SET LOCAL lock_timeout = '60s'")
        await connection.execute(_LOCK_POSITIONS, CONSUMER)
        await lock_stores(connection, {str(key[1]): True for key in report.differing})
        await _replay(connection, replay, applied, None)
        expected = dict(replay.rows())
        live = {key: value async for key, value in _live_of(connection, report.differing)}
        report.repaired = [key for key in report.differing if live.get(key) != expected.get(key)]
        for table, keys in groupby(sorted(report.repaired, key=lambda key: str(key[0])), key=lambda key: key[0]):
            if table == "figure":
                await _repair_figures(connection, replay, [Cell(*key[1:]) for key in keys], report.rebuild_id, tx.now)  # type: ignore[arg-type]
            else:
                await _repair_rows(connection, replay, str(table), list(keys))


async def _live_of(connection: Any, keys: Iterable[RowKey]) -> AsyncIterator[tuple[RowKey, bytes]]:
    """The present rows among these."""
    cells = [Cell(*key[1:]) for key in keys if key[0] == "figure"]  # type: ignore[arg-type]
    for cell, vector in (await load_values(connection, cells)).items() if cells else ():
        yield ("figure", *cell), canonical_vector(_without_zeros(vector))
    for key in keys:
        if key[0] != "figure":
            sql, read = _TABLES[str(key[0])]
            row = await connection.fetchrow(f"SELECT * FROM ({sql}) AS r WHERE {_where(str(key[0]))}", *key[1:])
            found = read(row) if row is not None else None
            if found is not None:
                yield key, found[1]


async def _repair_figures(connection: Any, replay: Replay, cells: list[Cell], rebuild_id: str, now: datetime) -> None:
    """Put values right; their history too, where it does not add up to what the journal says."""
    live, history = await load_values(connection, cells), await load_changes(connection, cells)
    wrong: Cells = {cell: _difference(replay.vector(cell), live.get(cell, {})) for cell in cells}
    untold: Cells = {cell: _difference(replay.vector(cell), history.get(cell, {})) for cell in cells}
    measured = {
        tuple(row)
        for row in await connection.fetch(_MEASURED, *_columns({(c.store, c.grain, c.bucket) for c in cells}))
    }
    late = {cell: vector for cell, vector in wrong.items() if (cell.store, cell.grain, cell.bucket) in measured}
    if late:
        await write_corrections(connection, late, {cell: [f"rebuild:{rebuild_id}"] for cell in late}, now)
    await change_figures(connection, wrong, {cell: vector for cell, vector in untold.items() if vector}, minute_of(now))


def _difference(new: Mapping[int, int], old: Mapping[int, int]) -> dict[int, int]:
    return _without_zeros({number: new.get(number, 0) - old.get(number, 0) for number in new.keys() | old.keys()})


async def _repair_rows(connection: Any, replay: Replay, table: str, keys: list[RowKey]) -> None:
    rows, memory = PostgresRows(connection), replay.memory
    for key in keys:
        await connection.execute(f"DELETE FROM kpi.{table} WHERE {_where(table)}", *key[1:])
        store, name = str(key[1]), str(key[2])
        if table == "visitor_day" and (day := memory.days.get((store, name), {}).get(int(key[3]))) is not None:
            await rows.save_visitor_days({(store, name): {int(key[3]): StoredDay(decode_day(day[0]), day[1])}})
        elif table == "orders" and (store, name) in memory.found_orders:
            await rows.save_orders(await memory.orders([(store, name)]))
        elif table == "customer" and (store, name) in memory.found_customers:
            await rows.save_customers(await memory.customers([(store, name)]))
        elif table == "sku" and (store, name) in memory.found_skus:
            await rows.save_skus(await memory.skus([(store, name)]))
        elif table == "buyer":
            member = Member(store, name, str(key[3]), int(key[4]))
            await rows.save_buyers(await memory.buyers([member]))
        elif table == "leaf":
            await rows.save_leaves(await memory.leaves([LeafKey(store, name, str(key[3]))]) or {})
        elif table in ("assignment", "stock_level"):
            await save_marks(connection, _mark(replay.marks, key))
        elif table == "document" and (body := replay.document(key)) is not None:
            plain = msgspec.json.encode(msgspec.msgpack.decode(body)).decode()
            await connection.execute(_SAVE_DOCUMENT, *key[1:], plain)


def _mark(marks: Marks, key: RowKey) -> Marks:
    """The one mark with this key, if there should be one."""
    found = Marks()
    if key[0] == "assignment":
        found.assignments.update({k: seen for k, seen in marks.assignments.items() if k == key[1:]})
    else:
        found.levels.update({k: level for k, level in marks.levels.items() if k == key[1:]})
    return found


def _where(table: str) -> str:
    names = _KEYS[table]
    return " AND ".join(f"{name} = ${number}" for number, name in enumerate(names, 1))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*sorted(rows), strict=True)]


_KEYS: Final = {
    "visitor_day": ("store", "visitor", "day"),
    "orders": ("store", "order_id"),
    "customer": ("store", "customer"),
    "buyer": ("store", "customer", "grain", "bucket"),
    "sku": ("store", "sku"),
    "leaf": ("store", "kind", "id"),
    "assignment": ("store", "experiment", "visitor"),
    "stock_level": ("store", "sku", "hour"),
    "document": ("store", "kind", "id", "us", "recorded_us", "event_id"),
}
_NO_SKU: Final = canonical(Sku())


def _read_sku(row: Any) -> tuple[tuple[Any, ...], bytes] | None:
    state = canonical(decode_sku(row[2]))
    return None if state == _NO_SKU else (tuple(row)[:2], state)


def _read_document(row: Any) -> tuple[tuple[Any, ...], bytes]:
    body = row[6]
    return tuple(row)[:6], canonical(msgspec.json.decode(body) if isinstance(body, str) else body)


_Read = Callable[[Any], tuple[tuple[Any, ...], bytes] | None]
_TABLES: Final[Mapping[str, tuple[str, _Read]]] = {
    "visitor_day": (
        "SELECT store, visitor, day, state, ids FROM kpi.visitor_day",
        lambda row: (tuple(row)[:3], row[3] + canonical_ids(row[4])),
    ),
    "orders": (
        "SELECT store, order_id, state FROM kpi.orders",
        lambda row: (tuple(row)[:2], canonical(decode_order(row[2]))),
    ),
    "customer": (
        "SELECT store, customer, state FROM kpi.customer",
        lambda row: (tuple(row)[:2], canonical(decode_customer(row[2]))),
    ),
    "buyer": (
        "SELECT store, customer, grain, bucket, state FROM kpi.buyer",
        lambda row: (tuple(row)[:4], canonical(decode_members(row[4]))),
    ),
    "sku": ("SELECT store, sku, state FROM kpi.sku", _read_sku),
    "leaf": (
        "SELECT store, kind, id, state FROM kpi.leaf",
        lambda row: (tuple(row)[:3], canonical(decode_leaf(row[1], row[3]))),
    ),
    "assignment": (
        "SELECT store, experiment, visitor, us, event_id, variant FROM kpi.assignment",
        lambda row: (tuple(row)[:3], encode(tuple(row)[3:])),
    ),
    "stock_level": (
        "SELECT store, sku, hour, us, version, on_hand FROM kpi.stock_level",
        lambda row: (tuple(row)[:3], encode(tuple(row)[3:])),
    ),
    "document": ("SELECT store, kind, id, us, recorded_us, event_id, body FROM kpi.document", _read_document),
}
_FIGURES: Final = """
SELECT store, grain, by, bucket, value, measures FROM kpi.figure ORDER BY store, grain, by, bucket, value, shard
"""
_SEGMENTS: Final = """
SELECT j.topic, j.partition, j.last_offset, j.payload FROM kpi.journal j
LEFT JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS k (topic, partition, last_offset)
 ON k.topic = j.topic AND k.partition = j.partition
WHERE k.last_offset IS NULL OR j.first_offset > k.last_offset
ORDER BY j.topic, j.partition, j.first_offset
"""
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
