"""When events of a topic happened: a bit a minute, so that the order of arrival does not matter."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

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


async def list_ends(tx: Transaction, store: str | None = None) -> list[tuple[str, str, datetime, datetime]]:
    """(store, topic, its first hour known, its last) of every store."""
    query = select(PULSE.c.store, PULSE.c.topic, func.min(PULSE.c.hour), func.max(PULSE.c.hour))
    if store is not None:
        query = query.where(PULSE.c.store == store)
    rows = await tx.session.execute(query.group_by(PULSE.c.store, PULSE.c.topic))
    return [(row[0], row[1], row[2], row[3]) for row in rows]
