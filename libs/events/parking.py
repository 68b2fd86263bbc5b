"""Limits on dead letters: a store that floods parks that store and type; floods of several stores stop the partition.

More than 100 failures in a row, or more than 1 % of at least 1,000 events since the first failure, and whatever else of
that store and type arrives goes to the dead letters unread until somebody releases it (P5, D52).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.failures import Stop

FAILURES_IN_A_ROW = 100
FAILURE_SHARE = 0.01
SHARE_COUNTS_FROM = 1_000
STORES_BEFORE_STOP = 3

Stream = tuple[str, str, str]
"""(topic, store, type); "?" for what could not be read."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a stream's events since its first failure."""

    in_a_row: int = 0
    failed: int = 0
    handled: int = 0
    parked_at: datetime | None = None

    def after(self, ok: bool, now: datetime) -> "Tally":
        """The tally with one more event in it; parked from the event on that goes over a limit."""
        if self.parked_at is not None:
            return self
        if ok:
            return replace(self, in_a_row=0, handled=self.handled + 1)
        grown = replace(self, in_a_row=self.in_a_row + 1, failed=self.failed + 1)
        return replace(grown, parked_at=now) if grown._over() else grown

    def _over(self) -> bool:
        total = self.failed + self.handled
        return self.in_a_row > FAILURES_IN_A_ROW or (total >= SHARE_COUNTS_FROM and self.failed > FAILURE_SHARE * total)


def count(
    tallies: Mapping[Stream, Tally], outcomes: Iterable[tuple[Stream, bool]], now: datetime
) -> dict[Stream, Tally]:
    """The tallies after these outcomes; a stream without any failure so far is not kept."""
    grown = dict(tallies)
    for stream, ok in outcomes:
        if ok and stream not in grown:
            continue
        grown[stream] = grown.get(stream, Tally()).after(ok, now)
    return grown


def refuse_epidemic(topic: str, tallies: Mapping[Stream, Tally]) -> None:
    """Raise Stop when several stores are parked on one topic: then it is not the stores that are wrong."""
    stores = {store for (of, store, _), tally in tallies.items() if of == topic and tally.parked_at}
    if len(stores) >= STORES_BEFORE_STOP:
        raise Stop(f"{topic}: {len(stores)} stores are parked for failing events; look at the dead letters first")


async def load_tallies(session: AsyncConnection, parking: Table, topics: Iterable[str]) -> dict[Stream, Tally]:
    """The tallies of these topics, locked."""
    rows = await session.execute(
        text(
            f"SELECT topic, store, type, in_a_row, failed, handled, parked_at FROM {parking.fullname}"
            " WHERE topic = ANY(CAST(:topics AS text[])) ORDER BY topic, store, type FOR UPDATE"
        ),
        {"topics": sorted(set(topics))},
    )
    return {(r.topic, r.store, r.type): Tally(r.in_a_row, r.failed, r.handled, r.parked_at) for r in rows}


async def save_tallies(session: AsyncConnection, parking: Table, tallies: Mapping[Stream, Tally]) -> None:
    """Write these tallies."""
    if not tallies:
        return
    await session.execute(
        text(
            f"INSERT INTO {parking.fullname} (topic, store, type, in_a_row, failed, handled, parked_at)"
            " VALUES (:topic, :store, :type, :in_a_row, :failed, :handled, :parked_at)"
            " ON CONFLICT (topic, store, type) DO UPDATE SET in_a_row = excluded.in_a_row, failed = excluded.failed,"
            " handled = excluded.handled, parked_at = excluded.parked_at"
        ),
        [
            {
                "topic": topic,
                "store": store,
                "type": type_,
                "in_a_row": tally.in_a_row,
                "failed": tally.failed,
                "handled": tally.handled,
                "parked_at": tally.parked_at,
            }
            for (topic, store, type_), tally in sorted(tallies.items())
        ],
    )
