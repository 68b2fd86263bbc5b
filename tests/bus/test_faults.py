"""The server dies, freezes or comes back while all are at work: nothing acknowledged is lost, order is kept (P2)."""

import asyncio
import gc
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cli.local.postgres import LocalPostgres
from libs.events.bus import Bus, BusUnavailable, Message, Positions, Record, Subscription, TopicPartition
from libs.events.contracts.base import Topic
from tests.bus.conftest import BOTH
from tests.bus.kinds import Buses, a_topic, everything, fetch_until, install_bus, numbered, numbers_by_key, opened
from tests.support.broker import OwnBroker
from tests.support.fixtures import require_kafka
from tests.support.guardian import TEST_POSTGRES


@dataclass
class Machine:
    """A server of this module alone, which its tests kill; it comes back under the same address with the same data."""

    kind: str
    server: LocalPostgres | OwnBroker
    running: bool = False

    def kill(self) -> None:
        self.server.kill()
        self.running = False

    async def start(self) -> None:
        if isinstance(self.server, OwnBroker):
            await asyncio.to_thread(self.server.start)
        else:
            self.server.start()  # ends with the thread that started it, so no thread of its own
        self.running = True

    @property
    def address(self) -> str:
        return self.server.address if isinstance(self.server, OwnBroker) else self.server.url()


@pytest.fixture(scope="module", params=BOTH)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="opswire-bus-"))
    if request.param == "kafka":
        require_kafka()
        broker = OwnBroker(folder)
        yield Machine("kafka", broker)
        broker.stop()
    else:
        server = LocalPostgres(folder, settings=TEST_POSTGRES, sync_files=False)
        yield Machine("postgres", server)
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def fragile(machine: Machine, topic_prefix: str) -> AsyncIterator[Buses]:
    """Either bus, on a server that may be killed."""
    if not machine.running:
        await machine.start()
    if machine.kind == "postgres":
        await install_bus(machine.address)
    async with opened(machine.kind, machine.address, topic_prefix) as buses:
        yield buses


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


async def acknowledged(bus: Bus, messages: Sequence[Message], seconds: float = 30.0) -> None:
    """Publish, again and again if need be."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await bus.publish(messages)
            except BusUnavailable:
                await asyncio.sleep(0.1)


def first_occurrences(numbers: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


async def test_a_killed_server_loses_nothing_acknowledged_and_keeps_the_order(machine: Machine, fragile: Buses) -> None:
    buses, topic = fragile, a_topic(3)
    bus = await buses.open()
    await bus.ensure_topics([topic])
    publisher, reader = Publisher(bus, topic), Reader(await buses.open(), topic)
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(publisher.run()), group.create_task(reader.run())]
        for _ in range(2):
            await publisher.reach(publisher.acknowledged + 500)
            machine.kill()
            await asyncio.sleep(0.5)
            await machine.start()
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


async def test_publishers_are_told_while_the_server_is_away_and_served_when_it_is_back(
    machine: Machine, fragile: Buses
) -> None:
    buses, topic = fragile, a_topic(3)
    bus = await buses.open(publish_seconds=2.0)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 10))
    machine.kill()
    began = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.publish(numbered(topic, 10, start=10))
    with pytest.raises(BusUnavailable):
        await bus.bounds(topic.name)
    with pytest.raises(BusUnavailable):
        await buses.open()
    assert time.monotonic() - began < 15
    await machine.start()
    await acknowledged(bus, numbered(topic, 10, start=10))
    assert {int(record.value) for record in await everything(bus, topic)} == set(range(20))


async def test_closing_while_the_server_is_away_is_quick(
    machine: Machine, fragile: Buses, caplog: pytest.LogCaptureFixture
) -> None:
    buses, topic = fragile, a_topic(3)
    bus = await buses.open()
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 10))
    subscription = buses.join(bus, "g", [topic])
    await fetch_until(subscription, 10)
    machine.kill()
    post = asyncio.create_task(bus.publish(numbered(topic, 10, start=10)))
    await asyncio.sleep(0.3)
    gc.collect()  # what earlier tests of this process left
    caplog.clear()
    began = time.monotonic()
    await subscription.close()
    await bus.close()
    assert time.monotonic() - began < 10
    with pytest.raises(BusUnavailable):
        await post
    gc.collect()
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"], "nothing left behind"


@pytest.mark.parametrize("machine", BOTH[1:], indirect=True)
async def test_a_frozen_broker_is_waited_for_and_nothing_is_lost(machine: Machine, fragile: Buses) -> None:
    assert isinstance(machine.server, OwnBroker)
    bus, topic = await fragile.open(publish_seconds=1.5), a_topic(3)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 10))
    machine.server.pause()
    with pytest.raises(BusUnavailable, match=r"within 1\.5 s"):
        await bus.publish(numbered(topic, 10, start=10))
    machine.server.resume()
    await acknowledged(bus, numbered(topic, 10, start=20))
    found = numbers_by_key(await everything(bus, topic))
    assert {n for numbers in found.values() for n in numbers} >= {*range(10), *range(20, 30)}
    assert all(first_occurrences(numbers) == sorted(set(numbers)) for numbers in found.values())
