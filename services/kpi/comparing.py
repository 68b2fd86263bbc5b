"""Live tables and a replay, compared: first by sums of bounded size, then, where these differ, row by row.

Both are read in one REPEATABLE READ transaction, so that they are of the same point while traffic flows.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from services.kpi.entities.sku import Sku
from services.kpi.figures import Cell, Cells, Vector
from services.kpi.leaves import decode as decode_leaf
from services.kpi.ledger import BINS, Ledger, RowKey, Suspects
from services.kpi.marks import Marks
from services.kpi.memory import Memory
from services.kpi.replay import Replay
from services.kpi.states import (
    canonical,
    canonical_ids,
    decode_customer,
    decode_members,
    decode_order,
    decode_sku,
    decode_vector,
    encode,
)

MOST_SUSPECTS: Final = 200_000
"""Rows that are looked at one by one at a time; where more differ, the rest waits for the next round."""
_AT_ONCE: Final = 2_000
_TURN: Final = 1_000
"""Rows between two turns of the event loop."""


@dataclass(slots=True)
class Findings:
    """Rows that differ: what is there, and what there should be."""

    live: dict[RowKey, bytes] = field(default_factory=dict)
    expected: dict[RowKey, bytes] = field(default_factory=dict)
    wrong: Cells = field(default_factory=dict)
    """what is to be added to figures so that they are right"""
    entities: Memory = field(default_factory=Memory)
    """entities as they should be"""
    marks: Marks = field(default_factory=Marks)

    @property
    def differing(self) -> list[RowKey]:
        """Tables and keys, entities first."""
        rows = {key for key in self.live.keys() | self.expected.keys() if self.live.get(key) != self.expected.get(key)}
        return [*sorted(rows, key=str), *(("figure", *cell) for cell in sorted(self.wrong))]


async def sums_of_live(connection: Any) -> Ledger:
    """The sums of what is in the tables."""
    ledger = Ledger()
    number = 0
    async for key, value in live_rows(connection):
        ledger.add_row(key, value)
        if (number := number + 1) % _TURN == 0:
            await asyncio.sleep(0)
    figures = await connection.cursor(_FIGURES)
    while rows := await figures.fetch(_AT_ONCE):
        ledger.add_figures(rows)
    return ledger


async def sums_of_replay(replay: Replay) -> Ledger:
    """The sums of what the journal makes."""
    ledger = Ledger()
    async for piece in replay.pieces():
        for number, (key, value) in enumerate(piece.rows()):
            ledger.add_row(key, value)
            if number % _TURN == 0:
                await asyncio.sleep(0)
        ledger.add_places(piece.outcome.places, piece.outcome.buckets)
        for change in piece.outcome.changes:
            if change.cells:
                ledger.add_cells(change.cells)
    return ledger


async def find(connection: Any, replay: Replay, suspects: Suspects) -> Findings:
    """The rows that differ among the suspects, or the first of them where they are very many."""
    suspects = await _some_of(connection, suspects)
    found, live, expected = Findings(), Cells(), Cells()
    if suspects.rows:
        async for key, value in live_rows(connection):
            if suspects.has_row(key):
                found.live[key] = value
    if suspects.figures:
        async for *name, measures in connection.cursor(_FIGURES, prefetch=_AT_ONCE):
            if suspects.has_cell(cell := Cell(*name)):
                _add(live, cell, decode_vector(measures))
    async for piece in replay.pieces():
        for key, value in piece.rows():
            if suspects.has_row(key):
                found.expected[key] = value
                found.entities.adopt(piece.memory, key)
                found.marks.adopt(piece.marks, key)
        if suspects.figures:
            for cell, vector in piece.outcome.cells.items():
                if suspects.has_cell(cell):
                    _add(expected, cell, vector)
    for cell in live.keys() | expected.keys():
        if changed := difference(expected.get(cell, {}), live.get(cell, {})):
            found.wrong[cell] = changed
    return found


async def _some_of(connection: Any, suspects: Suspects) -> Suspects:
    """As many of the bins as may be looked at row by row at once."""
    figures = await connection.fetchval("SELECT count(*) FROM kpi.figure")
    rows = sum([await connection.fetchval(f"SELECT count(*) FROM kpi.{table}") for table in TABLES])
    return Suspects(_first(suspects.rows, rows), _first(suspects.figures, figures))


def _first(bins: frozenset[int], rows: int) -> frozenset[int]:
    return frozenset(sorted(bins)[: max(1, MOST_SUSPECTS * BINS // max(1, rows))])


def _add(cells: Cells, cell: Cell, vector: Vector) -> None:
    known = cells.setdefault(cell, {})
    for number, value in vector.items():
        known[number] = known.get(number, 0) + value


def difference(new: Mapping[int, int], old: Mapping[int, int]) -> Vector:
    """new - old, without zeros."""
    changes = {number: new.get(number, 0) - old.get(number, 0) for number in new.keys() | old.keys()}
    return {number: change for number, change in changes.items() if change}


# reading the tables


async def live_rows(connection: Any) -> AsyncIterator[tuple[RowKey, bytes]]:
    """Every row of an entity in canonical bytes."""
    for table, (sql, read) in TABLES.items():
        async for row in connection.cursor(sql, prefetch=_AT_ONCE):
            found = read(row)
            if found is not None:
                yield (table, *found[0]), found[1]


async def live_row(connection: Any, key: RowKey) -> bytes | None:
    """One row of an entity as it is now."""
    table = str(key[0])
    sql, read = TABLES[table]
    row = await connection.fetchrow(f"SELECT * FROM ({sql}) AS r WHERE {where(table)}", *key[1:])
    found = read(row) if row is not None else None
    return found[1] if found is not None else None


def where(table: str) -> str:
    """The condition that picks the row of a key."""
    return " AND ".join(f"{name} = ${number}" for number, name in enumerate(_KEYS[table], 1))


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
TABLES: Final[Mapping[str, tuple[str, _Read]]] = {
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
"""Entity tables: how they are read, and as what their rows are compared."""

_FIGURES: Final = "SELECT store, grain, by, bucket, value, measures FROM kpi.figure"
