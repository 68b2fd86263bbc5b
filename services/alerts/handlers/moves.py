"""What a batch of events does to deadlines, gathered and then written at once."""

from datetime import datetime, timedelta
from typing import Any, Final

from libs.events.codec import Envelope
from libs.events.transaction import Transaction
from services.alerts.handlers.raising import Ended, end_all
from services.alerts.rules import About, Rule
from services.alerts.store import timers
from services.alerts.store.timers import Timer

BACKFILL: Final = timedelta(hours=1)
"""Imported facts older than this start no clock and raise no alert one by one (D6)."""


def is_backfill(event: Envelope[Any], now: datetime) -> bool:
    """Whether it was brought by an import long after it happened."""
    return event.import_id is not None and now - event.time > BACKFILL


class Moves:
    """Deadlines started and stopped, in the order of the events."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._timers: dict[tuple[str, str, str], Timer | None] = {}
        self._ended: list[Ended] = []

    def start(self, event: Envelope[Any], timer: Timer) -> None:
        """Start a deadline, or set a running one anew."""
        if not is_backfill(event, self._tx.now):
            self._timers[timer.store, timer.rule, timer.key] = timer

    def stop(
        self, event: Envelope[Any], rule: Rule, about: About, key: str | None = None, *, keep: bool = False
    ) -> None:
        """What was to be done is done: the deadline ends (unless it goes on), and so does a breach of it."""
        name = key if key is not None else "|".join(about[n] for n in sorted(about))
        if not keep:
            self._timers[event.store, rule.id, name] = None
        self._ended.append(Ended(event.store, rule, about, event.time))

    async def save(self) -> None:
        """Write them, and recover what had fired."""
        await timers.stop_timers([key for key, timer in self._timers.items() if timer is None], self._tx)
        await timers.start_timers([timer for timer in self._timers.values() if timer is not None], self._tx)
        await end_all(self._ended, self._tx)
