"""The bus on Apache Kafka. The only module that knows aiokafka, whose defaults are nowhere relied on.

What was learned about aiokafka 0.14, and is guarded against here:

- A producer whose batch failed has a gap in its sequence numbers and is refused from then on: it is replaced.
- It retries for ever while a broker is away, which keeps the order; publishers are told after a time, and may repeat.
- The callback for assigned partitions may run after the first records were handed out, and its errors are swallowed:
  it only leaves word here; positions are asked from `fetch`, and records that came before that are dropped.
- `send` for each message costs ten times what a `create_batch` costs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition as KafkaPartition

from libs.events.bus import (
    BusError,
    BusRefused,
    BusUnavailable,
    ForeignTopics,
    Message,
    PositionLost,
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

REQUEST_MS = 10_000
SESSION_SECONDS = 10.0
REBALANCE_MS = 10_000
HEARTBEAT_MS = 500
"""How soon a member notices that another came or went."""

METADATA_MS = 30_000
BATCH_BYTES = 512 * 1024
SLICE = 500
"""Records decoded between two turns of the event loop."""

COMMIT_SECONDS = 5.0
MARKER = Topic("opswire.installation", "orders", 1, "the word installation", "whose topics these are (D59)")
DAY_MS = 86_400_000

_REFUSED = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidTopicError,
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.PolicyViolationError,
    errors.InvalidConfigurationError,
    errors.InvalidReplicationFactorError,
    errors.InvalidPartitionsError,
    errors.InvalidTimestampError,
    errors.InvalidGroupIdError,
    errors.InconsistentGroupProtocolError,
    errors.CorruptRecordException,
    errors.IncompatibleBrokerVersion,
)


def bus_error(error: BaseException) -> BusError:
    """What an error of aiokafka means to us: only what a repetition can never mend is refused."""
    reason = f"Kafka: {type(error).__name__}: {error}"
    if isinstance(error, errors.OffsetOutOfRangeError):
        return PositionLost(reason)
    return BusRefused(reason) if isinstance(error, _REFUSED) else BusUnavailable(reason)


@contextmanager
def in_terms_of_the_bus() -> Iterator[None]:
    try:
        yield
    except (errors.KafkaError, errors.ConsumerStoppedError, OSError, TimeoutError) as error:
        raise bus_error(error) from error


class KafkaBus:
    """Topics on the cluster that `bootstrap` leads to, every name with `prefix` before it."""

    def __init__(
        self,
        bootstrap: str,
        *,
        prefix: str = "",
        installation: Callable[[], str] | None = None,
        member: str | None = None,
        publish_seconds: float = 10.0,
        session_seconds: float = SESSION_SECONDS,
    ) -> None:
        """`installation`: whose topics these must be; asked when the bus is started.

        `member`: a name that is this process's own and survives its restart; with it a quick restart keeps its
        partitions, and closing does not give them away.
        `session_seconds`: a member of a group that is silent for so long loses its partitions; brokers want 6 or more.
        """
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._installation = installation
        self._member = member
        self._session_ms = int(session_seconds * 1000)
        self._counts: dict[str, int] = {}
        self._outgoing = Outgoing(bootstrap, prefix, self._counts)
        self._lane = Lane(self._outgoing.send, name="Kafka", timeout=publish_seconds)
        self._reader: AIOKafkaConsumer | None = None
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        marked = await self._count(MARKER.name) > 0
        if marked and self._installation is not None:
            await self._compare_marker(self._installation())

    async def close(self) -> None:
        await self._lane.close(grace=5.0)
        await self._outgoing.close()
        async with self._reading:
            await self._drop_reader()

    async def ensure_topics(self, topics: Sequence[Topic]) -> None:
        async with self._administration() as admin:
            present = await self._present(admin)
            if self._installation is not None:
                await self._claim(admin, present, topics, self._installation())
            await self._create(admin, [topic for topic in topics if topic.name not in present])
        for topic in topics:
            count = self._counts[topic.name]
            if count != topic.partitions:
                raise WrongPartitions(f"topic {topic.name} has {count} partitions on Kafka, not {topic.partitions}")

    async def publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        refuse_unfit(messages)
        for topic in {message.topic for message in messages}:
            if await self._count(topic) == 0:
                raise BusRefused(f"there is no topic {topic}")
        await self._lane.post(messages)

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        partitions = [KafkaPartition(self._prefix + topic, n) for n in range(await self._count(topic))]
        async with self._reads() as reader:
            first, end = await asyncio.gather(reader.beginning_offsets(partitions), reader.end_offsets(partitions))
        return {partition.partition: (first[partition], end[partition]) for partition in partitions}

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        first, end = (await self.bounds(topic)).get(partition, (0, 0))
        if not first <= offset <= end:
            raise PositionLost(f"{topic}/{partition}: {offset} is outside of what is kept, {first} to {end}")
        async with self._reads() as reader:
            return await self._read(reader, KafkaPartition(self._prefix + topic, partition), offset, end, limit)

    def subscribe(self, group: str, topics: Sequence[str], positions: PositionsOf) -> Subscription:
        return KafkaSubscription(self, group, topics, positions)

    # reading without a group

    @asynccontextmanager
    async def _reads(self) -> AsyncIterator[AIOKafkaConsumer]:
        """One caller at a time; after an error the reader is made anew."""
        async with self._reading:
            with in_terms_of_the_bus():
                try:
                    async with asyncio.timeout(REQUEST_MS / 1000):
                        if self._reader is None:
                            self._reader = consumer(self._bootstrap)
                            await self._reader.start()
                        yield self._reader
                except BaseException:
                    await self._drop_reader()
                    raise

    async def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await stop_consumer(reader)

    async def _read(
        self, reader: AIOKafkaConsumer, partition: KafkaPartition, offset: int, end: int, limit: int
    ) -> list[Record]:
        records: list[Record] = []
        reader.assign([partition])  # a consumer without any assignment breaks, so the last one stays, paused
        reader.seek(partition, offset)
        while offset < end and len(records) < limit:
            batches = await reader.getmany(timeout_ms=1000, max_records=limit - len(records))
            records += records_of(batches, self._prefix)
            offset = records[-1].offset + 1 if records else offset
        reader.pause(partition)
        return records

    # topics

    async def _count(self, topic: str) -> int:
        """How many partitions a topic has; 0 when there is no such topic."""
        if topic not in self._counts:
            async with self._administration() as admin:
                await self._present(admin)
        return self._counts.get(topic, 0)

    @asynccontextmanager
    async def _administration(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_MS)
        with in_terms_of_the_bus():
            try:
                await admin.start()
                yield admin
            finally:
                await admin.close()

    async def _present(self, admin: AIOKafkaAdminClient) -> dict[str, int]:
        """The topics under our prefix that are ready, with their number of partitions."""
        described = await admin.describe_topics()
        names = {topic["topic"]: topic["partitions"] for topic in described if topic["topic"].startswith(self._prefix)}
        present = {
            name.removeprefix(self._prefix): len(partitions)
            for name, partitions in names.items()
            if all(partition["leader"] >= 0 for partition in partitions)
        }
        self._counts.update(present)
        return present

    async def _create(self, admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
        """Create topics and wait until they can be used; another process may do the same."""
        if not topics:
            return
        replicas = min(3, len((await admin.describe_cluster())["brokers"]))
        answer = await admin.create_topics([new_topic(self._prefix, topic, replicas) for topic in topics])
        for _, code, *message in answer.topic_errors:
            if code and errors.for_code(code) is not errors.TopicAlreadyExistsError:
                raise bus_error(errors.for_code(code)(*message))
        async with asyncio.timeout(REQUEST_MS / 1000):
            while not {topic.name for topic in topics} <= (await self._present(admin)).keys():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    # whose topics these are (D59)

    async def _claim(
        self, admin: AIOKafkaAdminClient, present: Mapping[str, int], topics: Iterable[Topic], installation: str
    ) -> None:
        """Leave our mark before the first event, or compare the one that is there; of two at once the first wins."""
        if MARKER.name not in present:
            await self._refuse_used([topic.name for topic in topics if topic.name in present])
            await self._create(admin, [MARKER])
        if (await self.bounds(MARKER.name))[0][1] == 0:
            await self._lane.post([Message(MARKER.name, b"installation", installation.encode(), ())])
        await self._compare_marker(installation)

    async def _refuse_used(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if any(end > 0 for _, end in (await self.bounds(topic)).values()):
                raise ForeignTopics(
                    f"topic {self._prefix}{topic} holds events that no installation has marked as its own:"
                    " set another OPSWIRE_TOPIC_PREFIX"
                )

    async def _compare_marker(self, installation: str) -> None:
        for record in await self.read(MARKER.name, 0, 0, 1):
            if record.value != installation.encode():
                raise ForeignTopics(
                    f"the topics with prefix {self._prefix!r} belong to installation {record.value.decode()!r},"
                    f" this is {installation!r}: set another OPSWIRE_TOPIC_PREFIX"
                )


def new_topic(prefix: str, topic: Topic, replicas: int) -> NewTopic:
    """Kept for ever unless its contract says otherwise; timed by the broker: no clock of ours deletes events."""
    retention = -1 if topic.retention_days is None else topic.retention_days * DAY_MS
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention),
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(max(1, replicas - 1)),
    }
    return NewTopic(prefix + topic.name, topic.partitions, replicas, topic_configs=config)


def records_of(batches: Mapping[Any, Sequence[Any]], prefix: str) -> list[Record]:
    """aiokafka's records as ours. Foreign tools may leave key or value empty."""
    return [
        Record(topic, r.partition, r.offset, r.key or b"", r.value or b"", r.headers)
        for partition, records in batches.items()
        for topic in (partition.topic.removeprefix(prefix),)
        for r in records
    ]


def consumer(bootstrap: str, **more: Any) -> AIOKafkaConsumer:
    """Every setting that matters said aloud."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level="read_uncommitted",
        metadata_max_age_ms=METADATA_MS,
        request_timeout_ms=2 * REQUEST_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        rebalance_timeout_ms=REBALANCE_MS,
        max_poll_interval_ms=600_000,
        **more,
    )


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop it whatever state it is in.

    `stop` may raise the cancellation of its own tasks, as if we had been cancelled, hence a task of its own; and when
    one of its tasks has failed it leaves connections open.
    """
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping])
    if stopping.cancelled() or stopping.exception() is not None:
        await consumer._client.close()


class Outgoing:
    """The producing side: what a flight of the lane does."""

    def __init__(self, bootstrap: str, prefix: str, counts: Mapping[str, int]) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._counts = counts
        self._producer: AIOKafkaProducer | None = None
        self._at_rest = True
        """Nothing is with the producer that was not answered, and no answer was an error."""

    async def send(self, posts: Sequence[Post]) -> None:
        """Send all posts, partitions side by side, and answer each with the first error of its partitions."""
        producer = await self._ready()
        self._at_rest = False
        loads = self._load(posts)
        answers = await asyncio.gather(*(self._deliver(producer, at, messages) for at, (messages, _) in loads.items()))
        failed = [(error, senders) for error, (_, senders) in zip(answers, loads.values(), strict=True) if error]
        self._at_rest = not failed
        for error, senders in failed:
            for post in senders:
                post.fail(error)
        for post in posts:
            post.succeed()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await (producer.stop() if self._at_rest else stop_at_once(producer))

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is not None and not self._at_rest:
            await self.close()
        if self._producer is None:
            self._producer = await self._start()
        return self._producer

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            linger_ms=0,
            metadata_max_age_ms=METADATA_MS,
            request_timeout_ms=REQUEST_MS,
        )
        with in_terms_of_the_bus():
            try:
                async with asyncio.timeout(REQUEST_MS / 1000):
                    await producer.start()
            except BaseException:
                await producer.stop()
                raise
        self._at_rest = True
        return producer

    def _load(self, posts: Sequence[Post]) -> dict[KafkaPartition, tuple[list[Message], list[Post]]]:
        """The messages of each partition in the order of the posts, and whose they are."""
        loads: dict[TopicPartition, tuple[list[Message], list[Post]]] = {}
        for post in posts:
            for message in post.messages:
                topic, key, _, _ = message
                at = topic, partition_of(key, self._counts[topic])
                load = loads.get(at)
                if load is None:
                    load = loads[at] = [], []
                load[0].append(message)
                if not load[1] or load[1][-1] is not post:
                    load[1].append(post)
        return {KafkaPartition(self._prefix + topic, n): load for (topic, n), load in loads.items()}

    async def _deliver(
        self, producer: AIOKafkaProducer, at: KafkaPartition, messages: Sequence[Message]
    ) -> BusError | None:
        """One batch after another: a later message is never on the bus without those before it."""
        try:
            for batch in batches_of(producer, messages):
                await (await producer.send_batch(batch, at.topic, partition=at.partition))
        except (errors.KafkaError, OSError, TimeoutError) as error:
            return bus_error(error)
        return None


def batches_of(producer: AIOKafkaProducer, messages: Iterable[Message]) -> Iterator[Any]:
    """Closed batches of up to BATCH_BYTES; a larger message is a batch of its own."""
    batch = producer.create_batch()
    for _, key, value, headers in messages:
        if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=list(headers))
    batch.close()
    yield batch


async def stop_at_once(producer: AIOKafkaProducer) -> None:
    """Stop without waiting for a broker that may never come back, which `stop` alone would do."""
    with suppress(errors.KafkaError):
        await producer._sender.close()
    accumulator = producer._message_accumulator
    accumulator._pending_batches.update(chain.from_iterable(accumulator._batches.values()))
    for batch in list(accumulator._pending_batches):
        batch.future.cancel()
    await producer.stop()


class Turns(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Leaves word of rebalances. Called from aiokafka's own task."""

    def __init__(self) -> None:
        self.assigned: frozenset[KafkaPartition] = frozenset()
        self.settled = asyncio.Event()
        self.number = 0
        """Grows with every assignment and every loss of one."""

    def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        self._turn(frozenset())
        self.settled.clear()

    def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        self._turn(frozenset(assigned))
        self.settled.set()

    def _turn(self, assigned: frozenset[KafkaPartition]) -> None:
        self.assigned = assigned
        self.number += 1


class KafkaSubscription:
    """One member of a consumer group. Kafka shares out the partitions; where they begin, the database says."""

    def __init__(self, bus: KafkaBus, group: str, topics: Sequence[str], positions: PositionsOf) -> None:
        self._bus = bus
        self._group = bus._prefix + group
        self._topics = topics
        self._positions = positions
        self._consumer: AIOKafkaConsumer | None = None
        self._turns = Turns()
        self._placed_turn: int | None = None
        self._handed_out: dict[KafkaPartition, int] = {}
        self._next_commit = time.monotonic() + COMMIT_SECONDS

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset(self._ours(partition) for partition in self._turns.assigned)

    async def fetch(self, *, max_records: int, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        async with self._talk():
            consumer = self._consumer or await self._join()
            await self._tell_progress(consumer)
        while True:
            if not await self._settle(consumer, deadline - time.monotonic()):
                return []
            if await self._place(consumer):
                records = await self._collect(consumer, max_records, deadline)
                if records or deadline <= time.monotonic():
                    return records

    async def rewind(self) -> None:
        self._placed_turn = None
        self._handed_out.clear()

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)
            self._turns.on_partitions_revoked(())

    @asynccontextmanager
    async def _talk(self) -> AsyncIterator[None]:
        """After an error the member leaves, and joins anew at the next fetch: aiokafka does not recover from all."""
        try:
            with in_terms_of_the_bus():
                yield
        except BusError:
            await self.close()
            raise

    async def _join(self) -> AIOKafkaConsumer:
        for topic in self._topics:
            if await self._bus._count(topic) == 0:
                raise BusUnavailable(f"there is no topic {topic} yet")
        member = self._bus._member
        joining = consumer(
            self._bus._bootstrap,
            group_id=self._group,
            group_instance_id=member and f"{self._group}.{member}",
            session_timeout_ms=self._bus._session_ms,
        )
        try:
            async with asyncio.timeout(REQUEST_MS / 1000):
                await joining.start()
        except BaseException:
            await stop_consumer(joining)
            raise
        joining.subscribe([self._bus._prefix + topic for topic in self._topics], listener=self._turns)
        self._consumer = joining
        return joining

    async def _settle(self, consumer: AIOKafkaConsumer, seconds: float) -> bool:
        """Wait until the group has shared out its partitions; False when the time is over."""
        if self._turns.settled.is_set():
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._turns.settled.wait()
        if not self._turns.settled.is_set():
            with in_terms_of_the_bus():
                await self._ask(
                    consumer, 0, 1
                )  # aiokafka tells trouble with the group only to those who ask for records
        return self._turns.settled.is_set()

    async def _place(self, consumer: AIOKafkaConsumer) -> bool:
        """Begin where the database says, unless this was done since the last turn; False when a turn came between."""
        turn = self._turns.number
        if self._placed_turn == turn:
            return True
        partitions = sorted(self._turns.assigned)
        known = await self._positions([self._ours(partition) for partition in partitions])
        async with self._talk():
            unknown = [partition for partition in partitions if self._ours(partition) not in known]
            begin = await consumer.beginning_offsets(unknown) if unknown else {}
        if turn != self._turns.number:
            return False
        for partition in partitions:
            consumer.seek(partition, known.get(self._ours(partition), begin.get(partition, 0)))
        self._handed_out.clear()
        self._placed_turn = turn
        return True

    async def _collect(self, consumer: AIOKafkaConsumer, max_records: int, deadline: float) -> list[Record]:
        """What has arrived by the deadline, up to `max_records`, in slices."""
        records = await self._take(consumer, max(0.0, deadline - time.monotonic()), max_records)
        with collector_paused():
            while records and len(records) < max_records:
                await asyncio.sleep(0)
                more = await self._take(consumer, 0.0, max_records - len(records))
                if not more:
                    break
                records += more
        return records

    async def _take(self, consumer: AIOKafkaConsumer, wait: float, most: int) -> list[Record]:
        """A slice of what is there; nothing of what a new turn brought before it was placed."""
        async with self._talk():
            batches = await self._ask(consumer, wait, min(SLICE, most))
        if self._placed_turn != self._turns.number:
            return []
        self._handed_out.update({at: of_one[-1].offset + 1 for at, of_one in batches.items()})
        return records_of(batches, self._bus._prefix)

    async def _ask(self, consumer: AIOKafkaConsumer, wait: float, limit: int) -> Mapping[Any, Sequence[Any]]:
        """`getmany`, which by itself would wait without limit: while partitions change hands, and after a failure."""
        if consumer._fetcher.error_future.done():
            raise errors.KafkaError("the fetching task of aiokafka has ended")
        try:
            async with asyncio.timeout(wait + 0.1):
                batches: Mapping[Any, Sequence[Any]] = await consumer.getmany(
                    timeout_ms=int(wait * 1000), max_records=limit
                )
                return batches
        except (TimeoutError, errors.NoOffsetForPartitionError):
            return {}

    async def _tell_progress(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what was handed out before this fetch: for dashboards and scalers only, so failing is fine."""
        if not self._handed_out or time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        with suppress(errors.KafkaError, TimeoutError):
            async with asyncio.timeout(0.5):
                await consumer.commit(self._handed_out)

    def _ours(self, partition: KafkaPartition) -> TopicPartition:
        return partition.topic.removeprefix(self._bus._prefix), partition.partition
