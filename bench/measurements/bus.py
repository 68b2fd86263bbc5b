"""Both buses alone: posting page views and fetching them, beside the bare client or table below them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from time import perf_counter, process_time
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.claims import Claim, Outcome, claim_of
from bench.rounds import Sample, interleave
from bench.samples import page_views
from bench.stage import Stage, new_prefix
from libs.events.bus import Bus, Message, Positions, TopicPartition
from libs.events.contracts.base import TOPICS, Topic
from libs.events.open import open_bus

TOPIC = TOPICS["traffic"]
BARE = Topic("bare", TOPIC.owner, TOPIC.partitions, TOPIC.key, "for the client below us")
POSTED, POST = 100_000, 5_000
FETCHED, FETCH = 100_000, 20_000
EACH = 10_000
WAKE_UPS = 100

_names = count()


async def measure(stage: Stage) -> Outcome:
    """Round by round: both buses, aiokafka as most people use it, a table without a bus."""
    views = list(page_views(POSTED))
    async with on_kafka(stage) as kafka, on_postgres(stage) as postgres:
        rounds = await interleave(
            {
                "post kafka": lambda: post(kafka, views),
                "post postgres": lambda: post(postgres, views),
                "send each": lambda: send_each(stage.kafka, kafka.prefix, views[:EACH]),
                "insert": lambda: insert(postgres.address, views),
                "fetch kafka": lambda: fetch(kafka),
                "fetch postgres": lambda: fetch(postgres),
                "getmany": lambda: get_many(stage.kafka, kafka.prefix),
                "select": lambda: select(postgres.address),
                "wake kafka": lambda: wake(kafka, views),
                "wake postgres": lambda: wake(postgres, views),
            },
            stage.rounds,
        )
    return Outcome(tuple(claims(rounds)))


def claims(rounds: dict[str, list[Sample]]) -> list[Claim]:
    """What the rounds say."""
    posting = {"opswire, Kafka": rounds["post kafka"], "aiokafka, send() each": rounds["send each"]}
    appending = {"opswire, PostgreSQL": rounds["post postgres"], "INSERT of the same rows": rounds["insert"]}
    fetching = {"opswire, Kafka": rounds["fetch kafka"], "aiokafka, getmany()": rounds["getmany"]}
    reading = {"opswire, PostgreSQL": rounds["fetch postgres"], "SELECT of the same rows": rounds["select"]}
    waking = {"opswire, PostgreSQL": rounds["wake postgres"], "opswire, Kafka": rounds["wake kafka"]}
    return [
        claim_of("posting to Kafka, acknowledged", "events/s", "per_second", posting),
        claim_of("posting to Kafka, processor time", "us/event", "cpu_us", posting),
        claim_of("posting to PostgreSQL, acknowledged", "events/s", "per_second", appending),
        claim_of("fetching from Kafka", "events/s", "per_second", fetching),
        claim_of("fetching from Kafka, processor time", "us/event", "cpu_us", fetching),
        claim_of("fetching from PostgreSQL", "events/s", "per_second", reading),
        claim_of("posted to fetched by a waiting member, median", "ms", "p50_ms", waking),
    ]


@dataclass(frozen=True)
class Filled:
    """An open bus with events on it."""

    bus: Bus
    address: str
    prefix: str


@asynccontextmanager
async def on_kafka(stage: Stage) -> AsyncIterator[Filled]:
    prefix = new_prefix()
    async with _filled(open_bus("", kafka=stage.kafka, prefix=prefix), stage.kafka, prefix) as filled:
        await filled.bus.ensure_topics([BARE])
        yield filled


@asynccontextmanager
async def on_postgres(stage: Stage) -> AsyncIterator[Filled]:
    url = await stage.database()
    async with _filled(open_bus(url), url, "") as filled:
        session = await _connect(url)
        await session.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, key bytea, value bytea)")
        await insert(url, list(page_views(FETCHED)))
        await session.close()
        yield filled


@asynccontextmanager
async def _filled(bus: Bus, address: str, prefix: str) -> AsyncIterator[Filled]:
    await bus.start()
    try:
        await bus.ensure_topics([TOPIC])
        filled = Filled(bus, address, prefix)
        await post(filled, list(page_views(FETCHED)))
        yield filled
    finally:
        await bus.close()


class Watch:
    """Time by the clock and of the processor since it was made."""

    def __init__(self) -> None:
        self._began, self._worked = perf_counter(), process_time()

    def sample(self, events: int) -> Sample:
        seconds, worked = perf_counter() - self._began, process_time() - self._worked
        return {"per_second": events / seconds, "cpu_us": worked / events * 1e6}


# ours


async def post(filled: Filled, views: Sequence[Message]) -> Sample:
    """Posts of some thousands, one after another."""
    watch = Watch()
    for start in range(0, len(views), POST):
        await filled.bus.publish(views[start : start + POST])
    return watch.sample(len(views))


async def fetch(filled: Filled) -> Sample:
    """A new group from the start of the topic; the clock runs from its first record on."""
    subscription = filled.bus.subscribe(f"bench{next(_names)}", [TOPIC.name], _from_the_start)
    while not await subscription.fetch(max_records=1, timeout=1):
        pass
    watch, fetched = Watch(), 0
    while fetched < FETCHED - 1:
        fetched += len(await subscription.fetch(max_records=FETCH, timeout=1))
    sample = watch.sample(fetched)
    await subscription.close()
    return sample


async def wake(filled: Filled, views: Sequence[Message]) -> Sample:
    """How long after posting a member that waits has the event."""
    subscription = filled.bus.subscribe(f"bench{next(_names)}", [TOPIC.name], _from_the_end(filled.bus))
    while not subscription.assigned:
        await subscription.fetch(max_records=1, timeout=1)
    await subscription.fetch(max_records=1, timeout=0.1)
    waits = []
    for view in views[:WAKE_UPS]:
        waiting = asyncio.create_task(subscription.fetch(max_records=10, timeout=10))
        await asyncio.sleep(0.01)
        began = perf_counter()
        posting = asyncio.create_task(filled.bus.publish([view]))
        await waiting
        waits.append(perf_counter() - began)
        await posting
    await subscription.close()
    return {"p50_ms": sorted(waits)[len(waits) // 2] * 1000}


async def _from_the_start(_assigned: Sequence[TopicPartition]) -> Positions:
    return {}


def _from_the_end(bus: Bus) -> Callable[[Sequence[TopicPartition]], Awaitable[Positions]]:
    async def ends(assigned: Sequence[TopicPartition]) -> Positions:
        bounds = await bus.bounds(TOPIC.name)
        return {partition: bounds[partition[1]][1] for partition in assigned}

    return ends


# beside us


async def send_each(kafka: str, prefix: str, views: Sequence[Message]) -> Sample:
    """aiokafka with the same guarantees, a call an event."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=5
    )
    await producer.start()
    await producer.send_and_wait(prefix + BARE.name, b"warm")
    watch = Watch()
    sent = [await producer.send(prefix + BARE.name, v.value, key=v.key, headers=list(v.headers)) for v in views]
    await asyncio.gather(*sent)
    sample = watch.sample(len(views))
    await producer.stop()
    return sample


async def get_many(kafka: str, prefix: str) -> Sample:
    """aiokafka's own records, with nothing done to them."""
    consumer = AIOKafkaConsumer(
        prefix + TOPIC.name, bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    while not await consumer.getmany(timeout_ms=1000, max_records=1):
        pass
    watch, fetched = Watch(), 0
    while fetched < FETCHED - 1:
        batches = await consumer.getmany(timeout_ms=1000, max_records=FETCH)
        fetched += sum(map(len, batches.values()))
    sample = watch.sample(fetched)
    await consumer.stop()
    return sample


async def insert(url: str, views: Sequence[Message]) -> Sample:
    """A table with a serial number: neither dense nor in the order of commits, and nobody is told."""
    session = await _connect(url)
    watch = Watch()
    for start in range(0, len(views), POST):
        some = views[start : start + POST]
        await session.execute(
            "INSERT INTO bare (key, value) SELECT * FROM unnest($1::bytea[], $2::bytea[])",
            [view.key for view in some], [view.value for view in some],
        )  # fmt: skip
    sample = watch.sample(len(views))
    await session.close()
    return sample


async def select(url: str) -> Sample:
    session = await _connect(url)
    watch, last, fetched = Watch(), 0, 0
    while fetched < FETCHED:
        rows = await session.fetch("SELECT id, key, value FROM bare WHERE id > $1 ORDER BY id LIMIT $2", last, POST)
        fetched, last = fetched + len(rows), rows[-1]["id"]
    sample = watch.sample(fetched)
    await session.close()
    return sample


async def _connect(url: str) -> Any:
    return await asyncpg.connect(url.replace("+asyncpg", ""))
