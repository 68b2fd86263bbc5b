"""Campaigns: what is locked for them, what they promise, how it is used up (INV-7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class LockRow:
    """A campaign's lock on one SKU."""

    sku: str
    wanted: int
    locked: int
    taken: int
    starts_at: datetime
    ends_at: datetime
    has_ended: bool


async def load_campaign(session: AsyncConnection, store: str, campaign: str) -> list[LockRow]:
    """The locks of a campaign, by SKU."""
    rows = await session.execute(
        text(
            "SELECT sku, wanted, locked, taken, starts_at, ends_at, has_ended FROM inventory.campaign_lock"
            " WHERE store = :store AND campaign = :campaign ORDER BY sku"
        ),
        {"store": store, "campaign": campaign},
    )
    return [LockRow(*row) for row in rows]


async def load_burn_down(session: AsyncConnection, store: str, campaign: str, zone: str) -> Sequence[Row[Any]]:
    """Units that a campaign's orders and carts have, by local hour and SKU, those given back left out."""
    return (
        await session.execute(
            text(
                "SELECT date_trunc('hour', r.ordered_at, :zone) AS hour, l.sku,"
                " sum(l.promised + l.shipped + l.sold + l.returning + l.returned) AS units"
                " FROM inventory.reservation r JOIN inventory.reservation_line l USING (store, reservation_id)"
                " WHERE r.store = :store AND r.campaign = :campaign AND r.status IN ('held', 'allocated')"
                " AND l.is_goods GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            {"store": store, "campaign": campaign, "zone": zone},
        )
    ).all()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign has promised, as it was planned last."""

    campaign: str
    starts_at: datetime
    ends_at: datetime
    promised: Mapping[str, int]


async def load_plan(session: AsyncConnection, store: str, campaign: str) -> Plan | None:
    """The plan of a campaign, None where nobody has told of one."""
    row = (
        await session.execute(
            text(
                "SELECT campaign, starts_at, ends_at, CAST(promised AS text) FROM inventory.campaign_plan"
                " WHERE store = :store AND campaign = :campaign"
            ),
            {"store": store, "campaign": campaign},
        )
    ).one_or_none()
    return None if row is None else Plan(row[0], row[1], row[2], msgspec.json.decode(row[3]))


async def save_plan(session: AsyncConnection, store: str, plan: Plan, rank: tuple[datetime, datetime, str]) -> None:
    """Note a plan; of two the one with the greater (decided, recorded, event) stays (D10)."""
    decided_at, recorded_at, event_id = rank
    await session.execute(
        text(
            "INSERT INTO inventory.campaign_plan AS p (store, campaign, starts_at, ends_at, promised, decided_at,"
            " recorded_at, event_id) VALUES (:store, :campaign, :starts_at, :ends_at, CAST(:promised AS jsonb),"
            " :decided_at, :recorded_at, :event_id) ON CONFLICT (store, campaign) DO UPDATE SET"
            " starts_at = excluded.starts_at, ends_at = excluded.ends_at, promised = excluded.promised,"
            " decided_at = excluded.decided_at, recorded_at = excluded.recorded_at, event_id = excluded.event_id"
            " WHERE (p.decided_at, p.recorded_at, p.event_id)"
            " < (excluded.decided_at, excluded.recorded_at, excluded.event_id)"
        ),
        {
            "store": store,
            "campaign": plan.campaign,
            "starts_at": plan.starts_at,
            "ends_at": plan.ends_at,
            "promised": msgspec.json.encode(plan.promised).decode(),
            "decided_at": decided_at,
            "recorded_at": recorded_at,
            "event_id": event_id,
        },
    )


async def find_ending_locks(session: AsyncConnection, now: datetime) -> list[tuple[str, str, str]]:
    """(store, campaign, sku) of locks whose time is over."""
    rows = await session.execute(
        text(
            "SELECT store, campaign, sku FROM inventory.campaign_lock WHERE NOT has_ended AND ends_at <= :now"
            " ORDER BY store, sku, campaign LIMIT 1000"
        ),
        {"now": now},
    )
    return [(row.store, row.campaign, row.sku) for row in rows]
