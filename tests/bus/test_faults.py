"""The server dies, freezes or comes back while all are at work: nothing acknowledged is lost, order is kept (P2)."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from cli.local.postgres import LocalPostgres
from libs.events.bus import Bus, BusUnavailable, Positions, Record, Subscription, TopicPartition
from libs.events.contracts.base import Topic
from tests.bus.conftest import BOTH
from tests.bus.kinds import Buses, a_topic, everything, fetch_until, install_bus, numbered, numbers_by_key, opened
from tests.support.broker import OwnBroker


@dataclass
class OwnServer:
    """A server that the test may kill; it comes back under the same address with the same data."""

    buses: Buses
    machine: LocalPostgres | OwnBroker

    def kill(self) -> None:
        self.machine.kill()

    async def start(self) -> None:
        if isinstance(self.machine, OwnBroker):
            await asyncio.to_thread(self.machine.start)
        else:
            self.machine.start()  # ends with the thread that started it, so no thread of its own


@pytest.fixture(params=BOTH)
async def own_server(request: pytest.FixtureRequest, topic_prefix: str) -> AsyncIterator[OwnServer]:
    if request.param == "kafka":
        broker: OwnBroker = request.getfixturevalue("own_kafka")
        async with opened("kafka", broker.address, topic_prefix) as buses:
            yield OwnServer(buses, broker)
    else:
        server: LocalPostgres = request.getfixturevalue("own_postgres")
        await install_bus(server.url())
        async with opened("postgres", server.url(), topic_prefix) as buses:
            yield OwnServer(buses, server)


@dataclass
class Publisher:
    """Publishes numbers in batches without end; repeats a batch until it is acknowledged."""

    bus: Bus
    topic: Topic
    acknowledged: int = 0
    repeats: int = 0

    async def run(self) -> None:
        while True:
            batch = numbered(self.topic, 20, start=self.acknowledged)
            try:
                await self.bus.publish(batch)
            except BusUnavailable:
                self.repeats += 1
                await asyncio.sleep(0.1)
                continue
            self.acknowledged += len(batch)
            await asyncio.sleep(0.002)

    async def reach(self, number: int, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while self.acknowledged < number:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@dataclass
class Reader:
    """Applies records in memory, with a position as a consumer keeps it in its database."""

    bus: Bus
    topic: Topic
    applied: dict[TopicPartition, int] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    async def run(self) -> None:
        subscription = self.bus.subscribe("g", [self.topic.name], self._positions)
        try:
            while True:
                await self._step(subscription)
        finally:
            await subscription.close()

    async def _step(self, subscription: Subscription) -> None:
        try:
            records = await subscription.fetch(max_records=500, timeout=0.2)
        except BusUnavailable:
            await asyncio.sleep(0.1)
            return
        for record in records:
            partition = record.topic, record.partition
            if record.offset >= self.applied.get(partition, 0):
                self.applied[partition] = record.offset + 1
                self.records.append(record)

    async def _positions(self, _assigned: Sequence[TopicPartition]) -> Positions:
        return self.applied

    async def reach(self, number: int, seconds: float = 60.0) -> None:
        """Wait until the first `number` numbers have come."""
        async with asyncio.timeout(seconds):
            while not set(range(number)) <= {int(record.value) for record in self.records}:  # noqa: ASYNC110
                await asyncio.sleep(0.2)


def first_occurrences(numbers: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


async def test_a_killed_server_loses_nothing_acknowledged_and_keeps_the_order(own_server: OwnServer) -> None:
    buses, topic = own_server.buses, a_topic(3)
    bus = await buses.open()
    await bus.ensure_topics([topic])
    publisher, reader = Publisher(bus, topic), Reader(await buses.open(), topic)
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(publisher.run()), group.create_task(reader.run())]
        for _ in range(2):
            await publisher.reach(publisher.acknowledged + 500)
            own_server.kill()
            await asyncio.sleep(0.5)
            await own_server.start()
        await publisher.reach(publisher.acknowledged + 500)
        acknowledged = publisher.acknowledged
        await reader.reach(acknowledged)
        for task in work:
            task.cancel()
    kept = await everything(await buses.open(), topic)
    for records in (kept, reader.records):
        found = numbers_by_key(records)
        assert set(range(acknowledged)) <= {n for numbers in found.values() for n in numbers}
        for numbers in found.values():
            assert first_occurrences(numbers) == sorted(set(numbers)), "a repeat may come, a leap may not"


async def test_publishers_are_told_while_the_server_is_away_and_served_when_it_is_back(own_server: OwnServer) -> None:
    buses, topic = own_server.buses, a_topic(3)
    bus = await buses.open(publish_seconds=2.0)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 10))
    own_server.kill()
    began = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.publish(numbered(topic, 10, start=10))
    with pytest.raises(BusUnavailable):
        await bus.bounds(topic.name)
    with pytest.raises(BusUnavailable):
        await buses.open()
    assert time.monotonic() - began < 15
    await own_server.start()
    async with asyncio.timeout(30):
        while True:
            try:
                await bus.publish(numbered(topic, 10, start=10))
                break
            except BusUnavailable:
                await asyncio.sleep(0.1)
    assert {int(record.value) for record in await everything(bus, topic)} == set(range(20))


async def test_closing_while_the_server_is_away_is_quick(own_server: OwnServer) -> None:
    buses, topic = own_server.buses, a_topic(3)
    bus = await buses.open()
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 10))
    subscription = buses.join(bus, "g", [topic])
    await fetch_until(subscription, 10)
    own_server.kill()
    post = asyncio.create_task(bus.publish(numbered(topic, 10, start=10)))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await subscription.close()
    await bus.close()
    assert time.monotonic() - began < 10
    with pytest.raises(BusUnavailable):
        await post


@pytest.mark.kafka
async def test_a_frozen_broker_is_waited_for_and_nothing_is_lost(own_kafka: OwnBroker, topic_prefix: str) -> None:
    async with opened("kafka", own_kafka.address, topic_prefix) as buses:
        bus, topic = await buses.open(publish_seconds=1.5), a_topic(3)
        await bus.ensure_topics([topic])
        await bus.publish(numbered(topic, 10))
        own_kafka.pause()
        with pytest.raises(BusUnavailable, match=r"within 1\.5 s"):
            await bus.publish(numbered(topic, 10, start=10))
        own_kafka.resume()
        await bus.publish(numbered(topic, 10, start=20))
        found = numbers_by_key(await everything(bus, topic))
        assert {n for numbers in found.values() for n in numbers} >= {*range(10), *range(20, 30)}
        assert all(first_occurrences(numbers) == sorted(set(numbers)) for numbers in found.values())
