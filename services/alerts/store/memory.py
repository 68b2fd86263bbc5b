"""What rules remember: SKUs, targets, measured windows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.contracts import StockLevel, TargetSet
from libs.events.transaction import Transaction
from services.alerts.tables import MEASURED, SKU, TARGET

# SKUs


@dataclass(frozen=True, slots=True)
class Sku:
    """What is known of a SKU."""

    sku: str
    kind: str = "goods"
    title: str = ""
    category: str | None = None
    price_cents: int | None = None
    cost_cents: int | None = None
    lead_days: int | None = None
    on_hand: int = 0
    available: int = 0
    safety: int = 0
    stocked_at: datetime | None = None
    sold_at: datetime | None = None


_SKU = tuple(SKU.c[name] for name in Sku.__dataclass_fields__)


async def save_sku(store: str, sku: str, said: Mapping[str, Any], said_at: datetime, tx: Transaction) -> None:
    """Remember what the catalogue says of a SKU; the latest word wins."""
    statement = insert(SKU).values(store=store, sku=sku, said_at=said_at, **said)
    newer = (SKU.c.said_at.is_(None)) | (SKU.c.said_at <= said_at)
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "sku"], set_={**said, "said_at": said_at}, where=newer)
    )


async def save_levels(levels: Sequence[Envelope[StockLevel]], tx: Transaction) -> None:
    """Remember stock levels; the greatest version wins."""
    latest: dict[tuple[str, str], Envelope[StockLevel]] = {}
    for level in levels:
        key = (level.store, level.data.sku)
        if key not in latest or latest[key].data.version < level.data.version:
            latest[key] = level
    rows = [_level(latest[key]) for key in sorted(latest)]
    statement = insert(SKU)
    new = statement.excluded
    change: dict[str, Any] = {name: new[name] for name in ("version", "on_hand", "available", "safety")}
    change["stocked_at"] = func.coalesce(SKU.c.stocked_at, new.stocked_at)
    if rows:
        await tx.session.execute(
            statement.on_conflict_do_update(
                index_elements=["store", "sku"], set_=change, where=SKU.c.version < new.version
            ),
            rows,
        )


def _level(level: Envelope[StockLevel]) -> dict[str, Any]:
    data = level.data
    return {
        "store": level.store,
        "sku": data.sku,
        "version": data.version,
        "on_hand": data.on_hand,
        "available": data.available,
        "safety": data.safety,
        "stocked_at": level.time if data.on_hand else None,
    }


async def mark_sold(sold: Mapping[tuple[str, str], datetime], tx: Transaction) -> None:
    """Remember when SKUs, by (store, SKU), were last ordered."""
    keys = sorted(sold)
    if keys:
        given = {"stores": [k[0] for k in keys], "skus": [k[1] for k in keys], "times": [sold[k] for k in keys]}
        await tx.session.execute(_MARK_SOLD, given)


_MARK_SOLD = text(
    "UPDATE alerts.sku AS s SET sold_at = greatest(s.sold_at, v.at)"
    " FROM unnest(CAST(:stores AS text[]), CAST(:skus AS text[]), CAST(:times AS timestamptz[])) AS v(store, sku, at)"
    " WHERE s.store = v.store AND s.sku = v.sku"
)


async def load_sku(store: str, sku: str, tx: Transaction) -> Sku:
    """What is known of a SKU; an unknown one has nothing but its code."""
    return (await load_skus(store, [sku], tx)).get(sku, Sku(sku))


async def load_skus(store: str, skus: Collection[str], tx: Transaction) -> dict[str, Sku]:
    """What is known of these SKUs."""
    if not skus:
        return {}
    rows = await tx.session.execute(select(*_SKU).where(SKU.c.store == store, SKU.c.sku.in_(sorted(skus))))
    return {row.sku: Sku(*row) for row in rows}


async def list_stocked(store: str, tx: Transaction) -> list[Sku]:
    """Goods that have been on hand, by code."""
    rows = await tx.session.execute(
        select(*_SKU).where(SKU.c.store == store, SKU.c.stocked_at.is_not(None)).order_by(SKU.c.sku)
    )
    return [Sku(*row) for row in rows]


async def has_stock(store: str, tx: Transaction) -> bool:
    """Whether the store keeps stock at all."""
    query = select(SKU.c.sku).where(SKU.c.store == store, SKU.c.version > 0).limit(1)
    return (await tx.session.scalar(query)) is not None


# targets


async def save_target(event: Envelope[TargetSet], tx: Transaction) -> None:
    """Keep a target; of several under one id the greatest (time, recordedtime, id) wins (D10)."""
    data = event.data
    values = {
        "decided_at": event.time,
        "recorded_at": event.recorded_time,
        "event_id": event.id,
        "metric": data.metric,
        "dimension": dict(data.dimension),
        "value": Decimal(str(data.value)),
        "starts_on": data.starts_on,
        "ends_on": data.ends_on,
    }
    statement = insert(TARGET).values(store=event.store, target_id=data.target_id, **values)
    order = ("decided_at", "recorded_at", "event_id")
    newer = tuple_(*(TARGET.c[name] for name in order)) < tuple_(*(statement.excluded[name] for name in order))
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "target_id"], set_=values, where=newer)
    )


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets of some stores, the latest decided first."""

    rows: Sequence[Any]

    def in_force(self, store: str, metric: str, dimension: Mapping[str, str], day: date) -> float | None:
        """The target of a metric that is in force on a day for exactly this dimension."""
        for row in self.rows:
            same = row.store == store and row.metric == metric and row.dimension == dict(dimension)
            if same and row.starts_on <= day <= row.ends_on:
                return float(row.value)
        return None


async def load_targets(stores: Collection[str], metrics: Collection[str], tx: Transaction) -> Targets:
    """All targets of these stores for these metrics."""
    if not stores:
        return Targets(())
    columns = (TARGET.c[n] for n in ("store", "metric", "dimension", "value", "starts_on", "ends_on"))
    rows = await tx.session.execute(
        select(*columns)
        .where(TARGET.c.store.in_(sorted(stores)), TARGET.c.metric.in_(sorted(metrics)))
        .order_by(TARGET.c.decided_at.desc(), TARGET.c.recorded_at.desc(), TARGET.c.event_id.desc())
    )
    return Targets(rows.all())


# measured

MEASURED_KEPT = timedelta(days=36)
"""Four weeks of windows to compare with, and a week of backfill."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A measured window or day."""

    store: str
    about: str
    grain: str
    ends_at: datetime
    measures: Mapping[str, int]


async def save_measured(buckets: Sequence[Bucket], tx: Transaction) -> None:
    """Keep measured windows and days."""
    rows = {(b.store, b.about, b.grain, b.ends_at): b for b in buckets}
    statement = insert(MEASURED)
    if rows:
        await tx.session.execute(
            statement.on_conflict_do_update(
                index_elements=["store", "about", "grain", "ends_at"],
                set_={"measures": statement.excluded.measures},
            ),
            [{**_fields(rows[key]), "measures": dict(rows[key].measures)} for key in sorted(rows)],
        )


def _fields(bucket: Bucket) -> dict[str, Any]:
    return {name: getattr(bucket, name) for name in Bucket.__dataclass_fields__}


async def load_measured(
    store: str, about: Collection[str], ends: Collection[datetime], tx: Transaction
) -> dict[tuple[str, str, datetime], Mapping[str, int]]:
    """(about, grain, end) -> measures of what ended at these times."""
    rows = await tx.session.execute(
        select(MEASURED.c.about, MEASURED.c.grain, MEASURED.c.ends_at, MEASURED.c.measures).where(
            MEASURED.c.store == store, MEASURED.c.about.in_(sorted(about)), MEASURED.c.ends_at.in_(sorted(ends))
        )
    )
    return {(row.about, row.grain, row.ends_at): row.measures for row in rows}


async def last_hour(store: str, tx: Transaction) -> datetime | None:
    """The end of the last hour that was measured of a store; None where none was."""
    query = select(func.max(MEASURED.c.ends_at)).where(
        MEASURED.c.store == store, MEASURED.c.about == "", MEASURED.c.grain == "w1"
    )
    last: datetime | None = await tx.session.scalar(query)
    return last


async def load_parts(
    store: str, by: str, grain: str, ends: Collection[datetime], tx: Transaction
) -> dict[tuple[str, datetime], Mapping[str, int]]:
    """(value of a dimension, end) -> measures of the windows that ended at these times."""
    begins = f"{by}="
    rows = await tx.session.execute(
        select(MEASURED.c.about, MEASURED.c.ends_at, MEASURED.c.measures)
        .where(MEASURED.c.store == store, MEASURED.c.about.like(f"{by}=%"))
        .where(MEASURED.c.grain == grain, MEASURED.c.ends_at.in_(sorted(ends)))
    )
    return {(row.about.removeprefix(begins), row.ends_at): row.measures for row in rows}


async def list_measured(
    store: str, about: str, grain: str, since: datetime, until: datetime, tx: Transaction
) -> list[tuple[datetime, Mapping[str, int]]]:
    """(end, measures) of what ended in (since, until], in order."""
    rows = await tx.session.execute(
        select(MEASURED.c.ends_at, MEASURED.c.measures)
        .where(MEASURED.c.store == store, MEASURED.c.about == about, MEASURED.c.grain == grain)
        .where(MEASURED.c.ends_at > since, MEASURED.c.ends_at <= until)
        .order_by(MEASURED.c.ends_at)
    )
    return [(row.ends_at, row.measures) for row in rows]
