"""Campaigns as planned, what is locked for them, and what was spent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.contracts import AdSpent
from libs.events.transaction import Transaction
from services.alerts.tables import CAMPAIGN, CAMPAIGN_LOCK, SPEND

_ORDER = ("decided_at", "recorded_at", "event_id")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it is planned now."""

    campaign: str
    starts_at: datetime
    ends_at: datetime
    plan: Mapping[str, Any]

    @property
    def promised(self) -> dict[str, int]:
        """SKU -> units that are to be locked for it."""
        return {line["sku"]: line["quantity"] for line in self.plan["skus"] if line.get("quantity")}


def _decided(event: Envelope[Any]) -> dict[str, Any]:
    return {"decided_at": event.time, "recorded_at": event.recorded_time, "event_id": event.id}


async def save_campaign(event: Envelope[Any], tx: Transaction) -> bool:
    """Keep a plan; the greatest (time, recordedtime, id) wins (D10). Whether this one did."""
    data = event.data
    plan = data.model_dump(mode="json", by_alias=True)
    values = {**_decided(event), "starts_at": data.starts_at, "ends_at": data.ends_at, "plan": plan}
    statement = insert(CAMPAIGN).values(store=event.store, campaign=data.campaign, **values)
    newer = tuple_(*(CAMPAIGN.c[n] for n in _ORDER)) < tuple_(*(statement.excluded[n] for n in _ORDER))
    kept = await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "campaign"], set_=values, where=newer).returning(
            CAMPAIGN.c.campaign
        )
    )
    return kept.one_or_none() is not None


_CAMPAIGN = tuple(CAMPAIGN.c[name] for name in Campaign.__dataclass_fields__)


async def load_campaign(store: str, campaign: str, tx: Transaction) -> Campaign | None:
    """A campaign; None where none was planned."""
    query = select(*_CAMPAIGN).where(CAMPAIGN.c.store == store, CAMPAIGN.c.campaign == campaign)
    row = (await tx.session.execute(query)).one_or_none()
    return Campaign(*row) if row else None


async def list_campaigns(store: str, since: datetime, until: datetime, tx: Transaction) -> list[Campaign]:
    """Campaigns that run at some time in [since, until], by start."""
    rows = await tx.session.execute(
        select(*_CAMPAIGN)
        .where(CAMPAIGN.c.store == store, CAMPAIGN.c.ends_at >= since, CAMPAIGN.c.starts_at <= until)
        .order_by(CAMPAIGN.c.starts_at, CAMPAIGN.c.campaign)
    )
    return [Campaign(*row) for row in rows]


async def save_lock(store: str, campaign: str, sku: str, locked: int, said_at: datetime, tx: Transaction) -> None:
    """Remember the most that was locked of a SKU for a campaign."""
    statement = insert(CAMPAIGN_LOCK).values(store=store, campaign=campaign, sku=sku, locked=locked, said_at=said_at)
    most = func.greatest(CAMPAIGN_LOCK.c.locked, statement.excluded.locked)
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["store", "campaign", "sku"], set_={"locked": most})
    )


async def load_locks(store: str, campaign: str, tx: Transaction) -> dict[str, int]:
    """SKU -> units locked for a campaign."""
    rows = await tx.session.execute(
        select(CAMPAIGN_LOCK.c.sku, CAMPAIGN_LOCK.c.locked).where(
            CAMPAIGN_LOCK.c.store == store, CAMPAIGN_LOCK.c.campaign == campaign
        )
    )
    return {row.sku: row.locked for row in rows}


async def save_spend(events: Sequence[tuple[Envelope[AdSpent], date]], tx: Transaction) -> None:
    """Keep ad spend with its store day; the same key again replaces (D10)."""
    statement = insert(SPEND)
    names = (*_ORDER, "clicks", "spend_cents")
    newer = tuple_(*(SPEND.c[n] for n in _ORDER)) < tuple_(*(statement.excluded[n] for n in _ORDER))
    set_ = {name: statement.excluded[name] for name in names}
    rows = sorted((_spend(event, day) for event, day in events), key=lambda row: (row["store"], row["key"]))
    if rows:
        await tx.session.execute(
            statement.on_conflict_do_update(index_elements=["store", "key"], set_=set_, where=newer), rows
        )


def _spend(event: Envelope[AdSpent], day: date) -> dict[str, Any]:
    data = event.data
    period = data.hour or f"{data.day:%Y-%m-%d}"
    parts = (data.channel, data.source, data.campaign, data.plan, data.sku, data.creative, period, data.currency)
    return {
        "store": event.store,
        "key": "\x1f".join(part or "" for part in parts),
        **_decided(event),
        "day": day,
        "channel": data.channel,
        "campaign": data.campaign,
        "plan": data.plan,
        "sku": data.sku,
        "clicks": data.clicks,
        "spend_cents": data.spend_cents,
    }


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent for one value of a dimension."""

    value: str
    clicks: int
    spend_cents: int


async def load_spent(
    store: str, by: str, since: date, until: date, tx: Transaction, *, values: Collection[str] | None = None
) -> list[Spent]:
    """Spend by channel, campaign, plan or sku on the days [since, until]."""
    column = SPEND.c[by]
    query = (
        select(column, func.sum(SPEND.c.clicks), func.sum(SPEND.c.spend_cents))
        .where(SPEND.c.store == store, SPEND.c.day >= since, SPEND.c.day <= until, column.is_not(None))
        .group_by(column)
        .order_by(column)
    )
    if values is not None:
        query = query.where(column.in_(sorted(values)))
    return [Spent(value, int(clicks), int(cents)) for value, clicks, cents in await tx.session.execute(query)]
