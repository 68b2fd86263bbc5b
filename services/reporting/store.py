"""SQL of reporting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, literal, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.contracts import KpiCorrected, KpiMeasured, TargetSet
from libs.events.position import load_positions
from libs.events.transaction import Transaction
from services.reporting.domain import Day, Target
from services.reporting.periods import Period
from services.reporting.tables import BUCKET, CORRECTION, EDITION, PERIOD, SHAPE, SHARED, TARGET

TOTAL = ""


@dataclass(frozen=True, slots=True)
class DuePeriod:
    """A period that wants an edition."""

    store: str
    report: str
    period: str
    reason: str
    editions: int


@dataclass(frozen=True, slots=True)
class Edition:
    """A published edition."""

    edition: int
    published_at: datetime
    reason: str
    changed_cells: int
    log_position: dict[str, list[int]]
    content: dict[str, Any]


async def save_measured(event: Envelope[KpiMeasured], channel: str, tx: Transaction) -> None:
    """Keep what was measured of a bucket."""
    data = event.data
    values = {
        "starts_at": data.start,
        "ends_at": data.end,
        "measures": data.measures,
        "complete": data.complete,
        "watermark": data.watermark,
    }
    key = {"store": event.store, "grain": data.grain, "bucket": data.bucket, "channel": channel}
    statement = insert(BUCKET).values(**key, **values)
    await tx.session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


async def save_correction(event: Envelope[KpiCorrected], channel: str, tx: Transaction) -> bool:
    """Apply a correction to its bucket and keep why; False where the bucket was never measured here."""
    data = event.data
    changed = await tx.session.execute(
        update(BUCKET)
        .where(
            BUCKET.c.store == event.store,
            BUCKET.c.grain == data.grain,
            BUCKET.c.bucket == data.bucket,
            BUCKET.c.channel == channel,
        )
        .values(measures=BUCKET.c.measures.concat({change.measure: change.to for change in data.measures}))
    )
    await tx.session.execute(
        insert(CORRECTION)
        .values(
            store=event.store,
            event_id=event.id,
            grain=data.grain,
            bucket=data.bucket,
            corrected_at=event.time,
            measures=[change.measure for change in data.measures],
            causes=list(data.causes),
            cause_count=data.cause_count,
            applied_at=tx.now,
        )
        .on_conflict_do_nothing()
    )
    return bool(changed.rowcount)


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
    newer = tuple_(TARGET.c.decided_at, TARGET.c.recorded_at, TARGET.c.event_id) < tuple_(
        statement.excluded.decided_at, statement.excluded.recorded_at, statement.excluded.event_id
    )
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "target_id"], set_=values, where=newer)
    )


async def want_edition(store: str, report: str, period: str, *, due: datetime, reason: str, tx: Transaction) -> None:
    """Have an edition made at `due`; an earlier wish is never put off."""
    statement = insert(PERIOD).values(store=store, report=report, period=period, due_at=due, reason=reason, editions=0)
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["store", "report", "period"],
            set_={"due_at": func.least(func.coalesce(PERIOD.c.due_at, due), due), "reason": reason},
        )
    )


async def take_due(limit: int, tx: Transaction) -> list[DuePeriod]:
    """Periods whose edition is due, locked; another process takes others."""
    rows = await tx.session.execute(
        select(PERIOD.c.store, PERIOD.c.report, PERIOD.c.period, PERIOD.c.reason, PERIOD.c.editions)
        .where(PERIOD.c.due_at <= tx.now)
        .order_by(PERIOD.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [DuePeriod(r.store, r.report, r.period, r.reason or "measured", r.editions) for r in rows]


async def lock_period(store: str, report: str, period: str, tx: Transaction) -> DuePeriod:
    """The state of one period, locked; made where nothing is known of it."""
    key = {"store": store, "report": report, "period": period}
    await tx.session.execute(insert(PERIOD).values(**key, due_at=None, editions=0).on_conflict_do_nothing())
    row = (
        await tx.session.execute(
            select(PERIOD.c.reason, PERIOD.c.editions)
            .where(*(PERIOD.c[name] == value for name, value in key.items()))
            .with_for_update()
        )
    ).one()
    return DuePeriod(store, report, period, row.reason or "measured", row.editions)


async def load_day(store: str, period: Period, missing: Sequence[str], tx: Transaction) -> tuple[Day, datetime | None]:
    """What is known of a period, and up to when its data was in."""
    rows = (
        await tx.session.execute(
            select(BUCKET.c.channel, BUCKET.c.measures, BUCKET.c.complete, BUCKET.c.watermark).where(
                BUCKET.c.store == store, BUCKET.c.grain == period.grain, BUCKET.c.bucket == period.name
            )
        )
    ).all()
    total = next((row for row in rows if row.channel == TOTAL), None)
    channels = {row.channel: row.measures for row in rows if row.channel != TOTAL}
    if total is None:
        return Day(period.first, None, channels, complete=False, missing=tuple(missing)), None
    return Day(period.first, total.measures, channels, total.complete), total.watermark


async def load_targets(store: str, day: date, tx: Transaction) -> list[Target]:
    """Targets of the whole store that are in force on the day; of several for one metric the latest decided."""
    rows = await tx.session.execute(
        select(TARGET.c.metric, TARGET.c.value)
        .where(
            TARGET.c.store == store,
            TARGET.c.dimension == literal({}, type_=TARGET.c.dimension.type),
            TARGET.c.starts_on <= day,
            TARGET.c.ends_on >= day,
        )
        .order_by(TARGET.c.decided_at, TARGET.c.recorded_at, TARGET.c.event_id)
    )
    return [Target(row.metric, row.value) for row in rows]


async def load_edition(store: str, report: str, period: str, edition: int | None, tx: Transaction) -> Edition | None:
    """An edition; the newest where none is named."""
    newest_or = true() if edition is None else EDITION.c.edition == edition
    rows = await tx.session.execute(
        select(*_EDITION_COLUMNS)
        .where(EDITION.c.store == store, EDITION.c.report == report, EDITION.c.period == period, newest_or)
        .order_by(EDITION.c.edition.desc())
        .limit(1)
    )
    row = rows.one_or_none()
    return Edition(*row) if row else None


async def list_editions(store: str, report: str, period: str, tx: Transaction) -> list[Edition]:
    """All editions of a period, the first first."""
    rows = await tx.session.execute(
        select(*_EDITION_COLUMNS)
        .where(EDITION.c.store == store, EDITION.c.report == report, EDITION.c.period == period)
        .order_by(EDITION.c.edition)
    )
    return [Edition(*row) for row in rows]


_EDITION_COLUMNS = (
    EDITION.c.edition,
    EDITION.c.published_at,
    EDITION.c.reason,
    EDITION.c.changed_cells,
    EDITION.c.log_position,
    EDITION.c.content,
)


async def save_edition(
    due: DuePeriod, edition: Edition, shapes: Iterable[tuple[str, str, bytes]], tx: Transaction
) -> None:
    """Keep a new edition with all of its shapes, frozen byte for byte (D72)."""
    key = {"store": due.store, "report": due.report, "period": due.period, "edition": edition.edition}
    await tx.session.execute(
        EDITION.insert().values(
            **key,
            published_at=edition.published_at,
            reason=edition.reason,
            changed_cells=edition.changed_cells,
            log_position=edition.log_position,
            content=edition.content,
        )
    )
    await tx.session.execute(
        SHAPE.insert(),
        [{**key, "language": language, "extension": extension, "body": body} for language, extension, body in shapes],
    )


async def settle_period(due: DuePeriod, editions: int, tx: Transaction) -> None:
    """Nothing more is to be done for this period for now."""
    await tx.session.execute(
        update(PERIOD)
        .where(PERIOD.c.store == due.store, PERIOD.c.report == due.report, PERIOD.c.period == due.period)
        .values(due_at=None, reason=None, editions=editions)
    )


async def load_shape(
    store: str, report: str, period: str, edition: int, language: str, extension: str, tx: Transaction
) -> bytes:
    """The bytes of one shape of an edition."""
    body: bytes = (
        await tx.session.execute(
            select(SHAPE.c.body).where(
                SHAPE.c.store == store,
                SHAPE.c.report == report,
                SHAPE.c.period == period,
                SHAPE.c.edition == edition,
                SHAPE.c.language == language,
                SHAPE.c.extension == extension,
            )
        )
    ).scalar_one()
    return body


async def load_corrections(store: str, period: Period, after: datetime, until: datetime, tx: Transaction) -> list[Any]:
    """Corrections of a period that were applied in (after, until], the first first."""
    rows = await tx.session.execute(
        select(CORRECTION.c.corrected_at, CORRECTION.c.measures, CORRECTION.c.causes, CORRECTION.c.cause_count)
        .where(
            CORRECTION.c.store == store,
            CORRECTION.c.grain == period.grain,
            CORRECTION.c.bucket == period.name,
            CORRECTION.c.applied_at > after,
            CORRECTION.c.applied_at <= until,
        )
        .order_by(CORRECTION.c.corrected_at, CORRECTION.c.event_id)
    )
    return list(rows)


async def load_first_day(store: str, tx: Transaction) -> datetime | None:
    """When the first measured day of the store began; None before any was measured."""
    first: datetime | None = await tx.session.scalar(
        select(func.min(BUCKET.c.starts_at)).where(
            BUCKET.c.store == store, BUCKET.c.grain == "day", BUCKET.c.channel == TOTAL
        )
    )
    return first


async def load_log_position(consumer: str, tx: Transaction) -> Mapping[str, list[int]]:
    """topic -> next offset per partition, as reporting has read them (D35)."""
    positions = await load_positions(tx.session, SHARED.events.position, consumer)
    found: dict[str, list[int]] = {}
    for (topic, _), position in sorted(positions.items()):
        found.setdefault(topic, []).append(position.next_offset)
    return found
