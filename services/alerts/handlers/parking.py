"""A store whose events of one type flood the dead letters is parked; that is an incident (D52)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Table

from libs.events.bus import Bus, BusError, Record
from libs.events.contracts.base import TOPICS, dead
from libs.events.dead_letters import described
from libs.events.position import lock_positions, move_positions
from libs.events.transaction import Transaction, Transactions
from libs.service.stores import load_stores
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.raising import raise_once
from services.alerts.rules import RULE

READER: Final = "alerts.dead"
"""Under this name the position in the dead letters is kept."""
PAGE: Final = 500
PARKED: Final = "parked"
"""The reason that the consumer gives for what it did not even try (libs/events/parking.py)."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A store's events of one type that a consumer does not take any more."""

    store: str
    topic: str
    type: str
    consumer: str

    @property
    def about(self) -> Mapping[str, str]:
        """What the incident is about."""
        return {"topic": self.topic, "type": self.type, "consumer": self.consumer}


class DeadLetters:
    """Reads the dead letters of every service, each once, and looks for what is parked."""

    def __init__(self, bus: Bus, worker: Transactions, positions: Table) -> None:
        self._bus = bus
        self._worker = worker
        self._positions = positions

    async def look(self) -> int:
        """Read what has been added; how many letters that were."""
        return sum([await self._read_topic(dead(topic)) for topic in TOPICS])

    async def _read_topic(self, topic: str) -> int:
        read = 0
        for partition, (first, end) in (await self._bounds(topic)).items():
            while some := await self._read_some(topic, partition, first, end):
                read += some
        return read

    async def _bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Nothing where the topic was never made: nobody consumes what it belongs to."""
        try:
            return await self._bus.bounds(topic)
        except BusError as problem:
            if "no topic" in str(problem) or "Unknown" in str(problem):
                return {}
            raise

    async def _read_some(self, topic: str, partition: int, first: int, end: int) -> int:
        async with self._worker.begin() as tx:
            place = (topic, partition)
            known = await lock_positions(tx.session, self._positions, READER, [place])
            offset = max(first, known[place])
            records = await self._bus.read(topic, partition, offset, PAGE) if offset < end else []
            if records:
                await _raise(records, tx)
                await move_positions(tx.session, self._positions, READER, records[-1:])
        return len(records)


async def _raise(records: Iterable[Record], tx: Transaction) -> None:
    letters = [letter for record in records if (letter := _parked(record)) is not None]
    counts = Counter(parked for parked, _ in letters)
    for parked, since in dict(reversed(letters)).items():
        if await load_stores(tx.session, parked.store):
            await raise_once(_finding(parked, since, counts[parked]), parked.store, tx)


def _finding(parked: Parked, since: datetime, letters: int) -> Finding:
    title = f"{parked.consumer}: {parked.type} 出错过多, 已停收 / parked for too many failures"
    figures = {"title": title, "letters": letters}
    return Finding(RULE["technical"], parked.about, figures, since, apart=PARKED)


def _parked(record: Record) -> tuple[Parked, datetime] | None:
    """What is parked, and since when; None for a letter that died of something else."""
    said = described(record)
    if said.get("reason") != PARKED:
        return None
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    parked = Parked(headers.get("ce_store", ""), said["topic"], headers.get("ce_type", "?"), said["consumer"])
    return parked, datetime.fromisoformat(said["at"])
