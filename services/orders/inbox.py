"""SQL of webhooks: the shops' secrets, and what they sent, until it is mapped. Bodies and secrets are sealed (D8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders import tables
from services.orders.rows import insert_rows

Status = Literal["received", "mapped", "ignored", "quarantined", "failed"]


@dataclass(frozen=True, slots=True)
class Source:
    """A shop that may send webhooks (D53); `secrets` are sealed."""

    kind: str
    secrets: bytes
    secret_count: int
    currency: str | None
    sku_map: Mapping[str, str]
    version: int
    changed_at: datetime


async def load_source(session: AsyncConnection, store: str, kind: str, *, lock: bool = False) -> Source | None:
    """The source of that kind, if the store has one."""
    c = tables.webhook_sources.c
    columns = (c.kind, c.secrets, c.secret_count, c.currency, c.sku_map, c.version, c.changed_at)
    query = select(*columns).where(c.store == store, c.kind == kind)
    row = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else Source(**{**row._mapping, "secrets": bytes(row.secrets)})


async def save_source(session: AsyncConnection, store: str, source: Source) -> None:
    """Make it, or replace it."""
    row = {name: getattr(source, name) for name in Source.__slots__}
    await insert_rows(session, tables.webhook_sources, [{"store": store, **row}], replace=True)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came; `delivery` is what makes a repeat one, `body` is sealed."""

    webhook_id: str
    kind: str
    delivery: str
    topic: str
    body: bytes
    received_at: datetime


async def insert_delivery(session: AsyncConnection, store: str, delivery: Delivery) -> bool:
    """Keep it; False when it is there already."""
    done = await session.execute(
        text(
            "INSERT INTO orders.inbound_webhooks"
            " (store, webhook_id, kind, delivery, topic, body, status, received_at, due_at)"
            " VALUES (:store, :webhook_id, :kind, :delivery, :topic, :body, 'received', :received_at, :received_at)"
            " ON CONFLICT DO NOTHING"
        ),
        {"store": store, **{name: getattr(delivery, name) for name in Delivery.__slots__}},
    )
    return bool(done.rowcount)


async def claim_deliveries(
    session: AsyncConnection, now: datetime, *, lease: timedelta, limit: int
) -> list[tuple[str, str]]:
    """(store, webhook_id) of what is to be mapped, oldest first; it comes due again unless it is finished by then."""
    found = await session.execute(
        text(
            "UPDATE orders.inbound_webhooks w SET due_at = :again, attempts = w.attempts + 1 FROM ("
            " SELECT store, webhook_id FROM orders.inbound_webhooks WHERE due_at <= :now"
            " ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED) d"
            " WHERE (w.store, w.webhook_id) = (d.store, d.webhook_id)"
            " RETURNING w.received_at, w.store, w.webhook_id"
        ),
        {"now": now, "again": now + lease, "limit": limit},
    )
    return [(store, webhook_id) for _, store, webhook_id in sorted(tuple(row) for row in found)]


async def load_delivery(session: AsyncConnection, store: str, webhook_id: str) -> Delivery | None:
    """What is still to be mapped, locked until the transaction ends; None when another worker was quicker."""
    c = tables.inbound_webhooks.c
    columns = [c[name] for name in Delivery.__slots__]
    query = select(*columns).where(
        c.store == store, c.webhook_id == webhook_id, c.due_at.is_not(None), c.body.is_not(None)
    )
    row = (await session.execute(query.with_for_update())).one_or_none()
    return None if row is None else Delivery(**{**row._mapping, "body": bytes(row.body)})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a message. With `due_at` it is to be looked at again then."""

    status: Status
    order_id: str | None = None
    told_at: datetime | None = None
    reason: str | None = None
    due_at: datetime | None = None


async def finish_delivery(
    session: AsyncConnection, store: str, webhook_id: str, outcome: Outcome, now: datetime
) -> None:
    """Write down what came of it."""
    values: dict[str, Any] = {name: getattr(outcome, name) for name in Outcome.__slots__}
    await session.execute(
        text(
            "UPDATE orders.inbound_webhooks SET status = :status, order_id = :order_id, told_at = :told_at,"
            " reason = :reason, due_at = :due_at, done_at = :done_at WHERE store = :store AND webhook_id = :webhook_id"
        ),
        {**values, "store": store, "webhook_id": webhook_id, "done_at": now if outcome.due_at is None else None},
    )


async def latest_news(session: AsyncConnection, store: str, order_id: str) -> datetime | None:
    """When the shop last spoke of an order, by its own clock, in what was mapped."""
    found = await session.execute(
        text(
            "SELECT max(told_at) FROM orders.inbound_webhooks"
            " WHERE store = :store AND order_id = :order_id AND status = 'mapped'"
        ),
        {"store": store, "order_id": order_id},
    )
    latest: datetime | None = found.scalar_one()
    return latest


async def list_deliveries(
    session: AsyncConnection, store: str, *, status: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[dict[str, Any]]:
    """What was sent, newest first, without the bodies."""
    c = tables.inbound_webhooks.c
    columns = (c.webhook_id, c.kind, c.topic, c.delivery, c.status, c.received_at, c.done_at)
    query = select(*columns, c.attempts, c.order_id, c.reason).where(c.store == store)
    if status is not None:
        query = query.where(c.status == status)
    if after is not None:
        query = query.where(tuple_(c.received_at, c.webhook_id) < after)
    query = query.order_by(c.received_at.desc(), c.webhook_id.desc()).limit(limit)
    return [dict(row._mapping) for row in await session.execute(query)]


async def retry_delivery(session: AsyncConnection, store: str, webhook_id: str, now: datetime) -> str | None:
    """Have a failed message mapped once more; its status before, None when there is none with a body."""
    found = await session.execute(
        text(
            "UPDATE orders.inbound_webhooks w SET due_at = CASE WHEN w.status = 'failed' THEN :now ELSE w.due_at END,"
            " status = CASE WHEN w.status = 'failed' THEN 'received' ELSE w.status END"
            " FROM (SELECT status FROM orders.inbound_webhooks WHERE store = :store AND webhook_id = :webhook_id"
            "       AND body IS NOT NULL FOR UPDATE) old"
            " WHERE w.store = :store AND w.webhook_id = :webhook_id RETURNING old.status"
        ),
        {"store": store, "webhook_id": webhook_id, "now": now},
    )
    return found.scalar_one_or_none()


async def purge_bodies(session: AsyncConnection, before: datetime, limit: int = 1_000) -> int:
    """Forget what was sent by what has been dealt with since `before` (D8); what still waits is kept."""
    done = await session.execute(
        text(
            "UPDATE orders.inbound_webhooks SET body = NULL, due_at = NULL WHERE (store, webhook_id) IN ("
            " SELECT store, webhook_id FROM orders.inbound_webhooks WHERE body IS NOT NULL"
            " AND received_at < :before AND status <> 'received' AND coalesce(done_at, received_at) < :before"
            " LIMIT :limit)"
        ),
        {"before": before, "limit": limit},
    )
    return done.rowcount


async def forget_deliveries(session: AsyncConnection, before: datetime, limit: int = 1_000) -> int:
    """Drop what is too old to come again."""
    done = await session.execute(
        text(
            "DELETE FROM orders.inbound_webhooks WHERE (store, webhook_id) IN ("
            " SELECT store, webhook_id FROM orders.inbound_webhooks WHERE body IS NULL AND received_at < :before"
            " LIMIT :limit)"
        ),
        {"before": before, "limit": limit},
    )
    return done.rowcount


async def forget_consignees_of(session: AsyncConnection, store: str, order_ids: list[str]) -> int:
    """Delete the personal data of these orders, as a shop was asked to."""
    done = await session.execute(
        text("DELETE FROM orders.consignees WHERE store = :store AND order_id = ANY(:order_ids)"),
        {"store": store, "order_ids": order_ids},
    )
    return done.rowcount
