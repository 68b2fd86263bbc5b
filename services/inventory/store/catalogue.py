"""SKUs and the policies about them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inventory.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class Sku:
    """A SKU as the catalogue has it."""

    store: str
    sku: str
    version: int
    kind: Literal["goods", "service"]
    title: str
    category: str | None
    price_cents: int
    cost_cents: int | None
    safety: int | None
    lead_days: int | None
    image_url: str | None
    listed: bool
    changed_at: datetime
    changed_recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Described:
    """What decides a SKU's description, and what its level was told last."""

    sku: str
    own_safety: int | None
    category: str | None
    level_safety: int
    level_hidden: int


_NAMES = tuple(field.name for field in fields(Sku))
_COLUMNS = ", ".join(_NAMES)
_TYPES = {
    "version": "bigint",
    "price_cents": "bigint",
    "cost_cents": "bigint",
    "safety": "bigint",
    "lead_days": "int",
    "listed": "boolean",
    "changed_at": "timestamptz",
    "changed_recorded_at": "timestamptz",
}
_values = attrgetter(*_NAMES)


async def load_skus(session: AsyncConnection, store: str, skus: Sequence[str], *, lock: bool = False) -> dict[str, Sku]:
    """These SKUs of the store, as far as there are any; with `lock` nobody else can change them meanwhile."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM inventory.sku WHERE store = :store AND sku = ANY(CAST(:skus AS text[]))"
            " ORDER BY sku" + (" FOR UPDATE" if lock else "")
        ),
        {"store": store, "skus": list(skus)},
    )
    return {row.sku: Sku(*row) for row in rows}


async def list_skus(
    session: AsyncConnection, store: str, *, after: str | None, limit: int, category: str | None, listed: bool | None
) -> list[Sku]:
    """SKUs by code."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM inventory.sku WHERE store = :store"
            " AND (CAST(:after AS text) IS NULL OR sku > :after)"
            " AND (CAST(:category AS text) IS NULL OR category = :category)"
            " AND (CAST(:listed AS boolean) IS NULL OR listed = :listed) ORDER BY sku LIMIT :limit"
        ),
        {"store": store, "after": after, "limit": limit, "category": category, "listed": listed},
    )
    return [Sku(*row) for row in rows]


async def save_skus(session: AsyncConnection, skus: Sequence[Sku]) -> None:
    """Write SKUs, new or changed, and see to it that each has a level."""
    if not skus:
        return
    columns = dict(zip(_NAMES, zip(*(_values(sku) for sku in skus), strict=True), strict=True))
    arrays = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in _NAMES)
    await session.execute(
        text(
            f"INSERT INTO inventory.sku ({_COLUMNS}) SELECT * FROM unnest({arrays}) AS u({_COLUMNS})"
            " ORDER BY store, sku ON CONFLICT (store, sku) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in ("store", "sku"))
        ),
        columns,
    )


# policies


async def save_policy(session: AsyncConnection, store: str, policy: Policy) -> None:
    """Note a decision; of two about the same thing from the same time on, the greater rank stays (D10)."""
    await session.execute(
        text(
            "INSERT INTO inventory.policy AS p (store, kind, category, valid_from, value, decided_at, recorded_at,"
            " event_id) VALUES (:store, :kind, :category, :valid_from, CAST(:value AS jsonb), :decided_at,"
            " :recorded_at, :event_id) ON CONFLICT (store, kind, category, valid_from) DO UPDATE SET"
            " value = excluded.value, decided_at = excluded.decided_at, recorded_at = excluded.recorded_at,"
            " event_id = excluded.event_id, is_applied = false"
            " WHERE (p.decided_at, p.recorded_at, p.event_id)"
            " < (excluded.decided_at, excluded.recorded_at, excluded.event_id)"
        ),
        {
            "store": store,
            "kind": policy.kind,
            "category": policy.category,
            "valid_from": policy.valid_from,
            "value": msgspec.json.encode(policy.value).decode(),
            "decided_at": policy.decided_at,
            "recorded_at": policy.recorded_at,
            "event_id": policy.event_id,
        },
    )


async def load_policies(session: AsyncConnection, store: str) -> list[Policy]:
    """Every decision of a store that inventory heeds."""
    rows = await session.execute(
        text(
            "SELECT kind, category, CAST(value AS text), valid_from, decided_at, recorded_at, event_id"
            " FROM inventory.policy WHERE store = :store"
        ),
        {"store": store},
    )
    return [Policy(row[0], row[1], msgspec.json.decode(row[2]), *row[3:]) for row in rows]


async def stores_with_due_policies(session: AsyncConnection, now: datetime) -> list[str]:
    """Stores of which a policy has become valid and is not in force yet."""
    rows = await session.execute(
        text("SELECT DISTINCT store FROM inventory.policy WHERE NOT is_applied AND valid_from <= :now ORDER BY store"),
        {"now": now},
    )
    return [row.store for row in rows]


async def mark_policies_applied(session: AsyncConnection, store: str, events: Sequence[str]) -> None:
    """Remember that these decisions have been put into force."""
    await session.execute(
        text(
            "UPDATE inventory.policy SET is_applied = true"
            " WHERE store = :store AND event_id = ANY(CAST(:events AS text[]))"
        ),
        {"store": store, "events": list(events)},
    )


async def load_described(session: AsyncConnection, store: str, *, after: str, limit: int) -> list[Described]:
    """SKUs with what their levels were told, by code, locked against changes of the catalogue."""
    rows = await session.execute(
        text(
            "SELECT s.sku, s.safety, s.category, l.safety, l.safety_hidden FROM inventory.sku s"
            " JOIN inventory.level l USING (store, sku) WHERE s.store = :store AND s.sku > :after"
            " AND s.kind = 'goods' ORDER BY s.sku LIMIT :limit FOR UPDATE OF s"
        ),
        {"store": store, "after": after, "limit": limit},
    )
    return [Described(*row) for row in rows]
