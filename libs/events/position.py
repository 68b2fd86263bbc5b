"""How far a consumer has got, in its own database: the only fence between two members, or two lives, of a consumer."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.events.bus import Bus, Record, TopicPartition
from libs.events.failures import Stop


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset of a partition, and the fingerprint of the record just before it."""

    next_offset: int
    last_record: bytes | None


def fingerprint(record: Record) -> bytes:
    """16 bytes that tell a record from any other, to notice a log that was replaced behind our back."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (record.key, record.value, *(value for _, value in record.headers)):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


async def lock_positions(
    session: AsyncConnection, table: Table, consumer: str, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Lock the rows of these partitions in a fixed order and return their next offsets; new ones begin at 0."""
    arguments = _columns(consumer, sorted(set(partitions)))
    await session.execute(
        text(
            f"INSERT INTO {table.fullname} (consumer, topic, partition, next_offset)"
            " SELECT :consumer, t, p, 0 FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS u(t, p)"
            " ON CONFLICT DO NOTHING"
        ),
        arguments,
    )
    rows = await session.execute(
        text(
            f"SELECT topic, partition, next_offset FROM {table.fullname} WHERE consumer = :consumer"
            " AND (topic, partition) IN (SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])))"
            " ORDER BY topic, partition FOR UPDATE"
        ),
        arguments,
    )
    return {(row.topic, row.partition): row.next_offset for row in rows}


async def move_positions(session: AsyncConnection, table: Table, consumer: str, last: Sequence[Record]) -> None:
    """Move the (locked) positions behind the last record applied of each partition."""
    await session.execute(
        text(
            f"UPDATE {table.fullname} AS p SET next_offset = u.o, last_record = u.f, moved_at = now()"
            " FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]),"
            " CAST(:fingerprints AS bytea[])) AS u(t, n, o, f)"
            " WHERE p.consumer = :consumer AND p.topic = u.t AND p.partition = u.n"
        ),
        {
            **_columns(consumer, [(record.topic, record.partition) for record in last]),
            "offsets": [record.offset + 1 for record in last],
            "fingerprints": [fingerprint(record) for record in last],
        },
    )


async def load_positions(session: AsyncConnection, table: Table, consumer: str) -> dict[TopicPartition, Position]:
    """All positions of a consumer, without locking."""
    rows = await session.execute(
        text(f"SELECT topic, partition, next_offset, last_record FROM {table.fullname} WHERE consumer = :consumer"),
        {"consumer": consumer},
    )
    return {(row.topic, row.partition): Position(row.next_offset, row.last_record) for row in rows}


async def check_log(bus: Bus, consumer: str, partition: TopicPartition, position: Position) -> None:
    """Raise Stop where the log cannot be the one that this position was written about (fail closed, P2)."""
    topic, number = partition
    first, end = (await bus.bounds(topic)).get(number, (0, 0))
    where = f"{consumer}: {topic}/{number} at offset {position.next_offset}"
    if position.next_offset > end:
        raise Stop(f"{where}: the log ends at {end}; acknowledged records are gone")
    if position.next_offset < first:
        raise Stop(f"{where}: the log starts at {first}; records were deleted before they were applied")
    if position.last_record is None or position.next_offset == first:
        return
    before = await bus.read(topic, number, position.next_offset - 1, 1)
    if before and before[0].offset == position.next_offset - 1 and fingerprint(before[0]) != position.last_record:
        raise Stop(f"{where}: the record before it is not the one that was applied; this is another log")


def _columns(consumer: str, partitions: Sequence[TopicPartition]) -> dict[str, Any]:
    return {"consumer": consumer, "topics": [t for t, _ in partitions], "partitions": [n for _, n in partitions]}
