"""Channels, and the ledger of what was sent to them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from libs.service.errors import NotFound
from services.alerts.tables import CHANNEL, DELIVERY


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A place where people are told."""

    store: str
    name: str
    kind: str
    url: str
    secret: str
    language: str
    routes: Sequence[Mapping[str, Any]]
    mention: Sequence[str]
    format: str
    quiet: Mapping[str, str] | None
    timezone: str
    enabled: bool
    version: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for one channel, and what became of it."""

    store: str
    notification_id: str
    channel: str
    type: str
    incident_id: str | None
    alert_id: str | None
    body: Mapping[str, Any]
    status: str
    reason: str
    attempts: int
    last_error: str | None
    created_at: datetime
    settled_at: datetime | None


async def list_channels(store: str, tx: Transaction) -> list[Channel]:
    """The channels of a store."""
    rows = await tx.session.execute(select(CHANNEL).where(CHANNEL.c.store == store).order_by(CHANNEL.c.name))
    return [_channel(row) for row in rows]


async def load_channel(store: str, name: str, tx: Transaction) -> Channel:
    """One channel. Raises NotFound."""
    row = (
        await tx.session.execute(select(CHANNEL).where(CHANNEL.c.store == store, CHANNEL.c.name == name))
    ).one_or_none()
    if row is None:
        raise NotFound("there is no such channel")
    return _channel(row)


def _channel(row: Row[Any]) -> Channel:
    return Channel(**{name: row._mapping[name] for name in Channel.__dataclass_fields__})


async def save_channel(channel: Channel, tx: Transaction) -> Channel:
    """Write a channel; its version goes up by one."""
    values = {name: value for name, value in asdict(channel).items() if name not in ("store", "name", "version")}
    statement = insert(CHANNEL).values(store=channel.store, name=channel.name, version=1, **values)
    version = await tx.session.scalar(
        statement.on_conflict_do_update(
            index_elements=["store", "name"], set_={**values, "version": CHANNEL.c.version + 1}
        ).returning(CHANNEL.c.version)
    )
    return replace(channel, version=version or 1)


async def add_deliveries(rows: Sequence[Mapping[str, Any]], tx: Transaction) -> None:
    """Have messages sent once this transaction commits."""
    if rows:
        await tx.session.execute(DELIVERY.insert(), [dict(row) for row in rows])


_DELIVERY_COLUMNS = tuple(DELIVERY.c[name] for name in Delivery.__dataclass_fields__)


async def list_waiting(*, busy: Collection[tuple[str, str]], limit: int, tx: Transaction) -> dict[Channel, int]:
    """Channels with messages that are due, the longest waiting first, and how many; busy ones (store, name) not."""
    idle = tuple_(DELIVERY.c.store, DELIVERY.c.channel).not_in(list(busy)) if busy else true()
    counted = (
        select(
            DELIVERY.c.store, DELIVERY.c.channel, func.count().label("waiting"), func.min(DELIVERY.c.due_at).label("at")
        )
        .where(*_due(tx.now), idle)
        .group_by(DELIVERY.c.store, DELIVERY.c.channel)
        .subquery()
    )
    own = and_(CHANNEL.c.store == counted.c.store, CHANNEL.c.name == counted.c.channel)
    rows = await tx.session.execute(
        select(CHANNEL, counted.c.waiting)
        .join(counted, own)
        .where(CHANNEL.c.enabled)
        .order_by(counted.c.at)
        .limit(limit)
    )
    return {_channel(row): row.waiting for row in rows}


def _due(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return DELIVERY.c.due_at <= now, or_(DELIVERY.c.leased_until.is_(None), DELIVERY.c.leased_until < now)


async def lease_deliveries(channel: Channel, *, limit: int, lease: timedelta, tx: Transaction) -> list[Delivery]:
    """Take due messages of a channel for a while, the oldest first; what another process has is left to it."""
    chosen = (
        select(DELIVERY.c.notification_id)
        .where(DELIVERY.c.store == channel.store, DELIVERY.c.channel == channel.name, *_due(tx.now))
        .order_by(DELIVERY.c.due_at, DELIVERY.c.notification_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await tx.session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.store == channel.store, DELIVERY.c.notification_id.in_(chosen))
        .values(leased_until=tx.now + lease, attempts=DELIVERY.c.attempts + 1)
        .returning(*_DELIVERY_COLUMNS)
    )
    return sorted((Delivery(*row) for row in rows), key=lambda d: (d.created_at, d.notification_id))


async def defer_deliveries(channel: Channel, until: datetime, tx: Transaction) -> None:
    """Have what is due for a channel wait until then."""
    await tx.session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.store == channel.store, DELIVERY.c.channel == channel.name, *_due(tx.now))
        .values(due_at=until)
    )


PER_CHANNEL = 4
"""Calls of one channel that are under way at once: a slow target holds up nobody else."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a message; without `due_at` for good. `reason` replaces the one it had."""

    status: str
    error: str | None = None
    due_at: datetime | None = None
    reason: str | None = None


async def settle_delivery(delivery: Delivery, settled: Settled, tx: Transaction) -> None:
    """Write what became of an attempt."""
    await tx.session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.store == delivery.store, DELIVERY.c.notification_id == delivery.notification_id)
        .values(
            status=settled.status,
            reason=settled.reason or delivery.reason,
            last_error=settled.error,
            due_at=settled.due_at,
            leased_until=None,
            settled_at=tx.now if settled.due_at is None else None,
        )
    )


SHOWN = 100
"""Messages that are shown with an incident, the last ones."""


async def load_deliveries(store: str, incident_ids: Collection[str], tx: Transaction) -> dict[str, list[Delivery]]:
    """incident id -> its last messages, in order."""
    rank = func.row_number().over(
        partition_by=DELIVERY.c.incident_id, order_by=(DELIVERY.c.created_at.desc(), DELIVERY.c.notification_id.desc())
    )
    own = (DELIVERY.c.store == store, DELIVERY.c.incident_id.in_(sorted(incident_ids)))
    ranked = select(*_DELIVERY_COLUMNS, rank.label("rank")).where(*own).subquery()
    columns = [ranked.c[column.name] for column in _DELIVERY_COLUMNS]
    query = select(*columns).where(ranked.c.rank <= SHOWN).order_by(ranked.c.created_at, ranked.c.notification_id)
    found: dict[str, list[Delivery]] = {incident_id: [] for incident_id in incident_ids}
    for row in await tx.session.execute(query):
        delivery = Delivery(*row)
        found[str(delivery.incident_id)].append(delivery)
    return found


async def list_deliveries(
    store: str,
    *,
    channel: str | None,
    status: str | None,
    after: tuple[datetime, str] | None,
    limit: int,
    tx: Transaction,
) -> list[Delivery]:
    """The delivery ledger, the newest first."""
    wanted = [
        DELIVERY.c[name] == value for name, value in (("channel", channel), ("status", status)) if value is not None
    ]
    beyond = tuple_(DELIVERY.c.created_at, DELIVERY.c.notification_id) < after if after else true()
    rows = await tx.session.execute(
        select(*_DELIVERY_COLUMNS)
        .where(DELIVERY.c.store == store, beyond, *wanted)
        .order_by(DELIVERY.c.created_at.desc(), DELIVERY.c.notification_id.desc())
        .limit(limit)
    )
    return [Delivery(*row) for row in rows]
