"""When events of a topic happened: a bit a minute, so that the order of arrival does not matter."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from libs.events.transaction import Transaction
from services.alerts.tables import PULSE

Beats = Mapping[tuple[str, str, datetime], int]
"""(store, topic, hour) -> bits of the minutes that had an event."""


async def add_pulses(beats: Beats, tx: Transaction) -> None:
    """Remember when something happened."""
    statement = insert(PULSE)
    both = {"minutes": PULSE.c.minutes.op("|")(statement.excluded.minutes)}
    changes = PULSE.c.minutes.op("|")(statement.excluded.minutes) != PULSE.c.minutes
    names = ("store", "topic", "hour")
    if beats:
        await tx.session.execute(
            statement.on_conflict_do_update(index_elements=list(names), set_=both, where=changes),
            [{**dict(zip(names, key, strict=True)), "minutes": beats[key]} for key in sorted(beats)],
        )


async def load_pulses(store: str, topic: str, hours: Collection[datetime], tx: Transaction) -> dict[datetime, int]:
    """hour -> bits, of these hours."""
    rows = await tx.session.execute(
        select(PULSE.c.hour, PULSE.c.minutes).where(
            PULSE.c.store == store, PULSE.c.topic == topic, PULSE.c.hour.in_(sorted(hours))
        )
    )
    return {row.hour: row.minutes for row in rows}


@dataclass(frozen=True, slots=True)
class Last:
    """The last hour in which something happened on a topic of a store, with its minutes."""

    store: str
    topic: str
    hour: datetime
    minutes: int


async def list_last(since: datetime, tx: Transaction) -> list[Last]:
    """The last hour of every store and topic that had anything since then."""
    newest = func.array_agg(aggregate_order_by(PULSE.c.minutes, PULSE.c.hour.desc()))
    rows = await tx.session.execute(
        select(PULSE.c.store, PULSE.c.topic, func.max(PULSE.c.hour), newest)
        .where(PULSE.c.hour >= since)
        .group_by(PULSE.c.store, PULSE.c.topic)
        .order_by(PULSE.c.store, PULSE.c.topic)
    )
    return [Last(store, topic, hour, minutes[0]) for store, topic, hour, minutes in rows]


async def first_hour(store: str, tx: Transaction, *, topic: str | None = None) -> datetime | None:
    """The first hour that is known of a store (or one of its topics); None where nothing is."""
    query = select(func.min(PULSE.c.hour)).where(PULSE.c.store == store)
    first: datetime | None = await tx.session.scalar(query.where(PULSE.c.topic == topic) if topic else query)
    return first
