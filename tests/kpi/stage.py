"""A kpi service without servers: batches of envelopes go into its handler on a real database, figures are read back."""

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.events.bus import Bus, Record
from libs.events.codec import Envelope, to_message
from libs.events.consumer import Consumer
from libs.events.contracts.base import Event
from libs.events.transaction import Transactions
from libs.service.database import create_engine
from services.kpi.answers import Value
from services.kpi.calendar import calendar_of
from services.kpi.handlers import REACTIONS, fold_events
from services.kpi.kpis import MEASURE
from services.kpi.records import read_record
from services.kpi.store import Wanted, read_figures
from services.kpi.tables import EVENT_TABLES, JOURNAL

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Stage:
    """One store and the clock of its consumer."""

    engine: AsyncEngine
    store: str
    zone: str
    now: datetime = START
    transactions: Transactions = field(init=False)
    consumer: Consumer = field(init=False)
    _ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.transactions = Transactions(
            self.engine, service="kpi", role="kpi_worker", outbox=EVENT_TABLES.outbox, clock=lambda: self.now
        )
        self.consumer = Consumer(
            "kpi",
            bus=cast(Bus, None),  # records are handed to it
            transactions=self.transactions,
            tables=EVENT_TABLES,
            reactions=REACTIONS,
            journal=JOURNAL,
            self_deduplicating=frozenset({"traffic"}),
            decode=read_record,
        )

    def envelope(self, event: Event, time: datetime, event_id: str, **more: Any) -> Envelope[Any]:
        recorded = more.pop("recorded_time", None) or max(time, self.now)
        return Envelope(event_id, "/tests", self.store, event.subject, time, recorded, event, **more)

    async def apply(self, *batches: Sequence[Envelope[Any]]) -> None:
        for batch in batches:
            async with self.transactions.begin() as tx:
                await fold_events(batch, tx)
            self.now += timedelta(seconds=1)

    async def consume(self, *batches: Sequence[Envelope[Any]]) -> None:
        """Like `apply`, but through the consumer: positions, `seen`, journal and all."""
        for batch in batches:
            await self.consumer.apply([self._record(envelope) for envelope in batch])
            self.now += timedelta(seconds=1)

    def _record(self, envelope: Envelope[Any]) -> Record:
        message = to_message(envelope)
        partition = zlib.crc32(message.key) % 4
        offset = self._ends.get((message.topic, partition), 0)
        self._ends[message.topic, partition] = offset + 1
        return Record(message.topic, partition, offset, message.key, message.value, message.headers)

    async def figures(
        self,
        grain: str,
        first: date,
        last: date | None = None,
        by: tuple[str, ...] = (),
        as_of: datetime | None = None,
    ) -> dict[tuple[str, tuple[str, ...], str], int]:
        """(bucket, dimension values, measure) -> value."""
        buckets = calendar_of(self.zone).buckets(grain, first, last or first)
        async with self.transactions.begin(read_only=True) as tx:
            values = await read_figures(tx.session, Wanted(self.store, buckets, tuple(MEASURE), by, as_of))
        return shown({bucket.second: bucket.key for bucket in buckets}, values)

    async def scalar(self, sql: str, **values: Any) -> Any:
        async with self.engine.connect() as connection:
            return await connection.scalar(text(sql), values)

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(sql), values)).all())

    async def run(self, sql: str, **values: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text("SET LOCAL ROLE kpi_worker"))
            await connection.execute(text(sql), values)


def shown(keys: dict[int, str], values: Sequence[Value]) -> dict[tuple[str, tuple[str, ...], str], int]:
    found: dict[tuple[str, tuple[str, ...], str], int] = {}
    for value in values:
        key = (keys[value.start], value.dimensions, value.measure)
        found[key] = found.get(key, 0) + value.value
    return found


@asynccontextmanager
async def stage(database: str, store: str, zone: str = "Asia/Shanghai") -> AsyncIterator[Stage]:
    """A store of its own on this database."""
    engine = create_engine(database, pool_size=4)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO access.stores (store, name, timezone, currency, language)"
                    " VALUES (:store, :store, :zone, 'CNY', 'zh') ON CONFLICT DO NOTHING"
                ),
                {"store": store, "zone": zone},
            )
        yield Stage(engine, store, zone)
    finally:
        await engine.dispose()
