"""What a consumer has accepted: `seen` identities for dedup, and compressed segments for rebuild, replay and "why"."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import zstandard
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.bus import Record, TopicPartition

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, bytes, bytes, tuple[tuple[str, bytes], ...]]]).decode


class Accepted(NamedTuple):
    """A record as the journal keeps it, with the time of its event."""

    record: Record
    time: datetime


async def remember(session: AsyncConnection, seen: Table, keys: Collection[bytes]) -> set[bytes]:
    """Write these identities and return those that were not known before."""
    if not keys:
        return set()
    rows = await session.execute(
        text(
            f"INSERT INTO {seen.fullname} (key) SELECT unnest(CAST(:keys AS bytea[]))"
            " ON CONFLICT DO NOTHING RETURNING key"
        ),
        {"keys": sorted(keys)},
    )
    return {row.key for row in rows}


async def write_segments(session: AsyncConnection, journal: Table, accepted: Sequence[Accepted], now: datetime) -> None:
    """Append one segment a partition."""
    groups: defaultdict[TopicPartition, list[Accepted]] = defaultdict(list)
    for one in accepted:
        groups[one.record[:2]].append(one)
    segments = [_segment(groups[partition]) for partition in sorted(groups)]
    if not segments:
        return
    await session.execute(
        text(
            f"INSERT INTO {journal.fullname} (topic, partition, first_offset, last_offset, accepted_on, least_time,"
            " greatest_time, events, payload) VALUES (:topic, :partition, :first_offset, :last_offset, :accepted_on,"
            " :least_time, :greatest_time, :events, :payload)"
        ),
        [{**segment, "accepted_on": now.date()} for segment in segments],
    )


def _segment(group: list[Accepted]) -> dict[str, Any]:
    """Of the records of one partition, which come in the order of their offsets."""
    times = [a.time for a in group]
    return {
        "topic": group[0].record.topic,
        "partition": group[0].record.partition,
        "first_offset": group[0].record.offset,
        "last_offset": group[-1].record.offset,
        "least_time": min(times),
        "greatest_time": max(times),
        "events": len(group),
        "payload": pack([a.record for a in group]),
    }


def pack(records: Iterable[Record]) -> bytes:
    """Compress records of one partition."""
    rows = [record[2:] for record in records]  # offset, key, value, headers
    return zstandard.ZstdCompressor(level=1).compress(_encode(rows))


def unpack(topic: str, partition: int, payload: bytes) -> list[Record]:
    """The records of a segment."""
    rows = _decode(zstandard.ZstdDecompressor().decompress(payload))
    return [Record(topic, partition, offset, key, value, headers) for offset, key, value, headers in rows]


async def read_segments(
    session: AsyncConnection, journal: Table, *, topics: Sequence[str], since: datetime | None = None
) -> AsyncIterator[list[Record]]:
    """Every segment of these topics in order of topic, partition and offset, one at a time.

    `since` leaves out segments whose every event happened before it. A segment is held in memory whole, the journal
    never is.
    """
    rows = await session.stream(
        text(
            f"SELECT topic, partition, payload FROM {journal.fullname} WHERE topic = ANY(CAST(:topics AS text[]))"
            " AND (CAST(:since AS timestamptz) IS NULL OR greatest_time >= :since)"
            " ORDER BY topic, partition, first_offset"
        ),
        {"topics": list(topics), "since": since},
        execution_options={"yield_per": 8},
    )
    async for row in rows:
        yield unpack(row.topic, row.partition, row.payload)
