"""The bus on PostgreSQL: for one machine without Kafka, with the same promises.

Appending holds the row of the partition until commit. So offsets are dense and become visible in their order, and a
reader never has to wonder about a gap. At most four partitions a topic: this bus is for one machine.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from libs.events.bus import (
    BusRefused,
    BusUnavailable,
    Headers,
    Message,
    PositionLost,
    Positions,
    PositionsOf,
    Record,
    Subscription,
    TopicPartition,
    WrongPartitions,
    refuse_unfit,
)
from libs.events.collector import collector_paused
from libs.events.contracts.base import Topic
from libs.events.lane import Lane, Post
from libs.events.partitioning import partition_of
from libs.events.postgres_group import SESSION_SECONDS, Membership
from libs.events.postgres_link import Link

MOST_PARTITIONS = 4
APPENDED_AT_ONCE = 5_000
APPENDED_BYTES = 16_000_000
READ_AT_ONCE = 5_000
"""Rows between two turns of the event loop."""

LONGEST_WAIT = 5.0
"""A reader looks again after so many seconds, should a notification ever be lost."""

ONLY_BY_INDEX = {"enable_seqscan": "off", "enable_bitmapscan": "off"}
"""A plan that was made while the log was short must not be kept when it is long."""

EXPIRY_SECONDS = 600.0
EXPIRED_AT_ONCE = 5_000

_encode = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(Headers).decode

_TOPIC = "SELECT id, number, first_offset, next_offset FROM bus.partition WHERE topic = $1 ORDER BY number"
_CREATE = """
INSERT INTO bus.partition (topic, number, retention) SELECT $1, n, make_interval(days => $3)
FROM generate_series(0, $2 - 1) AS n WHERE NOT EXISTS (SELECT FROM bus.partition WHERE topic = $1)
ON CONFLICT DO NOTHING
"""
_APPEND = "SELECT bus.append($1, $2, $3, $4, $5, $6, $7)"
_READ = """
SELECT r.partition_id, r.record_offset, r.key, r.value, r.headers
FROM unnest($1::int[], $2::bigint[]) AS w (id, start)
CROSS JOIN LATERAL (
    SELECT * FROM bus.record WHERE partition_id = w.id AND record_offset >= w.start ORDER BY record_offset LIMIT $3
) AS r LIMIT $3
"""
_EXPIRE = """
WITH old AS (
    SELECT p.id, max(r.record_offset) + 1 AS cut
    FROM bus.partition p
    CROSS JOIN LATERAL (
        SELECT record_offset, appended_at FROM bus.record
        WHERE partition_id = p.id ORDER BY record_offset LIMIT $1
    ) AS r
    WHERE p.id = ANY ($2::int[]) AND p.retention IS NOT NULL AND r.appended_at < now() - p.retention
    GROUP BY p.id
), gone AS (
    DELETE FROM bus.record r USING old WHERE r.partition_id = old.id AND r.record_offset < old.cut
), moved AS (
    UPDATE bus.partition p SET first_offset = old.cut FROM old WHERE p.id = old.id
)
SELECT count(*) FROM old
"""


class PostgresBus:
    """Topics in the tables that `bus_schema.create_bus_schema` installs."""

    def __init__(
        self, url: str, *, prefix: str = "", publish_seconds: float = 30.0, session_seconds: float = SESSION_SECONDS
    ) -> None:
        """`session_seconds`: a member of a group that is frozen for so long loses its partitions."""
        self._url = url
        self._prefix = prefix
        self._session_seconds = session_seconds
        self._writer = Link(url, "bus writer")
        self._reader = Link(url, "bus reader", **ONLY_BY_INDEX)
        self._lane = Lane(self._append, name="PostgreSQL bus", timeout=publish_seconds)
        self._ids: dict[str, tuple[int, ...]] = {}
        self._next_expiry = 0.0

    async def start(self) -> None:
        async with self._reader.use() as session:
            if await session.fetchval("SELECT to_regclass('bus.record')") is None:
                raise BusRefused("the database has no tables of the bus: run `opswire migrate`")

    async def close(self) -> None:
        await self._lane.close(grace=5.0)
        await self._writer.close()
        await self._reader.close()

    async def ensure_topics(self, topics: Sequence[Topic]) -> None:
        for topic in topics:
            wanted = min(MOST_PARTITIONS, topic.partitions)
            async with self._writer.use() as session:
                await session.execute(_CREATE, self._prefix + topic.name, wanted, topic.retention_days)
            present = len(await self._partitions(topic.name))
            if present != wanted:
                raise WrongPartitions(f"topic {topic.name} has {present} partitions in this database, not {wanted}")

    async def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        refuse_unfit(messages)
        for topic in {message.topic for message in messages}:
            if not await self._partitions(topic):
                raise BusRefused(f"there is no topic {topic}")
        await self._lane.post(messages)

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        async with self._reader.use() as session:
            rows = await session.fetch(_TOPIC, self._prefix + topic)
        return {row["number"]: (row["first_offset"], row["next_offset"]) for row in rows}

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        first, end = (await self.bounds(topic)).get(partition, (0, 0))
        if not first <= offset <= end:
            raise PositionLost(f"{topic}/{partition}: {offset} is outside of what is kept, {first} to {end}")
        number = (await self._partitions(topic))[partition]
        async with self._reader.use() as session:
            rows = await session.fetch(_READ, [number], [offset], limit)
        return [_record(topic, partition, row) for row in rows]

    def subscribe(self, group: str, topics: Sequence[str], positions: PositionsOf) -> Subscription:
        return PostgresSubscription(self, group, topics, positions)

    async def _partitions(self, topic: str) -> tuple[int, ...]:
        """The ids of a topic's partitions, by number; empty when there is no such topic."""
        if topic not in self._ids:
            async with self._reader.use() as session:
                rows = await session.fetch(_TOPIC, self._prefix + topic)
            if not rows:
                return ()
            self._ids[topic] = tuple(row["id"] for row in rows)
        return self._ids[topic]

    async def _append(self, posts: Sequence[Post]) -> None:
        """Append in chunks, in order; a post is answered when its last message is committed."""
        for chunk, complete in chunks(posts):
            async with self._writer.use() as session:
                await session.execute(_APPEND, *columns(chunk, self._ids))
            for post in complete:
                post.succeed()
        await self._expire()

    async def _expire(self) -> None:
        """Delete records past their retention, a bounded number at a time; not worth failing a publisher for."""
        if time.monotonic() < self._next_expiry:
            return
        self._next_expiry = time.monotonic() + EXPIRY_SECONDS
        ids = [number for partitions in self._ids.values() for number in partitions]
        try:
            async with self._writer.use() as session:
                if await session.fetchval(_EXPIRE, EXPIRED_AT_ONCE, ids):
                    self._next_expiry = 0.0
        except (BusUnavailable, BusRefused):
            return


def chunks(posts: Sequence[Post]) -> Iterable[tuple[list[Message], list[Post]]]:
    """The messages of all posts cut to what is appended at once, each with the posts that it completes."""
    messages: list[Message] = []
    complete: list[Post] = []
    size = 0
    for post in posts:
        for message in post.messages:
            if len(messages) == APPENDED_AT_ONCE or size > APPENDED_BYTES:
                yield messages, complete
                messages, complete, size = [], [], 0
            messages.append(message)
            size += len(message.value)
        complete.append(post)
    yield messages, complete


def columns(messages: Sequence[Message], partitions: Mapping[str, Sequence[int]]) -> tuple[list[Any], ...]:
    """The arguments of `bus.append`. Messages of one partition lie together, so that they are stored together."""
    mine: dict[int, list[Message]] = {}
    for message in messages:
        of_topic = partitions[message.topic]
        mine.setdefault(of_topic[partition_of(message.key, len(of_topic))], []).append(message)
    touched = sorted(mine)
    ordered = [message for number in touched for message in mine[number]]
    return (
        touched,
        [len(mine[number]) for number in touched],
        [number for number in touched for _ in mine[number]],
        [place for number in touched for place in range(len(mine[number]))],
        [message.key for message in ordered],
        [message.value for message in ordered],
        [_encode(message.headers) for message in ordered],
    )


def _record(topic: str, partition: int, row: Any) -> Record:
    return Record(topic, partition, row[1], row[2], row[3], _decode_headers(row[4]))


class PostgresSubscription:
    """One member of a group."""

    def __init__(self, bus: PostgresBus, group: str, topics: Sequence[str], positions: PositionsOf) -> None:
        self._bus = bus
        self._group = group
        self._topics = topics
        self._positions = positions
        self._link = Link(bus._url, f"bus reader {group}", **ONLY_BY_INDEX)
        self._news = asyncio.Event()
        self._names: dict[int, TopicPartition] = {}
        self._membership: Membership | None = None
        self._next: dict[int, int] = {}
        """Where the partitions that we have placed go on, in the order in which they are read."""

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        held = self._membership.held if self._membership else frozenset[int]()
        return frozenset(self._names[number] for number in held)

    async def fetch(self, *, max_records: int, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        membership = self._membership or await self._join()
        while True:
            self._news.clear()
            await self._place(membership)
            with collector_paused():
                records = await self._read(max_records)
            if records:
                return records
            if not await self._hear_news(deadline - time.monotonic()):
                break
        if membership.trouble is not None:
            raise BusUnavailable(str(membership.trouble))
        return []

    async def rewind(self) -> None:
        self._next.clear()

    async def close(self) -> None:
        if self._membership is not None:
            await self._membership.leave()
        await self._link.close()

    async def _join(self) -> Membership:
        for topic in self._topics:
            ids = await self._bus._partitions(topic)
            if not ids:
                raise BusUnavailable(f"there is no topic {topic} yet")
            self._names.update({id_: (topic, number) for number, id_ in enumerate(ids)})
        group = f"{self._bus._prefix}{self._group}"
        self._membership = Membership(
            self._bus._url, group, sorted(self._names), self._news.set, self._bus._session_seconds
        )
        self._membership.join()
        return self._membership

    async def _place(self, membership: Membership) -> None:
        """Forget partitions that are no longer ours, and ask the consumer's database where new ones go on."""
        held = membership.held
        for number in self._next.keys() - held:
            del self._next[number]
        fresh = sorted(held - self._next.keys())
        if not fresh:
            return
        known = await self._positions([self._names[number] for number in fresh])
        kept = await self._kept({self._names[number][0] for number in fresh})
        for number in fresh:
            self._next[number] = _start(self._names[number], known, kept)

    async def _kept(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        return {(topic, number): kept for topic in topics for number, kept in (await self._bus.bounds(topic)).items()}

    async def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        while self._next and len(records) < max_records:
            wanted = min(READ_AT_ONCE, max_records - len(records))
            async with self._link.use() as session:
                rows = await session.fetch(_READ, list(self._next), list(self._next.values()), wanted)
            self._advance(rows, records)
            if len(rows) < wanted:
                break
        return records

    def _advance(self, rows: Sequence[Any], records: list[Record]) -> None:
        """Take the rows over, check that none is missing, and let the partition read last wait longest."""
        for row in rows:
            number, offset = row[0], row[1]
            topic, partition = self._names[number]
            if offset != self._next[number]:
                raise PositionLost(f"{topic}/{partition}: {self._next[number]} is gone, {offset} is the next kept")
            self._next[number] = offset + 1
            records.append(_record(topic, partition, row))
        for number in dict.fromkeys(row[0] for row in rows):
            self._next[number] = self._next.pop(number)

    async def _hear_news(self, seconds: float) -> bool:
        """Wait until there may be something new; False when the time is over."""
        if seconds <= 0:
            return False
        try:
            async with asyncio.timeout(min(seconds, LONGEST_WAIT)):
                await self._news.wait()
        except TimeoutError:
            return seconds > LONGEST_WAIT
        return True


def _start(partition: TopicPartition, known: Positions, kept: Mapping[TopicPartition, tuple[int, int]]) -> int:
    first, end = kept[partition]
    start = known.get(partition, first)
    if not first <= start <= end:
        raise PositionLost(f"{partition[0]}/{partition[1]}: {start} is outside of what is kept, {first} to {end}")
    return start
