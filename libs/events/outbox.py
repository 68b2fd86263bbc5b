"""The outbox: events wait beside the state they tell of until the relay has put them on the bus.

There is no cursor: the relay reads what is there, publishes it, deletes it. A transaction that commits late is simply
read later; a crash between publishing and deleting repeats an event, which consumers know by its identity (P2).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.events.bus import Bus, BusUnavailable, Message
from libs.events.codec import Envelope, to_message
from libs.events.contracts import TopicBeat
from libs.events.crash import crash_point
from libs.events.failures import Verdict, decide
from libs.events.ids import uuid7
from libs.events.locks import advisory_lock
from libs.events.metrics import EVENTS_PUBLISHED, OUTBOX_PENDING_SECONDS, RELAY_RETRIES

READ_LIMIT = 5_000
BEAT_EVERY = timedelta(seconds=5)
IDLE_POLL_SECONDS = 0.25
"""How long an event of another process of this service may wait; this process wakes its own relay at commit."""

_encode = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


async def write_outbox(session: AsyncConnection, outbox: Table, messages: Sequence[Message]) -> None:
    """Insert the messages in their order, in one statement."""
    if not messages:
        return
    await session.execute(
        text(
            f"INSERT INTO {outbox.fullname} (topic, key, value, headers)"
            " SELECT topic, key, value, headers FROM unnest(CAST(:topics AS text[]), CAST(:keys AS bytea[]),"
            " CAST(:values AS bytea[]), CAST(:headers AS bytea[]))"
            " WITH ORDINALITY AS m(topic, key, value, headers, n) ORDER BY n"
        ),
        {
            "topics": [m.topic for m in messages],
            "keys": [m.key for m in messages],
            "values": [m.value for m in messages],
            "headers": [_encode(m.headers) for m in messages],
        },
    )


def waiting_message(row: Any) -> Message:
    """The message that an outbox row holds."""
    return Message(row.topic, row.key, row.value, _decode_headers(row.headers))


Until = Callable[[datetime], datetime]
"""From the start of the last read that left nothing unsent to the time up to which a topic is complete."""


class Relay:
    """Publishes a service's outbox in the order of its ids, and beats on the service's topics (D27).

    One relay a service works at a time: it reads over the very connection that holds the advisory lock.
    """

    def __init__(
        self,
        *,
        service: str,
        role: str,
        engine: AsyncEngine,
        bus: Bus,
        outbox: Table,
        clock: Callable[[], datetime],
        beats: Mapping[str, Until],
        read_limit: int = READ_LIMIT,
    ) -> None:
        """`beats`: owned topic -> its `until`; `emptied` for topics that are fed by the outbox alone."""
        self.service = service
        self.role = role
        self.engine = engine
        self.bus = bus
        self.outbox = outbox
        self.clock = clock
        self.beats = beats
        self.read_limit = read_limit
        self.progress_at = clock()
        self._woken = asyncio.Event()
        self._next_beat = clock()

    def wake(self) -> None:
        """Tell the relay that something was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Relay for ever. Raises when the bus refuses for good, so that the process ends and says so."""
        while True:
            try:
                async with advisory_lock(self.engine, f"relay:{self.service}", role=self.role) as connection:
                    await self._relay(connection)
            except Exception as error:
                if decide(error) is not Verdict.RETRY:
                    raise
                RELAY_RETRIES.labels(self.service).inc()
                await asyncio.sleep(1)

    async def _relay(self, connection: AsyncConnection) -> None:
        while True:
            self._woken.clear()
            emptied_at = await self._drain(connection)
            if emptied_at >= self._next_beat:
                await self._beat(emptied_at)
            await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), IDLE_POLL_SECONDS)

    async def _drain(self, connection: AsyncConnection) -> datetime:
        """Publish until a read finds less than it could; the start of that read is returned."""
        while True:
            started = self.clock()
            rows = (await connection.execute(_read(self.outbox), {"n": self.read_limit})).all()
            self.progress_at = started
            OUTBOX_PENDING_SECONDS.labels(self.service).set(
                (started - rows[0].written_at).total_seconds() if rows else 0.0
            )
            if rows:
                await self._publish([waiting_message(row) for row in rows])
                await connection.execute(_delete(self.outbox), {"ids": [r.id for r in rows]})
            if len(rows) < self.read_limit:
                return started

    async def _publish(self, messages: Sequence[Message]) -> None:
        crash_point("relay.before_publish")
        while True:
            try:
                await self.bus.publish(messages)
                break
            except BusUnavailable:
                RELAY_RETRIES.labels(self.service).inc()
                await asyncio.sleep(0.5)
        crash_point("relay.after_publish")
        for message in messages:
            EVENTS_PUBLISHED.labels(message.topic).inc()

    async def _beat(self, emptied_at: datetime) -> None:
        self._next_beat = emptied_at + BEAT_EVERY
        await self._publish([self._beat_message(topic, until(emptied_at)) for topic, until in self.beats.items()])

    def _beat_message(self, topic: str, until: datetime) -> Message:
        now = self.clock()
        beat: Envelope[Any] = Envelope(
            id=uuid7(now),
            source=f"/services/{self.service}",
            store="*",
            subject=topic,
            time=now,
            recorded_time=now,
            data=TopicBeat(until=until),
        )
        return to_message(beat, topic=topic)


def emptied(at: datetime) -> datetime:
    """`until` of a topic that the outbox alone feeds: the start of the read that found nothing left."""
    return at


def _read(outbox: Table) -> Any:
    return text(f"SELECT id, topic, key, value, headers, written_at FROM {outbox.fullname} ORDER BY id LIMIT :n")


def _delete(outbox: Table) -> Any:
    return text(f"DELETE FROM {outbox.fullname} WHERE id = ANY(CAST(:ids AS bigint[]))")
