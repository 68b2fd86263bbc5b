"""SQL of the quarantine."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.ids import identity_hash
from libs.events.transaction import Transaction
from services.alerts.tables import QUARANTINED


async def save_quarantined(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Put events aside; again: no effect."""
    rows = [
        {
            "store": event.store,
            "key": identity_hash(event.store, event.source, event.id),
            "topic": event.topic,
            "type": event.type,
            "time": event.time,
            "quarantined_at": tx.now,
        }
        for event in events
    ]
    await tx.session.execute(insert(QUARANTINED).on_conflict_do_nothing(), rows)


async def count_quarantined(store: str, tx: Transaction) -> int:
    """How many service events of a store lie in quarantine."""
    count = await tx.session.scalar(select(func.count()).where(QUARANTINED.c.store == store))
    return int(count or 0)
