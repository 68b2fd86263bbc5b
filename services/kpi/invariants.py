"""What must always hold about figures, asked of the database as it is (P4, KPI rules 1 and 6, D36).

Cheap proofs only: that every figure is the sum of its history, the same at every grain, and as many as there are
entities. Whether the entities are what the journal says is for a rebuild to prove.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.invariants import Violation, broken, shared_checks
from services.kpi.calendar import GRAINS
from services.kpi.figures import NUMBERS, SEPARATOR, Vector, measure_of
from services.kpi.kpis import MEASURE
from services.kpi.rows import driver
from services.kpi.states import decode_vector, frames

FROM_HISTORY: Final = "a figure is the sum of its changes"
EVERY_GRAIN: Final = "what adds up is the same at every grain"
FROM_ENTITIES: Final = "there are as many as the figure says"

_CHECKS = {
    "a closed import leaves nothing to be told": """
        SELECT i.store, i.import_id, 0, count(*) FROM kpi.import i JOIN (
         SELECT store, import_id FROM kpi.import_bucket UNION ALL SELECT store, import_id FROM kpi.import_change
        ) AS rest USING (store, import_id) WHERE i.measured_at IS NOT NULL GROUP BY i.store, i.import_id
    """,
    "segments of the journal do not overlap": """
        SELECT '*', topic || '/' || partition || '@' || first_offset, 'after ' || before, 'at ' || first_offset FROM (
         SELECT topic, partition, first_offset, last_offset,
                lag(last_offset) OVER (PARTITION BY topic, partition ORDER BY first_offset) AS before
         FROM kpi.journal) AS j WHERE first_offset <= before OR last_offset < first_offset
    """,
    "the journal ends before its position": """
        SELECT '*', topic || '/' || partition, coalesce(max(p.next_offset), 0), max(j.last_offset) FROM kpi.journal j
        LEFT JOIN (SELECT * FROM kpi.position WHERE consumer = 'kpi') AS p USING (topic, partition)
        GROUP BY topic, partition HAVING max(j.last_offset) >= coalesce(max(p.next_offset), 0)
    """,
}

INVARIANTS = (*shared_checks("kpi"), *_CHECKS, FROM_HISTORY, EVERY_GRAIN, FROM_ENTITIES)


async def violations(session: AsyncConnection) -> list[Violation]:
    """Every broken invariant of every store."""
    found = await broken(session, {**shared_checks("kpi"), **_CHECKS})
    connection = await driver(session)
    totals = _Totals()
    async for page, live, told in _pages(connection):
        found += _untold(page, live, told)
        totals.add(page, live)
    found += totals.violations()
    return found + [wrong async for wrong in _counts(connection, totals)]


# every figure against its history


class _Page(NamedTuple):
    """All cells of one bucket through the same dimensions; in the order of the primary keys."""

    store: str
    grain: str
    by: str
    bucket: int


_Cells = dict[str, Vector]


async def _pages(connection: Any) -> AsyncIterator[tuple[_Page, _Cells, _Cells]]:
    """(page, its figures, the sums of its changes), where either may be empty."""
    live, told = _figures(connection), _changes(connection)
    one, other = await anext(live, None), await anext(told, None)
    while one is not None or other is not None:
        page = min(side[0] for side in (one, other) if side is not None)
        mine = one[1] if one is not None and one[0] == page else {}
        theirs = other[1] if other is not None and other[0] == page else {}
        yield page, mine, theirs
        if one is not None and one[0] == page:
            one = await anext(live, None)
        if other is not None and other[0] == page:
            other = await anext(told, None)


async def _figures(connection: Any) -> AsyncIterator[tuple[_Page, _Cells]]:
    async for page, rows in _grouped(connection.cursor(_FIGURES, prefetch=_AT_ONCE)):
        yield page, _summed((value, decode_vector(measures)) for value, measures in rows)


async def _changes(connection: Any) -> AsyncIterator[tuple[_Page, _Cells]]:
    async for page, rows in _grouped(connection.cursor(_DELTAS, prefetch=_AT_ONCE)):
        yield page, _summed(chain.from_iterable(commit.items() for (stored,) in rows for commit in frames(stored)))


async def _grouped(rows: Any) -> AsyncIterator[tuple[_Page, list[Any]]]:
    page: _Page | None = None
    group: list[Any] = []
    async for store, grain, by, bucket, *rest in rows:
        here = _Page(store, grain, by, bucket)
        if page is not None and here != page:
            yield page, group
            group = []
        page = here
        group.append(rest)
    if page is not None:
        yield page, group


def _summed(vectors: Iterable[tuple[str, Mapping[int, int]]]) -> _Cells:
    cells: _Cells = {}
    for value, vector in vectors:
        whole = cells.setdefault(value, {})
        for number, amount in vector.items():
            whole[number] = whole.get(number, 0) + amount
    return cells


def _untold(page: _Page, live: _Cells, told: _Cells) -> Iterator[Violation]:
    if live == told:
        return
    for value in sorted(live.keys() | told.keys()):
        mine, theirs = live.get(value, {}), told.get(value, {})
        for number in sorted(mine.keys() | theirs.keys()):
            if mine.get(number, 0) != theirs.get(number, 0):
                subject = f"{_named(page, value)} {_measure(number)}"
                yield Violation(FROM_HISTORY, page.store, subject, theirs.get(number, 0), mine.get(number, 0))


def _named(page: _Page, value: str) -> str:
    names = page.by.split(",") if page.by else []
    dimensions = " ".join(f"{n}={v}" for n, v in zip(names, value.split(SEPARATOR), strict=False))
    return " ".join(part for part in (f"{page.grain} {page.bucket}", dimensions) if part)


def _measure(number: int) -> str:
    return " ".join(part for part in measure_of(number) if part)


# every grain, and the entities, against one another


class _Totals:
    """All-time sums of the stores' own figures, grain by grain."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[str, int], dict[str, int]] = defaultdict(dict)

    def add(self, page: _Page, cells: _Cells) -> None:
        if page.by:
            return
        for number, amount in cells.get("", {}).items():
            sums = self._sums[page.store, number]
            sums[page.grain] = sums.get(page.grain, 0) + amount

    def of(self, store: str, measure: str) -> int:
        """The sum over all days."""
        return self._sums.get((store, NUMBERS[measure]), {}).get("day", 0)

    def violations(self) -> Iterator[Violation]:
        for (store, number), sums in sorted(self._sums.items()):
            measure = MEASURE[measure_of(number)[0]]
            if measure.distinct:
                continue
            for grain in GRAINS if measure.every_hour else GRAINS[1:]:
                if sums.get(grain, 0) != sums.get("day", 0):
                    subject = f"{_measure(number)} by {grain}"
                    yield Violation(EVERY_GRAIN, store, subject, sums.get("day", 0), sums.get(grain, 0))


async def _counts(connection: Any, totals: _Totals) -> AsyncIterator[Violation]:
    for store, placed, paid in await connection.fetch(_ORDERS):
        for measure, count in (("orders_placed", placed), ("orders_paid", paid)):
            if totals.of(store, measure) != count:
                yield Violation(FROM_ENTITIES, store, measure, count, totals.of(store, measure))
    for store, buyers in await connection.fetch(_CUSTOMERS):
        if totals.of(store, "cohort_customers") != buyers:
            yield Violation(FROM_ENTITIES, store, "cohort_customers", buyers, totals.of(store, "cohort_customers"))


_AT_ONCE: Final = 2_000
_FIGURES: Final = """
SELECT store, grain, by, bucket, value, measures FROM kpi.figure ORDER BY store, grain, by, bucket
"""
_DELTAS: Final = """
SELECT store, grain, by, bucket, changes FROM kpi.figure_delta ORDER BY store, grain, by, bucket
"""
_ORDERS: Final = "SELECT store, count(placed_us), count(paid_us) FROM kpi.orders GROUP BY store"
_CUSTOMERS: Final = "SELECT store, count(*) FROM kpi.customer WHERE orders > 0 GROUP BY store"
