"""What rules remember: names of SKUs, targets, measured windows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.contracts import TargetSet
from libs.events.transaction import Transaction
from services.alerts.tables import SKU_NAME, TARGET, WINDOW


async def save_sku_name(store: str, sku: str, title: str, said_at: datetime, tx: Transaction) -> None:
    """Remember what a SKU is called; the latest word wins."""
    statement = insert(SKU_NAME).values(store=store, sku=sku, title=title, said_at=said_at)
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["store", "sku"],
            set_={"title": title, "said_at": said_at},
            where=SKU_NAME.c.said_at <= said_at,
        )
    )


async def load_sku_name(store: str, sku: str, tx: Transaction) -> str:
    """What a SKU is called; empty where nobody said."""
    name = await tx.session.scalar(select(SKU_NAME.c.title).where(SKU_NAME.c.store == store, SKU_NAME.c.sku == sku))
    return name or ""


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
    """Targets of some stores for one metric, the latest decided first."""

    rows: Sequence[Any]

    def in_force(self, store: str, dimension: Mapping[str, str], day: date) -> float | None:
        """The target that is in force on a day for exactly this dimension."""
        for row in self.rows:
            same = row.store == store and row.dimension == dict(dimension)
            if same and row.starts_on <= day <= row.ends_on:
                return float(row.value)
        return None


async def load_targets(stores: Collection[str], metric: str, tx: Transaction) -> Targets:
    """All targets of these stores for a metric."""
    if not stores:
        return Targets(())
    rows = await tx.session.execute(
        select(TARGET.c.store, TARGET.c.dimension, TARGET.c.value, TARGET.c.starts_on, TARGET.c.ends_on)
        .where(TARGET.c.store.in_(sorted(stores)), TARGET.c.metric == metric)
        .order_by(TARGET.c.decided_at.desc(), TARGET.c.recorded_at.desc(), TARGET.c.event_id.desc())
    )
    return Targets(rows.all())


WINDOWS_KEPT = timedelta(days=3)


async def save_window(
    store: str, about: str, ends_at: datetime, hours: int, measures: Mapping[str, int], tx: Transaction
) -> None:
    """Keep a measured alarm window; what is older than three days before it goes."""
    statement = insert(WINDOW).values(store=store, about=about, ends_at=ends_at, hours=hours, measures=dict(measures))
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["store", "about", "ends_at", "hours"], set_={"measures": dict(measures)}
        )
    )
    await tx.session.execute(
        delete(WINDOW).where(
            WINDOW.c.store == store, WINDOW.c.about == about, WINDOW.c.ends_at < ends_at - WINDOWS_KEPT
        )
    )


async def load_windows(store: str, about: str, ends_at: datetime, tx: Transaction) -> dict[int, Mapping[str, int]]:
    """hours -> measures of the windows that end at this hour."""
    rows = await tx.session.execute(
        select(WINDOW.c.hours, WINDOW.c.measures).where(
            WINDOW.c.store == store, WINDOW.c.about == about, WINDOW.c.ends_at == ends_at
        )
    )
    return {row.hours: row.measures for row in rows}
