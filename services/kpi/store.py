"""SQL of the kpi service: figures as they are known now, or were known at a minute in the past."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kpi.answers import Value
from services.kpi.calendar import Bucket
from services.kpi.figures import SEPARATOR, Vector, measure_of
from services.kpi.states import decode_vector, frames

MINUTES_KEPT: Final = 35 * 24 * 60
"""How long the history of figures keeps its minutes; then it has hours (D35)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which figures: of one store and grain, over these buckets, split by these dimensions."""

    store: str
    buckets: Sequence[Bucket]
    measures: Collection[str]
    by: tuple[str, ...] = ()
    as_of: datetime | None = None


async def read_figures(session: AsyncConnection, wanted: Wanted) -> list[Value]:
    """Every stored figure that was asked for, sums over the shards; zeros are left out.

    With `as_of`, as they were known at the start of that minute, or of that hour after 35 days (D35).
    """
    if not wanted.buckets:
        return []
    cells = await _read_cells(session, wanted)
    if wanted.as_of is not None:
        await _take_back(session, wanted, cells)
    return _values(wanted, cells)


_Cells = defaultdict[tuple[int, str], Vector]


async def _read_cells(session: AsyncConnection, wanted: Wanted) -> _Cells:
    rows = await session.execute(
        text(
            "SELECT bucket, value, measures FROM kpi.figure WHERE store = :store AND grain = :grain AND by = :by"
            " AND bucket BETWEEN :first AND :last"
        ),
        _span(wanted),
    )
    cells: _Cells = defaultdict(dict)
    for bucket, value, measures in rows:
        vector, known = decode_vector(measures), cells.get((bucket, value))
        if known is None:
            cells[bucket, value] = vector
        else:
            _add(known, vector, 1)
    return cells


async def _take_back(session: AsyncConnection, wanted: Wanted, cells: _Cells) -> None:
    assert wanted.as_of is not None
    rows = await session.execute(
        text(
            "SELECT bucket, changes FROM kpi.figure_delta WHERE store = :store AND grain = :grain AND by = :by"
            " AND bucket BETWEEN :first AND :last AND minute >= :minute"
        ),
        {**_span(wanted), "minute": minute_of(wanted.as_of)},
    )
    for bucket, changes in rows:
        for frame in frames(changes):
            for value, vector in frame.items():
                _add(cells[bucket, value], vector, -1)


def minute_of(instant: datetime) -> int:
    """Minutes since 1970."""
    return int(instant.timestamp()) // 60


def _span(wanted: Wanted) -> dict[str, Any]:
    return {
        "store": wanted.store,
        "grain": wanted.buckets[0].grain,
        "by": ",".join(sorted(wanted.by)),
        "first": wanted.buckets[0].second,
        "last": wanted.buckets[-1].second,
    }


def _add(into: Vector, vector: Vector, sign: int) -> None:
    for number, value in vector.items():
        into[number] = into.get(number, 0) + sign * value


def _values(wanted: Wanted, cells: _Cells) -> list[Value]:
    stored = sorted(wanted.by)
    order = [stored.index(name) for name in wanted.by]
    names = set(wanted.measures)
    known: dict[int, tuple[str, str]] = {}
    values = []
    for (bucket, joined), vector in cells.items():
        parts = joined.split(SEPARATOR)
        dimensions = tuple([parts[index] for index in order])
        for number, value in vector.items():
            if number not in known:
                known[number] = measure_of(number)
            measure, currency = known[number]
            if value and measure in names:
                values.append(Value(bucket, dimensions, measure, currency, value))
    return values
