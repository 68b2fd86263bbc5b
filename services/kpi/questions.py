"""SQL behind the answers: what was measured when, what imports still fill, corrections, what lies in quarantine."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kpi.figures import SEPARATOR
from services.kpi.states import decode_customer


@dataclass(frozen=True, slots=True)
class Span:
    """Buckets of one store and grain: those that start from `first` to `last`, both seconds since 1970."""

    store: str
    grain: str
    first: int
    last: int

    @property
    def parameters(self) -> dict[str, Any]:
        """As the statements name them."""
        return {"store": self.store, "grain": self.grain, "first": self.first, "last": self.last}


async def measured_by(span: Span, instant: datetime, session: AsyncConnection) -> set[int]:
    """Starts of the buckets that had been measured complete at this instant."""
    rows = await session.execute(
        text(
            "SELECT bucket FROM kpi.bucket WHERE store = :store AND grain = :grain"
            " AND bucket BETWEEN :first AND :last AND measured_at <= :instant"
        ),
        {**span.parameters, "instant": instant},
    )
    return {row.bucket for row in rows}


async def filling(span: Span, session: AsyncConnection) -> set[int]:
    """Starts of the buckets that an import has touched and that have not been measured since (D6)."""
    rows = await session.execute(
        text(
            "SELECT DISTINCT b.bucket FROM kpi.import_bucket b JOIN kpi.import i USING (store, import_id)"
            " WHERE b.store = :store AND b.grain = :grain AND b.bucket BETWEEN :first AND :last"
            " AND i.measured_at IS NULL"
        ),
        span.parameters,
    )
    return {row.bucket for row in rows}


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Events of a topic that are held back, and their money."""

    events: int
    cents: int


async def quarantined(store: str, before: datetime | None, session: AsyncConnection) -> dict[str, Quarantined]:
    """topic -> what is in quarantine, or was at `before`; an order's placing and payment are the same money (D64)."""
    rows = await session.execute(
        text(
            "SELECT topic, sum(events) AS events, coalesce(sum(cents), 0) AS cents FROM ("
            " SELECT topic, count(*) AS events, max(cents) AS cents FROM kpi.quarantined"
            " WHERE store = :store AND (CAST(:before AS timestamptz) IS NULL OR quarantined_at < :before)"
            " GROUP BY topic, CASE WHEN topic = 'orders' THEN subject ELSE encode(key, 'hex') END) AS held"
            " GROUP BY topic"
        ),
        {"store": store, "before": before},
    )
    return {row.topic: Quarantined(int(row.events), int(row.cents)) for row in rows}


async def differing(store: str, session: AsyncConnection) -> dict[str, int]:
    """topic -> repeats that said something else than what was accepted first (D1)."""
    rows = await session.execute(text("SELECT topic, events FROM kpi.differing WHERE store = :store"), {"store": store})
    return {row.topic: row.events for row in rows}


async def next_offsets(consumer: str, session: AsyncConnection) -> dict[str, dict[int, int]]:
    """topic -> partition -> the offset up to which this consumer has applied it."""
    rows = await session.execute(
        text("SELECT topic, partition, next_offset FROM kpi.position WHERE consumer = :consumer"),
        {"consumer": consumer},
    )
    found: dict[str, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row.topic, {})[row.partition] = row.next_offset
    return found


@dataclass(frozen=True, slots=True)
class Correction:
    """One measure of one bucket that changed after it had been measured complete."""

    id: int
    grain: str
    bucket: int
    dimensions: Mapping[str, str]
    measure: str
    currency: str
    from_value: int
    to_value: int
    corrected_at: datetime
    causes: Sequence[str]
    cause_count: int


async def list_corrections(
    store: str, since: int, after: int, limit: int, session: AsyncConnection
) -> list[Correction]:
    """Corrections of buckets that start at `since` or later, oldest first, those with an id over `after`."""
    rows = await session.execute(
        text(
            "SELECT id, grain, by, bucket, value, measure, currency, from_value, to_value, corrected_at, causes,"
            " cause_count FROM kpi.correction WHERE store = :store AND bucket >= :since AND id > :after"
            " ORDER BY id LIMIT :limit"
        ),
        {"store": store, "since": since, "after": after, "limit": limit},
    )
    return [_correction(row) for row in rows]


def _correction(row: Any) -> Correction:
    names = row.by.split(",") if row.by else []
    values = row.value.split(SEPARATOR) if names else []
    return Correction(
        id=row.id,
        grain=row.grain,
        bucket=row.bucket,
        dimensions=dict(zip(names, values, strict=True)),
        measure=row.measure,
        currency=row.currency,
        from_value=row.from_value,
        to_value=row.to_value,
        corrected_at=row.corrected_at,
        causes=row.causes,
        cause_count=row.cause_count,
    )


async def count_values(span: Span, by: Collection[str], session: AsyncConnection) -> int:
    """How many combinations of these dimensions' values the buckets hold."""
    rows = await session.execute(
        text(
            "SELECT count(*) FROM (SELECT DISTINCT value FROM kpi.figure WHERE store = :store AND grain = :grain"
            " AND by = :by AND bucket BETWEEN :first AND :last) AS seen"
        ),
        {**span.parameters, "by": ",".join(sorted(by))},
    )
    return int(rows.scalar_one())


@dataclass(frozen=True, slots=True)
class LoyalCustomer:
    """A customer with so many paid orders (KPI-12)."""

    customer_id: str
    orders: int
    paid_amount: int


async def list_customers(
    store: str, min_orders: int, currency: str, after: str, limit: int, session: AsyncConnection
) -> list[LoyalCustomer]:
    """Customers with at least so many paid orders, by id; amounts in one currency (D80)."""
    rows = await session.execute(
        text(
            "SELECT customer, orders, state FROM kpi.customer WHERE store = :store AND orders >= :least"
            " AND customer > :after ORDER BY customer LIMIT :limit"
        ),
        {"store": store, "least": min_orders, "after": after, "limit": limit},
    )
    found = []
    for customer, orders, state in rows:
        paid = sum(order[2] for order in decode_customer(state).paid if order[3] == currency)
        found.append(LoyalCustomer(customer, orders, paid))
    return found


async def entered_values(store: str, metric: str, session: AsyncConnection) -> list[dict[str, Any]]:
    """What people and files last said of a metric: one body a day or month and source (KPI-9, D10)."""
    rows = await session.execute(
        text(
            "SELECT DISTINCT ON (id) body FROM kpi.document WHERE store = :store AND kind = 'measure'"
            " AND id >= :first AND id < :after ORDER BY id, us DESC, recorded_us DESC, event_id DESC"
        ),
        {"store": store, "first": f"{metric}|", "after": f"{metric}}}"},
    )
    bodies = [json.loads(row.body) if isinstance(row.body, str) else row.body for row in rows]
    return [body for body in bodies if body["metric"] == metric]
