"""What both buses promise to one process."""

import asyncio
import time

import pytest

from libs.events.bus import (
    MAX_MESSAGE_BYTES,
    BusRefused,
    BusUnavailable,
    Message,
    PositionLost,
    Record,
    WrongPartitions,
)
from libs.events.contracts.base import Topic
from tests.bus.kinds import Buses, a_topic, everything, fetch_until, is_ascending, numbered, numbers_by_key


async def test_messages_of_one_key_come_back_in_the_order_of_publishing(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    for start in range(0, 300, 100):
        await bus.publish(numbered(topic, 100, start=start))
    records = await fetch_until(buses.join(bus, "g", [topic]), 300)
    found = numbers_by_key(records)
    assert len(found) == 10
    assert all(is_ascending(numbers) for numbers in found.values())
    assert sorted(n for numbers in found.values() for n in numbers) == list(range(300))


async def test_what_is_acknowledged_can_be_read_by_everybody_at_once(buses: Buses) -> None:
    writer, reader, topic = await buses.open(), await buses.open(), a_topic()
    await writer.ensure_topics([topic])
    for count in range(1, 6):
        await writer.publish(numbered(topic, 10, start=count * 10))
        bounds = await reader.bounds(topic.name)
        assert sum(end for _, end in bounds.values()) == count * 10
        assert len(await everything(reader, topic)) == count * 10


async def test_offsets_begin_at_zero_and_have_no_holes(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 500))
    bounds = await bus.bounds(topic.name)
    assert len(bounds) == buses.partitions(topic)
    for partition, (first, end) in bounds.items():
        assert first == 0
        assert [r.offset for r in await bus.read(topic.name, partition, 0, 1000)] == list(range(end))


async def test_keys_values_and_headers_come_back_byte_for_byte(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    messages = [
        Message(topic.name, "demo/订单-1001".encode(), "夏季连衣裙".encode(), (("ce_subject", "订单".encode()),)),
        Message(topic.name, b"\x00\xff", bytes(range(256)), (("a", b""), ("a", b"\x00\xfe"), ("b", b"1"))),
        Message(topic.name, b"empty", b"", ()),
        Message(topic.name, b"large", b"x" * 900_000, (("content-type", b"application/json"),)),
    ]
    await bus.publish(messages)
    records = await fetch_until(buses.join(bus, "g", [topic]), len(messages))
    assert [(r.key, r.value, r.headers) for r in records] == [(m.key, m.value, m.headers) for m in messages]
    assert await bus.read(topic.name, 0, 0, 10) == records
    assert all(r.topic == topic.name and type(r.headers) is tuple for r in records)


async def test_every_process_puts_a_key_into_the_same_partition(buses: Buses) -> None:
    one, other, topic = await buses.open(), await buses.open(), a_topic(12)
    await one.ensure_topics([topic])
    await one.publish(numbered(topic, 100, keys=50))
    await other.publish(numbered(topic, 100, keys=50, start=100))
    places: dict[bytes, set[int]] = {}
    for record in await everything(one, topic):
        places.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len({n for partitions in places.values() for n in partitions}) == buses.partitions(topic)


async def test_a_large_post_is_fetched_in_bounded_batches(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic(4)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 12_345, keys=100))
    subscription = buses.join(bus, "g", [topic])
    records: list[Record] = []
    while len(records) < 12_345:
        batch = await subscription.fetch(max_records=700, timeout=5)
        assert 0 < len(batch) <= 700 or not records
        records += batch
    assert all(is_ascending(numbers) for numbers in numbers_by_key(records).values())
    assert await subscription.fetch(max_records=700, timeout=0.2) == []


async def test_many_publishers_at_once_are_all_acknowledged(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    await asyncio.gather(*(bus.publish(numbered(topic, 7, start=n * 7, keys=1000)) for n in range(300)))
    records = await everything(bus, topic)
    assert sorted(int(r.value) for r in records) == list(range(2100))


async def test_posting_nothing_is_acknowledged(buses: Buses) -> None:
    bus = await buses.open()
    await bus.publish([])


async def test_a_publisher_who_gives_up_disturbs_nobody(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    tasks = [asyncio.create_task(bus.publish(numbered(topic, 5, start=n * 5, keys=1000))) for n in range(60)]
    await asyncio.sleep(0)
    for impatient in tasks[::3]:
        impatient.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    numbers = [int(r.value) for r in await everything(bus, topic)]
    patient = {n * 5 + i for n in range(60) if n % 3 for i in range(5)}
    assert patient <= set(numbers)
    assert len(numbers) == len(set(numbers))


async def test_what_fits_no_bus_is_refused_before_anything_is_sent(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    good = numbered(topic, 1)[0]
    for bad in (
        Message(topic.name, b"", b"no key", ()),
        Message(topic.name, b"k", b"x" * (MAX_MESSAGE_BYTES + 1), ()),
        Message("nobody-made-this", b"k", b"v", ()),
    ):
        with pytest.raises(BusRefused):
            await bus.publish([good, bad])
    assert await everything(bus, topic) == []
    await bus.publish([good])
    assert len(await everything(bus, topic)) == 1


async def test_topics_are_made_once_however_many_ask(buses: Buses) -> None:
    one, other, topics = await buses.open(), await buses.open(), [a_topic(), a_topic(1), a_topic(12)]
    await asyncio.gather(one.ensure_topics(topics), other.ensure_topics(topics))
    await one.ensure_topics(topics)
    for topic in topics:
        assert len(await other.bounds(topic.name)) == buses.partitions(topic)


async def test_another_number_of_partitions_is_refused(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic(2)
    await bus.ensure_topics([topic])
    changed = Topic(topic.name, topic.owner, 3, topic.key, topic.what)
    with pytest.raises(WrongPartitions, match=r"2 partitions .* not 3"):
        await (await buses.open()).ensure_topics([changed])


async def test_a_prefix_keeps_installations_apart(buses: Buses) -> None:
    one, other, topic = await buses.open(), await buses.open(prefix=f"{buses.prefix}x."), a_topic()
    await one.ensure_topics([topic])
    await other.ensure_topics([topic])
    await one.publish(numbered(topic, 10))
    await other.publish(numbered(topic, 3, start=100))
    mine, theirs = buses.join(one, "g", [topic]), buses.join(other, "g", [topic])
    assert {int(r.value) for r in await fetch_until(mine, 10)} == set(range(10))
    assert {int(r.value) for r in await fetch_until(theirs, 3)} == {100, 101, 102}
    assert len(mine.assigned) == len(theirs.assigned) == buses.partitions(topic)


async def test_a_group_begins_where_the_database_says(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic(2)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 200))
    ends = {partition: end for partition, (_, end) in (await bus.bounds(topic.name)).items()}
    half = {(topic.name, 0): ends[0] // 2}
    records = await fetch_until(buses.join(bus, "g", [topic], half), 200 - ends[0] // 2)
    assert min(r.offset for r in records if r.partition == 0) == ends[0] // 2
    assert min(r.offset for r in records if r.partition == 1) == 0, "unknown to the database: from the start"


async def test_groups_do_not_disturb_one_another(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 50))
    for group in ("inventory", "kpi"):
        assert len(await fetch_until(buses.join(bus, group, [topic]), 50)) == 50


async def test_a_member_reads_several_topics(buses: Buses) -> None:
    bus, topics = await buses.open(), [a_topic(1), a_topic(3)]
    await bus.ensure_topics(topics)
    for topic in topics:
        await bus.publish(numbered(topic, 20))
    subscription = buses.join(bus, "g", topics)
    records = await fetch_until(subscription, 40)
    assert {r.topic for r in records} == {topic.name for topic in topics}
    assert subscription.assigned == {(t.name, n) for t in topics for n in range(buses.partitions(t))}


async def test_after_a_rewind_the_database_is_asked_again(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 100))
    applied = {(topic.name, 0): 0}
    subscription = buses.join(bus, "g", [topic], applied)
    assert [r.offset for r in await fetch_until(subscription, 100)] == list(range(100))
    applied[topic.name, 0] = 40
    await subscription.rewind()
    assert [r.offset for r in await fetch_until(subscription, 60)] == list(range(40, 100))
    assert await subscription.fetch(max_records=10, timeout=0.2) == []


@pytest.mark.parametrize("beyond", [-1, 1], ids=["before the start", "behind the end"])
async def test_a_position_that_the_log_does_not_hold_is_an_alarm(buses: Buses, beyond: int) -> None:
    bus, topic = await buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 5))
    lost = 5 + beyond if beyond > 0 else beyond
    with pytest.raises(PositionLost):
        await bus.read(topic.name, 0, lost, 1)
    if beyond > 0:
        with pytest.raises(PositionLost):
            await fetch_until(buses.join(bus, "g", [topic], {(topic.name, 0): lost}), 1)


async def test_reading_at_the_end_gives_nothing(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    assert await bus.read(topic.name, 0, 0, 10) == []
    await bus.publish(numbered(topic, 5))
    assert [r.offset for r in await bus.read(topic.name, 0, 3, 1)] == [3]
    assert await bus.read(topic.name, 0, 5, 10) == []


async def test_an_idle_fetch_returns_in_time_and_a_new_message_wakes_it(buses: Buses) -> None:
    bus, other, topic = await buses.open(), await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    subscription = buses.join(bus, "g", [topic])
    while not subscription.assigned:
        await subscription.fetch(max_records=1, timeout=0.5)
    began = time.monotonic()
    assert await subscription.fetch(max_records=1, timeout=0.3) == []
    assert 0.25 < time.monotonic() - began < 1.5
    waiting = asyncio.create_task(subscription.fetch(max_records=1, timeout=20))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await other.publish(numbered(topic, 1))
    assert len(await waiting) == 1
    assert time.monotonic() - began < 1.5


async def test_joining_before_the_topic_exists_is_told_as_unavailable(buses: Buses) -> None:
    bus, topic = await buses.open(), a_topic()
    subscription = buses.join(bus, "g", [topic])
    with pytest.raises(BusUnavailable, match="no topic"):
        await subscription.fetch(max_records=1, timeout=0.1)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 1))
    assert len(await fetch_until(subscription, 1)) == 1


async def test_closing_leaves_no_task_behind_and_answers_everybody(buses: Buses) -> None:
    before = asyncio.all_tasks()
    bus, topic = await buses.open(), a_topic()
    await bus.ensure_topics([topic])
    subscription = buses.join(bus, "g", [topic])
    await subscription.fetch(max_records=1, timeout=0.1)
    posts = [asyncio.create_task(bus.publish(numbered(topic, 10, start=n * 10))) for n in range(20)]
    await asyncio.sleep(0)
    await subscription.close()
    await bus.close()
    outcomes = await asyncio.gather(*posts, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, BusUnavailable) for outcome in outcomes)
    with pytest.raises(BusUnavailable):
        await bus.publish(numbered(topic, 1))
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def test_closing_what_was_never_used_is_harmless(buses: Buses) -> None:
    bus = await buses.open()
    await bus.subscribe("g", ["nothing"], lambda _: asyncio.sleep(0, {})).close()
    await bus.close()
    await bus.close()
