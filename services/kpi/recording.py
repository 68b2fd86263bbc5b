"""Writing what changed: figures by shard, their changes by minute, and corrections of what had been measured.

A batch takes one of eight shards for itself, so that batches of several processes write figures side by side; readers
sum the shards. A figure that belongs to a measured bucket is corrected: from what to what, because of which events
(KPI rule 6, D36); while an import is open its part is gathered, and told as one correction at its end (D6).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from libs.events.locks import lock_number
from services.kpi.columns import joined, listed
from services.kpi.engine import Change
from services.kpi.figures import BucketsOf, Cell, Cells, Vector, cells_of, is_sample, measure_of
from services.kpi.states import decode_vector, encode, frame, frames
from services.kpi.store import minute_of

SHARDS: Final = 8
MOST_CAUSES: Final = 20
"""Event ids that a correction names; the rest is counted (D36)."""

_LONGEST: Final = {"hour": 7_200, "day": 90_000, "week": 7 * 86_400 + 7_200, "month": 31 * 86_400 + 7_200}
"""Seconds from the start of a bucket after which it is over for certain."""

_SHARD_LOCKS: Final = [lock_number(f"kpi.shard/{shard}") for shard in range(SHARDS)]


class BucketOf(NamedTuple):
    """A bucket of one store."""

    store: str
    grain: str
    bucket: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a batch leaves to be written: changes of cells, who caused them, and which events an import brought."""

    cells: Cells
    changes: Sequence[Change] = ()
    imports: Mapping[str, str] = field(default_factory=dict)
    """event id -> import"""


async def record(connection: Any, recorded: Recorded, buckets: BucketsOf, now: datetime) -> None:
    """Write figures, their history and corrections in the transaction of the batch."""
    if not recorded.cells:
        return
    touched = {BucketOf(cell.store, cell.grain, cell.bucket) for cell in recorded.cells}
    measured = await _note_buckets(connection, touched, now)
    by_import = await _by_open_import(connection, recorded, touched, buckets)
    if measured:
        await _correct(connection, recorded, by_import, measured, buckets, now)
    await add_to_figures(connection, recorded.cells, minute_of(now))


# figures


async def add_to_figures(connection: Any, cells: Cells, minute: int) -> None:
    """Add these changes to the figures and to their history."""
    await change_figures(connection, cells, cells, minute)


async def change_figures(connection: Any, cells: Cells, history: Cells, minute: int) -> None:
    """Add `cells` to the figures and `history` to what is known of their changes (a repair may differ in the two)."""
    shard = await _take_shard(connection)
    ordered = sorted(cells)
    stored = await _load(connection, ordered, shard)
    kept: list[Cell] = []
    gone: list[Cell] = []
    measures: list[bytes] = []
    for cell in ordered:
        vector = _sum(stored[cell], cells[cell]) if cell in stored else cells[cell]
        if vector:
            kept.append(cell)
            measures.append(encode(vector))
        elif cell in stored:
            gone.append(cell)
    if kept:
        await connection.execute(_SAVE_FIGURES, shard, *_joined(kept), measures)
    if gone:
        await connection.execute(_DELETE_FIGURES, shard, *_joined(gone))
    if history:
        await _append_changes(connection, history, minute, shard)


async def _take_shard(connection: Any) -> int:
    """A shard that no other batch writes to at the moment; the first one if all are taken."""
    for shard, number in enumerate(_SHARD_LOCKS):
        if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", number):
            return shard
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _SHARD_LOCKS[0])
    return 0


async def _load(connection: Any, cells: Sequence[Cell], shard: int) -> dict[Cell, Vector]:
    if not cells:
        return {}
    rows = await connection.fetch(_LOAD_FIGURES, shard, *_joined(cells))
    return {Cell(*key): decode_vector(measures) for *key, measures in rows}


def _sum(one: Mapping[int, int], other: Mapping[int, int]) -> Vector:
    whole = dict(one)
    for number, value in other.items():
        total = whole.get(number, 0) + value
        if total:
            whole[number] = total
        else:
            whole.pop(number, None)
    return whole


async def _append_changes(connection: Any, cells: Cells, minute: int, shard: int) -> None:
    by_bucket: dict[tuple[str, str, str, int], dict[str, Vector]] = defaultdict(dict)
    for cell, vector in cells.items():
        by_bucket[cell[:4]][cell.value] = vector
    rows = [(*key, frame(by_bucket[key])) for key in sorted(by_bucket)]
    await connection.execute(_APPEND_CHANGES, shard, minute, *_columns(rows))


# buckets


async def _note_buckets(connection: Any, touched: Collection[BucketOf], now: datetime) -> set[BucketOf]:
    """Remember that these buckets have events; return those that were measured before."""
    columns = _columns(sorted(touched))
    await connection.execute(_NOTE_BUCKETS, *columns)
    late = [bucket for bucket in sorted(touched) if bucket.bucket + _LONGEST[bucket.grain] < now.timestamp()]
    if late:
        await connection.execute(_NOTE_LATE, now, *_columns(late))
    return {BucketOf(*row) for row in await connection.fetch(_MEASURED_BUCKETS, *columns)}


async def _by_open_import(
    connection: Any, recorded: Recorded, touched: Collection[BucketOf], buckets: BucketsOf
) -> dict[str, list[Change]]:
    """The changes that open imports brought; the buckets that they touch stay incomplete until their end."""
    if not recorded.imports:
        return {}
    rows = await connection.fetch(_OPEN_IMPORTS, sorted(set(recorded.imports.values())))
    opened = {row[0] for row in rows}
    found: dict[str, list[Change]] = defaultdict(list)
    for change in recorded.changes:
        brought = next((i for cause in change.causes if (i := recorded.imports.get(cause)) in opened), None)
        if brought is not None:
            found[brought].append(change)
    reached: set[tuple[str, str, int, str]] = set()
    for name, changes in found.items():
        whole = touched if len(changes) == len(recorded.changes) else _touched_by(changes, buckets)
        reached.update((*bucket, name) for bucket in whole)
    if reached:
        await connection.execute(_TOUCH_BY_IMPORT, *_columns(sorted(reached)))
    return found


def _touched_by(changes: Iterable[Change], buckets: BucketsOf) -> set[BucketOf]:
    return {bucket for change in changes for bucket in _touched(change, buckets)}


def _touched(change: Change, buckets: BucketsOf) -> set[BucketOf]:
    places = {BucketOf(place.store, *over) for place in change.difference for over in buckets.over(place)}
    return places | {BucketOf(cell.store, cell.grain, cell.bucket) for cell in change.cells}


# corrections


async def _correct(
    connection: Any,
    recorded: Recorded,
    by_import: Mapping[str, Sequence[Change]],
    measured: set[BucketOf],
    buckets: BucketsOf,
    now: datetime,
) -> None:
    late = {cell: vector for cell, vector in recorded.cells.items() if BucketOf(*_bucket(cell)) in measured}
    for name, changes in by_import.items():
        part = dict(late) if len(changes) == len(recorded.changes) else _part(changes, measured, buckets)
        await _gather_for_import(connection, name, part)
        for cell, vector in part.items():
            late[cell] = _sum(late.get(cell, {}), {number: -value for number, value in vector.items()})
    late = {cell: vector for cell, vector in late.items() if vector}
    if late:
        brought = {id(change) for changes in by_import.values() for change in changes}
        causes = _causes([c for c in recorded.changes if id(c) not in brought], late, buckets)
        await write_corrections(connection, late, causes, now)


def _bucket(cell: Cell) -> tuple[str, str, int]:
    return cell.store, cell.grain, cell.bucket


def _part(changes: Iterable[Change], measured: set[BucketOf], buckets: BucketsOf) -> Cells:
    whole: Cells = {}
    for change in changes:
        for cells in (cells_of(change.difference, buckets), change.cells):
            for cell, vector in cells.items():
                if BucketOf(*_bucket(cell)) in measured:
                    whole[cell] = _sum(whole.get(cell, {}), vector)
    return {cell: vector for cell, vector in whole.items() if vector}


def _causes(changes: Iterable[Change], late: Cells, buckets: BucketsOf) -> dict[Cell, list[str]]:
    """Who changed each of these cells."""
    found: dict[Cell, dict[str, None]] = defaultdict(dict)
    closed = {BucketOf(*_bucket(cell)) for cell in late}
    for change in changes:
        if closed.isdisjoint(_touched(change, buckets)):
            continue
        for cells in (cells_of(change.difference, buckets), change.cells):
            for cell in cells:
                if cell in late:
                    found[cell].update(dict.fromkeys(change.causes))
    return {cell: list(ids) for cell, ids in found.items()}


async def write_corrections(
    connection: Any, late: Cells, causes: Mapping[Cell, Sequence[str]], now: datetime, *, applied: bool = False
) -> None:
    """Write what changes of these cells, measure by measure; `applied` when the figures already hold the change."""
    for store in sorted({cell.store for cell in late}):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", lock_number(f"kpi.corrections/{store}"))
    before = await load_values(connection, sorted(late))
    rows = []
    for cell in sorted(late):
        told = list(causes.get(cell, ()))
        for number, change in sorted(late[cell].items()):
            if is_sample(number):
                continue
            measure, currency = measure_of(number)
            was = before.get(cell, {}).get(number, 0) - (change if applied else 0)
            shown = "\n".join(told[:MOST_CAUSES])
            rows.append((*cell, measure, currency, was, was + change, shown, len(told)))
    if rows:
        await connection.execute(_SAVE_CORRECTIONS, now, *_columns(rows))


async def load_values(connection: Any, cells: Sequence[Cell]) -> dict[Cell, Vector]:
    """The present values of these cells, summed over the shards."""
    found: dict[Cell, Vector] = {}
    for *key, measures in await connection.fetch(_LOAD_ALL_SHARDS, *_joined(cells)):
        cell = Cell(*key)
        found[cell] = _sum(found.get(cell, {}), decode_vector(measures))
    return found


async def load_changes(connection: Any, cells: Sequence[Cell]) -> dict[Cell, Vector]:
    """The sums of all known changes of these cells: what they hold, unless somebody wrote past the engine."""
    wanted = set(cells)
    buckets = sorted({cell[:4] for cell in cells})
    found: dict[Cell, Vector] = {}
    for store, grain, by, bucket, changes in await connection.fetch(_LOAD_CHANGES, *_columns(buckets)):
        for commit in frames(changes):
            for value, vector in commit.items():
                cell = Cell(store, grain, by, bucket, value)
                if cell in wanted:
                    found[cell] = _sum(found.get(cell, {}), vector)
    return found


async def _gather_for_import(connection: Any, import_id: str, part: Cells) -> None:
    rows = [(*cell, number, value) for cell in sorted(part) for number, value in sorted(part[cell].items())]
    if rows:
        await connection.execute(_GATHER_FOR_IMPORT, import_id, *_columns(rows))


def _joined(cells: Iterable[Cell]) -> list[str]:
    return [joined(column) for column in zip(*cells, strict=True)]


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


_KEYS: Final = (
    f"unnest({listed('{}')}, {listed('{}')}, {listed('{}')}, CAST({listed('{}')} AS bigint[]), {listed('{}')})"
)
_SAME_CELL: Final = (
    "f.store = k.store AND f.grain = k.grain AND f.by = k.by AND f.bucket = k.bucket AND f.value = k.value"
)
_CELLS_AFTER_SHARD: Final = _KEYS.format("$2", "$3", "$4", "$5", "$6") + " AS k (store, grain, by, bucket, value)"

_LOAD_FIGURES: Final = f"""
SELECT f.store, f.grain, f.by, f.bucket, f.value, f.measures FROM {_CELLS_AFTER_SHARD}
JOIN kpi.figure f ON {_SAME_CELL} AND f.shard = $1
"""
_LOAD_ALL_SHARDS: Final = f"""
SELECT f.store, f.grain, f.by, f.bucket, f.value, f.measures
FROM {_KEYS.format("$1", "$2", "$3", "$4", "$5")} AS k (store, grain, by, bucket, value)
JOIN kpi.figure f ON {_SAME_CELL}
"""
_SAVE_FIGURES: Final = f"""
INSERT INTO kpi.figure (store, grain, by, bucket, value, shard, measures)
SELECT store, grain, by, bucket, value, $1, measures
FROM {_KEYS.format("$2", "$3", "$4", "$5", "$6").removesuffix(")")}, $7::bytea[])
 AS k (store, grain, by, bucket, value, measures)
ON CONFLICT (store, grain, by, bucket, value, shard) DO UPDATE SET measures = excluded.measures
"""
_DELETE_FIGURES: Final = f"DELETE FROM kpi.figure f USING {_CELLS_AFTER_SHARD} WHERE {_SAME_CELL} AND f.shard = $1"
_APPEND_CHANGES: Final = """
INSERT INTO kpi.figure_delta AS d (store, grain, by, bucket, minute, shard, changes)
SELECT store, grain, by, bucket, $2, $1, changes
FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[]) AS k (store, grain, by, bucket, changes)
ON CONFLICT (store, grain, by, bucket, minute, shard) DO UPDATE SET changes = d.changes || excluded.changes
"""
_LOAD_CHANGES: Final = """
SELECT d.store, d.grain, d.by, d.bucket, d.changes
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (store, grain, by, bucket)
JOIN kpi.figure_delta d ON d.store = k.store AND d.grain = k.grain AND d.by = k.by AND d.bucket = k.bucket
"""
_NOTE_BUCKETS: Final = """
INSERT INTO kpi.bucket (store, grain, bucket) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT DO NOTHING
"""
_NOTE_LATE: Final = """
UPDATE kpi.bucket b SET touched_at = $1 FROM unnest($2::text[], $3::text[], $4::bigint[]) AS k (store, grain, bucket)
WHERE b.store = k.store AND b.grain = k.grain AND b.bucket = k.bucket AND b.measured_at IS NULL
"""
_MEASURED_BUCKETS: Final = """
SELECT b.store, b.grain, b.bucket FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (store, grain, bucket)
JOIN kpi.bucket b ON b.store = k.store AND b.grain = k.grain AND b.bucket = k.bucket
WHERE b.measured_at IS NOT NULL
"""
_OPEN_IMPORTS: Final = (
    "SELECT DISTINCT import_id FROM kpi.import WHERE ended_at IS NULL AND import_id = ANY($1::text[])"
)
_TOUCH_BY_IMPORT: Final = """
INSERT INTO kpi.import_bucket (store, grain, bucket, import_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) ON CONFLICT DO NOTHING
"""
_GATHER_FOR_IMPORT: Final = """
INSERT INTO kpi.import_change AS c (store, import_id, grain, by, bucket, value, number, change)
SELECT store, $1, grain, by, bucket, value, number, change
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[])
 AS k (store, grain, by, bucket, value, number, change)
ON CONFLICT (store, import_id, grain, by, bucket, value, number) DO UPDATE SET change = c.change + excluded.change
"""
_SAVE_CORRECTIONS: Final = """
INSERT INTO kpi.correction (store, grain, by, bucket, value, measure, currency, from_value, to_value, corrected_at,
 causes, cause_count, told)
SELECT store, grain, by, bucket, value, measure, currency, was, now, $1, string_to_array(causes, E'\\n'), cause_count,
 by NOT IN ('', 'channel')
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::bigint[],
 $10::bigint[], $11::text[], $12::int[])
 AS k (store, grain, by, bucket, value, measure, currency, was, now, causes, cause_count)
"""
