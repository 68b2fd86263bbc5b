"""The two buses under one handle, so that a test is written once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import create_async_engine

from libs.events.bus import Bus, Message, Positions, Record, Subscription, TopicPartition
from libs.events.bus_schema import create_bus_schema
from libs.events.contracts.base import Topic
from libs.events.kafka import KafkaBus
from libs.events.postgres import PostgresBus

_unique = itertools.count()


@dataclass
class Buses:
    """Opens buses of one kind on one server. Two of them share nothing in this process, like two processes."""

    kind: str
    address: str
    prefix: str
    opened: list[Bus] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)

    async def open(
        self, *, prefix: str | None = None, publish_seconds: float = 20.0, session_seconds: float = 10.0
    ) -> Bus:
        chosen = self.prefix if prefix is None else prefix
        bus: Bus
        if self.kind == "kafka":
            bus = KafkaBus(
                self.address, prefix=chosen, publish_seconds=publish_seconds, session_seconds=max(6.0, session_seconds)
            )
        else:
            bus = PostgresBus(
                self.address, prefix=chosen, publish_seconds=publish_seconds, session_seconds=session_seconds
            )
        await bus.start()
        self.opened.append(bus)
        return bus

    def join(
        self, bus: Bus, group: str, topics: Iterable[Topic], positions: "PositionsLike | None" = None
    ) -> Subscription:
        subscription = bus.subscribe(group, [topic.name for topic in topics], as_question(positions or {}))
        self.subscriptions.append(subscription)
        return subscription

    async def close(self) -> None:
        for subscription in self.subscriptions:
            await subscription.close()
        for bus in self.opened:
            await bus.close()

    def partitions(self, topic: Topic) -> int:
        return topic.partitions if self.kind == "kafka" else min(4, topic.partitions)


PositionsLike = Mapping[TopicPartition, int] | Callable[[Sequence[TopicPartition]], Awaitable[Positions]]


def as_question(positions: PositionsLike) -> Callable[[Sequence[TopicPartition]], Awaitable[Positions]]:
    if callable(positions):
        return positions

    async def answer(_assigned: Sequence[TopicPartition]) -> Positions:
        return positions

    return answer


@asynccontextmanager
async def opened(kind: str, address: str, prefix: str) -> AsyncIterator[Buses]:
    buses = Buses(kind, address, prefix)
    try:
        yield buses
    finally:
        await buses.close()


async def install_bus(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(create_bus_schema)
    await engine.dispose()


def a_topic(partitions: int = 3, *, retention_days: int | None = None) -> Topic:
    """A topic of a name of its own."""
    return Topic(f"facts{next(_unique)}", "orders", partitions, "subject", "made up", retention_days=retention_days)


def numbered(topic: Topic, count: int, *, keys: int = 10, start: int = 0, size: int = 0) -> list[Message]:
    """Messages whose values are their number, spread over some keys."""
    padding = b" " * size
    return [
        Message(topic.name, b"demo/k%d" % (n % keys), b"%d" % n + padding, (("n", b"%d" % n),))
        for n in range(start, start + count)
    ]


def numbers_by_key(records: Iterable[Record]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for record in records:
        found.setdefault(record.key, []).append(int(record.value))
    return found


def is_ascending(numbers: Sequence[int]) -> bool:
    return all(a < b for a, b in itertools.pairwise(numbers))


async def everything(bus: Bus, topic: Topic) -> list[Record]:
    """All records of a topic, read without a group."""
    records: list[Record] = []
    for partition, (first, end) in (await bus.bounds(topic.name)).items():
        while first < end:
            batch = await bus.read(topic.name, partition, first, 10_000)
            records += batch
            first = batch[-1].offset + 1
    return records


async def fetch_until(subscription: Subscription, count: int, *, seconds: float = 30.0) -> list[Record]:
    """Fetch until `count` records have come."""
    records: list[Record] = []
    async with asyncio.timeout(seconds):
        while len(records) < count:
            records += await subscription.fetch(max_records=1000, timeout=0.5)
    return records
