"""What rivals asked for what the store sells too (ALR-18)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.codec import Envelope
from libs.events.contracts import CompetitorSeen
from libs.events.transaction import Transaction
from services.alerts.tables import COMPETITOR


@dataclass(frozen=True, slots=True)
class Sighting:
    """A rival's price, seen at a time."""

    sku: str
    rival: str
    seen_at: datetime
    price_cents: int
    currency: str
    offer: str | None
    link: str | None


async def save_sighting(event: Envelope[CompetitorSeen], tx: Transaction) -> None:
    """Keep what was seen; of two for one rival, SKU and time the greatest (recordedtime, id) wins (D10)."""
    seen = event.data
    values = {
        "price_cents": seen.price_cents,
        "currency": seen.currency,
        "offer": seen.offer,
        "link": seen.link,
        "recorded_at": event.recorded_time,
        "event_id": event.id,
    }
    key = {"store": event.store, "sku": seen.sku, "rival": seen.rival, "seen_at": event.time}
    statement = insert(COMPETITOR).values(**key, **values)
    new = statement.excluded
    newer = tuple_(COMPETITOR.c.recorded_at, COMPETITOR.c.event_id) < tuple_(new.recorded_at, new.event_id)
    await tx.session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values, where=newer))


async def list_sightings(
    store: str, skus: Sequence[str], since: datetime, until: datetime, tx: Transaction
) -> list[Sighting]:
    """What was seen of these SKUs in [since, until), by SKU, rival and time."""
    c = COMPETITOR.c
    query = select(*(c[name] for name in Sighting.__dataclass_fields__)).where(
        c.store == store, c.sku.in_(sorted(skus)), c.seen_at >= since, c.seen_at < until
    )
    return [Sighting(*row) for row in await tx.session.execute(query.order_by(c.sku, c.rival, c.seen_at))]
