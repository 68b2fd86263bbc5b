"""What is particular to the bus on Kafka."""

import asyncio
import random
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from libs.events.bus import BusRefused, BusUnavailable, ForeignTopics, PositionLost
from libs.events.kafka import KafkaBus, bus_error
from tests.bus.kinds import Buses, a_topic, everything, fetch_until, numbered


async def open_as(buses: Buses, installation: str | None) -> KafkaBus:
    known = None if installation is None else lambda: installation
    bus = KafkaBus(buses.address, prefix=buses.prefix, installation=known)
    buses.opened.append(bus)
    await bus.start()
    return bus


async def test_topics_of_another_installation_are_refused(kafka_buses: Buses) -> None:
    topic = a_topic(1)
    await (await open_as(kafka_buses, "shop-1")).ensure_topics([topic])
    again = await open_as(kafka_buses, "shop-1")
    await again.ensure_topics([topic])
    with pytest.raises(ForeignTopics, match="belong to installation 'shop-1', this is 'shop-2'"):
        await open_as(kafka_buses, "shop-2")


async def test_of_two_installations_at_once_one_gets_the_topics(kafka_buses: Buses) -> None:
    topic = a_topic(1)
    rivals = [await open_as(kafka_buses, f"shop-{n}") for n in range(2)]
    outcomes = await asyncio.gather(*(bus.ensure_topics([topic]) for bus in rivals), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ForeignTopics", "NoneType"]


async def test_used_topics_without_a_mark_are_refused_and_empty_ones_are_taken(kafka_buses: Buses) -> None:
    foreign, topic = await open_as(kafka_buses, None), a_topic(1)
    await foreign.ensure_topics([topic])
    await (await open_as(kafka_buses, "shop-1")).ensure_topics([topic])

    other = Buses("kafka", kafka_buses.address, f"{kafka_buses.prefix}x.")
    foreign = await open_as(other, None)
    await foreign.ensure_topics([topic])
    await foreign.publish(numbered(topic, 1))
    with pytest.raises(ForeignTopics, match="OPSWIRE_TOPIC_PREFIX"):
        await (await open_as(other, "shop-1")).ensure_topics([topic])
    await other.close()


async def test_topics_are_kept_for_ever_unless_their_contract_says_otherwise(kafka_buses: Buses) -> None:
    topics = [a_topic(1), a_topic(1, retention_days=30)]
    await (await kafka_buses.open()).ensure_topics(topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_buses.address)
    await admin.start()
    kept = []
    for topic in topics:
        resource = ConfigResource(ConfigResourceType.TOPIC, kafka_buses.prefix + topic.name)
        (answer,) = await admin.describe_configs([resource])
        found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        kept.append((found["retention.ms"], found["message.timestamp.type"]))
    await admin.close()
    assert kept == [("-1", "LogAppendTime"), (str(30 * 86_400_000), "LogAppendTime")]


async def test_a_named_member_that_restarts_has_its_partitions_at_once(kafka_buses: Buses) -> None:
    topic = a_topic(4)
    bus = KafkaBus(kafka_buses.address, prefix=kafka_buses.prefix, member="kpi-0")
    other = KafkaBus(kafka_buses.address, prefix=kafka_buses.prefix, member="kpi-1")
    kafka_buses.opened += [bus, other]
    await bus.ensure_topics([topic])
    one, two = kafka_buses.join(bus, "g", [topic]), kafka_buses.join(other, "g", [topic])
    async with asyncio.timeout(20):
        while not len(one.assigned) == len(two.assigned) == 2:
            await asyncio.gather(*(s.fetch(max_records=1, timeout=0.2) for s in (one, two)))
    before = one.assigned
    await one.close()
    began = time.monotonic()
    again = kafka_buses.join(bus, "g", [topic])
    async with asyncio.timeout(20):
        while not again.assigned:
            await asyncio.gather(*(s.fetch(max_records=1, timeout=0.2) for s in (again, two)))
    assert time.monotonic() - began < 5, "no session had to time out"
    assert again.assigned == before
    assert len(two.assigned) == 2


async def test_records_of_a_stale_committed_offset_are_never_handed_out(kafka_buses: Buses) -> None:
    """aiokafka starts at Kafka's own offset before the database has been asked."""
    bus, topic = await kafka_buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 50))
    name = kafka_buses.prefix + topic.name
    stale = AIOKafkaConsumer(
        name, bootstrap_servers=kafka_buses.address, group_id=f"{kafka_buses.prefix}g",
        enable_auto_commit=False, auto_offset_reset="earliest",
    )  # fmt: skip
    await stale.start()
    await stale.commit(dict.fromkeys(stale.assignment(), 10))
    await stale.stop()

    async def slow_database(_assigned: object) -> dict[tuple[str, int], int]:
        await asyncio.sleep(0.5)
        return {(topic.name, 0): 30}

    records = await fetch_until(kafka_buses.join(bus, "g", [topic], slow_database), 20)
    assert [r.offset for r in records] == list(range(30, 50))


async def test_foreign_records_without_key_or_value_are_read(kafka_buses: Buses) -> None:
    bus, topic = await kafka_buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_buses.address, acks="all")
    await producer.start()
    await producer.send_and_wait(kafka_buses.prefix + topic.name, b"no key")
    await producer.send_and_wait(kafka_buses.prefix + topic.name, None, key=b"no value")
    await producer.stop()
    assert [(r.key, r.value) for r in await everything(bus, topic)] == [(b"", b"no key"), (b"no value", b"")]


async def test_a_batch_that_the_broker_refuses_does_not_harm_later_ones(kafka_buses: Buses) -> None:
    """After a refusal the producer's sequence has a gap; it must be replaced, not used on."""
    bus, topic = await kafka_buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 5))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_buses.address)
    await admin.start()
    resource = ConfigResource(
        ConfigResourceType.TOPIC, kafka_buses.prefix + topic.name, configs={"max.message.bytes": "2000"}
    )
    await admin.alter_configs([resource])
    await admin.close()
    noise = random.Random(7).randbytes(20_000)
    with pytest.raises(BusRefused, match="MessageSizeTooLarge"):
        await bus.publish([numbered(topic, 1)[0]._replace(value=noise)])
    await bus.publish(numbered(topic, 5, start=5))
    assert sorted(int(r.value) for r in await everything(bus, topic)) == list(range(10))


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (errors.KafkaConnectionError("gone"), BusUnavailable),
        (errors.RequestTimedOutError(), BusUnavailable),
        (errors.NotEnoughReplicasError(), BusUnavailable),
        (errors.OutOfOrderSequenceNumber(), BusUnavailable),
        (errors.ProducerFenced(), BusUnavailable),
        (TimeoutError(), BusUnavailable),
        (ConnectionRefusedError(), BusUnavailable),
        (errors.MessageSizeTooLargeError(), BusRefused),
        (errors.TopicAuthorizationFailedError(), BusRefused),
        (errors.InvalidTopicError(), BusRefused),
        (errors.OffsetOutOfRangeError({}), PositionLost),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_only_what_repeating_cannot_mend_is_refused(error: Exception, meaning: type[Exception]) -> None:
    assert type(bus_error(error)) is meaning


async def test_a_cluster_that_is_not_there_is_told_as_unavailable() -> None:
    bus = KafkaBus("127.0.0.1:1", publish_seconds=1)
    with pytest.raises(BusUnavailable):
        await bus.start()
    await bus.close()
