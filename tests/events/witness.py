"""A small service for the tests of the event path: it keeps every event that it handled, on real PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from libs.events.bus import Bus, Message, Record
from libs.events.bus_schema import create_bus_schema
from libs.events.codec import Envelope, to_message
from libs.events.consumer import Consumer, Reactions, on
from libs.events.contracts import PaymentFailed, TopicBeat
from libs.events.contracts.base import TOPICS, dead_topic
from libs.events.outbox import waiting_message
from libs.events.postgres import PostgresBus
from libs.events.tables import EventTables, event_tables, journal_table
from libs.events.transaction import Transaction, Transactions

START = datetime(2024, 7, 1, 2, 0, tzinfo=UTC)
METADATA = MetaData(schema="witness")
TABLES: EventTables = event_tables(METADATA)
JOURNAL = journal_table(METADATA)
WITNESSED = Table(
    "witnessed",
    METADATA,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("store", Text, nullable=False),
    Column("order_id", Text, nullable=False),
)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def event(n: int, *, store: str = "demo", reason: str = "declined") -> Envelope[Any]:
    """The n-th failed payment."""
    data = PaymentFailed(
        order_id=f"o-{n}", payment_id=f"p-{n}", method="card", amount_cents=100, currency="CNY", reason=reason
    )
    return Envelope(
        id=f"e-{n}",
        source="/services/orders",
        store=store,
        subject=data.subject,
        time=START,
        recorded_time=START,
        data=data,
    )


def beat(until: datetime, topic: str = "orders") -> Message:
    """A beat of a topic."""
    data = TopicBeat(until=until)
    envelope: Envelope[Any] = Envelope(
        id=f"b-{until.timestamp()}", source="/services/orders", store="*", subject=topic, time=until,
        recorded_time=until, data=data,
    )  # fmt: skip
    return to_message(envelope, topic=topic)


class Poison(Exception):
    """What a bad event does to its handler."""


async def witness(envelope: Envelope[PaymentFailed], tx: Transaction) -> None:
    """Keep the order's id; an event whose reason is "poison" cannot be handled."""
    await tx.session.execute(WITNESSED.insert().values(store=envelope.store, order_id=envelope.data.order_id))
    if envelope.data.reason == "poison":
        raise Poison(envelope.data.order_id)


REACTIONS = Reactions(on(PaymentFailed, witness))


@dataclass
class Witness:
    """The service's database, bus and consumer."""

    engine: AsyncEngine
    bus: Bus
    clock: Clock
    transactions: Transactions
    consumers: list[Consumer] = field(default_factory=list)

    def consumer(self, reactions: Reactions = REACTIONS, **options: Any) -> Consumer:
        return Consumer(
            "witness",
            bus=self.bus,
            transactions=self.transactions,
            tables=TABLES,
            reactions=reactions,
            journal=JOURNAL,
            **options,
        )

    async def publish(self, *events: Envelope[Any]) -> None:
        await self.bus.publish([to_message(e) for e in events])

    async def records(self, topic: str = "orders") -> list[Record]:
        """The whole topic, partition by partition."""
        found: list[Record] = []
        for partition, (first, end) in (await self.bus.bounds(topic)).items():
            found += await self.bus.read(topic, partition, first, end - first) if end > first else []
        return found

    async def catch_up(self, consumer: Consumer) -> None:
        """Apply everything on the topic in one batch."""
        await consumer.apply(await self.records())

    async def relay_once(self) -> None:
        """Publish what the consumer posted, as the relay would."""
        async with self.engine.begin() as session:
            rows = (
                await session.execute(text("SELECT topic, key, value, headers FROM witness.outbox ORDER BY id"))
            ).all()
            await session.execute(text("DELETE FROM witness.outbox"))
        await self.bus.publish([waiting_message(row) for row in rows])

    async def witnessed(self) -> Sequence[str]:
        async with self.engine.connect() as session:
            return list(await session.scalars(text("SELECT order_id FROM witness.witnessed ORDER BY order_id")))


@asynccontextmanager
async def running_witness(url: str) -> AsyncIterator[Witness]:
    """The witness on an empty database, with a PostgreSQL bus."""
    engine = create_async_engine(url)
    async with engine.begin() as session:
        await session.run_sync(create_bus_schema)
        await session.execute(text("CREATE SCHEMA witness"))
        await session.run_sync(METADATA.create_all)
    bus = PostgresBus(url)
    await bus.start()
    await bus.ensure_topics([TOPICS["orders"], dead_topic(TOPICS["orders"], "witness")])
    clock = Clock()
    try:
        yield Witness(
            engine,
            bus,
            clock,
            Transactions(engine, service="witness", role="none", outbox=TABLES.outbox, clock=clock),
        )
    finally:
        await bus.close()
        await engine.dispose()
