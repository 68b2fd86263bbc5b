"""Service events from the future are accepted, counted and change nothing (D5)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.transaction import Transaction
from services.alerts.desk.store.quarantined import save_quarantined
from services.alerts.metrics import SERVICE_EVENTS_QUARANTINED

FUTURE = timedelta(minutes=5)


async def without_future(events: Sequence[Envelope[Any]], tx: Transaction) -> list[Envelope[Any]]:
    """The events that have happened; those dated more than 5 minutes after their acceptance are put aside."""
    early = [event for event in events if event.time > event.recorded_time + FUTURE]
    if early:
        await save_quarantined(early, tx)
        SERVICE_EVENTS_QUARANTINED.inc(len(early))
    return [event for event in events if event.time <= event.recorded_time + FUTURE]
