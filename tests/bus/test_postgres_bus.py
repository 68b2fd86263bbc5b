"""What is particular to the bus on PostgreSQL."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from libs.events import postgres
from libs.events.bus import Bus, BusRefused, Message, PositionLost, Record
from libs.events.bus_schema import create_bus_schema
from libs.events.lane import Post
from libs.events.postgres import PostgresBus, chunks
from tests.bus.kinds import Buses, a_topic, fetch_until, numbered, numbers_by_key
from tests.bus.member import connect


async def test_readers_never_see_a_gap_while_many_append(postgres_buses: Buses) -> None:
    """Commit order is offset order, however the appends of several processes interleave."""
    topic = a_topic(2)
    writers = [await postgres_buses.open() for _ in range(4)]
    await writers[0].ensure_topics([topic])
    reader = postgres_buses.join(await postgres_buses.open(), "g", [topic])
    read = asyncio.create_task(fetch_until(reader, 4 * 60 * 10))

    async def write(n: int) -> None:
        for batch in range(60):
            await writers[n].publish(numbered(topic, 10, start=n * 10_000 + batch * 10))

    await asyncio.gather(*(write(n) for n in range(4)))
    records = await read  # a hole would have raised PositionLost
    for partition in (0, 1):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_appends_to_the_same_partitions_never_deadlock(postgres_buses: Buses) -> None:
    topic = a_topic(4)
    writers = [await postgres_buses.open() for _ in range(4)]
    await writers[0].ensure_topics([topic])
    messages = numbered(topic, 40, keys=40)

    async def write(bus: Bus) -> None:
        for _ in range(100):
            await bus.publish(messages)

    await asyncio.gather(*map(write, writers))
    bounds = await writers[0].bounds(topic.name)
    assert sum(end for _, end in bounds.values()) == 4 * 100 * 40


async def test_all_partitions_are_read_while_one_has_a_backlog(postgres_buses: Buses) -> None:
    bus, topic = await postgres_buses.open(), a_topic(4)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 8_000, keys=1))
    await bus.publish(numbered(topic, 400, keys=40))
    subscription = postgres_buses.join(bus, "g", [topic])
    seen: set[int] = set()
    for _ in range(40):
        seen |= {r.partition for r in await subscription.fetch(max_records=100, timeout=5)}
    assert len(seen) == 4


async def test_old_records_go_and_the_start_of_the_log_moves(
    postgres_buses: Buses, bus_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "EXPIRED_AT_ONCE", 7)
    bus, topic, kept = await postgres_buses.open(), a_topic(1, retention_days=30), a_topic(1)
    await bus.ensure_topics([topic, kept])
    for chosen in (topic, kept):
        await bus.publish(numbered(chosen, 20))
    database = await connect(bus_database)
    await database.execute("UPDATE bus.record SET appended_at = appended_at - interval '31 days'")
    await database.close()
    bus = await postgres_buses.open()
    for start in range(20, 25):
        await bus.publish([*numbered(topic, 1, start=start), *numbered(kept, 1, start=start)])
    await bus.close()
    bus = await postgres_buses.open()
    assert await bus.bounds(topic.name) == {0: (20, 25)}
    assert await bus.bounds(kept.name) == {0: (0, 25)}
    with pytest.raises(PositionLost):
        await bus.read(topic.name, 0, 19, 1)
    with pytest.raises(PositionLost):
        await fetch_until(postgres_buses.join(bus, "late", [topic], {(topic.name, 0): 3}), 1)
    assert [r.offset for r in await fetch_until(postgres_buses.join(bus, "new", [topic]), 5)] == list(range(20, 25))


async def test_a_record_that_vanishes_below_a_reader_is_noticed(postgres_buses: Buses, bus_database: str) -> None:
    bus, topic = await postgres_buses.open(), a_topic(1)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 10))
    database = await connect(bus_database)
    await database.execute(
        "DELETE FROM bus.record WHERE record_offset = 5 AND partition_id = (SELECT id FROM bus.partition"
        " WHERE topic = $1)", postgres_buses.prefix + topic.name,
    )  # fmt: skip
    await database.close()
    subscription = postgres_buses.join(bus, "g", [topic])
    with pytest.raises(PositionLost, match="5 is gone, 6 is the next kept"):
        await fetch_until(subscription, 10)


async def test_a_member_whose_session_is_ended_comes_back(postgres_buses: Buses, bus_database: str) -> None:
    bus, topic = await postgres_buses.open(), a_topic(4)
    await bus.ensure_topics([topic])
    await bus.publish(numbered(topic, 100))
    applied: dict[tuple[str, int], int] = {}
    records: list[Record] = []

    async def positions(_assigned: object) -> dict[tuple[str, int], int]:
        return applied

    subscription = postgres_buses.join(bus, "g", [topic], positions)
    database = await connect(bus_database)
    for start in (100, 200, 300):
        for record in await fetch_until(subscription, 100):
            applied[record.topic, record.partition] = record.offset + 1
            records.append(record)
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'bus group %'"
        )
        await bus.publish(numbered(topic, 100, start=start))
    await database.close()
    records += await fetch_until(subscription, 100)
    assert sorted(n for numbers in numbers_by_key(records).values() for n in numbers) == list(range(400))


async def test_without_its_tables_the_bus_says_what_to_do(empty_database: str) -> None:
    bus = PostgresBus(empty_database)
    with pytest.raises(BusRefused, match="opswire migrate"):
        await bus.start()
    await bus.close()


async def test_installing_the_tables_again_and_at_once_is_harmless(empty_database: str) -> None:
    engine = create_async_engine(empty_database)

    async def install() -> None:
        async with engine.begin() as connection:
            await connection.run_sync(create_bus_schema)

    await asyncio.gather(install(), install(), install())
    await engine.dispose()
    bus = PostgresBus(empty_database)
    await bus.start()
    await bus.close()


async def test_chunks_keep_the_order_and_say_which_posts_they_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "APPENDED_AT_ONCE", 4)
    posts = [Post([Message("t", b"k", b"%d%d" % (n, i), ()) for i in range(size)]) for n, size in enumerate((3, 6, 1))]
    cut = [([m.value for m in messages], [posts.index(post) for post in done]) for messages, done in chunks(posts)]
    assert cut == [
        ([b"00", b"01", b"02", b"10"], [0]),
        ([b"11", b"12", b"13", b"14"], []),
        ([b"15", b"20"], [1, 2]),
    ]


async def test_chunks_are_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "APPENDED_BYTES", 100)
    post = Post([Message("t", b"k", b"x" * 60, ()) for _ in range(5)])
    assert [len(messages) for messages, _ in chunks([post])] == [2, 2, 1]
