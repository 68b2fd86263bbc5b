"""SQL in, domain values out. Every statement names the store, which row-level security checks once more."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Row, Select, delete, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.service.errors import Conflict
from services.orders import rows, tables
from services.orders.domain.state import FINAL, Decision, Order, Payment, Refund, Status
from services.orders.domain.timers import Due, Timer
from services.orders.rows import insert_rows

T = TypeVar("T")

# loading


async def load_order(session: AsyncConnection, store: str, order_id: str, *, lock: bool = False) -> Order | None:
    """One order with everything that happened to it; `lock` until the transaction ends."""
    found = await load_orders(session, store, [order_id], lock=lock)
    return found.get(order_id)


async def load_orders(
    session: AsyncConnection, store: str, order_ids: Sequence[str], *, lock: bool = False
) -> dict[str, Order]:
    """Orders by id; locked in the order of their ids, so that two callers do not deadlock."""
    if not order_ids:
        return {}
    orders = tables.orders
    query = select(orders).where(orders.c.store == store, orders.c.order_id == func.any(list(order_ids)))
    found = await session.execute(query.order_by(orders.c.order_id).with_for_update() if lock else query)
    return await _with_children(session, store, found.all())


async def _with_children(session: AsyncConnection, store: str, found: Sequence[Row[Any]]) -> dict[str, Order]:
    ids = [row.order_id for row in found]
    children = {kind: await _children(session, kind, store, ids) for kind in rows.CHILDREN}
    return {
        row.order_id: rows.order_of(row, {k: of.get(row.order_id, []) for k, of in children.items()}) for row in found
    }


async def _children(
    session: AsyncConnection, kind: str, store: str, order_ids: Sequence[str]
) -> dict[str, list[Row[Any]]]:
    table = rows.CHILDREN[kind]
    found: dict[str, list[Row[Any]]] = {}
    if order_ids:
        query = select(table).where(table.c.store == store, table.c.order_id == func.any(list(order_ids)))
        for row in await session.execute(query.order_by(table.c.order_id, table.c.position)):
            found.setdefault(row.order_id, []).append(row)
    return found


async def find_existing(session: AsyncConnection, store: str, order_ids: Sequence[str]) -> frozenset[str]:
    """Those of the ids that orders have."""
    c = tables.orders.c
    query = select(c.order_id).where(c.store == store, c.order_id == func.any(list(order_ids)))
    return frozenset((await session.execute(query)).scalars())


async def find_owner(session: AsyncConnection, store: str, kind: str, key: str) -> str | None:
    """The order that a thing belongs to; `kind` is payments, shipments, returns or refunds."""
    return (await find_owners(session, store, kind, [key])).get(key)


async def find_owners(session: AsyncConnection, store: str, kind: str, keys: Sequence[str]) -> dict[str, str]:
    """The orders that things belong to, as far as they exist."""
    if not keys:
        return {}
    table = rows.CHILDREN[kind]
    named = list(table.primary_key.columns)[1]
    query = select(named, table.c.order_id).where(table.c.store == store, named == func.any(list(keys)))
    return {row[0]: row[1] for row in await session.execute(query)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders a list shows; instants are `[start, end)`."""

    status: Status | None = None
    customer_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    held_only: bool = False


async def list_orders(
    session: AsyncConnection, store: str, wanted: Wanted, *, after: tuple[datetime, str] | None, limit: int
) -> list[Order]:
    """Orders, newest first, that come after (placed_at, order_id)."""
    orders = tables.orders
    query = _matching(select(orders).where(orders.c.store == store), wanted)
    if after is not None:
        query = query.where(tuple_(orders.c.placed_at, orders.c.order_id) < after)
    query = query.order_by(orders.c.placed_at.desc(), orders.c.order_id.desc()).limit(limit)
    return list((await _with_children(session, store, (await session.execute(query)).all())).values())


def _matching(query: Select[Any], wanted: Wanted) -> Select[Any]:
    c = tables.orders.c
    if wanted.status is not None:
        query = query.where(c.status == wanted.status.value)
    if wanted.customer_id is not None:
        query = query.where(c.customer_id == wanted.customer_id)
    if wanted.start is not None:
        query = query.where(c.placed_at >= wanted.start)
    if wanted.end is not None:
        query = query.where(c.placed_at < wanted.end)
    if wanted.held_only:
        query = query.where(
            c.review["decision"].astext == Decision.HELD.value, c.status.not_in(["cancelled", "completed"])
        )
    return query


_FINAL = [status.value for status in FINAL]


async def find_buyers(session: AsyncConnection, store: str, customer_ids: Iterable[str]) -> frozenset[str]:
    """Those of the customers who have a paid order."""
    ids = sorted(set(customer_ids))
    if not ids:
        return frozenset()
    orders = tables.orders
    query = select(orders.c.customer_id).distinct()
    query = query.where(orders.c.store == store, orders.c.customer_id == func.any(ids), orders.c.paid_at.is_not(None))
    return frozenset((await session.execute(query)).scalars())


# saving


async def insert_orders(session: AsyncConnection, store: str, orders: Sequence[Order]) -> frozenset[str]:
    """Insert new orders with all that happened to them; the ids that were new. Existing ones stay as they are."""
    new: set[str] = set()
    for some in _parts(orders):
        order_rows = [rows.order_row(store, order) for order in some]
        inserted = await insert_rows(session, tables.orders, order_rows, returning="order_id")
        new.update(inserted)
        await _insert_children(session, rows.child_rows(store, ((None, o) for o in some if o.order_id in new)))
    return frozenset(new)


async def save_order(session: AsyncConnection, store: str, before: Order, after: Order) -> Order:
    """Write what changed, under the lock of `before`; the order, with a new version if anybody could tell."""
    return (await save_orders(session, store, [(before, after)]))[0]


async def save_orders(session: AsyncConnection, store: str, changes: Sequence[tuple[Order, Order]]) -> list[Order]:
    """As `save_order`, for many at once."""
    saved = []
    for some in _parts(changes):
        pairs = [(before, _versioned(before, after)) for before, after in some]
        await insert_rows(session, tables.orders, [rows.order_row(store, after) for _, after in pairs], replace=True)
        await _insert_children(session, rows.child_rows(store, pairs))
        saved += [after for _, after in pairs]
    return saved


def _versioned(before: Order, after: Order) -> Order:
    return after if after.looks_like(before) else replace(after, version=before.version + 1)


def _parts(everything: Sequence[T], size: int = 2_000) -> Iterator[Sequence[T]]:
    """In parts that one statement writes in good time."""
    for start in range(0, len(everything), size):
        yield everything[start : start + size]


async def _insert_children(session: AsyncConnection, children: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Insert or replace what belongs to orders. Raises Conflict where an id is taken by another order's."""
    for kind, table in rows.CHILDREN.items():
        written = await insert_rows(session, table, children[kind], replace=True)
        if len(written) < len(children[kind]):
            raise Conflict(f"one of these {kind} has an id that another order's has")


async def insert_refund_of_unknown_order(session: AsyncConnection, store: str, order_id: str, refund: Refund) -> None:
    """Keep a refund, known from a file, whose order was never seen here."""
    row = rows.refund_row(refund) | {"store": store, "order_id": order_id, "position": 0}
    await insert_rows(session, tables.refunds, [row])


async def note_stray_payment(session: AsyncConnection, store: str, order_id: str, payment: Payment) -> None:
    """Remember money for an order that is not there, so that the day's reconciliation lists it (ORD-3)."""
    row = {name: getattr(payment, name) for name in ("payment_id", "method", "amount_cents", "currency", "paid_at")}
    await insert_rows(session, tables.stray_payments, [{"store": store, "order_id": order_id, **row}])


# personal data


@dataclass(frozen=True, slots=True)
class SealedConsignee:
    """A consignee as it is kept: what names a person is encrypted."""

    name: bytes
    phone: bytes
    address: bytes
    province: str
    city: str


async def save_consignees(
    session: AsyncConnection, store: str, sealed: Mapping[str, SealedConsignee], *, forget_at: datetime
) -> None:
    """Keep, or replace, the consignees of orders until `forget_at`."""
    values = [{"store": store, "order_id": key, "forget_at": forget_at, **asdict(one)} for key, one in sealed.items()]
    await insert_rows(session, tables.consignees, values, replace=True)


async def load_consignees(session: AsyncConnection, store: str, order_ids: Sequence[str]) -> dict[str, SealedConsignee]:
    """The consignees that are still kept."""
    consignees = tables.consignees
    query = select(consignees).where(consignees.c.store == store, consignees.c.order_id == func.any(list(order_ids)))
    return {
        row.order_id: SealedConsignee(bytes(row.name), bytes(row.phone), bytes(row.address), row.province, row.city)
        for row in await session.execute(query)
    }


async def forget_consignees(session: AsyncConnection, now: datetime, limit: int = 1_000) -> int:
    """Delete personal data whose time is over; the number of orders that lost theirs."""
    done = await session.execute(
        text(
            "DELETE FROM orders.consignees WHERE (store, order_id) IN"
            " (SELECT store, order_id FROM orders.consignees WHERE forget_at <= :now LIMIT :limit)"
        ),
        {"now": now, "limit": limit},
    )
    return done.rowcount


# what other services told


async def save_skus(session: AsyncConnection, kinds: Mapping[tuple[str, str], str]) -> None:
    """Remember SKUs as the catalogue has them: (store, sku) -> kind."""
    values = [{"store": store, "sku": sku, "kind": kind} for (store, sku), kind in sorted(kinds.items())]
    await insert_rows(session, tables.skus, values, replace=True)


async def load_kinds(session: AsyncConnection, store: str, skus: Iterable[str]) -> dict[str, str]:
    """sku -> goods or service, of those that the catalogue has."""
    c = tables.skus.c
    query = select(c.sku, c.kind).where(c.store == store, c.sku == func.any(sorted(set(skus))))
    return {row.sku: row.kind for row in await session.execute(query)}


async def save_policy(
    session: AsyncConnection, store: str, kind: str, value: Any, *, valid_from: datetime, decided: tuple[datetime, str]
) -> None:
    """Remember what a store set from a time on; the later decision for the same time wins (D10)."""
    await session.execute(
        text(
            "INSERT INTO orders.policies AS p (store, kind, valid_from, value, decided_at, event_id)"
            " VALUES (:store, :kind, :valid_from, CAST(:value AS jsonb), :decided_at, :event_id)"
            " ON CONFLICT (store, kind, valid_from) DO UPDATE SET value = excluded.value,"
            " decided_at = excluded.decided_at, event_id = excluded.event_id"
            " WHERE (p.decided_at, p.event_id) < (excluded.decided_at, excluded.event_id)"
        ),
        {
            "store": store,
            "kind": kind,
            "valid_from": valid_from,
            "value": json.dumps(value),
            "decided_at": decided[0],
            "event_id": decided[1],
        },
    )


async def load_policies(session: AsyncConnection, store: str, at: datetime) -> dict[str, Any]:
    """kind -> value in force at `at`."""
    c = tables.policies.c
    query = select(c.kind, c.value).where(c.store == store, c.valid_from <= at).order_by(c.kind, c.valid_from)
    return {row.kind: row.value for row in await session.execute(query)}


async def find_waiting_on(session: AsyncConnection, about: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(store, reservation or order id) -> order_id, of those that are about orders with a hold."""
    found = await session.execute(
        text(
            "SELECT DISTINCT w.store, w.key, o.order_id"
            " FROM unnest(CAST(:stores AS text[]), CAST(:keys AS text[])) AS w(store, key)"
            " JOIN orders.orders o ON o.store = w.store AND o.hold IS NOT NULL"
            " AND (o.order_id = w.key OR o.hold ->> 'reservation_id' = w.key)"
        ),
        {"stores": [store for store, _ in about], "keys": [key for _, key in about]},
    )
    return {(row.store, row.key): row.order_id for row in found}


# Timers


async def arm_timers(session: AsyncConnection, due: Mapping[Due, datetime]) -> None:
    """Start timers, or set them to another time."""
    values = [_key(one) | {"due_at": at} for one, at in due.items()]
    for some in _parts(values):
        await insert_rows(session, tables.timers, some, replace=True)


async def disarm_timers(session: AsyncConnection, done: Iterable[Due]) -> None:
    """Stop timers."""
    keys = [(one.store, one.kind.value, one.order_id) for one in done]
    for some in _parts(keys):
        c = tables.timers.c
        await session.execute(delete(tables.timers).where(tuple_(c.store, c.kind, c.order_id).in_(some)))


def _key(one: Due) -> dict[str, Any]:
    return {"store": one.store, "kind": one.kind.value, "order_id": one.order_id}


async def wake_timers(session: AsyncConnection, due: Iterable[Due], now: datetime) -> None:
    """Have timers come due now."""
    wanted = [(one.store, one.kind.value, one.order_id) for one in due]
    if wanted:
        c = tables.timers.c
        key = tuple_(c.store, c.kind, c.order_id)
        await session.execute(update(tables.timers).where(key.in_(wanted)).values(due_at=now))


async def claim_timers(session: AsyncConnection, now: datetime, *, lease: timedelta, limit: int) -> list[Due]:
    """Take timers that have come due; they come due again after `lease` unless they were stopped meanwhile."""
    found = await session.execute(
        text(
            "UPDATE orders.timers t SET due_at = :again, attempts = t.attempts + 1 FROM ("
            " SELECT store, kind, order_id FROM orders.timers WHERE due_at <= :now"
            " ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED) d"
            " WHERE (t.store, t.kind, t.order_id) = (d.store, d.kind, d.order_id)"
            " RETURNING t.store, t.kind, t.order_id"
        ),
        {"now": now, "again": now + lease, "limit": limit},
    )
    return [Due(row.store, Timer(row.kind), row.order_id) for row in found]


# The store itself


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What a store is (D4)."""

    name: str
    timezone: str
    currency: str
    language: str


async def load_store_settings(session: AsyncConnection, store: str) -> StoreSettings | None:
    """The store as it is, locked against a change at the same time."""
    found = await session.execute(
        text("SELECT name, timezone, currency, language FROM access.stores WHERE store = :store FOR UPDATE"),
        {"store": store},
    )
    row = found.one_or_none()
    return None if row is None else StoreSettings(row.name, row.timezone, row.currency, row.language)


async def save_store_settings(session: AsyncConnection, store: str, settings: StoreSettings, now: datetime) -> None:
    """Make the store, or change it."""
    await session.execute(
        text(
            "INSERT INTO access.stores (store, name, timezone, currency, language, created_at, changed_at)"
            " VALUES (:store, :name, :timezone, :currency, :language, :now, :now)"
            " ON CONFLICT (store) DO UPDATE SET name = excluded.name, timezone = excluded.timezone,"
            " currency = excluded.currency, language = excluded.language, changed_at = excluded.changed_at"
        ),
        {"store": store, "now": now, **asdict(settings)},
    )


async def has_events(session: AsyncConnection, store: str) -> bool:
    """Whether anything that this service knows of has happened in the store: orders, SKUs, policies."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM orders.orders WHERE store = :store)"
            " OR EXISTS (SELECT FROM orders.refunds WHERE store = :store)"
            " OR EXISTS (SELECT FROM orders.skus WHERE store = :store)"
            " OR EXISTS (SELECT FROM orders.policies WHERE store = :store)"
        ),
        {"store": store},
    )
    return bool(found.scalar_one())
